"""plan: the figures of effective_n, arithmetic by formula, and what is recommended."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import bontea
from bontea import effective_n
from bontea.planning import pilot_law, plan
from bontea.planning.choose import NEAR, SLACK
from bontea.planning.rows import Row
from bontea.tails.beta_binomial import expected_pass_at_n
from bontea.theory import SuccessRates, success_alignment

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
    assert row.effective_n == got.value
    assert row.effective_n_standard_error == got.standard_error
    for field in ("cosine", "snr"):
        assert getattr(row, field) == getattr(got, field), field
        assert getattr(row, f"{field}_standard_error") == getattr(got, f"{field}_standard_error"), (
            field
        )
    assert row.estimator == got.estimator
    assert row.groups == got.groups


def test_what_is_known_of_normal_rewards(normal):
    """N = 128, M = 16: effective N and the order of the signal-to-noise ratios."""
    figures = {
        name: row_of(normal, name, 16)
        for name in (
            "grpo",
            "max_at_k(k=6)",
            "max_at_k(k=15)",
            "tea",
            "prefix_tea",
            "linear_tea",
            "linear_tea(alpha=0.5)",
            "adaptive_tea",
        )
    }
    for name, budget in (
        ("max_at_k(k=6)", 6),
        ("max_at_k(k=15)", 15),
        ("linear_tea", 128),
        ("linear_tea(alpha=0.5)", 128),
    ):
        row = figures[name]
        assert abs(row.effective_n - budget) < 5 * row.effective_n_standard_error
        assert row.effective_n_standard_error < 0.02 * budget
    for name, snr in (
        ("max_at_k(k=6)", 0.808),
        ("max_at_k(k=15)", 0.626),
        ("linear_tea(alpha=0.5)", 0.707),
    ):
        assert abs(figures[name].snr - snr) < 5 * figures[name].snr_standard_error + 0.001
    order = sorted(figures, key=lambda name: -figures[name].snr)
    assert order == [
        "max_at_k(k=6)",
        "adaptive_tea",
        "linear_tea(alpha=0.5)",
        "max_at_k(k=15)",
        "tea",
        "linear_tea",
        "prefix_tea",
        "grpo",
    ]
    gaps = -np.diff([figures[name].snr for name in order])
    assert (gaps > 3 * max(row.snr_standard_error for row in figures.values())).all()
    ends = sorted(figures, key=lambda name: figures[name].end_share)
    assert ends == [
        "grpo",
        "linear_tea(alpha=0.5)",
        "max_at_k(k=6)",
        "max_at_k(k=15)",
        "tea",
        "adaptive_tea",
        "prefix_tea",
        "linear_tea",
    ]
    assert all(row.ranked and row.admitted and row.reason == "" for row in figures.values())
    # The mean's direction (1, 0) against (1, c_N), log scale in units of sqrt 2.
    c = bontea.expected_max(128)
    assert figures["grpo"].cosine == pytest.approx(1 / math.sqrt(1 + c * c / 2), abs=0.005)


def test_rollouts_prompts_and_cost(normal):
    fewest = max(normal.rows, key=lambda row: (row.ranked, row.snr))
    assert fewest.rollouts == normal.batch_size == 1024
    for row in normal.rows:
        if row.reason:
            assert math.isnan(row.times)
            assert row.cost is None
            continue
        assert row.times == pytest.approx((fewest.snr / row.snr) ** 2)
        assert row.rollouts == pytest.approx(1024 * row.times)
        assert row.prompts == pytest.approx(row.rollouts / row.m)
        assert row.cost == pytest.approx(0.002 * row.rollouts)
    assert (normal.deployment.cost == 0.002 * normal.deployment.ns).all()
    free = plan(n=128, m=[16], estimators=["max_at_k"], groups=640)
    assert free.rows[0].cost is None
    assert free.deployment.cost is None


def test_error_of_the_ratio():
    spec = bontea.EstimatorSpec.of("grpo")
    one = Row("a", 16, spec, snr=0.8, simulation_error=0.01)
    two = Row("b", 16, spec, snr=0.4, simulation_error=0.02)
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
    for name in ("tea", "prefix_tea", "linear_tea"):
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
    assert result.rows[2].reason == "not admitted: it needs rewards of two values, 0 and 1"
    assert [row.admitted for row in result.rows] == [True, True, False]
    assert [row.ranked for row in result.rows] == [True, False, False]
    assert result.best is result.rows[0]
    nothing = plan(n=128, m=[4], estimators=["tea"], groups=GROUPS)
    assert nothing.best is None
    assert nothing.recommendation.estimator is None
    assert "too little data to see whether its tail model holds" in nothing.rows[0].reason
    assert "these rewards admit none of the estimators that were named" in str(nothing)
    small = plan(n=128, m=[8], estimators=["tea"], groups=GROUPS)  # admitted, but cannot run
    assert small.recommendation.recommended is None
    assert "none of the estimators can run at this M" in small.recommendation.message


def test_recommendation_on_normal_rewards(normal):
    """At most 1.6 times the rollouts of max_at_k(k=6), and a policy that ends higher; M = 16."""
    best, advice = normal.best, normal.recommendation
    assert (best.estimator, best.m) == ("adaptive_tea", 16)
    assert (advice.recommended, advice.m, advice.n) == ("adaptive_tea", 16, 128)
    assert advice.verdict == "normal"
    assert advice.estimator.params == {}
    assert str(normal).endswith(str(advice))
    assert [(row.estimator, row.m) for row in normal.trade] == [
        ("adaptive_tea", 8),
        ("adaptive_tea", 16),
        ("adaptive_tea", 32),
    ]
    fewest = max(normal.trade, key=lambda row: row.snr)
    assert fewest.m == 32
    assert best.needs(fewest)[0] <= SLACK < normal.trade[0].needs(fewest)[0]
    plain = row_of(normal, "max_at_k(k=6)", 16)
    times, error = best.needs(plain)
    assert 2 * error < times - 1 < NEAR - 1
    saved = 100 * (1 - 1 / best.needs(fewest)[0])
    for words in (
        f"A rollout of adaptive_tea has a signal-to-noise of {best.snr:.3f}",
        "a policy trained with it for long ends at 96 % of the best V_N",
        f"It needs {times:.2f} ± {error:.2f} times the rollouts of max_at_k(k=6), which ends at "
        "74 %",
        f"M = 32 would take {saved:.0f} % fewer rollouts, but from {fewest.prompts:,.0f} prompts "
        f"instead of {best.prompts:,.0f}",
        "the smaller M is named",
    ):
        assert words in advice.message, words


def test_a_better_end_is_worth_rollouts_up_to_a_limit(normal):
    """What is named is the best end within 1.6 times the rollouts; the limit is what decides."""
    from bontea.planning.choose import choose_estimator, choose_m

    spec = bontea.EstimatorSpec.of("grpo")

    def row(name, snr, end, **more):
        return Row(name, 16, spec, candidate=True, snr=snr, end_share=end, **more)

    fast, better = row("fast", 0.8, 0.7), row("better", 0.8 / math.sqrt(1.59), 0.9)
    slow = row("slow", 0.8 / math.sqrt(1.61), 0.99)
    assert choose_estimator([fast, better, slow]) is better
    assert choose_estimator([fast, slow]) is fast
    assert choose_estimator([fast, replace(better, admitted=False)]) is fast
    assert choose_estimator([replace(fast, candidate=False), slow]) is slow  # only a comparison
    exact = row("exact", 0.7, math.nan, exact=True)
    assert choose_estimator([fast, better, exact]) is exact
    assert choose_estimator([replace(fast, snr=-0.1)]) is None
    sizes = [replace(fast, m=m, snr=snr) for m, snr in ((8, 0.7), (16, 0.74), (32, 0.8))]
    assert choose_m(sizes).m == 16  # 1.31 and 1.17 times
    assert choose_m([]) is None
    # And on normal rewards no comparison is named, though some end higher.
    assert row_of(normal, "linear_tea", 16).end_share > normal.best.end_share
    named = {row.estimator.partition("(")[0] for row in normal.rows if row.candidate}
    assert named == {"max_at_k", "adaptive_tea"}


def test_every_direction_is_ranked_and_a_wrong_one_is_not_named():
    """On Gumbel rewards with M = 64 grpo has the highest SNR of all, and cosine .76."""
    from bontea.planning.lineup import lineup  # grpo is there to compare with

    result = plan(n=128, m=[64], law="gumbel", groups=2000)
    by_name = {row.estimator: row for row in result.rows}
    grpo, adaptive = by_name["grpo"], by_name["adaptive_tea"]
    assert grpo.snr > adaptive.snr + 3 * (grpo.snr_standard_error + adaptive.snr_standard_error)
    assert grpo.cosine < 0.8 < adaptive.cosine
    assert grpo.ranked
    assert not grpo.candidate
    assert grpo.times < adaptive.times
    assert grpo.end_share < 0.02
    assert result.best is adaptive
    assert result.recommendation.verdict == "heavy"
    assert all(row.ranked for row in result.rows)
    assert len(lineup(128, 64, plan_admission(64))) == len(result.rows)


def plan_admission(m):
    from bontea.diagnosis import Admission

    return Admission("heavy", "", m=m, n=128, tails="all")


def test_a_law_without_a_tail_is_not_extrapolated():
    """Uniform rewards: everything with a tail is measured and shown, and none of it is admitted."""
    result = plan(n=128, m=[16], law="uniform", groups=GROUPS)
    assert result.recommendation.recommended == "max_at_k(k=6)"
    assert result.recommendation.verdict == "light"
    assert "Do not extrapolate" in result.recommendation.message
    refused = [row for row in result.rows if not row.admitted]
    assert [row.estimator for row in refused] == [
        "tea",
        "prefix_tea",
        "linear_tea",
        "linear_tea(alpha=0.5)",
        "adaptive_tea",
    ]
    for row in refused:
        assert row.reason == "not admitted: the best rewards fall short of its tail model"
        assert not row.ranked
        assert row.snr > 0
    wider = row_of(result, "max_at_k(k=15)", 16)
    times, error = result.best.needs(wider)
    assert (
        f"It needs {times:.2f} ± {error:.2f} times the rollouts of max_at_k(k=15), which ends at "
        "88 %" in result.recommendation.message
    )


def test_a_wide_tail_that_is_named_comes_with_a_caution():
    named = plan(n=128, m=[16], estimators=["linear_tea(alpha=0.5)"], groups=GROUPS)
    assert named.recommendation.recommended == "linear_tea(alpha=0.5)"
    assert "Caution: with a tail fraction of 0.5" in named.recommendation.message
    normal = plan(n=128, m=[16], estimators=["adaptive_tea", "max_at_k"], groups=GROUPS)
    assert "Caution" not in normal.recommendation.message
    assert "largest compared" not in normal.recommendation.message


def test_one_success_rate_has_one_direction():
    result = plan(n=16, m=[16], law="bernoulli", groups=GROUPS)
    assert [row.estimator for row in result.rows] == [
        "grpo",
        "max_at_k(k=6)",
        "max_at_k(k=15)",
        result.best.estimator,
        "inference_aware",
    ]
    for row in result.rows:
        assert row.cosine == pytest.approx(1, abs=0.01)
        assert math.isnan(row.effective_n)
        assert math.isnan(row.end_share)  # a policy with styles of normal rewards says nothing here
    best, other = result.best, row_of(result, "max_at_k(k=6)", 16)
    assert best.spec.name == "pass_at_n"
    assert best.snr > other.snr + 3 * (best.snr_standard_error + other.snr_standard_error)
    assert result.recommendation.recommended == best.estimator
    assert "one success rate for all prompts" in result.notes[0]


def test_n_below_m_takes_the_exact_estimator():
    result = plan(n=8, m=[16], groups=GROUPS)
    exact, small = row_of(result, "max_at_k(k=8)", 16), row_of(result, "max_at_k(k=6)", 16)
    assert [row.estimator for row in result.rows] == ["grpo", "max_at_k(k=6)", "max_at_k(k=8)"]
    assert result.best is exact
    assert exact.exact
    assert 1 < exact.needs(small)[0] < NEAR
    assert result.recommendation.verdict == "within M"
    assert "It is exact for k = N" in result.recommendation.message
    assert "rollouts of max_at_k(k=6), which ends at 98 %" in result.recommendation.message


def test_equal_estimators_are_called_level():
    def twin(rewards):  # looks at nothing else, but draws batches of its own size
        return bontea.max_at_k(rewards, k=6)

    result = plan(n=128, m=[16], estimators=["max_at_k", twin], groups=GROUPS)
    assert "The rollouts it needs cannot be told from those of" in result.recommendation.message
    same = plan(n=128, m=[16], estimators=["max_at_k", partial(bontea.rloo)], groups=GROUPS)
    assert "cannot be told" not in same.recommendation.message


def mine(rewards, *, n, beta=1.0):
    """An estimator of a user's own: max_at_k with another scale."""
    return beta * n * bontea.max_at_k(rewards, k=6)


def test_estimators_of_the_user_in_every_form(tmp_path, monkeypatch):
    """A callable, text, a spec, a pair and module:function; the same one gives the same figures."""
    (tmp_path / "of_the_user.py").write_text(
        "import bontea\n\ndef six(rewards):\n    return bontea.max_at_k(rewards, k=6)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    result = plan(
        n=128,
        m=16,
        estimators=[
            bontea.max_at_k,
            "max_at_k( k = 15 )",
            bontea.EstimatorSpec.of("tea", alpha=0.5),
            ("linear_tea", {"alpha": 0.5}),
            partial(bontea.pkpo_loo, k=8),
            mine,
            (mine, {"beta": 2.0}),
            "of_the_user:six",
        ],
        groups=640,
    )
    name = f"{mine.__module__}:mine"
    assert [row.estimator for row in result.rows] == [
        "max_at_k(k=6)",
        "max_at_k(k=15)",
        "tea(alpha=0.5)",
        "linear_tea(alpha=0.5)",
        "pkpo_loo(k=8)",
        name,
        f"{name}(beta=2)",
        "of_the_user:six",
    ]
    own, scaled, file = result.rows[5:]
    assert own.snr == pytest.approx(scaled.snr, rel=1e-9)  # only the scale differs
    assert own.snr == pytest.approx(file.snr, rel=1e-9)
    assert all(row.candidate and row.admitted and row.ranked for row in result.rows)
    assert own.end_share == pytest.approx(file.end_share, abs=1e-6)  # trained, in float64
    spec = bontea.EstimatorSpec.of(result.recommendation.estimator)
    assert spec.label == result.recommendation.recommended
    wrong = plan(n=128, m=16, estimators=[lambda r: r[:, :-1], "max_at_k(k=0)"], groups=640)
    assert "shape" in wrong.rows[0].reason
    assert "k=0 must be" in wrong.rows[1].reason
    assert wrong.recommendation.recommended is None


def test_success_rates_are_planned_exactly():
    rates = SuccessRates(0.3, 2.0)
    result = plan(n=128, m=[8, 16], law=rates)
    names = ["grpo", "max_at_k(k=6)", "max_at_k(k={})", "pass_at_n(prior=(0.3, 2))"]
    names.append("inference_aware")
    assert [row.estimator for row in result.rows] == [
        name.format(m - 1) for m in (8, 16) for name in names
    ]
    for row in result.rows:
        got = success_alignment(row.estimator, n=128, m=row.m, rates=rates)
        assert (row.cosine, row.snr, row.snr_standard_error) == (got.cosine, got.snr, 0.0)
        assert math.isnan(row.end_share)
    assert all(row.ranked for row in result.rows)
    assert result.best.estimator == "pass_at_n(prior=(0.3, 2))"
    assert result.recommendation.verdict == "binary"
    times, _ = row_of(result, result.best.estimator, 8).needs(result.best)
    assert f"M = 16 is the largest compared, and M = 8 takes {times:.2f} times: try larger" in (
        result.recommendation.message
    )
    i = result.deployment.ns.tolist().index(128)
    assert result.deployment.value[i] == expected_pass_at_n(128, 0.3, 2.0)


def test_rewards_bring_their_own_error():
    """Few rewards: the error of a row is mostly that of the sample; the same prompts, less so."""
    rng = np.random.default_rng(0)
    small, large = rng.normal(size=(16, 16)), rng.normal(size=(200, 16))
    rows = []
    for rewards in (small, large):
        result = plan(rewards, n=64, m=[16], estimators=["adaptive_tea"], groups=GROUPS, rng=0)
        (row,) = result.rows
        pilot = pilot_law(rewards, rng=0)
        assert len(row.resampled) == len(pilot.resamples)
        spread = np.std(row.resampled, ddof=1)
        assert row.snr_standard_error == pytest.approx(math.hypot(row.simulation_error, spread))
        alone = effective_n("adaptive_tea", n=64, m=16, law=pilot.law, groups=GROUPS, batch=64)
        assert row.snr == pytest.approx(alone.snr, abs=5 * alone.snr_standard_error + 1e-9)
        rows.append(row)
    assert rows[0].snr_standard_error > 1.5 * rows[1].snr_standard_error
    tight = plan(small, n=64, m=[8], estimators=["max_at_k"], groups=GROUPS)
    assert "more than a tenth of the 256 rewards" in tight.notes[0]
    with pytest.raises(ValueError, match="n=512 is beyond the 256 rewards of the pilot"):
        plan(small, n=512, m=[8])


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
    result = plan(n=8, m=[8], estimators=[lambda r: -r], groups=640)
    assert result.best is None
    assert result.rows[0].snr < 0
    assert not result.rows[0].ranked
    assert result.recommendation.recommended is None
    assert "every estimator moves the policy away" in result.recommendation.message
    assert "nan" not in str(result)
    with_rloo = plan(n=8, m=[8], estimators=[lambda r: -r, "rloo"], groups=640)
    assert with_rloo.rows[0].times == math.inf
    assert with_rloo.best is with_rloo.rows[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"n": 0.5}, "n=0.5 is not a deployment budget"),
        ({"n": 1e10}, "n=10000000000 is above 1,000,000,000"),
        ({"m": [1, 8]}, r"m=\[1, 8\] must be numbers of rollouts per prompt, each at least 2"),
        ({"m": []}, "each at least 2"),
        ({"m": [8.5]}, "m=8.5 must be a whole number"),
        ({"law": "gumbell"}, "did you mean 'gumbel'"),
        ({"law": [1.0, 1.0]}, "never differ: there is nothing to plan"),
        ({"law": "normal", "rollouts": [[0.0, 1.0]]}, "are two reward laws: give one of them"),
        ({"law": np.zeros((2, 2, 2))}, "shape"),
        ({"estimators": ["teaa"]}, "did you mean 'tea'"),
        ({"estimators": [("tea", {"alph": 0.5})]}, "no parameter 'alph'; did you mean 'alpha'"),
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
