"""Power of a reader study against the number of readers, one line for each number of cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from usstats.plots.style import REFERENCE_GREY, journal_style, new_axes, series_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_power"]


def plot_power(grid: pd.DataFrame, ax: Axes | None = None, *, power: float = 0.8) -> Axes:
    """Draw a grid of readers and cases.

    Parameters
    ----------
    grid : DataFrame
        n_reader, n_case, power, as `ReaderGrid.frame()`.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    power : float
        Where the reference line lies.

    Returns
    -------
    Axes

    Examples
    --------
    >>> grid = pd.DataFrame({"n_reader": [4, 8], "n_case": 100, "power": [0.5, 0.7]})
    >>> plot_power(grid).get_xlabel()
    'Readers'
    """
    with journal_style():
        ax = new_axes(ax)
        ax.axhline(power, color=REFERENCE_GREY, linewidth=0.6)
        for i, (cases, rows) in enumerate(grid.groupby("n_case")):
            style = series_style(i)
            ax.plot(rows["n_reader"], rows["power"], label=f"{cases} cases", markersize=3, **style)
        ax.set_xlabel("Readers")
        ax.set_ylabel("Power")
        ax.set_ylim(0, 1.02)
        ax.legend(loc="lower right")
    return ax
