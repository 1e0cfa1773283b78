#!/usr/bin/env bash
# SkyRL with best-of-N advantages. `bash run.sh trainer.epochs=1` adds settings of SkyRL.
set -euo pipefail
MODEL="${MODEL:-Qwen/Qwen3-0.6B}"
DATA="${DATA:-$HOME/data/gsm8k}"
GPUS="${GPUS:-4}"

settings=(
  trainer.algorithm.advantage_estimator=bontea_adaptive_tea
  trainer.algorithm.bontea.n=128                    # how many responses are sampled in deployment
  generator.n_samples_per_prompt=16                 # rollouts per prompt in training
  trainer.algorithm.advantage_batch_normalize=false
  trainer.algorithm.use_kl_in_reward=false
  trainer.algorithm.use_kl_loss=true
  trainer.policy.model.path="$MODEL"
  trainer.placement.policy_num_gpus_per_node="$GPUS"
  trainer.placement.ref_num_gpus_per_node="$GPUS"
  generator.inference_engine.num_engines="$GPUS"
  data.train_data="['$DATA/train.parquet']"
  data.val_data="['$DATA/validation.parquet']"
  environment.env_class=gsm8k
  trainer.logger=console
  "$@"
)

bontea check skyrl "${settings[@]}"
python -m skyrl.train.entrypoints.main_base \
  trainer.override_entrypoint=bontea.integrations.skyrl "${settings[@]}"
