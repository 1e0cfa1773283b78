"""Advantage estimators: rewards `(*P, M)` in, advantages `(*P, M)` out, in mean convention.

Mean convention, everywhere: the policy gradient estimate of a prompt is
`(1/M) sum_i A_i grad log pi(y_i)`.

The mean of one response:

- `reinforce`: `R - mean`. `rloo`: the unbiased form. `grpo`: in units of the group's spread.
- `max_rl`: in units of the group's mean, for non-negative rewards.

Best-of-k with k up to M - 1, no model of the rewards:

- `max_at_k`: the exact gradient, unbiased and centred. `pkpo`, `pkpo_loo`: the same without a
  baseline, and with the best of k - 1 others. `pass_at_k`: for 0/1 rewards, in units of its spread.
- `best_of_n_max_mean`, `best_of_n_max_second`: the winner takes its lead over mean or runner-up.
- `tail_rl`: every gap between rewards shared by the rollouts above it.

Best-of-N with N far beyond M, from a normal model of the upper tail:

- `tea`: the plug-in. `prefix_tea`: its bias cancelled over prefixes of the group.
- `calibrated_tea`: the two parts of `tea`, weighed so that it is unbiased at every M.
- `linear_tea`: linear in the sorted rewards, unbiased at every M, least noise; other tails too.
- `adaptive_tea`: `linear_tea` with the largest tail fraction the batch supports, `max_at_k` where
  it supports none.

Pass@N of 0/1 rewards with N beyond M:

- `pass_at_n`: a Beta prior of the success rates fills in what M rollouts cannot show.
- `inference_aware`: the failure rate of the group plugged in.

Defined for any N without such a model, each with a catch its page names: `cat_bon`, `softmax_tilt`,
and `gaussian_plug_in` (the whole law must be normal).

`ADVANTAGES` names them all; `EstimatorSpec` is one with its parameters. `advantages_for` applies
any of them to flat, shuffled, ragged batches; `scale_advantages` brings a batch to unit size. To
add an estimator: one file here, one line in `ADVANTAGES`, its name in the laws it obeys
(tests/test_advantage_laws.py).
"""

from collections.abc import Callable

from bontea._arrays import Array
from bontea.advantages._adaptive_tea import adaptive_tea
from bontea.advantages._best_of_n_max_mean import best_of_n_max_mean
from bontea.advantages._best_of_n_max_second import best_of_n_max_second
from bontea.advantages._calibrated_tea import calibrated_tea
from bontea.advantages._calibrated_tea import expectations as calibrated_expectations
from bontea.advantages._cat_bon import cat_bon
from bontea.advantages._gaussian_plug_in import gaussian_plug_in
from bontea.advantages._grpo import grpo
from bontea.advantages._inference_aware import inference_aware
from bontea.advantages._linear_tea import linear_tea, linear_weights
from bontea.advantages._max_at_k import max_at_k
from bontea.advantages._max_rl import max_rl
from bontea.advantages._pass_at_k import pass_at_k
from bontea.advantages._pass_at_n import pass_at_n
from bontea.advantages._pkpo import pkpo, pkpo_loo
from bontea.advantages._prefix_tea import prefix_tea, prefix_weights
from bontea.advantages._reinforce import reinforce
from bontea.advantages._rloo import rloo
from bontea.advantages._softmax_tilt import softmax_tilt
from bontea.advantages._tail_rl import tail_rl
from bontea.advantages._tea import tea
from bontea.advantages.flat import advantages_for, scale_advantages
from bontea.advantages.spec import EstimatorSpec, get_estimator, parse_estimators

ADVANTAGES: dict[str, Callable[..., Array]] = {
    "reinforce": reinforce,
    "rloo": rloo,
    "grpo": grpo,
    "max_rl": max_rl,
    "max_at_k": max_at_k,
    "pkpo": pkpo,
    "pkpo_loo": pkpo_loo,
    "pass_at_k": pass_at_k,
    "best_of_n_max_mean": best_of_n_max_mean,
    "best_of_n_max_second": best_of_n_max_second,
    "tail_rl": tail_rl,
    "cat_bon": cat_bon,
    "softmax_tilt": softmax_tilt,
    "gaussian_plug_in": gaussian_plug_in,
    "tea": tea,
    "prefix_tea": prefix_tea,
    "calibrated_tea": calibrated_tea,
    "linear_tea": linear_tea,
    "adaptive_tea": adaptive_tea,
    "pass_at_n": pass_at_n,
    "inference_aware": inference_aware,
}

__all__ = [
    "ADVANTAGES",
    "EstimatorSpec",
    "adaptive_tea",
    "advantages_for",
    "best_of_n_max_mean",
    "best_of_n_max_second",
    "calibrated_expectations",
    "calibrated_tea",
    "cat_bon",
    "gaussian_plug_in",
    "get_estimator",
    "grpo",
    "inference_aware",
    "linear_tea",
    "linear_weights",
    "max_at_k",
    "max_rl",
    "parse_estimators",
    "pass_at_k",
    "pass_at_n",
    "pkpo",
    "pkpo_loo",
    "prefix_tea",
    "prefix_weights",
    "reinforce",
    "rloo",
    "scale_advantages",
    "softmax_tilt",
    "tail_rl",
    "tea",
]
