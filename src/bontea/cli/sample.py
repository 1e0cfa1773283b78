"""`bontea sample`: draw rollouts of prompts, score them, and write them as they come.

From a model in this process, or from an OpenAI-compatible server (--endpoint). A run that is
stopped or killed goes on with --resume; nothing that was drawn is drawn again. With --rescore, the
completions of a file are scored again, and none is drawn.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from bontea._errors import BonteaError
from bontea._progress import JobProgress, Stopped
from bontea._settings import flag, from_dict
from bontea.cli._flags import add_settings, given_settings, quiet_libraries
from bontea.rollouts import RescoreResult, SampleResult, SampleSettings, rescore, sample

EXAMPLES = """examples:
  bontea sample
      64 rollouts of each held-out prompt of the embedded policy, into rollouts.jsonl
  bontea sample --model Qwen/Qwen3-0.6B --reward Skywork/Skywork-Reward-V2-Qwen3-0.6B \\
      --prompts prompts.jsonl --rollouts 64 --output qwen.jsonl
      your own model, reward model and prompts
  bontea sample --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B \\
      --reward mymodule:reward --prompts prompts.jsonl --output qwen.parquet
      a model behind a server; its key comes from the environment (--api-key-env)
  bontea sample --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B \\
      --reward http://localhost:8001/classify --prompts prompts.jsonl --output qwen.parquet
      a reward model behind vLLM or SGLang as well
  bontea sample --resume --output qwen.parquet --rollouts 256
      go on with a file, or add to it
  bontea sample --rescore --output qwen.parquet --reward mymodule:judge
      score the completions of a file with another reward as well, into the column judge
"""


def add_parser(subparsers: Any, name: str) -> None:
    parser = subparsers.add_parser(
        name,
        help="draw and score rollouts, to a file that survives a kill",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    add_settings(parser, SampleSettings)
    parser.add_argument(
        "--resume",
        action="store_true",
        default=False,
        help="go on with the file --output, with the settings that it was begun with",
    )
    parser.add_argument(
        "--rescore",
        action="store_true",
        default=False,
        help="draw nothing, and score the completions of --output: rows without a reward get one; "
        "with another --reward than that of the file, every row gets a second score, in a column "
        "of its own",
    )
    parser.add_argument(
        "--reward-name",
        metavar="NAME",
        default=None,
        help="with --rescore, the column for the scores (default: reward; for another reward than "
        "that of the file, its name)",
    )
    parser.add_argument(
        "--json", action="store_true", default=False, help="print the summary as JSON"
    )


def run(args: argparse.Namespace) -> int:
    quiet_libraries()
    progress = JobProgress()
    given = given_settings(args, SampleSettings)
    result: SampleResult | RescoreResult
    try:
        if args.rescore:
            result = _rescore(given, args, progress)
        elif args.reward_name is not None:
            raise BonteaError("--reward-name goes with --rescore, which is missing")
        else:
            result = sample(given, resume=args.resume, progress=progress)
    except Stopped as stopped:
        progress.say(f"stopped; {stopped}")
        return 130
    print(json.dumps(result.to_dict()) if args.json else result)
    return 0


OF_RESCORING = (
    "output",
    "reward",
    "reward_model",
    "reward_tokenizer",
    "prompts",
    "prompt_column",
    "prompts_split",
    "batch_size",
    "reward_concurrency",
    "reward_key_env",
    "timeout",
    "retries",
    "trust_remote_code",
)
"""Settings that have a meaning where nothing is drawn."""


def _rescore(
    given: dict[str, Any], args: argparse.Namespace, progress: JobProgress
) -> RescoreResult:
    other = [flag(name) for name in given if name not in OF_RESCORING]
    other += ["--resume"] * args.resume
    if other:
        raise BonteaError(f"--rescore draws nothing: leave out {', '.join(other)}")
    settings = from_dict(SampleSettings, given, "sample")
    return rescore(
        settings.output,
        given.get("reward"),
        column=args.reward_name,
        settings=settings,
        progress=progress,
    )
