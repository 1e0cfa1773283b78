#!/usr/bin/env bash
# OpenRLHF with best-of-N advantages, on 8 GPUs of one node or on a Ray cluster that runs:
#
#     bash run.sh
#     bash run.sh --actor.adam.lr 1e-6                # more arguments of OpenRLHF
#
# It is OpenRLHF's own command under another name. bontea must be installed on every node.
set -euo pipefail
settings_of_bontea='{"estimator": "adaptive_tea", "n": 128}'      # n responses in deployment
export BONTEA="${BONTEA:-$settings_of_bontea}"

settings=(
  --algo.advantage.estimator rloo                   # whose path best-of-N advantages take
  --rollout.n_samples_per_prompt 16                 # rollouts per prompt in training
  --algo.kl.use_loss                                # the KL stays out of the advantages
  --algo.kl.init_coef 1e-3
  --algo.kl.estimator k3
  --actor.model_name_or_path "${MODEL:-Qwen/Qwen3-0.6B}"
  --reward.remote_url "${REWARD:-examples/python/math_reward_func.py}"
  --data.prompt_dataset "${DATASET:-zhuzilin/dapo-math-17k}"
  --data.input_key prompt
  --data.label_key label
  --data.apply_chat_template
  --ref.num_gpus_per_node 8
  --actor.num_gpus_per_node 8
  --vllm.num_engines 8
  --vllm.tensor_parallel_size 1
  --train.colocate_all
  --rollout.batch_size 64
  --train.batch_size 256
  "$@"
)

bontea check openrlhf -- "${settings[@]}"    # a wrong setting stops here, not after the first rollouts
python -m bontea.integrations.openrlhf "${settings[@]}"
