"""TRL. `bontea check trl`: one step of its trainer."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import python_settings, side_by_side


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    """One generation batch of GRPOTrainer with the toy policy; its last group is incomplete."""
    import tempfile

    from datasets import Dataset

    from bontea.demo import policy_folder, training_prompts
    from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer

    names, m, asked = side_by_side(rewards, ids)
    got: list[Any] = []

    class Probe(BestOfNTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            out = super()._generate_and_score_completions(inputs)
            got.append(out["advantages"].clone())
            return out

    def reward(completions: list[str], **_: Any) -> list[float | None]:
        return asked

    with tempfile.TemporaryDirectory() as folder:
        args = BestOfNConfig(
            folder,
            estimator=estimator,
            deploy_n=n,
            advantage_scale="none",
            num_generations=m,
            per_device_train_batch_size=m * len(names),
            max_completion_length=2,
            max_steps=1,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        prompts = Dataset.from_dict({"prompt": training_prompts()[: len(names)]})
        Probe(str(policy_folder()), reward, args, train_dataset=prompts).train()
    advantages, blocks = np.zeros(len(rewards)), got[0].cpu().numpy().reshape(-1, m)
    for name, block in zip(names, blocks, strict=True):
        own_rows = np.flatnonzero(ids == name)
        advantages[own_rows] = block[: len(own_rows)]
    return Probed(
        advantages, "one step of GRPOTrainer with a toy policy", "a subclass of its trainer"
    )


FRAMEWORK = Framework(
    "trl",
    "trl",
    "1.16.0",
    versions=("1.16", "2"),
    use=(
        "from bontea.integrations.trl import BestOfNConfig, BestOfNTrainer",
        'args = BestOfNConfig("out", estimator="adaptive_tea", deploy_n=128,',
        "                     num_generations=16, per_device_train_batch_size=16)",
        "BestOfNTrainer(model=..., reward_funcs=..., args=args, train_dataset=...).train()",
    ),
    off=(
        ("scale_rewards", "no effect: advantage_scale takes its place"),
        ("multi_objective_aggregation", "leave sum_then_normalize; the other is refused"),
        ("loss_type='grpo'", "divides by the length of each response: leave 'dapo'"),
    ),
    module="trl",
    install="pip install 'bontea[train]'",
    title="TRL, also with accelerate, DeepSpeed, FSDP",
    hook="a subclass of its trainer; the loop of its asynchronous one",
    probe=probe,
    settings=python_settings,
    environment=("-e .[train] tokenizers aiohttp requests",),
)
