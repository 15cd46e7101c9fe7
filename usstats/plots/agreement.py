"""The Bland-Altman plot: differences of two methods against their means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from usstats.plots.style import OKABE_ITO, REFERENCE_GREY, journal_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {
    "bias": ("Bias", "-"),
    "loa_lower": ("Lower limit", "--"),
    "loa_upper": ("Upper limit", "--"),
}


def plot_bland_altman(
    points: pd.DataFrame,
    limits: pd.DataFrame,
    *,
    ax: Axes | None = None,
    unit: str | None = None,
) -> Axes:
    """Draw the pairs, the bias and the limits of agreement with their confidence bands.

    Parameters
    ----------
    points : DataFrame
        Columns mean, difference.
    limits : DataFrame
        Rows bias, loa_lower, loa_upper with estimate, conf_low, conf_high.
    ax : Axes, optional
    unit : str, optional
        Unit of measurement for the axes.

    Returns
    -------
    Axes
    """
    with journal_style():
        ax = new_axes(ax)
        suffix = "" if unit is None else f" ({unit})"
        ax.plot(points["mean"], points["difference"], "o", ms=3, mfc="none", color=OKABE_ITO[0])
        ax.axhline(0, color=REFERENCE_GREY, lw=0.6)
        for row in limits[limits["measure"].isin(_NAMES)].to_dict("records"):
            name, style = _NAMES[row["measure"]]
            ax.axhspan(row["conf_low"], row["conf_high"], color=OKABE_ITO[1], alpha=0.15, lw=0)
            ax.axhline(row["estimate"], color=OKABE_ITO[1], ls=style, lw=1)
            ax.annotate(
                f"{name}\n{row['estimate']:.3g}".replace("-", "\N{MINUS SIGN}"),
                (1, row["estimate"]),
                xycoords=("axes fraction", "data"),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
            )
        ax.margins(y=0.15)
        ax.set_xlabel(f"Mean of both methods{suffix}")
        ax.set_ylabel(f"Difference{suffix}")
    return ax
