"""What was read of a file of rollouts, by prompt, against what is wanted."""

import numpy as np

from bontea.rollouts import read_rollouts


def groups(rollouts, values=None):
    """By prompt, the rewards or other values in their order."""
    values = rollouts.rewards if values is None else values
    split = np.split(values, rollouts.offsets[1:-1])
    return {name: group.tolist() for name, group in zip(rollouts.prompts, split, strict=True)}


def check(path, wanted, **options):
    """Read, and compare with `wanted`, the rewards by prompt."""
    got = read_rollouts(path, **options)
    found = groups(got)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], np.array(values, dtype=float))
    return got
