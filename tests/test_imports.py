"""The core stays light, and imports point one way only."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import bontea

ROOT = Path(bontea.__file__).parent
HEAVY = ["scipy", "torch", "jax", "pandas", "matplotlib", "datasets", "transformers", "trl", "peft"]
HEAVY += ["accelerate", "yaml", "rich", "jinja2", "cupy", "polars", "plotly", "openai", "httpx2"]

# What a part of the package may import from the package, beside itself: the floors, ground first.
GROUND = {"_arrays", "_errors", "_ids", "_json", "_load", "_numbers", "_progress", "_settings"}
GROUND |= {"_types"}
CORE = GROUND | {"rollouts", "tails", "advantages", "theory"}
MAY_IMPORT = {
    "_errors": set(),
    "_arrays": {"_errors", "_numbers", "_types"},
    "_ids": {"_errors"},
    "_json": {"_errors"},
    "_numbers": set(),
    "_types": set(),
    "_load": {"_errors"},
    "_progress": set(),
    "_settings": {"_errors"},
    "rollouts": GROUND | {"demo"},
    "demo": GROUND | {"rollouts"},
    "tails": GROUND,
    "advantages": GROUND | {"tails"},
    "theory": GROUND | {"tails", "advantages", "rollouts"},
    "curves": CORE,
    "deploy": CORE | {"curves"},
    "diagnosis": CORE | {"curves"},
    "planning": CORE | {"curves", "diagnosis"},
    "integrations": CORE | {"curves", "demo"},  # the toy policy goes through two trainers
    "bench": CORE | {"curves"},
    "report": CORE | {"curves", "deploy", "diagnosis", "planning"},
    "serve": CORE | {"curves", "deploy", "demo"},
    "training": CORE | {"curves", "demo", "integrations", "report"},
    "cli": CORE
    | {"curves", "deploy", "diagnosis", "planning", "demo", "integrations", "report"}
    | {"training", "bench", "serve"},
    "__main__": {"cli"},
}


def loaded_after(code):
    """Top-level modules in sys.modules after `code` in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code + "; import sys; print(*sys.modules, sep='\\n')"],
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.split(".")[0] for line in done.stdout.splitlines()}


def test_import_is_light():
    assert not loaded_after("import bontea") & set(HEAVY)


def test_estimators_without_constants_stay_light():
    """SciPy enters with the first normal constant, not before; nothing else ever does."""
    code = "import bontea; bontea.max_at_k([[1., 2., 3.]], k=2); bontea.grpo([[1., 2.]])"
    assert not loaded_after(code) & set(HEAVY)
    code = "import bontea; bontea.tea([list(range(16))], n=128)"
    assert loaded_after(code) & set(HEAVY) == {"scipy"}


def test_this_test_can_see():
    assert "scipy" in loaded_after("import bontea, scipy")


def names_in(path):
    """The dotted names of the package that a file imports, anywhere in it."""
    package = ("bontea", *path.relative_to(ROOT).with_suffix("").parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = [*base, *(node.module.split(".") if node.module else [])]
            # `from bontea import curves` names a part; `from bontea import tea` does not.
            names = [".".join([*module, alias.name]) for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "bontea")


def imports_of(path):
    """Parts of the package that a file imports, anywhere in it."""
    for name in names_in(path):
        yield name.split(".")[1] if "." in name else ""


FILES = sorted(ROOT.rglob("*.py"))


def part_of(path):
    return path.relative_to(ROOT).with_suffix("").parts[0]


def exists(part):
    return (ROOT / part).is_dir() or (ROOT / f"{part}.py").exists()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_one_way(path):
    part = part_of(path)
    if part == "__init__":
        assert set(imports_of(path)) <= CORE | {"curves", "diagnosis", "planning"}
        return
    assert part in MAY_IMPORT, f"{part} is new: say in MAY_IMPORT what it may import"
    for target in set(imports_of(path)):
        if not target or not exists(target):  # a public name, such as `from bontea import tea`
            assert part not in {"_arrays", "tails", "advantages", "theory", "curves"}, (
                "the core imports from the modules that define a name, not from the package"
            )
            continue
        assert target == part or target in MAY_IMPORT[part], f"{part} must not import {target}"


@pytest.mark.filterwarnings("ignore")
def test_no_module_is_hidden_by_its_function():
    """`import bontea.x.y as m` gives the module, also where a package exports a function `y`."""
    found = set()
    for path in FILES:
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if len(parts) == 1 or parts[-1] == "__main__":
            continue
        name = ".".join(parts)
        try:
            module = importlib.import_module(name)
        except ImportError:  # an adapter whose framework is not here
            continue
        if getattr(importlib.import_module(".".join(parts[:-1])), parts[-1]) is not module:
            found.add(name)
    assert not found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_inner_modules_are_imported_in_their_own_part_only(path):
    """`bontea.x._y` is for `bontea.x`; ground modules, such as `bontea._arrays`, are for all."""
    for name in names_in(path):
        _, *parts = name.split(".")
        inner = [part for part in parts[1:] if part.startswith("_") and not part.startswith("__")]
        assert not inner or parts[0] == part_of(path), f"{name} is an inner module of another part"


@pytest.mark.parametrize("part", ["rollouts", "training"])
def test_files_of_a_part_import_each_other_one_way(part):
    files = {path.stem: path for path in (ROOT / part).glob("*.py") if path.stem != "__init__"}
    prefix = f"bontea.{part}."
    left = {
        stem: {name.removeprefix(prefix).split(".")[0] for name in names_in(path)} & set(files)
        for stem, path in files.items()
    }
    left = {stem: targets - {stem} for stem, targets in left.items()}
    while left:
        free = [stem for stem, targets in left.items() if not targets & set(left)]
        assert free, f"{', '.join(left)} import each other in a circle"
        left = {stem: targets for stem, targets in left.items() if stem not in free}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_core_imports_nothing_heavy_at_the_top(path):
    """At module level: NumPy and array_api_compat. SciPy inside the functions that need it."""
    light = {"__init__", "_arrays", "advantages", "tails", "theory", "curves", "deploy"}
    if part_of(path) not in light:
        return
    allowed = {"bontea", "numpy", "array_api_compat", *sys.stdlib_module_names}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names = {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {"bontea" if node.level else node.module.split(".")[0]}
        else:
            continue
        assert names <= allowed, f"{path.name} imports {names - allowed} at its top"
