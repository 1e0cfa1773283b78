"""A recipe of tinker-cookbook with best-of-N advantages. Needs a TINKER_API_KEY.

    python train.py model_name=Qwen/Qwen3-8B env=gsm8k group_size=16 groups_per_batch=64

The arguments are those of `tinker_cookbook.recipes.math_rl.train`. Any recipe will do: `install`
before its main function.
"""

import asyncio

import chz
from tinker_cookbook.recipes.math_rl.train import CLIConfig, cli_main

import bontea.integrations.tinker

if __name__ == "__main__":
    config = chz.entrypoint(CLIConfig)
    bontea.integrations.tinker.install("adaptive_tea", n=128)
    asyncio.run(cli_main(config))
