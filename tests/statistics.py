"""Statistical tests with a declared false-fail rate.

Two claims are asserted, because the first alone is met by any test that looks badly enough:

1. the sample mean is within 5 standard errors of the expected value. With a fixed seed the outcome
   never changes; over seeds, or after a change that draws other numbers, a correct function fails
   with probability 5.7e-7 for each number tested;
2. 5 standard errors are less than `bias_that_matters`: a bias of twice that size would be seen.
"""

from __future__ import annotations

import numpy as np

Z_LIMIT = 5.0
FALSE_FAIL_RATE = 5.7e-7  # P(|Z| > 5), for each number tested


def assert_mean(samples, expected, bias_that_matters) -> None:
    """The mean of `samples` over axis 0 is `expected`, to an error that matters.

    `samples` is `(S,)` or `(S, ...)`, independent along axis 0; `expected` and `bias_that_matters`
    broadcast to the rest.
    """
    samples = np.asarray(samples, dtype=float)
    mean = samples.mean(0)
    error = samples.std(0, ddof=1) / np.sqrt(len(samples))
    assert np.all(error > 0), "samples without any spread: compare them exactly instead"
    worst = np.max(Z_LIMIT * error / np.broadcast_to(bias_that_matters, np.shape(mean)))
    assert worst < 1, (
        f"the standard error is {worst:.2f} times too large to see a bias of {bias_that_matters}: "
        f"draw {worst**2:.1f} times more samples"
    )
    z = (mean - expected) / error
    assert np.all(np.abs(z) < Z_LIMIT), f"mean {mean}, expected {expected}, z = {z}"


def gradient(advantages, z) -> np.ndarray:
    """Gradient in (location, log scale) of every group of normal rewards `z`, `(P, 2)`.

    Mean convention, `(1/M) sum_i A_i S_i` with the scores `S = (z, z^2 - 1)`.
    """
    return np.stack([(advantages * z).mean(-1), (advantages * (z * z - 1)).mean(-1)], axis=-1)
