"""Which estimators run under `jax.jit` and `jax.vmap`: all that need not look at the rewards.

    python jit.py

Every estimator takes JAX arrays as they are. Under `jit` the values are not there to be looked at:
NaN cannot be taken for a missing rollout, and infinite rewards are not refused. So `adaptive_tea`
raises ValueError (choose the tail fraction outside with `choose_alpha`, and jit `linear_tea`), and
`pass_at_n` needs its prior. `prefix_tea` draws other random orders under `vmap`: False.
"""

import jax
import jax.numpy as jnp
import numpy as np

import bontea

jax.config.update("jax_enable_x64", True)
PARAMS = {"n": 128, "alpha": 0.5, "k": 4}


def call(name):
    function = bontea.ADVANTAGES[name]
    code = function.__code__
    accepted = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    params = {key: value for key, value in PARAMS.items() if key in accepted}
    if name == "pass_at_n":
        params["prior"] = (1.0, 1.0)  # "batch" looks at the rewards
    if name == "prefix_tea":
        params["rng"] = 0
    return lambda rewards: function(rewards, **params)


def main() -> None:
    rewards = jnp.asarray(np.random.default_rng(0).integers(0, 2, (6, 4, 32)), dtype=float)
    if_real = rewards + jnp.asarray(np.random.default_rng(1).normal(size=rewards.shape))
    binary = {"pass_at_k", "pass_at_n", "inference_aware", "max_rl"}
    for name in bontea.ADVANTAGES:
        given = rewards if name in binary else if_real
        plain = call(name)(given)
        row = {}
        for how, f in {"jit": jax.jit(call(name)), "vmap": jax.jit(jax.vmap(call(name)))}.items():
            try:
                row[how] = bool(jnp.allclose(f(given), plain))
            except Exception as error:
                row[how] = type(error).__name__
        print(f"{name:22} {row}")


if __name__ == "__main__":
    main()
