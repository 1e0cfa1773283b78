"""`bontea sample`: draw rollouts of prompts, score them, and write them as they come.

From a model in this process, or from an OpenAI-compatible server (--endpoint). A run that is
stopped or killed goes on with --resume; nothing that was written is drawn again.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from bontea._progress import JobProgress, Stopped
from bontea.cli._flags import add_settings, given_settings, quiet_libraries
from bontea.rollouts import SampleSettings, sample

EXAMPLES = """examples:
  bontea sample
      64 rollouts of each held-out prompt of the embedded policy, into rollouts.jsonl
  bontea sample --model Qwen/Qwen3-0.6B --reward Skywork/Skywork-Reward-V2-Qwen3-0.6B \\
      --prompts prompts.jsonl --rollouts 64 --output qwen.jsonl
      your own model, reward model and prompts
  bontea sample --endpoint http://localhost:8000/v1 --model Qwen/Qwen3-8B \\
      --reward mymodule:reward --prompts prompts.jsonl --output qwen.parquet
      a model behind a server; its key comes from the environment (--api-key-env)
  bontea sample --resume --output qwen.parquet --rollouts 256
      go on with a file, or add to it
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
        help="go on with --output, with the settings it was begun with",
    )
    parser.add_argument("--json", action="store_true", default=False, help="a summary as JSON")


def run(args: argparse.Namespace) -> int:
    quiet_libraries()
    progress = JobProgress()
    try:
        result = sample(given_settings(args, SampleSettings), resume=args.resume, progress=progress)
    except Stopped as stopped:
        progress.say(f"stopped; {stopped}")
        return 130
    print(json.dumps(result.to_dict()) if args.json else result)
    return 0
