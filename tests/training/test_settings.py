"""Settings: defaults, checks, and messages that name value, limit and remedy."""

import pytest

from bontea.training.settings import Settings


def resolved(**values):
    settings = Settings.from_dict(values, "test")
    settings.resolve()
    return settings


def test_the_embedded_default_needs_nothing():
    settings = resolved()
    assert settings.is_demo
    assert settings.batch_size % settings.rollouts == 0
    assert list(settings.arms) == ["grpo", "max_at_k", "tea", "adaptive_tea"]


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
        ({"rollouts": 8, "batch_size": 7}, "use --batch-size 8$"),
        ({"micro_batch": 0}, "micro_batch=0"),
        ({"seed": -1}, "seed=-1 must be a whole number from 0"),
        ({"seed": 2**32}, "seed=4294967296"),
        ({"max_new_tokens": 0}, "max_new_tokens=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0"),
        ({"eval_batch": 0}, "eval_batch=0"),
        ({"estimator": "..:x"}, "must be MODULE:FUNCTION"),
        ({"steps": 0}, "steps=0"),
        ({"steps": "many"}, "steps='many'"),
        ({"learning_rate": -1.0}, "learning_rate=-1.0"),
        ({"advantage_scale": "prompt"}, "none, group, batch"),
        ({"dtype": "int8"}, "float32, bfloat16"),
        ({"model": "mine"}, "--reward"),
        ({"model": "mine", "reward": "r"}, "--prompts"),
        ({"estimator": []}, "at least one"),
        ({"estimator": ["tea", "tea"]}, "twice"),
        ({"estimator": ["tea", "tea()"]}, "twice"),
        ({"estimator": ["linear_tea(alpha=.5)", "linear_tea(alpha=0.50)"]}, "twice"),
        ({"estimator": ["collections:Counter(a=1)", "collections:Counter(a=-1)"]}, "Counter-a-1, "),
        ({"estimator": ["tea(0.5)"]}, "write parameters as NAME=VALUE"),
        ({"estimator": ["start"]}, "unknown estimator 'start'"),
        ({"estimator": 3}, "test: estimator=3 must be a list"),
        ({"trl": ["a=b"]}, "test: trl=.* must be names with values"),
        ({"model": 7}, "test: model=7 must be text"),
        ({"trust_remote_code": "no"}, "must be true or false"),
        ({"rollouts": True}, "rollouts=True must be a whole number"),
        ({"beta": "1e-4"}, "beta='1e-4' must be a number"),
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


def test_arms_are_named_by_their_folders():
    texts = ["max_at_k( k = 8 ),max_at_k", "tea(alpha=.5, center=False)"]
    arms = resolved(estimator=texts).arms
    assert list(arms) == ["max_at_k-k-8", "max_at_k", "tea-alpha-0.5-center-False"]
    assert [spec.label for spec in arms.values()] == [
        "max_at_k(k=8)", "max_at_k", "tea(alpha=0.5, center=False)",
    ]  # fmt: skip
    assert list(resolved(estimator="grpo").arms) == ["grpo"]


@pytest.mark.parametrize("text", ["", "tea(", "tea(alpha)", "tea(alpha=open('x'))", "a b"])
def test_arms_run_no_code(text):
    with pytest.raises(ValueError, match="estimator"):
        resolved(estimator=[text])
