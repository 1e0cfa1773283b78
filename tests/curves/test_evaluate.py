"""`evaluate` is `curve`, `extrapolate` and `compare` at the right k."""

import numpy as np
import pytest

from bontea import BonteaError, compare, curve, extrapolate
from bontea.curves import evaluate

A = np.random.default_rng(0).normal(size=(20, 16))
B = np.random.default_rng(1).normal(0.5, size=(20, 8))


def test_it_is_its_three_parts():
    found = evaluate({"a": A, "b": B}, up_to=32, rng=3, confidence_level=0.8)
    assert found.smallest == {"a": 16, "b": 8}
    line = curve(A, confidence_level=0.8, rng=3)
    np.testing.assert_array_equal(found.curves["a"].high, line.high)
    beyond = extrapolate(B, [10, 11, 13, 16, 19, 23, 27, 32], confidence_level=0.8)
    np.testing.assert_array_equal(found.extrapolations["b"].value, beyond.value)
    pair = compare(A, B, names=("a", "b"), confidence_level=0.8, rng=3)
    np.testing.assert_array_equal(found.comparisons["a - b"].low, pair.low)
    assert found.warnings == []
    assert found.to_dict()["comparisons"]["a - b"]["ks"] == pair.ks.tolist()


def test_chosen_k_are_split_at_the_end_of_each_curve():
    found = evaluate({"a": A, "b": B}, [32, 12, 12], up_to=64, method="jackknife")
    assert [c.ks.tolist() for c in found.curves.values()] == [[12], [8]]
    assert [e.ns.tolist() for e in found.extrapolations.values()] == [[32, 64], [12, 32, 64]]
    assert found.comparisons["a - b"].ks.tolist() == [8]
    assert {c.method for c in found.curves.values()} == {"jackknife"}


def test_one_model_and_one_short_group():
    found = evaluate({"a": [*A, [1.0, 2.0]]})
    assert (found.smallest, found.comparisons) == ({"a": 2}, {})
    (warning,) = found.warnings
    assert warning.startswith("a: prompt '20' has only 2 rewards, half of the prompts have 16 or")


@pytest.mark.parametrize(
    ("rollouts", "options", "message"),
    [
        ({}, {}, "no rollouts"),
        ({"a": A}, {"ks": [17]}, "a: k = 17 exceeds the 16 rewards"),
        ({"a": [[None]]}, {}, "a: no prompt has a single reward"),
        ({"a": A[:, :1]}, {"up_to": 4}, "a: .*without --up-to the curve ends at k = 1"),
    ],
)
def test_bad_input_names_the_model(rollouts, options, message):
    with pytest.raises(BonteaError, match=message):
        evaluate(rollouts, **options)
