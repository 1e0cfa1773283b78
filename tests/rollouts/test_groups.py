"""Groups of any size: from lists and arrays, selected, cut, and what may not go in."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bontea.rollouts import Rollouts, as_rollouts

REWARDS = st.one_of(st.none(), st.booleans(), st.floats(allow_infinity=False, width=32))
GROUPS = st.lists(st.lists(REWARDS, min_size=1, max_size=6), min_size=1, max_size=6)
RAGGED = [[1, 2.5, None], [True], [np.float32(0.5), np.nan]]


def as_floats(group):
    return [np.nan if reward is None else float(reward) for reward in group]


@given(GROUPS)
@settings(deadline=None)
def test_lists_come_back(groups):
    got = as_rollouts(groups)
    assert len(got) == len(groups)
    assert got.counts.tolist() == [len(group) for group in groups]
    for p, group in enumerate(groups):
        np.testing.assert_array_equal(got.group(p), as_floats(group))
    widest = max(map(len, groups))
    padded = [as_floats(group) + [np.nan] * (widest - len(group)) for group in groups]
    np.testing.assert_array_equal(np.asarray(got), padded)
    assert got.rewards.dtype == np.float64
    assert got.offsets.dtype == np.int64


def test_arrays_of_any_library_keep_their_nan():
    table = np.array([[1, 2, np.nan], [3, np.nan, np.nan]])
    for array in (table, table.astype(np.float32), [list(row) for row in table], list(table)):
        got = as_rollouts(array)
        assert got.counts.tolist() == [3, 3]
        np.testing.assert_array_equal(np.asarray(got), table)
    assert as_rollouts(np.array([[True, False]])).rewards.tolist() == [1, 0]
    assert as_rollouts(np.array([[1, None]], dtype=object)).counts.tolist() == [2]
    torch = pytest.importorskip("torch")
    tensor = torch.tensor([[1.5, 2.5]], dtype=torch.bfloat16, requires_grad=True)
    assert as_rollouts(tensor).rewards.tolist() == [1.5, 2.5]
    assert as_rollouts([tensor[0], [torch.tensor(1.0), None]]).counts.tolist() == [2, 2]


def test_the_array_given_is_not_shared():
    table = np.zeros((2, 2))
    got = as_rollouts(table)
    table[:] = 1
    assert got.rewards.tolist() == [0] * 4


def test_names_strata_and_a_rollouts_as_it_is():
    assert as_rollouts(RAGGED).prompts.tolist() == ["0", "1", "2"]
    got = as_rollouts(RAGGED, prompts=["a", 7, "b" * 100], strata=[1, "x", 1], model="m")
    assert got.prompts.tolist() == ["a", "7", "b" * 100]
    assert got.strata.tolist() == ["1", "x", "1"]
    assert got.model == "m"
    assert as_rollouts(got) is got
    with pytest.raises(ValueError, match="names already"):
        as_rollouts(got, prompts=["a", "b", "c"])


@pytest.mark.parametrize(
    ("groups", "names", "message"),
    [
        ([], {}, "no groups"),
        ((), {}, "no groups"),
        (np.zeros((0, 3)), {}, r"\(0, 3\) must be \(P, M\)"),
        (np.zeros((3, 0)), {}, r"\(3, 0\) must be \(P, M\)"),
        (np.zeros(3), {}, r"\(3,\) must be \(P, M\)"),
        (np.zeros((1, 2, 3)), {}, r"must be \(P, M\)"),
        ([[1], []], {}, "prompt 1 has no rollouts"),
        ([[1], []], {"prompts": ["a", "b"]}, r"prompt 1 \('b'\) has no rollouts"),
        ([1.0, 2.0], {}, r"group 0 is 1.0, .*\[\[\.\.\.\]\]"),
        (["ab"], {}, "group 0 is 'ab'"),
        ([{"reward": 1}], {}, "group 0 is {'reward': 1}"),
        ("ab", {}, "type str"),
        ({"a": [1]}, {}, "type dict"),
        ([[1], [0, "1.5"]], {}, "prompt 1, rollout 1: '1.5' is not a number"),
        (np.array([["1.5"]]), {}, "prompt 0, rollout 0: .*'1.5'.* is not a number"),
        ([[1, 2j]], {}, "rollout 1: 2j is not a number"),
        ([[[1, 2], [3, 4]]], {}, r"rollout 0: \[1, 2\] is not a number"),
        ([[[1], [2, 3]]], {}, r"rollout 0: \[1\] is not a number"),
        ([[1, 2], [3, np.inf]], {}, "prompt 1, rollout 1: the reward is inf"),
        ([[1, None, -np.inf]], {}, "prompt 0, rollout 2: the reward is -inf"),
        (np.array([[1, np.inf]]), {"prompts": ["a"]}, r"prompt 0 \('a'\), rollout 1: .* inf"),
        ([[1], [2]], {"prompts": ["a"]}, "1 prompts for 2 groups"),
        ([[1], [2]], {"strata": ["a"] * 3}, "3 strata for 2 groups"),
        ([[1], [2], [3]], {"prompts": ["a", 1, "1"]}, "prompts 1 and 2 are both called '1'"),
    ],
)
def test_what_may_not_go_in(groups, names, message):
    with pytest.raises(ValueError, match=message):
        as_rollouts(groups, **names)


def full():
    """Rollouts in which every field says where it comes from."""
    counts = [3, 1, 2]
    total = sum(counts)
    return replace(
        as_rollouts([[10.0, 11, 12], [20], [30, 31]], prompts=["a", "b", "c"], strata=[1, 2, 1]),
        texts=np.array(["ta", "tb", "tc"], dtype=object),
        lengths=np.arange(total) + 0.5,
        rows=np.arange(total)[::-1].copy(),
        model="m",
        source="f.jsonl",
    )


def per_rollout(r):
    """Of every rollout: its prompt and all that is known about it."""
    p = np.repeat(np.arange(len(r)), r.counts)
    return list(
        zip(r.prompts[p], r.texts[p], r.strata[p], r.rewards, r.lengths, r.rows, strict=True)
    )


@pytest.mark.parametrize("which", [[2, 0], [-1], [False, True, True], [0, 1, 2]])
def test_select(which):
    r = full()
    got = r.select(which)
    chosen = np.arange(3)[np.asarray(which)]
    assert got.prompts.tolist() == r.prompts[chosen].tolist()
    expected = [x for p in chosen for x in per_rollout(r) if x[0] == r.prompts[p]]
    assert per_rollout(got) == expected
    assert (got.model, got.source) == ("m", "f.jsonl")
    np.testing.assert_array_equal(got.offsets, np.concatenate([[0], np.cumsum(r.counts[chosen])]))


@pytest.mark.parametrize("m", [1, 2, 3, 9])
def test_first(m):
    r = full()
    got = r.first(m)
    assert got.counts.tolist() == np.minimum(r.counts, m).tolist()
    kept = np.concatenate([np.arange(n) < m for n in r.counts])
    assert per_rollout(got) == [x for x, keep in zip(per_rollout(r), kept, strict=True) if keep]


def test_what_is_unknown_stays_unknown():
    r = as_rollouts(RAGGED).select([1]).first(1)
    assert (r.texts, r.strata, r.lengths, r.rows, r.model, r.source) == (None,) * 6


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ([], "no prompt is selected"),
        ([False] * 3, "no prompt is selected"),
        ([True], r"mask of shape \(1,\) must be \(3,\)"),
        ([3], "out of bounds.*3 prompts"),
        ([0, -3], "selected twice"),
        ([0.5], "by a mask or a list of indices"),
        (["a"], "by a mask or a list of indices"),
        (1, "by a mask or a list of indices"),
    ],
)
def test_bad_selections(which, message):
    with pytest.raises(ValueError, match=message):
        full().select(which)
    with pytest.raises(ValueError, match="m=0 must be at least 1"):
        full().first(0)


def test_group_knows_its_limits():
    r = full()
    assert r.group(-1).tolist() == r.group(2).tolist() == [30, 31]
    with pytest.raises(IndexError):
        r.group(3)


def test_in_words():
    assert str(full()) == (
        "3 prompts, 6 rollouts (1 to 3 a prompt), all scored, model m, from f.jsonl"
    )
    assert str(as_rollouts([[1, None]])) == (
        "1 prompt, 2 rollouts (2 a prompt), 50 % of them unscorable"
    )
    assert str(as_rollouts(np.ones((1000, 4)))).startswith("1,000 prompts, 4,000 rollouts (4 a")


def test_every_function_takes_them():
    from bontea import best_of_k, curve

    r = as_rollouts([[1, 2, 3], [4, 5, None]])
    assert isinstance(r, Rollouts)
    np.testing.assert_allclose(best_of_k(np.asarray(r), 2), [(2 + 3 + 3) / 3, 5])
    assert curve(r, [1]).per_prompt.ravel().tolist() == [2, 4.5]
