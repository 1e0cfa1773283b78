"""One thing has one name: docs/shapes-and-names.md against the code.

Parameters and fields are read from the source, so that adapters of frameworks that are not there
are held to it too.
"""

import argparse
import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

import bontea
from bontea import cli
from bontea.integrations._settings import Settings as ShortSettings

ROOT = Path(bontea.__file__).parent
PAGE = Path(__file__).parents[1] / "docs" / "shapes-and-names.md"
COLUMNS = ("thing", "python", "long", "short", "command")
FRAMEWORKS_OWN = {"num_generations"}
"""Named by TRL."""
HOOKS = {"integrations/twinkle.py"}
"""Calls and signatures that a framework prescribes."""


def names(cell):
    return set(re.findall(r"`([\w-]+)`", cell))


def table():
    """The rows of the page's first table of names, by column."""
    text = PAGE.read_text(encoding="utf-8").split("## One thing, its name")[1]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    end = next(i for i, line in enumerate(lines) if line.startswith("| name | is |"))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:end]]
    assert all(len(row) == len(COLUMNS) for row in rows)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


ROWS = table()
PYTHON = set().union(*(names(row["python"]) for row in ROWS))
LONG = set().union(*(names(row["long"]) for row in ROWS)) - PYTHON - {"seed", "estimator_params"}
FILES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(ROOT.rglob("*.py"))
}


def parameters(tree):
    """`(function, parameter, annotation, default)` of every function, in source form."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            given = node.args
            plain = given.posonlyargs + given.args
            defaults = [None] * (len(plain) - len(given.defaults)) + given.defaults
            for arg, default in zip(
                plain + given.kwonlyargs, defaults + given.kw_defaults, strict=True
            ):
                annotation = ast.unparse(arg.annotation) if arg.annotation else ""
                yield node.name, arg.arg, annotation, default and ast.unparse(default)


def fields_of(tree):
    """`(class, field)` of every class body."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign):
                    yield node.name, line.target.id


def test_the_table_is_read():
    assert len(ROWS) == 8
    assert {"n", "m", "alpha", "scale", "scale_advantages", "by", "estimator"} | {
        "k",
        "ks",
        "rng",
        "rollouts",
    } == PYTHON
    assert {"deploy_n", "tail_fraction", "advantage_scale", *FRAMEWORKS_OWN} == LONG


def test_python_has_the_names_of_the_table():
    there = {name for tree in FILES.values() for _, name, _, _ in parameters(tree)}
    assert there >= PYTHON - {"scale_advantages"}


def test_configs_have_the_names_of_the_table():
    trl = {name for cls, name in fields_of(FILES["integrations/trl.py"]) if "Config" in cls}
    train = {name for cls, name in fields_of(FILES["training/settings.py"]) if cls == "Settings"}
    for row in ROWS:
        for name in names(row["long"]) - FRAMEWORKS_OWN:
            assert name in trl | train, name
        for name in names(row["short"]) - {"k"}:  # a parameter of the estimator
            assert name in {field.name for field in fields(ShortSettings)}, name


def test_the_command_line_has_the_names_of_the_table():
    subparsers = argparse.ArgumentParser().add_subparsers()
    for name, command in cli.COMMANDS.items():
        command.add_parser(subparsers, name)
    options = {o for parser in subparsers.choices.values() for o in parser._option_string_actions}
    wanted = set().union(*(names(row["command"]) for row in ROWS)) - {"FILE"}
    assert wanted <= options


@pytest.mark.parametrize("file", FILES)
def test_parameters(file):
    wrong = []
    for function, name, annotation, default in parameters(FILES[file]):
        if name in LONG and file not in HOOKS:
            wrong.append(f"{function}({name}): a name of configs only")
        if name == "rollouts" and re.match(r"(int|float)\b", annotation):
            wrong.append(f"{function}({name}: {annotation}): rollouts are data, a group size is m")
        if name == "rng" and default not in (None, "None"):
            wrong.append(f"{function}(rng={default}): without a seed nothing is fixed")
    assert not wrong, wrong


@pytest.mark.parametrize("file", FILES)
def test_standard_errors_are_spelt_out(file):
    wrong = [f"{cls}.{name}" for cls, name in fields_of(FILES[file]) if name.endswith("_se")]
    assert not wrong, wrong


def test_this_test_can_see():
    tree = ast.parse("def f(a, deploy_n: int = 1, *, rng=0): pass\nclass A:\n    x_se: float = 0")
    assert list(parameters(tree)) == [
        ("f", "a", "", None),
        ("f", "deploy_n", "int", "1"),
        ("f", "rng", "", "0"),
    ]
    assert list(fields_of(tree)) == [("A", "x_se")]
