"""`bontea simulate` from the command line."""

import json

import numpy as np
import pytest

from bontea.cli import main


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("rollouts") / "rollouts.jsonl"
    rows = (
        {"prompt_id": p, "reward": round(p / 4 + float(rng.normal()), 4)}
        for p in range(6)
        for _ in range(32)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_table(file, capsys):
    assert main(["simulate", str(file)]) == 0
    out = capsys.readouterr().out
    assert "6 prompts" in out
    assert "the reward of fixed N = 8" in out
    assert "unknown: too few prompts" in out


def test_json(file, capsys):
    arguments = ["--price", "0.05", "--budget", "8", "--wave", "2", "--max-n", "16", "--json"]
    assert main(["simulate", str(file), *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [o["rule"] for o in found["outcomes"]] == ["price 0.05", "budget of 8 a prompt"]
    assert found["seed"] == 0
    assert found["outcomes"][0]["responses"] <= 16


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--price", "-0.5"], "price=-0.5"),
        (["--price", "nan"], "price=nan"),
        (["--fixed-n", "1000000000"], "fixed_n=1000000000"),
        (["--min-n", "0"], "min_n=0"),
        (["--seed", "-1"], "--seed -1"),
        (["--tail", "heavy"], "tail='heavy'"),
    ],
)
def test_one_line_for_what_cannot_be(file, capsys, arguments, said):
    assert main(["simulate", str(file), *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_file_that_is_not_there(capsys):
    assert main(["simulate", "nowhere.jsonl"]) == 2
    assert "nowhere.jsonl" in capsys.readouterr().err
