"""Numbers that stand for "no reward" are refused by value, prompt and row; outliers are not."""

import json
import math

import numpy as np
import pytest

from bontea import read_rollouts
from bontea._numbers import number
from bontea.cli import main
from bontea.curves import compare, curve, extrapolate
from bontea.planning import diagnose, plan
from bontea.rollouts.groups import as_rollouts
from bontea.rollouts.sentinels import find_sentinels

REWARDS = np.random.default_rng(0).normal(size=(12, 16))
SENTINELS = [
    -1e20, 1e20, -1e30, 1e30, -1e9, 1e10, -9999.0, 99999.0, -999999.0, 2.0**31 - 1, -(2.0**31),
    -(2.0**63), float(np.finfo(np.float32).min), float(np.finfo(np.float64).min), -3.4028235e38,
    float(np.finfo(np.float64).max), -65504.0, 4.2e15,
]  # fmt: skip


def spoilt(value, unit=1.0):
    rewards = REWARDS * unit
    rewards[3, 5] = value
    return rewards


@pytest.mark.parametrize("value", SENTINELS)
@pytest.mark.parametrize(
    "function",
    [
        lambda r: as_rollouts(r).scored(),
        curve,
        lambda r: compare(r, REWARDS),
        lambda r: extrapolate(r, 64),
        lambda r: diagnose(r, groups=100),
        lambda r: plan(r, n=16, groups=100),
    ],
)
def test_refused_with_value_place_and_remedy(value, function):
    with pytest.raises(ValueError, match="prompt 3, rollout 5: the reward") as caught:
        function(spoilt(value))
    message = str(caught.value)
    assert f"the reward {number(value)} lies" in message
    assert "give null" in message
    assert "\n" not in message


@pytest.mark.parametrize("share", [2, 50, 150])
def test_many_of_them(share):
    rewards = REWARDS.ravel().copy()
    rewards[:share] = -1e20
    with pytest.raises(ValueError, match=f"{share} of 192 rewards are like it"):
        as_rollouts(rewards.reshape(12, 16)).scored()
    rewards[0] = 2.0**31 - 1  # of two kinds
    assert find_sentinels(rewards).sum() == share


@pytest.mark.parametrize("value", [30.0, -30.0, 100.0, 1000.0, -1000.0, 2500.0, 12345.0])
def test_an_outlier_is_a_reward(value):
    assert as_rollouts(spoilt(value)).scored().rewards.max() == max(value, REWARDS.max())


@pytest.mark.parametrize("unit", [1e-30, 1e-8, 1e6, 1e9, 1e20, 1e30, 1e100, 3.4028234663852886e38])
def test_a_unit_is_not_a_sentinel(unit):
    """Also where the unit itself is a number that is known for this use."""
    assert not find_sentinels(REWARDS.ravel() * unit).any()
    assert not find_sentinels(np.array([0.0, 1, 1, 0.5]) * unit).any()
    pair = np.array([0.0, 1.0, 0.0, 1.0]) * unit
    assert find_sentinels(pair).any() == (1e38 < unit < 1e39)  # nothing to compare with but 0


@pytest.mark.parametrize("law", ["standard_cauchy", "lognormal", "standard_exponential"])
def test_heavy_tails_are_rewards(law):
    draws = getattr(np.random.default_rng(0), law)(size=(200, 192))
    assert not any(find_sentinels(row).any() for row in draws)


def test_nan_and_empty():
    assert not find_sentinels(np.array([math.nan, math.nan])).any()
    assert not find_sentinels(np.array([])).any()
    assert find_sentinels(np.array([math.nan, -1e20, 0.5])).tolist() == [False, True, False]


@pytest.mark.parametrize("size", [1e160, 1.7e308, 1e-200])
def test_rewards_without_squares(size):
    with pytest.raises(ValueError, match=r"squared: (divide|multiply) all rewards"):
        curve(REWARDS / 4 * size)


@pytest.mark.parametrize("command", ["curve", "diagnose", "plan"])
def test_the_row_of_the_file(command, tmp_path, capsys):
    path = tmp_path / "rollouts.jsonl"
    rows = [
        {"prompt": f"p{p}", "reward": float(r)} for p, group in enumerate(REWARDS) for r in group
    ]
    rows[3 * 16 + 5]["reward"] = -1e20
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_rollouts(path).rewards.min() == -1e20  # as the file has it
    arguments = {
        "curve": ["curve", str(path)],
        "diagnose": ["diagnose", str(path), "--deploy-n", "16"],
        "plan": ["plan", "--pilot", str(path), "--deploy-n", "16"],
    }
    assert main(arguments[command]) != 0
    said = capsys.readouterr().err.strip()
    assert "row 54 (prompt 3 ('p3'), rollout 5): the reward -1e20" in said
    assert len(said.splitlines()) == 1
