"""`bontea serve`: better answers from the model that you serve, by best-of-N.

A server that clients call as they call OpenAI. It asks your model server for several responses,
scores them with your reward model or verifier, and returns the best one. How many it draws is
decided request by request. Without arguments a tiny demo model answers.
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
        help="a server that draws several responses from yours and returns the best",
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
