"""The two tables of docs/integrations/README.md: where each framework is switched on, and what its
adapter was last tested with, which is in a JSON file per framework.

python scripts/compatibility.py record verl build/verl.xml    # .ci/adapters does it
python scripts/compatibility.py table                         # rewrite the tables of the docs
"""

from __future__ import annotations

import ast
import datetime
import json
import os
import platform
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib import metadata
from pathlib import Path

from bontea.integrations.frameworks import FRAMEWORKS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "integrations"
START, END = "<!-- {}: scripts/compatibility.py -->", "<!-- end of {} -->"
ALSO = ("torch", "ray", "transformers", "tensordict")


def what_ran(name: str) -> str:
    """The first line of the tests' docstring, between the name and the semicolon."""
    tests = (ROOT / "tests" / "integrations" / f"test_{name}.py").read_text(encoding="utf-8")
    line = (ast.get_docstring(ast.parse(tests)) or "").partition("\n")[0]
    return line.partition(": ")[2].partition(";")[0]


def version_of(name: str) -> str:
    """Of the framework: its package, or the commit of the clone that a variable names."""
    framework = FRAMEWORKS[name]
    if not framework.clone:
        return metadata.version(framework.distribution)
    variable = framework.clone[0].partition("/")[0]
    command = ["git", "-C", os.environ[variable], "describe", "--tags", "--always", "--long"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def record(name: str, junit: Path) -> None:
    """Write what just ran; refuses a run with failures or without tests."""
    (suite,) = ET.parse(junit).getroot().iter("testsuite")
    count = {key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")}
    if count["failures"] or count["errors"] or count["tests"] <= count["skipped"]:
        sys.exit(f"not recorded: {count}")
    also = {}
    for package in ALSO:
        try:
            also[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    entry = {
        "framework": name,
        "version": version_of(name),
        "what": what_ran(name),
        "passed": count["tests"] - count["skipped"],
        "skipped": count["skipped"],
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "with": also,
    }
    path = DOCS / "tested" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(entry, indent=1) + "\n", encoding="utf-8")
    print(f"recorded in {path.relative_to(ROOT)}")


def where() -> str:
    """The table of all frameworks, in markdown."""
    rows = [f"| {f.title} | [{f.name}]({f.name}.md) | {f.hook} |" for f in FRAMEWORKS.values()]
    return "\n".join(["| framework | where the lines are | hook |", "|---|---|---|", *rows])


def tested() -> str:
    """The table of all entries, in markdown."""
    lines = [
        "| framework | version | what ran, on a CPU | tests | Python | with | date |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted((DOCS / "tested").glob("*.json")):
        e = json.loads(path.read_text(encoding="utf-8"))
        skipped = f", {e['skipped']} skipped" if e["skipped"] else ""
        also = ", ".join(f"{package} {version}" for package, version in e["with"].items())
        lines.append(
            f"| [{e['framework']}]({e['framework']}.md) | {e['version']} | {e['what']} | "
            f"{e['passed']} passed{skipped} | {e['python']} | {also} | {e['date']} |"
        )
    return "\n".join(lines)


TABLES = {"where": where, "tested": tested}


def block(name: str, table: str) -> str:
    """A table between its marks."""
    return f"{START.format(name)}\n{table}\n{END.format(name)}"


def main() -> None:
    if sys.argv[1:2] == ["record"]:
        record(sys.argv[2], Path(sys.argv[3]))
    page = DOCS / "README.md"
    text = page.read_text(encoding="utf-8")
    for name, table in TABLES.items():
        before, _, rest = text.partition(START.format(name))
        after = rest.partition(END.format(name))[2]
        text = before + block(name, table()) + after
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
