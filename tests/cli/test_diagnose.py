"""`bontea diagnose` as a person runs it, on files."""

import json

import numpy as np
import pytest

import bontea
from bontea.cli import main


def write(path, rewards, lengths=None, **fields):
    """One JSONL row a rollout; NaN is null."""
    with path.open("w", encoding="utf-8") as file:
        for p, row in enumerate(rewards):
            for i, reward in enumerate(row):
                out = {"prompt_id": p, "reward": None if np.isnan(reward) else float(reward)}
                if lengths is not None:
                    out["completion"] = "x" * int(lengths[p][i])
                file.write(json.dumps(out | fields) + "\n")
    return str(path)


@pytest.fixture
def normal(tmp_path):
    rng = np.random.default_rng(1)
    rewards = rng.normal(size=(32, 16))
    return write(tmp_path / "rollouts.jsonl", rewards, rng.integers(1, 40, size=(32, 16)))


def test_page_and_figure(normal, tmp_path, capsys):
    png = tmp_path / "qq.png"
    assert main(["diagnose", normal, "--deploy-n", "128", "--png", str(png)]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("32 prompts, 512 rewards, 16 of a prompt")
    assert out.rstrip().split("\n\n")[-1].startswith("RECOMMENDATION: adaptive_tea with M = 16.")
    assert "rank correlation of reward and length" in out
    assert err == f"wrote {png}\n"
    assert png.read_bytes()[:4] == b"\x89PNG"


def test_json_is_only_json(normal, capsys):
    arguments = ["diagnose", normal, "--rollouts", "8", "--seed", "3", "--json"]
    assert main(arguments) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["version"] == bontea.__version__
    assert got["seed"] == 3
    assert got["command"]
    assert got["file"] == normal
    assert (got["n"], got["m"], got["m_given"]) == (128, 8, True)
    assert got["recommended"] in ("adaptive_tea", "max_at_k(k=6)")
    assert (
        got["recommendation"] == f"RECOMMENDATION: {got['recommended']} with M = 8. {got['reason']}"
    )
    assert got["verdict"] == "normal"
    assert len(got["qq"]["seen"]) == len(got["qq"]["low"]) > 50
    assert got["page"].split("\n\n")[-1].replace("\n", " ") == got["recommendation"]
    assert [row["estimator"] for row in got["ranking"]["rows"] if row["candidate"]] == [
        "max_at_k(k=6)",
        "adaptive_tea",
    ]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == got


def test_one_model_of_several(tmp_path, capsys):
    rng = np.random.default_rng(1)
    path = tmp_path / "two.jsonl"
    write(path, rng.normal(size=(20, 16)), model="start")
    first = path.read_text()
    write(path, rng.random((20, 16)) < 0.3, model="trained")
    path.write_text(first + path.read_text())
    assert main(["diagnose", str(path)]) == 2
    assert "holds rollouts of 2 models ('start', 'trained')" in capsys.readouterr().err
    assert main(["diagnose", str(path), "--model", "trained"]) == 0
    assert "RECOMMENDATION: pass_at_n(prior=(" in capsys.readouterr().out


def test_zero_one_has_no_figure(tmp_path, capsys):
    file = write(tmp_path / "r.jsonl", (np.random.default_rng(2).random((20, 8)) < 0.3) * 1.0)
    assert main(["diagnose", file, "--png", str(tmp_path / "qq.png")]) == 0
    assert "no figure: two values" in capsys.readouterr().err
    assert not (tmp_path / "qq.png").exists()


@pytest.mark.parametrize(
    ("rewards", "words"),
    [
        (np.random.default_rng(3).normal(size=(1, 64)), "Too little data"),
        (np.random.default_rng(3).normal(size=(64, 1)), "No prompt has two rewards"),
        (np.ones((20, 16)), "nothing to train on"),
    ],
)
def test_poor_data_is_diagnosed(rewards, words, tmp_path, capsys):
    assert main(["diagnose", write(tmp_path / "r.jsonl", rewards)]) == 0
    assert words in capsys.readouterr().out.replace("\n", " ")


def test_far_beyond_the_file(normal, capsys):
    assert main(["diagnose", normal, "--deploy-n", "1e9"]) == 0
    out = capsys.readouterr().out.replace("\n", " ")
    assert "RECOMMENDATION: adaptive_tea(n=512)" in out
    assert "N = 1,000,000,000 is beyond the 512 rewards seen" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--deploy-n", "0.5"], "--deploy-n 0.5 must be at least 1"),
        (["--deploy-n", "nan"], "--deploy-n nan must be at least 1"),
        (["--rollouts", "0"], "--rollouts 0 must be at least 1"),
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--png", "qq.jpg"], "--png qq.jpg must be the name of a .png file"),
        (["--png", "no/folder/qq.png"], "there is no folder"),
    ],
)
def test_bad_arguments(arguments, words, normal, capsys):
    assert main(["diagnose", normal, *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


def test_bad_files(tmp_path, capsys):
    for path, words in (
        (tmp_path, "is a folder"),
        (tmp_path / "none.jsonl", "is not there"),
        (write(tmp_path / "null.jsonl", np.full((3, 4), np.nan)), "none of the 12 rollouts"),
    ):
        assert main(["diagnose", str(path)]) == 2
        assert words in capsys.readouterr().err
