"""What is known of each framework, for the adapters, `bontea check`, `bontea ls` and the docs.

A module per framework: the versions its adapter is for, how to switch it on, which of its other
settings change or undo the advantages, and a probe that sends a batch through it. They load nothing
of the framework until that is called.
"""

import dataclasses
import warnings

from bontea.integrations.frameworks import (
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
from bontea.integrations.frameworks.framework import (
    OVERRIDE,
    Framework,
    Probed,
    UntestedVersionError,
)

FRAMEWORKS: dict[str, Framework] = {
    "trl": trl.FRAMEWORK,
    "verl": verl.FRAMEWORK,
    "trinity": trinity.FRAMEWORK,
    "skyrl": skyrl.FRAMEWORK,
    "slime": slime.FRAMEWORK,
    "twinkle": twinkle.FRAMEWORK,
    "tinker": tinker.FRAMEWORK,
    "swift": swift.FRAMEWORK,
    "areal": areal.FRAMEWORK,
    "openrlhf": openrlhf.FRAMEWORK,
    "prime_rl": prime_rl.FRAMEWORK,
    "nemo_rl": nemo_rl.FRAMEWORK,
}


def require_tested(name: str, versions: tuple[str, str] | None = None) -> None:
    """UntestedVersionError for an installed version outside the range that the adapter is for.

    Adapters call it before they import anything of the framework, which is at the start of a run.
    With BONTEA_UNTESTED_VERSION=1 in the environment it warns instead. `versions` is another range,
    for a part of a framework that changes faster than the rest.
    """
    framework = FRAMEWORKS[name]
    if versions is not None:
        framework = dataclasses.replace(framework, versions=versions)
    status = framework.status()
    if status == "refused":
        raise UntestedVersionError(framework.refusal())
    if status == "overridden":
        warnings.warn(
            f"{framework.outside()}; {OVERRIDE} is set, so it is used all the same", stacklevel=2
        )


__all__ = [
    "FRAMEWORKS",
    "OVERRIDE",
    "Framework",
    "Probed",
    "UntestedVersionError",
    "require_tested",
]
