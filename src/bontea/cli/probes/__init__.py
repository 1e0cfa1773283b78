"""For `bontea check`: a batch through a framework's own dispatch, and settings as it reads them.

A module per framework. `probe(rewards, ids, estimator, n)` gives the advantages of the rows, not
scaled, what they went through, how the adapter was found, and whether the framework would find it
without us. `settings(arguments)` reads what a launch script passes, and raises ValueError for what
cannot work.
"""

from types import ModuleType

from bontea.cli.probes import (
    areal,
    nemo_rl,
    openrlhf,
    prime_rl,
    skyrl,
    slime,
    swift,
    tinker,
    trinity,
    trl,
    twinkle,
    verl,
)

PROBES: dict[str, ModuleType] = {
    "trl": trl,
    "verl": verl,
    "trinity": trinity,
    "skyrl": skyrl,
    "slime": slime,
    "twinkle": twinkle,
    "tinker": tinker,
    "swift": swift,
    "areal": areal,
    "openrlhf": openrlhf,
    "prime_rl": prime_rl,
    "nemo_rl": nemo_rl,
}
