"""3, 3.0 and "3" are one prompt wherever an id comes in; None is no id; large ones stay exact."""

import json
from decimal import Decimal

import numpy as np
import pytest

import bontea
from bontea import advantages_for
from bontea._ids import group_ids, id_text
from bontea._json import strict_loads
from bontea.integrations._settings import Settings
from bontea.integrations._step import AdvantageStep
from bontea.rollouts import as_rollouts, read_rollouts

BIG = 2**53
THREE = [3, 3.0, "3", np.int64(3), np.float32(3), np.str_("3"), np.array(3), Decimal("3.00")]
REWARDS = [1.0, 5.0, 2.0, 7.0]
PAIRS = [-1.0, -2.0, 1.0, 2.0]
"""Advantages of REWARDS by `rloo` where rows 0 and 2 are a group, and rows 1 and 3."""


@pytest.mark.parametrize("value", THREE)
def test_three(value):
    assert id_text(value) == "3"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5, "0.5"),
        (-0.0, "0"),
        (1e22, "1" + "0" * 22),
        (True, "true"),
        (np.False_, "false"),
        ("3.0", "3.0"),
        (" 3", " 3"),
        ("", ""),
        (BIG + 1, "9007199254740993"),
        (["a", 1.0], '["a", 1]'),
        (float("nan"), None),
        (None, None),
        (np.datetime64("NaT"), None),
    ],
)
def test_others(value, text):
    assert id_text(value) == text


def test_pandas_nothing():
    pandas = pytest.importorskip("pandas")
    assert id_text(pandas.NA) is None
    assert id_text(pandas.NaT) is None


def as_torch(ids):
    return pytest.importorskip("torch").tensor(ids)


GROUPS = {
    "numbers of both kinds": [3, 4.0, 3.0, 4],
    "numbers and text": [3, "4", "3", 4],
    "floats and text": [3.0, "4", "3", 4.0],
    "floats": np.array([3.0, 4.0, 3.0, 4.0]),
    "objects": np.array([3, "b", 3.0, "b"], dtype=object),
    "large": [BIG, BIG + 1, BIG, BIG + 1],
    "large and a float": [BIG, BIG + 1, float(BIG), BIG + 1],
    "beyond int64": [2**64, 2**64 + 1, 2**64, 2**64 + 1],
    "signs": [2**63, -1, 2**63, -1],
    "bool": [True, False, True, False],
    "bool and number": [True, 1, True, 1],
    "texts that end alike": ["a", "a\0", "a", "a\0"],
}


@pytest.mark.parametrize("ids", GROUPS.values(), ids=GROUPS)
def test_groups(ids):
    assert advantages_for(REWARDS, ids, "rloo").tolist() == PAIRS
    adapter = AdvantageStep(Settings("rloo", scale="none"))
    assert adapter(REWARDS, ids).tolist() == PAIRS


def test_torch_groups():
    for ids in (as_torch([3, 4, 3, 4]), as_torch([3.0, 4.0, 3.0, 4.0]), [*as_torch([3, 4, 3, 4])]):
        assert advantages_for(REWARDS, ids, "rloo").tolist() == PAIRS


@pytest.mark.parametrize("nothing", [None, float("nan"), np.float32("nan")])
def test_a_missing_group_is_named(nothing):
    for ids in ([1, 1, nothing, 2], np.array(["a", "a", nothing, "b"], dtype=object)):
        with pytest.raises(ValueError, match=r"the group of row 2 \(counted from 0\) is"):
            advantages_for(REWARDS, ids, "rloo")
        with pytest.raises(ValueError, match="the group of row 2 "):
            AdvantageStep(Settings("rloo"))(REWARDS, ids)
    with pytest.raises(ValueError, match="the group of row 1 "):
        bontea.scale_advantages(REWARDS, np.array([1.0, np.nan, 1.0, 2.0]), by="group")


def test_an_infinite_id():
    with pytest.raises(ValueError, match="an id is inf"):
        advantages_for(REWARDS, [1.0, np.inf, 1.0, 1.0], "rloo")


def test_names_in_memory():
    assert as_rollouts([[1], [2]], prompts=[3.0, "a"]).prompts.tolist() == ["3", "a"]
    with pytest.raises(ValueError, match="prompts 0 and 1 are both called '3'"):
        as_rollouts([[1], [2]], prompts=[3, 3.0])
    with pytest.raises(ValueError, match=r"the name of prompt 1 .* is None"):
        as_rollouts([[1], [2]], prompts=["a", None])


def test_in_files(tmp_path):
    """JSON lines, and columns of whole numbers, of floats, of decimals and of text."""
    pl = pytest.importorskip("polars")
    ids = [3, 3.0, "3"]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt_id": i, "reward": 1}) + "\n" for i in ids))
    assert read_rollouts(path).counts.tolist() == [3]
    for column in (
        pl.Series([3, 4, 3]),
        pl.Series([3.0, 4.0, 3.0]),
        pl.Series([3.0, 4.0, 3.0], dtype=pl.Float32),
        pl.Series(["3", "4", "3"]),
        pl.Series(["3.00", "4.00", "3.00"]).cast(pl.Decimal(10, 2)),
    ):
        path = tmp_path / "a.parquet"
        pl.DataFrame({"prompt_id": column, "reward": [1, 0, 0]}).write_parquet(path)
        found = read_rollouts(path)
        assert found.prompts.tolist() == ["3", "4"], column.dtype
        assert found.counts.tolist() == [2, 1]
    pl.DataFrame({"prompt_id": [BIG, BIG + 1], "reward": [1, 0]}).write_parquet(path)
    assert len(read_rollouts(path)) == 2
    pl.DataFrame({"prompt_id": [3.0, float("nan")], "reward": [1, 0]}).write_parquet(path)
    with pytest.raises(ValueError, match="row 2: there is no prompt_id and no prompt"):
        read_rollouts(path)


def test_group_ids_of_numbers_stay_numbers():
    assert group_ids([3, 1]).dtype.kind == "i"
    assert group_ids([]).shape == (0,)


def test_a_key_twice_where_nobody_reads_it():
    text = '{"a": 1, "other": {"x": 1, "x": 2}, "b": 1, "b": 2}'
    assert strict_loads(text, "here", ["a"])["a"] == 1
    for fields in (None, ["b"], ["other"]):
        with pytest.raises(ValueError, match=r"here: the key .* is there twice in one object"):
            strict_loads(text, "here", fields)
