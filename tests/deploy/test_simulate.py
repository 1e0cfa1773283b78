"""What a rule would have done, against running it by hand; and input that cannot be used."""

import json

import numpy as np
import pytest

from bontea import BonteaError, best_of_k
from bontea.deploy import Rule, fit_prior, simulate
from bontea.deploy.simulation import _fixed
from bontea.rollouts import as_rollouts


def draw(prompts=24, m=64, seed=0, spread=0.4):
    rng = np.random.default_rng(seed)
    scale = np.exp(spread * rng.normal(size=(prompts, 1)))
    return rng.normal(size=(prompts, 1)) + scale * rng.normal(size=(prompts, m))


REWARDS = draw()


def test_a_prompt_is_judged_by_the_others_only():
    """Moving one prompt far away changes what is learnt for the others, not its own decisions."""
    two = draw(3, 32, 1)
    found = simulate(two, price=0.05, orders=100, rng=0).outcomes[0]
    drawn = []
    rng = np.random.default_rng(2)
    for p in range(3):
        rule = Rule(fit_prior(np.delete(two, p, axis=0)), 0.05, max_n=32)
        for _ in range(60):
            rewards = rng.permutation(two[p])
            have = 0
            while have < 32 and (more := rule.decide(rewards[:have]).draw):
                have += more
            drawn.append(have)
    error = np.std(drawn) / np.sqrt(60)
    assert found.responses == pytest.approx(np.mean(drawn), abs=4 * error)


def test_it_saves_where_scales_differ_and_says_so():
    found = simulate(draw(60, 128), rng=0)
    assert [o.rule for o in found.outcomes] == [
        f"the reward of fixed N = {n}" for n in (4, 8, 16, 32)
    ]
    for outcome, n in zip(found.outcomes, (4, 8, 16, 32), strict=True):
        assert outcome.fixed_n == pytest.approx(n, rel=0.02)
        assert outcome.saving == pytest.approx(1 - outcome.responses / outcome.fixed_n)
        assert outcome.saving_low < outcome.saving < outcome.saving_high
        assert outcome.saving > 0.08
        assert outcome.reward_low < outcome.reward < outcome.reward_high
    assert found.verdict == "holds"
    json.dumps(found.to_dict(), allow_nan=False)
    assert "fewer than fixed" in str(found)


def test_bounded_laws_become_a_fixed_n():
    """Every prompt ends at a point of its own: not worse than fixed N by more than its noise."""
    rng = np.random.default_rng(3)
    scale = np.exp(0.25 * rng.normal(size=(150, 1)))
    rewards = rng.normal(size=(150, 1)) + scale * rng.random((150, 64))
    found = simulate(rewards, fixed_n=16, rng=0)
    assert found.verdict == "fails"
    assert abs(found.outcomes[0].saving) < 0.02


def test_price_budget_and_limits():
    found = simulate(REWARDS, price=0.05, budget=12, min_n=4, max_n=20, wave=4, rng=0)
    at_price, in_budget = found.outcomes
    assert at_price.price == 0.05
    assert 4 <= at_price.responses <= 20
    assert in_budget.responses == pytest.approx(12, rel=0.25)
    assert found.outcomes[0].ran_out == 0
    dear, cheap = (simulate(REWARDS, price=c, rng=0).outcomes[0] for c in (0.5, 0.01))
    assert dear.responses < cheap.responses
    assert dear.reward < cheap.reward


def test_running_out_of_rollouts_is_said():
    found = simulate(REWARDS, price=0.0, rng=0)
    assert found.outcomes[0].ran_out == 1
    assert found.outcomes[0].responses == 64
    assert "wanted more than the 64 rollouts" in found.warnings[0]
    assert found.outcomes[0].reward == pytest.approx(REWARDS.max(1).mean())


def test_the_same_seed_repeats():
    a, b, c = (simulate(REWARDS, fixed_n=8, rng=seed).to_dict() for seed in (0, 0, 1))
    assert a == b
    assert a != c


def test_unscorable_responses_are_drawn_and_paid():
    rng = np.random.default_rng(4)
    rewards = REWARDS.copy()
    rewards[rng.random(rewards.shape) < 0.5] = np.nan
    whole, half = (simulate(r, fixed_n=8, rng=0).outcomes[0] for r in (REWARDS, rewards))
    assert half.reward < whole.reward
    assert half.fixed_n == pytest.approx(8, rel=0.05)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_fixed_n_with_unscorable_responses_is_the_mean_over_subsets(n):
    from itertools import combinations

    group = np.array([0.3, np.nan, 1.2, -0.5, np.nan, 0.3, 2.0, np.nan])
    best = [
        np.nanmax(group[list(s)])
        for s in combinations(range(8), n)
        if np.isfinite(group[list(s)]).any()
    ]
    got = _fixed(group, group[np.isfinite(group)], np.array([n]))
    assert got[0] == pytest.approx(np.mean(best))
    clean = group[np.isfinite(group)]
    if n <= len(clean):
        assert _fixed(clean, clean, np.array([n]))[0] == pytest.approx(best_of_k(clean, n))


def test_zero_one_rewards_save_most():
    rng = np.random.default_rng(5)
    rewards = (rng.random((60, 64)) < rng.beta(0.4, 1.5, size=(60, 1))).astype(float)
    found = simulate(rewards, fixed_n=16, rng=0).outcomes[0]
    assert found.saving > 0.3


def test_constant_prompts_take_one_response():
    found = simulate(np.repeat([[1.0], [2.0], [4.0]], 32, axis=1), price=0.01, rng=0).outcomes[0]
    assert found.responses == 1
    assert found.reward == pytest.approx(7 / 3)


@pytest.mark.parametrize(
    "levels", [[0.0] * 10, [1.0] * 10, [-2.5] * 10, [1.0, 2.0, 4.0]], ids=["0", "1", "-2.5", "own"]
)
def test_where_one_response_is_as_good_as_any_number_nothing_is_saved(levels):
    """Fixed N = 1 has the mean reward of fixed N = 4, 8, 16: a rule has to compete with that."""
    found = simulate(np.repeat(np.array(levels)[:, None], 64, axis=1), rng=0)
    for outcome in found.outcomes:
        assert outcome.responses == 1
        assert outcome.fixed_n == pytest.approx(1)
        assert outcome.saving == outcome.saving_low == outcome.saving_high == pytest.approx(0)


def test_a_rule_that_overshoots_is_compared_with_the_n_asked_for():
    """No price gives 99.99 % solved: the rule solves all, as a fixed N of 19 and more does."""
    rng = np.random.default_rng(0)
    found = simulate((rng.random((30, 64)) < 0.7).astype(float), rng=0)
    for outcome in found.outcomes[1:]:
        assert outcome.reward == 1
        assert outcome.fixed_n == outcome.asked_n
        assert outcome.saving == pytest.approx(1 - outcome.responses / outcome.asked_n)
        assert outcome.saving_high <= 1 - 1 / outcome.asked_n


def test_fixed_n_is_reported_and_prices_can_be_used_again():
    found = simulate(REWARDS, rng=0)
    assert [f.n for f in found.fixed] == [1, 2, 4, 8, 16, 32, 64]
    for f in found.fixed:
        assert f.reward == pytest.approx(np.mean(best_of_k(REWARDS, f.n)), abs=0.01)
        assert f.reward_low < f.reward < f.reward_high
    for n, outcome in zip((4, 8, 16), found.outcomes, strict=True):
        assert outcome.asked_n == n
        again = simulate(REWARDS, price=float(f"{outcome.price:.3g}"), rng=0).outcomes[0]
        assert again.asked_n is None
        assert again.responses == pytest.approx(outcome.responses, rel=0.02)
        assert again.reward == pytest.approx(outcome.reward, abs=0.02)


def test_small_prompts_are_left_out_and_said():
    rows = [*REWARDS.tolist(), [1.0, 2.0], [None] * 64]
    found = simulate(rows, fixed_n=8, rng=0)
    assert found.prompts == 24
    assert "2 of 26 prompts are left out" in found.warnings[0]
    assert simulate(as_rollouts(REWARDS), fixed_n=8, rng=0).prompts == 24


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"price": -1}, "price=-1 must be a finite number of at least 0"),
        ({"fixed_n": 33}, "fixed_n=33 must be a whole number from 2 to 32, half of the 64"),
        ({"fixed_n": 10**9}, "fixed_n=1000000000"),
        (
            {"budget": 40},
            "budget=40 responses a prompt must lie between min_n=1 and 32: every prompt has 64",
        ),
        ({"budget": 4, "min_n": 8}, "budget=4"),
        ({"min_n": 65}, "min_n=65 exceeds the 64 rollouts"),
        ({"max_n": 10**9 + 1}, "max_n=1000000001"),
        ({"orders": 0}, "orders=0"),
        ({"confidence_level": 1.0}, "confidence_level=1.0"),
        ({"tail": "cauchy"}, "tail='cauchy' is not known"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, said):
    with pytest.raises(BonteaError, match=said):
        simulate(REWARDS, **arguments)


def test_too_few_prompts_or_rollouts():
    with pytest.raises(BonteaError, match="2 prompts can be used, and 3 are needed"):
        simulate(REWARDS[:2])
    with pytest.raises(BonteaError, match="every prompt has 8 rollouts, and at least 16"):
        simulate(REWARDS[:, :8])
