"""docs/adding-an-adapter.md is true: there are four places to touch.

Its sketch is run with the snippets of all pages, by tests/test_snippets.py.
"""

import re
from pathlib import Path

import pytest

from bontea.integrations.frameworks import FRAMEWORKS

ROOT = Path(__file__).parents[2]
FACTS = Path("src/bontea/integrations/frameworks")
PAGE = (ROOT / "docs" / "adding-an-adapter.md").read_text(encoding="utf-8")


def places(name):
    return [
        Path(f"src/bontea/integrations/{name}.py"),
        FACTS / f"{name}.py",
        Path(f"tests/integrations/test_{name}.py"),
        Path(f"docs/integrations/{name}.md"),
    ]


def test_the_places_of_the_page():
    for place in places("NAME"):
        assert f"`{place}`" in PAGE


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_four_places(name):
    assert all((ROOT / place).is_file() for place in places(name))
    assert FRAMEWORKS[name].name == name


def test_nothing_is_forgotten_in_the_dict():
    pages = {path.stem for path in (ROOT / "docs" / "integrations").glob("*.md")}
    assert pages == {*FRAMEWORKS, "README"}  # .ci/adapters goes by them


def test_no_list_of_frameworks_anywhere_else():
    """A file that names many of them would be a fifth place."""
    files = [
        path
        for folder in ("src", "tests", "scripts")
        for path in (ROOT / folder).rglob("*.py")
        if path != ROOT / FACTS / "__init__.py" and "formats" not in str(path)  # of their files
    ]
    files += [ROOT / "pyproject.toml", ROOT / ".ci" / "adapters", ROOT / ".ci" / "run"]
    for path in files:
        text = re.sub(r"^\s*#.*", "", path.read_text(encoding="utf-8"), flags=re.M)
        named = {name for name in FRAMEWORKS if re.search(rf"[\"'/_=]{name}\b", text)}
        assert len(named) < len(FRAMEWORKS) / 2, f"{path} lists {', '.join(sorted(named))}"


@pytest.mark.parametrize("framework", FRAMEWORKS.values(), ids=lambda framework: framework.name)
def test_facts(framework):
    assert framework.environment
    assert all((framework.title, framework.hook, framework.use, framework.off))
    assert callable(framework.probe)
    assert callable(framework.settings)
