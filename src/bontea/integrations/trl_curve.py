"""TRL: the curve of best-of-k on held-out prompts, while a model is trained.

    from bontea.integrations.trl_curve import BestOfNCurve

    trainer.add_callback(BestOfNCurve(trainer, held_out, eval_steps=50, m=64, n=128))

The reward of training is the mean of single responses to prompts of training. What a best-of-N
deployment gives is something else; `BestOfNCurve` measures it, and logs it where TRL logs.

Sampling is that of `bontea sample` (`bontea.rollouts.generate`), and so are the numbers: those of
the checkpoint of that step. Training does not notice: the states of the random generators, the mode
of every module and gradient checkpointing are what they were before.

Processes share the prompts. What is drawn for a prompt depends on its number only, so the curve is
the same for any number of processes.
"""

from __future__ import annotations

import random
import tempfile
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea._numbers import number, percent_of
from bontea.integrations.frameworks import require_tested

require_tested("trl")

import torch
import transformers
from accelerate.utils import gather_object
from trl.models.utils import disable_gradient_checkpointing

from bontea._arrays import check_k, check_n
from bontea.curves import compare_rules, curve, extrapolate
from bontea.curves.mean_curve import default_ks
from bontea.integrations._settings import Settings
from bontea.integrations._trl_checks import require_sum
from bontea.integrations._trl_reward import reward_of
from bontea.rollouts.calls import Inbox, InPlace
from bontea.rollouts.chats import check_in_process, check_prompt, without_none
from bontea.rollouts.generate import sample_rollouts
from bontea.rollouts.groups import Rollouts, as_rollouts
from bontea.rollouts.judge import Judge, Scored, Task
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.rewards import Reward, check_rows, load_reward, name_of
from bontea.rollouts.scoring import as_completion
from bontea.rollouts.table import RolloutFile

PREFIX = "eval_best_of"
JUDGED = "eval_judge_of_best"

Drawn = dict[int, tuple[list[float], list[float]]]
"""Rewards and the values of the judge (none without one) of each prompt, by its number."""


class BestOfNCurve(transformers.TrainerCallback):
    """Logs best-of-k on held-out prompts before the first step, every `eval_steps`, and at the end.

        trainer.add_callback(BestOfNCurve(trainer, ["2 + 2 =", "3 * 7 ="], eval_steps=50, m=64))

    Parameters
    ----------
    trainer
        A GRPOTrainer, BestOfNTrainer or RLOOTrainer. Its model is sampled at its temperature, up to
        its `max_completion_length` tokens, from the whole distribution (no top-k, no top-p).
    prompts
        Texts, chats, rows with a `prompt` and the columns that the reward takes, a dataset of such
        rows, or the name of a prompt file.
    m
        Responses for each prompt, at least 2: as far as the curve reaches without an assumption.
    n
        Responses that are drawn when the model is used; default: `deploy_n` of the trainer, or 128.
        Where it is beyond m, best-of-n is extrapolated (`bontea.extrapolate`).
    reward
        What chooses: a reward function, or text that names one, as in `bontea sample`; default: the
        weighted sum of the trainer's reward functions.
    judge
        What the chosen response is worth by another score, in the same forms.
    batch_size
        Responses of one prompt that are generated at a time, at most.

    What is logged, in the units of the reward (k: powers of 2 up to m, m, and n within m):

        eval_best_of/k                    mean over prompts of the unbiased best of k
        eval_best_of/predicted_v_n        best-of-n, extrapolated; and its 95 % interval over
        eval_best_of/predicted_v_n_low, _high     prompts like these
        eval_judge_of_best/k              mean over prompts of the judge of the best of k
        eval_best_of/unscorable           share of the responses that have no reward

    A prompt none of whose responses could be scored is left out, and the curve ends at the prompt
    with the fewest. Nothing is extrapolated where `extrapolate` refuses; the reason is said once.
    An error of a reward or of the judge, too, is a warning, and training goes on.

    Raises BonteaError for settings that cannot work, and for a trainer whose weights are split over
    processes (FSDP, DeepSpeed ZeRO-3).
    """

    def __init__(
        self,
        trainer: Any,
        prompts: str | Iterable[Any],
        *,
        eval_steps: int,
        m: int = 64,
        n: float | None = None,
        reward: str | Reward | None = None,
        judge: str | Reward | None = None,
        batch_size: int = 64,
    ) -> None:
        for name, value in (("eval_steps", eval_steps), ("m", m), ("batch_size", batch_size)):
            check_k(value, name)
        if m < 2:
            raise BonteaError(f"m={m} is one response for each prompt, which has no best: draw 2")
        if not hasattr(trainer, "max_completion_length"):
            raise BonteaError(
                f"trainer is {trainer!r:.60}: it must be a GRPOTrainer, BestOfNTrainer or "
                "RLOOTrainer, which says how its model is sampled"
            )
        own = getattr(getattr(trainer, "_best_of_n", None), "settings", Settings)
        self.n = check_n(own.n if n is None else n)
        self.trainer, self.eval_steps, self.m, self.batch_size = trainer, eval_steps, m, batch_size
        self.rows = _rows(prompts)
        tokenizer = trainer.processing_class
        self.tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # of a processor
        _check(trainer, self.tokenizer, self.rows)
        if reward is None:
            require_sum(trainer)
        self.reward = reward_of(trainer) if reward is None else _loaded(reward)
        self.judge = None if judge is None else _loaded(judge)
        for each in filter(None, (self.reward, self.judge)):
            check_rows(each, self.rows.values())
        self._last = -1
        self._said: set[str] = set()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 0:
            self._evaluate(state, control)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # The last one is here, and not at the end, when some of what TRL reports to is closed.
        if state.global_step % self.eval_steps == 0 or control.should_training_stop:
            self._evaluate(state, control)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._evaluate(state, control)

    def _evaluate(self, state: Any, control: Any) -> None:
        """Measure and log, unless that was done for this step, maybe before a restart."""
        step = state.global_step
        done = any(e["step"] == step and f"{PREFIX}/1" in e for e in state.log_history)
        if done or self._last == step:
            return
        self._last = step
        # Every process has all results, and logs them, as the Trainer does: what they remember of a
        # run is the same.
        drawn: Drawn = {}
        errors: dict[str, None] = {}
        for part, own_errors, troubles in gather_object([self._draw()]):
            drawn |= part
            errors |= dict.fromkeys(own_errors)
            for trouble in troubles:
                self._say_once("trouble", f"step {step}: {trouble}")
        for error in errors:
            self._warn(f"step {step}: {error}")
        try:
            logs = self._logs(drawn)
        except Exception as error:  # such as: no response has a reward
            self._warn(f"step {step}: no best-of-k is logged: {_text(error)}")
            return
        if not logs:
            return
        # TRL's own `log` would take the metrics of the batch that is going on with it, and whoever
        # logs resets `should_log`.
        should_log = control.should_log
        transformers.Trainer.log(self.trainer, logs)
        control.should_log = should_log

    def _draw(self) -> tuple[Drawn, list[str], list[str]]:
        """What this process draws, what failed, and single responses that did.

        Nothing is raised: the other processes wait for this one.
        """
        rank, world = self.trainer.accelerator.process_index, self.trainer.accelerator.num_processes
        rows = {i: row for i, row in self.rows.items() if i % world == rank}
        errors: list[str] = []
        troubles: list[str] = []
        if not rows:
            return {}, errors, troubles
        try:
            with _undisturbed(self.trainer) as model, tempfile.TemporaryDirectory() as folder:
                file = self._sample(model, rows, Path(folder), troubles)
                rewards = file.table(len(self.rows), self.m)
                judged = {}
                if self.judge is not None:
                    try:
                        judged = self._judged(file, rows)
                    except Exception as error:
                        errors.append(f"the judge failed, and is not logged: {_text(error)}")
        except Exception as error:
            return {}, [*errors, f"no best-of-k is logged: {_text(error)}"], troubles
        drawn = {i: (rewards[i].tolist(), judged.get(i, [])) for i in rows}
        return drawn, errors, troubles

    def _sample(
        self, model: Any, rows: dict[int, Row], folder: Path, troubles: list[str]
    ) -> RolloutFile:
        return sample_rollouts(
            model,
            self.tokenizer,
            rows,
            self.reward,
            folder / "rollouts.jsonl",
            m=self.m,
            max_new_tokens=self.trainer.max_completion_length,
            temperature=self.trainer.temperature,
            batch_size=self.batch_size,
            seed=self.trainer.args.seed,
            on_trouble=troubles.append,
        )

    def _judged(self, file: RolloutFile, rows: dict[int, Row]) -> dict[int, list[float]]:
        assert self.judge is not None
        values = {i: [float("nan")] * self.m for i in rows}

        def keep(scored: list[Scored]) -> None:
            for one in scored:
                i, j = one.key
                values[i][j] = float("nan") if one.reward is None else one.reward

        inbox, judge = Inbox(self.batch_size), Judge(name_of(self.judge))
        for i, texts in file.texts(self.m).items():
            prompt = rows[i]["prompt"]
            columns = {name: value for name, value in rows[i].items() if name != "prompt"}
            inbox.put(
                Task((i, j), i, prompt, as_completion(prompt, text), columns)
                for j, text in enumerate(texts)
            )
        inbox.close()
        InPlace(self.judge).run(inbox, judge.verdicts, keep)
        judge.finish()
        return values

    def _logs(self, drawn: Drawn) -> dict[str, float]:
        """The numbers of one evaluation; nothing where a process has failed."""
        if len(drawn) < len(self.rows):
            return {}
        numbers = sorted(drawn)
        table = np.array([drawn[i][0] for i in numbers])
        unscorable = float(np.isnan(table).mean())
        strata = [self.rows[i].get("stratum") for i in numbers]
        data = as_rollouts(table, strata=None if None in strata else [str(s) for s in strata])
        there = ~np.isnan(table)
        found = curve(data, _grid(there.sum(1), self.n), method="jackknife")
        logs = {f"{PREFIX}/{k}": float(v) for k, v in zip(found.ks, found.value, strict=True)}
        logs[f"{PREFIX}/unscorable"] = unscorable
        if unscorable:
            self._say_once(
                "unscorable",
                f"{percent_of(unscorable)} of the held-out responses have no reward: they are left "
                f"out of best-of-k, and {PREFIX}/unscorable has their share at each step",
            )
        if self.n > found.ks[-1]:
            logs |= self._beyond(data)
        judged = [drawn[i][1] for i in numbers]
        if self.judge is not None and all(judged):
            logs |= self._judge_of_best(data, np.array(judged))
        return {name: value for name, value in logs.items() if np.isfinite(value)}

    def _judge_of_best(self, data: Rollouts, judged: np.ndarray) -> dict[str, float]:
        both = (~np.isnan(data.table()) & ~np.isnan(judged)).sum(1)
        try:
            rules = compare_rules(
                data, _grid(both, self.n), rules=["best"], measure=judged, method="jackknife"
            )
        except BonteaError as error:  # such as: the judge scored nothing
            self._say_once("judge", f"the judge is not logged: {error}")
            return {}
        best = rules.curves["best"]
        return {f"{JUDGED}/{k}": float(v) for k, v in zip(best.ks, best.value, strict=True)}

    def _beyond(self, data: Rollouts) -> dict[str, float]:
        try:
            found = extrapolate(data, self.n)
            refusal = found.message if found.refused else ""
        except BonteaError as error:
            refusal = str(error)
        if refusal:
            self._say_once("refused", f"best-of-{number(self.n)} is not extrapolated: {refusal}")
            return {}
        value, low, high = found.at(self.n)
        name = f"{PREFIX}/predicted_v_n"
        return {name: value, f"{name}_low": low, f"{name}_high": high}

    def _say_once(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self._warn(message)

    def _warn(self, message: str) -> None:
        if self.trainer.accelerator.is_main_process:
            warnings.warn(f"BestOfNCurve: {message}", stacklevel=2)


def _grid(counts: np.ndarray, n: float) -> list[int]:
    """Powers of 2 as far as the prompt with the fewest rewards, of those that have any; that; n."""
    smallest = int(counts[counts > 0].min(initial=counts.max()))
    return sorted({*default_ks(smallest), *([int(n)] if n <= smallest and n == int(n) else [])})


@contextmanager
def _undisturbed(trainer: Any) -> Iterator[Any]:
    """The model, to be sampled; afterwards everything that training rests on is as before."""
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    modes = [(module, module.training) for module in trainer.model_wrapped.modules()]
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    devices = [model.device] if model.device.type == "cuda" else []
    try:
        with (
            torch.random.fork_rng(devices=devices),
            disable_gradient_checkpointing(model, trainer.args.gradient_checkpointing_kwargs),
        ):
            yield model
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for module, training in modes:
            module.training = training


def _rows(prompts: str | Iterable[Any]) -> dict[int, Row]:
    """The prompts by number, checked."""
    if isinstance(prompts, Mapping) or not isinstance(prompts, (str, Iterable)):
        raise BonteaError(
            f"prompts is a {type(prompts).__name__}: give a list of texts, chats or rows, one "
            "split of a dataset, or the name of a prompt file"
        )
    given: Sequence[Any] = load_prompts(prompts) if isinstance(prompts, str) else list(prompts)
    rows: dict[int, Row] = {}
    for i, row in enumerate(given):
        where = f"held-out prompt {i} (the first is 0)"
        row = dict(row) if isinstance(row, dict) else {"prompt": row}
        if "prompt" not in row:
            raise BonteaError(f"{where} has no column prompt; it has {', '.join(map(str, row))}")
        rows[i] = row | {"prompt": check_prompt(without_none(row["prompt"]), where)}
    if not rows:
        raise BonteaError("there are no held-out prompts: give at least one, better 30 or more")
    return rows


def _check(trainer: Any, tokenizer: Any, rows: dict[int, Row]) -> None:
    """Raise BonteaError for what this callback cannot sample."""
    accelerator = trainer.accelerator
    kind = str(getattr(accelerator.distributed_type, "value", accelerator.distributed_type))
    plugin = getattr(accelerator.state, "deepspeed_plugin", None)
    if kind == "FSDP" or (plugin is not None and plugin.zero_stage == 3):
        name = "FSDP" if kind == "FSDP" else "DeepSpeed ZeRO-3"
        raise BonteaError(
            f"{name} splits the weights over processes, and BestOfNCurve samples with whole ones: "
            "leave the callback out, and sample the checkpoints with bontea sample"
        )
    if getattr(trainer, "tools", None) or getattr(trainer, "environments", None):
        raise BonteaError(
            "this trainer calls tools or environments between turns, and BestOfNCurve draws single "
            "responses: leave it out"
        )
    chats = any(not isinstance(row["prompt"], str) for row in rows.values())
    if chats and getattr(trainer, "chat_template_kwargs", None):
        raise BonteaError(
            f"chat_template_kwargs={trainer.chat_template_kwargs!r} of this trainer are unknown to "
            "bontea's sampler, which would draw from other prompts: write the chats as texts, with "
            "tokenizer.apply_chat_template(chat, tokenize=False, ...)"
        )
    check_in_process(tokenizer, rows)


def _loaded(reward: str | Reward) -> Reward:
    if not isinstance(reward, str) and not callable(reward):
        raise BonteaError(
            f"reward and judge are one reward function or text that names one, not {reward!r:.60}"
        )
    return load_reward(reward) if isinstance(reward, str) else reward


def _text(error: Exception) -> str:
    """What is wrong; the rest of a message of the sampler is about its file, which is not kept."""
    cause = error.__cause__ or error
    kind = "" if isinstance(cause, BonteaError) else f"{type(cause).__name__}: "
    return kind + (str(error).strip().splitlines() or [""])[0][:500]


__all__ = ["BestOfNCurve"]
