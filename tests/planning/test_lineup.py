"""What is compared: always max_at_k at k = 6 and k = M - 1; every row is shown, with a reason."""

import io
from dataclasses import replace

import numpy as np
import pytest

from bontea.diagnosis import Admission
from bontea.diagnosis.admission import REFUSALS
from bontea.planning import diagnose, plan
from bontea.planning.lineup import lineup

VERDICTS = [
    *("normal", "heavy", "light", "ceiling", "ties", "mixed", "binary", "too little data"),
]


def admission(verdict, m=16, n=128):
    tails = {"normal": "all", "heavy": "all", "mixed": "fixed"}.get(verdict, "none")
    prior = (0.3, 2.0) if verdict == "binary" else None
    return Admission(verdict, "", m=m, n=n, tails=tails, prior=prior)


def labels(n, m, verdict="normal", estimators=None):
    return [entry.spec.label for entry in lineup(n, m, admission(verdict, m, n), estimators)]


@pytest.mark.parametrize("verdict", VERDICTS)
@pytest.mark.parametrize(("n", "m"), [(128, 8), (128, 16), (512, 64), (16, 16), (16, 64), (3, 8)])
def test_both_k_are_always_there(verdict, n, m):
    """k = 6 (or N below that), and k = M - 1; N below M, where k beyond N means nothing, k = N."""
    shown = labels(n, m, verdict)
    assert f"max_at_k(k={min(6, n)})" in shown
    assert f"max_at_k(k={min(m - 1, n)})" in shown
    assert "grpo" in shown
    assert len(set(shown)) == len(shown)


def test_a_group_of_seven_has_one_k():
    assert labels(128, 7)[:2] == ["grpo", "max_at_k(k=6)"]
    assert sum(label.startswith("max_at_k") for label in labels(128, 7)) == 1


def test_who_may_be_named():
    def named(n, m, verdict="normal"):
        entries = lineup(n, m, admission(verdict, m, n))
        return [entry.spec.label for entry in entries if entry.candidate]

    assert named(128, 16) == ["max_at_k(k=6)", "adaptive_tea"]
    assert named(128, 16, "light") == ["max_at_k(k=6)", "adaptive_tea"]  # but it is not admitted
    assert named(128, 16, "binary") == ["max_at_k(k=6)", "pass_at_n(prior=(0.3, 2))"]
    assert named(8, 16) == ["max_at_k(k=6)", "max_at_k(k=8)"]
    assert named(4, 16) == ["max_at_k(k=4)"]
    assert named(1, 16) == ["rloo"]
    exact = [entry.spec.label for entry in lineup(8, 16, admission("normal")) if entry.exact]
    assert exact == ["max_at_k(k=8)"]
    given = lineup(128, 16, admission("normal"), ["grpo", "tea", "max_at_k(k=6)", "max_at_k"])
    assert [entry.spec.label for entry in given] == ["grpo", "tea", "max_at_k(k=6)"]
    assert all(entry.candidate for entry in given)


def test_a_prior_of_the_user_stays():
    given = lineup(128, 16, admission("binary"), ["pass_at_n(prior=(1, 9))", "pass_at_n"])
    assert [entry.spec.label for entry in given] == [
        "pass_at_n(prior=(1, 9))",
        "pass_at_n(prior=(0.3, 2))",
    ]


def text_of(plan):
    from rich.console import Console

    from bontea.report.plan import plan_tables, plan_text

    out = Console(file=io.StringIO(), width=200)
    for table in plan_tables(plan):
        out.print(table)
    return out.file.getvalue() + "\n".join(plan_text(plan))


@pytest.mark.parametrize("law", ["normal", "uniform", "atom"])
def test_every_row_is_shown_and_says_why_it_may_not_be_named(law):
    rng = np.random.default_rng(1)
    draw = {
        "normal": lambda: rng.normal(size=(32, 16)),
        "uniform": lambda: rng.uniform(size=(32, 16)),
        "atom": lambda: np.where(rng.random((32, 16)) < 0.7, 0, rng.normal(2, 0.5, (32, 16))),
    }
    found = diagnose(draw[law](), n=64, groups=640, rng=0)
    rows = found["ranking"].rows
    assert [row.estimator for row in rows] == [
        entry.spec.label for entry in lineup(64, 16, found.admission)
    ]
    page = str(found)
    table = found["ranking"].table
    assert [row[0] for row in table.rows] == [row.estimator for row in rows]
    refused = [row for row in rows if not row.admitted]
    assert len(refused) == (0 if law == "normal" else 5)
    for row, cells in zip(rows, table.rows, strict=True):
        assert f"\n    {row.estimator} " in page
        assert (cells[-1] == "not admitted") == (not row.admitted)
        assert (row.reason == "") == row.admitted
        if not row.admitted:
            assert row.reason == f"not admitted: {REFUSALS[found.admission.verdict]}"
            assert " ".join(row.reason.split())[1:] in " ".join(page.split())
            assert not np.isnan(row.snr)  # measured all the same
    assert {row.estimator for row in rows if row.ranked} == {
        row.estimator for row in rows if row.admitted and row.snr > 0
    }


def test_the_tables_of_a_plan_show_every_row():
    found = plan(n=128, m=[8, 16], law="uniform", groups=640, rng=0)
    text = text_of(found)
    for row in found.rows:
        assert f" {row.estimator} " in text
        if row.reason:
            assert f"at M = {row.m}: {row.reason}." in text
    assert text.count("<- use") == 1
    assert text.count("│ not admitted │") == sum(not row.admitted for row in found.rows)
    assert str(found.recommendation) in text


def test_refusals_have_a_reason_each():
    for verdict in VERDICTS:
        got = admission(verdict)
        for entry in lineup(128, 16, got):
            refusal = got.refusal(entry.spec)
            assert refusal in ("", REFUSALS.get(verdict, "")), (verdict, entry.spec.label)
            if entry.spec.assumes == "nothing":
                assert refusal == ""
    nothing = replace(admission("light"), learnable=False)
    assert {nothing.refusal(entry.spec) for entry in lineup(128, 16, nothing)} == {
        REFUSALS["constant"]
    }
