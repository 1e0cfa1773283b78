#!/usr/bin/env bash
# ms-swift with best-of-N advantages, on the GPUs of this node:
#
#     bash run.sh                                     # 8 GPUs, vLLM in the same processes
#     NPROC_PER_NODE=2 bash run.sh --learning_rate 5e-7         # more settings of ms-swift
#
# Several nodes: set NNODES, NODE_RANK, MASTER_ADDR and MASTER_PORT on each, as for any job of
# ms-swift; bontea must be installed on all of them.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
export NPROC_PER_NODE="${NPROC_PER_NODE:-8}"
settings_of_bontea='{"estimator": "adaptive_tea", "n": 128}'      # n responses in deployment
export BONTEA="${BONTEA:-$settings_of_bontea}"

settings=(
  --rlhf_type grpo
  --external_plugins "$here/plugin.py"
  --num_generations 16                              # rollouts per prompt in training
  --model "${MODEL:-Qwen/Qwen3-0.6B}"
  --dataset "${DATASET:-AI-MO/NuminaMath-TIR#5000}"
  --reward_funcs accuracy
  --loss_type dapo                                  # grpo divides by the length of each response
  --beta 0.001
  --tuner_type full
  --torch_dtype bfloat16
  --use_vllm true
  --vllm_mode colocate
  --per_device_train_batch_size 8
  --gradient_accumulation_steps 4
  --max_completion_length 1024
  --learning_rate 1e-6
  --logging_steps 1
  "$@"
)

bontea check swift -- "${settings[@]}"    # a wrong setting stops here, before a model is loaded
swift rlhf "${settings[@]}"
