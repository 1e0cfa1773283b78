"""`bontea bench` and `bontea ls` as a person runs them."""

import csv
import json
import signal
import subprocess
import sys
import time

import pytest

import bontea
from bontea.bench import frontier, gradients
from bontea.cli import main


@pytest.fixture
def few(monkeypatch):
    """The first tasks of each table only; the rest of the command is as it is."""
    for module in (gradients, frontier):
        whole = module.tasks

        def part(*, full, seed=0, whole=whole):
            kept = {}
            for task in whole(full=full, seed=seed):
                kept.setdefault(task.table, []).append(task)
            return [task for tasks in kept.values() for task in tasks[:6]]

        monkeypatch.setattr(module, "tasks", part)


def test_tables_figures_and_csv(few, tmp_path, capsys):
    assert main(["bench", "frontier", "--output", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "Risk frontier" in out
    assert "softmax policy" in out
    assert "tail_rl" in out
    assert "frontier.png" in err
    with (tmp_path / "styles.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["estimator"] == "reinforce"
    assert 0 < float(rows[2]["share"]) < 1
    for name in ("frontier.png", "styles.png"):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    # Everything is in the file: again, nothing is measured, and the tables are the same.
    before = time.perf_counter()
    assert main(["bench", "frontier", "--output", str(tmp_path)]) == 0
    assert capsys.readouterr().out == out
    assert time.perf_counter() - before < 30


def test_json_is_only_json(few, capsys):
    assert main(["bench", "gradients", "--json", "--seed", "3"]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["version"] == bontea.__version__
    assert got["settings"] == {"part": "gradients", "full": False, "seed": 3}
    assert set(got["tables"]) == {"direction", "budget", "laws", "slopes"}
    slopes = {row["estimator"]: row["bias slope"] for row in got["tables"]["slopes"]}
    assert -1.2 < slopes["tea"] < -0.7
    assert slopes["prefix_tea cross-fitted"] < -1.5


@pytest.mark.slow
def test_killed_and_run_again(tmp_path):
    command = [sys.executable, "-m", "bontea", "bench", "frontier", "--output", str(tmp_path)]
    cache = tmp_path / "measured.jsonl"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and (not cache.exists() or cache.read_text().count("\n") < 3):
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = cache.read_text().splitlines()
    assert len(kept) >= 3

    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None and cache.read_text().count("\n") < len(kept) + 2:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"run the same command again to go on" in err
    lines = cache.read_text().splitlines()
    names = [json.loads(line)["task"] for line in lines]
    assert len(set(names)) == len(names) > len(kept)
    assert lines[: len(kept) - 1] == kept[: len(kept) - 1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--output", __file__], "is a file: name a folder"),
    ],
)
def test_bad_arguments(arguments, words, capsys):
    assert main(["bench", "frontier", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_unknown_part(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "everything"])
    assert stop.value.code == 2
    assert "'gradients'" in capsys.readouterr().err


def test_ls(capsys):
    assert main(["ls"]) == 0
    out = capsys.readouterr().out
    for name in bontea.ADVANTAGES:
        assert f"  {name}(" in out
    for word in ("lognormal", "gumbel", "trl 1."):
        assert word in out
    assert main(["ls", "tails", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == ["tails"]
    assert set(listed["tails"]) == {"normal", "exponential", "lognormal", "gp"}
