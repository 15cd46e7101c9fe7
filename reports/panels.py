"""The report's own figures, drawn from the tables of a run."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from reports.figures import FigurePreset, letter_panels, panel_letters
from reports.number_presets import NumberPreset
from reports.numbers import format_estimate, format_risk
from reports.tables.model import contrast_text
from reports.tables.words import confidence_words
from usstats.errors import SchemaError
from usstats.plots.cam import CamPanel, plot_cam_panels
from usstats.plots.flow import plot_flow
from usstats.plots.forest import plot_forest
from usstats.plots.multiclass import plot_confusion
from usstats.plots.style import MM_PER_INCH, journal_style, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "cam_panel",
    "confusion_counts",
    "confusion_panels",
    "flow_diagram",
    "forest_plot",
    "read_cam",
]

Preset = str | NumberPreset
DOUBLE_MM = 174.0
PANELS_A_ROW = 3


def flow_diagram(
    flow: pd.DataFrame, *, labels: Mapping[str, str] | None = None, width_mm: float = DOUBLE_MM
) -> Figure:
    """Flow of participants over both columns of a journal.

    Parameters
    ----------
    flow : DataFrame
        As `usstats.plots.flow.plot_flow`.
    labels : mapping of str to str, optional
        Printed names of cohorts and steps.
    width_mm : float
    """
    return plot_flow(flow, width_mm=width_mm, labels=labels)


def forest_plot(
    odds_ratios: pd.DataFrame,
    *,
    labels: Mapping[str, str] | None = None,
    preset: Preset = "esr",
    width_mm: float = DOUBLE_MM,
) -> Figure:
    """Odds ratios with the values they compare at the left and the numbers at the right.

    Parameters
    ----------
    odds_ratios : DataFrame
        Made by `odds_ratios(per="iqr")` of a fit.
    labels : mapping of str to str, optional
        Printed names of the variables.
    preset : str or NumberPreset
    width_mm : float
    """
    rows = odds_ratios.to_dict("records")
    names = labels or {}
    left = [f"{names.get(r['group'], r['group'])}: {contrast_text(r, preset)}" for r in rows]
    right = [
        format_estimate(r["estimate"], r["conf_low"], r["conf_high"], kind="ratio", preset=preset)
        for r in rows
    ]
    xlabel = f"Odds ratio ({confidence_words(odds_ratios)})"
    with journal_style():
        ax = new_axes(width_mm=width_mm, height_mm=14.0 + 6.0 * len(rows))
        plot_forest(odds_ratios, ax, labels=left, texts=right, xlabel=xlabel)
    return ax.figure


def confusion_counts(accuracy: pd.DataFrame, positive: str, negative: str) -> pd.DataFrame:
    """The four counts behind a table of diagnostic accuracy, rows predicted, columns true.

    Parameters
    ----------
    accuracy : DataFrame
        Frame of `diagnostic_accuracy`.
    positive, negative : str
        Names of the classes.

    Examples
    --------
    >>> frame = pd.DataFrame({"measure": ["sensitivity", "specificity"],
    ...                       "numerator": [8, 6], "denominator": [10, 9]})
    >>> confusion_counts(frame, "NOA", "OA")
         OA  NOA
    OA    6    2
    NOA   3    8
    """
    rows = accuracy.set_index("measure")[["numerator", "denominator"]].fillna(0).astype(int)
    (hit, events), (pass_, others) = (rows.loc[name] for name in ("sensitivity", "specificity"))
    names = [negative, positive]
    cells = [[pass_, events - hit], [others - pass_, hit]]
    return pd.DataFrame(cells, index=names, columns=names)


def confusion_panels(
    counts: Mapping[str, pd.DataFrame],
    preset: str | FigurePreset = "springer",
    *,
    width_mm: float = DOUBLE_MM,
) -> Figure:
    """Confusion matrices side by side, at most three a row, lettered where there are several.

    Parameters
    ----------
    counts : mapping of str to DataFrame
        Title of each panel, and its counts as `plot_confusion` takes them.
    preset : str or FigurePreset
        Decides on capital or small letters.
    width_mm : float
    """
    from matplotlib.figure import Figure as NewFigure

    columns = min(max(len(counts), 2), PANELS_A_ROW)
    rows = -(-len(counts) // columns)
    with journal_style():
        side = width_mm / columns / MM_PER_INCH
        fig = NewFigure(figsize=(columns * side, rows * side * 0.95), layout="constrained")
        axes = list(fig.subplots(rows, columns, squeeze=False).ravel())
        for ax, (title, table) in zip(axes, counts.items(), strict=False):
            plot_confusion(table, ax)
            ax.set_title(plain(title), fontsize=8)
        for ax in axes[len(counts) :]:
            ax.set_axis_off()
        if len(counts) > 1:
            letter_panels(axes[: len(counts)], preset)
    return fig


def cam_panel(
    cases: pd.DataFrame,
    folder: str | Path,
    preset: str | FigurePreset = "springer",
    *,
    columns: int = 4,
    width_mm: float = DOUBLE_MM,
) -> Figure:
    """Grad-CAM maps of chosen cases, lettered where there are several.

    Parameters
    ----------
    cases : DataFrame
        One row a case: file (a .npz below `folder` with `image`, `cam` and optionally `mask`),
        and for the caption kind and dl_prob where they exist.
    folder : str or Path
    preset : str or FigurePreset
        Decides on capital or small letters.
    columns : int
        Cases side by side.
    width_mm : float

    Raises
    ------
    SchemaError
        A file that is absent, outside the folder, or not such an archive.
    """
    panels = [read_cam(Path(folder), row) for row in cases.to_dict("records")]
    letters = panel_letters(len(panels), preset) if len(panels) > 1 else ()
    return plot_cam_panels(panels, columns=columns, width_mm=width_mm, letters=letters)


def read_cam(folder: Path, row: Mapping[Any, Any]) -> CamPanel:
    """One case of a panel from its arrays; nothing is unpickled."""
    name = str(row["file"])
    path = folder / name
    if Path(name).name != name or not path.is_file():
        msg = f"The map {name!r} is not a file of its folder; run the explain stage again."
        raise SchemaError(msg)
    try:
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            found = {key: arrays[key] for key in arrays.files}
    except (ValueError, OSError) as error:
        msg = f"The map {name!r} cannot be read ({type(error).__name__}); run explain again."
        raise SchemaError(msg) from None
    if not {"image", "cam"} <= found.keys():
        msg = f"The map {name!r} must hold `image` and `cam`; it holds {', '.join(found)}."
        raise SchemaError(msg)
    return CamPanel(
        image=found["image"], cam=found["cam"], mask=found.get("mask"), caption=_caption(row)
    )


def _caption(row: Mapping[Any, Any]) -> str:
    parts = [str(row["kind"]).capitalize()] if "kind" in row else []
    if "dl_prob" in row:
        parts.append(f"predicted risk {format_risk(float(row['dl_prob']))}")
    return ": ".join(parts)
