"""Grad-CAM panels: image, heat map and mask side by side, in colours that print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats.errors import ArgumentError
from usstats.plots.style import MM_PER_INCH, journal_style, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["CamPanel", "plot_cam_panels"]

Float = np.float64
CMAP = "viridis"
_ROW_MM, _BAR_MM = 40.0, 9.0


@dataclass(frozen=True, kw_only=True, eq=False)
class CamPanel:
    """One case of a panel.

    Attributes
    ----------
    image : array_like, shape (h, w) or (h, w, 3)
        As the network saw it, any numeric range.
    cam : array_like, shape (h', w')
        Heat map in [0, 1]; stretched over the image.
    mask : array_like of bool, shape (h, w), optional
        Drawn as a contour.
    caption : str
        For example the outcome and the predicted risk; never a name.
    """

    image: ArrayLike
    cam: ArrayLike
    mask: ArrayLike | None = None
    caption: str = ""


def plot_cam_panels(
    panels: Sequence[CamPanel], *, columns: int = 4, width_mm: float = 174.0, alpha: float = 0.45
) -> Figure:
    """Draw cases as pairs: the image with its mask above, the heat map over it below.

    Parameters
    ----------
    panels : sequence of CamPanel
    columns : int
        Cases side by side.
    width_mm : float
    alpha : float
        Opacity of the heat map where it is 1; it fades with the map, so that the anatomy under
        low values stays visible.

    Returns
    -------
    Figure
        A figure pyplot does not know of, with one colour bar for all maps.

    Raises
    ------
    ArgumentError
        No panels, an image, map or mask of a shape that cannot be drawn, a map outside [0, 1].

    Examples
    --------
    >>> panel = CamPanel(image=np.zeros((8, 8)), cam=np.ones((2, 2)), caption="benign")
    >>> len(plot_cam_panels([panel]).axes)
    3
    """
    if not panels or columns < 1:
        msg = f"`panels` must hold at least one case and `columns` be positive; got {len(panels)}."
        raise ArgumentError(msg)
    checked = [_Arrays.of(panel, number) for number, panel in enumerate(panels)]
    with journal_style(font_size=7.0):
        figure, axes = _grid(len(checked), columns, width_mm)
        for position, case in enumerate(checked):
            row, column = divmod(position, columns)
            _draw_image(axes[2 * row][column], case)
            _draw_map(axes[2 * row + 1][column], case, alpha)
        for ax in (ax for line in axes for ax in line if not ax.images):
            ax.remove()
        _colour_bar(figure)
    return figure


@dataclass(frozen=True, eq=False)
class _Arrays:
    """A panel as arrays of one size."""

    image: NDArray[Float]
    cam: NDArray[Float]
    mask: NDArray[np.bool_] | None
    caption: str

    @classmethod
    def of(cls, panel: CamPanel, number: int) -> _Arrays:
        image, cam = np.asarray(panel.image, dtype=float), np.asarray(panel.cam, dtype=float)
        if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or not image.size:
            msg = f"The image of panel {number} must be (h, w) or (h, w, 3); it is {image.shape}."
            raise ArgumentError(msg)
        if cam.ndim != 2 or not cam.size or not ((cam >= 0) & (cam <= 1)).all():
            msg = f"The map of panel {number} must be two-dimensional with values in [0, 1]."
            raise ArgumentError(msg)
        mask = None if panel.mask is None else np.asarray(panel.mask, dtype=bool)
        if mask is not None and mask.shape != image.shape[:2]:
            msg = f"The mask of panel {number} has shape {mask.shape}; its image {image.shape[:2]}."
            raise ArgumentError(msg)
        return cls(_stretched(image), cam, mask, panel.caption)


def _stretched(image: NDArray[Float]) -> NDArray[Float]:
    """Grey values between 0 and 1."""
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def _grid(n: int, columns: int, width_mm: float) -> tuple[Figure, list[list[Axes]]]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure

    rows = -(-n // columns)
    height = rows * 2 * _ROW_MM * min(4 / columns, 2.0) * width_mm / 174.0
    size = (width_mm / MM_PER_INCH, (height + _BAR_MM) / MM_PER_INCH)
    figure = NewFigure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2 * rows, columns, squeeze=False)
    return figure, [list(line) for line in axes]


def _draw_image(ax: Axes, case: _Arrays) -> None:
    _show(ax, case.image)
    _draw_mask(ax, case)
    ax.set_title(plain(case.caption, width=26), fontsize=7, loc="left", pad=3)


def _draw_map(ax: Axes, case: _Arrays, alpha: float) -> None:
    _show(ax, case.image)
    height, width = case.image.shape[:2]
    opacity = alpha * np.clip(case.cam * 2, 0, 1)
    ax.imshow(
        case.cam,
        cmap=CMAP,
        vmin=0,
        vmax=1,
        alpha=opacity,
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
    )
    _draw_mask(ax, case)


def _show(ax: Axes, image: NDArray[Float]) -> None:
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _draw_mask(ax: Axes, case: _Arrays) -> None:
    """A white contour with a dark edge, visible on light and dark tissue."""
    if case.mask is None or case.mask.all() or not case.mask.any():
        return
    for colour, width in (("black", 1.6), ("white", 0.8)):
        ax.contour(case.mask.astype(float), levels=[0.5], colors=colour, linewidths=width)


def _colour_bar(figure: Figure) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    mapped = ScalarMappable(norm=Normalize(0, 1), cmap=CMAP)
    bar = figure.colorbar(
        mapped, ax=figure.axes, location="bottom", shrink=0.35, aspect=28, ticks=[0, 0.5, 1]
    )
    bar.set_label("Evidence for the event, relative to the map's peak", fontsize=7)
    bar.ax.tick_params(labelsize=7)
