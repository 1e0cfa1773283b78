"""TRL: `BestOfNTrainer` is TRL's GRPOTrainer with another advantage; `attach` changes one in place.

    from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer

    args = BestOfNConfig("out", deploy_n=128, num_generations=16, per_device_train_batch_size=64)
    BestOfNTrainer(model="...", reward_funcs=reward, args=args, train_dataset=prompts).train()

TRL has no hook for advantages. Rewards are read where TRL has gathered them over processes
(`_calculate_rewards`), and the advantages are replaced in what `_generate_and_score_completions`
returns, before TRL shuffles the batch: generation, loss, KL, logging and checkpoints stay TRL's.
Every process computes the same advantages from the same gathered rewards and keeps its own rows.

With Unsloth, import it before this module, as it asks; or use `attach`.
"""

from __future__ import annotations

import functools
import json
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bontea._errors import BonteaError, FailedError, GroupTooSmallError
from bontea._json import strict_loads
from bontea.integrations.frameworks import FRAMEWORKS, require_tested

require_tested("trl")

import torch
import trl

from bontea._arrays import check_alpha, check_n
from bontea.advantages import EstimatorSpec
from bontea.integrations._settings import Settings, check_scale
from bontea.integrations._step import AdvantageStep
from bontea.integrations._trl_checks import (
    checked_reward,
    require_hooks,
    require_not_hidden,
    require_picklable,
    require_sum,
)
from bontea.integrations._trl_reward import weighted_sum

MEMORY_FILE = "best_of_n.json"
"""In every checkpoint: what the advantage step remembers."""

LONG_NAMES = {
    "deploy_n": "n",
    "tail_fraction": "alpha",
    "advantage_scale": "scale",
}
"""Fields of `BestOfNConfig`, among many of TRL, and what they are called everywhere else."""


@dataclass
class BestOfNConfig(trl.GRPOConfig):
    """TRL's `GRPOConfig` with five more fields.

    `scale_rewards` is without effect: the estimator is the whole advantage, and `advantage_scale`
    its scale. `multi_objective_aggregation="normalize_then_sum"` is refused. On a machine without a
    GPU, `bf16` is off where nothing is said about it, so that the same lines run there.
    """

    _VALID_DICT_FIELDS = [  # noqa: RUF012
        *getattr(trl.GRPOConfig, "_VALID_DICT_FIELDS", []),
        "estimator_params",
    ]

    estimator: str = field(
        default="adaptive_tea",
        metadata={
            "help": "Advantage estimator: a key of bontea.ADVANTAGES, with parameters if any, such "
            "as max_at_k(k=8), or MODULE:FUNCTION; in Python also a module-level function "
            "(rewards (P, M), **params) -> (P, M)."
        },
    )
    deploy_n: float = field(
        default=128,
        metadata={
            "help": "How many responses are sampled per prompt when the model is used. The "
            "estimator's n; a max_at_k without k gets min(6, num_generations - 1, deploy_n)."
        },
    )
    tail_fraction: float = field(
        default=0.25,
        metadata={
            "help": "Share of a prompt's best rollouts that the tail is fitted on: the estimator's "
            "alpha."
        },
    )
    estimator_params: dict[str, Any] | str | None = field(
        default=None,
        metadata={"help": "More parameters of the estimator; they win over the fields above."},
    )
    advantage_scale: Literal["none", "group", "batch"] = field(
        default="batch",
        metadata={
            "help": "Divide the advantages by their root-mean-square over the scorable rollouts of "
            "the batch, so that the learning rate does not depend on the unit of the rewards; by "
            "that of each group; or not at all."
        },
    )

    def __post_init__(self) -> None:
        if self.bf16 is None and not self.use_cpu and not torch.accelerator.is_available():
            self.bf16 = False
        given = self.generation_batch_size
        try:
            super().__post_init__()
        except ValueError:
            batch, m = self.generation_batch_size, self.num_generations
            if given or not batch or not m or batch % m == 0:
                raise  # TRL's own words name what is wrong
            each = self.per_device_train_batch_size
            step = m // math.gcd(m, batch // each) if batch % each == 0 else m
            raise BonteaError(
                f"{batch} completions are generated at a time (per_device_train_batch_size={each} "
                "times the processes and steps_per_generation), which is not a whole number of "
                f"prompts with num_generations={m} each: set per_device_train_batch_size="
                f"{-(-each // step) * step}"
            ) from None

    def to_dict(self) -> dict[str, Any]:
        # Loggers turn this into JSON, where a function can only be a name.
        named = isinstance(self.estimator, str)
        name = self.estimator if named else EstimatorSpec.of(self.estimator).label
        return super().to_dict() | {"estimator": name}


class BestOfNMixin:
    """The change itself, for `class Mine(BestOfNMixin, SomeGRPOTrainer)`.

    Advantages of a generation batch, of all processes together:

        rewards = sum_f weight_f reward_f        NaN where every function whose weight is not 0
                                                 returned None, or one of them was infinite
        groups  = position // num_generations    (num_generations_eval in evaluation)
        A       = scale_advantages(advantages_for(rewards, groups, estimator, **params))

    The root-mean-square of the scale is taken over scorable rollouts: those that got a reward,
    including the zeros of degenerate groups. Unscorable rollouts stay exactly 0 and do not count,
    or a reward function that often fails would raise the advantages of the others.
    """

    # What TRL's trainers provide.
    accelerator: Any
    args: Any
    model: Any
    state: Any
    num_generations: Any
    num_generations_eval: Any
    reward_funcs: list[Any]
    reward_func_names: list[str]
    reward_weights: torch.Tensor
    _metrics: Any
    _logs: Any

    _best_of_n: AdvantageStep
    _best_of_n_rewards: torch.Tensor | None

    def __init__(
        self, model: Any, reward_funcs: Any = None, args: Any = None, *more: Any, **kwargs: Any
    ) -> None:
        if args is None:
            args = BestOfNConfig("best-of-n")
        if not isinstance(args, BestOfNConfig):
            raise BonteaError(
                f"BestOfNTrainer takes args=BestOfNConfig(...), got {type(args).__name__}. "
                "BestOfNConfig has the same fields and those of the estimator; to keep this "
                "config, build trl.GRPOTrainer and call attach(trainer, 'adaptive_tea', n=128)"
            )
        # Everything that can be wrong is found before a model is loaded.
        require_hooks(super(), type(self).__name__)
        require_sum(args)
        require_picklable(args.estimator)
        self._best_of_n = _step(
            self,
            args.num_generations,
            args.estimator,
            n=check_n(args.deploy_n, "deploy_n"),
            alpha=check_alpha(args.tail_fraction, "tail_fraction"),
            scale=check_scale(args.advantage_scale, "advantage_scale"),
            params=_mapping(args.estimator_params),
        )
        super().__init__(model, reward_funcs, args, *more, **kwargs)  # type: ignore[call-arg]

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = self.reward_funcs
        self.reward_funcs = list(map(checked_reward, given, self.reward_func_names))
        try:
            rewards = super()._calculate_rewards(*args, **kwargs)  # type: ignore[misc]
        finally:
            self.reward_funcs = given
        rewards = self._without_infinite(rewards)
        self._best_of_n_rewards = rewards
        return rewards

    def _without_infinite(self, rewards: torch.Tensor) -> torch.Tensor:
        """NaN for what is infinite. Where the function counts, the whole rollout is unscorable, and
        TRL shall not show what the other functions gave it as its reward."""
        infinite = rewards.isinf()
        for name, column in zip(self.reward_func_names, infinite.T, strict=True):
            if column.any():
                self._best_of_n.say_once(
                    f"infinite {name}",
                    f"reward function {name!r} returned an infinite reward (or one beyond the "
                    "range of float32): the advantage of such a rollout is 0; clip the reward, or "
                    "return None for what cannot be scored",
                )
        lost = (infinite & (self.reward_weights != 0).to(infinite.device)).any(dim=1)
        return rewards.masked_fill(infinite | lost[:, None], torch.nan)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        self._best_of_n_rewards = None
        out = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if self._best_of_n_rewards is None:
            raise FailedError(
                f"this trainer did not call `_calculate_rewards` while scoring (trl "
                f"{trl.__version__}), so its advantages cannot be replaced; use "
                f"{FRAMEWORKS['trl'].accepted}"
            )
        training = self.model.training
        rewards = weighted_sum(self._best_of_n_rewards, self.reward_weights)
        m = self.num_generations if training else self.num_generations_eval
        advantages = self._best_of_n(
            rewards,
            torch.arange(len(rewards)) // m,
            training=training,
            moment=(self.args.seed, int(training), self.state.global_step),
        )
        trl_advantages = out["advantages"]
        own, processes = len(trl_advantages), self.accelerator.num_processes
        if trl_advantages.ndim != 1 or own * processes != len(advantages):
            raise FailedError(
                f"expected {len(advantages)} rewards to become one advantage per completion on "
                f"{processes} processes, but this trainer has advantages of shape "
                f"{tuple(trl_advantages.shape)} on one of them: it shapes them itself, and "
                "replacing them would undo that"
            )
        first = own * self.accelerator.process_index
        mine = torch.as_tensor(advantages[first : first + own])
        out["advantages"] = mine.to(trl_advantages)

        shown = self._logs["advantages"]  # TRL just added its own, and keeps only the latest
        for _ in range(min(len(shown), len(advantages))):
            shown.pop()
        shown.extend(advantages.tolist())
        for name, value in self._best_of_n.metrics.items():
            self._metrics["train" if training else "eval"][f"best_of_n/{name}"].append(value)
        return out

    # What a checkpoint has beside the model, and ours with it: a run that goes on from there then
    # goes on as the unbroken one would have.

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)  # type: ignore[misc]
        if self.args.should_save:
            text = json.dumps(self._best_of_n.state())
            (Path(output_dir) / MEMORY_FILE).write_text(text, encoding="utf-8")

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)  # type: ignore[misc]
        path = Path(checkpoint or "") / MEMORY_FILE
        if checkpoint is not None and path.exists():  # not one of GRPOTrainer
            self._best_of_n.load_state(strict_loads(path.read_text(encoding="utf-8"), path))


def attach(
    trainer: Any,
    estimator: str | Callable[..., Any] = Settings.estimator,
    *,
    n: float = 128,
    alpha: float = 0.25,
    scale: Literal["none", "group", "batch"] = "batch",
    **params: Any,
) -> Any:
    """Give an existing GRPOTrainer best-of-N advantages; returns the same trainer.

        trainer = attach(GRPOTrainer(...), "max_at_k(k=8)")

    `params` go to the estimator. For trainers one does not build oneself (Unsloth, subclasses).
    RLOOTrainer works with `beta=0` and without `reward_clip_range`. Attaching again replaces the
    estimator. Checkpoints do not record which one it is: attach again after building a trainer to
    resume.

    Raises ValueError for what is not such a trainer, and for the settings that `BestOfNTrainer`
    refuses.
    """
    for name, short in LONG_NAMES.items():
        if name in params:
            raise BonteaError(
                f"attach has no parameter {name!r}, which is a field of BestOfNConfig: here it is "
                f"{short}={params[name]!r}"
            )
    cls: Any = type(trainer)
    require_hooks(trainer, cls.__name__)
    require_not_hidden(trainer)
    if any("RLOO" in base.__name__ for base in cls.__mro__):
        if trainer.beta != 0:
            raise BonteaError(
                f"this RLOOTrainer has beta={trainer.beta}: it subtracts the KL from the reward, "
                "and best-of-N of that is not what is deployed. Use RLOOConfig(beta=0), or "
                "GRPOTrainer, which keeps the KL in the loss"
            )
        if trainer.reward_clip_range:
            raise BonteaError(
                f"this RLOOTrainer clips rewards to {trainer.reward_clip_range}, which ties the "
                "best responses; clip in the reward function if that is meant"
            )
    require_sum(trainer)
    trainer._best_of_n = _step(
        trainer,
        trainer.num_generations,
        estimator,
        n=check_n(n),
        alpha=check_alpha(alpha),
        scale=check_scale(scale),
        params=params,
    )
    if not isinstance(trainer, BestOfNMixin):
        trainer.__class__ = _best_of_n_class(cls)
    return trainer


def _mapping(params: Any) -> Mapping[str, Any]:
    if params is not None and not isinstance(params, Mapping):
        raise BonteaError(
            f"estimator_params={params!r} must be a dict of the estimator's parameters, such "
            'as {"permutations": 8}; on a command line, in JSON'
        )
    return params or {}


def _step(trainer: Any, m: Any, estimator: Any, **chosen: Any) -> AdvantageStep:
    """The advantage step of a trainer whose groups are of `m`; ValueError for what cannot work."""

    def say(message: str) -> None:
        if trainer.accelerator.is_main_process:
            warnings.warn(message, stacklevel=2)

    settings = Settings(estimator, **chosen)
    try:
        return AdvantageStep(settings, m, asarray=torch.as_tensor, whole_groups=True, say=say)
    except GroupTooSmallError as error:
        raise BonteaError(f"num_generations={m} is too few: {error}") from None


@functools.cache
def _best_of_n_class(base: Any) -> type:
    name = "BestOfNTrainer" if base.__name__ == "GRPOTrainer" else f"BestOfN{base.__name__}"
    doc = f"""TRL's {base.__name__} with a best-of-N advantage, set up by a `BestOfNConfig`."""
    return type(name, (BestOfNMixin, base), {"__module__": __name__, "__doc__": doc})


if TYPE_CHECKING:

    class BestOfNTrainer(BestOfNMixin, trl.GRPOTrainer):
        """TRL's GRPOTrainer with a best-of-N advantage, set up by a `BestOfNConfig`."""


def __getattr__(name: str) -> Any:
    # Built on first use: the trainer is what takes long to import, and Unsloth rebinds it.
    if name == "BestOfNTrainer":
        return _best_of_n_class(trl.GRPOTrainer)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["BestOfNConfig", "BestOfNMixin", "BestOfNTrainer", "attach"]
