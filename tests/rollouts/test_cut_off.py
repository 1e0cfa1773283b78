"""Responses that were cut off: found in any file, kept, left out, or counted as the worst draws."""

import dataclasses
import json
import math
from math import comb

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from bontea import curve  # noqa: E402
from bontea.cli import main  # noqa: E402
from bontea.rollouts import as_rollouts, read_rollouts  # noqa: E402

ROWS = [
    ("a", 1.0, "stop"),
    ("a", 0.0, "stop"),
    ("a", 1.0, "length"),
    ("a", None, "MAX_TOKENS"),
    ("b", 1.0, "length"),
    ("b", None, "model_length"),
    ("c", 0.5, None),
    ("c", -2.0, "content_filter"),
    ("c", 0.25, "tool_calls"),
]
CUT = [False, False, True, True, True, True, False, False, False]


def write(path, rows=ROWS):
    rows = [
        {"prompt_id": name, "rollout": i, "reward": reward}
        | ({} if reason is None else {"finish_reason": reason})
        for i, (name, reward, reason) in enumerate(rows)
    ]
    if path.suffix == ".parquet":
        pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["r.jsonl", "r.parquet"])
def path(tmp_path, request):
    return write(tmp_path / request.param)


def test_which_are_cut_off(path):
    found = read_rollouts(path)
    assert found.cut_off.tolist() == CUT
    assert found.select([2, 0]).cut_off.tolist() == CUT[6:] + CUT[:4]
    assert found.first(2).cut_off.tolist() == [False, False, True, True, False, False]
    assert found.scored().cut_off.tolist() == [False, False, True, True, False, False, False]
    assert "44.4 % of them cut off" in str(found)


def test_a_word_is_one_however_it_is_spelled(tmp_path):
    cut = ["Length", "LENGTH ", "max-tokens", "FinishReason.MAX_TOKENS", "model context window exce"
           "eded", "token limit"]  # fmt: skip
    other = ["stop", "length-ish", "time_limit", ""]
    for name in ("r.jsonl", "r.parquet"):
        rows = [("a", 1.0, reason) for reason in cut + other]
        found = read_rollouts(write(tmp_path / name, rows))
        assert found.cut_off.tolist() == [True] * len(cut) + [False] * len(other)


def test_a_file_that_does_not_say(tmp_path):
    rows = [(name, reward, None) for name, reward, _ in ROWS]
    found = read_rollouts(write(tmp_path / "r.jsonl", rows))
    assert found.cut_off is None
    for how in ("keep", "drop", "worst"):
        assert found.with_cut_off(how) is found
    assert as_rollouts([[1, 0]]).cut_off is None


def test_keep(path):
    found = read_rollouts(path)
    assert found.with_cut_off("keep") is found


def test_drop(path):
    """A prompt that has no other rollout is gone, and the rows still point into the file."""
    left = read_rollouts(path).with_cut_off("drop")
    assert left.prompts.tolist() == ["a", "c"]
    assert left.counts.tolist() == [2, 3]
    assert left.rewards.tolist() == [1.0, 0.0, 0.5, -2.0, 0.25]
    assert left.rows.tolist() == [0, 1, 6, 7, 8]
    assert not left.cut_off.any()


def test_worst(path):
    """The lowest reward of all, of other prompts too, also where there was no reward."""
    found = read_rollouts(path)
    assert found.lowest == -2.0
    worst = found.with_cut_off("worst")
    assert worst.rewards.tolist() == [1.0, 0.0, -2.0, -2.0, -2.0, -2.0, 0.5, -2.0, 0.25]
    assert worst.counts.tolist() == [4, 2, 3]
    again = found.with_cut_off("worst", worst=-5.0)
    assert again.rewards[2] == again.rewards[3] == -5.0


def test_worst_is_pass_at_k_with_cut_off_as_failures(tmp_path):
    """16 draws, 5 right, 3 cut off: a success is one of 5 in 16, whatever half an answer got."""
    rows = [("p", 1.0, "stop")] * 5 + [("p", 0.0, "stop")] * 8
    rows += [("p", 1.0, "length"), ("p", 1.0, "length"), ("p", None, "length")]
    found = read_rollouts(write(tmp_path / "r.jsonl", rows))
    for k in (1, 4, 13):
        expected = 1 - comb(11, k) / comb(16, k)
        assert curve(found.with_cut_off("worst"), [k]).value[0] == pytest.approx(expected)
        dropped = 1 - comb(8, k) / comb(13, k)
        assert curve(found.with_cut_off("drop"), [k]).value[0] == pytest.approx(dropped)


def test_refused(path, tmp_path):
    found = read_rollouts(path)
    with pytest.raises(ValueError, match="cut-off 'maybe' must be one of keep, drop, worst"):
        found.with_cut_off("maybe")
    everything = dataclasses.replace(found, cut_off=np.ones(9, bool))
    with pytest.raises(ValueError, match=r"all 9 rollouts were cut off.*--max-new-tokens"):
        everything.with_cut_off("drop")
    nothing = dataclasses.replace(found, rewards=np.full(9, math.nan))
    with pytest.raises(ValueError, match="no rollout has a reward"):
        nothing.with_cut_off("worst")


def run(capsys, *args):
    code = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out, err


def test_curve_says_the_share(path, capsys):
    code, out, err = run(capsys, "curve", path, "--json")
    assert code == 0
    assert "r: 44.4 % of the 9 rollouts were cut off (finish_reason) and count " in err
    assert "with the reward that they have (2 have none, and do not count); --cut-off drop" in err
    found = json.loads(out)
    assert found["cut_off"] == "keep"
    assert found["curves"][0]["cut_off_share"] == pytest.approx(4 / 9)
    code, out, err = run(capsys, "curve", path, "--json", "--cut-off", "drop", "--ks", 1)
    assert "left out; 1 prompt with no other rollout left out, too" in err
    (drawn,) = json.loads(out)["curves"]
    assert (drawn["prompts"], drawn["rollouts"]) == (2, 5)
    assert drawn["value"] == [pytest.approx((0.5 + (0.5 - 2 + 0.25) / 3) / 2)]
    assert drawn["cut_off_share"] == pytest.approx(4 / 9)


def test_worst_of_two_files_is_the_same(tmp_path, capsys):
    a = write(tmp_path / "a.jsonl", [("p", 1.0, "length"), ("p", 0.5, "stop")])
    b = write(tmp_path / "b.jsonl", [("p", -3.0, "stop"), ("p", 0.5, "stop")])
    _, out, err = run(capsys, "curve", a, b, "--json", "--cut-off", "worst", "--ks", 1)
    assert "a: 50 % of the 2 rollouts were cut off" in err
    assert "lowest reward, -3" in err
    assert "b: none of the 2 rollouts was cut off" in err
    assert json.loads(out)["curves"][0]["value"] == [pytest.approx((-3 + 0.5) / 2)]


def test_diagnose_and_plan(tmp_path, capsys):
    draw = np.random.default_rng(0).normal
    rows = [(f"p{i % 24}", draw(), "length" if i % 5 == 0 else "stop") for i in range(24 * 16)]
    path = write(tmp_path / "r.jsonl", rows)
    code, out, err = run(capsys, "diagnose", path, "--deploy-n", 8, "--json", "--cut-off", "drop")
    assert code == 0
    assert "20.1 % of the 384 rollouts were cut off (finish_reason) and are left out" in err
    found = json.loads(out)
    assert (found["cut_off"], found["rewards"]) == ("drop", 384 - 77)
    assert found["cut_off_share"] == pytest.approx(77 / 384)
    args = ("--deploy-n", 8, "--rollouts", 16, "--estimator", "rloo", "--cut-off", "worst")
    code, _, err = run(capsys, "plan", "--pilot", path, *args)
    assert code == 0
    assert f"lowest reward, {min(reward for _, reward, _ in rows):.3f}" in err
    code, _, err = run(capsys, "plan", *args)
    assert code
    assert "--cut-off is about the rollouts of a pilot" in err


def test_a_file_without_reasons_is_told(tmp_path, capsys):
    path = write(tmp_path / "r.jsonl", [(name, 1.0, None) for name, *_ in ROWS])
    assert "cut" not in run(capsys, "curve", path)[2]
    assert "no row has a finish_reason" in run(capsys, "curve", path, "--cut-off", "drop")[2]
