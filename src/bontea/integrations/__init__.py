"""Thin adapters: each hands one framework's rewards to an estimator and the advantages back.

Nothing here computes an advantage; that is `bontea.advantages`. Each adapter imports its framework
itself, so this package loads nothing.

- `trl`: `BestOfNTrainer`, `BestOfNConfig`, and `attach` for a trainer that exists already.

For adapters: `_params.estimator_call` (settings of a run to a validated estimator) and `_metrics`
(what to log of a batch).
"""
