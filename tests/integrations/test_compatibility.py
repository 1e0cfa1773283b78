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


def test_table(script):
    page = (script.DOCS / "README.md").read_text(encoding="utf-8")
    assert f"{script.START}\n{script.table()}\n{script.END}" in page


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_record(path, script):
    record = json.loads(path.read_text(encoding="utf-8"))
    tested = FRAMEWORKS[path.stem].tested
    if path.stem in script.CLONES:  # a commit, as `git describe` names it
        tested = tested.partition("(")[2].rstrip(")")
        assert tested in record["version"]
    else:
        assert record["version"] == tested
        pins = (ROOT / ".ci" / "adapters").read_text(encoding="utf-8")
        assert path.stem == "trl" or f"{FRAMEWORKS[path.stem].distribution}=={tested}" in pins
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
