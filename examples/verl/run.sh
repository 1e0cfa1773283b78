#!/usr/bin/env bash
# verl with best-of-N advantages: one node, or several with an existing Ray cluster.
#
#     bash run.sh                                                  # 8 GPUs of this node
#     NNODES=4 bash run.sh                                         # after `ray start` on all nodes
#     bash run.sh actor_rollout_ref.rollout.n=32                   # more settings of verl
#
# Install bontea with pip in the environment of every node: verl 0.9 and newer then load it by
# themselves. For verl 0.6 to 0.8, and where it is only on the path, the variable below does it.
set -euo pipefail
MODEL="${MODEL:-Qwen/Qwen3-0.6B}"
DATA="${DATA:-$HOME/data/gsm8k}"
NNODES="${NNODES:-1}"

settings=(
  algorithm.adv_estimator=bontea_adaptive_tea
  +algorithm.bontea.n=128                           # how many responses are sampled in deployment
  actor_rollout_ref.rollout.n=16                    # rollouts per prompt in training
  algorithm.use_kl_in_reward=false
  actor_rollout_ref.actor.use_kl_loss=true
  actor_rollout_ref.actor.kl_loss_coef=0.001
  data.train_files="$DATA/train.parquet"
  data.val_files="$DATA/test.parquet"
  data.train_batch_size=256
  data.max_prompt_length=1024
  data.max_response_length=1024
  actor_rollout_ref.model.path="$MODEL"
  actor_rollout_ref.actor.optim.lr=1e-6
  actor_rollout_ref.actor.ppo_mini_batch_size=64
  actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=8
  actor_rollout_ref.rollout.name=vllm
  actor_rollout_ref.rollout.tensor_model_parallel_size=1
  actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16
  actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=16
  trainer.n_gpus_per_node=8
  trainer.nnodes="$NNODES"
  trainer.total_epochs=15
  'trainer.logger=["console"]'
  +ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl
  "$@"
)
export VERL_USE_EXTERNAL_MODULES=bontea.integrations.verl

bontea check verl "${settings[@]}"    # a wrong setting stops here, not after the first rollouts
python -m verl.trainer.main_ppo "${settings[@]}"
