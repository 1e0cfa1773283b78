"""TRL with best-of-N advantages, on one process or many.

    python train.py                                                        # one GPU
    accelerate launch --config_file deepspeed_zero3.yaml train.py          # DeepSpeed ZeRO-3
    accelerate launch --config_file fsdp.yaml train.py                     # FSDP
    accelerate launch --config_file deepspeed_zero3.yaml train.py --use_vllm --vllm_mode colocate

All fields of `BestOfNConfig`, which are those of `trl.GRPOConfig` and five more, are options. On a
CPU `accelerate launch --cpu --num_processes 2` silently runs one process (accelerate 1.15): use
`torchrun --nproc_per_node 2 train.py --use_cpu`.
"""

from datasets import Dataset
from transformers import HfArgumentParser

from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer

MODEL = "Qwen/Qwen3-0.6B"


def reward(completions: list[str], **_: object) -> list[float]:
    """Yours. This one likes short answers."""
    return [-float(len(completion)) for completion in completions]


def main() -> None:
    parser = HfArgumentParser(BestOfNConfig)
    parser.set_defaults(
        output_dir="best-of-n",
        estimator="adaptive_tea",
        deploy_n=128,
        num_generations=16,
        per_device_train_batch_size=16,
    )
    (args,) = parser.parse_args_into_dataclasses()
    prompts = Dataset.from_dict({"prompt": [f"Explain step {i} of a recipe." for i in range(64)]})
    BestOfNTrainer(model=MODEL, reward_funcs=reward, args=args, train_dataset=prompts).train()


if __name__ == "__main__":
    main()
