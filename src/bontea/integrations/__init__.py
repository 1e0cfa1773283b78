"""Thin adapters: each hands one framework's rewards to an estimator and the advantages back.

A module is named after its framework and imports it, so this package itself loads nothing. Nothing
here computes an advantage; that is `bontea.advantages`.

What adapters share: `_settings` reads what the user chose, `_step` turns the rewards of a batch
into advantages and metrics, `_memory` keeps the rewards of the latest groups for it, `_metrics` has
the numbers to log, `_tokens` the `(B, T)` tensors of frameworks that train on tokens. `frameworks`
has what is known of each framework, for `bontea check` and the docs.

To add one: docs/adding-an-adapter.md.
"""
