"""`bontea plan` as a person runs it: named laws, pilots, JSON, the picture, and what it refuses."""

import argparse
import json
import math

import numpy as np
import pytest

import bontea
from bontea.cli import main
from bontea.cli.plan import add_parser, parse_sizes
from bontea.curves import curve, extrapolate
from bontea.planning import plan
from bontea.rollouts import read_rollouts
from bontea.tails.beta_binomial import expected_pass_at_n, fit_beta
from bontea.theory import value

FEW = ["--rollouts", "16", "--estimator", "max_at_k", "adaptive_tea"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pilots")


def write(path, rewards, **fields):
    with path.open("a") as file:
        for prompt, row in enumerate(rewards):
            for reward in row:
                if not (isinstance(reward, float) and math.isnan(reward)):
                    row_of = {"prompt_id": prompt, "reward": float(reward), **fields}
                    file.write(json.dumps(row_of) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def continuous(folder):
    rng = np.random.default_rng(0)
    rewards = 2 + rng.normal(size=(40, 1)) + 3 * rng.normal(size=(40, 32))
    return write(folder / "continuous.jsonl", rewards), rewards


@pytest.fixture(scope="module")
def binary(folder):
    rng = np.random.default_rng(1)
    rewards = rng.random((60, 16)) < rng.beta(0.3, 2, size=(60, 1))
    return write(folder / "binary.jsonl", rewards), rewards.astype(float)


def run_json(capsys, *arguments):
    assert main(["plan", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_tables_recommendation_and_picture(tmp_path, capsys):
    png = tmp_path / "plan.png"
    arguments = ["plan", "--deploy-n", "128", "--rollouts", "8,32", "--price", "0.5"]
    estimators = ["--estimator", "max_at_k", "tea", "adaptive_tea"]
    assert main([*arguments, *estimators, "--png", str(png)]) == 0
    out, err = capsys.readouterr()
    for words in (
        "N = 128, normal rewards",
        "max_at_k(k=6)",
        "<- use",
        "The choice at each M, in a step of 1,024 rollouts",
        "share of the best possible best-of-N",
        "What N is worth in deployment",
        "tea at M = 8: 8 rollouts with tail fraction 0.25 leave 2 in the tail",
    ):
        assert words in out, words
    last = out.strip().split("\n\n")[-1].replace("\n", " ")
    assert last.startswith(
        "RECOMMENDATION: adaptive_tea with M = 32. Nothing in these rewards contradicts"
    )
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert str(png) in err.replace("\n", "")
    assert "RECOMMENDATION" not in err


def test_json_is_only_json_and_is_the_plan(capsys):
    got = run_json(capsys, "--deploy-n", "128", *FEW, "--seed", "3", "--price", "0.5")
    assert got["version"] == bontea.__version__
    assert got["seed"] == 3
    assert got["command"]
    assert got["settings"]["rollouts"] == "16"
    expected = plan(n=128, m=[16], estimators=["max_at_k", "adaptive_tea"], rng=3, price=0.5)
    for row, own in zip(got["rows"], expected.rows, strict=True):
        for name in (
            "estimator",
            "m",
            "effective_n",
            "cosine",
            "snr",
            "end_share",
            "times",
            "cost",
        ):
            assert row[name] == getattr(own, name), name
        assert row["cost"] == pytest.approx(0.5 * row["rollouts"])
        assert (row["admitted"], row["candidate"], row["ranked"]) == (True, True, True)
    assert (got["recommended"], got["m"]) == ("adaptive_tea", 16)
    assert got["reason"] == expected.recommendation.message
    assert got["recommendation"] == str(expected.recommendation)
    for entry in got["deployment"]:
        assert entry["value"] == value("normal", entry["n"])
        assert entry["cost"] == 0.5 * entry["n"]
        assert entry["low"] is None
    assert got["enough_n"] is None


def test_same_seed_same_output(capsys):
    outs = []
    for seed in ("3", "3", "4"):
        assert main(["plan", "--deploy-n", "64", *FEW, "--seed", seed]) == 0
        outs.append(capsys.readouterr().out)
    assert outs[0] == outs[1] != outs[2]


def test_another_law(capsys):
    got = run_json(capsys, "--deploy-n", "16", "--rollouts", "8", "--law", "bernoulli")
    assert got["law"] == "bernoulli"
    assert {row["effective_n"] for row in got["rows"]} == {None}
    assert {row["end_share"] for row in got["rows"]} == {None}
    assert got["recommended"].startswith("pass_at_n(prior=(")
    assert got["m"] == 8


def test_continuous_pilot(continuous, capsys):
    path, rewards = continuous
    got = run_json(capsys, "--deploy-n", "64", *FEW, "--pilot", path)
    assert got["pilot"] == {
        "law": "pilot",
        "notes": [],
        "kind": "continuous",
        "prompts": 40,
        "rewards": 1280,
        "spread": pytest.approx(rewards.std(1, ddof=1).mean()),
    }
    ns = [entry["n"] for entry in got["deployment"]]
    assert ns == [8, 16, 32, 64, 128, 256, 512]
    seen, beyond = curve(rewards, [8, 16, 32], rng=0), extrapolate(rewards, ns)
    for i, entry in enumerate(got["deployment"]):
        inside = entry["n"] <= 32
        assert entry["source"] == ("seen" if inside else "extrapolated")
        own = seen if inside else beyond
        assert entry["value"] == pytest.approx(own.value[i])
        assert entry["low"] == pytest.approx(own.low[i])
        assert entry["in_sd"] == pytest.approx(
            (entry["value"] - rewards.mean()) / got["pilot"]["spread"]
        )
    gain = [entry["gain"] for entry in got["deployment"]]
    assert gain[0] == pytest.approx(seen.value[1] - seen.value[0])
    assert gain[2] == pytest.approx(beyond.value[3] - beyond.value[2])  # one fit, not two sources
    assert gain[-1] is None
    assert got["least_gain"] == pytest.approx(0.1 * got["pilot"]["spread"])
    # The rewards are normal: so is what they say.
    exact = plan(n=64, m=[16], estimators=["max_at_k", "adaptive_tea"])
    for row, own in zip(got["rows"], exact.rows, strict=True):
        error = row["snr_standard_error"]
        assert abs(row["snr"] - own.snr) < 5 * math.hypot(error, own.snr_standard_error)
        assert error > own.snr_standard_error


def test_pilot_text(continuous, capsys):
    path, _ = continuous
    assert main(["plan", "--deploy-n", "512", *FEW, "--pilot", path]) == 0
    out = " ".join(capsys.readouterr().out.split())
    for words in (
        "Pilot: 1,280 rewards of 40 prompts, continuous",
        "Note: N = 512 is more than a tenth of the 1,280 rewards",
        "Beyond 32 rollouts:",
        "95 % interval",
    ):
        assert words in out, words


def test_binary_pilot(binary, capsys):
    path, rewards = binary
    got = run_json(capsys, "--deploy-n", "128", "--rollouts", "8,16", "--pilot", path)
    a, b = fit_beta(rewards.sum(1), np.full(60, 16))
    assert got["law"] == f"0/1, success rates Beta({a:.3g}, {b:.3g})"
    names = [row["estimator"] for row in got["rows"]]
    prior = f"pass_at_n(prior=({float(f'{a:.3g}')}, {float(f'{b:.3g}')}))"
    assert names == [
        *("grpo", "max_at_k(k=6)", "max_at_k(k=7)", prior, "inference_aware"),
        *("grpo", "max_at_k(k=6)", "max_at_k(k=15)", prior, "inference_aware"),
    ]
    assert (got["recommended"], got["m"], got["verdict"]) == (prior, 16, "binary")
    # Posterior means of the prompts: near the prior's own pass@N, and seen where there are enough.
    at = {entry["n"]: entry for entry in got["deployment"]}
    assert at[16]["source"] == "seen"
    assert at[16]["value"] == pytest.approx(rewards.max(1).mean())
    assert at[128]["low"] < expected_pass_at_n(128, a, b) < at[128]["high"]
    assert got["least_gain"] == 0.01


def test_ragged_pilot_with_several_models(folder, capsys):
    rng = np.random.default_rng(2)
    path = folder / "two_models.jsonl"
    rewards = rng.normal(size=(20, 24))
    rewards[0, 8:] = np.nan
    rewards[1, 1:] = np.nan  # too few: left out everywhere
    write(path, rewards, model="a")
    write(path, rng.normal(size=(20, 24)), model="b")
    got = run_json(capsys, "--deploy-n", "32", *FEW, "--pilot", str(path), "--model", "a")
    assert got["pilot"]["rewards"] == 18 * 24 + 8
    assert [e["source"] for e in got["deployment"]][:3] == ["seen", "seen", "extrapolated"]
    assert "1 of 20 prompts have fewer than 4 rewards" in " ".join(got["notes"])
    assert main(["plan", "--deploy-n", "32", "--pilot", str(path)]) == 2
    assert "model" in capsys.readouterr().err


def test_pilot_at_a_ceiling_is_not_extrapolated(folder, capsys):
    """Grades: tail models are measured on the law with its atoms, shown, and not admitted."""
    rewards = np.random.default_rng(3).integers(0, 5, size=(40, 16))
    path = write(folder / "steps.jsonl", rewards)
    assert main(["plan", "--deploy-n", "64", "--rollouts", "16", "--pilot", path]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "its tail model reaches beyond the ceiling" in out
    assert out.count("not admitted │") == 5
    assert "RECOMMENDATION: max_at_k(k=6) with M = 16. Do not extrapolate" in out
    assert "nothing is predicted, the rewards are discrete" in out


def test_pilot_with_ties_says_what_it_cannot_see(folder, capsys):
    """Where prompts differ their ties are lost in the pool, and tail models have no figures."""
    rewards = np.random.default_rng(3).normal(size=(40, 16)).round()
    path = write(folder / "apart.jsonl", rewards + 7 * np.arange(40)[:, None])
    arguments = ("--deploy-n", "64", "--rollouts", "16", "--pilot", path)
    got = run_json(capsys, *arguments)
    assert "ties or atoms, and prompts differ: these are lost" in " ".join(got["notes"])
    assert [row["estimator"] for row in got["rows"] if row["snr"] is not None] == [
        "grpo",
        "max_at_k(k=6)",
        "max_at_k(k=15)",
    ]
    refused = [row for row in got["rows"] if not row["admitted"]]
    assert [row["estimator"] for row in refused] == [
        "tea",
        "prefix_tea",
        "linear_tea",
        "linear_tea(alpha=0.5)",
        "adaptive_tea",
    ]
    assert all("the best rewards are mostly equal" in row["reason"] for row in refused)
    assert got["recommended"] == "max_at_k(k=6)"


def test_the_command_is_the_function(continuous, capsys):
    """plan(rollouts), plan(law=rollouts), the array and the command: one result."""
    path, rewards = continuous
    got = run_json(capsys, "--deploy-n", "64", *FEW, "--pilot", path, "--seed", "2")
    rollouts = read_rollouts(path)
    options = {"n": 64, "m": 16, "estimators": ["max_at_k", "adaptive_tea"], "rng": 2}
    own = plan(rollouts, **options)
    own_json = json.loads(json.dumps(own.to_dict()))
    assert {key: got[key] for key in own_json} == own_json
    assert plan(law=rollouts, **options).to_dict() == own.to_dict()
    assert plan(law=rewards, **options).rows == own.rows
    assert plan([*map(list, rewards)], **options).rows == own.rows


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--rollouts", "8,abc"], "--rollouts '8,abc': 'abc' is not a number of rollouts"),
        (["--rollouts", "8,,16"], "'' is not a number of rollouts"),
        (["--rollouts", "-8"], "'-8' is not a number of rollouts"),
        (["--rollouts", "1"], "each at least 2"),
        (["--deploy-n", "0.5"], "n=0.5 is not a deployment budget"),
        (["--deploy-n", "1e10"], "n=10000000000 is above 1,000,000,000"),
        (["--deploy-n", "nan"], "n=nan is not a deployment budget"),
        (["--price", "-1"], "price=-1.0 must be a number of at least 0"),
        (["--least-gain", "-1"], "least_gain=-1.0 must be"),
        (["--seed", "-1"], "--seed -1 must be 0 or more"),
        (["--batch-size", "4"], "batch_size=4 rollouts in a step do not hold one group"),
        (["--estimator", "teaa"], "did you mean 'tea'"),
        (["--estimator", "tea(0.5)"], "write parameters as NAME=VALUE, each once, such as"),
        (["--estimator", "tea;"], "write a name, and parameters in brackets"),
        (["--law", "gumbell"], "did you mean 'gumbel'"),
        (["--model", "a"], "give --pilot as well"),
        (["--png", "plan.pdf"], "--png plan.pdf must be the name of a .png file"),
        (["--png", "no/such/folder/plan.png"], "there is no folder no/such/folder"),
        (["--pilot", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--pilot", "nowhere.jsonl", "--law", "normal"], "are two reward laws: give one"),
    ],
)
def test_bad_arguments(arguments, words, capsys):
    assert main(["plan", "--deploy-n", "128", *arguments]) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert out == ""


def pilots():
    rng = np.random.default_rng(4)
    return {
        "constant": (np.ones((5, 8)), "every reward of the pilot is 1"),
        "one_each": (rng.normal(size=(50, 1)), "no prompt of the pilot has 4 rewards that differ"),
        "two_values": (rng.choice([-1, 1], size=(20, 8)), "two values, -1 and 1: write 0 and 1"),
        "short": (rng.normal(size=(5, 8)), "n=128 is beyond the 40 rewards of the pilot"),
    }


@pytest.mark.parametrize("name", list(pilots()))
def test_bad_pilots(name, folder, capsys):
    rewards, words = pilots()[name]
    path = write(folder / f"{name}.jsonl", rewards)
    assert main(["plan", "--deploy-n", "128", "--pilot", path]) == 2
    assert words in capsys.readouterr().err


def test_deploy_n_is_required(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["plan"])
    assert stop.value.code == 2
    assert "--deploy-n" in capsys.readouterr().err


def test_sizes_and_the_examples_of_the_help():
    assert parse_sizes(" 8, 16") == [8, 16]
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(), "plan")
    from bontea.cli.plan import EXAMPLES

    commands = [line.split() for line in EXAMPLES.splitlines() if "bontea plan" in line]
    assert len(commands) == 3
    for words in commands:
        parser.parse_args([word.strip("'") for word in words[1:]])
