"""verifiers 1 and prime-rl: `traces.jsonl`, one episode a line.

prime-rl writes `rollouts/step_N/{train,eval}/{all,effective}/traces.jsonl`. `verifiers/v1/
episode.py` and `trace.py` (August 2026): an episode has `task` (with `key`), `env`, `group`, `ok`,
`errors` and `traces`; a trace has `rewards {name: {score, weight}}`, `metrics`, `nodes` (messages,
`sampled` where the model wrote them), `calls`, `agent`, `ok`. The reward of a trace is the sum of
score times weight over the rewards that were given. What is not `ok` is unscorable: its rewards
are those that were there when it failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from bontea.rollouts.formats._row import Placed, Record, Row, is_number, turns_text

NAME = "a file of verifiers episodes"
REWARD = "reward"
GROUPS = (
    "it is the sum of score x weight; episodes of one task are one prompt; failed ones are "
    "unscorable"
)


def detect(record: Record) -> bool:
    return {"task", "traces"} <= record.keys() and isinstance(record["traces"], list)


def rows(records: Iterable[Placed]) -> Iterator[Row]:
    for place, record in records:
        prompt_id = _task(record)
        traces = record["traces"] or [{"ok": False}]
        for i, trace in enumerate(traces):
            nodes = trace.get("nodes") or []
            name = (trace.get("agent") or {}).get("name")
            calls = [call for call in trace.get("calls") or [] if not call.get("error")]
            yield Row(
                place if len(traces) == 1 else f"{place}, trace {i + 1}",
                trace,
                _scores(trace, bool(record.get("ok", True))),
                prompt_id=prompt_id,
                prompt=_prompt(nodes),
                completion=turns_text([n["message"] for n in nodes if n.get("sampled")] or None),
                # Several agents in one environment are told apart as models are.
                model=None if name in (None, "agent") else str(name),
                finish_reason=calls[-1].get("finish_reason") if calls else None,
                columns={"task": (record.get("task") or {}).get("data")},
            )


def _task(record: Record) -> Any:
    task, env = record.get("task") or {}, record.get("env") or {}
    key = task.get("key") or task.get("hash") or (record.get("group") or {}).get("id")
    where = env.get("name") or env.get("id")
    return f"{where}/{key}" if key is not None and where else key


def _scores(trace: Record, episode_ok: bool) -> dict[str, Any]:
    given = trace.get("rewards") or {}
    scores: dict[str, Any] = {}
    values = []
    for name, reward in given.items():
        score = None if reward is None else reward.get("score")
        scores[f"rewards.{name}"] = score
        if score is not None:
            values.append(score * reward.get("weight", 1.0))
    scores["reward"] = sum(values) if values else None
    metrics = trace.get("metrics") or {}
    scores |= {f"metrics.{name}": v for name, v in metrics.items() if is_number(v)}
    return scores if episode_ok and trace.get("ok", True) else dict.fromkeys(scores)


def _prompt(nodes: list[Record]) -> Any:
    before = []
    for node in nodes:
        if node.get("sampled"):
            break
        before.append(node["message"])
    return before or None
