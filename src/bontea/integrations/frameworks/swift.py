"""ms-swift. `bontea check swift`: a training step with the toy policy, and its arguments."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bontea._errors import BonteaError
from bontea.demo import policy_folder, training_prompts
from bontea.integrations._settings import VARIABLE
from bontea.integrations.frameworks.framework import Framework, Probed
from bontea.integrations.frameworks.probing import side_by_side

NOT_LOADED = (
    "no file of --external_plugins imports bontea.integrations.swift: write plugin.py with that "
    "line, and add --external_plugins plugin.py"
)


def toy_job(folder: Path, prompts: list[str], m: int, **more: Any) -> list[str]:
    """Arguments of `swift rlhf` for a step on the CPU with the toy policy; the files it needs."""
    plugin, data = folder / "plugin.py", folder / "prompts.jsonl"
    plugin.write_text("import bontea.integrations.swift\n", encoding="utf-8")
    rows = [{"messages": [{"role": "user", "content": prompt}]} for prompt in prompts]
    data.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    options = {
        "rlhf_type": "grpo",
        "model": policy_folder(),
        "model_type": "llama",
        "check_model": "false",  # for a newer one, which would need a network
        "template": "default",
        "use_chat_template": "false",
        "tuner_type": "full",
        "use_cpu": "true",
        "bf16": "false",
        "torch_dtype": "float32",
        "dataset": data,
        "split_dataset_ratio": 0,
        "load_from_cache_file": "false",
        "external_plugins": plugin,
        "num_generations": m,
        "per_device_train_batch_size": m * len(prompts),
        "max_completion_length": 2,
        "loss_type": "dapo",
        "beta": 0,
        "max_steps": 1,
        "output_dir": folder / "out",
        "add_version": "false",
        "save_strategy": "no",
        "report_to": "none",
        "logging_steps": 1,
        **more,
    }
    return [part for name, value in options.items() for part in (f"--{name}", str(value))]


def probe(rewards: np.ndarray, ids: np.ndarray, estimator: str, n: float) -> Probed:
    """One generation batch of its GRPOTrainer; the last group is incomplete."""
    from swift.pipelines.train.rlhf import SwiftRLHF
    from swift.rewards import ORM, orms

    names, m, asked = side_by_side(rewards, ids)
    trainers: list[Any] = []

    class Reward(ORM):
        def __call__(self, completions: list[str], **_: Any) -> list[float | None]:
            return asked

    class Probe(SwiftRLHF):
        def train(self, trainer: Any) -> Any:
            trainers.append(trainer)
            return super().train(trainer)

    given = os.environ.get(VARIABLE)
    orms["bontea_check"] = Reward
    os.environ[VARIABLE] = json.dumps({"estimator": estimator, "n": n, "scale": "none"})
    try:
        with tempfile.TemporaryDirectory() as folder:
            prompts = training_prompts()[: len(names)]
            Probe(toy_job(Path(folder), prompts, m, reward_funcs="bontea_check")).main()
    finally:
        # No mock.patch: `datasets` replaces os.environ by a copy when it maps in processes.
        os.environ[VARIABLE] = given or ""
    blocks = np.array(list(trainers[0]._logs["advantages"])).reshape(-1, m)
    advantages = np.zeros(len(rewards))
    for name, block in zip(names, blocks, strict=True):
        own_rows = np.flatnonzero(ids == name)
        advantages[own_rows] = block[: len(own_rows)]
    path = "a training step of `swift rlhf` with a toy policy"
    return Probed(advantages, path, "loaded by --external_plugins")


def settings(arguments: list[str]) -> str:
    """The arguments of `swift rlhf`, which it parses, and `$BONTEA`."""
    import sys

    from swift.arguments import RLHFArguments
    from swift.trainers import TrainerFactory
    from swift.utils import import_external_file
    from swift.utils.utils import HfArgumentParser, _patch_get_type_hints

    with _patch_get_type_hints():
        parser = HfArgumentParser([RLHFArguments])
    parser.error = _refuse
    args, unknown = parser.parse_known_args(arguments)
    if unknown:
        raise BonteaError(f"swift rlhf does not take {' '.join(unknown)}")
    if args.rlhf_type != "grpo":
        raise BonteaError(f"--rlhf_type {args.rlhf_type}: best-of-N advantages are for grpo")
    # As RLHFArguments fills them in; building it would fetch the model.
    if args.beta is None:
        args.beta = 0.04
    if args.kl_in_reward is None:
        args.kl_in_reward = args.advantage_estimator != "grpo"

    sys.modules.pop("bontea.integrations.swift", None)  # a plugin's import must do something
    TrainerFactory.TRAINER_MAPPING["grpo"] = ""
    for plugin in args.external_plugins:
        import_external_file(plugin)
        from bontea.integrations._settings import read_settings
    from bontea.integrations._step import AdvantageStep

    adapter = sys.modules.get("bontea.integrations.swift")
    if adapter is None or TrainerFactory.TRAINER_MAPPING["grpo"] != adapter.PATH:
        raise BonteaError(NOT_LOADED)
    adapter.require_plain(args)
    found = read_settings(where=adapter.WHERE)
    AdvantageStep(found, args.num_generations)
    return f"{found}, {args.num_generations} rollouts per prompt"


def _refuse(message: str) -> None:
    raise BonteaError(f"swift rlhf does not take this: {message}")


FRAMEWORK = Framework(
    "swift",
    "ms-swift",
    "4.6.0",
    versions=("4.6", "4.7"),
    use=(
        "echo 'import bontea.integrations.swift' > plugin.py",
        """export BONTEA='{"estimator": "adaptive_tea", "n": 128}'""",
        "swift rlhf --rlhf_type grpo --external_plugins plugin.py --num_generations 16 ...",
    ),
    off=(
        ("--advantage_estimator, --scale_rewards", "no effect: leave them out; gdpo is refused"),
        (
            "--kl_in_reward true",
            "changes which response is best, and is refused; --beta without it is in the loss",
        ),
        (
            "--loss_type dapo",
            "the default, grpo, divides by the length of each response; real is refused",
        ),
        (
            "--dynamic_sample",
            "replaces prompts without a spread, which had zeros: the rest weigh more",
        ),
    ),
    module="swift.rlhf_trainers.grpo_trainer",
    install="pip install ms-swift==4.6.0 msgspec",
    title="ms-swift",
    hook="a subclass in its table of trainers, from a plugin",
    probe=probe,
    settings=settings,
    environment=("ms-swift==4.6.0 msgspec",),
)
