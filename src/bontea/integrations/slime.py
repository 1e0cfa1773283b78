"""slime: best-of-N advantages as its post-processed rewards.

    --advantage-estimator grpo
    --custom-reward-post-process-path bontea.integrations.slime.post_process_rewards
    --custom-config-path bontea.yaml          # bontea: {estimator: adaptive_tea, n: 128}

slime calls the function in its RolloutManager with all samples of a rollout step, before they are
split over ranks. With `grpo`, `gspo` or `cispo` it then puts that number on every token of the
sample, so it is the advantage. Leave `--normalize-advantages` off. Samples with one `rollout_id`
(compaction, sub-agents) are one rollout: the last one's reward counts, once.

`--custom-advantage-function-path` is no place for this: it sees the samples of one rank.
"""

from __future__ import annotations

from typing import Any

from bontea._errors import BonteaError
from bontea.integrations._settings import read_settings, section
from bontea.integrations._step import LOG, AdvantageStep
from bontea.integrations.frameworks import require_tested

require_tested("slime")

WHERE = "bontea"
"""A key of the file of `--custom-config-path`."""

BROADCAST = ("grpo", "gspo", "cispo")
"""Values of --advantage-estimator that put the reward on every token as it is."""

_current: AdvantageStep | None = None


def prepare(args: Any) -> AdvantageStep:
    """The estimator for slime's arguments; ValueError for what cannot work."""
    global _current
    settings = read_settings(section(args, "bontea"), where=WHERE)
    if _current is not None and _current.settings == settings:
        return _current
    kind = section(args, "advantage_estimator")
    if kind not in BROADCAST:
        raise BonteaError(
            f"--advantage-estimator {kind} computes with the rewards again: use one of "
            f"{', '.join(BROADCAST)}, which take them as the advantages"
        )
    if section(args, "normalize_advantages"):
        LOG.warning(
            "bontea: --normalize-advantages shifts and divides the advantages again; leave it off"
        )
    _current = AdvantageStep(settings, section(args, "n_samples_per_prompt"))
    return _current


def post_process_rewards(args: Any, samples: list[Any]) -> tuple[list[float], list[float]]:
    """slime's hook: `(raw rewards, advantages)`, one of each for every sample.

    A reward of None is unscorable: 0 among the raw rewards, which slime averages for its log.
    """
    step = prepare(args)
    rewards = [sample.get_reward_value(args) for sample in samples]
    if any(sample.group_index is None for sample in samples):
        raise BonteaError(
            "a sample has no group_index, so its prompt is unknown: rollout functions must keep "
            "the one that slime's data source sets"
        )
    advantages = step(
        rewards,
        [sample.group_index for sample in samples],
        rollouts=[
            f"row {row}" if sample.rollout_id is None else f"rollout {sample.rollout_id}"
            for row, sample in enumerate(samples)
        ],
    )
    return [0.0 if r is None else float(r) for r in rewards], advantages.tolist()
