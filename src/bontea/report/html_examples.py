"""What a user sees when the best of k is returned: completions for a few prompts.

The best of k drawn from the M scored rollouts of a prompt has rank j or better with probability
`1 - C(M - j, k) / C(M, k)`. Shown is the rollout at the median of that rank: half of the draws
return it or a better one, half it or a worse one. For k = 1 that is the median rollout, for k = M
the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bontea.report import html_parts as parts
from bontea.rollouts.chat_text import readable
from bontea.rollouts.groups import Rollouts

PROMPTS = 4
KS = (1, 8, 64)
LONGEST_TEXT, LEAST_TEXT, ALL_TEXT = 200_000, 2_000, 4_000_000
"""Characters of one text that the page holds, and of all: the less of each, the more there are."""


@dataclass(frozen=True)
class Example:
    """The rollout that stands for the best of k, and its place among M, from 1 the best."""

    k: int
    rank: int
    m: int
    reward: float
    rollout: int
    """Index into the flat rewards."""


def median_rank(m: int, k: int) -> int:
    """The smallest j with `P(rank of the best of k <= j) >= 1/2`, in exact arithmetic.

    >>> [median_rank(64, k) for k in (1, 8, 64)]
    [32, 6, 1]
    """
    all_draws = math.comb(m, k)
    low, high = 1, m - k + 1
    while low < high:
        middle = (low + high) // 2
        if 2 * math.comb(m - middle, k) <= all_draws:
            high = middle
        else:
            low = middle + 1
    return low


def examples(rollouts: Rollouts, p: int, ks: Sequence[int] = KS) -> list[Example]:
    """An example for each k up to the scored rollouts of prompt p, and for all of them."""
    rewards = rollouts.group(p)
    scored = np.flatnonzero(~np.isnan(rewards))
    m = len(scored)
    best_first = scored[np.argsort(-rewards[scored], kind="stable")]
    start = int(rollouts.offsets[p])
    out = []
    for k in sorted({k for k in ks if k < m} | {m} if m else set()):
        rank = median_rank(m, k)
        where = int(best_first[rank - 1])
        out.append(Example(k, rank, m, float(rewards[where]), start + where))
    return out


def choose_prompts(sources: Mapping[str, Rollouts], count: int = PROMPTS) -> list[str]:
    """Prompts in the middle of each quarter by mean reward of the first model, lowest first.

    Among the prompts that every model has, where there are any.
    """
    first, *others = sources.values()
    means = {
        str(first.prompts[p]): float(np.nanmean(first.group(p)))
        for p in range(len(first))
        if not np.isnan(first.group(p)).all()
    }
    common = set(means).intersection(*(map(str, other.prompts) for other in others))
    order = sorted(common or means, key=lambda prompt: (means[prompt], prompt))
    if len(order) <= count:
        return order
    return [order[int((i + 0.5) / count * len(order))] for i in range(count)]


def examples_section(sources: Mapping[str, Rollouts], numbers: parts.Numbers) -> str:
    """HTML: a table a prompt, best of k against models."""
    chosen = choose_prompts(sources)
    where = {
        model: {str(prompt): p for p, prompt in enumerate(rollouts.prompts)}
        for model, rollouts in sources.items()
    }
    shown = {
        model: {q: examples(rollouts, where[model][q]) for q in chosen if q in where[model]}
        for model, rollouts in sources.items()
    }
    texts = {model: _texts(sources[model], shown[model]) for model in sources}
    if not any(text is not None for found in texts.values() for text in found.values()):
        return "<p>The files hold no completions, so there is nothing to read here.</p>"
    count = len(chosen) + sum(map(len, texts.values()))
    most = min(LONGEST_TEXT, max(LEAST_TEXT, ALL_TEXT // count))
    blocks = [
        "<p>The best of k is a different completion with every draw of k. Shown is the typical "
        "one: with the rollouts of a prompt ranked by reward, the median rank of the best of k, so "
        "that half of all draws return this completion or a better one. The prompts are the "
        "middle ones of each quarter by mean reward, lowest first.</p>"
    ]
    for number, q in enumerate(chosen, start=1):
        prompt = readable(_prompt(sources, where, q))
        models = [model for model in sources if q in shown[model]]
        ks = sorted({e.k for model in models for e in shown[model][q]})
        rows = []
        for k in ks:
            cells = []
            for model in models:
                found = [e for e in shown[model][q] if e.k == k]
                cells.append(_cell(found[0], texts[model], numbers, most) if found else "–")
            rows.append([f"best of {k:,}", *cells])
        blocks.append(
            f"<h3>Prompt {number}</h3>{parts.clipped(prompt, most=most)}"
            + parts.table(
                f"Completions of prompt {number}",
                ["returned", *(parts.name(model) for model in models)],
                rows,
                kind="texts",
            )
        )
    return "\n".join(blocks)


def _prompt(
    sources: Mapping[str, Rollouts], where: Mapping[str, Mapping[str, int]], prompt: str
) -> str:
    for model, rollouts in sources.items():
        if prompt in where[model] and rollouts.texts is not None:
            found = str(rollouts.texts[where[model][prompt]])
            if found:
                return found
    return prompt


def _texts(rollouts: Rollouts, shown: Mapping[str, list[Example]]) -> dict[int, str | None]:
    """The completions of the examples by rollout, read from the file; none where it has none."""
    from bontea.rollouts.read import read_completions

    wanted = sorted({e.rollout for found in shown.values() for e in found})
    if rollouts.source is None or rollouts.rows is None or not wanted:
        return dict.fromkeys(wanted)
    rows = [int(rollouts.rows[i]) for i in wanted]
    return dict(zip(wanted, read_completions(rollouts.source, rows, rollouts.reading), strict=True))


def _cell(
    example: Example, texts: Mapping[int, str | None], numbers: parts.Numbers, most: int
) -> str:
    completion = texts[example.rollout]
    body = (
        "<em>no completion</em>"
        if completion is None
        else parts.clipped(readable(completion), most=most)
    )
    return (
        f'<p class="reward">reward <strong>{numbers(example.reward)}</strong>, '
        f"rank {example.rank:,} of {example.m:,}</p>{body}"
    )
