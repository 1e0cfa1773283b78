"""Where training ends: the table of shares, between its points, and beyond it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import bontea.planning
from bontea import EstimatorSpec
from bontea.diagnosis import Admission
from bontea.planning import ends
from bontea.planning.ends import end_share
from bontea.planning.lineup import lineup
from bontea.theory import style_frontier

FILE = Path(bontea.planning.__file__).with_name("ends.json")


def share(text, n, m):
    return end_share(EstimatorSpec.parse(text).bind(n=n, m=m), n=n, m=m)


def cells():
    return {
        (name, row["n"], row["m"]): row["shares"]
        for name, rows in json.loads(FILE.read_text("utf-8"))["estimators"].items()
        for row in rows
        if row["shares"] is not None  # it cannot run there
    }


def test_shares_are_shares():
    for cell, shares in cells().items():
        assert len(shares) == 5, cell
        assert all(-0.02 <= one <= 1.005 for one in shares), cell
        # Seeds of one cell are told from each other by a few points at most.
        assert np.ptp(shares) < 0.12, cell


def test_the_table_holds_the_line_up():
    """N = 128 and 512, M = 8 to 64: no estimator of the default line-up is trained on the spot."""
    for n in (128, 512):
        for m in (8, 16, 32, 64):
            for entry in lineup(n, m, Admission("normal", "", m=m, n=n, tails="all")):
                runs = entry.spec.fits(m)
                name = ends._family(entry.spec, n, m)
                assert ((n, m) in ends.table().get(name, {})) == runs, (entry.spec.label, n, m)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("max_at_k", "max_at_k"),
        ("max_at_k(k=6)", "max_at_k"),
        ("max_at_k(k=15)", "max_at_k(k=M-1)"),
        ("linear_tea(alpha=0.5)", "linear_tea(alpha=0.5)"),
        ("adaptive_tea", "adaptive_tea"),
    ],
)
def test_points_of_the_grid_are_the_table(text, name):
    for n, m in ((128, 16), (512, 16)):
        assert share(text, n, m) == np.mean(cells()[name, n, m])


def test_between_the_points():
    """The middle in log N and log M is the mean of four; a point on an edge is that of two."""
    middle = share("adaptive_tea", 256, math.sqrt(8 * 16))
    known = [np.mean(cells()["adaptive_tea", n, m]) for n in (128, 512) for m in (8, 16)]
    assert middle == pytest.approx(np.mean(known))
    edge = share("adaptive_tea", 256, 16)
    assert edge == pytest.approx(np.mean([known[1], known[3]]))
    # k = 6 and k = M - 1 meet at M = 7, and are different estimators from M = 8 on.
    assert share("max_at_k(k=11)", 128, 12) > share("max_at_k(k=6)", 128, 12)


def test_outside_the_grid_it_is_trained(monkeypatch):
    asked = []

    class Found:
        mean = 0.5

    def trained(spec, **options):
        asked.append((spec.label, options["n"], options["m"]))
        return Found()

    monkeypatch.setattr(ends, "style_frontier", trained)
    ends._trained.cache_clear()
    try:
        assert share("adaptive_tea", 4000, 16) == 0.5
        assert share("adaptive_tea", 4000, 16) == 0.5  # once
        assert share("adaptive_tea(alphas=(0.25,))", 128, 16) == 0.5
        assert share("max_at_k(k=8)", 128, 16) == 0.5
        assert math.isnan(share("adaptive_tea", 20_000, 16))
    finally:
        ends._trained.cache_clear()
    assert asked == [
        ("adaptive_tea", 4000, 16),
        ("adaptive_tea(alphas=(0.25,))", 128, 16),
        ("max_at_k(k=8)", 128, 16),
    ]


def test_what_cannot_be_trained_has_no_share():
    assert math.isnan(share("tea", 128, 4))  # too few rewards in its tail
    assert math.isnan(share("rloo", 1, 16))  # no policy is worth more than another


@pytest.mark.parametrize(("text", "m"), [("max_at_k", 16), ("adaptive_tea", 8)])
def test_the_table_is_what_training_gives(text, m):
    """Two seeds of 300 steps against five of 400: within 6 points."""
    spec = EstimatorSpec.parse(text).bind(n=128, m=m)
    got = style_frontier(spec, n=128, m=m, seeds=2, steps=300, rng=7).mean
    assert got == pytest.approx(share(text, 128, m), abs=0.06)
