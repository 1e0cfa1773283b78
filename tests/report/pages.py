"""Reports for the tests, made from files of rollouts through the public functions."""

from __future__ import annotations

import json

import numpy as np

from bontea.curves import compare, curve, extrapolate
from bontea.deploy import quick_savings
from bontea.planning import diagnose
from bontea.report.html import write_report
from bontea.rollouts.read import read_rollouts

ATTACK = '<script>window.pwned=1</script><img src=x onerror="window.pwned=1">\'"&amp;'
LATEX = r"$\frac{a}{b}$ and \(x_1 \le 2\), $$\sum_{i<j} \alpha_i & \beta$$, \n is no line end"
RIGHT_TO_LEFT = "שלום, עולם!\nHello, world!\n\u202eturned\u2066 around"
ATTACKS = {
    "model": f"{ATTACK}</title>%{{meta.role}}",
    "prompt": f"{ATTACK}</div></main>",
    "completion": f"{ATTACK}</script><!--<script>\u2028\x00\u202e]]>",
    "stratum": f"{ATTACK}<style>*{{display:none}}</style>",
}


def write_rollouts(path, *, prompts=16, rollouts=32, seed=0, hostile=False, **fields):
    """Normal rewards of prompts that differ in level, one row a rollout."""
    rng = np.random.default_rng(seed)
    levels = np.random.default_rng(99).normal(size=prompts)
    with path.open("w", encoding="utf-8") as file:
        for p in range(prompts):
            for j in range(rollouts):
                row = {
                    "prompt_id": f"p{p}",
                    "prompt": f"prompt {p}" + ATTACKS["prompt"] * hostile,
                    "completion": f"answer {j} to {p} " + ATTACKS["completion"] * hostile,
                    "rollout": j,
                    "reward": levels[p] + rng.normal(),
                    "stratum": f"stratum {p % 2}" + ATTACKS["stratum"] * hostile,
                }
                file.write(json.dumps(row | fields) + "\n")
    return path


def write_chats(path, *, image, long):
    """Three prompts, chats with everything that a chat may hold; the best completion is last.

    `image` is the content of an image in base64, `long` a text of any length.
    """
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}}
    function = {"name": "search", "arguments": '{"query": "weather", "days": 3}'}
    call = {"id": "c", "type": "function", "function": function}
    last = [
        [{"role": "assistant", "content": None, "tool_calls": [call]},
         {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "rain"}, part]},
         {"role": "assistant", "content": LATEX}],
        RIGHT_TO_LEFT,
        long,
    ]  # fmt: skip
    with path.open("w", encoding="utf-8") as file:
        for p, completion in enumerate(last):
            turn = {"role": "user", "content": [part, {"type": "text", "text": f"Question {p}"}]}
            for j in range(8):
                row = {"prompt_id": p, "prompt": [turn], "rollout": j, "reward": p + j / 8,
                       "completion": completion if j == 7 else f"answer {j}"}  # fmt: skip
                file.write(json.dumps(row) + "\n")
    return path


def results(folder, names, *, hostile=False, diagnosed=True, **shape):
    """Everything `write_report` takes, for models that differ in their rollouts."""
    sources = {
        name: read_rollouts(
            write_rollouts(folder / f"rollouts{i}.jsonl", seed=i, hostile=hostile, **shape)
        )
        for i, name in enumerate(names)
    }
    first, *others = names
    return {
        "sources": sources,
        "curves": {name: curve(r, method="jackknife") for name, r in sources.items()},
        "extrapolations": {name: extrapolate(r, [128, 256]) for name, r in sources.items()},
        "comparisons": {
            f"{name} - {first}": compare(
                sources[name], sources[first], names=(name, first), method="jackknife"
            )
            for name in others
        },
        "diagnoses": {first: diagnose(sources[first], groups=1000)} if diagnosed else {},
        "savings": quick_savings(sources),
        "settings": {"command": "bontea curve a.jsonl b.jsonl", "seed": 0, "date": "2026-01-01"},
    }


def write(path, given):
    """Write the page."""
    given = dict(given)
    return write_report(path, given.pop("sources"), **given)
