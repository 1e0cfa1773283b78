"""One way to write a number for a person: the functions, who must use them, and what comes out."""

import ast
import io
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bontea
from bontea._numbers import fixed, interval, number, percent, percent_of, plus_minus, typed
from bontea.curves import evaluate
from bontea.rollouts import as_rollouts

FORBIDDEN = re.compile(
    r"e\+\d"  # 1e+02
    r"|e-0\d"  # 1e-05
    r"|\+-|\+/-"
    r"|(?<![\w.])\.\d"  # .5
    r"|\d%"
    r"|-0(?:\.0+)?(?![\d.]|e)"  # -0.00
    r"|\d{20}"  # a number that nobody can read
)
ROOT = Path(bontea.__file__).parent
NAMES = {"tails/shapes.py", "tails/calibrate.py"}
"""Here a number is part of the name of a tail, which is read again: `gp(-0.1)`."""
MAGNITUDES = [1e-300, 1e-12, 1e-3, 1.0, 1e6, 1e20, 1e150]


def assert_readable(text):
    found = FORBIDDEN.search(text)
    assert not found, text[max(0, found.start() - 40) : found.end() + 20]


@pytest.mark.parametrize(
    "text", ["1e+02", "1e-05", ".5", "1±.2", "25%", "-0", "-0.00", "0.1+-0.2", "[-0.0]"]
)
def test_this_test_can_see(text):
    assert FORBIDDEN.search(text)


def test_what_is_allowed_is_let_through():
    assert_readable("-0.5 [0.10, -0.01] 1.5e-7 2e20 12,345.6 25 % 1 ± 0.2 a.5 v0.1.5 1-0.5")


@given(st.floats(), st.integers(1, 8))
def test_any_number(x, digits):
    for text in (number(x, digits), fixed(x, digits), fixed(x, digits, "+"), typed(x)):
        assert_readable(text)
        value = float(text.replace(",", ""))
        # Rounded up, the largest floats are beyond all of them.
        if abs(x) < 1e308 and text == number(x, digits):
            assert value == pytest.approx(x, rel=0.51 * 10.0 ** (1 - digits))
    assert_readable(plus_minus(x, abs(x), digits))
    assert_readable(interval(-abs(x), x))


@given(st.floats(0, 1))
def test_any_share(share):
    for text in (percent(share), percent_of(share)):
        assert_readable(text)
        assert text.endswith(" %")
        assert (text == "0 %") == (share == 0)
        assert (text == "100 %") == (share == 1)
        value = float(text.removesuffix(" %").split()[-1]) / 100
        assert value == pytest.approx(share, abs=0.00501)


@pytest.mark.parametrize(
    ("share", "text", "whole"),
    [
        (0.996, "99.6 %", "99.6 %"),
        (0.99996, "99.996 %", "99.996 %"),
        (0.9999999, "more than 99.999 %", "more than 99.999 %"),
        (1e-7, "less than 0.001 %", "less than 0.001 %"),
        (0.125, "12.5 %", "12 %"),
        (1.0, "100 %", "100 %"),
        (1.5, "150 %", "150 %"),
        (-0.25, "-25 %", "-25 %"),
    ],
)
def test_shares(share, text, whole):
    assert (percent(share), percent_of(share)) == (text, whole)


def test_rounding_up_to_the_next_power():
    assert [number(9999.6, 4), number(99.96, 3), number(0.00009999999, 3)] == [
        "10,000",
        "100",
        "0.0001",
    ]
    assert number(999_999_999_999_999.9, 3) == "1e15"


def specs(path):
    """The format of every number that a file writes into a text, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            parts = [p.value for p in node.format_spec.values if isinstance(p, ast.Constant)]
            yield node.lineno, "".join(map(str, parts))


def test_nobody_formats_numbers_alone():
    """`:g` writes 1e+06, and `:%` has no space: `bontea._numbers` writes what a person reads."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {spec}"
        for path in sorted(ROOT.rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in NAMES | {"_numbers.py"}
        for line, spec in specs(path)
        if spec.endswith(("g", "%", "e"))
    ]
    assert not wrong, "\n".join(wrong)
    texts = {
        path.relative_to(ROOT).as_posix()
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and re.search(r"\+- ?\d|[\d}] ?\+-|\+- ", str(node.value))
    }
    assert not texts


def printed(thing):
    from rich.console import Console

    out = io.StringIO()
    Console(file=out, width=300).print(thing)
    return out.getvalue()


@pytest.mark.parametrize("unit", [unit for unit in MAGNITUDES if 1e-140 < unit < 1e140])
def test_curves_of_any_size(unit):
    from bontea.report.curves import curve_lines, curve_table

    rewards = unit * np.random.default_rng(0).normal(size=(12, 16))
    found = evaluate({"a": rewards, "b": rewards + 0.1 * unit}, rng=0, method="jackknife")
    assert_readable(printed(curve_table(found)))
    for line in (*curve_lines(found), *found.warnings, *map(str, found.comparisons.values())):
        assert_readable(line)
    assert_readable(str(found.curves["a"]))
    assert_readable(str(as_rollouts([[unit, math.nan]] * 3)))


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e20])
def test_a_diagnosis_of_any_size(unit):
    rewards = unit * np.random.default_rng(0).normal(size=(16, 16))
    assert_readable(str(bontea.diagnose(rewards, n=32, rng=0)))


@pytest.mark.parametrize("share", [0.0, 1e-4, 0.5, 0.9999, 1.0])
@pytest.mark.parametrize("size", [-1e-9, 1.0, 1e300])
def test_the_table_of_a_training_job(share, size):
    from bontea.report.table import comparison_table, difference_lines

    arm = {"arm": "tea", "ks": [1, 8], "best_of_k": [size, -size], "low": [-size, None]}
    arm |= {"high": [size, size], "spread": size, "distinct": share, "kl": -1e-9, "rollouts": 9999}
    results = {"arms": [arm | {"seconds": 12345.6}], "held_out_prompts": 4}
    results |= {"confidence_level": 0.95, "settings": {"deploy_n": 8}}
    row = {"arm": "tea", "minus": "grpo", "ks": [1, 8], "difference": [size, -size]}
    results["differences"] = [row | {"low": [-size, -size], "high": [size, size]}]
    text = printed(comparison_table(results)) + "\n".join(difference_lines(results))
    assert_readable(text)
    assert "95 % interval" in text


def test_lists(capsys):
    from bontea.cli import main

    for what in ("estimators", "laws", "tails"):
        if main(["ls", what]) == 0:
            assert_readable(capsys.readouterr().out)


@pytest.mark.parametrize("n", ["1e6", "1e300"])
def test_a_refused_n(n, capsys):
    from bontea.cli import main

    assert main(["plan", "--deploy-n", n, "--rollouts", "8", "--estimator", "no"]) != 0
    assert_readable(capsys.readouterr().err)
