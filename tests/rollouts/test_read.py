"""Rewards from a file: ragged groups, broken lines, and what to say about them."""

import json

import numpy as np
import pytest

from bontea import calibrate_tail
from bontea.rollouts import read_rewards


def write(path, rows, end="\n"):
    path.write_text("\n".join(json.dumps(row) for row in rows) + end)
    return path


def test_groups_in_order_and_ragged(tmp_path):
    rows = [
        {"prompt_id": 7, "reward": 1},
        {"prompt_id": 3, "reward": 0.5, "completion": "x"},
        {"prompt_id": 7, "reward": None},
        {"prompt_id": 7, "reward": -2.5},
    ]
    got = read_rewards(write(tmp_path / "a.jsonl", rows))
    np.testing.assert_array_equal(got, [[1, np.nan, -2.5], [0.5, np.nan, np.nan]])
    chat = [{"role": "user", "content": "hi"}]
    named = [
        {"prompt": "a", "reward": 1},
        {"prompt": chat, "reward": 2},
        {"prompt": "a", "reward": 3},
    ]
    got = read_rewards(write(tmp_path / "b.jsonl", named))
    np.testing.assert_array_equal(got, [[1, 3], [2, np.nan]])


def test_a_line_cut_off_is_left_out_and_the_file_left_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    text = '{"prompt_id": 0, "reward": 1}\n\n{"prompt_id": 0, "rew'
    path.write_text(text)
    np.testing.assert_array_equal(read_rewards(path), [[1]])
    assert path.read_text() == text


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("not json", "line 2: Expecting value"),
        ('{"reward": 1}', "line 2: no field 'prompt'"),
        ('{"prompt": "a"}', "line 2: no field 'reward'"),
        ('{"prompt": "a", "reward": "1.5"}', "line 2: reward '1.5' is not a number"),
        ('{"prompt": "a", "reward": true}', "line 2: reward True is not a number"),
        ("[1]", "line 2: "),
    ],
)
def test_bad_lines_are_named(tmp_path, line, words):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "a", "reward": 1}\n' + line + "\n")
    with pytest.raises(ValueError, match="a row is a JSON object") as error:
        read_rewards(path)
    assert words in str(error.value)


def test_no_file_no_rows_no_use(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not there"):
        read_rewards(tmp_path / "none.jsonl")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        read_rewards(tmp_path)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ValueError, match="holds no rollouts"):
        read_rewards(tmp_path / "empty.jsonl")
    one = [{"prompt_id": 0, "reward": i} for i in range(16)]
    with pytest.raises(ValueError, match="at least 2 prompts whose tail rewards differ, got 1"):
        calibrate_tail(read_rewards(write(tmp_path / "one.jsonl", one)))
