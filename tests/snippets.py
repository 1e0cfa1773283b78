"""The snippets of the pages, README and docs: what stands between fences, and what it is."""

from __future__ import annotations

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bontea

ROOT = Path(__file__).parents[1]
SOURCE = Path(bontea.__file__).parent
PAGES = [
    ROOT / "README.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("examples/**/*.md")),
]
_FENCED = re.compile(r"^( *)(`{3,}|~{3,})([^\n`]*)\n(.*?)^\1\2 *$", re.S | re.M)
_SHELL = re.compile(
    r"^(\$ )?([A-Z_]+=\S* )*(bontea|python|bash|pip|export|echo|torchrun|accelerate)\b", re.M
)
_PYTHON = re.compile(r"^(import [\w.]+|from [\w.]+ import .*)", re.M)
_SETTINGS = re.compile(r'"\$\{\w+\[@\]\}"')


@dataclass(frozen=True)
class Snippet:
    page: str
    number: int
    """Of the snippets of its page, from 0."""
    language: str
    """What the fence says, or else what it looks like; "" for output and the like."""
    code: str

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"

    @property
    def expected(self) -> list[str]:
        """The lines that it says it prints."""
        return re.findall(r"^ *#> ?(.*)", self.code, re.M)


def _snippets() -> Iterator[Snippet]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for number, (indent, _, language, code) in enumerate(_FENCED.findall(text)):
            code = textwrap.dedent(re.sub(f"^{indent}", "", code, flags=re.M))
            language = language.strip().lower()
            if language in ("sh", "console", "shell"):
                language = "bash"
            elif language == "py":
                language = "python"
            elif not language:
                language = "python" if _PYTHON.search(code) else ""
                language = language or ("bash" if _SHELL.search(code) else "")
            yield Snippet(page.relative_to(ROOT).as_posix(), number, language, code)


SNIPPETS = list(_snippets())


def commands(shell: str) -> list[list[str]]:
    """The calls of `bontea` in lines of a shell, without what stands for arguments of the reader.

    >>> commands("X=1 bontea curve a.jsonl \\\\\\n  --up-to 8 > out  # why\\npython -m bontea ls")
    [['curve', 'a.jsonl', '--up-to', '8'], ['ls']]
    """
    found = []
    for line in shell.replace("\\\n", " ").splitlines():
        words = shlex.shlex(_SETTINGS.sub("", line).strip(), posix=True, punctuation_chars=True)
        words.whitespace_split = True
        call: list[str] | None = None
        for word in [*words, ";"]:
            if set(word) <= set("|&;<>()"):
                if call is not None:
                    found.append(call)
                call = None
            elif call is not None:
                call.append(word)
            elif word == "bontea":
                call = []
    return found


def spans(page: Path) -> list[str]:
    """The code inside of sentences that calls `bontea`: the words after it."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"(?<!`)`([^`]+)`(?!`)", text)
    return [" ".join(code.split()) for code in found if re.match(r"bontea\s+[a-z-]", code)]


# --- names of ours in code that cannot run here -------------------------------------------------


def _tree(module: str) -> ast.Module:
    path = SOURCE.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    assert file.exists(), f"there is no {module}"
    return ast.parse(file.read_text(encoding="utf-8"))


def _defined(module: str, name: str) -> ast.AST | None:
    """What `name` is in the source of a module; followed where it is imported from another."""
    for node in ast.walk(_tree(module)):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return node
        if isinstance(node, ast.Assign) and name in map(ast.unparse, node.targets):
            return node
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    ours = (node.module or "").startswith("bontea")
                    return _defined(str(node.module), alias.name) if ours else node
    path = SOURCE.joinpath(*module.split(".")[1:], name)
    return ast.Module([], []) if path.is_dir() or path.with_suffix(".py").exists() else None


def _keywords(node: ast.AST | None) -> set[str] | None:
    """The arguments that a call may name; None where the source does not say."""
    if isinstance(node, ast.FunctionDef):
        if node.args.kwarg:
            return None
        return {arg.arg for arg in node.args.args + node.args.kwonlyargs}
    if isinstance(node, ast.ClassDef):
        for line in node.body:
            if isinstance(line, ast.FunctionDef) and line.name == "__init__":
                return _keywords(line)
        if not node.bases:
            return {ast.unparse(x.target) for x in node.body if isinstance(x, ast.AnnAssign)}
    return None


def check_names(code: str) -> None:
    """Fails where code imports from bontea, or passes by name, what is not there."""
    tree = ast.parse(code)
    ours: dict[str, tuple[str, str]] = {}
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bontea"):
            for alias in node.names:
                assert _defined(str(node.module), alias.name), f"{node.module} has no {alias.name}"
                ours[alias.asname or alias.name] = str(node.module), alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "bontea":
                    _tree(alias.name)
                    modules.add(alias.asname or alias.name)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        module, _, name = called.rpartition(".")
        if called in ours:
            where = ours[called]
        elif module in modules:
            where = module, name
            assert _defined(*where), f"{module} has no {name}"
        else:
            continue
        known = _keywords(_defined(*where))
        for keyword in node.keywords:
            assert known is None or keyword.arg in {None, *known}, f"{called}({keyword.arg}=...)"
