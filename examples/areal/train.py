"""AReaL's GRPO example with best-of-N advantages: its own script with two other classes.

    bontea check areal examples/areal/config.yaml
    python examples/areal/train.py --config examples/areal/config.yaml

It needs GPUs.
"""

import sys

from areal.api.cli_args import load_expr_config
from areal.dataset import get_custom_dataset
from areal.utils.hf_utils import load_hf_tokenizer

from bontea.integrations.areal import BestOfNConfig, BestOfNTrainer


def main(arguments: list[str]) -> None:
    config, _ = load_expr_config(arguments, BestOfNConfig)
    train_dataset = get_custom_dataset(
        split="train",
        dataset_config=config.train_dataset,
        tokenizer=load_hf_tokenizer(config.tokenizer_path),
    )
    with BestOfNTrainer(config, train_dataset=train_dataset) as trainer:
        trainer.train(
            workflow="areal.workflow.rlvr.RLVRWorkflow",
            workflow_kwargs={
                "reward_fn": "areal.reward.gsm8k.gsm8k_reward_fn",
                "gconfig": config.gconfig,
                "tokenizer": config.tokenizer_path,
                "enable_thinking": False,
            },
        )


if __name__ == "__main__":
    main(sys.argv[1:])
