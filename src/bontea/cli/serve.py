"""`bontea serve`: best-of-N in front of an OpenAI-compatible server, as one itself.

Clients change their base URL, and every answer is the best of N by a reward model or verifier. N is
chosen response by response: no more is drawn when the next one is not expected to be worth it.
Without arguments, the embedded toy policy answers.
"""

from __future__ import annotations

import argparse
from typing import Any

from bontea.cli._flags import add_settings, given_settings, quiet_libraries, read_yaml

EXAMPLES = """examples:
  bontea serve
      the embedded toy policy and its reward, on http://127.0.0.1:8100/v1
  bontea serve --endpoint http://localhost:8000/v1 --reward Skywork/Skywork-Reward-V2-Qwen3-0.6B
      16 responses a request on average, from the server behind
  bontea serve --endpoint http://localhost:8000/v1 --reward mymodule:reward \\
      --prior rollouts.jsonl --price 0.02 --max-n 64 --log served.jsonl
      a price for each response, and a rule that learns from rollouts drawn before
  bontea serve serve.yaml
      settings from a file
"""


def add_parser(subparsers: Any, name: str) -> None:
    from bontea.serve.settings import ServeSettings

    parser = subparsers.add_parser(
        name,
        help="serve best-of-N in front of an OpenAI-compatible server",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("config", nargs="?", default=None, help="YAML file of settings")
    add_settings(parser, ServeSettings)


def run(args: argparse.Namespace) -> int:
    from bontea._settings import from_dict
    from bontea.serve import ServeSettings, serve

    quiet_libraries()
    given = given_settings(args, ServeSettings)
    values = read_yaml(args.config) if args.config else {}
    serve(from_dict(ServeSettings, {**values, **given}, args.config or "serve"))
    return 0
