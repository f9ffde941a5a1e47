"""One look for all figures: few inks that colour-blind readers tell apart, no frame, light grid."""

from collections.abc import Sequence

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), darkest contrasts first.
INKS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
STAYED, LEFT = INKS[0], INKS[1]
QUIET = "#8a8a8a"  # what is there for comparison
MARKS = ("o", "s", "^", "D", "v", "P")


def set_style() -> None:
    """Set the look for all figures and tables that follow."""
    pd.set_option("display.max_colwidth", None)
    mpl.rcParams.update(
        {
            "axes.axisbelow": True,
            "axes.edgecolor": "#666666",
            "axes.grid": True,
            "axes.labelcolor": "#333333",
            "axes.prop_cycle": f"cycler('color', {list(INKS)})",
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 100,
            "font.size": 10,
            "grid.color": "#e4e4e4",
            "legend.frameon": False,
            "lines.linewidth": 1.8,
            "xtick.color": "#555555",
            "ytick.color": "#555555",
        }
    )


def panels(columns: int, *, rows: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure as wide as the text, with so many panels; `height` of each in inches."""
    figure, axes = plt.subplots(rows, columns, figsize=(9.2, height * rows), squeeze=False)
    return figure, list(axes.flat)


def legend_below(figure: Figure, axes: Sequence[Axes], *, columns: int) -> None:
    """One legend for the whole figure, below it, of what these panels hold."""
    found = [axis.get_legend_handles_labels() for axis in axes]
    handles = [handle for handles, _ in found for handle in handles]
    labels = [label for _, labels in found for label in labels]
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
