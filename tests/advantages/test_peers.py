"""Published estimators against literal transcriptions, golden values and their identities."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import bontea
from bontea import expected_max

RNG = np.random.default_rng(0)
GROUPS = {
    "normal": RNG.normal(size=9),
    "tied": np.array([1.0, 2.0, 2.0, 3.0, 3.0, 3.0, 5.0, 5.0, 8.0]),
    "binary": np.array([0, 0, 1, 0, 1, 0, 0, 0, 0.0]),
    "skewed": RNG.exponential(size=9) ** 3,
}
GOLDEN = json.loads((Path(__file__).parents[1] / "references" / "golden.json").read_text())


@pytest.fixture(params=GROUPS, name="r")
def _group(request):
    return GROUPS[request.param]


def subset_means(r, k):
    """q_i, and v^(-i) over subsets of k without i, by going through all subsets."""
    best = {s: max(r[list(s)]) for s in itertools.combinations(range(len(r)), k)}
    q = [np.mean([b for s, b in best.items() if i in s]) for i in range(len(r))]
    v = [
        np.mean([b for s, b in best.items() if i not in s]) if k < len(r) else np.nan
        for i in range(len(r))
    ]
    return np.array(q), np.array(v)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_pkpo(r, k):
    np.testing.assert_allclose(bontea.pkpo(r, k=k), k * subset_means(r, k)[0], atol=1e-11)


@pytest.mark.parametrize("k", [2, 5, 8, 9])
def test_pkpo_loo(r, k):
    expected = k * (subset_means(r, k)[0] - subset_means(r, k - 1)[1])
    np.testing.assert_allclose(bontea.pkpo_loo(r, k=k), expected, atol=1e-10)


def test_pkpo_loo_of_the_whole_group_is_the_lead(r):
    expected = len(r) * bontea.best_of_n_max_second(r)
    expected = expected if (r == r.max()).sum() == 1 else 0 * r  # a tied winner changes nothing
    np.testing.assert_allclose(bontea.pkpo_loo(r, k=len(r)), expected, atol=1e-11)


@pytest.mark.parametrize("k", [1, 2, 5, 8])
def test_centred_pkpo_is_a_multiple_of_max_at_k(r, k):
    a = bontea.pkpo(r, k=k)
    np.testing.assert_allclose(a - a.mean(), (1 - k / len(r)) * bontea.max_at_k(r, k=k), atol=1e-11)


def test_tail_rl(r):
    m, order = len(r), np.argsort(r, kind="stable")
    a, total = np.zeros(m), 0.0
    for j in range(1, m):
        total += m * (r[order[j]] - r[order[j - 1]]) / (m - j)
        a[order[j]] = total
    np.testing.assert_allclose(bontea.tail_rl(r), a - a.mean(), atol=1e-10)


@pytest.mark.parametrize("n", [1, 4, 128, 1e6])
def test_cat_bon(r, n):
    m = len(r)
    z = np.clip((r - r.mean()) / r.std(ddof=1), -5, 5)
    q = np.array([(r < value).sum() + 1 for value in r]) / (m + 1)
    w = (q / q.max()) ** (n - 1)
    np.testing.assert_allclose(bontea.cat_bon(r, n=n), z * w / w.mean(), atol=1e-9)


def test_cat_bon_clips():
    r = np.zeros(100)
    r[0] = 1.0  # z = 9.9
    assert bontea.cat_bon(r, n=1)[0] == pytest.approx(5.0)


@pytest.mark.parametrize("n", [2, 128])
def test_softmax_tilt(r, n):
    e = np.exp((r - r.max()) * expected_max(n) / r.std())
    np.testing.assert_allclose(bontea.softmax_tilt(r, n=n), len(r) * e / e.sum() - 1, atol=1e-11)


@pytest.mark.parametrize("n", [1, 2, 128])
def test_gaussian_plug_in(r, n):
    d, sd = r - r.mean(), r.std()
    expected = d + expected_max(n) / (2 * sd) * (d**2 - sd**2)
    np.testing.assert_allclose(bontea.gaussian_plug_in(r, n=n), expected, atol=1e-11)


def test_tea_with_the_whole_group_is_the_gaussian_plug_in():
    """The boundary term is a constant then, and both are centred."""
    r = GROUPS["normal"]
    np.testing.assert_allclose(
        bontea.tea(r, n=128, alpha=1.0), bontea.gaussian_plug_in(r, n=128), atol=1e-11
    )


def test_best_of_n_max_mean(r):
    np.testing.assert_allclose(
        bontea.best_of_n_max_mean(r), (r - r.mean()) * (r == r.max()), atol=1e-12
    )


@pytest.mark.parametrize(("key", "name"), [("pkpo", "pkpo"), ("pkpo_loo1", "pkpo_loo")])
@pytest.mark.parametrize("group", [g for g in GOLDEN["groups"] if "pkpo" in g])
def test_golden_pkpo(group, key, name):
    got = getattr(bontea, name)(group["rewards"], k=group["K"])
    np.testing.assert_allclose(got, group[key], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("group", GOLDEN["groups"])
def test_golden_tail_rl(group):
    np.testing.assert_allclose(
        bontea.tail_rl(group["rewards"]), group["tailrl"], rtol=1e-9, atol=1e-12
    )


def test_large_groups_stay_finite():
    r = np.random.default_rng(1).normal(size=(2, 4096))
    for name, params in [("pkpo", {"k": 2048}), ("pkpo_loo", {"k": 2048}), ("tail_rl", {})]:
        assert np.isfinite(getattr(bontea, name)(r, **params)).all()


def test_pkpo_loo_needs_two():
    with pytest.raises(ValueError, match="use k >= 2, or rloo"):
        bontea.pkpo_loo([[0.0, 1.0]], k=1)
