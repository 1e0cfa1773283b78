"""Tables and figures of results. Plots take results and an axis, and return `(fig, ax)`."""

from bontea.report.plot import plot_curves
from bontea.report.scores import plot_two_scores
from bontea.report.table import comparison_table

__all__ = ["comparison_table", "plot_curves", "plot_two_scores"]
