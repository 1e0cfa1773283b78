"""Advantage estimators: rewards `(*P, M)` in, advantages `(*P, M)` out, in mean convention.

Mean convention, everywhere: the policy gradient estimate of a prompt is
`(1/M) sum_i A_i grad log pi(y_i)`.

The mean of one response:

- `reinforce`: `R - mean`. `rloo`: the unbiased form. `grpo`: in units of the group's spread.

Best-of-k with k up to M - 1, no model of the rewards:

- `max_at_k`: the exact gradient, unbiased and centred.
- `best_of_n_max_second`: the winner takes its lead over the runner-up.

Best-of-N with N far beyond M, from a normal model of the upper tail:

- `tea`: the plug-in. `prefix_tea`: its bias cancelled over prefixes of the group.

`ADVANTAGES` names them all. `advantages_for` applies any of them to flat, shuffled, ragged batches;
`scale_advantages` brings a batch to unit size. To add an estimator: one file here, one line in
`ADVANTAGES`, its name in the laws it obeys (tests/test_advantage_laws.py).
"""

from collections.abc import Callable

from bontea._arrays import Array
from bontea.advantages.best_of_n_max_second import best_of_n_max_second
from bontea.advantages.flat import advantages_for, get_estimator, scale_advantages
from bontea.advantages.grpo import grpo
from bontea.advantages.max_at_k import max_at_k
from bontea.advantages.prefix_tea import prefix_tea, prefix_weights
from bontea.advantages.reinforce import reinforce
from bontea.advantages.rloo import rloo
from bontea.advantages.tea import tea

ADVANTAGES: dict[str, Callable[..., Array]] = {
    "reinforce": reinforce,
    "rloo": rloo,
    "grpo": grpo,
    "max_at_k": max_at_k,
    "best_of_n_max_second": best_of_n_max_second,
    "tea": tea,
    "prefix_tea": prefix_tea,
}

__all__ = [
    "ADVANTAGES",
    "advantages_for",
    "best_of_n_max_second",
    "get_estimator",
    "grpo",
    "max_at_k",
    "prefix_tea",
    "prefix_weights",
    "reinforce",
    "rloo",
    "scale_advantages",
    "tea",
]
