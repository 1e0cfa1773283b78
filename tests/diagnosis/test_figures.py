"""Figures of a diagnosis show its numbers."""

import numpy as np
import pytest

from bontea.planning import diagnose

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

from bontea.report.diagnosis import plot_diagnosis, plot_qq, plot_shapes


@pytest.fixture(scope="module")
def light():
    return diagnose(np.random.default_rng(0).uniform(size=(40, 12)), m=6, groups=640)


def test_qq(light):
    fig, ax = plot_qq(light["qq"])
    points = {line.get_label(): line.get_xydata() for line in ax.get_lines()}
    drawn = np.concatenate([points["inside"], points["outside"]])
    assert len(points["outside"]) / len(drawn) == pytest.approx(light["qq"].outside)
    both = np.column_stack([light["qq"].expected, light["qq"].seen])
    np.testing.assert_allclose(drawn[np.argsort(drawn[:, 0])], both[np.argsort(both[:, 0])])
    assert fig.axes == [ax]


def test_shapes(light):
    ax = Figure().add_subplot()
    fig, same = plot_shapes(light["pareto"], ax)
    assert same is ax
    assert fig is ax.figure
    line = next(line for line in ax.get_lines() if line.get_label() == "these rewards")
    np.testing.assert_array_equal(
        line.get_ydata(), light["pareto"].shapes[np.isfinite(light["pareto"].shapes)]
    )
    assert ax.get_xticklabels()[0].get_text().startswith("best 25 %")


def test_both(light, tmp_path):
    fig, axes = plot_diagnosis(light)
    assert len(axes) == 2
    fig.savefig(tmp_path / "qq.png")
    assert (tmp_path / "qq.png").stat().st_size > 1000
    few = diagnose(
        np.random.default_rng(1).normal(size=(3, 6)), groups=640
    )  # too few excesses to fit
    assert len(plot_diagnosis(few)[1]) == 1
    with pytest.raises(ValueError, match="no QQ to draw"):
        plot_diagnosis(diagnose(np.eye(8)))
