"""What is learnt from other prompts, against the population it was drawn from."""

import numpy as np
import pytest

from bontea import BonteaError
from bontea.deploy import fit_prior, learn_prior
from bontea.deploy.standard import named_law
from bontea.tails import fit_beta
from bontea.theory import get_law


def draw(rng, prompts, m, law="normal", between=0.8, spread=0.25):
    """Prompts whose means and scales differ."""
    found = get_law(law)
    x = found.reward(found.latent.draw(rng, (prompts, m)))
    scale = np.exp(spread * rng.normal(size=(prompts, 1)))
    return between * rng.normal(size=(prompts, 1)) + scale * x


def test_moments_are_those_of_the_population():
    """A normal-inverse-gamma population gives its own parameters back."""
    rng = np.random.default_rng(0)
    freedom, weight, variance = 12.0, 3.0, 2.0
    s2 = variance * freedom / rng.chisquare(freedom, size=(4000, 1))
    mean = 5 + np.sqrt(s2 / weight) * rng.normal(size=(4000, 1))
    found = fit_prior(mean + np.sqrt(s2) * rng.normal(size=(4000, 16)))
    assert found.location == pytest.approx(5, abs=0.1)
    assert found.location_weight == pytest.approx(weight, rel=0.1)
    assert found.variance == pytest.approx(variance, rel=0.05)
    assert found.freedom == pytest.approx(freedom, rel=0.15)


@pytest.mark.parametrize("law", ["student_t", "uniform", "exponential"])
def test_the_spread_of_scales_is_free_of_the_form_of_the_law(law):
    """Kurtosis makes variances noisy; the two halves of a prompt do not share that noise."""
    rng = np.random.default_rng(1)
    alike = fit_prior(draw(rng, 3000, 32, law, spread=0.0))
    differ = fit_prior(draw(rng, 3000, 32, law, spread=0.25))
    assert alike.freedom > 40
    # trigamma(nu / 2) = 4 * 0.25^2
    assert differ.freedom == pytest.approx(9.0, rel=0.35)


@pytest.mark.parametrize("law", ["normal", "exponential", "atom"])
def test_the_form_is_read_from_the_rollouts(law):
    rng = np.random.default_rng(2)
    found = fit_prior(draw(rng, 200, 128, law)).law
    x = get_law(law).reward(get_law(law).latent.draw(rng, 400_000))
    if law == "atom":
        x = x[x > x.min()]  # what lies at the floor is counted apart
    x = (x - x.mean()) / x.std()
    for u in (0.0, 1.0, 2.0):
        assert found.excess(u) == pytest.approx(np.maximum(x - u, 0).mean(), rel=0.12, abs=0.002)


def test_refusals_are_a_floor():
    rng = np.random.default_rng(3)
    rewards = draw(rng, 100, 32)
    rewards[rng.random(rewards.shape) < 0.4] = -5.0
    found = fit_prior(rewards)
    assert found.floor
    assert found.scored == pytest.approx(0.6, abs=0.03)
    assert found.variance == pytest.approx(1.0, rel=0.2)
    assert not fit_prior(draw(rng, 100, 32)).floor


def test_few_values_have_a_ceiling():
    rng = np.random.default_rng(4)
    found = fit_prior(np.clip(np.round(draw(rng, 60, 32) + 3), 1, 5))
    assert found.ceiling == 5
    assert np.isinf(fit_prior(draw(rng, 60, 32)).ceiling)
    assert fit_prior(draw(rng, 60, 32), ceiling=9).ceiling == 9


def test_zero_one_rewards_have_a_beta_law():
    rng = np.random.default_rng(5)
    rewards = (rng.random((50, 16)) < rng.beta(0.5, 2, size=(50, 1))).astype(float)
    found = fit_prior(rewards)
    assert found.success == fit_beta(rewards.sum(1), np.full(50, 16))
    assert "Beta" in str(found)


def test_degenerate_prompts():
    with pytest.raises(BonteaError, match="no prompt has two rewards"):
        fit_prior([[1.0], [2.5]])
    one = fit_prior([[1.0, 2.0, 4.0]])
    assert one.prompts == 1
    assert one.variance > 0
    ragged = fit_prior([[1.0, 2.5], [3.0], [0.1, 0.7, 0.2, None]])
    assert ragged.prompts == 3
    assert 0.5 < ragged.scored < 1
    assert fit_prior(np.full((4, 4), 0.25)).variance == 0
    assert named_law("normal") is fit_prior([[0.1, 0.2], [0.5, 0.1]]).law


@pytest.mark.parametrize(("law", "verdict"), [("normal", "holds"), ("uniform", "fails")])
def test_trust_is_what_the_trial_supports(law, verdict):
    """A uniform law ends at a point of its own in each prompt, which mean and variance miss."""
    found = learn_prior(draw(np.random.default_rng(6), 150, 64, law), rng=0)
    assert found.verdict == verdict
    assert (found.trust == 0) == (verdict == "fails")
    assert found.message in str(found)


def test_too_few_prompts_to_try():
    found = learn_prior(draw(np.random.default_rng(7), 5, 64), rng=0)
    assert (found.verdict, found.trust) == ("unknown", 1.0)


def test_the_same_seed_gives_the_same_prior():
    rewards = draw(np.random.default_rng(8), 20, 32, "beta")
    assert learn_prior(rewards, rng=1).trust == learn_prior(rewards, rng=1).trust
