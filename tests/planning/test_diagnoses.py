"""`diagnose`: a page that ends with what to do, from every kind of input, the same every time."""

import json
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from bontea.diagnosis import Finding, Table
from bontea.planning import diagnose, diagnoses
from bontea.planning.diagnoses import all_titles
from bontea.rollouts.groups import Rollouts

NAN = np.nan
GROUPS = 1000


def rollouts(rng, prompts=40, m=16, lengths=True):
    rewards = rng.normal(size=(prompts, m))
    rewards[0, :4] = NAN
    long = 20 + 10 * rewards + rng.normal(size=rewards.shape)
    return Rollouts(
        rewards.ravel(),
        np.arange(0, prompts * m + 1, m),
        np.array([f"p{i}" for i in range(prompts)], object),
        lengths=np.nan_to_num(long, nan=20).ravel() if lengths else None,
    )


def test_the_page():
    d = diagnose(rollouts(np.random.default_rng(2)), n=128, groups=GROUPS)
    page = str(d)
    assert page.startswith("40 prompts, 636 rewards, 16 of a prompt (median).")
    assert max(map(len, page.splitlines())) <= 100
    for key, title in all_titles().items():
        assert (f"\n{title} [" in page) == (d[key] is not None or key in d.skipped)
    assert [key for key in all_titles() if d[key] is not None] == [*d.findings]
    last = page.split("\n\n")[-1]
    assert last.startswith("RECOMMENDATION: adaptive_tea with M = 16.")
    assert last.replace("\n", " ") == str(d.recommendation)
    # Every number stands beside what is expected or harmless, and the link to length is seen.
    assert "harmless" in page
    assert "normal:" in page
    assert d["length"].correlation.value > 0.9
    assert (
        "(marked look or stop above): Length" in page.replace("\n", " ") or "Length" in d.to_look_at
    )


def test_ragged_lists_arrays_and_rollouts_agree():
    data = rollouts(np.random.default_rng(1), lengths=False)
    table = data.table()
    lists = [row[np.isfinite(row)].tolist() for row in table]
    pages = {str(diagnose(x, rng=3, groups=GROUPS).recommendation) for x in (data, table, lists)}
    assert len(pages) == 1
    # Lists hold no missing rollouts.
    assert diagnose(table, groups=1)["signal"].unscorable.value == pytest.approx(4 / 640)
    assert diagnose(lists, groups=1)["signal"].unscorable.value == 0


def test_seed():
    x = np.random.default_rng(2).normal(size=(64, 32))
    one, two, other = (diagnose(x, rng=seed, groups=GROUPS) for seed in (5, 5, 6))
    assert one.to_dict() == two.to_dict()
    assert one.to_dict() != other.to_dict()
    # Bands are simulated once, with a seed of their own.
    np.testing.assert_array_equal(one["qq"].low, other["qq"].low)
    assert one["pareto"].shape.interval != other["pareto"].shape.interval


KINDS = {
    "normal": lambda r: r.normal(size=(64, 16)),
    "tiny": lambda r: r.normal(size=(3, 4)),
    "one": lambda r: r.normal(size=(1, 1)),
    "few rewards": lambda r: r.normal(size=(100, 3)),
    "constant": lambda r: np.zeros((64, 16)),
    "0/1": lambda r: r.random((64, 16)) < 0.2,
    "grades": lambda r: r.integers(1, 6, size=(64, 16)),
    "atom": lambda r: np.maximum(r.normal(size=(64, 16)), 0),
    "mixed with nulls": lambda r: np.where(r.random((64, 16)) < 0.5, NAN, r.normal(size=(64, 16))),
    "far from 0": lambda r: 1e9 + r.normal(size=(64, 16)),
    "tiny units": lambda r: 1e-60 * r.normal(size=(64, 16)),
    "huge units": lambda r: 1e100 * r.normal(size=(64, 16)),
}


@pytest.mark.parametrize(
    ("kind", "n"),
    [(kind, 128) for kind in KINDS]
    + [(kind, n) for kind in ("normal", "one", "0/1", "constant") for n in (1, 8, 1e9)],
)
def test_every_kind_gives_a_page_and_json(kind, n):
    x = KINDS[kind](np.random.default_rng(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d = diagnose(x, n=n, groups=GROUPS)
        page = str(d)
    assert page.split("\n\n")[-1].startswith("RECOMMENDATION: ")
    assert "nan" not in page.lower().replace("dominant", "")
    got = json.loads(json.dumps(d.to_dict(), allow_nan=False))
    assert got["recommendation"] == str(d.recommendation)
    assert got["recommended"] == d.recommendation.recommended
    assert got["reason"] == d.recommendation.message
    assert got["m"] == d.recommendation.m
    for name in all_titles():
        assert (got[name] is None) == (d[name] is None)


@dataclass(frozen=True)
class MedianFinding(Finding):
    """A diagnosis of a user's own, as its one file would be."""

    key: ClassVar[str] = "median"
    title: ClassVar[str] = "Median reward"

    value: float

    @property
    def mark(self):
        return "look"

    @property
    def text(self):
        return f"half of the rewards lie below {self.value:.3f}."

    @property
    def table(self):
        return Table("By quarter", ("quarter", "reward"), (("lower", "-0.7"), ("upper", "<0.7>")))


def median(evidence):
    """The finding, why there is none, or None where it makes no sense."""
    if evidence.kind.kind.name == "binary":
        return None
    if evidence.median < 4:
        return "4 rewards of a prompt are needed"
    return MedianFinding(float(np.median(evidence.scored.rewards)))


def test_a_new_finding_is_one_file_and_one_line(monkeypatch):
    """Appended to FINDERS, a class and its `look` are on the page, in the JSON and in the HTML."""
    from bontea.report.html_charts import styles
    from bontea.report.html_diagnosis import diagnosis_section

    monkeypatch.setattr(diagnoses, "FINDERS", (*diagnoses.FINDERS, (MedianFinding, median)))
    x = np.random.default_rng(6).normal(size=(20, 8))
    d = diagnose(x, groups=640)
    text = f"half of the rewards lie below {np.median(x):.3f}."
    assert d["median"].text == str(d["median"]) == text
    assert f"\nMedian reward [look]\n    {text}\n    quarter  reward\n    lower    -0.7\n" in str(d)
    assert list(d.titles)[-2:] == ["median", "ranking"]
    assert "Median reward" in d.to_look_at
    assert d.to_dict()["median"]["value"] == np.median(x)
    assert d.to_dict()["median"]["mark"] == "look"
    html = diagnosis_section({"start": d}, styles(["start"]), [])
    assert f"<strong>Median reward:</strong> {text}" in html
    assert "By quarter" in html
    assert "&lt;0.7&gt;" in html  # and what it says is escaped
    few = diagnose(x[:, :3], groups=640)
    assert few["median"] is few.to_dict()["median"] is None
    assert few.skipped["median"] == "4 rewards of a prompt are needed"
    assert "Median reward [-]\n    not measured: 4 rewards of a prompt are needed." in str(few)
    zero_one = diagnose(x > 0, groups=640)
    assert "Median reward" not in str(zero_one)
    with pytest.raises(KeyError, match=r"'meddian' is no finding; there are kind, .*, median"):
        d["meddian"]


def test_m_is_chosen_and_said():
    x = np.random.default_rng(5).random((32, 64)) < 0.2
    assert diagnose(x[:, :12], groups=GROUPS).m == 12
    chosen, given = diagnose(x, groups=GROUPS), diagnose(x, m=32, groups=GROUPS)
    assert chosen.m == chosen.recommendation.m == 16
    assert "or the median number of rewards of a prompt where that is less" in str(chosen).replace(
        "\n", " "
    )
    assert given.m == given.recommendation.m == 32
    assert "where that is less" not in str(given)


@pytest.mark.parametrize(
    ("rewards", "options", "words"),
    [
        (np.full((3, 4), NAN), {}, "none of the 12 rollouts of 3 prompts has a reward"),
        ([[1.0, np.inf]], {}, "prompt 0, rollout 1: the reward is inf"),
        (np.zeros(5), {}, "must be"),
        ([], {}, "no groups"),
        (np.ones((2, 2)), {"n": 0.5}, "n=0.5 is not a deployment budget"),
        (np.ones((2, 2)), {"n": np.inf}, "n=inf is not a deployment budget"),
        (np.ones((2, 2)), {"m": 0}, "m=0 must be a whole number of at least 1"),
        (np.ones((2, 2)), {"alpha": 0}, "alpha=0 is not a tail fraction"),
        (np.eye(4), {"groups": 0}, "groups=0 must be a whole number of at least 1"),
    ],
)
def test_bad_input(rewards, options, words):
    with pytest.raises(ValueError, match=words):
        diagnose(rewards, **options)
