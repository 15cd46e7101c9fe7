"""Overlap of masks, image by image, and of evidence maps with masks, beside chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_option
from usstats.plots.style import (
    MARKERS,
    OKABE_ITO,
    REFERENCE_GREY,
    journal_style,
    new_axes,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NAMES = {"dice": "Dice's coefficient", "iou": "Intersection over union", "hd95": "HD95"}
_MAP_NAMES = {
    "energy_in_mask": "Energy in mask",
    "pointing_hit": "Pointing game",
    "iou": "IoU at fixed area",
}
#: Half the width over which points of one class are spread.
SPREAD = 0.28
GOLDEN = 0.6180339887498949


def plot_overlap(
    images: pd.DataFrame,
    means: pd.DataFrame,
    measure: str = "dice",
    *,
    ax: Axes | None = None,
    unit: str | None = None,
) -> Axes:
    """Draw the measure of every image, and its mean with the interval, by class.

    Parameters
    ----------
    images, means : DataFrame
        `OverlapReport.images()` and `OverlapReport.frame()`.
    measure : {"dice", "iou", "hd95"}
    ax : Axes, optional
        A fresh 84 mm figure without it.
    unit : str, optional
        Of distances, for example "mm".

    Returns
    -------
    Axes
        Images without a value are not drawn; how many is written under the class.
    """
    check_option(measure, tuple(name for name in _NAMES if name in images), name="measure")
    with journal_style():
        ax = new_axes(ax)
        rows = means[means["measure"] == measure].set_index("group")
        groups = [g for g in rows.index if g in set(images.get("class", ["all"])) or g == "all"]
        for i, group in enumerate(groups):
            values = _values(images, group, measure)
            _draw_group(ax, i, values[np.isfinite(values)], rows.loc[group])
        labels = [_label(group, _values(images, group, measure)) for group in groups]
        ax.set_xticks(range(len(groups)), labels)
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.set_ylabel(_NAMES[measure] + (f" ({plain(unit)})" if unit and measure == "hd95" else ""))
        top = ax.get_ylim()[1] if measure == "hd95" else 1.02
        ax.set_ylim(-0.02 * top, top)
        ax.tick_params("x", length=0)
    return ax


def _values(images: pd.DataFrame, group: str, measure: str) -> NDArray[np.float64]:
    own = images if "class" not in images else images[images["class"] == group]
    return own[measure].to_numpy(dtype=float)


def _label(group: str, values: NDArray[np.float64]) -> str:
    name = "" if group == "all" else f"{plain(group, width=16)}\n"
    left_out = int(np.isnan(values).sum())
    note = f"\n{left_out} undefined" if left_out else ""
    return f"{name}{len(values)} images{note}"


def _draw_group(ax: Axes, i: int, values: NDArray[np.float64], row: pd.Series) -> None:
    colour = OKABE_ITO[i % len(OKABE_ITO)]
    aside = (np.arange(len(values)) * GOLDEN % 1 - 0.5) * 2 * SPREAD
    marker = MARKERS[i % len(MARKERS)]
    ax.plot(i + aside, values, marker, ms=2.6, mfc="none", mec=colour, mew=0.6, zorder=2)
    ax.errorbar(
        i,
        row["estimate"],
        yerr=_limits(row),
        fmt="D",
        ms=4.5,
        color="black",
        mec="white",
        capsize=3,
        lw=1.4,
        zorder=4,
    )


def plot_cam_report(means: pd.DataFrame, *, average: str = "image", ax: Axes | None = None) -> Axes:
    """Draw how evidence maps lie on masks, measure by measure, beside what chance scores.

    Parameters
    ----------
    means : DataFrame
        `CamReport.frame()`.
    average : {"image", "patient"}
        What the means are over.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    """
    with journal_style():
        ax = new_axes(ax, height_mm=42.0)
        measures = list(dict.fromkeys(means["measure"]))
        rows = means.set_index(["measure", "group"])
        for y, measure in enumerate(measures):
            own, chance = rows.loc[(measure, "map")], rows.loc[(measure, "chance")]
            _draw_mean(ax, y, own)
            ax.plot(chance["estimate"], y, "D", ms=4.5, mfc="white", mec=REFERENCE_GREY, mew=1.0)
        confidence = f"{means['conf_level'].iloc[0] * 100:g} % CI"
        ax.plot([], [], "o", color=OKABE_ITO[0], label=f"Map ({confidence})")
        ax.plot([], [], "D", mfc="white", mec=REFERENCE_GREY, label="Chance")
        ax.set_yticks(range(len(measures)), [_MAP_NAMES[measure] for measure in measures])
        ax.set_ylim(len(measures) - 0.4, -0.6)
        ax.set_xlim(-0.02, 1.02)
        ax.set_xlabel(f"Mean over {average}s")
        ax.tick_params("y", length=0)
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return ax


def _draw_mean(ax: Axes, y: int, row: pd.Series) -> None:
    ax.errorbar(
        row["estimate"],
        y,
        xerr=_limits(row),
        fmt="o",
        ms=5.0,
        color=OKABE_ITO[0],
        capsize=3,
        lw=1.4,
    )


def _limits(row: pd.Series) -> NDArray[np.float64] | None:
    """Distances from the estimate down and up, or None where the interval is unknown."""
    limits = np.array([[row["estimate"] - row["conf_low"]], [row["conf_high"] - row["estimate"]]])
    return limits if np.isfinite(limits).all() else None
