"""The recommendation on rewards whose law is known, and at the edges.

How often each verdict comes, on 400 data sets a law: benchmarks/experiments/diagnosis_power.
"""

import numpy as np
import pytest
from bontea.diagnosis.judge import judge

from bontea.rollouts import as_rollouts
from bontea.theory import get_law

N = 128


def advice(rewards, n=N, m=None, alpha=0.25):
    rng = np.random.default_rng(0)
    return judge(as_rollouts(rewards), n=n, m=m, alpha=alpha, rng=rng).recommendation


def normal(seed=0, shape=(64, 16)):
    return np.random.default_rng(seed).normal(size=shape)


def law(name):
    def draw(rng, shape):
        known = get_law(name)
        unit = np.exp(0.3 * rng.normal(size=(shape[0], 1)))
        return rng.normal(size=(shape[0], 1)) + unit * known.reward(known.latent.draw(rng, shape))

    return draw


CASES = {
    "normal": (law("normal"), "normal", "adaptive_tea"),
    "exponential_body": (law("exponential_body"), "normal", "adaptive_tea"),
    "skewed_mixture": (law("skewed_mixture"), "normal", "adaptive_tea"),
    "finely rounded": (lambda r, s: np.round(4 * r.normal(size=s)) / 4, "normal", "adaptive_tea"),
    "student_t": (law("student_t"), "heavy", "adaptive_tea"),
    "gumbel": (law("gumbel"), "heavy", "adaptive_tea"),
    "exponential": (law("exponential"), "heavy", "adaptive_tea"),
    "logistic": (law("logistic"), "heavy", "adaptive_tea"),
    "uniform": (law("uniform"), "light", "max_at_k"),
    "beta": (law("beta"), "light", "max_at_k"),
    "cut": (lambda r, s: np.minimum(r.normal(size=s), 1.5), "ceiling", "max_at_k"),
    "grades": (lambda r, s: np.clip(np.round(3.5 + r.normal(size=s)), 1, 5), "ceiling", "max_at_k"),
    "rounded": (lambda r, s: np.round(r.normal(size=s)), "ties", "max_at_k"),
    "atom below": (
        lambda r, s: np.where(r.random(s) < 0.4, 0, r.normal(2, 0.5, size=s)),
        "mixed",
        "linear_tea",
    ),
    "large atom": (
        lambda r, s: np.where(r.random(s) < 0.75, 0, r.normal(2, 0.5, size=s)),
        "mixed",
        "max_at_k",
    ),
    "0/1": (lambda r, s: r.random(s) < r.beta(0.5, 3, size=(s[0], 1)), "binary", "pass_at_n"),
    "constant": (lambda r, s: np.full(s, 3.0), "constant", None),
    "constant each": (lambda r, s: np.repeat(r.normal(size=(s[0], 1)), s[1], 1), "constant", None),
}


@pytest.mark.parametrize("name", CASES)
def test_known_laws(name):
    """Right in at least 4 of 5 data sets of 64 prompts with 64 rewards."""
    draw, verdict, estimator = CASES[name]
    got = [advice(draw(np.random.default_rng(seed), (64, 64))) for seed in range(5)]
    right = [g.verdict == verdict and g.estimator == estimator for g in got]
    assert sum(right) >= 4, [g.verdict for g in got]


@pytest.mark.parametrize("m", [16, 64])
def test_false_alarms_on_normal_rewards(m):
    """At most 10 of 100: seen are 2 to 3, so that 10 would be a sign that something broke."""
    rng = np.random.default_rng(1)
    verdicts = [advice(law("normal")(rng, (64, m))).verdict for _ in range(100)]
    assert verdicts.count("normal") >= 90


@pytest.mark.parametrize(
    ("options", "call"),
    [
        ({"n": 1}, "rloo"),
        ({"n": 8}, "max_at_k(k=8)"),
        ({"n": 15}, "max_at_k(k=15)"),
        ({"n": 16}, "adaptive_tea(n=16)"),
        ({"n": 1024}, "adaptive_tea(n=1024)"),
        ({"n": 1025}, "adaptive_tea(n=1024)"),  # no more than there are rewards
        ({"n": 1e9}, "adaptive_tea(n=1024)"),
        ({"m": 6}, "max_at_k(k=5)"),
        ({"m": 8}, "adaptive_tea(n=128)"),
    ],
)
def test_budgets(options, call):
    got = advice(normal(), **options)
    assert got.call == call
    assert got.m == options.get("m", 16)
    if options.get("n", 0) > 1024:
        assert "beyond the 1,024 rewards seen" in got.text


def test_zero_one():
    wins = np.random.default_rng(2).random((64, 16)) < 0.1
    assert advice(wins, n=8).call == "pass_at_k(k=8)"
    got = advice(wins, n=512)
    assert got.estimator == "pass_at_n"
    a, b = got.params["prior"]
    assert a / (a + b) == pytest.approx(0.1, abs=0.04)
    assert "Do not extrapolate" in got.text
    assert "Map -1 to 0 and 1 to 1" in advice(np.where(wins, 1, -1)).text


@pytest.mark.parametrize(
    ("rewards", "verdict", "words"),
    [
        (normal(shape=(1, 64)), "too little data", "1 prompt with 5 rewards"),
        (normal(shape=(15, 64)), "too little data", "at least 16 prompts with 8 rewards"),
        (normal(shape=(64, 7)), "too little data", "train with M = 8 or more"),
        (normal(shape=(64, 1)), "too little data", "No prompt has two rewards"),
        ([[1.0]], "too little data", "No prompt has two rewards"),
        (np.where(np.arange(64)[:, None] < 60, 0, normal()), "constant", "94 % of the prompts"),
    ],
)
def test_too_little(rewards, verdict, words):
    got = advice(rewards)
    assert got.verdict == verdict
    assert words in got.text


def test_a_little_light_is_said():
    """Falls short at alpha, but most steps accept it: adaptive_tea goes on, and it is said."""
    rng = np.random.default_rng(3)
    z = rng.normal(size=(512, 64))
    got = advice(np.expm1(-0.1 * z) / -0.1)
    assert got.verdict == "normal"
    assert "fall a little short" in got.text
