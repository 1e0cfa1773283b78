"""plan: the figures of effective_n, arithmetic by formula, and what is recommended."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from bontea.theory.pilot import pilot_law
from bontea.theory.plan import COSINE_LIMIT, EXACT_SLACK, SLACK, plan
from bontea.theory.plan_rows import LINEUP, LINEUP_01, LINEUP_TIES, Row
from bontea.theory.recommend import recommend

import bontea
from bontea import effective_n
from bontea.tails.beta_binomial import expected_pass_at_n
from bontea.theory.success import SuccessRates, success_alignment

GROUPS = 4000


@pytest.fixture(scope="module")
def normal():
    """The whole line-up at N = 128, M = 8, 16, 32."""
    return plan(n=128, m=[8, 16, 32], price=0.002, groups=10_000)


def row_of(result, name, m):
    (row,) = [row for row in result.rows if row.estimator == name and row.m == m]
    return row


@pytest.mark.parametrize(
    ("name", "params", "batch"),
    [
        ("max_at_k", {"k": 15}, None),
        ("prefix_tea", {"alpha": 0.25}, None),
        ("adaptive_tea", {}, 1024 // 16),  # sees the prompts of a step
    ],
)
def test_figures_are_those_of_effective_n(name, params, batch):
    result = plan(n=128, m=[16], estimators=[(name, params)], groups=GROUPS, rng=3)
    (row,) = result.rows
    got = effective_n(name, n=128, m=16, groups=GROUPS, batch=batch, rng=3, **params)
    for field in ("effective_n", "cosine", "snr"):
        assert getattr(row, field) == getattr(got, field), field
        assert getattr(row, f"{field}_se") == getattr(got, f"{field}_se"), field
    assert row.estimator == got.estimator
    assert row.groups == got.groups


def test_what_is_known_of_normal_rewards(normal):
    """N = 128, M = 16: effective N and the order of the signal-to-noise ratios."""
    figures = {
        name: row_of(normal, name, 16)
        for name in (
            "grpo",
            "max_at_k(k=15)",
            "tea(alpha=0.25)",
            "prefix_tea(alpha=0.25)",
            "linear_tea(alpha=0.25)",
            "linear_tea(alpha=0.5)",
            "adaptive_tea",
        )
    }
    for name, budget in (
        ("max_at_k(k=15)", 15),
        ("linear_tea(alpha=0.25)", 128),
        ("linear_tea(alpha=0.5)", 128),
    ):
        row = figures[name]
        assert abs(row.effective_n - budget) < 5 * row.effective_n_se
        assert row.effective_n_se < 0.02 * budget
    for name, snr in (("max_at_k(k=15)", 0.626), ("linear_tea(alpha=0.5)", 0.707)):
        assert abs(figures[name].snr - snr) < 5 * figures[name].snr_se + 0.001
    order = sorted(figures, key=lambda name: -figures[name].snr)
    assert order == [
        "adaptive_tea",
        "linear_tea(alpha=0.5)",
        "max_at_k(k=15)",
        "tea(alpha=0.25)",
        "linear_tea(alpha=0.25)",
        "prefix_tea(alpha=0.25)",
        "grpo",
    ]
    gaps = -np.diff([figures[name].snr for name in order])
    assert (gaps > 3 * max(row.snr_se for row in figures.values())).all()
    # The mean's direction (1, 0) against (1, c_N), log scale in units of sqrt 2.
    c = bontea.expected_max(128)
    assert figures["grpo"].cosine == pytest.approx(1 / math.sqrt(1 + c * c / 2), abs=0.005)


def test_rollouts_prompts_and_cost(normal):
    assert normal.fewest.rollouts == normal.batch_size == 1024
    for row in normal.rows:
        if row.reason:
            assert math.isnan(row.times)
            assert row.cost is None
            continue
        assert row.times == pytest.approx((normal.fewest.snr / row.snr) ** 2)
        assert row.rollouts == pytest.approx(1024 * row.times)
        assert row.prompts == pytest.approx(row.rollouts / row.m)
        assert row.cost == pytest.approx(0.002 * row.rollouts)
    assert (normal.deployment.cost == 0.002 * normal.deployment.ns).all()
    free = plan(n=128, m=[16], estimators=["max_at_k"], groups=640)
    assert free.rows[0].cost is None
    assert free.deployment.cost is None


def test_error_of_the_ratio():
    one = Row("a", 16, snr=0.8, simulation_se=0.01)
    two = Row("b", 16, snr=0.4, simulation_se=0.02)
    assert one.needs(one) == (1.0, 0.0)
    times, error = two.needs(one)
    assert times == pytest.approx((0.8 / 0.4) ** 2)
    rng = np.random.default_rng(0)
    draws = (rng.normal(0.8, 0.001, 10**5) / rng.normal(0.4, 0.002, 10**5)) ** 2
    assert error == pytest.approx(10 * draws.std(), rel=0.02)  # a tenth of the errors: linear
    assert replace(two, snr=-0.1).needs(one)[0] == math.inf
    # A pilot's error counts as the ratio moves over its resamples, not as each SNR does.
    together = [replace(r, resampled=(r.snr, 1.1 * r.snr, 0.9 * r.snr)) for r in (one, two)]
    assert together[1].needs(together[0])[1] == pytest.approx(error)
    apart = replace(two, resampled=(0.4, 0.44, 0.36)).needs(replace(one, resampled=(0.8,) * 3))
    spread = np.std([(0.8 / x) ** 2 for x in (0.4, 0.44, 0.36)], ddof=1)
    assert apart[1] == pytest.approx(math.hypot(error, spread))


def test_rows_that_cannot_run_say_why(normal):
    for name in ("tea(alpha=0.25)", "prefix_tea(alpha=0.25)", "linear_tea(alpha=0.25)"):
        row = row_of(normal, name, 8)
        assert "use at least 9 rollouts" in row.reason
        assert not row.ranked
        assert math.isnan(row.snr)
        assert row.reason in str(normal)
    result = plan(
        n=128,
        m=[16],
        estimators=["adaptive_tea", ("max_at_k", {"k": 31}), "pass_at_n"],
        groups=GROUPS,
    )
    assert "use k <= 15" in result.rows[1].reason
    assert "pass_at_n needs 0/1 rewards" in result.rows[2].reason
    assert result.best is result.rows[0]
    nothing = plan(n=128, m=[4], estimators=["tea"], groups=GROUPS)
    assert nothing.best is None
    assert nothing.recommendation.startswith("Nothing to recommend")


def test_recommendation_on_normal_rewards(normal):
    best = normal.best
    assert (best.estimator, best.m) == ("adaptive_tea", 16)
    assert (normal.fewest.estimator, normal.fewest.m) == ("adaptive_tea", 32)
    assert best.times <= SLACK
    assert row_of(normal, "adaptive_tea", 8).times > SLACK
    text = normal.recommendation
    assert str(normal).endswith(text)
    second = row_of(normal, "linear_tea(alpha=0.5)", 16)
    plain = row_of(normal, "max_at_k(k=15)", 16)
    times, error = second.needs(best)
    for words in (
        f"Use adaptive_tea with M = 16: it optimises best-of-{best.effective_n:.3g}",
        f"SNR {best.snr:.3f} +- {best.snr_se:.3f}",
        f"{best.rollouts:,.0f} rollouts ({best.prompts:,.0f} prompts x 16)",
        f"Next best at this M: linear_tea(alpha=0.5), {times:.2f} +- {error:.2f} times",
        f"max_at_k(k=15), which assumes nothing about the tail, takes {plain.needs(best)[0]:.2f}",
        "M = 32 takes",
    ):
        assert words in text, words
    assert [row.m for row in normal.trade] == [8, 16, 32]
    assert all(row.estimator == "adaptive_tea" for row in normal.trade)


def test_a_wrong_direction_is_not_chosen_for_its_signal():
    """On Gumbel rewards with M = 64 grpo has the highest SNR of all, and cosine .76."""
    result = plan(n=128, m=[64], law="gumbel", estimators=["grpo", "adaptive_tea"], groups=GROUPS)
    grpo, adaptive = result.rows
    assert grpo.snr > adaptive.snr + 3 * (grpo.snr_se + adaptive.snr_se)
    assert grpo.cosine < COSINE_LIMIT < adaptive.cosine
    assert not grpo.ranked
    assert grpo.times < 1
    assert result.best is adaptive
    assert "It aims at best-of-" in result.recommendation  # far beyond 128: the latent is Gumbel


def test_when_no_direction_is_right_the_nearest_is_chosen():
    result = plan(n=128, m=[8], estimators=["grpo", "max_at_k"], groups=GROUPS)
    assert result.best.estimator == "max_at_k(k=7)"
    assert result.cosine_limit == pytest.approx(result.best.cosine - 0.01)
    assert "No direction here reaches cosine 0.98" in result.recommendation


def test_a_law_without_a_tail_is_recommended_with_cautions():
    result = plan(n=128, m=[16], law="uniform", groups=GROUPS)
    assert result.best.estimator == "linear_tea(alpha=0.5)"
    assert "adaptive_tea refuses the tail of this law" in result.recommendation
    assert "watch check_tail. linear_tea(alpha=0.25) is safer" in result.recommendation
    normal = plan(n=128, m=[16], estimators=["adaptive_tea", "max_at_k"], groups=GROUPS)
    assert "Caution" not in normal.recommendation
    assert "largest compared" not in normal.recommendation


def test_one_success_rate_has_one_direction():
    result = plan(n=16, m=[16], law="bernoulli", groups=GROUPS)
    assert [row.estimator for row in result.rows] == [
        "grpo",
        "max_at_k(k=15)",
        "pass_at_n",
        "inference_aware",
    ]
    for row in result.rows:
        assert row.cosine == pytest.approx(1, abs=0.01)
        assert math.isnan(row.effective_n)
    assert result.best.estimator == "grpo"
    assert "one success rate for all prompts" in result.notes[0]


def test_n_below_m_takes_the_exact_estimator():
    result = plan(n=8, m=[16], groups=GROUPS)
    exact = row_of(result, "max_at_k(k=8)", 16)
    assert result.best is exact
    assert 1 < exact.times < EXACT_SLACK
    assert "It is exact for k = N; linear_tea(alpha=0.5) takes 0." in result.recommendation


def test_equal_estimators_are_called_level():
    def twin(rewards):  # looks at nothing else, but draws batches of its own size
        return bontea.max_at_k(rewards, k=15)

    result = plan(n=128, m=[16], estimators=["max_at_k", twin], groups=GROUPS)
    assert "is level (1.0" in result.recommendation
    same = plan(n=128, m=[16], estimators=["max_at_k", partial(bontea.rloo)], groups=GROUPS)
    assert "level" not in same.recommendation


def test_success_rates_are_planned_exactly():
    rates = SuccessRates(0.3, 2.0)
    result = plan(n=128, m=[8, 16], law=rates)
    assert len(result.rows) == 2 * len(LINEUP_01)
    for row in result.rows:
        name, _, params = row.estimator.partition("(")
        params = eval(f"dict({params.rstrip(')')})") if "prior" not in params else {}
        if name == "pass_at_n":
            params = {"prior": (0.3, 2.0)}
        got = success_alignment(name, n=128, m=row.m, rates=rates, **params)
        assert (row.cosine, row.snr, row.snr_se) == (got.cosine, got.snr, 0.0)
    assert result.cosine_limit == 0
    assert all(row.ranked for row in result.rows)
    assert result.best.estimator == "pass_at_n(prior=(0.3, 2.0))"
    times, _ = row_of(result, result.best.estimator, 8).needs(result.best)
    assert f"M = 16 is the largest compared, and M = 8 takes {times:.2f} times: try larger" in (
        result.recommendation
    )
    i = result.deployment.ns.tolist().index(128)
    assert result.deployment.value[i] == expected_pass_at_n(128, 0.3, 2.0)


def test_a_pilot_brings_its_own_error():
    """Few rewards: the error of a row is mostly that of the pilot; the same prompts, less so."""
    rng = np.random.default_rng(0)
    small = pilot_law(rng.normal(size=(8, 16)))
    large = pilot_law(rng.normal(size=(200, 16)))
    rows = []
    for pilot in (small, large):
        result = plan(n=64, m=[16], law=pilot, estimators=["adaptive_tea"], groups=GROUPS)
        (row,) = result.rows
        assert len(row.resampled) == len(pilot.resamples)
        spread = np.std(row.resampled, ddof=1)
        assert row.snr_se == pytest.approx(math.hypot(row.simulation_se, spread))
        rows.append(row)
    assert rows[0].snr_se > 1.5 * rows[1].snr_se
    assert (
        "more than a tenth of the 128 rewards"
        in plan(n=64, m=[8], law=small, estimators=["max_at_k"], groups=GROUPS).notes[0]
    )
    with pytest.raises(ValueError, match="n=256 is beyond the 128 rewards of the pilot"):
        plan(n=256, m=[8], law=small)


def test_lineups():
    assert [*LINEUP[:2], *LINEUP_01[:2]] == ["grpo", "max_at_k"] * 2
    steps = pilot_law(np.random.default_rng(0).integers(0, 5, size=(40, 16)))
    result = plan(n=64, m=[8], law=steps, groups=GROUPS)
    assert [row.estimator for row in result.rows] == ["grpo", "max_at_k(k=7)"]
    assert len(LINEUP_TIES) == 2
    assert "the rewards are discrete" in result.notes[-1]


def test_seed_and_progress():
    seen = []
    first, again, other = (
        plan(
            n=128,
            m=[16, 9],
            estimators=["prefix_tea", "max_at_k"],
            groups=640,
            rng=seed,
            progress=lambda done, total: seen.append((done, total)),
        )
        for seed in (3, 3, 4)
    )
    assert str(first) == str(again)
    assert str(first) != str(other)
    assert seen[:4] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert [row.m for row in first.rows] == [9, 9, 16, 16]
    one = plan(n=8, m=[4], estimators=["rloo"], groups=640, rng=np.random.default_rng(5))
    two = plan(n=8, m=[4], estimators=["rloo"], groups=640, rng=np.random.default_rng(5))
    assert one.rows == two.rows


def test_nothing_moves_towards_best_of_n():
    text = recommend([Row("away", 8, snr=-0.1)], None, None, n=8, limit=0.98, usual=0.98)
    assert "every estimator moves the policy away" in text
    result = plan(n=8, m=[8], estimators=[lambda r: -r], groups=640)
    assert result.best is None
    assert result.recommendation == text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0.5}, "n=0.5 is not a deployment budget"),
        ({"n": 1e10}, r"n=1e\+10 is above 1e\+09"),
        ({"m": [1, 8]}, r"m=\[1, 8\] must be numbers of rollouts per prompt, each at least 2"),
        ({"m": []}, "each at least 2"),
        ({"m": [8.5]}, "m=8.5 must be a whole number"),
        ({"law": "gumbell"}, "did you mean 'gumbel'"),
        ({"law": [1.0, 1.0]}, "never differ: there is nothing to plan"),
        ({"estimators": ["teaa"]}, "did you mean 'tea'"),
        ({"estimators": [("tea", {"alph": 0.5})]}, "unexpected keyword argument 'alph'"),
        ({"estimators": []}, "estimators is empty"),
        ({"batch_size": 15}, "batch_size=15 rollouts in a step do not hold one group of m=16"),
        ({"price": -1}, "price=-1 must be a number of at least 0"),
        ({"price": math.nan}, "price=nan must be"),
        ({"least_gain": -1.0}, "least_gain=-1.0 must be a number of at least 0"),
        ({"groups": 0}, "groups=0 must be a whole number"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        plan(**{"n": 128, "m": [16], "estimators": ["max_at_k"], "groups": 640, **arguments})
