"""Grad-CAM panels: image, heat map and mask side by side, in colours that print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats.errors import ArgumentError
from usstats.plots.style import (
    MM_PER_INCH,
    REFERENCE_GREY,
    journal_style,
    new_axes,
    plain,
    series_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Grid = list[list[Axes]]

__all__ = ["CamPanel", "plot_cam_panels", "plot_randomisation"]

Float = np.float64
CMAP = "viridis"
LABEL = "Evidence for the event, relative to the map's peak"
#: Level of the gray on which the colour bar is drawn.
_TISSUE = 0.4
_CAPTION_MM, _BAR_MM, _LARGEST_CELL_MM = 6.0, 11.0, 80.0
#: Width of a character of a caption.
_LETTER_MM = 1.5


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
        For example the truth in one line and the predicted probability in the next; never a
        name.
    second_image, second_cam, second_mask : array_like, optional
        The same of the second image of a pair, such as Doppler; the map in the unit of the first.
    """

    image: ArrayLike
    cam: ArrayLike
    mask: ArrayLike | None = None
    caption: str = ""
    second_image: ArrayLike | None = None
    second_cam: ArrayLike | None = None
    second_mask: ArrayLike | None = None


def plot_cam_panels(
    panels: Sequence[CamPanel],
    *,
    columns: int = 4,
    width_mm: float = 174.0,
    alpha: float = 0.6,
    label: str = LABEL,
    letters: Sequence[str] = (),
) -> Figure:
    """Draw cases as pairs: the image with its mask above, the heat map over it below.

    Parameters
    ----------
    panels : sequence of CamPanel
        Below the pair of a case, that of its second image.
    columns : int
        Cases side by side.
    width_mm : float
    alpha : float
        Opacity of the heat map from its middle up; below it fades, so that the anatomy under low
        values stays visible. The colour bar fades alike.
    label : str
        Of the colour bar.
    letters : sequence of str
        One a case, written into the corner of its image; none by default.

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
    if not 0 < alpha <= 1:
        msg = f"`alpha` must be an opacity in (0, 1]; got {alpha!r}."
        raise ArgumentError(msg)
    if letters and len(letters) != len(panels):
        msg = f"`letters` must name all {len(panels)} cases; got {len(letters)}."
        raise ArgumentError(msg)
    cases = [_pictures_of(panel, number) for number, panel in enumerate(panels)]
    height = 2 * max(map(len, cases))
    columns = min(columns, len(cases))
    with journal_style(font_size=7.0):
        figure, axes = _grid(len(cases), height, columns, width_mm)
        line = int(_cell_mm(columns, width_mm) / _LETTER_MM)
        for position, (panel, pictures) in enumerate(zip(panels, cases, strict=True)):
            row, column = divmod(position, columns)
            own = [axes[row * height + i][column] for i in range(height)]
            own[0].set_title(_wrapped(panel.caption, line), fontsize=7, loc="left", pad=3)
            if letters:
                _letter(own[0], letters[position])
            for i, picture in enumerate(pictures):
                _draw_image(own[2 * i], picture)
                _draw_map(own[2 * i + 1], picture, alpha)
        for ax in (ax for line in axes for ax in line if not ax.images):
            ax.remove()
        _colour_bar(figure, alpha, label)
    return figure


@dataclass(frozen=True, eq=False)
class _Picture:
    """An image, its map and its mask as arrays that fit."""

    image: NDArray[Float]
    cam: NDArray[Float]
    mask: NDArray[np.bool_] | None

    @classmethod
    def of(cls, image: ArrayLike, cam: ArrayLike, mask: ArrayLike | None, number: int) -> _Picture:
        shown, heat = np.asarray(image, dtype=float), np.asarray(cam, dtype=float)
        if shown.ndim not in (2, 3) or (shown.ndim == 3 and shown.shape[2] != 3) or not shown.size:
            msg = f"The image of panel {number} must be (h, w) or (h, w, 3); it is {shown.shape}."
            raise ArgumentError(msg)
        if heat.ndim != 2 or not heat.size or not ((heat >= 0) & (heat <= 1)).all():
            msg = f"The map of panel {number} must be two-dimensional with values in [0, 1]."
            raise ArgumentError(msg)
        outline = None if mask is None else np.asarray(mask, dtype=bool)
        if outline is not None and outline.shape != shown.shape[:2]:
            msg = (
                f"The mask of panel {number} has shape {outline.shape}; its image "
                f"{shown.shape[:2]}."
            )
            raise ArgumentError(msg)
        return cls(_stretched(shown), heat, outline)


def _pictures_of(panel: CamPanel, number: int) -> list[_Picture]:
    first = _Picture.of(panel.image, panel.cam, panel.mask, number)
    if panel.second_image is None and panel.second_cam is None:
        return [first]
    if panel.second_image is None or panel.second_cam is None:
        msg = f"Panel {number} needs `second_image` and `second_cam` together."
        raise ArgumentError(msg)
    return [first, _Picture.of(panel.second_image, panel.second_cam, panel.second_mask, number)]


def _stretched(image: NDArray[Float]) -> NDArray[Float]:
    """Grey values between 0 and 1."""
    low, high = float(image.min()), float(image.max())
    return (image - low) / (high - low) if high > low else np.zeros_like(image)


def _grid(n_cases: int, height: int, columns: int, width_mm: float) -> tuple[Figure, Grid]:
    """Square cells, `height` of them below each other a case, and room for the captions."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as NewFigure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    rows = -(-n_cases // columns)
    tall = rows * (height * _cell_mm(columns, width_mm) + _CAPTION_MM) + _BAR_MM
    close = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03, wspace=0.01, hspace=0.01)
    figure = NewFigure(figsize=(width_mm / MM_PER_INCH, tall / MM_PER_INCH), layout=close)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows * height, columns, squeeze=False)
    return figure, [list(line) for line in axes]


def _cell_mm(columns: int, width_mm: float) -> float:
    return min(width_mm / columns, _LARGEST_CELL_MM)


def _wrapped(caption: str, letters: int) -> str:
    return "\n".join(plain(line, width=letters) for line in caption.split("\n"))


def _draw_image(ax: Axes, picture: _Picture) -> None:
    _show(ax, picture.image)
    _draw_mask(ax, picture)


def _letter(ax: Axes, letter: str) -> None:
    """White with a dark edge, as on the image itself no other colour is sure to be seen."""
    from matplotlib.patheffects import withStroke

    ax.annotate(
        plain(letter),
        (0, 1),
        xycoords="axes fraction",
        xytext=(4, -4),
        textcoords="offset points",
        ha="left",
        va="top",
        color="white",
        fontsize=9,
        fontweight="bold",
        path_effects=[withStroke(linewidth=1.6, foreground="black")],
    )


def _draw_map(ax: Axes, picture: _Picture, alpha: float) -> None:
    _show(ax, picture.image)
    height, width = picture.image.shape[:2]
    ax.imshow(
        picture.cam,
        cmap=CMAP,
        vmin=0,
        vmax=1,
        alpha=_opacity(picture.cam, alpha),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="bilinear",
    )
    _draw_mask(ax, picture)


def _opacity(cam: NDArray[Float], alpha: float) -> NDArray[Float]:
    return np.asarray(alpha * np.clip(2 * cam, 0, 1))


def _show(ax: Axes, image: NDArray[Float]) -> None:
    ax.imshow(image, cmap="gray", vmin=0, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _draw_mask(ax: Axes, picture: _Picture) -> None:
    """A white contour with a dark edge, visible on light and dark tissue."""
    if picture.mask is None or picture.mask.all() or not picture.mask.any():
        return
    for colour, width in (("black", 1.6), ("white", 0.8)):
        ax.contour(picture.mask.astype(float), levels=[0.5], colors=colour, linewidths=width)


def _colour_bar(figure: Figure, alpha: float, label: str) -> None:
    """The colours as they lie on mid-gray tissue."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    levels = np.linspace(0, 1, 256)
    share = _opacity(levels, alpha)[:, None]
    on_tissue = share * colormaps[CMAP](levels)[:, :3] + (1 - share) * _TISSUE
    bar = figure.colorbar(
        ScalarMappable(norm=Normalize(0, 1), cmap=ListedColormap(on_tissue)),
        ax=figure.axes,
        location="bottom",
        shrink=0.35,
        aspect=28,
        ticks=[0, 0.5, 1],
    )
    bar.set_label(plain(label, width=90), fontsize=7)
    bar.ax.tick_params(labelsize=7)


def plot_randomisation(
    steps: pd.DataFrame, *, threshold: float | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how like the trained network's maps remain while its weights are drawn anew.

    Parameters
    ----------
    steps : DataFrame
        Columns map, n_layers, estimate, lowest and highest: the mean rank correlation after so
        many layers, counted from the head, and its range over images.
    threshold : float, optional
        Drawn as a line.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    """
    with journal_style():
        ax = new_axes(ax, height_mm=60.0)
        for i, (name, rows) in enumerate(steps.groupby("map", sort=False)):
            layers = np.append(0, rows["n_layers"])
            low, mean, high = (np.append(1.0, rows[c]) for c in ("lowest", "estimate", "highest"))
            style = series_style(i)
            ax.fill_between(layers, low, high, color=style["color"], alpha=0.15, lw=0)
            ax.plot(layers, mean, **style, label=plain(name))
        if threshold is not None:
            ax.axhline(threshold, color=REFERENCE_GREY, lw=0.8, ls=":")
        ax.set_ylim(-1.05, 1.05)
        ax.set_xlabel("Layers with random weights, from the head down")
        ax.set_ylabel("Rank correlation of maps")
        if len(ax.get_legend_handles_labels()[0]) > 1:
            ax.legend(loc="best")
    return ax
