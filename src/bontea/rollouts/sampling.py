"""Draw rollouts of prompts, score them, and write them as they come: `bontea sample` in Python.

    from bontea.rollouts import SampleSettings, sample

    sample(SampleSettings(prompts="prompts.jsonl", rollouts=64, output="pilot.jsonl"))
    sample({"output": "pilot.jsonl", "rollouts": 256}, resume=True)      # later: more of them

Whatever ends a run (a kill, a full disk, a server that is gone, a reward that fails), what was
drawn is in the file or waits beside it to be scored, and a resumed run goes on from there.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bontea._errors import BonteaError, FailedError, MissingPackageError, what_gave_up
from bontea._json import Result
from bontea._numbers import number, percent_of
from bontea._progress import JobProgress, Stopped
from bontea._settings import from_dict
from bontea.rollouts.body import limit_of
from bontea.rollouts.chats import check_for_server, check_in_process, continued
from bontea.rollouts.drawn import DrawnFile, drawn_path
from bontea.rollouts.prompts import Row, load_prompts
from bontea.rollouts.settings import Record, SampleSettings, fingerprint, settings_path, version
from bontea.rollouts.table import RolloutFile, locked, read_parquet, write_parquet

if TYPE_CHECKING:
    from bontea.rollouts.calls import Calls

Draw: TypeAlias = "Callable[[RolloutFile, Calls], None]"
SUFFIXES = (".jsonl", ".parquet")


@dataclass(frozen=True)
class SampleResult(Result):
    """What a run left in its file. `str()` is a summary for a person."""

    version: str
    seed: int
    command: list[str]
    settings: dict[str, Any]
    output: str
    prompts: int
    rollouts: int
    """All that the file holds now; `drawn` of them were added by this run."""
    drawn: int
    unscorable: int
    failed: int
    """Of the unscorable ones: those whose reward raised an error, which is in their row."""
    cut_off: int
    """Completions that end because their tokens were used up (finish_reason "length")."""
    filtered: int
    """That a filter ended, or that were refused (finish_reason "content_filter")."""
    empty: int
    """Without any text, for whatever reason."""
    empty_cut_off: int
    """Of these, the ones whose tokens were used up before any text came: thinking took them."""
    only_thinking: int
    """Of these, the ones that ended by themselves and were thinking all through."""
    unknown_end: int
    """Where nobody says why they end; what is cut off or filtered among them is not counted."""
    mean_reward: float | None
    """None where no rollout could be scored."""
    mean_best: float | None
    """Of the best reward of each prompt."""
    distinct: float
    """Share of different completions among the rollouts of a prompt, mean over prompts."""
    seconds: float

    def __str__(self) -> str:
        m = self.settings["rollouts"]
        rewards = (
            ""
            if self.mean_reward is None or self.mean_best is None
            else (
                f"mean reward: {number(self.mean_reward, 4)}; best of {m:,}, mean over prompts: "
                f"{number(self.mean_best, 4)}\n"
            )
        )
        return (
            f"{self.prompts:,} prompts with {m:,} rollouts each, {self.drawn:,} of them new "
            f"({self.seconds:.0f} s)\n{rewards}"
            f"different completions: {percent_of(self.distinct)}; without a reward: "
            f"{self.unscorable:,}"
            + (f" ({self.failed:,} because the reward raised an error)" if self.failed else "")
            + f"\n{self._ends()}{self._hints()}rollouts: {self.output}"
        )

    def _ends(self) -> str:
        """How many completions are not what a reader would take them for."""
        told = self.rollouts - self.unknown_end
        if not told:
            return f"without text: {self.empty:,}; no row says whether it was cut off\n"
        of = f" (of {told:,} that say why they end)" if self.unknown_end else ""
        return (
            f"cut off: {self.cut_off:,} ({percent_of(self.cut_off / told)}); ended by a filter: "
            f"{self.filtered:,}; without text: {self.empty:,}{of}\n"
        )

    def _hints(self) -> str:
        hints = ""
        if self.empty_cut_off:
            limit = limit_of(self.settings["max_new_tokens"], self.settings.get("extra_body"))
            hints += (
                f"hint: {self.empty_cut_off:,} have no text, because all their tokens were used "
                f"up before it, mostly by thinking: raise the limit ({limit}) and write another "
                "--output, because all rows of a file share it\n"
            )
        if self.only_thinking:
            hints += (
                f"hint: {self.only_thinking:,} have no text, because the server says that all of "
                "it is thinking: check the setting of the server that tells thinking from the "
                "answer (its reasoning parser)\n"
            )
        return hints


def sample(
    settings: SampleSettings | Mapping[str, Any],
    *,
    resume: bool = False,
    progress: JobProgress | None = None,
) -> SampleResult:
    """Bring a rollout file to so many scored rollouts of every prompt.

    Parameters
    ----------
    settings
        `SampleSettings`, or those that are not the default, by name. The default is the embedded
        policy with its reward and its held-out prompts.
    resume
        Go on with the file `output`, with the settings it was begun with. Settings that are given
        (in `SampleSettings`: that are not the default) must agree with those; only `rollouts` may
        grow, and what concerns speed may change. A file that is not there is begun.
    progress
        Shows how far it is; nothing is shown without.

    The first Ctrl-C ends it after the present batch and raises Stopped, whose message says how many
    rollouts are safe. Raises BonteaError or OSError for settings that cannot be used, and, when
    something fails after the first rollouts are on disk, FailedError, which says what is safe.
    """
    started = time.time()
    given = settings.given() if isinstance(settings, SampleSettings) else dict(settings)
    wanted = from_dict(SampleSettings, given, "sample")
    if wanted.endpoints and "model" not in given and not resume:
        raise BonteaError("--endpoint needs --model NAME, the name of the model on that server")
    output = Path(wanted.output)
    _check_output(output)
    given["output"] = wanted.output
    progress = progress or JobProgress(quiet=True)
    # Parquet cannot be appended to: rows are gathered beside it, and turned into it at the end.
    parquet = output.suffix.lower() == ".parquet"
    rows_path = output.with_name(output.name + ".jsonl") if parquet else output
    file: RolloutFile | None = None
    try:
        with locked(output), progress.catch_interrupt():
            record = _find_record(output, rows_path, resume, given)
            wanted = (record.resumed(given, output) if record else wanted).resolved()
            prompts = _load_prompts(wanted)
            record = _updated(record, wanted, prompts, output)
            draw, calls = _prepare(wanted, prompts, record.asked[:-1], progress)
            record.save(settings_path(output))
            if parquet and output.exists() and not rows_path.exists():
                read_parquet(output, rows_path)
            file = RolloutFile(rows_path)
            found, total = len(file), len(prompts) * wanted.rollouts
            with progress.phase("rollouts", total, found), closing(calls):
                if found < total:
                    draw(file, calls)
            progress.check()
            if parquet:
                write_parquet(rows_path, output)
                rows_path.unlink()
    except (Stopped, KeyboardInterrupt):
        raise Stopped(_safe(file, rows_path, output)) from None
    except Exception as error:
        gone = what_gave_up(error)
        if file is None or not (gone or isinstance(error, (BonteaError, OSError))):
            raise
        what = str(error) or type(error).__name__
        if gone == "disk":
            what = f"the disk of {output} is full ({error}): free some space"
        elif gone == "memory":
            what += f"\nstart again with less than --batch-size {wanted.batch_size}"
        raise FailedError(f"{what}\n{_safe(file, rows_path, output)}") from error
    rewards = file.table(len(prompts), wanted.rollouts)
    scored = ~np.isnan(rewards)
    best = np.where(scored, rewards, -np.inf).max(axis=1)[scored.any(axis=1)]
    return SampleResult(
        version=record.version,
        seed=wanted.seed,
        command=list(sys.argv),
        settings=asdict(wanted),
        output=str(output),
        prompts=len(prompts),
        rollouts=len(file),
        drawn=len(file) - found,
        unscorable=int((~scored).sum()),
        failed=len(file.failed),
        cut_off=file.ends["length"],
        filtered=file.ends["content_filter"],
        empty=file.empty.total(),
        empty_cut_off=file.empty["length"],
        only_thinking=file.empty["reasoning"],
        unknown_end=file.ends[None],
        mean_reward=float(rewards[scored].mean()) if scored.any() else None,
        mean_best=float(best.mean()) if len(best) else None,
        distinct=round(file.distinct(), 6),
        seconds=round(time.time() - started, 1),
    )


def _safe(file: RolloutFile | None, rows_path: Path, output: Path) -> str:
    """What is safe after a run that ended early, and the command that goes on."""
    kept = ""
    if file is not None and not len(file) and not DrawnFile(file).waiting:
        return "no rollout was drawn yet, and there is nothing to resume: give the command again"
    if file is not None:
        kept = f"{len(file):,} rollouts are safe in {rows_path}; "
        drawn = DrawnFile(file)
        if drawn.waiting:
            kept += f"{len(drawn.waiting):,} more, not scored yet, in {drawn.path}; "
    again = f"bontea sample --resume --output {shlex.quote(str(output))}"
    return f"{kept}go on with:\n  {again}"


def _check_output(output: Path) -> None:
    if output.suffix.lower() not in SUFFIXES:
        raise BonteaError(f"--output {output}: the name must end in {' or '.join(SUFFIXES)}")
    if output.is_dir():
        raise IsADirectoryError(f"--output {output} is a folder: name a file in it")
    if not output.parent.is_dir():
        raise FileNotFoundError(
            f"--output {output}: there is no folder {output.parent}; make it first"
        )
    if output.suffix.lower() == ".parquet" and importlib.util.find_spec("polars") is None:
        raise MissingPackageError(
            f'--output {output} needs Polars: pip install "bontea[rollouts]", or write .jsonl'
        )


def _find_record(
    output: Path, rows_path: Path, resume: bool, given: Mapping[str, Any]
) -> Record | None:
    """What the file was begun with, None for a new one; refuses to mix or to overwrite."""
    places = (rows_path, output, drawn_path(rows_path))
    held = next((p for p in places if p.exists() and p.stat().st_size), None)
    path = settings_path(output)
    if held and not resume:
        raise BonteaError(
            f"{held} holds rollouts already: go on with them by adding --resume, or choose another "
            "--output"
        )
    if held and not path.exists():
        raise FileNotFoundError(
            f"{held} cannot be added to, because {path}, which says how it was drawn, is not "
            "there; choose another --output"
        )
    if resume and path.exists():
        return Record.load(path)
    if resume and given.keys() == {"output"}:
        raise FileNotFoundError(f"nothing to resume: {path} is not there")
    return None


def _load_prompts(settings: SampleSettings) -> dict[int, Row]:
    if settings.prompts is None:
        from bontea import demo

        rows: list[Row] = [{"prompt": prompt} for prompt in demo.held_out_prompts()]
    else:
        rows = load_prompts(
            settings.prompts, column=settings.prompt_column, split=settings.prompts_split
        )
    if settings.completions and _has_chats(rows):
        raise BonteaError(
            f"--completions sends texts, and the prompts of {settings.prompts} are chats: leave "
            "it out"
        )
    return dict(enumerate(rows))


def _has_chats(rows: Iterable[Row]) -> bool:
    return not all(isinstance(row["prompt"], str) for row in rows)


def _updated(
    record: Record | None, settings: SampleSettings, prompts: dict[int, Row], output: Path
) -> Record:
    """The record of this run; BonteaError if the prompts are no longer those of the file."""
    mark = fingerprint(list(prompts.values()))
    if record is None:
        return Record(settings, mark, [settings.rollouts])
    if record.prompts != mark:
        older = (
            f" (or bontea {record.version}, which it was begun with, read them differently)"
            if record.version != version()
            else ""
        )
        raise BonteaError(
            f"the prompts of {settings.prompts} have changed since {output} was begun{older}: "
            "restore them, or choose another --output"
        )
    grown = [settings.rollouts] if settings.rollouts > record.asked[-1] else []
    return Record(settings, mark, record.asked + grown, record.version, record.command)


def _prepare(
    settings: SampleSettings, prompts: dict[int, Row], earlier: list[int], progress: JobProgress
) -> tuple[Draw, Calls]:
    """Load and check what draws and what scores."""
    from bontea.rollouts.service import read_key

    for flag, name in (
        ("--api-key-env", settings.api_key_env),
        ("--reward-key-env", settings.reward_key_env),
    ):
        if name is not None and read_key(flag, name) is None:
            raise BonteaError(f"{flag}: no environment variable of that name holds a key")
    prepare = _from_endpoint if settings.endpoints else _from_model
    draw = prepare(settings, prompts, earlier, _Rate(progress, len(prompts) * settings.rollouts))
    calls = load_calls(settings, prompts.values())
    if note := continued(row["prompt"] for row in prompts.values()):
        progress.say(note)
    return draw, calls


def load_calls(settings: SampleSettings, prompts: Iterable[Row] = ()) -> Calls:
    """The reward of these settings, tried on the prompts, and how it is called."""
    from bontea.rollouts.calls import calls_of
    from bontea.rollouts.rewards import check_rows, load_reward

    spec, trust = str(settings.reward), settings.trust_remote_code
    reward = load_reward(
        spec,
        trust_remote_code=trust,
        model=settings.reward_model,
        tokenizer=settings.reward_tokenizer,
        key_name=settings.reward_key_env,
        timeout=settings.timeout,
        retries=settings.retries,
    )
    check_rows(reward, prompts)
    return calls_of(reward, settings.reward_concurrency, spec, trust_remote_code=trust)


def _from_endpoint(
    settings: SampleSettings, prompts: dict[int, Row], _: list[int], rate: _Rate
) -> Draw:
    from bontea.rollouts.endpoint import Sampling, sample_endpoint
    from bontea.rollouts.service import Service

    if not settings.completions:
        check_for_server(prompts, settings.extra_body)
    services = [
        Service(
            "--endpoint",
            url,
            "--api-key-env",
            settings.api_key_env or "OPENAI_API_KEY",
            model=settings.model,
            timeout=settings.timeout,
            retries=settings.retries,
        )
        for url in settings.endpoints
    ]
    services[0].client().close()  # says what is missing before anything is drawn
    key = services[0].key
    if key and len(key) >= 8 and key in json.dumps(settings.extra_body, ensure_ascii=False):
        raise BonteaError("--extra-body holds the key, which would end up in files: take it out")
    sampling = Sampling(**{f.name: getattr(settings, f.name) for f in fields(Sampling)})

    def draw(file: RolloutFile, calls: Calls) -> None:
        rate.start(len(file))
        sample_endpoint(
            services,
            sampling,
            prompts,
            calls,
            file,
            m=settings.rollouts,
            batch_size=int(settings.batch_size or 1),
            on_rows=lambda _: rate.show(len(file)),
            on_trouble=rate.progress.say,
            should_stop=lambda: rate.progress.stop_requested,
        )

    return draw


def _from_model(
    settings: SampleSettings, prompts: dict[int, Row], earlier: list[int], rate: _Rate
) -> Draw:
    from bontea.rollouts.generate import sample_rollouts
    from bontea.rollouts.model import load_model, load_tokenizer, start_model

    path = start_model(settings.model)
    trust = {"trust_remote_code": settings.trust_remote_code}
    tokenizer = load_tokenizer(path, chats=_has_chats(prompts.values()), **trust)
    check_in_process(tokenizer, prompts)

    def draw(file: RolloutFile, calls: Calls) -> None:
        def on_chunk(_: int) -> None:
            rate.show(len(file))
            rate.progress.check()

        model = load_model(path, dtype=str(settings.dtype), **trust)
        rate.start(len(file))
        sample_rollouts(
            model,
            tokenizer,
            prompts,
            calls,
            file,
            m=settings.rollouts,
            max_new_tokens=int(settings.max_new_tokens or 1),
            temperature=settings.temperature,
            batch_size=int(settings.batch_size or 1),
            seed=settings.seed,
            earlier=earlier,
            name=settings.model,
            on_chunk=on_chunk,
            on_trouble=lambda text: rate.progress.say(f"reward: {text}"),
        )

    return draw


class _Rate:
    """Shows how many rollouts there are, and how many come in a second in this run."""

    def __init__(self, progress: JobProgress, total: int):
        self.progress, self.total = progress, total

    def start(self, done: int) -> None:
        self.began, self.found = time.monotonic(), done

    def show(self, done: int) -> None:
        rate = (done - self.found) / max(time.monotonic() - self.began, 1e-9)
        note = "" if not rate else f"{rate:.1f}/s" if rate > 1 else f"{60 * rate:.1f}/min"
        if rate and not self.progress.console.is_terminal:  # there, the bar says so
            note += f", about {(self.total - done) / rate:.0f} s left"
        self.progress.advance(at=done, note=note)
