"""Several scores of a rollout: read from files when asked for, given in memory, never lost."""

import json

import numpy as np
import pytest

pl = pytest.importorskip("polars")

from bontea._errors import BonteaError  # noqa: E402
from bontea.rollouts import as_rollouts, read_rollouts  # noqa: E402
from bontea.rollouts.formats import Reading  # noqa: E402

ROWS = [
    {"prompt_id": "a", "rollout": 1, "reward": 1.0, "judge": 7, "right": True},
    {"prompt_id": "b", "rollout": 0, "reward": 3.0, "judge": None, "right": False},
    {"prompt_id": "a", "rollout": 0, "reward": 2.0, "judge": 2.5, "right": None},
    {"prompt_id": "b", "rollout": 1, "reward": None, "judge": float("nan"), "right": True},
]
JUDGE = [2.5, 7.0, np.nan, np.nan]
RIGHT = [np.nan, 1.0, 0.0, 1.0]


def write(path, rows=ROWS):
    if path.suffix == ".parquet":
        pl.DataFrame(rows, infer_schema_length=None, strict=False).write_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(params=["r.jsonl", "r.parquet"])
def path(tmp_path, request):
    return write(tmp_path / request.param)


def test_scores_are_read_by_name_in_the_order_of_the_rollouts(path):
    found = read_rollouts(path, also=["judge", "right"])
    assert found.rewards[:3].tolist() == [2.0, 1.0, 3.0]
    np.testing.assert_array_equal(found.score("judge"), JUDGE)
    np.testing.assert_array_equal(found.score("right"), RIGHT)
    assert found.score() is found.score("reward") is found.rewards
    assert found.reading is None  # the fast reader of our own files


def test_they_go_with_the_rollouts(path):
    found = read_rollouts(path, also=["right"])
    np.testing.assert_array_equal(found.select([1]).score("right"), RIGHT[2:])
    np.testing.assert_array_equal(found.first(1).score("right"), [RIGHT[0], RIGHT[2]])
    np.testing.assert_array_equal(found.scored().score("right"), RIGHT[:3])


def test_nothing_is_read_that_is_not_asked_for(path):
    assert read_rollouts(path).scores is None
    with pytest.raises(BonteaError, match=r"no score 'judge', but reward: read it with .*also"):
        read_rollouts(path).score("judge")


def test_a_row_without_the_field_has_no_score(tmp_path):
    rows = [{k: v for k, v in row.items() if k != "judge" or v == 7} for row in ROWS]
    found = read_rollouts(write(tmp_path / "r.jsonl", rows), also=["judge"])
    np.testing.assert_array_equal(found.score("judge"), [np.nan, 7.0, np.nan, np.nan])


def test_a_dotted_path_reaches_inside(tmp_path):
    rows = [row | {"metrics": {"tone": i}} for i, row in enumerate(ROWS)]
    found = read_rollouts(write(tmp_path / "r.jsonl", rows), also=["metrics.tone"])
    assert found.score("metrics.tone").tolist() == [2.0, 0.0, 1.0, 3.0]
    assert found.rewards[:3].tolist() == [2.0, 1.0, 3.0]


def test_another_column_as_the_reward_leaves_the_others(tmp_path):
    path = write(tmp_path / "r.jsonl")
    found = read_rollouts(path, reading=Reading(reward="judge", also=("right",)))
    np.testing.assert_array_equal(found.rewards, JUDGE)
    np.testing.assert_array_equal(found.score("right"), RIGHT)
    assert found.score("reward")[:3].tolist() == [2.0, 1.0, 3.0]  # the field of that name
    np.testing.assert_array_equal(found.score(), JUDGE)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("jugde", r"no score 'jugde'.*'judge'|has no column jugde; its columns are .*judge"),
        ("rollout", "'rollout' is not a score"),
        ("nothing", r"no score 'nothing': no row has a number there"),
    ],
)
def test_a_name_that_is_no_score(tmp_path, name, says):
    rows = [row | {"nothing": None} for row in ROWS]
    for file in ("r.jsonl", "r.parquet"):
        with pytest.raises(BonteaError, match=says):
            read_rollouts(write(tmp_path / file, rows), also=[name])


@pytest.mark.parametrize(
    ("value", "says"),
    [("good", "judge 'good' is not a number"), (float("inf"), "judge inf is infinite: clip it")],
)
def test_a_score_that_is_no_number_names_its_line(tmp_path, value, says):
    rows = [dict(row) for row in ROWS]
    rows[2]["judge"] = value
    path = write(tmp_path / "r.jsonl", rows)
    with pytest.raises(BonteaError, match=f"line 3: {says}"):
        read_rollouts(path, also=["judge"])
    assert len(read_rollouts(path)) == 2  # nobody asked for it


def test_a_score_that_a_row_has_twice(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"prompt_id": 0, "reward": 1, "judge": 1, "judge": 5}\n')
    with pytest.raises(BonteaError, match="line 1: the key 'judge' is there twice"):
        read_rollouts(path, also=["judge"])


def test_in_memory():
    found = as_rollouts([[1, 2], [3]], scores={"judge": [[5, None], [6]]})
    np.testing.assert_array_equal(found.score("judge"), [5.0, np.nan, 6.0])
    with pytest.raises(BonteaError, match="'judge' is of 2 prompts with 4 rollouts"):
        as_rollouts([[1, 2], [3]], scores={"judge": [[5, 1], [6, 2]]})
    with pytest.raises(BonteaError, match=r"prompt 0, rollout 1: the score 'j' is inf"):
        as_rollouts([[1, 2]], scores={"j": np.array([[1.0, 2.0]])}).__class__(
            rewards=np.ones(2),
            offsets=np.array([0, 2]),
            prompts=np.array(["0"], dtype=object),
            scores={"j": np.array([1.0, np.inf])},
        ).score("j")


def test_cut_off_responses_get_the_lowest_of_each_score(tmp_path):
    rows = [row | {"finish_reason": "length" if i == 0 else "stop"} for i, row in enumerate(ROWS)]
    found = read_rollouts(write(tmp_path / "r.jsonl", rows), also=["judge"])
    worst = found.with_cut_off("worst")
    assert worst.rewards[1] == 1.0
    assert worst.score("judge")[1] == 2.5
    assert found.with_cut_off("worst", worst_scores={"judge": -1}).score("judge")[1] == -1
