"""Completions that TRL itself wrote, read as they are."""

import math

import numpy as np
import pytest

pl = pytest.importorskip("polars")
torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")

import transformers  # noqa: E402
from datasets import Dataset  # noqa: E402
from tests.rollouts.read_back import groups  # noqa: E402
from tests.tiny import word_tokenizer  # noqa: E402

from bontea.cli import main  # noqa: E402
from bontea.rollouts import read_completions, read_rollouts  # noqa: E402
from bontea.rollouts.formats import Reading  # noqa: E402

WORDS = ["the", "a", "one", "two", "cat", "dog", "bird", "fish", "runs", "sees"]
SEEN = {}
"""What the reward functions were given and gave, by name: lists of (prompt, completion, value)."""


def right(prompts, completions, **_):
    values = [sum(map(ord, text)) % 7 / 7 for text in completions]
    return seen("right", prompts, completions, values)


def form(prompts, completions, **_):
    values = [None if len(text) % 3 == 0 else float(len(text)) for text in completions]
    return seen("form", prompts, completions, values)


def seen(name, prompts, completions, values):
    SEEN[name] = list(zip(prompts, completions, values, strict=True))
    return values


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The output folders of two small runs, with one and with two reward functions."""
    tokenizer = word_tokenizer(["<pad>", "<eos>", "<unk>", *WORDS])
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=64,
        pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(0)
    out = {}
    for name, functions in (("one", [right]), ("two", [right, form])):
        folder = tmp_path_factory.mktemp(name)
        args = trl.GRPOConfig(
            output_dir=str(folder), log_completions=True, num_completions_to_print=0, max_steps=2,
            logging_steps=1, per_device_train_batch_size=8, num_generations=4, report_to=[],
            max_completion_length=4, disable_tqdm=True, save_strategy="no", use_cpu=True, seed=1,
        )  # fmt: skip
        trainer = trl.GRPOTrainer(
            model=transformers.LlamaForCausalLM(config),
            reward_funcs=functions,
            args=args,
            train_dataset=Dataset.from_dict({"prompt": ["the cat", "a dog", "one bird"] * 4}),
            processing_class=tokenizer,
        )
        trainer.train()
        out[name] = folder, dict(SEEN)
    return out


def expected(rows):
    """The same from what the reward function was given."""
    out = {}
    for prompt, _, value in rows:
        out.setdefault(prompt, []).append(math.nan if value is None else float(np.float32(value)))
    return out


def same(got, wanted):
    assert got.keys() == wanted.keys()
    for name, values in got.items():
        np.testing.assert_array_equal(values, wanted[name])


def test_a_folder_of_completions_is_its_last_step(folders):
    folder, given = folders["one"]
    there = sorted((folder / "completions").iterdir())
    assert [path.name for path in there] == [f"completions_{i:05d}.parquet" for i in (1, 2)]
    for path in (folder, folder / "completions", there[1]):
        got = read_rollouts(path)
        same(groups(got, got.rewards), expected(given["right"]))
    assert "TRL completions file" in got.reading.said
    assert "reward = right" in got.reading.said
    assert "step 2, the last of 2" in read_rollouts(folder).reading.said
    first = read_rollouts(folder, reading=Reading(step=1))
    assert first.rewards.tolist() == read_rollouts(there[0]).rewards.tolist()
    with pytest.raises(ValueError, match="has no step 7, but 1, 2"):
        read_rollouts(folder, reading=Reading(step=7))
    texts = [text for _, text, _ in given["right"]]
    by_row = sorted(zip(got.rows.tolist(), read_completions(there[1], got.rows), strict=True))
    assert [text for _, text in by_row] == texts


def test_several_functions_are_asked_for(folders, capsys):
    folder, given = folders["two"]
    assert main(["curve", str(folder), "--ks", "1"]) == 2
    said = capsys.readouterr().err
    assert "2 scores (right, form)" in said
    assert "--reward-column right" in said
    for name in ("right", "form"):
        got = read_rollouts(folder, reward=name)
        same(groups(got, got.rewards), expected(given[name]))
        same(groups(got, got.scores["form"]), expected(given["form"]))


def test_the_sum_that_trl_trains_on(folders):
    """With its weights, and over the functions that gave a number."""
    folder, given = folders["two"]
    got = read_rollouts(folder, reward={"right": 0.5, "form": 2})
    rows = [
        (prompt, text, 0.5 * float(np.float32(a)) + (0 if b is None else 2 * b))
        for (prompt, text, a), (_, _, b) in zip(given["right"], given["form"], strict=True)
    ]
    for name, values in groups(got, got.rewards).items():
        wanted = [float(value) for prompt, _, value in rows if prompt == name]
        np.testing.assert_allclose(values, wanted, rtol=1e-12)
    only = read_rollouts(folder, reward={"right": 0, "form": 2})
    assert np.isnan(only.rewards).sum() == sum(b is None for _, _, b in given["form"]) > 0


def test_steps_in_one_file_are_not_mixed(folders, tmp_path):
    folder, _ = folders["one"]
    files = sorted((folder / "completions").iterdir())
    pl.concat([pl.read_parquet(path) for path in files]).write_parquet(tmp_path / "all.parquet")
    with pytest.raises(ValueError, match=r"row 9 is of step 2, .* of step 1: each step is another"):
        read_rollouts(tmp_path / "all.parquet")
    got = read_rollouts(tmp_path / "all.parquet", reading=Reading(step=2))
    assert got.rewards.tolist() == read_rollouts(files[1]).rewards.tolist()
