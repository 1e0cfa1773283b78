#!/usr/bin/env bash
# Flags for a launch script of slime (scripts/run-*.sh there), in the place of its GRPO_ARGS:
#
#     source flags.sh
#     ... ray job submit -- python3 train.py ${BEST_OF_N_ARGS[@]} ${MODEL_ARGS[@]} ...
#
# bontea must be installed in slime's container on every node.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
bontea check slime "$here/bontea.yaml"
BEST_OF_N_ARGS=(
  --advantage-estimator grpo                        # puts our number on every token
  --custom-reward-post-process-path bontea.integrations.slime.post_process_rewards
  --custom-config-path "$here/bontea.yaml"
  --n-samples-per-prompt 16
  --use-kl-loss
  --kl-loss-coef 0.001
  --kl-loss-type low_var_kl
  --entropy-coef 0.00
  --calculate-per-token-loss
)                                                   # and no --normalize-advantages
