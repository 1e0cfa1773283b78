"""Everything that can be seen in rewards before training on them, and what to use: `diagnose`."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bontea._arrays import check_k
from bontea._errors import BonteaError
from bontea._json import Result, plain
from bontea._numbers import number
from bontea.diagnosis import FINDERS, Admission, Evidence, Finding, Table, admit, gather
from bontea.diagnosis.reading import whole
from bontea.planning.law import FAR
from bontea.planning.plans import Source, seed_of, source_of
from bontea.planning.ranking import RankingFinding
from bontea.planning.recommendation import Recommendation, recommend
from bontea.planning.rows import Row, with_rollouts
from bontea.theory import LARGEST_N

WIDTH = 96
BATCH = 1024
"""Rollouts in a step of the ranking, as in `plan`."""


@dataclass(frozen=True)
class Diagnosis(Result):
    """Findings about rewards. `str()` is a page that ends with one recommendation."""

    n: float
    m: int
    m_given: bool
    """Whether M was given, or is the smaller of 16 and the median group."""
    alpha: float
    prompts: int
    rewards: int
    median: float
    """Median number of rewards of a prompt."""
    findings: dict[str, Finding]
    """By key, in the order of the page; `diagnosis["tail"]` is one, or None."""
    skipped: dict[str, str]
    """Why a finding could not be made, by key."""
    admission: Admission
    recommendation: Recommendation
    titles: dict[str, str] = field(repr=False)
    """Of all findings, made or skipped, in the order of the page."""

    def __getitem__(self, key: str) -> Any:
        if key not in all_titles():
            raise KeyError(f"{key!r} is no finding; there are {', '.join(all_titles())}")
        return self.findings.get(key)

    @property
    def to_look_at(self) -> list[str]:
        """Titles of the findings that are not marked `ok`."""
        return [finding.title for finding in self.findings.values() if finding.mark != "ok"]

    def to_dict(self) -> dict[str, Any]:
        """Everything, as what JSON knows: `recommended`, `reason` and `m` first, findings by key.

        NaN and infinities become None; a finding that was not made is None.
        """
        return plain(
            {
                **self.recommendation.to_dict(),
                "n": self.n,
                "m_given": self.m_given,
                "alpha": self.alpha,
                "prompts": self.prompts,
                "rewards": self.rewards,
                "rollouts": self.median,
                **{
                    key: None if (found := self.findings.get(key)) is None else found.to_dict()
                    for key in all_titles()
                },
                "skipped": self.skipped,
                "recommendation": str(self.recommendation),
            }
        )

    def __str__(self) -> str:
        chosen = (
            ""
            if self.m_given
            else " (16, or the median number of rewards of a prompt where that is less; "
            "--rollouts, in Python m=, changes it)"
        )
        head = (
            f"{self.prompts:,} prompt{'s' * (self.prompts != 1)}, {self.rewards:,} "
            f"reward{'s' * (self.rewards != 1)}, {number(self.median)} of a prompt (median). To "
            f"deploy best of N = {number(self.n)} from M = {self.m} rollouts in training{chosen}."
        )
        blocks = [_fill(head, WIDTH)]
        for key, title in self.titles.items():
            finding = self.findings.get(key)
            mark = "-" if finding is None else finding.mark
            text = f"not measured: {self.skipped[key]}." if finding is None else finding.text
            body = _fill(text, WIDTH - 4)
            if finding is not None and finding.table is not None:
                body += "\n" + as_text(finding.table)
            blocks.append(f"{title} [{mark}]\n" + textwrap.indent(body, "    "))
        if self.to_look_at:
            blocks.append(
                _fill(
                    "Read before you train (marked look or stop above): "
                    + ", ".join(self.to_look_at)
                    + ".",
                    WIDTH,
                )
            )
        blocks.append(_fill(str(self.recommendation), WIDTH))
        return "\n\n".join(blocks)


def _fill(text: str, width: int) -> str:
    """Wrapped, without a break before `%` or around `=`."""
    for word in (" %", " = ", " ± "):
        text = text.replace(word, word.replace(" ", "\0"))
    return textwrap.fill(text, width, break_long_words=False).replace("\0", " ")


def as_text(table: Table) -> str:
    """A table in plain text, the last column free."""
    rows = [table.columns, *table.rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.columns))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i in (0, len(row) - 1) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def all_titles() -> dict[str, str]:
    """Titles by key of every finding that can be made, in the order of the page."""
    classes: list[type[Finding]] = [*(cls for cls, _ in FINDERS), RankingFinding]
    return {cls.key: cls.title for cls in classes}


def diagnose(
    rollouts: Any,
    *,
    n: float = 128,
    m: int | None = None,
    alpha: float = 0.25,
    groups: int = 20_000,
    measure: str | None = None,
    rng: np.random.Generator | int | None = None,
) -> Diagnosis:
    """Look at rewards before training on them, and recommend an estimator.

    Parameters
    ----------
    rollouts
        A `Rollouts` (`bontea.read_rollouts`), a `(P, M)` array (NaN is a missing reward), or P
        lists of any lengths. For a useful answer 64 prompts with 64 rewards each.
    n
        Deployment budget N.
    m
        Rollouts of a prompt in training; default: the smaller of 16 and the median group of these
        rewards, since files for evaluation mostly hold more rollouts than a training step.
    alpha
        Tail fraction that a tail estimator with a fixed fraction would use: ties and the lightness
        of the tail are judged there.
    measure
        Another score of the same rollouts (`Rollouts.scores`), by which the responses that the
        reward chooses are judged: does best-of-N climb the reward only? It changes no
        recommendation.
    groups
        Groups drawn for each estimator of the ranking, as in `plan`.
    rng
        Seed or NumPy generator, for resampling, for the dealing into steps and for the simulation
        of the estimators. Reference bands have a fixed seed of their own and are computed once for
        each set of group sizes.

    The findings are described in the modules of `bontea.diagnosis`; what is admitted by which rule
    in `bontea.diagnosis.admission`, and what of it is recommended in `bontea.planning.choose`. It
    is what `plan(rollouts, n=n, m=m)` recommends. `plan` has to simulate estimators, and raises
    where it cannot: for constant rewards, two values that are not 0 and 1, fewer than four rewards
    a prompt, and N beyond the rewards; there what the rewards admit decides alone here. Takes some
    seconds, mostly for the simulation of estimators.

    Raises BonteaError for n < 1, alpha outside (0, 1], m < 1 or above 1,024, infinite rewards, or
    no reward at all. Rewards that are too few, constant or 0/1 are no error: the diagnosis says so.
    Ours.

    >>> rewards = np.random.default_rng(0).normal(size=(64, 32))
    >>> diagnose(rewards, n=128, rng=0).recommendation.recommended
    'adaptive_tea'
    >>> diagnose(rewards > 1, n=128, rng=0).recommendation.estimator.name
    'pass_at_n'
    """
    seed = seed_of(rng)
    if m is not None and check_k(m, "m") > BATCH:
        raise BonteaError(
            f"m={m} is above {BATCH:,}, the rollouts of the training step that is looked at: m is "
            "how many rollouts a prompt gets in training, mostly 8 to 64"
        )
    evidence = gather(rollouts, n=n, m=m, alpha=alpha, measure=measure, rng=seed)
    found: dict[str, Finding] = {}
    skipped: dict[str, str] = {}
    for cls, look in FINDERS:
        result = look(evidence)
        if isinstance(result, Finding):
            found[cls.key] = result
        elif result is not None:
            skipped[cls.key] = result
    admission = admit(evidence)
    rows, why = _rank(evidence, admission, check_k(groups, "groups"), seed)
    if isinstance(why, str):
        skipped[RankingFinding.key] = why
    else:
        found[RankingFinding.key] = RankingFinding(
            tuple(rows), why, why // FAR if evidence.success is None else None, evidence.n
        )
    return Diagnosis(
        n=evidence.n,
        m=evidence.m,
        m_given=evidence.m_given,
        alpha=evidence.alpha,
        prompts=len(evidence.rollouts),
        rewards=len(evidence.scored.rewards),
        median=evidence.median,
        findings=found,
        skipped=skipped,
        admission=admission,
        recommendation=recommend(admission, rows, n=evidence.n),
        titles={
            key: title for key, title in all_titles().items() if key in found or key in skipped
        },
    )


def _rank(
    evidence: Evidence, admission: Admission, groups: int, seed: int
) -> tuple[list[Row], int | str]:
    """The rows at this M and the rewards they rest on, or no rows and why."""
    n, total = evidence.n, len(evidence.scored.rewards)
    if not admission.learnable:
        return [], "nothing can be learnt from these rewards"
    if n == 1:
        return [], "N = 1 is about the mean reward, which every estimator without a tail follows"
    if evidence.m < 2:
        return [], "M = 1: there is nothing to compare a rollout with"
    if n > LARGEST_N or (evidence.success is None and n > total):
        return [], (
            f"N = {whole(n)} is beyond the {total:,} rewards: nothing is known about rewards as "
            "rare as its best"
        )
    try:
        source: Source = source_of(evidence.rollouts, None, n, seed)
    except BonteaError as error:
        return [], str(error)
    step = max(BATCH, evidence.m)
    rows = source.rows(admission, n=n, groups=groups, batch_size=step, seed=seed)
    assert source.pilot is not None
    return with_rollouts(rows, step, None), source.pilot.rewards
