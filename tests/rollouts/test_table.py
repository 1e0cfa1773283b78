"""The rollout file: append-only, and whole again after a kill."""

import json

import numpy as np
import pytest

from bontea.rollouts.table import RolloutFile


def row(i, j, reward=0.5, completion="c"):
    return {"prompt_id": i, "rollout": j, "reward": reward, "completion": completion}


def test_round_trip(tmp_path):
    file = RolloutFile(tmp_path / "deep" / "r.jsonl")
    file.append([row(0, 0, 1.5, "a"), row(0, 1, None, "a")])
    file.append([row(1, 0, -2.0, "b")])
    again = RolloutFile(file.path)
    expected = [[1.5, np.nan], [-2.0, np.nan]]
    np.testing.assert_array_equal(again.table(2, 2), expected)
    assert again.distinct() == pytest.approx((1 / 2 + 1) / 2)


def test_rows_are_not_written_twice(tmp_path):
    file = RolloutFile(tmp_path / "r.jsonl")
    file.append([row(0, 0, 1.0)])
    file.append([row(0, 0, 9.0), row(0, 1, 2.0)])
    assert len(file.path.read_text().splitlines()) == 2
    assert RolloutFile(file.path).rewards == {(0, 0): 1.0, (0, 1): 2.0}


@pytest.mark.parametrize("cut", range(1, 40, 3))
def test_a_cut_last_line_is_dropped(tmp_path, cut):
    file = RolloutFile(tmp_path / "r.jsonl")
    file.append([row(0, 0, 1.0), row(0, 1, 2.0)])
    data = file.path.read_bytes()
    file.path.write_bytes(data[:-cut])
    again = RolloutFile(file.path)
    assert (0, 0) in again.rewards
    assert (0, 1) not in again.rewards
    again.append([row(0, 1, 2.0)])
    assert file.path.read_bytes() == data


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text(json.dumps(row(0, 0)) + "\n{oops\n" + json.dumps(row(0, 1)) + "\n")
    with pytest.raises(ValueError, match=r"r\.jsonl, line 2"):
        RolloutFile(path)
