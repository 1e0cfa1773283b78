"""The training job behind `bontea train`: arms trained from one start at equal rollouts, compared.

- `settings`: every setting, its meaning and its check, from a YAML file and flags.
- `arms`: estimators as written on the command line, `tea` or `max_at_k(k=8)`.
- `job`: check, sample the start, train and sample each arm, compare. Resumable at every step.
- `arm`: train one arm with the TRL trainer.
"""
