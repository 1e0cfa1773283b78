"""`bontea check trl`: one step of its trainer."""

from __future__ import annotations

from typing import Any

import numpy as np

from bontea.cli.probes._common import python_settings, side_by_side


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Any:
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
    return (
        advantages,
        "one step of GRPOTrainer with a toy policy",
        "a subclass of its trainer",
        True,
    )


settings = python_settings
