"""An estimator means the same however it is written, bound, changed and called."""

import functools

import numpy as np
import pytest

import bontea
from bontea._errors import BonteaError
from bontea.advantages import EstimatorSpec, advantages_for, max_at_k, parse_estimators, tea
from bontea.diagnosis.admission import Admission
from bontea.planning.lineup import lineup

R = np.random.default_rng(0).normal(size=(8, 16))
IDS = np.repeat(np.arange(8), 16)


def times(r, x=1.0):
    return x * (r - r.mean(axis=-1, keepdims=True))


def in_place(r):
    r -= r.mean(axis=-1, keepdims=True)
    return r


def test_what_is_given_later_wins_over_what_was_filled_in():
    bound = EstimatorSpec.of("max_at_k").bind(n=128, m=16)
    want = max_at_k(R, k=3)
    later = bound.with_params({"k": 3})
    assert later.label == "max_at_k(k=3)"
    np.testing.assert_array_equal(later(R), want)
    np.testing.assert_array_equal(EstimatorSpec.of(bound, k=3)(R), want)
    np.testing.assert_array_equal(bound(R, k=3), want)
    np.testing.assert_array_equal(advantages_for(R.ravel(), IDS, bound, k=3), want.ravel())
    ragged = np.where(np.arange(16) < np.arange(9, 17)[:, None], R, np.nan)
    np.testing.assert_array_equal(bound(ragged, k=3), max_at_k(ragged, k=3))
    lower = EstimatorSpec.of("tea").bind(n=128).with_params({"n": 64})
    np.testing.assert_array_equal(lower(R), tea(R, n=64))


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        (
            "pass_at_n(n=4, prior=(1,2)),grpo",
            ["pass_at_n(n=4, prior=(1, 2))", "grpo"],
        ),
        (
            "adaptive_tea(tail='normal',alphas=(0.5, 0.25)), rloo",
            ["adaptive_tea(alphas=(0.5, 0.25), tail='normal')", "rloo"],
        ),
        ("adaptive_tea(alphas=[0.5,0.25])", ["adaptive_tea(alphas=(0.5, 0.25))"]),
        ("bontea:adaptive_tea,tea", ["adaptive_tea", "tea"]),
    ],
)
def test_a_list_of_texts(text, labels):
    specs = parse_estimators(text)
    assert [spec.label for spec in specs] == labels
    assert parse_estimators(",".join(labels)) == specs


@pytest.mark.parametrize(
    "text",
    [
        "..:x",
        ".x:y",
        "math:",
        "tea(alpha={[1]:2})",
        "tea(alpha=" + "-" * 100_000 + "1)",
        "tea(alpha=" + "(" * 10_000 + ")",
        "max_at_k(k=8)(k=9)",
        "tea(0.5)",
        "tea(alpha=0.5, alpha=1)",
    ],
)
def test_text_that_is_no_estimator(text):
    with pytest.raises(BonteaError) as caught:
        EstimatorSpec.parse(text)
    assert len(str(caught.value)) < 600


def test_a_partial_is_a_function_with_parameters():
    spec = EstimatorSpec.of(functools.partial(times, x=6.0))
    assert spec.label.endswith(":times(x=6)")
    np.testing.assert_array_equal(spec(R), times(R, 6.0))


def test_arrays_as_parameters_are_tuples():
    spec = EstimatorSpec.of("adaptive_tea", alphas=np.array([0.5, 0.25]))
    assert spec == EstimatorSpec.parse(spec.label)
    assert hash(spec) == hash(EstimatorSpec.parse(spec.label))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda r: r * np.nan, "must be finite"),
        (lambda r: r[:, :3], r"returned shape \(8, 3\)"),
        (lambda r: None, "returned shape"),
        (lambda r: r + 1j, "complex"),
    ],
)
def test_a_flat_batch_checks_what_a_function_returns(function, message):
    with pytest.raises(BonteaError, match=message):
        advantages_for(R.ravel(), IDS, function)


@pytest.mark.parametrize("name", ["tea", "max_at_k"])
def test_a_parameter_that_has_no_value(name):
    with pytest.raises(BonteaError, match=f"{name}' needs a value for [nk]: write {name}"):
        advantages_for(R.ravel(), IDS, name)


def test_a_function_that_writes_into_its_rewards():
    before = R.copy()
    advantages_for(R.ravel(), IDS, in_place)
    EstimatorSpec.of(in_place)(R)
    np.testing.assert_array_equal(R, before)


def test_two_functions_of_one_name():
    admission = Admission("normal", "", m=16, n=128, tails="all")
    two = [lambda r: bontea.rloo(r), lambda r: max_at_k(r, k=6)]
    with pytest.raises(BonteaError, match="two estimators are called"):
        lineup(128, 16, admission, two)
    one = lineup(128, 16, admission, ["max_at_k", "max_at_k(k=6)", "grpo"])
    assert [entry.spec.label for entry in one] == ["max_at_k(k=6)", "grpo"]
    assert len(lineup(128, 16, admission, "rloo,grpo")) == 2
    with pytest.raises(BonteaError, match="failed on a group of 16"):
        lineup(128, 16, admission, ["grpo(eps='x')"])


@pytest.mark.parametrize("error", ["ValueError", "AttributeError", "TypeError", "KeyError"])
def test_an_error_inside_a_module_is_shown_as_it_is(error, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = f"broken_{error.lower()}"
    (tmp_path / f"{name}.py").write_text(f"raise {error}('my own bug')\n")
    with pytest.raises(Exception, match="my own bug") as caught:
        EstimatorSpec.parse(f"{name}:f")
    assert type(caught.value).__name__ == error


def test_a_file_that_a_module_misses_is_not_one_of_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "opens.py").write_text("open('missing.json')\n")
    with pytest.raises(RuntimeError, match=r"importing opens failed.*missing\.json"):
        EstimatorSpec.parse("opens:f")
    (tmp_path / "inner.py").write_text("class A:\n    def f(r):\n        return 0 * r\n")
    assert not EstimatorSpec.parse("inner:A.f")(R).any()
    with pytest.raises(BonteaError, match=r"module inner has no 'A\.g'"):
        EstimatorSpec.parse("inner:A.g")
