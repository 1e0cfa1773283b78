"""The helper for statistical tests must itself be able to fail."""

import numpy as np
import pytest
from tests.statistics import assert_mean


def test_right_mean_passes():
    assert_mean(np.random.default_rng(0).normal(2, 1, size=(10000, 3)), 2.0, 0.06)


def test_wrong_mean_fails():
    samples = np.random.default_rng(0).normal(2.06, 1, size=10000)
    with pytest.raises(AssertionError, match="z ="):
        assert_mean(samples, 2.0, 0.06)


def test_too_few_samples_fail():
    with pytest.raises(AssertionError, match="standard error is"):
        assert_mean(np.random.default_rng(0).normal(2, 1, size=100), 2.0, 0.06)
