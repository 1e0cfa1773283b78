"""A batch as frameworks deliver it, and what the core says about it; for the tests of adapters."""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import bontea
import bontea.integrations
from bontea.advantages import EstimatorSpec
from bontea.integrations.frameworks import FRAMEWORKS, OVERRIDE, UntestedVersionError

EXAMPLES = Path(__file__).parents[2] / "examples"


def batch(prompts=6, m=16, missing=5, seed=0):
    """Shuffled ids and rewards; the first prompt lacks some of its rollouts.

    The rewards are multiples of 1/64, exact in any float type.
    """
    rng = np.random.default_rng(seed)
    ids = np.repeat([f"prompt-{i}" for i in range(prompts)], m)[missing:]
    rewards = rng.normal(size=len(ids)).round(2)
    rewards = np.round(rewards * 64) / 64
    order = rng.permutation(len(ids))
    return ids[order], rewards[order]


def core(rewards, ids, name, *, scale="none", **params):
    """From the core functions, in float64; of the first batch of a run, without a history."""
    if EstimatorSpec.of(name).takes("history"):
        params = {"history": np.zeros((0, 1)), **params}
    raw = bontea.advantages_for(np.asarray(rewards, dtype=float), ids, name, **params)
    return bontea.scale_advantages(raw, ids, by=scale)


def in_order(ids, values):
    """Values of rows, group after group, in the order in which the groups first appear."""
    return np.concatenate([values[ids == name] for name in dict.fromkeys(ids)])


CASES = [
    ("adaptive_tea", {"n": 128}),
    ("linear_tea", {"n": 128, "alpha": 0.5}),
    ("tea", {"n": 1024}),
    ("max_at_k", {"k": 4}),
    ("rloo", {}),
]


def run_script(script, folder, *arguments):
    """Run a launch script of the examples, with the launch itself replaced by writing down its
    arguments; `bontea` is the real one. Returns those arguments."""
    for name, line in {
        "python": f'printf "%s\\n" "$@" > {folder}/launched',
        "swift": f'printf "%s\\n" "$@" > {folder}/launched',
        "bontea": f'exec {sys.executable} -m bontea "$@"',
    }.items():
        (folder / name).write_text(f"#!/usr/bin/env bash\n{line}\n")
        (folder / name).chmod(0o755)
    env = dict(os.environ, PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    command = ["bash", str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "agrees with bontea.advantages_for" in done.stdout
    return (folder / "launched").read_text().splitlines()


def pretend(folder, name, version):
    """Make `folder`, put first on a path, say that this version of a framework is installed."""
    distribution = FRAMEWORKS[name].distribution
    info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    text = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
    (info / "METADATA").write_text(text)
    return folder


def check_other_versions(name, monkeypatch, folder, module=None):
    """An adapter refuses the first version outside its range where it is imported, and warns with
    the override. The framework is the real one, which only its metadata calls by another number."""
    module = module or f"bontea.integrations.{name}"
    kept = importlib.import_module(module)
    version = FRAMEWORKS[name].versions[1]
    monkeypatch.syspath_prepend(pretend(folder, name, version))
    monkeypatch.delenv(OVERRIDE, raising=False)
    monkeypatch.setattr(
        bontea.integrations, module.rpartition(".")[2], kept
    )  # put back, as is the entry below
    monkeypatch.delitem(sys.modules, module)
    outside = re.escape(f"{FRAMEWORKS[name].distribution} {version} is installed")
    with pytest.raises(UntestedVersionError, match=f"{outside}.*install such.*{OVERRIDE}=1"):
        importlib.import_module(module)
    monkeypatch.setenv(OVERRIDE, "1")
    with pytest.warns(UserWarning, match=f"{outside}.*used all the same"):
        importlib.import_module(module)
