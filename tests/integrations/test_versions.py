"""Which versions of a framework are accepted, without any of them: metadata is all that is read."""

import dataclasses
import json
import re
import sys
import types
import warnings
from pathlib import Path

import pytest
from tests.integrations.batches import pretend

from bontea.cli import main
from bontea.integrations.frameworks import (
    FRAMEWORKS,
    OVERRIDE,
    UntestedVersionError,
    require_tested,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_override(monkeypatch):
    monkeypatch.delenv(OVERRIDE, raising=False)


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.9.1", "tested"),
        ("0.9.1+cu130", "tested"),
        ("0.9", "accepted"),
        ("0.9.0rc1", "accepted"),
        ("0.9.12.post2", "accepted"),
        ("0.10", "refused"),
        ("0.10.0", "refused"),
        ("0.10.0.dev0+g1234567", "refused"),
        ("1.0", "refused"),
        ("0.8.9", "refused"),
        ("0", "refused"),
        ("1!0.9.1", "accepted"),
        ("main", "unknown"),
    ],
)
def test_status(version, status, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(pretend(tmp_path, "verl", version))
    verl = FRAMEWORKS["verl"]
    assert verl.version() == version
    assert verl.status() == status
    if status == "refused":
        with pytest.raises(UntestedVersionError) as caught:
            require_tested("verl")
        for part in (version, verl.accepted, verl.install, f"{OVERRIDE}=1"):
            assert part in str(caught.value)
        assert isinstance(caught.value, ValueError)
        monkeypatch.setenv(OVERRIDE, "1")
        assert verl.status() == "overridden"
        with pytest.warns(UserWarning, match="used all the same"):
            require_tested("verl")
    else:  # no word with the override either
        monkeypatch.setenv(OVERRIDE, "1")
        assert verl.status() == status
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            require_tested("verl")


def test_zero_is_no_override(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(pretend(tmp_path, "verl", "0.10"))
    monkeypatch.setenv(OVERRIDE, "0")
    assert FRAMEWORKS["verl"].status() == "refused"


def test_a_framework_on_the_path(monkeypatch):
    """slime is in no registry: without a version it passes; one that it calls its own counts."""
    slime = dataclasses.replace(FRAMEWORKS["slime"], distribution="there-is-no-such-distribution")
    monkeypatch.setitem(FRAMEWORKS, "slime", slime)
    monkeypatch.setitem(sys.modules, "slime", types.ModuleType("slime"))
    assert slime.status() == "unknown"
    require_tested("slime")
    monkeypatch.setattr(sys.modules["slime"], "__version__", "0.3.2", raising=False)
    require_tested("slime")
    monkeypatch.setattr(sys.modules["slime"], "__version__", "0.4.0")
    with pytest.raises(UntestedVersionError, match=r"0\.4\.0 is installed"):
        require_tested("slime")


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_what_is_tested_is_accepted(name, tmp_path, monkeypatch):
    framework = FRAMEWORKS[name]
    numbers = framework.tested.partition(" ")[0]
    monkeypatch.syspath_prepend(pretend(tmp_path, name, numbers))
    assert framework.status() == ("tested" if numbers == framework.tested else "accepted")
    monkeypatch.syspath_prepend(pretend(tmp_path / "later", name, framework.versions[1]))
    assert framework.status() == "refused"


def test_the_range_of_trl_is_that_of_our_package():
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.findall(r'"(trl\b.*)"', pyproject) == [FRAMEWORKS["trl"].accepted]


def test_check_refuses_before_it_imports(tmp_path, monkeypatch, capsys):
    """Exit code 1 and the remedy; the import of such a version may fail, so it is not tried."""
    (tmp_path / "twinkle").mkdir()
    (tmp_path / "twinkle" / "__init__.py").write_text("raise ImportError('moved')")
    monkeypatch.syspath_prepend(pretend(tmp_path, "twinkle", "0.6.0"))
    for module in [m for m in sys.modules if m.partition(".")[0] == "twinkle"]:
        monkeypatch.delitem(sys.modules, module)
    assert main(["check", "twinkle"]) == 1
    out = capsys.readouterr().out
    assert "twinkle 0.6.0 (refused: tested with 0.5.1, accepts twinkle-kit>=0.5,<0.6)" in out
    assert "install such a version (pip install twinkle-kit==0.5.1)" in out
    assert main(["check", "--json", "twinkle"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["version_status"] == "refused"
    assert not report["works"]
    monkeypatch.setenv(OVERRIDE, "1")  # then it is tried
    assert main(["check", "twinkle"]) == 2
    assert "twinkle 0.6.0 is installed but cannot be imported: moved" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "status"), [(None, "tested"), ("1.17.2", "accepted"), ("2.0.0", "overridden")]
)
def test_check_names_the_version(version, status, tmp_path, monkeypatch, capsys):
    """With the real trainer of TRL, whatever its metadata calls it."""
    trl = pytest.importorskip("trl")
    if version is None and trl.__version__ != FRAMEWORKS["trl"].tested:
        pytest.skip("another TRL is installed")
    if version:
        monkeypatch.syspath_prepend(pretend(tmp_path, "trl", version))
    if status == "overridden":
        assert main(["check", "trl"]) == 1
        monkeypatch.setenv(OVERRIDE, "1")
        capsys.readouterr()
    assert main(["check", "trl"]) == 0
    first, *_, last = capsys.readouterr().out.strip().splitlines()
    assert first.startswith(f"trl {version or trl.__version__} (")
    assert {"tested": "as tested", "overridden": f"{OVERRIDE} is set"}.get(status, status) in first
    assert last == "works"
