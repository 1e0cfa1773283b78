"""Upper halves against simulated normal ones: the bands are those of the statistic itself."""

import numpy as np
import pytest
from tests.statistics import assert_mean

from bontea.diagnosis.pareto import find_pareto
from bontea.diagnosis.qq import find_qq
from bontea.diagnosis.spread import find_spread
from bontea.diagnosis.upper import (
    MOST_REWARDS,
    correlations,
    pareto_at,
    reference,
    summarise,
    upper_halves,
)
from bontea.tails import fit_tail
from bontea.tails.order_statistics import expected_scores

SIZES = np.array([5, 7, 12, 16, 16, 16, 23, 32] * 4)


def ragged(rng, sizes=SIZES, spread=0.0):
    """Normal rewards; prompts differ in location, and in scale by `spread`."""
    table = rng.normal(size=(len(sizes), sizes.max()))
    table *= np.exp(spread * rng.normal(size=(len(sizes), 1)))
    table += 100 * rng.normal(size=(len(sizes), 1))
    table[np.arange(sizes.max()) >= sizes[:, None]] = np.nan
    return table


def test_one_prompt_by_hand():
    rewards = np.array([[3.0, 0, 1, 2, 10, 4, 6]])  # the 4 best of 7: 10, 6, 4, 3
    fit = fit_tail(rewards, alpha=0.5)
    upper = upper_halves(rewards)
    np.testing.assert_allclose(
        upper.z[0], (np.array([10, 6, 4, 3]) - fit.location) / fit.scale, rtol=1e-12
    )
    scores = expected_scores(7)[::-1][:4]
    np.testing.assert_allclose(correlations(upper), np.corrcoef([10, 6, 4, 3], scores)[0, 1])


def test_location_and_scale_of_a_prompt_change_nothing():
    rng = np.random.default_rng(0)
    table = ragged(rng)
    moved = table * 2.0 ** rng.integers(-20, 20, size=(len(table), 1)) + 3
    one, two = (summarise(upper_halves(t)) for t in (table, moved))
    np.testing.assert_allclose(one.points, two.points, atol=1e-6)
    np.testing.assert_allclose(one.correlations, two.correlations, atol=1e-6)
    np.testing.assert_allclose(one.shapes, two.shapes, atol=1e-5)


def test_what_is_left_out():
    table = np.full((4, 8), np.nan)
    table[0] = np.arange(8)
    table[1, :4] = np.arange(4)  # too few
    table[2] = [0, 1, 2, 5, 5, 5, 5, 5]  # no spread in the better half
    upper = upper_halves(table)
    assert upper.rows.tolist() == [0]
    assert upper_halves(table[1:2]).prompts == 0
    assert upper_halves(table[2:3]).prompts == 0


def test_bands_hold_what_they_say():
    """300 normal data sets of ragged groups and unlike prompts: 5 % outside, 5 % of prompts too."""
    rng = np.random.default_rng(1)
    outside, correlated, prompts, shapes = [], [], [], []
    known = None
    for _ in range(300):
        upper = upper_halves(ragged(rng, spread=1.0))
        known = known or reference(upper.sizes)
        summary = summarise(upper)
        qq = find_qq(upper, summary, known)
        outside.append(qq.outside)
        correlated.append(not qq.correlation.inside)
        prompts.append(qq.prompts_outside.value)
        low, high = np.quantile(known.shapes[:, 0], [0.025, 0.975])
        shapes.append(not low <= summary.shapes[0] <= high)
    assert_mean(outside, 0.05, 0.05)
    assert_mean(np.array(correlated, float), 0.05, 0.09)
    assert_mean(prompts, 0.05, 0.02)
    assert_mean(np.array(shapes, float), 0.05, 0.09)


def test_reference_is_the_mean_of_normal_data():
    rng = np.random.default_rng(2)
    sizes = np.full(40, 16)
    known = reference(sizes)
    points = np.array(
        [summarise(upper_halves(rng.normal(size=(40, 16)))).points for _ in range(300)]
    )
    # Both are means of simulated data sets, of 300 and of 400.
    error = points.std(0, ddof=1) * np.sqrt(1 / 300 + 1 / 400)
    assert np.all(np.abs(points.mean(0) - known.points) < 5 * error)
    assert np.all(known.points_low < known.points)
    assert np.all(known.points < known.points_high)
    assert reference(sizes[::-1]) is known  # once for each set of sizes


@pytest.mark.parametrize(("law", "side"), [("heavy", 1), ("light", -1)])
def test_the_sides(law, side):
    rng = np.random.default_rng(3)
    table = rng.standard_t(4, size=(64, 32)) if law == "heavy" else rng.uniform(size=(64, 32))
    upper = upper_halves(table)
    summary, known = summarise(upper), reference(upper.sizes)
    qq = find_qq(upper, summary, known)
    assert not qq.correlation.inside
    assert np.sign(qq.end_gap) == side
    assert ("heavier" if side > 0 else "lighter") in str(qq)
    assert qq.prompts_outside.value > qq.prompts_outside.band[1]
    pareto = find_pareto(upper, summary, known, rng)
    assert pareto.verdict == ("heavier" if side > 0 else "lighter")
    assert pareto.shape.interval[0] < pareto.shape.value < pareto.shape.interval[1]


def test_excesses_are_of_all_rewards():
    """The best tenth of all rewards, though the pool holds only the better halves."""
    upper = upper_halves(np.random.default_rng(4).normal(size=(50, 20)))
    threshold, _ = pareto_at(upper.pooled, 1000, 0.1)
    assert (upper.pooled > threshold).sum() == 100
    assert pareto_at(upper.pooled[-60:], 120, 0.1) is None  # 12 excesses


def test_pareto_interval_covers():
    """The interval of one data set is as wide as data sets differ."""
    rng = np.random.default_rng(5)
    values, halves = [], []
    for _ in range(40):
        upper = upper_halves(rng.gumbel(size=(64, 32)))
        found = find_pareto(upper, summarise(upper), reference(upper.sizes), rng)
        values.append(found.shape.value)
        halves.append((found.shape.interval[1] - found.shape.interval[0]) / 2)
    assert 0.65 < np.mean(halves) / 1.96 / np.std(values, ddof=1) < 1.4


def test_scale_spread_is_told_from_noise():
    """True scales that vary by 0.4 of their mean are found to; equal ones are not."""
    rng = np.random.default_rng(6)
    found, none = [], []
    for _ in range(60):
        scale = rng.gamma(1 / 0.4**2, size=(64, 1))  # coefficient of variation 0.4
        for scales, out in ((scale, found), (1.0, none)):
            table = scales * rng.normal(size=(64, 16))
            upper = upper_halves(table)
            out.append(find_spread(table, summarise(upper), reference(upper.sizes)))
    assert_mean([f.scale_spread for f in found], 0.4, 0.06)
    inside = [f.scale_noise.inside for f in none]
    assert np.mean(inside) > 0.85
    assert not any(f.scale_noise.inside for f in found)


def test_large_files_use_a_part_of_the_prompts():
    rng = np.random.default_rng(7)
    table = rng.normal(size=(300, 1000))
    upper = upper_halves(table, rng)
    assert MOST_REWARDS - 1000 < upper.sizes.sum() <= MOST_REWARDS
    assert len(set(upper.rows.tolist())) == upper.prompts < 300
