#!/usr/bin/env bash
# NeMo-RL's GRPO example with best-of-N advantages, from the root of a clone of it. It needs GPUs.
#
#     bash run.sh                                 # more arguments go to NeMo-RL
set -euo pipefail
bontea check nemo_rl estimator=adaptive_tea n=128 num_generations=16
exec python -m bontea.integrations.nemo_rl examples/run_grpo.py \
  --config examples/configs/grpo_math_1B.yaml \
  grpo.num_generations_per_prompt=16 \
  grpo.adv_estimator.name=grpo \
  '++grpo.adv_estimator.bontea={estimator: adaptive_tea, n: 128}' \
  "$@"
