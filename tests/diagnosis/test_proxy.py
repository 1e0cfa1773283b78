"""Does best-of-N climb what counts, or the reward only: the finding against simple routes."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from bontea._errors import BonteaError
from bontea.curves import best_of_k, measured_best_of_k
from bontea.diagnosis import gather
from bontea.diagnosis.proxy import look
from bontea.rollouts import as_rollouts

RNG = np.random.default_rng(0)
S = RNG.normal(size=(40, 32))
NOISE = RNG.normal(size=S.shape)


def finding(measure, rewards=S, name="judge"):
    data = as_rollouts(rewards, scores={"judge": measure})
    return look(gather(data, n=64, measure=name, rng=0))


@pytest.mark.parametrize(
    ("measure", "verdict", "mark", "says"),
    [
        (S + 0.3 * NOISE, "both rise", "ok", "both rise"),
        (np.minimum(S, 0.5) + 0.3 * NOISE, "proxy only", "look", "climbs the proxy only"),
        (S - 0.5 * S**2 + 0.3 * NOISE, "measure falls", "look", "and the measure falls"),
        (-S + 0.3 * NOISE, "measure falls", "stop", "deploy N = 1"),
        (NOISE, "proxy only", "look", "that the measure rises is not shown"),
    ],
)
def test_what_it_says(measure, verdict, mark, says):
    found = finding(measure)
    assert (found.verdict, found.mark) == (verdict, mark)
    assert says in found.text
    assert found.to_dict()["verdict"] == verdict


def test_numbers():
    measure = np.minimum(S, 0.8) + 0.3 * NOISE
    found = finding(measure)
    assert (found.start, found.end, found.prompts) == (8, 32, 40)
    gain = measured_best_of_k(S, measure, [8, 32])
    assert found.measure_gain.value == pytest.approx((gain[:, 1] - gain[:, 0]).mean())
    assert found.proxy_gain == pytest.approx(np.diff(best_of_k(S, [8, 32]).mean(0))[0])
    overall = [spearmanr(s, r).statistic for s, r in zip(S, measure, strict=True)]
    assert found.overall.value == pytest.approx(np.mean(overall))
    tail = []
    for s, r in zip(S, measure, strict=True):
        best = np.argsort(s)[-8:]
        tail.append(spearmanr(s[best], r[best]).statistic)
    assert found.tail.value == pytest.approx(np.mean(tail))
    assert found.tail.value < found.overall.value / 2  # they agree, but not where it counts
    assert found.tail.interval[0] < found.tail.value < found.tail.interval[1]


def test_ties_at_the_threshold_are_all_in():
    s = np.tile([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 0.0], (5, 1))
    r = RNG.normal(size=s.shape)
    found = finding(r, s)
    tail = [spearmanr(a[:6], b[:6]).statistic for a, b in zip(s, r, strict=True)]
    assert found.tail.value == pytest.approx(np.mean(tail))


@pytest.mark.parametrize(
    ("measure", "says"),
    [
        (np.full(S.shape, 2.0), "judge is 2 for every response"),
        (np.where(S > 1, np.nan, NOISE), "no fair sample"),
    ],
)
def test_why_there_is_none(measure, says):
    assert says in finding(measure)


def test_a_reward_at_its_end_climbs_nothing():
    rewards = np.minimum(S, -0.5)
    found = finding(NOISE[:, :8], np.sort(rewards)[:, -8:])
    assert found.verdict == "neither rises"
    assert "more responses change nothing" in found.text


def test_few_rollouts_one_prompt_and_no_measure():
    assert "needs 4 responses" in finding(NOISE[:, :3], S[:, :3])
    assert "2 prompts are needed" in finding(NOISE[:1], S[:1])
    assert finding(NOISE, name=None) is None
    assert "is the reward itself" in finding(NOISE, name="reward")
    with pytest.raises(BonteaError, match="no score 'jugde'"):
        finding(NOISE, name="jugde")


def test_missing_scores_are_said():
    measure = S + NOISE
    measure[RNG.random(S.shape) < 0.05] = np.nan
    found = finding(measure)
    assert "have no judge, and do not count" in found.text
