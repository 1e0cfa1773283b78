"""Every snippet of every page: Python runs and prints what it says, commands are ones we have.

A page that is added is tested without a word here. What cannot run stands in `NOT_RUN`, with the
reason, and is held to names that exist; what would need a large model or many steps is run with a
small one (`SMALLER`).
"""

import argparse
import ast
import contextlib
import io
import json
import re
import sys

import numpy as np
import pytest
from tests.snippets import PAGES, ROOT, SNIPPETS, SOURCE, check_names, commands, spans
from tests.tiny import WORDS, tiny_llama

from bontea import cli

PYTHON = [snippet for snippet in SNIPPETS if snippet.language == "python"]
SHELL = [snippet for snippet in SNIPPETS if snippet.language == "bash"]
NOT_RUN = {
    ("docs/integrations/areal.md", ""): "AReaL needs CUDA and Python 3.11 or newer",
    ("docs/integrations/tinker.md", ""): "Tinker trains on a service",
    ("docs/integrations/twinkle.md", ""): "Twinkle is not installed here",
    ("docs/integrations/trl.md", "AsyncGRPOTrainer"): "it generates with vLLM on a GPU",
    ("docs/serve.md", "base_url"): "it asks a server that runs; tests/serve asks the same",
    ("docs/adding-an-adapter.md", '"acme"'): "the framework is made up",
}
"""(page, a text in the snippet) -> why it cannot run where the tests run."""
SMALLER = {
    '"Qwen/Qwen3-0.6B"': "model",
    "steps=40": 'steps=1, model=model, prompts="prompts.jsonl", reward="mymodule:reward", '
    "rollouts=9, batch_size=27, eval_rollouts=4, max_new_tokens=4",
}
"""What is replaced in a snippet, so that it is quick."""
UNTOLD = {"docs/sample.md": "the summary tells the time it took"}
"""Pages whose snippets print something that is not the same twice."""


def reason(snippet):
    """Why a snippet cannot run; "" for one that does."""
    found = [why for (page, part), why in NOT_RUN.items()
             if snippet.page == page and part in snippet.code]  # fmt: skip
    return found[0] if found else ""


# --- Python -------------------------------------------------------------------------------------


def write_rollouts(path, seed, prompts, rollouts):
    rng = np.random.default_rng(seed)
    with path.open("w") as file:
        for p in range(prompts):
            for j, reward in enumerate(rng.normal(p / 4 + seed / 4, 1, rollouts)):
                row = {"prompt_id": p, "prompt": f"prompt {p}", "rollout": j, "reward": reward,
                       "completion": f"answer {j}",
                       "helpful": reward - 0.3 * reward**2, "other": j % 5}  # fmt: skip
                file.write(json.dumps(row) + "\n")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory):
    """A folder with the files that the pages speak of, and a module with a reward."""
    folder = tmp_path_factory.mktemp("workshop")
    names = ("rollouts", "pilot", "warm", "cool", "start", "tea")
    for seed, name in enumerate(names):
        # Few rewards have no tail that could be tried out at length: one full diagnosis is enough.
        shape = (12, 32) if name == "rollouts" else (6, 16)
        write_rollouts(folder / f"{name}.jsonl", seed, *shape)
    (folder / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"the {word}"}) + "\n" for word in WORDS[4:])
    )
    chat = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    (folder / "chats.jsonl").write_text(json.dumps({"messages": chat}) + "\n")
    (folder / "mymodule.py").write_text(
        "def reward(prompts, completions, **columns):\n    return [len(c) / 9 for c in completions]"
    )
    return folder


@pytest.fixture
def inside(workshop, monkeypatch):
    """The working directory is the workshop."""
    monkeypatch.chdir(workshop)
    monkeypatch.syspath_prepend(workshop)
    yield workshop
    sys.modules.pop("mymodule", None)


def short(completions, **_):
    return [-float(len(text)) for text in completions]


def few_prompts():
    from datasets import Dataset

    return Dataset.from_dict({"prompt": ["the cat", "a dog"]})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("torch")
    return tiny_llama(tmp_path_factory.mktemp("model"), WORDS)


def free_names(code):
    """Names that code reads and never sets."""
    nodes = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    bound = {node.id for node in nodes if not isinstance(node.ctx, ast.Load)}
    return {node.id for node in nodes} - bound


@pytest.mark.parametrize("snippet", [s for s in PYTHON if not reason(s)], ids=str)
@pytest.mark.filterwarnings("ignore")
def test_python_prints_what_it_says(snippet, inside, request):
    if "integrations.trl" in snippet.code or "training" in snippet.code:
        pytest.importorskip("trl")
    code = snippet.code
    for whole, small in SMALLER.items():
        code = code.replace(whole, small)
    given = {"reward": lambda: short, "prompts": few_prompts,
             "model": lambda: request.getfixturevalue("model")}  # fmt: skip
    read = free_names(code)
    names = {name: make() for name, make in given.items() if name in read}
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, str(snippet), "exec"), names | {"__name__": "snippet"})
    if snippet.expected or ("print(" in code and snippet.page not in UNTOLD):
        assert out.getvalue().splitlines() == snippet.expected


@pytest.mark.parametrize("snippet", [s for s in PYTHON if reason(s)], ids=str)
def test_python_that_cannot_run_is_made_of_real_names(snippet):
    check_names(snippet.code)


def test_wrong_names_are_found():
    for code in (
        "from bontea import no_such_name",
        "import bontea.integrations.no_such_framework",
        "import bontea.integrations.tinker as t; t.instal('tea')",
        "from bontea import tea; tea([1], no_such_argument=1)",
    ):
        with pytest.raises(AssertionError):
            check_names(code)
    check_names("from bontea import tea; tea([1], n=128)")


def test_every_page_is_read():
    """A change of form must not pass for want of snippets."""
    assert len(PYTHON) > 40
    assert len(SHELL) > 20
    for page, part in NOT_RUN:
        assert any(s.page == page and part in s.code for s in PYTHON), f"{page} has no {part}"
    text = "".join(snippet.code for snippet in PYTHON)
    for whole in SMALLER:
        assert whole in text
    fences = sum(len(re.findall(r"^ *```", page.read_text("utf-8"), re.M)) for page in PAGES)
    assert 2 * len(SNIPPETS) == fences


# --- commands -----------------------------------------------------------------------------------


def parsed(call):
    """The arguments of a command, by the parser of the real one."""
    errors, given = io.StringIO(), None
    with contextlib.redirect_stderr(errors), contextlib.suppress(SystemExit):
        given = cli.make_parser().parse_args(call)
    helped = {"-h", "--help", "--version"} & {*call}
    assert given or helped, f"bontea {' '.join(call)}: {errors.getvalue().splitlines()[-1]}"
    return given


@pytest.mark.parametrize("snippet", SHELL, ids=str)
def test_commands_are_ones_we_have(snippet):
    for call in commands(snippet.code):
        parsed(call)
    for script in re.findall(r"(?:^|\s)(?:bash|\S*python) (\S+\.(?:py|sh))", snippet.code):
        assert (ROOT / script).exists(), script
    for module in re.findall(r"python -m (bontea[\w.]*)", snippet.code):
        path = SOURCE.joinpath(*module.split(".")[1:])
        assert path.is_dir() or path.with_suffix(".py").exists(), module


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_examples_of_the_help_are_commands_we_have(command):
    examples = cli.COMMANDS[command].EXAMPLES.replace("\\\n", " ")
    calls = commands("\n".join(re.findall(r"^  (bontea .*)", examples, re.M)))
    assert calls
    for call in calls:
        assert parsed(call).command == command


SPANS = sorted({span for page in PAGES for span in spans(page)})


@pytest.mark.parametrize("span", SPANS)
def test_commands_in_sentences_have_options_that_exist(span):
    """`bontea curve --up-to` in a sentence is no whole command, but its words are real."""
    known = subcommands()
    for call in re.split(r"\bbontea +", span)[1:]:
        name, *words = call.split()
        assert name.startswith("-") or name in known or name.isupper(), f"bontea {name}"
        for word in words:
            option = re.match(r"--?[a-z][\w-]*", word)
            if option and name in known:
                assert option.group() in known[name], f"bontea {name} {word}"
            if word == "--":
                break


def subcommands():
    """The options of every command."""
    (actions,) = (
        a for a in cli.make_parser()._actions if isinstance(a, argparse._SubParsersAction)
    )
    return {name: set(parser._option_string_actions) for name, parser in actions.choices.items()}


def quick():
    """Commands on files, of those that differ in options only the one that has them all.

    What draws, trains or simulates at length is run by the tests of the commands.
    """
    calls = {tuple(call) for snippet in SHELL for call in commands(snippet.code)}
    calls = {call for call in calls if call[0] in ("curve", "diagnose", "ls")}
    return sorted(call for call in calls if not any(set(call) < set(other) for other in calls))


@pytest.mark.parametrize("call", quick(), ids=" ".join)
def test_quick_commands_run(call, inside, capsys):
    args = parsed(call)
    files = {"curve": "files", "diagnose": "file"}.get(args.command)
    files = np.atleast_1d(getattr(args, files)).tolist() if files else []
    missing = [file for file in files if not (inside / file).exists()]
    if missing:
        pytest.skip(f"the workshop has no {missing[0]}")
    assert cli.main(list(call)) == 0, capsys.readouterr().err
    for option in ("--png", "--html"):
        if option in call:
            assert (inside / call[call.index(option) + 1]).stat().st_size > 10_000
