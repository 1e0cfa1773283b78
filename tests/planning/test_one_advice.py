"""One advice: `diagnose` and `plan`, in Python and as commands, say the same of the same data."""

import json

import numpy as np
import pytest

from bontea._errors import BonteaError
from bontea.advantages import EstimatorSpec
from bontea.cli import main
from bontea.curves import curve, extrapolate
from bontea.diagnosis import Admission
from bontea.planning import diagnose, plan
from bontea.planning.choose import unmeasured
from bontea.rollouts import as_rollouts, read_rollouts
from bontea.theory import get_law

GROUPS = 640
SHAPES = [(64, 64), (64, 16), (10, 16)]


def rounded(step):
    return lambda r, s: step * np.round(r.normal(size=s) / step)


LAWS = {
    "normal": lambda r, s: r.normal(size=s),
    "uniform": lambda r, s: r.uniform(size=s),
    "exponential": lambda r, s: r.exponential(size=s),
    "student t 3": lambda r, s: r.standard_t(3, size=s),
    "student t 4": lambda r, s: r.standard_t(4, size=s),
    "lognormal": lambda r, s: r.lognormal(0, 0.5, size=s),
    "gumbel": lambda r, s: r.gumbel(size=s),
    "rounded to 1/4": rounded(0.25),
    "rounded to 1/2": rounded(0.5),
    "rounded to 1": rounded(1.0),
    "atom below": lambda r, s: np.where(r.random(s) < 0.4, 0, r.normal(2, 0.5, size=s)),
    "clipped at 1": lambda r, s: np.minimum(r.normal(size=s), 1),
    "0/1": lambda r, s: (r.random(s) < r.beta(0.5, 3, size=(s[0], 1))).astype(float),
    "two levels": lambda r, s: 5.0 * (np.arange(s[0]) % 2)[:, None] + r.normal(size=s),
    "beta": lambda r, s: r.beta(2, 2, size=s),
    "scales apart": lambda r, s: np.exp(2 * r.normal(size=(s[0], 1))) * r.normal(size=s),
    "ties, prompts apart": lambda r, s: 9.0 * np.arange(s[0])[:, None] + rounded(1)(r, s),
}
FEW = [
    ("uniform", (64, 64)),
    ("rounded to 1/2", (64, 64)),
    ("atom below", (64, 64)),
    ("two levels", (64, 16)),
    ("0/1", (10, 16)),
]


def agree(rewards, n):
    """Same estimator, M, sentence and rows."""
    found = diagnose(rewards, n=n, groups=GROUPS, rng=0)
    planned = plan(rewards, n=n, m=found.m, groups=GROUPS, rng=0)
    assert planned.recommendation == found.recommendation
    assert planned.recommendation.recommended == found.recommendation.recommended
    assert planned.recommendation.m == found.recommendation.m == found.m
    rows = [json.dumps(row.to_dict()) for row in planned.rows]
    assert rows == [json.dumps(row.to_dict()) for row in found["ranking"].rows]
    one, two = found.to_dict(), planned.to_dict()
    for key in ("recommended", "reason", "m", "verdict", "recommendation"):
        assert one[key] == two[key]
    return found.recommendation


@pytest.mark.parametrize(("name", "shape"), FEW)
def test_diagnose_and_plan_say_the_same(name, shape):
    advice = agree(LAWS[name](np.random.default_rng(0), shape), 128)
    right = {"0/1": "pass_at_n", "rounded to 1/2": "adaptive_tea", "two levels": "adaptive_tea"}
    assert advice.estimator.name == right.get(name, "max_at_k")


def test_few_rewards_and_another_budget():
    """10 prompts of 16: too few to see a tail, for both."""
    advice = agree(LAWS["normal"](np.random.default_rng(0), (10, 16)), 64)
    assert (advice.recommended, advice.m) == ("max_at_k(k=6)", 16)
    assert advice.verdict == "too little data"


def test_where_nothing_can_be_learnt():
    """94 % of the prompts have equal rewards: no figures in one, refused rows in the other."""
    rewards = np.where(
        np.arange(64)[:, None] < 60, 0, np.random.default_rng(0).normal(size=(64, 16))
    )
    found = diagnose(rewards, n=32, groups=GROUPS, rng=0)
    planned = plan(rewards, n=32, m=found.m, groups=GROUPS, rng=0)
    assert planned.recommendation == found.recommendation
    assert found.recommendation.recommended is None
    assert found["ranking"] is None
    assert not any(row.admitted for row in planned.rows)
    assert {row.reason for row in planned.rows} == {"not admitted: the rewards do not differ"}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LAWS)
def test_diagnose_and_plan_say_the_same_everywhere(name, shape):
    agree(LAWS[name](np.random.default_rng(1), shape), 128)


def write(path, rewards, strata=None):
    with path.open("w") as file:
        for p, row in enumerate(rewards):
            for reward in row:
                fields = {"prompt_id": f"p{p}", "reward": float(reward)}
                if strata is not None:
                    fields["stratum"] = strata[p]
                file.write(json.dumps(fields) + "\n")
    return str(path)


@pytest.mark.parametrize("name", ["normal", "beta"])
def test_the_two_commands_say_the_same(name, tmp_path, capsys, monkeypatch):
    from functools import partial

    import bontea.planning

    # The commands leave `groups` at its default; fewer make the test shorter.
    monkeypatch.setattr(bontea.planning, "plan", partial(plan, groups=GROUPS))
    monkeypatch.setattr(bontea.planning, "diagnose", partial(diagnose, groups=GROUPS))
    path = write(tmp_path / "r.jsonl", LAWS[name](np.random.default_rng(2), (48, 32)))
    assert main(["diagnose", path, "--deploy-n", "128", "--rollouts", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    command = ["plan", "--deploy-n", "128", "--rollouts", "12", "--pilot", path, "--json"]
    assert main(command) == 0
    planned = json.loads(capsys.readouterr().out)
    for key in ("recommended", "reason", "m", "verdict", "recommendation"):
        assert found[key] == planned[key], key
    assert found["ranking"]["rows"] == [
        {key: value for key, value in row.items() if key in found["ranking"]["rows"][0]}
        for row in planned["rows"]
    ]
    assert found["recommended"] == {"normal": "adaptive_tea", "beta": "max_at_k(k=6)"}[name]


def test_strata_go_all_the_way(tmp_path):
    """Two strata at 0 and 10: the same interval in all, a tenth of the one without strata."""
    rng = np.random.default_rng(3)
    levels = np.repeat([0.0, 10.0], 32)
    rewards = levels[:, None] + rng.normal(size=(64, 16))
    names = ["easy" if level else "hard" for level in levels]
    rollouts = read_rollouts(write(tmp_path / "two.jsonl", rewards, names))
    assert sorted(set(rollouts.strata)) == ["easy", "hard"]
    ns = [1, 2, 4, 8, 16]
    seen = curve(rollouts, ns, rng=0)
    worth = plan(rollouts, n=8, m=8, estimators=["rloo"], groups=GROUPS, rng=0).deployment
    assert worth.ns.tolist()[:5] == ns
    for name in ("value", "low", "high"):
        assert getattr(worth, name)[:5].tolist() == getattr(seen, name).tolist()
    value, low, high = seen.at(8)
    beyond = extrapolate(rollouts, [8])
    width = high - low
    assert abs(beyond.low[0] - low) < 0.1 * width
    assert abs(beyond.high[0] - high) < 0.1 * width
    assert low < 5 + 1.4236 < high
    plain = as_rollouts(rewards)
    for bare in (curve(plain, [8], rng=0), extrapolate(plain, [8])):
        assert bare.value[0] == pytest.approx(value, abs=0.1)
        assert bare.high[0] - bare.low[0] > 8 * width
    lost = plan(plain, n=8, m=8, estimators=["rloo"], groups=GROUPS, rng=0).deployment
    assert lost.high[3] - lost.low[3] > 8 * width


def test_rewards_in_the_place_of_a_law_are_rewards():
    """plan(law=rollouts) was one flat law of all prompts, on which two levels look like a tail."""
    flat = np.random.default_rng(4).normal(size=(64, 16))
    apart = flat + 5.0 * (np.arange(64) % 2)[:, None]
    options = {"n": 128, "m": 16, "estimators": ["max_at_k", "adaptive_tea", "linear_tea"]}
    options |= {"groups": GROUPS, "rng": 0}
    plans = [
        plan(given, **options) if where == "rollouts" else plan(law=given, **options)
        for where in ("rollouts", "law")
        for given in (apart, as_rollouts(apart), apart.tolist())
    ]
    first = json.dumps(plans[0].to_dict())
    assert all(json.dumps(other.to_dict()) == first for other in plans[1:])
    level = plan(flat, **options)
    assert level.recommendation.recommended == plans[0].recommendation.recommended == "adaptive_tea"
    for one, two in zip(level.rows, plans[0].rows, strict=True):
        assert one.snr == pytest.approx(two.snr, rel=1e-6)  # a level is no part of the law
    with pytest.raises(ValueError, match="many prompts"):
        get_law(apart)


def test_one_step_that_supports_no_tail_is_said_and_decides_nothing():
    rewards = np.random.default_rng(0).normal(size=(40, 16))
    d = diagnose(rewards, n=128, m=16, groups=GROUPS, rng=0)
    p = plan(rewards, n=128, m=16, groups=GROUPS, rng=0)
    assert (d["tail"].steps, d["tail"].refused) == (1, 1.0)
    for advice in (d.recommendation, p.recommendation):
        assert advice.recommended == "adaptive_tea"
        assert "In the one step made of these rewards adaptive_tea supports no tail" in str(advice)
        assert "One step in nine does so by chance on normal rewards" in str(advice)


def test_adaptive_tea_is_not_named_where_its_steps_support_no_tail():
    admission = Admission("normal", "", m=16, n=128, tails="all", falls_back=True)
    assert "supports no tail fraction" in admission.refusal(EstimatorSpec.parse("adaptive_tea"))
    assert admission.refusal(EstimatorSpec.parse("linear_tea")) == ""
    assert unmeasured(128, admission).label == "max_at_k(k=6)"


def test_a_group_larger_than_a_step():
    rewards = np.random.default_rng(0).normal(size=(16, 16))
    with pytest.raises(BonteaError, match="m=2000 is above 1,024"):
        diagnose(rewards, m=2000)
