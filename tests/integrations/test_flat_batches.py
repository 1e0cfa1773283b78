"""The step that all adapters share: what gets 0 and is counted, sessions, settings as text."""

import argparse
import dataclasses
import json
import logging
import warnings

import numpy as np
import pytest

import bontea
from bontea import ADVANTAGES, GroupTooSmallError
from bontea.integrations._settings import Settings, read_settings
from bontea.integrations._step import AdvantageStep

RNG = np.random.default_rng


def batch(sizes=(16, 16, 9, 16), seed=0):
    ids = np.repeat([f"p{i}" for i in range(len(sizes))], sizes)
    order = RNG(seed).permutation(len(ids))
    return RNG(seed + 1).normal(size=len(ids)), ids[order]


def step(settings, rewards, ids, **kwargs):
    flat = AdvantageStep(settings)
    return flat(rewards, ids, **kwargs), flat.metrics


def raw(name="tea", **kwargs):
    return Settings(estimator=name, scale="none", **kwargs)


def tea(**kwargs):
    return Settings("tea", **kwargs)


@pytest.mark.parametrize("name", sorted(set(ADVANTAGES) - {"prefix_tea"}))
def test_is_the_core_function(name):
    rewards, ids = batch()
    if name in ("pass_at_k", "pass_at_n", "inference_aware", "max_rl"):
        rewards = (rewards > 0).astype(float)
    params = {"k": 4} if name in ("max_at_k", "pkpo", "pkpo_loo", "pass_at_k") else {}
    got, metrics = step(raw(name, params=params), rewards, ids)
    offered = {"n": 128, "alpha": 0.25, "history": np.zeros((0, 16))}
    code = ADVANTAGES[name].__code__
    accepted = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    params |= {key: value for key, value in offered.items() if key in accepted}
    np.testing.assert_allclose(got, bontea.advantages_for(rewards, ids, name, **params), atol=1e-12)
    assert (metrics["groups"], metrics["rollouts"]) == (4, 57)


def test_scale_by_batch_and_group():
    rewards, ids = batch()
    plain, _ = step(raw(), rewards, ids)
    got, _ = step(tea(), rewards, ids)
    np.testing.assert_allclose(got, bontea.scale_advantages(plain))
    got, _ = step(tea(scale="group"), rewards, ids)
    np.testing.assert_allclose(got, bontea.scale_advantages(plain, ids, by="group"))


def test_what_gets_zero_is_counted_and_is_no_part_of_the_scale():
    """Each of the five kinds, beside a batch whose advantages stay as they were."""
    rewards, ids = batch()
    before, _ = step(Settings("max_at_k", params={"k": 4}), rewards, ids)
    extra_ids = ["pad"] * 20 + ["alone"] + ["p0"] * 2
    extra = [0.0] * 20 + [3.0] + [np.nan, np.inf]
    got, metrics = step(
        Settings("max_at_k", params={"k": 4}),
        np.append(rewards, extra),
        np.append(ids, extra_ids),
        padding=np.append(np.zeros(57, bool), [True] * 20 + [False] * 3),
    )
    assert (got[57:] == 0).all()
    np.testing.assert_allclose(got[:57], before, atol=1e-12)
    names = ("padding", "unscorable", "alone", "small", "constant")
    assert [metrics[f"zeroed_{name}"] for name in names] == [20, 2, 1, 0, 0]
    assert metrics["unscorable"] == 2 / 60

    # A group that is too small and one that is constant are rollouts like others.
    got, metrics = step(
        Settings("max_at_k", params={"k": 4}),
        np.concatenate([rewards, [1, 2, 3, 4], [5, 5]]),
        np.concatenate([ids, ["s"] * 4, ["c"] * 2]),
    )
    assert (got[57:] == 0).all()
    assert [metrics[f"zeroed_{name}"] for name in names] == [0, 0, 0, 4, 2]
    np.testing.assert_allclose(got[:57], before * np.sqrt(63 / 57), rtol=1e-5)


def test_k_that_is_not_given_fits_every_group():
    """One lost rollout must not cost its group all advantages."""
    rewards, ids = batch((16, 15, 2))
    got, metrics = step(raw("max_at_k"), rewards, ids)
    for group, m in (("p0", 16), ("p1", 15), ("p2", 2)):
        mine = rewards[ids == group]
        np.testing.assert_allclose(
            got[ids == group], bontea.max_at_k(mine, k=min(6, m - 1)), atol=1e-12
        )
    assert metrics["zeroed_small"] == 0


def test_a_rollout_counts_once():
    """With its last row by `order`, and all its rows get its advantage; rows come in any order."""
    rewards, ids = batch()
    once, _ = step(tea(), rewards, ids)
    parts = RNG(2).integers(1, 4, len(ids))
    owner = np.repeat(np.arange(len(ids)), parts)
    turn = np.concatenate([np.arange(p) for p in parts])
    values = RNG(3).normal(size=len(owner))
    values[np.cumsum(parts) - 1] = rewards
    mixed = RNG(4).permutation(len(owner))
    got, metrics = step(
        tea(), values[mixed], ids[owner][mixed], rollouts=owner[mixed], order=turn[mixed]
    )
    np.testing.assert_allclose(got, once[owner][mixed], atol=1e-12)
    assert metrics["rollouts"] == 57
    # Without an order the last in the batch.
    got, _ = step(tea(), values, ids[owner], rollouts=owner)
    np.testing.assert_allclose(got, once[owner], atol=1e-12)


@pytest.mark.parametrize(
    ("rewards", "ids"),
    [
        ([], []),
        ([1.0], ["a"]),
        ([None, None], ["a", "a"]),
        ([np.nan, np.inf, -np.inf], ["a", "a", "b"]),
        ([2.0] * 12, ["a"] * 12),
        ([0.0, 1.0], ["a", "b"]),
    ],
)
@pytest.mark.parametrize("scale", ["none", "group", "batch"])
def test_nothing_to_learn(rewards, ids, scale):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, metrics = step(tea(scale=scale), rewards, ids)
    assert got.tolist() == [0.0] * len(ids)
    assert all(np.isfinite(list(metrics.values())))


def test_all_padding():
    got, metrics = step(tea(), [1.0, 2.0], ["a", "a"], padding=[True, True])
    assert got.tolist() == [0, 0]
    assert metrics["zeroed_padding"] == 2


def test_later_batches_do_not_raise():
    """A group size or a reward that cannot work stops the first batch; later ones get zeros."""
    small = ([1.0, 2.0], ["a", "a"])
    with pytest.raises(ValueError, match="largest group of the first batch"):
        step(raw("tea"), *small)
    flat = AdvantageStep(raw("tea"))
    flat(*batch())
    assert flat(*small).tolist() == [0, 0]
    assert flat.metrics["zeroed_small"] == 2

    with pytest.raises(ValueError, match="0/1 rewards"):
        step(raw("pass_at_n"), [0.5, 1.0], ["a", "a"])
    flat = AdvantageStep(raw("pass_at_n"))
    flat([0, 1, 1, 1], ["a", "a", "b", "b"])
    assert flat([0.5, 1.0], ["a", "a"]).tolist() == [0, 0]


def test_settings_are_tried_before_the_first_batch():
    with pytest.raises(ValueError, match="did you mean 'tea'"):
        AdvantageStep(raw("tee"))
    with pytest.raises(ValueError, match="did you mean 'alpha'"):
        AdvantageStep(raw("tea", params={"alhpa": 1}))
    with pytest.raises(GroupTooSmallError, match="k <= 7"):
        AdvantageStep(raw("max_at_k", params={"k": 8}), m=8)
    AdvantageStep(raw("max_at_k", params={"k": 200}))  # groups may be large


def test_random_estimators_repeat_by_seed_and_differ_by_batch():
    def two(seed):
        flat = AdvantageStep(raw("prefix_tea", seed=seed))
        return [flat(*batch()) for _ in range(2)]

    (first, second), (again, _), (other, _) = two(0), two(0), two(1)
    assert np.array_equal(first, again)
    assert not np.allclose(first, second)
    assert not np.allclose(first, other)


# Memory


def remembering(rewards, *, history=None):
    """The advantage is how many groups came before, -1 where that is not said."""
    return np.zeros_like(rewards) + (-1 if history is None else len(history))


def test_estimators_with_a_history_get_the_groups_before():
    run = AdvantageStep(raw(remembering))
    seen = [run(*batch(sizes=(4, 4, 2)))[0] for _ in range(4)]
    assert seen == [0, 3, 6, 9]
    assert run(*batch(sizes=(4, 4)), training=False)[0] == -1
    assert run(*batch(sizes=(4, 4)))[0] == 12  # evaluation neither uses nor fills it
    for _ in range(200):
        last = run(*batch(sizes=(4, 4)))[0]
    assert last == 256  # and it forgets
    for _ in range(4):
        last = run(*batch(sizes=(4,) * 100))[0]
    assert last == 200  # in whole batches
    run(*batch(sizes=(4,) * 300))
    assert run(*batch(sizes=(4,) * 300))[0] == 0


def test_adaptive_tea_decides_on_the_groups_before_as_well():
    """Two prompts say nothing; after a hundred it is known that there is a tail."""
    run = AdvantageStep(raw("adaptive_tea"))
    history = np.zeros((0, 16))
    for seed in range(60):
        rewards, ids = batch(sizes=(16, 16), seed=seed)
        got = run(rewards, ids)
        expected = bontea.advantages_for(rewards, ids, "adaptive_tea", n=128, history=history)
        np.testing.assert_array_equal(got, expected)
        assert run.metrics["supported_tail"] <= (0.25 if len(history) < 62 else 0.75)
        history = np.concatenate([history, [rewards[ids == "p0"], rewards[ids == "p1"]]])
    assert run.metrics["supported_tail"] == 0.75
    np.testing.assert_array_equal(
        got, bontea.advantages_for(rewards, ids, "linear_tea", n=128, alpha=0.75)
    )


def test_a_step_goes_on_from_its_state():
    """Through JSON, as a checkpoint has it: the memory, the random orders, what was said."""

    def steps(run, numbers):
        out = []
        for seed in numbers:
            rewards, ids = batch(sizes=(16, 12, 16), seed=seed)
            out += [run(np.where(rewards < -1.5, np.nan, rewards), ids), run.metrics]
        return out

    for name in ("adaptive_tea", "prefix_tea"):
        unbroken = AdvantageStep(raw(name))
        expected = steps(unbroken, range(8))
        first, second = AdvantageStep(raw(name)), AdvantageStep(raw(name))
        steps(first, range(5))
        second.load_state(json.loads(json.dumps(first.state())))
        for got, want in zip(steps(second, range(5, 8)), expected[10:], strict=True):
            np.testing.assert_equal(got, want)
        assert second.state() == unbroken.state()


def test_every_adapter_logs_the_same_names():
    rewards, ids = batch(sizes=(16, 16, 16))
    of_flat = step(tea(), rewards, ids)[1]
    whole = AdvantageStep(tea(), 16, whole_groups=True)
    whole(rewards, ids)
    assert set(whole.metrics) == set(of_flat) >= {"max_seen", "max_predicted", "tail_z"}
    assert of_flat["tail_z"] == pytest.approx(
        bontea.check_tail(rewards[np.argsort(ids, kind="stable")].reshape(3, 16)).z
    )


def test_a_tail_that_fails_is_said_once(caplog):
    run, rng = AdvantageStep(tea()), RNG(0)
    with caplog.at_level(logging.WARNING, logger="bontea"):
        for _ in range(6):
            run(np.minimum(rng.normal(size=800), 0.8), np.arange(800) // 16)
    assert sum("extrapolates that tail" in record.getMessage() for record in caplog.records) == 1


@dataclasses.dataclass
class Named:
    name: str

    def __str__(self):
        return self.name


@pytest.mark.parametrize(
    "kind",
    ["strings", "objects", "ints", "big ints", "list", "mixed", "tuples", "torch", "torch list"],
)
def test_ids_of_any_kind(kind):
    rewards, ids = batch()
    number = np.unique(ids, return_inverse=True)[1]
    made = {
        "strings": lambda: ids.astype(object),
        "objects": lambda: np.array([Named(i) for i in ids], dtype=object),
        "ints": lambda: number,
        "big ints": lambda: [int(i) + 2**70 for i in number],
        "list": lambda: ids.tolist(),
        "mixed": lambda: [int(n) if n % 2 else f"p{n}" for n in number],
        "tuples": lambda: [(i, 1) for i in ids],
        "torch": lambda: pytest.importorskip("torch").tensor(number),
        "torch list": lambda: list(pytest.importorskip("torch").tensor(number)),
    }[kind]()
    got, _ = step(tea(), rewards, made)
    np.testing.assert_allclose(got, step(tea(), rewards, ids)[0])


def test_ids_that_do_not_fit():
    with pytest.raises(ValueError, match="3 rewards, but 2 group ids"):
        step(tea(), [1.0, 2.0, 3.0], ["a", "b"])
    with pytest.raises(ValueError, match=r"the group of row 1 .* is None"):
        step(tea(), [1.0, 2.0], np.array(["a", None], dtype=object))
    with pytest.raises(ValueError, match=r"the group of row 0 .* is nan"):
        step(tea(), [1.0, 2.0], [np.nan, 1.0])


def test_padding_needs_no_id():
    rewards, ids = batch()
    whole = step(raw(), rewards, ids)[0]
    padded = AdvantageStep(raw())(
        [*rewards, 9.0], [*ids, None], padding=[False] * len(rewards) + [True]
    )
    np.testing.assert_allclose(padded, [*whole, 0.0])


def test_bfloat16_rewards():
    torch = pytest.importorskip("torch")
    rewards, ids = batch()
    short = torch.tensor(rewards).bfloat16()
    got, _ = step(raw(), short, ids)
    np.testing.assert_allclose(got, step(raw(), short.double(), ids)[0], atol=1e-5)


def test_log(caplog):
    flat = AdvantageStep(tea())
    with caplog.at_level(logging.WARNING, logger="bontea"):
        for _ in range(5):
            flat([1.0] * 16, ["a"] * 16)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[1].strip() for line in lines[:3]] == ["batch 1", "batch 2", "batch 4"]
    assert "'zeroed_constant': 16.0" in lines[0]
    assert "every advantage of the last 5 batches was 0" in lines[3]
    assert len(lines) == 4


# Settings


def test_text_is_read_as_what_it_spells(monkeypatch):
    monkeypatch.delenv("BONTEA", raising=False)
    config = {"n": "128", "alpha": ".5e0", "k": "8", "center": "false", "prior": "[1, 2.5]"}
    with pytest.raises(ValueError, match=r"x\.alpha='\.5e0' is not a tail fraction"):
        read_settings(config, where="x")  # neither JSON nor YAML has a number like that
    got = read_settings(config | {"alpha": "5e-1"}, where="x")
    assert (got.n, got.alpha) == (128, 0.5)
    assert got.params == {"k": 8, "center": False, "prior": [1, 2.5]}
    assert read_settings(None, where="x") == Settings()


@pytest.mark.parametrize(
    "config",
    [
        {"estimator": "tea", "n": 64, "params": {"center": False}},
        {"estimator": "tea", "n": 64, "center": False},
        argparse.Namespace(estimator="tea", n=64, center=False),
        dataclasses.make_dataclass("C", ["estimator", "n", "center"])("tea", 64, False),
        '{"estimator": "tea", "n": 64, "center": false}',
    ],
)
def test_config_of_any_kind(config):
    assert read_settings(config, where="x") == Settings("tea", 64, params={"center": False})


def test_environment_is_the_fallback(monkeypatch):
    monkeypatch.setenv("BONTEA", '{"estimator": "max_at_k(k=8)"}')
    assert read_settings({}, where="x") == Settings("max_at_k(k=8)")
    assert read_settings({"n": 5}, where="x") == Settings("adaptive_tea", 5)
    monkeypatch.setenv("BONTEA", "tea")
    with pytest.raises(ValueError, match=r"\$BONTEA='tea' is not JSON"):
        read_settings({}, where="x")
    monkeypatch.setenv("BONTEA", '{"n": "lots"}')
    with pytest.raises(ValueError, match=r"\$BONTEA\.n='lots'"):
        read_settings({}, where="x")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"n": "many"}, r"a\.b\.n='many' is not a deployment budget"),
        ({"n": True}, r"a\.b\.n=True"),
        ({"n": "true"}, r"a\.b\.n=True"),
        ({"n": None}, r"a\.b\.n=None"),
        ({"n": 0}, r"a\.b\.n=0"),
        ({"alpha": "a quarter"}, r"a\.b\.alpha='a quarter'"),
        ({"alpha": 25}, r"a\.b\.alpha=25"),
        ({"scale": "std"}, r"a\.b\.scale='std' must be one of none, group, batch"),
        ({"seed": 0.5}, r"a\.b\.seed=0\.5 must be a whole number"),
        ({"params": [1]}, r"a\.b\.params=\[1\] must map"),
        ({"estimator": 3}, r"a\.b\.estimator=3 must be a name"),
        ([1, 2], r"a\.b=\[1, 2\] must be a mapping"),
        ("tea", r"a\.b='tea' is not JSON"),
    ],
)
def test_wrong_settings_name_their_key(config, message):
    with pytest.raises(ValueError, match=message):
        read_settings(config, where="a.b")


def test_a_name_of_the_framework_and_one_of_the_config():
    assert read_settings({}, where="x", estimator="rloo").estimator == "rloo"
    assert read_settings({"estimator": "rloo"}, where="x", estimator="rloo").estimator == "rloo"
    with pytest.raises(ValueError, match=r"x\.estimator='tea', but the framework was told"):
        read_settings({"estimator": "tea"}, where="x", estimator="rloo")


def test_rows_that_do_not_go_with_the_rewards():
    rewards, ids = batch()
    for name, rows in {"padding": [True], "order": np.arange(3)}.items():
        with pytest.raises(ValueError, match=f"57 rewards, but {name} of shape"):
            step(raw(), rewards, ids, **{name: rows})
    with pytest.raises(ValueError, match="scale='x' must be one of none, group, batch"):
        AdvantageStep(Settings("tea", scale="x"))
