"""Slopes of bias and variance: estimators whose bias is known, and coverage of the intervals."""

import math

import numpy as np
import pytest

from bontea import GroupTooSmallError
from bontea.theory import bias_slope
from bontea.theory.measure import effective_n
from bontea.theory.slopes import fit_power_law

MS = [16, 32, 64, 128]


def synthetic(rng, slope, v, error, misfit=0.0):
    """Points on a power law in 2 components, with simulation error."""
    line = np.outer(np.asarray(MS, dtype=float) ** slope, v)
    line = line * (1 + misfit * rng.normal(size=line.shape))
    noise = rng.normal(size=line.shape) * error
    return line + noise, np.broadcast_to(np.eye(2) * error**2, (len(MS), 2, 2))


def test_fit_without_error_is_the_line():
    values, covariance = synthetic(np.random.default_rng(0), -1.5, [3.0, -2.0], 1e-9)
    fit = fit_power_law(MS, values, covariance)
    assert fit.slope == pytest.approx(-1.5, abs=2e-3)
    assert (fit.low, fit.high) == pytest.approx((-1.5, -1.5), abs=5e-3)
    assert fit.misfit < 1e-6


@pytest.mark.parametrize(("error", "misfit"), [(0.02, 0.0), (0.001, 0.2)])
def test_intervals_cover(error, misfit):
    """150 draws: 95 % of the intervals hold the slope; 87 % is 4.5 standard deviations below."""
    rng = np.random.default_rng(0)
    held, widths = 0, []
    for _ in range(150):
        fit = fit_power_law(MS, *synthetic(rng, -1, [5.0, 3.0], error, misfit))
        held += fit.low <= -1 <= fit.high
        widths.append(fit.high - fit.low)
    assert held / 150 > 0.87
    assert np.median(widths) < 1.0


def test_a_bias_lost_in_the_noise_has_no_slope():
    rng = np.random.default_rng(1)
    fits = [fit_power_law(MS, *synthetic(rng, -1, [0, 0], 0.01)) for _ in range(20)]
    assert sum(math.isinf(fit.low) or math.isinf(fit.high) for fit in fits) >= 18
    # One lost point among good ones takes little away from them.
    values, covariance = synthetic(rng, -3, [3e4, 3e4], 0.01)
    fit = fit_power_law(MS, values, covariance)
    assert np.abs(values[-1] / 0.01).max() < 4
    assert fit.low <= -3 <= fit.high
    assert fit.high - fit.low < 0.2


def test_points_off_the_line_widen_the_interval():
    """Without simulation error the width is that of least squares on the logarithms."""
    m = np.array(MS, dtype=float)
    off = np.array([0.1, -0.1, -0.05, 0.05])
    fit = fit_power_law(MS, (m**-1 * np.exp(off))[:, None], np.full((4, 1, 1), 1e-18))
    x = np.log(m) - np.log(m).mean()
    slope = -1 + x @ off / (x @ x)
    sd = math.sqrt(np.sum((off - x * (slope + 1)) ** 2) / 2 / (x @ x))
    assert fit.slope == pytest.approx(slope, abs=0.02)
    assert fit.high - fit.low == pytest.approx(2 * 4.303 * sd, rel=0.15)  # t with 2 degrees
    assert fit.misfit == pytest.approx(0.08, abs=0.03)


def test_exact_errors_have_no_fit():
    assert math.isnan(fit_power_law(MS, np.ones((4, 1)), np.zeros((4, 1, 1))).slope)


def short(rewards):
    """Rewards minus their mean: at N = 1 the location is short by exactly 1/M, nothing else."""
    return rewards - rewards.mean(-1, keepdims=True)


def shorter(rewards):
    return rewards * (1 - 4.0 / rewards.shape[-1] ** 2)


def test_known_bias_of_order_1():
    fit = bias_slope(short, MS, 1, groups=6000, component="location", rng=0)
    np.testing.assert_array_less(
        np.abs(fit.bias - np.outer(1 / np.array(MS), [-1, 0])), 5 * fit.bias_standard_error
    )
    assert (fit.bias_standard_error[:, 0] < 0.004).all()
    np.testing.assert_allclose(fit.size, np.abs(fit.bias[:, 0]))
    assert fit.bias_slope.low <= -1 <= fit.bias_slope.high
    assert fit.bias_slope.high - fit.bias_slope.low < 0.6
    # (1/M) sum (x - mean)^2 of normals has variance 2 (M - 1) / M^2.
    m = np.array(MS)
    assert (np.abs(fit.variance - 2 * (m - 1) / m**2) < 5 * fit.variance_standard_error).all()
    assert fit.variance_slope.low <= -0.97 <= fit.variance_slope.high


def test_known_bias_of_order_2():
    fit = bias_slope(shorter, [4, 8, 16, 32], 1, groups=6000, rng=0)
    assert fit.bias_slope.low <= -2 <= fit.bias_slope.high
    assert fit.bias_slope.high - fit.bias_slope.low < 0.5
    exact = 4 / np.array([4.0, 8, 16, 32]) ** 2
    assert (np.abs(fit.size - exact) < 5 * fit.size_standard_error).all()


def test_tea_is_of_order_1():
    fit = bias_slope("tea", [128, 256, 512], 128, groups=2000, center=False, rng=0)
    assert -1.15 < fit.bias_slope.slope < -0.85
    assert fit.bias_slope.high < -0.7
    # Control variates: plain means of 2000 groups would have six times this error.
    assert (fit.bias_standard_error < 6 / np.sqrt(2000 * fit.ms)[:, None]).all()


def test_components_agree_with_effective_n():
    both, location, log_scale = (
        bias_slope("tea", [16, 32], 128, "gumbel", groups=[2000, 1000], component=part, rng=5)
        for part in ("both", "location", "log_scale")
    )
    assert np.array_equal(both.bias, location.bias)
    assert np.array_equal(location.size, np.abs(both.bias[:, 0]))
    assert np.array_equal(log_scale.size, np.abs(both.bias[:, 1]))
    other = effective_n("tea", n=128, m=32, law="gumbel", groups=4000, rng=6)
    z = (both.bias[1] - other.bias) / np.hypot(
        both.bias_standard_error[1], other.gradient_standard_error
    )
    assert np.abs(z).max() < 5
    for fit, i in ((location, 0), (log_scale, 1)):
        z = (fit.variance[1] - other.variance[i]) / np.hypot(
            fit.variance_standard_error[1], other.variance_standard_error[i]
        )
        assert abs(z) < 5
    # In Fisher units, by hand: b' I^-1 b.
    from bontea.theory import fisher_information

    b = both.bias[0]
    assert both.size[0] ** 2 == pytest.approx(b @ np.linalg.solve(fisher_information("gumbel"), b))


def test_repeats_reports_progress_and_prints():
    done = []
    fit, again, other = (
        bias_slope("tea", [16, 32], 128, groups=640, rng=seed, progress=done.append)
        for seed in (0, 0, 1)
    )
    assert str(fit) == str(again) != str(other)
    assert done[: len(done) // 3] == sorted(done[: len(done) // 3])
    assert done[-1] == 1280 == fit.groups.sum()
    assert str(fit).startswith("tea on normal rewards, N = 128, location and log scale")
    assert f"bias falls with slope     {fit.bias_slope.slope:.3f} (95 % interval" in str(fit)


def test_bad_arguments():
    with pytest.raises(GroupTooSmallError, match="at least 9 rollouts"):
        bias_slope("tea", [8, 16], 128)
    with pytest.raises(ValueError, match="n=0 is not a deployment budget"):
        bias_slope("tea", [16, 32], 0)
    with pytest.raises(ValueError, match="at least 2 different"):
        bias_slope("tea", [16], 128)
    with pytest.raises(ValueError, match="at least 2 different"):
        bias_slope("tea", [16, 16], 128)
    with pytest.raises(ValueError, match="component='first' must be one of both, location"):
        bias_slope("tea", [16, 32], 128, component="first")
    with pytest.raises(ValueError, match="one for each of ms"):
        bias_slope("tea", [16, 32], 128, groups=[100])
    with pytest.raises(ValueError, match="unknown law 'norml'; did you mean 'normal'"):
        bias_slope("tea", [16, 32], 128, "norml")
    with pytest.raises(ValueError, match="m=0 must be"):
        bias_slope("tea", [0, 32], 128)
