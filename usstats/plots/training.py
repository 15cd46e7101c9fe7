"""How a network's training went: losses and tuning measures over the epochs of each fold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from usstats.plots.style import MM_PER_INCH, REFERENCE_GREY, journal_style, line_style, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSSES = {"train_loss": "Training", "tuning_loss": "Tuning"}
MEASURES = {"tuning_auc": "Tuning AUC", "tuning_dice": "Tuning Dice"}

_PANEL_MM, _MARGIN_MM, _HEIGHT_MM = 52.0, 14.0, 96.0


def plot_training(
    table: pd.DataFrame, ax: Axes | None = None, *, quantity: str = "loss", legend: bool = True
) -> Axes:
    """Draw one fold over its epochs; a dotted line marks the epoch whose weights were kept.

    Parameters
    ----------
    table : DataFrame
        epoch, chosen and the columns of the quantity: train_loss and tuning_loss, or tuning_auc
        and tuning_dice (left out where empty).
    ax : Axes, optional
        A fresh 84 mm figure without it.
    quantity : {"loss", "measure"}
    legend : bool

    Returns
    -------
    Axes

    Examples
    --------
    >>> table = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.7, 0.5],
    ...     "tuning_loss": [0.6, 0.65], "chosen": [True, False]})
    >>> plot_training(table).get_ylabel()
    'Loss'
    """
    names = LOSSES if quantity == "loss" else MEASURES
    chosen = table[table["chosen"]]
    with journal_style():
        ax = new_axes(ax)
        drawn = [name for name in names if name in table and table[name].notna().any()]
        for i, name in enumerate(drawn):
            style = line_style(i)
            ax.plot(table["epoch"], table[name], label=names[name], **style)
            ax.plot(chosen["epoch"], chosen[name], "o", color=style["color"], markersize=4)
        for epoch in chosen["epoch"]:
            ax.axvline(epoch, color=REFERENCE_GREY, linestyle=":", lw=0.8, label="Chosen epoch")
        ax.set(xlabel="Epoch", ylabel="Loss" if quantity == "loss" else "Tuning measure")
        ax.locator_params(axis="x", integer=True)
        if legend:
            ax.legend()
    return ax


def training_figure(table: pd.DataFrame) -> Figure:
    """Every fold side by side, the losses above and the tuning measures below.

    Parameters
    ----------
    table : DataFrame
        As `dl.curves.training_curve` gives it.

    Examples
    --------
    >>> table = pd.DataFrame({"fold": [0, 1], "epoch": 1, "train_loss": 0.7, "tuning_loss": 0.6,
    ...     "tuning_auc": 0.8, "tuning_dice": float("nan"), "chosen": True})
    >>> len(training_figure(table).axes)
    4
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    folds = list(table.groupby("fold"))
    width = (_MARGIN_MM + _PANEL_MM * len(folds)) / MM_PER_INCH
    with journal_style():
        figure = Figure(figsize=(width, _HEIGHT_MM / MM_PER_INCH), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(2, len(folds), sharex=True, sharey="row", squeeze=False)
        for i, (fold, rows) in enumerate(folds):
            for row, quantity in enumerate(("loss", "measure")):
                plot_training(rows, grid[row, i], quantity=quantity, legend=i == 0)
            grid[0, i].set(title=f"Fold {fold}", xlabel="")
        for ax in grid[:, 1:].flat:
            ax.set_ylabel("")
    return figure
