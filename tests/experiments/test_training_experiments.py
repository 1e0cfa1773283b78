"""The training experiments: their driver, their rewards, their summary, and their page."""

import json
import random
import sys

import numpy as np
import pytest
import yaml
from scipy import stats
from tests.scripts import ROOT, load_script

EXPERIMENTS = ROOT / "benchmarks" / "experiments"
CONFIGS = sorted(EXPERIMENTS.glob("*/*.yaml"))


@pytest.fixture(scope="module")
def driver():
    pytest.importorskip("trl")
    return load_script(EXPERIMENTS / "training" / "run.py")


@pytest.fixture(scope="module")
def summary():
    return load_script(EXPERIMENTS / "training" / "summary.py")


CONFIG = {
    "settings": {
        "reward": "rewards:distilled",
        "steps": 2,
        "batch_size": 8,
        "eval_rollouts": 4,
        "eval_batch": 4,
    },
    "judge": "rewards:verifier",
    "measure": "validation",
    "seeds": [3],
    "learning_rate": 1e-3,
    "stages": [
        [
            {"estimator": "start", "rollouts": [4]},
            {"estimator": "max_at_k(k=2)", "rollouts": [4]},
        ]
    ],
}


@pytest.mark.slow
def test_an_experiment_from_config_to_results(driver, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    command = ["run.py", str(folder / "config.yaml"), "--work", str(tmp_path / "work")]
    monkeypatch.setattr(sys, "argv", command)
    driver.main()
    text = (folder / "results.jsonl").read_text()
    start, trained = map(json.loads, text.splitlines())
    assert (start["estimator"], trained["estimator"]) == ("start", "max_at_k(k=2)")
    for row in (start, trained):
        best = np.array(row["best_of_k"])
        assert best.shape == (driver.VALIDATION, len(row["ks"]))
        assert row["ks"] == [1, 2, 4]
        assert (np.diff(best, axis=1) >= 0).all()
        assert set(row["judge"]) == {"mean", "best_of_4"}
    assert "kl" not in start
    assert abs(trained["kl"]) < 5
    assert trained["kl"] != 0
    assert trained["seconds_training"] > 0
    assert not np.allclose(start["best_of_k"], trained["best_of_k"])
    driver.main()  # everything is there
    assert (folder / "results.jsonl").read_text() == text
    assert "2/2" in capsys.readouterr().out


def test_runs_go_by_stage_and_seed_and_are_listed_once(driver):
    config = {
        "seeds": [0, 1],
        "learning_rate": 1e-4,
        "stages": [
            [{"estimator": "tea", "rollouts": [16]}],
            [{"estimator": "tea", "rollouts": [16, 32], "deploy_n": [128, 512]}],
        ],
    }
    runs = driver.runs_of(config)
    rest = [(16, 512), (32, 128), (32, 512)]
    assert [(r.seed, r.rollouts, r.deploy_n) for r in runs] == [
        *((seed, 16, 128) for seed in (0, 1)),
        *((seed, m, n) for seed in (0, 1) for m, n in rest),
    ]
    assert len({run.folder for run in runs}) == len(runs)


def test_a_run_is_not_done_twice_at_once(driver, tmp_path):
    with driver.claimed(tmp_path / "run") as first:
        assert first
        with driver.claimed(tmp_path / "run") as second:
            assert not second
    with driver.claimed(tmp_path / "run") as third:
        assert third


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.yaml"], "none.yaml is not there"),
        (["README.md"], "README.md has no stages and seeds"),
        ([CONFIGS[0], "--stages", "0"], "--stages 0: "),
        ([CONFIGS[0], "--seeds", "0", "9"], "--seeds 9: "),
    ],
)
def test_what_no_config_has_is_refused(driver, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["run.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        driver.main()
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_configs_are_accepted_by_the_trainer(driver, path, tmp_path):
    from bontea._progress import JobProgress
    from bontea.training.arm import Arm
    from bontea.training.inputs import Inputs

    config = yaml.safe_load(path.read_text())
    for run in driver.runs_of(config):
        settings = driver.settings_of(config, run, tmp_path)
        if run.estimator != "start":
            (spec,) = settings.arms.values()
            rows = [{"prompt": "a"}] * (31 if settings.lora else 56)
            inputs = Inputs("demo", None, len, rows, rows)
            Arm(settings, inputs, spec, tmp_path, JobProgress(quiet=True)).check()
    finished = driver.done(path.parent / driver.named_after(path, "results", ".jsonl"))
    assert finished <= set(driver.runs_of(config)), "a result that no config asks for"


def test_the_distilled_reward_agrees_with_its_teacher(driver):
    """Within prompts it has never seen: correlation above .6 (measured .70 on 256 rollouts)."""
    from rewards import distilled

    from bontea import demo
    from bontea.demo import grammar
    from bontea.demo.reward import sentiment_and_subject

    rng = random.Random(0)
    found = []
    for subject in grammar.held_out_subjects()[:4]:
        texts = [grammar.review(subject, rng)[0] for _ in range(64)]
        prompts = [grammar.prompt_for(subject)] * len(texts)
        found.append(np.corrcoef(distilled(prompts, texts), sentiment_and_subject(prompts, texts)))
    assert np.mean([c[0, 1] for c in found]) > 0.6
    assert demo.held_out_prompts()[0] == grammar.prompt_for(grammar.held_out_subjects()[0])


def test_paired_differences(summary):
    rows = [
        {
            "estimator": name,
            "rollouts": 8,
            "deploy_n": n,
            "seed": seed,
            "ks": [1, 2],
            "best_of_k": [[0.0, seed + gain], [0.0, seed + gain + 2]],
        }
        for name, n, gains in (("max_at_k", 128, (0, 0, 0)), ("tea", 512, (1, 2, 6)))
        for seed, gain in enumerate(gains)
    ]
    first, second = summary.select(rows, "tea", 8, 512), summary.select(rows, "max_at_k", 8, 512)
    assert summary.select(rows, "tea", 8, 128) == {}
    with pytest.raises(ValueError, match="rows of one rate"):
        summary.select([*rows, rows[-1]], "tea", 8, 512)
    assert str(summary.pooled([summary.over_seeds({0: 1.0, 1: 3.0})] * 2)) == "+2.00 ± 12.71"
    assert summary.pooled([]).by_seed == {}
    d = summary.difference(first, second, summary.best_of(512))
    assert d.by_seed == {0: 1.0, 1: 2.0, 2: 6.0}
    low, high = stats.t.interval(0.95, 2, np.mean([1, 2, 6]), stats.sem([1, 2, 6]))
    assert (d.mean - d.half_width, d.mean + d.half_width) == pytest.approx((low, high))
    assert d.verdict == "none seen"
    assert summary.over_seeds({0: 1.0, 1: 1.1, 2: 1.2}).verdict == "gain"
    assert summary.over_seeds({0: -1.0, 1: -1.1, 2: -1.2}).verdict == "loss"


@pytest.fixture(scope="module")
def page():
    return load_script(ROOT / "benchmarks" / "figures" / "results.py")


def test_gains_of_the_start_and_over_what_was_not_run_are_left_out(page):
    rows = [
        {
            "estimator": name,
            "rollouts": 16,
            "deploy_n": 512,
            "seed": 0,
            "learning_rate": 1e-3,
            "ks": [1, 8, 128],
            "best_of_k": [[gain, gain + 1, gain + 2]],
        }
        for name, gain in (("start", 0.0), ("grpo", 1.0), ("adaptive_tea", 1.5))
    ]
    table = page.gains_table(rows, [("start", "batch"), *page.arms_of(rows)], 16, n=512)
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [
        "| `start`", "| `grpo`", "| `adaptive_tea`"
    ]  # fmt: skip
    assert "minus `grpo`" in table
    assert "minus `max_at_k" not in table
    assert table.splitlines()[2].endswith(" 2.00 |  | 1 |")
    assert table.splitlines()[4].endswith(" 3.50 | +0.50 | 1 |")


def test_arms_that_go_as_far_as_grpo_are_those_with_rates_of_their_own(page):
    rows = [
        {"estimator": name, "learning_rate": rate}
        for name in ("start", "grpo", "tea")
        for rate in (1e-3, 2e-3)
        if (name, rate) != ("start", 2e-3)
    ]
    kept = [(r["estimator"], r["learning_rate"]) for r in page.as_far_as_grpo(rows, 1e-3)]
    assert kept == [("grpo", 1e-3), ("tea", 2e-3)]


def measured(estimator, rate, seed, kl, best):
    return {
        "estimator": estimator,
        "rollouts": 16,
        "deploy_n": 128,
        "learning_rate": rate,
        "seed": seed,
        "kl": kl,
        "ks": [1, 8, 128],
        "best_of_k": [[best - 2, best - 1, best]],
        "judge": {"best_of_128": [best / 2]},
    }


def test_runs_that_went_far_are_counted_and_told_apart(page):
    rows = [measured("tea", 1e-3, seed, kl, kl + 4) for seed, kl in ((0, 1), (1, 3), (2, 50))]
    table = page.run_away_table([measured("start", 1e-3, 0, 0.0, 0.0), *rows])
    assert table.splitlines()[2:] == [
        "| `tea` | 0.001 | 1 of 3 | 2.0 | 6.0 | 3.0 | 50.0 | 54.0 | 27.0 |"
    ]


def test_arms_are_compared_with_grpo_at_every_rate_of_their_own(page):
    rows = [measured("grpo", 1e-3, 0, 1.0, 3.0)]
    rows += [measured("adaptive_tea", rate, 0, kl, kl + 3) for rate, kl in ((1e-3, 1), (2e-3, 2))]
    table = page.over_grpo_table({"here": (rows, 128)})
    assert table.splitlines()[2:] == [
        "| here | `adaptive_tea` | 0.001 | 1.0 | 1.0 | +1.00 | +1.00 | +1.00 | +0.50 | 1 |",
        "| here | `adaptive_tea` | 0.002 | 1.0 | 2.0 | +2.00 | +2.00 | +2.00 | +1.00 | 1 |",
    ]


def test_the_page_says_what_the_results_are(page):
    text = page.PAGE.read_text(encoding="utf-8")
    for name, content in page.contents().items():
        assert f"<!-- {name} -->\n{content}\n<!-- end of {name} -->" in text


@pytest.mark.slow
def test_the_contrast_is_the_log_likelihood_ratio_of_its_two_models(tmp_path, monkeypatch):
    """Their making, and a batch of unequal lengths against the likelihoods token by token."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXPERIMENTS / "contrast"))
    prepare = load_script(EXPERIMENTS / "contrast" / "prepare.py")
    monkeypatch.setattr(prepare, "STEPS", 2)
    import contrast_reward

    prompts = ["write a review of the soup :", "write a short review of the old museum :"]
    texts = ["the soup was good.", "i liked the museum, and we stayed an hour."]
    with pytest.raises(FileNotFoundError, match=r"cheerful has no model: run prepare\.py"):
        contrast_reward.contrast(prompts, texts)
    prepare.main()
    found = contrast_reward.contrast(prompts, texts)

    def log_likelihood(name, prompt, text):
        tokenizer = AutoTokenizer.from_pretrained(tmp_path / "runs" / "contrast" / name)
        model = AutoModelForCausalLM.from_pretrained(tmp_path / "runs" / "contrast" / name).eval()
        ids, total = tokenizer(prompt)["input_ids"], 0.0
        for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]:
            with torch.inference_mode():
                logs = model(torch.tensor([ids])).logits[0, -1].double().log_softmax(-1)
            total += logs[token].item()
            ids = [*ids, token]
        return total

    for prompt, text, own in zip(prompts, texts, found, strict=True):
        expected = log_likelihood("cheerful", prompt, text) - log_likelihood("gloomy", prompt, text)
        assert own == pytest.approx(expected, abs=1e-4)
        assert abs(own) > 1e-3
