"""Run under torchrun by test_trl_curve.py: training with curves, as each rank saw it.

`two_processes_curve.py MODEL OUT`: writes OUT/rank0.json and OUT/rank1.json.
"""

import json
import sys
from pathlib import Path

from tests.integrations.test_trl_curve import HELD_OUT, make, measured, score, weights

from bontea.integrations.trl_curve import BestOfNCurve
from bontea.training import processes


def main(model: str, out: Path) -> None:
    trainer = make(model, out, max_steps=2, per_device_train_batch_size=8)
    rank = trainer.accelerator.process_index

    def moody(completions, trainer_state=None, **columns):
        if rank == 1 and trainer.state.global_step == 1:
            raise ConnectionError("gone for the second process")
        return score(completions)

    trainer.add_callback(BestOfNCurve(trainer, HELD_OUT, eval_steps=1, m=4, n=4, reward=moody))
    trainer.train()
    result = {
        "world": trainer.accelerator.num_processes,
        "weights": weights(trainer),
        "logged": measured(trainer),
    }
    (out / f"rank{rank}.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    processes.leave()
