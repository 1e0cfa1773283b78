"""`bontea check` where only TRL is installed; the other frameworks check it in their own tests."""

import json
import re

import pytest

from bontea.cli import main
from bontea.integrations.frameworks import FRAMEWORKS


def test_trl(capsys):
    """A real training step of TRL."""
    pytest.importorskip("trl")
    assert main(["check", "--json", "trl", "estimator=tea", "n=64", "num_generations=16"]) == 0
    report = json.loads(capsys.readouterr().out)  # and nothing else
    assert report["works"]
    assert report["largest_relative_difference"] < 1e-6
    assert report["settings"].startswith("tea(n=64, alpha=0.25)")


def test_an_estimator_of_another_name(capsys):
    pytest.importorskip("trl")
    assert main(["check", "trl", "--estimator", "tee"]) == 2
    assert "did you mean 'tea'" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(FRAMEWORKS) - {"trl"}))
def test_a_framework_that_is_missing(name, capsys):
    import importlib.util

    framework = FRAMEWORKS[name]
    if importlib.util.find_spec(framework.module.partition(".")[0]):
        pytest.skip(f"{name} is installed here")
    assert main(["check", name]) == 2
    err = capsys.readouterr().err
    assert f"{name} is not installed in" in err
    assert framework.install in err
    assert framework.tested in err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["n=many"], "settings.n='many' is not a deployment budget"),
        (["tea"], "'tea' must be KEY=VALUE"),
        (["estimator=max_at_k", "k=16", "num_generations=16"], "k <= 15"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    from bontea.integrations.frameworks.probing import python_settings

    with pytest.raises(ValueError, match=re.escape(message)):
        python_settings(settings)


def test_ls_names_them_all(capsys):
    assert main(["ls", "integrations", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["integrations"]) == set(FRAMEWORKS)


def test_an_estimator_with_parameters(capsys):
    pytest.importorskip("trl")
    assert main(["check", "--json", "trl", "--estimator", "max_at_k(k=8)"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["estimator"] == "max_at_k(k=8)"
    assert report["works"]
