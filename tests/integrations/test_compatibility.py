"""The table of tested versions is what the records say, and the records are of what is pinned."""

import json
import re

import pytest
from tests.scripts import ROOT, load_script

from bontea.integrations.frameworks import FRAMEWORKS

RECORDS = sorted((ROOT / "docs" / "integrations" / "tested").glob("*.json"))


@pytest.fixture(scope="module")
def script():
    return load_script(ROOT / "scripts" / "compatibility.py")


def test_tables(script):
    page = (script.DOCS / "README.md").read_text(encoding="utf-8")
    for name, table in script.TABLES.items():
        assert script.block(name, table()) in page, "run: python scripts/compatibility.py table"


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_record(path, script):
    record = json.loads(path.read_text(encoding="utf-8"))
    framework = FRAMEWORKS[path.stem]
    tested = framework.tested
    if framework.clone:  # a commit, as `git describe` names it
        tested = tested.partition("(")[2].rstrip(")")
        assert tested in record["version"]
    else:
        assert record["version"] == tested
        pins = " ".join(framework.environment).split()
        assert path.stem == "trl" or f"{framework.distribution}=={tested}" in pins
    assert record["passed"] > 0


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_page(name):
    """It has the lines that `bontea check` prints, up to their layout."""
    page = (ROOT / "docs" / "integrations" / f"{name}.md").read_text(encoding="utf-8")
    for heading in ("**Check**", "**Other settings.**", "**See that it works**"):
        assert heading in page
    for line in FRAMEWORKS[name].use:
        for word in re.findall(r"[\w.]*bontea[\w.]*", line):
            assert word in page
