"""Thin adapters: each hands one framework's rewards to an estimator and the advantages back.

Nothing here computes an advantage; that is `bontea.advantages`. Each adapter imports its framework
itself, so this package loads nothing.

- `trl`: `BestOfNTrainer`, `BestOfNConfig`, and `attach` for a trainer that exists already.
  `trl_async`: `attach` for its asynchronous trainer.
- `verl`, `skyrl`: estimators in their registries. `trinity`, `twinkle`: an advantage class.
- `slime`: a reward function. `tinker`: `install`, which binds two functions anew.

For adapters: `_settings.read_settings` (a config to settings), `_params.estimator_call` (settings
to a validated estimator), `_flat.FlatAdvantages` (flat rewards and group ids to advantages and
metrics), `_tokens` (the `(B, T)` tensors of verl and SkyRL), `_metrics` (what to log),
`_frameworks` (`require_tested`, which refuses other versions; lines to use and switches, for
`bontea check` and the docs).
"""
