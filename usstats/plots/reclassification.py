"""Reclassification plot: each patient's new risk over the old one, events and non-events apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from usstats.plots.style import OKABE_ITO, REFERENCE_GREY, journal_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from usstats._reclassification.result import Reclassification

_LOOKS = {
    0: {"label": "Non-events", "color": OKABE_ITO[0], "marker": "o"},
    1: {"label": "Events", "color": OKABE_ITO[1], "marker": "^"},
}
#: Above this many patients the marks become faint.
MANY = 400


def plot_reclassification(
    result: Reclassification, ax: Axes | None = None, *, legend: bool = True
) -> Axes:
    """Draw the new risk over the old one.

    Parameters
    ----------
    result : Reclassification
    ax : Axes, optional
        A fresh 84 mm figure without it.
    legend : bool

    Returns
    -------
    Axes
        Above the diagonal a patient moved up. Dotted lines are the cut-offs; the legend gives
        the share of each outcome that moved up and down.

    Examples
    --------
    >>> from usstats.reclassification import reclassify
    >>> p = np.linspace(0.05, 0.95, 20)
    >>> ax = plot_reclassification(reclassify(np.tile([0, 1], 10), p, np.sqrt(p), cutoffs=[0.5]))
    >>> ax.get_ylabel()
    'Risk, new model'
    """
    old, new = result.risks
    moves = result.movements().set_index(["group", "movement"])["share"]
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, lw=0.6, zorder=1)
        for cut in result.cutoffs:
            ax.axvline(cut, color=REFERENCE_GREY, lw=0.6, ls=":", zorder=1)
            ax.axhline(cut, color=REFERENCE_GREY, lw=0.6, ls=":", zorder=1)
        for level, look in _LOOKS.items():
            rows = result.outcome == level
            group = ("non_event", "event")[level]
            shares = f"{moves[group, 'up']:.0%} up, {moves[group, 'down']:.0%} down"
            _marks(ax, old[rows], new[rows], look | {"label": f"{look['label']}: {shares}"})
        ax.set(
            xlim=(-0.02, 1.02),
            ylim=(-0.02, 1.02),
            aspect="equal",
            xlabel="Risk, old model",
            ylabel="Risk, new model",
        )
        if legend:
            ax.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return ax


def _marks(ax: Axes, x: np.ndarray, y: np.ndarray, look: dict[str, Any]) -> None:
    filled = look["marker"] == "^"
    ax.plot(
        x,
        y,
        linestyle="none",
        markersize=3,
        markeredgewidth=0.6,
        markerfacecolor=look["color"] if filled else "none",
        alpha=0.9 if x.size <= MANY else 0.35,
        zorder=2,
        **look,
    )
