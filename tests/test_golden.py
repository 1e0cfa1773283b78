"""Reference values of an independent implementation, to 1e-9 relative on every array library."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.libraries import LIBRARIES, back, is_a, make

import bontea
from bontea.advantages import prefix_weights

GOLDEN = json.loads((Path(__file__).parent / "references" / "golden.json").read_text())
GROUPS = [pytest.param(group, id=f"group{i}") for i, group in enumerate(GOLDEN["groups"])]


def assert_close(got, expected):
    expected = np.asarray(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_every_quantity_is_there():
    """A reference file that lost its contents must not pass."""
    assert len(GOLDEN["c"]) == 14
    assert len(GOLDEN["tail_coefficient"]) == 20
    assert len(GOLDEN["prefix_weights"]) == 4
    assert len(GROUPS) == 8
    assert sum("max_at_k" in group for group in GOLDEN["groups"]) == 4


@pytest.mark.parametrize(("n", "expected"), GOLDEN["c"])
def test_expected_max(n, expected):
    assert bontea.expected_max(n) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize(("n", "alpha", "expected"), GOLDEN["tail_coefficient"])
def test_tail_coefficient(n, alpha, expected):
    assert bontea.tail_coefficient(n, alpha) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize(("sizes", "order", "expected"), GOLDEN["prefix_weights"])
def test_prefix_weights(sizes, order, expected):
    assert_close(prefix_weights(sizes, order), expected)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("group", GROUPS)
def test_tea(group, library):
    rewards = make(library, [group["rewards"]])
    for center, key in ((False, "tea_raw"), (True, "tea_centred")):
        got = bontea.tea(rewards, n=group["n"], alpha=group["alpha"], center=center)
        assert is_a(library, got)
        assert_close(back(got)[0], group[key])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("group", [group for group in GOLDEN["groups"] if "max_at_k" in group])
def test_max_at_k(group, library):
    got = bontea.max_at_k(make(library, [group["rewards"]]), k=group["K"])
    assert is_a(library, got)
    assert_close(back(got)[0], group["max_at_k"])


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("group", GROUPS)
def test_best_of_k(group, library):
    ks, expected = zip(*group["best_of_k"], strict=True)
    got = bontea.best_of_k(make(library, [group["rewards"]]), ks)
    assert is_a(library, got)
    assert_close(back(got)[0], expected)
