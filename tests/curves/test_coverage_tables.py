"""The measured coverage: the guide shows it, and the defaults hold what they promise."""

import json
import re

import numpy as np
import pytest
from tests.scripts import ROOT, load_script

from bontea import best_of_k

FOLDER = ROOT / "benchmarks" / "experiments" / "coverage"
GUIDE = ROOT / "docs" / "guide"
RESULTS = json.loads((FOLDER / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def experiment():
    return load_script(FOLDER / "run.py")


def test_the_guide_shows_the_results(experiment):
    page = (GUIDE / "1-curves.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- coverage: .* -->\n(.*)<!-- coverage ends -->", page, re.S).group(1)
    assert shown.strip() == experiment.tables(RESULTS)


def test_every_cell_is_there(experiment):
    found = [experiment.name(r) for r in RESULTS if r["sets"] >= 2000]
    assert sorted(found) == sorted(experiment.name(cell) for cell in experiment.cells())


def test_defaults_cover_93_to_97_percent_at_100_prompts(experiment):
    """Every law, M, k and design; half a percent is noise."""
    rows = [r for r in RESULTS if r["prompts"] == 100]
    assert len(rows) > 30
    for row in rows:
        coverage = np.array(row["coverage"][experiment.default(row)])
        assert ((coverage >= 0.93) & (coverage <= 0.97)).all(), experiment.name(row)


@pytest.mark.parametrize("second", [False, True], ids=["a", "b"])
def test_true_values(experiment, second):
    """Of the laws without a formula, against 20,000 prompts of 16 rollouts: |z| < 5."""
    rng = np.random.default_rng(0)
    for law in ("rounded", "bounded", "bernoulli", "exponential", "student_t5"):
        mu = experiment.locations(law, rng, 1, 20_000)
        values = best_of_k(experiment.rewards(law, rng, mu, 16, second=second)[0], [1, 8, 16])
        true = [experiment.truth(law, k, second=second) for k in (1, 8, 16)]
        error = values.std(0, ddof=1) / np.sqrt(len(values))
        assert (np.abs(values.mean(0) - true) < 5 * error).all(), law
        assert (error < 0.03).all()
