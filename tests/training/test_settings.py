"""Settings: defaults, checks, and messages that name value, limit and remedy."""

import pytest

from bontea.training.arms import parse_arm, parse_arms
from bontea.training.settings import Settings


def resolved(**values):
    settings = Settings.from_mapping(values, "test")
    settings.resolve()
    return settings


def test_the_embedded_default_needs_nothing():
    settings = resolved()
    assert settings.is_demo
    assert settings.batch_size % settings.rollouts == 0
    assert [arm.estimator for arm in settings.arms] == ["grpo", "max_at_k", "tea", "adaptive_tea"]


def test_own_model_gets_other_defaults():
    own = {"model": "m", "reward": "r", "prompts": "p"}
    assert resolved(**own).learning_rate == 1e-6
    assert resolved(**own, lora=8).learning_rate == 1e-5
    assert resolved(**own, batch_size=96).micro_batch == 8
    assert resolved(**own, learning_rate=3e-5).learning_rate == 3e-5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"deploy_n": 0}, "deploy_n=0 .* at least 1"),
        ({"tail_fraction": 0}, r"tail_fraction=0 .* above 0"),
        ({"tail_fraction": 1.5}, r"tail_fraction=1.5 .* at most 1"),
        ({"rollouts": 1}, "rollouts=1 .* at least 2"),
        ({"rollouts": 10}, "batch_size=96 .*rollouts=10.* 90 or 100"),
        ({"rollouts": 200}, "--batch-size 200"),
        ({"micro_batch": 7}, "micro_batch=7 does not divide"),
        ({"steps": 0}, "steps=0"),
        ({"steps": "many"}, "steps='many'"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"advantage_scale": "prompt"}, "none, group, batch"),
        ({"dtype": "int8"}, "float32, bfloat16"),
        ({"model": "mine"}, "--reward"),
        ({"model": "mine", "reward": "r"}, "--prompts"),
        ({"estimator": []}, "at least one"),
        ({"estimator": ["tea", "tea"]}, "twice"),
        ({"estimator": ["tea(0.5)"]}, "write a name"),
        ({"estimators": ["tea"]}, "did you mean 'estimator'"),
    ],
)
def test_bad_values_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        resolved(**values)


def test_processes_must_share_the_batch_evenly():
    settings = Settings()
    with pytest.raises(ValueError, match="5 processes"):
        settings.resolve(processes=5)
    settings = Settings()
    settings.resolve(processes=2)
    assert settings.micro_batch == 48


def test_arms():
    assert parse_arm("tea").params == {}
    arm = parse_arm("pkg.mod:fn(beta=2, names=['a', 'b'])")
    assert (arm.estimator, arm.params) == ("pkg.mod:fn", {"beta": 2, "names": ["a", "b"]})
    assert parse_arm("max_at_k(k=8)").folder == "max_at_k-k-8"
    assert [a.name for a in parse_arms(["a(x=(1, 2)),b", "c"])] == ["a(x=(1, 2))", "b", "c"]


@pytest.mark.parametrize("text", ["", "tea(", "tea(alpha)", "tea(alpha=open('x'))", "a b"])
def test_arms_run_no_code(text):
    with pytest.raises(ValueError, match="estimator"):
        parse_arm(text)
