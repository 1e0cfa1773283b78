"""Where there is no number, tables say so in words, and JSON has null."""

import io
import math
from dataclasses import replace

import numpy as np

from bontea import effective_n
from bontea.planning import plan
from bontea.report.bench import _budget
from bontea.tails import check_tail


def test_effective_n_beyond_what_can_be_told():
    found = effective_n("tea", n=128, m=16, groups=640, rng=0)
    endless = replace(found, value=math.inf, standard_error=math.nan)
    assert "effective N  beyond 1,000,000,000, more than can be told" in str(endless)
    assert "inf" not in str(endless).replace("info", "")
    assert endless.to_dict()["value"] is None
    assert "effective N  not defined" in str(replace(found, value=math.nan))
    assert "± ?" in str(replace(found, standard_error=math.inf))


def test_plan_and_bench_say_it_in_words():
    from rich.console import Console

    from bontea.report.plan import plan_tables

    found = plan(n=16, m=8, estimators=["max_at_k", "rloo"], groups=640, rng=0)
    rows = tuple(
        replace(row, effective_n=math.inf, effective_n_standard_error=math.nan)
        for row in found.rows
    )
    out = io.StringIO()
    console = Console(file=out, width=200)
    for table in plan_tables(replace(found, rows=rows, best=None)):
        console.print(table)
    assert "beyond 1e6" in out.getvalue()
    assert " inf" not in out.getvalue()
    assert _budget({"effective N": None, "effective N se": None}) == "beyond 1e9"
    assert _budget({"effective N": 8.5, "effective N se": None}) == "8.5 ± ?"


def test_a_check_without_a_number():
    assert "nan" not in str(check_tail(np.zeros((3, 16))))
