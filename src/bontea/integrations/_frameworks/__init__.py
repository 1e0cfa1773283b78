"""What is known of each framework, for the adapters, `bontea check`, `bontea ls` and the docs.

A module per framework: the versions its adapter is for, how to switch it on, and which of its other
settings change or undo the advantages.
"""

import warnings

from bontea.integrations._frameworks import (
    areal,
    nemo_rl,
    prime_rl,
    skyrl,
    slime,
    tinker,
    trinity,
    trl,
    twinkle,
    verl,
)
from bontea.integrations._frameworks._framework import OVERRIDE, Framework, UntestedVersionError

FRAMEWORKS: dict[str, Framework] = {
    "trl": trl.FRAMEWORK,
    "verl": verl.FRAMEWORK,
    "trinity": trinity.FRAMEWORK,
    "skyrl": skyrl.FRAMEWORK,
    "slime": slime.FRAMEWORK,
    "twinkle": twinkle.FRAMEWORK,
    "tinker": tinker.FRAMEWORK,
    "areal": areal.FRAMEWORK,
    "prime_rl": prime_rl.FRAMEWORK,
    "nemo_rl": nemo_rl.FRAMEWORK,
}


def require_tested(name: str) -> None:
    """UntestedVersionError for an installed version outside the range that the adapter is for.

    Adapters call it before they import anything of the framework, which is at the start of a run.
    With BONTEA_UNTESTED_VERSION=1 in the environment it warns instead.
    """
    framework = FRAMEWORKS[name]
    status = framework.status()
    if status == "refused":
        raise UntestedVersionError(framework.refusal())
    if status == "overridden":
        warnings.warn(
            f"{framework.outside()}; {OVERRIDE} is set, so it is used all the same", stacklevel=2
        )


__all__ = ["FRAMEWORKS", "OVERRIDE", "Framework", "UntestedVersionError", "require_tested"]
