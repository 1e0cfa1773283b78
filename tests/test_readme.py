"""The README's snippets run as they stand, and print the numbers it shows."""

import contextlib
import io
import re
import textwrap
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
RUNNABLE = [block for block in BLOCKS if "import numpy" in block]


def test_there_are_snippets():
    assert RUNNABLE
    assert any("BestOfNTrainer" in block for block in BLOCKS)


@pytest.mark.parametrize("block", RUNNABLE)
def test_snippet_prints_what_it_says(block):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block, "README.md", "exec"), {})
    expected = re.findall(r"#> (.*)", block)
    assert expected
    assert out.getvalue().splitlines() == expected


@pytest.mark.parametrize("block", [b for b in BLOCKS if "BestOfNTrainer" in b])
def test_trainer_snippet_is_made_of_real_names(block):
    pytest.importorskip("trl")
    from bontea.integrations import trl

    config = re.search(r"BestOfNConfig\((.*?)\)", block, re.S).group(1)
    args = eval(f"BestOfNConfig({config}, bf16=False, use_cpu=True)", {**vars(trl)})
    assert args.deploy_n == 128
    compile(block, "README.md", "exec")


def test_commands_exist():
    text = README.read_text(encoding="utf-8")
    root = README.parent
    for script in re.findall(r"^bash (\S+)", text, re.M):
        assert (root / script).exists(), script
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (root / link).exists(), link


def test_the_example_estimator_of_the_docs_runs():
    page = (README.parent / "docs" / "adding-an-estimator.md").read_text(encoding="utf-8")
    code = textwrap.dedent("   " + re.search(r"```python\n   (.*?)```", page, re.S).group(1))
    names: dict = {"__name__": "example"}
    exec(compile(code, "adding-an-estimator.md", "exec"), names)
    assert names["centred_rank"]([[3.0, 1.0, 2.0, 2.0]]).tolist() == [[1.5, -1.5, 0.0, 0.0]]
