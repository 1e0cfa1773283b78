"""The README shows what it should, and the example of the docs is right.

Its snippets are run with those of all pages, by test_snippets.py.
"""

import re
import textwrap
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_there_are_snippets():
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    assert any("import numpy" in block and "#> " in block for block in blocks)
    assert any("BestOfNTrainer" in block for block in blocks)


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
