"""Sorting and its inverse, sums over ranks, blocks: every fast way against the plain one."""

import array_api_compat.numpy as xp
import numpy as np
import pytest
from tests.libraries import back, make

import bontea
from bontea import _arrays
from bontea.advantages import _ranks
from bontea.advantages._max_at_k import subset_weights
from bontea.advantages._ranks import (
    RankSums,
    add_windows,
    best_first,
    first_and_last_of_run,
    running_sum,
    share_ties,
    unsort,
)


def rewards(dtype, m=24):
    """Groups with ties, zeros of both signs, subnormals, and the largest numbers of the type."""
    rng = np.random.default_rng(0)
    info = np.finfo(dtype)
    special = [0.0, -0.0, info.smallest_subnormal, -info.smallest_subnormal, info.tiny]
    special += [info.max, -info.max, 1.0, 1 + info.eps, 1 - info.eps]
    rows = [
        rng.normal(size=(40, m)),
        rng.integers(-2, 3, size=(20, m)),
        rng.choice(special, (60, m)),
    ]
    return np.concatenate(rows).astype(dtype)


@pytest.mark.parametrize("count", [None, 1, 7, 24, 99])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_best_first(dtype, count):
    r = rewards(dtype)
    values, order = best_first(r, xp, count)
    expected = -np.sort(-r.astype(float), axis=-1)[:, :count]
    assert np.array_equal(values, expected)
    assert values.dtype == dtype
    assert np.array_equal(r.ravel()[order], values)
    assert len(np.unique(order)) == order.size
    assert np.array_equal(
        order // r.shape[1],
        np.repeat(np.arange(len(r)), order.shape[1])[:, None].reshape(order.shape),
    )


def test_best_first_where_subnormal_numbers_are_flushed():
    torch = pytest.importorskip("torch")
    r = np.zeros((5, 8), "float32")
    r[:, 3] = 1
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot")
    try:
        values, order = best_first(r, xp)
    finally:
        torch.set_flush_denormal(False)
    assert np.array_equal(values, -np.sort(-r, axis=-1))
    assert np.array_equal(np.sort(order.ravel()), np.arange(40))


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_unsort_undoes_best_first(library):
    r = make(library, np.random.default_rng(0).normal(size=(6, 12)), "float32")
    xp = bontea._arrays.array_namespace(r)
    values, order = best_first(r, xp)
    assert np.array_equal(back(unsort(values, order, xp)), back(r))
    values, order = best_first(r, xp, 5)
    got = back(unsort(values, order, xp, 12, rest=xp.zeros_like(values[:, :1]) - 7))
    kept = back(r) >= back(values)[:, -1:]
    assert np.array_equal(got, np.where(kept, back(r), -7))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [1, 16, 17, 64, 160])
def test_running_sum(m, dtype):
    x = np.random.default_rng(m).normal(size=(9, m)).astype(dtype)
    expected = np.cumsum(x.astype(float), axis=-1)
    tolerance = 20 * np.finfo(dtype).eps * np.abs(x).sum(-1, keepdims=True)
    assert (np.abs(running_sum(x, xp) - expected) <= tolerance).all()


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize(("m", "k"), [(5, 2), (24, 12), (64, 16), (200, 3), (300, 40)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rank_sums(library, m, k, dtype):
    """Against the formula with every rank, both where NumPy multiplies matrices and where not."""
    rng = np.random.default_rng(m)
    own, below = subset_weights(m, k)
    mean = rng.random(m) * own
    r = rng.normal(size=(8, m)).astype(dtype)
    array = make(library, r, dtype)
    got = back(RankSums(own, below, mean)(array, _arrays.array_namespace(array), level=2.0))
    for row, result in zip(r.astype(float), got, strict=True):
        order = np.argsort(-row)
        x = row[order] - row.max()
        sums = [own[j] * x[j] + below[:j] @ x[:j] for j in range(m)]
        expected = np.empty(m)
        expected[order] = np.array(sums) - mean @ x + 2 * row.max()
        np.testing.assert_allclose(result, expected, atol=40 * np.finfo(dtype).eps * np.ptp(row))


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_runs(library):
    rng = np.random.default_rng(0)
    r = -np.sort(-rng.integers(0, 6, size=(30, 11)).astype(float), axis=-1)
    values = rng.normal(size=r.shape)
    array = make(library, r)
    space = _arrays.array_namespace(array)
    shared = back(share_ties(make(library, values), array, space))
    first, last = (back(at) for at in first_and_last_of_run(array, space))
    for row in range(len(r)):
        for j in range(11):
            run = np.flatnonzero(r[row] == r[row, j])
            assert (first[row, j], last[row, j]) == (run[0], run[-1])
            assert shared[row, j] == pytest.approx(values[row, run].mean(), abs=1e-12)


@pytest.mark.parametrize("library", ["numpy", "torch", "jax"])
def test_add_windows(library):
    values = np.random.default_rng(0).normal(size=(3, 4, 5))
    starts = np.array([0, 2, 2, 6])
    expected = np.zeros((9, 5))
    for i in range(3):
        for j in range(4):
            expected[starts[j] + i] += values[i, j]
    a = make(library, np.zeros((9, 5)))
    got = add_windows(a, starts, make(library, values), _arrays.array_namespace(a))
    np.testing.assert_allclose(back(got), expected, atol=1e-12)


@pytest.mark.parametrize("name", sorted(bontea.ADVANTAGES))
def test_blocks_change_nothing(name, monkeypatch):
    """Groups handed over a few at a time, random numbers included."""
    from bontea.bench.speed import BINARY, settings

    rng = np.random.default_rng(0)
    r = np.abs(rng.normal(size=(30, 32)))
    r[5:9] = rng.integers(0, 3, size=(4, 32))
    if name in BINARY:
        r = (r > 0.5).astype(float)
    r[10:14, 20:] = np.nan
    function = bontea.ADVANTAGES[name]
    params = settings(function, 32)
    whole = function(r, **params)
    monkeypatch.setattr(_arrays, "BLOCK", 7 * 32)
    calls = []
    original = _arrays._by_blocks

    def counted(kernel):
        return original(lambda r, xp: calls.append(len(r)) or kernel(r, xp))

    monkeypatch.setattr(_arrays, "_by_blocks", counted)
    tolerance = 1e-11 * np.abs(whole).max()
    np.testing.assert_allclose(function(r, **params), whole, rtol=0, atol=tolerance)
    assert not calls or max(calls) <= 18  # 18 groups of 12 fit a block of 7 x 32


def test_error_of_a_later_block(monkeypatch):
    monkeypatch.setattr(_arrays, "BLOCK", 16)
    r = np.zeros((5, 16))
    r[3, 2] = 0.5
    with pytest.raises(ValueError, match=r"0/1 rewards, got 0\.5"):
        bontea.pass_at_k(r, k=2)
    r[4, 7] = np.inf
    with pytest.raises(ValueError, match="group 4 holds an infinite reward"):
        bontea.reinforce(r)


def test_autocast_does_not_reach_the_estimators():
    torch = pytest.importorskip("torch")
    r = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    for name in ("linear_tea", "max_at_k", "tea"):
        function = bontea.ADVANTAGES[name]
        params = {"k": 8} if name == "max_at_k" else {"n": 128}
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = function(r, **params)
        assert got.dtype == torch.float32
        assert torch.equal(got, function(r, **params))


def test_small_places_are_not_written_to():
    """The cached places stay what they are."""
    best_first(np.ones((3, 5), "float32"), xp)
    assert np.array_equal(_ranks._places()[:20], np.arange(20))
