"""Estimators measured against the truth, against each other, and against the clock.

- `lineup`: the estimators that the tables compare, with their parameters.
- `gradients`: effective N, cosine, signal-to-noise on known reward laws; how fast bias falls.
- `frontier`: training where the best policy is known.
- `speed`: time and memory against a sort of the same array.
- `run`: does the tasks of a table one by one, and keeps what is done when it is stopped.

`bontea bench` prints all of it.
"""
