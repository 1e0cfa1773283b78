"""The training job behind `bontea train`: arms trained from one start at equal rollouts, compared.

Each file may import those above it:

- `settings`: every setting, its meaning and its check, from a YAML file and flags.
- `processes`: which process of torchrun this is.
- `distance`: how far a trained model is from its start.
- `inputs`: model, reward and prompts, loaded and checked.
- `results`: what an arm gave and cost, and the comparison of all.
- `arm`: train one arm with the TRL trainer.
- `job`: check, sample the start, train and sample each arm, compare. Resumable at every step.
"""
