"""Best-of-N beyond the sample, with intervals that hold what the fit does not know.

Inside the sample (n up to the rollouts of the smallest group) `best_of_k` is unbiased and assumes
nothing. Beyond it something has to be assumed:

- *continuous rewards*: that the upper rewards of all prompts follow a tail of one shape, each
  prompt with a location and a scale of its own (`bontea.tails.pooled`). The bend of the tail is
  estimated from all prompts, the largest tail fraction of 3/4, 1/2, 1/4 is taken whose line meets
  the best rewards, and a prompt's scale is drawn towards the mean as far as its spread is noise.
- *0/1 rewards*: that the success rates of prompts follow a beta law (`bontea.tails.beta_binomial`).
- *anything else* (ties, a few values, an atom at the top): nothing is predicted, and the reason is
  given, with what to do.

Best-of-N never falls as N grows. What a model says falls neither, but it may begin below what was
measured inside the sample. By as much as chance explains, the mean is then the measured one until
the model reaches it. By more, the model does not hold, and nothing is predicted: that is judged by
a standard error that leaves out the prompts farthest from the model (one in twenty), since one
strange reward makes a standard error that excuses everything. (A single prompt is not held against
its own best reward, which is chance: of 16 rollouts with one success the measured pass@16 is 1, and
that is no reason to predict 1.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bontea._arrays import check_n
from bontea._errors import BonteaError
from bontea._json import Result
from bontea._numbers import number, percent_of, typed
from bontea.curves.influence import find_influence
from bontea.curves.intervals import error_of_mean
from bontea.curves.unbiased import best_of_k_by_prompt
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.tails import check_tail, fit_beta, reward_kind
from bontea.tails.beta_binomial import beta_influence, expected_passes
from bontea.tails.choose import ALPHAS
from bontea.tails.fit import TailCheck, TailVerdict
from bontea.tails.normal import tail_size
from bontea.tails.pooled import PooledTail, fit_pooled

if TYPE_CHECKING:
    from bontea._types import ArrayLike, Float


PASS, DOUBT, REFUSE = 1.0, 2.0, 4.0
"""Miss of the best rewards, in standard errors, up to which a fraction is taken, believed, used."""
LEAST_ROBUST = 8
"""Prompts from which on an error can be told without the farthest of them."""


@dataclass(frozen=True)
class Extrapolation(Result):
    """Best-of-N for budgets N beyond (or inside) the sample. `str()` ends with what to do.

    Arrays are `(K,)` over the budgets, `per_prompt...` `(P, K)`, in reward units.
    """

    ns: Float[np.ndarray, " K"]
    value: Float[np.ndarray, " K"]
    """Mean over prompts; NaN where refused."""
    low: Float[np.ndarray, " K"]
    high: Float[np.ndarray, " K"]
    per_prompt: Float[np.ndarray, "P K"]
    per_prompt_low: Float[np.ndarray, "P K"]
    per_prompt_high: Float[np.ndarray, "P K"]
    method: str
    """What was fitted, such as `"lognormal(-0.08) tail"` or `"beta-binomial"`."""
    alpha: float
    """Tail fraction; NaN where there is no tail (0/1 rewards)."""
    verdict: TailVerdict
    """Of the model, at the largest N; where it fails, nothing is predicted."""
    message: str
    """Why the verdict is what it is, and what to do."""
    confidence_level: float

    DERIVED = ("refused",)

    @property
    def refused(self) -> bool:
        """Whether nothing is predicted: the verdict is `"fails"`, and `message` says why."""
        return self.verdict == "fails"

    def at(self, n: float) -> tuple[float, float, float]:
        """Value, lower and upper limit at one of the budgets."""
        (where,) = np.nonzero(self.ns == n)
        if len(where) == 0:
            raise BonteaError(f"n={typed(n)} is not among the budgets {self.ns.tolist()}")
        i = where[0]
        return float(self.value[i]), float(self.low[i]), float(self.high[i])

    def __str__(self) -> str:
        if self.refused:
            return f"nothing is predicted: {self.message}"
        level = percent_of(self.confidence_level)
        rows = [
            f"best of {number(n)}: {number(v, 4)} [{number(low, 4)}, {number(high, 4)}]"
            for n, v, low, high in zip(self.ns, self.value, self.low, self.high, strict=True)
        ]
        return (
            f"{self.method}, {len(self.per_prompt)} prompts, mean and {level} interval\n  "
            + "\n  ".join(rows)
            + f"\n{self.verdict}: {self.message}"
        )


def extrapolate(
    rollouts: Rollouts | Float[ArrayLike, "P M"],
    ns: float | Sequence[float],
    *,
    strata: Sequence[Any] | np.ndarray | None = None,
    tail: str | None = None,
    alpha: float | None = None,
    confidence_level: float = 0.95,
) -> Extrapolation:
    """Predict best-of-N of each prompt and of the mean over prompts, for N beyond the sample.

    Parameters
    ----------
    rollouts
        `(P, M)` rewards (NaN: missing), ragged lists, or `Rollouts`.
    ns
        Deployment budgets, real numbers of at least 1.
    strata
        `(P,)` labels, as in `curve`: only the spread inside strata is uncertain; default: those of
        `rollouts`.
    tail, alpha
        A name of `bontea.tails.shapes`, or `"gp"` for a generalised Pareto tail with the shape
        estimated, and a tail fraction; None chooses from the data, as in the module docstring.

    Intervals
    ---------
    `low, high` are for the mean over the population of prompts, Student's t with the variance of

        mean_p [V_p + D influence_p]  over prompts,  plus  D^2 (what is unknown about the bend),

    V_p by the prompt's own line, D the slope of the mean in the bend (for 0/1 rewards in the two
    parameters of the beta law); `per_prompt_low, per_prompt_high` for V_N of that prompt,
    with the errors of its line and of the bend. Both contain sampling and fitting error. Neither
    contains the error of a wrong family of tails: that is what `verdict` is for.

    `verdict` is of the model at the best reward of each group (`check_tail` with the fitted bend:
    |z| up to 2 holds, up to 4 is doubtful, beyond fails, and then nothing is predicted; it fails,
    too, where the model begins below what was measured inside the sample, see the module), and
    doubtful when N exceeds the number of rewards, where nobody has seen the tail. Beyond 100 times
    as many nothing is predicted.

    Raises ValueError for n < 1, infinite rewards, or no rewards; GroupTooSmallError when no group
    has 3 rewards in its tail. Ours; the tail form is Lemma 1 of arXiv 2605.10716.

    >>> rewards = np.random.default_rng(0).normal(size=(100, 16))
    >>> prediction = extrapolate(rewards, [128])
    >>> prediction.verdict, [round(v, 1) for v in prediction.at(128)]  # c_128 = 2.59
    ('holds', [2.5, 2.3, 2.7])
    """
    if not 0 < confidence_level < 1:
        raise BonteaError(f"confidence_level={confidence_level!r} must be between 0 and 1")
    budgets = np.array([check_n(n) for n in np.atleast_1d(np.asarray(ns, dtype=float)).tolist()])
    if budgets.size == 0:
        raise BonteaError("ns is empty: give at least one deployment budget, such as 128")
    data = as_rollouts(rollouts, strata=strata).scored()
    table = data.table()
    kind = reward_kind(table)
    rewards = int(np.isfinite(table).sum())
    # The shape is seen down to a tail probability of 1 / rewards; best-of-N needs it at 1 / N.
    ratio = budgets.max() / rewards
    reach = "" if ratio <= 1 else "doubtful" if ratio <= 100 else "refused"
    refused = ""
    if reach == "refused":
        refused = (
            f"N = {number(budgets.max())} is more than 100 times the {rewards:,} rewards there "
            "are: nothing in them tells how the tail goes on so far out; draw more, or ask for a "
            "smaller N"
        )
    elif kind.name == "binary" and {kind.lowest, kind.highest} <= {0.0, 1.0}:
        return _binary(table, budgets, confidence_level, reach, data)
    elif kind.name != "continuous" and tail is None:
        refused = f"the rewards are {kind.name}; {kind.message}"
    if refused:
        return _refusal(table, budgets, confidence_level, refused)

    fit, check = _choose(table, tail, alpha)
    verdict, message = _judge(check, reach, budgets.max(), rewards)
    if verdict == "fails":
        return _refusal(table, budgets, confidence_level, message + _because(data))
    found = _from_tail(fit, budgets, confidence_level, verdict, message, data.strata)
    own = np.full(len(data), np.nan)
    for size in np.unique(data.counts).tolist():
        own[data.counts == size] = fit.predict(size)[data.counts == size]
    return _joined(found, data, own)


def _choose(
    table: np.ndarray, tail: str | None, alpha: float | None
) -> tuple[PooledTail, TailCheck]:
    """The fit of the largest tail fraction whose line meets the best rewards, and its check."""
    largest = int((~np.isnan(table)).sum(1).max())
    usable = [a for a in ALPHAS if tail_size(a, largest) >= 3] or [ALPHAS[0]]
    best: tuple[PooledTail, TailCheck] | None = None
    for fraction in usable if alpha is None else [alpha]:
        fit = fit_pooled(table, alpha=fraction, tail=tail or "lognormal")
        check = check_tail(table, alpha=fraction, tail=fit.tail)
        if best is None or abs(check.z) < abs(best[1].z):
            best = fit, check
        if not abs(check.z) > PASS:
            break
    assert best is not None
    return best


def _judge(check: TailCheck, reach: str, n: float, rewards: int) -> tuple[TailVerdict, str]:
    """Verdict and message."""
    if not np.isfinite(check.z):
        return "unknown", "too few prompts that differ to check the tail: use more prompts"
    miss = f"the best rewards lie {abs(check.z):.1f} standard errors " + (
        "below" if check.z < 0 else "above"
    )
    if abs(check.z) >= REFUSE:
        return "fails", (
            f"no tail fits: {miss} what the rest of the tail promises"
            + (" (a ceiling?)" if check.z < 0 else " (outliers?)")
            + "; use best_of_k inside the sample, and draw as many rollouts as you deploy"
        )
    if abs(check.z) >= DOUBT:
        return "doubtful", (
            f"{miss} the fitted tail; draw more rollouts of a few prompts and compare before you "
            "rely on it"
        )
    if reach:
        return "doubtful", (
            f"N = {number(n)} exceeds the {rewards:,} rewards there are, so the tail is not seen "
            "as far out as best-of-N reaches; draw more"
        )
    return "holds", "the best rewards seen are what the fitted tail promises"


def _from_tail(
    fit: PooledTail,
    ns: np.ndarray,
    level: float,
    verdict: TailVerdict,
    message: str,
    strata: Any,
) -> Extrapolation:
    from scipy.stats import norm

    per_prompt = np.stack([fit.predict(n) for n in ns], axis=-1)
    noise = np.sqrt(np.stack([fit.variance(n) for n in ns], axis=-1))
    use = np.isfinite(per_prompt[:, 0])
    prompts = int(use.sum())
    value = per_prompt[use].mean(0)
    half = np.full(len(ns), np.nan)
    if prompts > 1:
        for i, n in enumerate(ns):
            slope = fit.slope_in_shape(n)[use].mean()
            moved, unseen = fit.predict_alone(n)[use], 0.0
            if fit.shape is not None:
                moved = moved + prompts * slope * fit.shape.kept * fit.shape.influence[use]
                unseen = (slope * fit.shape.standard_error) ** 2 * (1 - fit.shape.kept)
            half[i] = _half_width(moved, None if strata is None else strata[use], level, unseen)
    z = norm.ppf((1 + level) / 2)
    return Extrapolation(
        ns=ns,
        value=value,
        low=value - half,
        high=value + half,
        per_prompt=per_prompt,
        per_prompt_low=per_prompt - z * noise,
        per_prompt_high=per_prompt + z * noise,
        method=f"{fit.tail} tail above the upper {number(fit.alpha)}",
        alpha=fit.alpha,
        verdict=verdict,
        message=message,
        confidence_level=level,
    )


def _joined(
    found: Extrapolation, data: Rollouts, own: np.ndarray, error: float | None = None
) -> Extrapolation:
    """A prediction that does not begin below what was measured, or nothing and why.

    `own` `(P,)` is what the model says of the best of all rewards of each prompt, NaN for prompts
    that took no part. `error` is the standard error of the mean of measured minus `own`, where it
    is known from the model.
    """
    use = np.isfinite(own)
    miss = (np.maximum.reduceat(data.rewards, data.offsets[:-1]) - own)[use]
    smallest = int(data.counts.min())
    ks = [*np.minimum(np.floor(found.ns), smallest).astype(int).tolist(), smallest]
    *measured, end = best_of_k_by_prompt(data.rewards, data.counts, ks).mean(0)
    below = bool((np.array(measured) > found.value).any())
    missed = float(miss.mean()) / max(_error(miss) if error is None else error, 1e-300)
    if missed >= REFUSE or (below and (missed >= DOUBT or not use.all())):
        who = "the tail of the prompts that have one" if not use.all() else "the fitted model"
        return _refusal(
            found.per_prompt,
            found.ns,
            found.confidence_level,
            f"{who} predicts less than the {number(end, 4)} that was measured as "
            f"best-of-{smallest}, and the best of more responses is not worse. Use best_of_k "
            f"inside the sample, and draw as many rollouts as you deploy{_because(data)}",
        )
    value = np.maximum(found.value, measured)
    influence = find_influence(data)
    return replace(
        found,
        value=value,
        high=np.maximum(found.high, value),
        message=found.message if influence is None else f"{found.message}; but {influence.short}",
    )


def _error(values: np.ndarray) -> float:
    """Standard error of the mean of `values` `(P,)`, without the farthest; endless for one."""
    if len(values) < 2:
        return np.inf
    if len(values) >= LEAST_ROBUST:
        away = np.argsort(np.abs(values - np.median(values)))
        values = values[away[: -max(1, len(values) // 20)]]
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def _because(data: Rollouts) -> str:
    """The reward that carries the result, where there is one."""
    influence = find_influence(data)
    return "" if influence is None else f"; {influence.short}"


def _binary(
    table: np.ndarray, ns: np.ndarray, level: float, reach: str, data: Rollouts
) -> Extrapolation:
    """pass@N: `1 - E[(1-p)^N]` under the posterior Beta(a + s, b + f) of each prompt."""
    from scipy.stats import beta

    trials = np.isfinite(table).sum(1)
    successes = np.nansum(table, axis=1)
    s, f = successes[:, None], (trials - successes)[:, None]
    ab, strata = np.array(fit_beta(successes, trials)), data.strata

    def predict(log_move: np.ndarray) -> np.ndarray:
        a, b = ab * np.exp(log_move)
        return expected_passes(ns, a + s, b + f)

    per_prompt = predict(np.zeros(2))
    tails = ((1 - level) / 2, (1 + level) / 2)
    limits = [-np.expm1(ns * np.log1p(-beta.ppf(q, ab[0] + s, ab[1] + f))) for q in tails]
    value, prompts = per_prompt.mean(0), len(table)
    half = np.full(len(ns), np.nan)
    if prompts > 1:
        moves = np.eye(2) * 1e-4
        slope = np.stack([predict(m).mean(0) - predict(-m).mean(0) for m in moves]) / 2e-4
        moved = per_prompt + prompts * beta_influence(successes, trials, *ab) @ slope
        half = np.array([_half_width(column, strata, level) for column in moved.T])
    found = Extrapolation(
        ns=ns,
        value=value,
        low=np.maximum(value - half, 0.0),
        high=np.minimum(value + half, 1.0),
        per_prompt=per_prompt,
        per_prompt_low=limits[0],
        per_prompt_high=limits[1],
        method=f"beta-binomial (success rates Beta({number(ab[0], 3)}, {number(ab[1], 3)}))",
        alpha=float("nan"),
        verdict="doubtful" if reach or prompts < 10 else "holds",
        message=(
            "pass@N beyond the sample rests on how success rates near 0 are spread over prompts; "
            "prompts never solved count as rare, not as impossible"
        ),
        confidence_level=level,
    )
    own = expected_passes(trials, ab[0] + successes, ab[1] + trials - successes)
    # A prompt is solved or not: the model says how much that varies.
    return _joined(found, data, own, error=float(np.sqrt((own * (1 - own)).sum())) / prompts)


def _half_width(values: np.ndarray, strata: Any, level: float, unseen: float = 0.0) -> float:
    """Half of the interval of the mean over the P prompts of `values` `(P,)`, by Student's t.

    `unseen` is variance that the spread over prompts does not show.
    """
    from scipy.stats import t

    variance, freedom = values.var(ddof=1) / len(values), len(values) - 1.0
    if strata is not None:
        (error,), (freedom,) = error_of_mean(values[:, None], strata)
        variance = error**2
    return float(t.ppf((1 + level) / 2, freedom) * np.sqrt(variance + unseen))


def _refusal(table: np.ndarray, ns: np.ndarray, level: float, why: str) -> Extrapolation:
    nothing, each = np.full(len(ns), np.nan), np.full((len(table), len(ns)), np.nan)
    return Extrapolation(
        ns, nothing, nothing, nothing, each, each, each, "none", np.nan, "fails", why, level
    )
