"""Performance on the cases kept, over the share left to people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pandas as pd

from usstats.plots.style import journal_style, line_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABELS = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auc": "AUC",
}


class Table(Protocol):
    """What is drawn: an `AbstentionCurve`, or anything with its frame."""

    def frame(self) -> pd.DataFrame: ...


def plot_abstention(curve: Table, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw each measure over the share of cases left out; the band is that of the first measure.

    Parameters
    ----------
    curve : AbstentionCurve
    ax : Axes, optional
        A fresh 84 mm figure without it.
    legend : bool

    Returns
    -------
    Axes

    Examples
    --------
    >>> class Curve:
    ...     def frame(self):
    ...         return pd.DataFrame({"measure": "accuracy", "retained": [1.0, 0.8],
    ...             "estimate": [0.8, 0.9], "conf_low": [0.7, 0.8], "conf_high": [0.9, 0.95]})
    >>> plot_abstention(Curve()).get_xlabel()
    'Cases left to people (%)'
    """
    frame = curve.frame()
    with journal_style():
        ax = new_axes(ax)
        for i, (measure, rows) in enumerate(frame.groupby("measure", sort=False)):
            left_out = 100 * (1 - rows["retained"])
            style = line_style(i)
            if i == 0:
                limits = rows["conf_low"], rows["conf_high"]
                ax.fill_between(left_out, *limits, color=style["color"], alpha=0.15, lw=0)
            ax.plot(left_out, rows["estimate"], label=LABELS[str(measure)], **style)
        ax.set_xlabel("Cases left to people (%)")
        ax.set_ylabel("On the cases kept")
        ax.set_ylim(top=1.005)
        ax.margins(x=0.01)
        if legend:
            ax.legend(loc="lower right")
    return ax
