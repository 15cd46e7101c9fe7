"""An evidence map against a mask or a physician's mark: energy, pointing game, IoU."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln

from usstats._check import check_cluster, check_option
from usstats._clustered_means import Mean, mean_row
from usstats._intervals import check_conf_level
from usstats._overlap.masks import Mask, check_mask
from usstats._overlap.report import warn_of_no_limits
from usstats._resampling.draws import Resamples, as_resamples
from usstats.errors import ArgumentError, PairingError, RiskError
from usstats.results import COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Float = np.float64
#: Each measure with what a map without knowledge scores.
AGAINST = {"energy_in_mask": "chance", "pointing_hit": "chance", "iou": "iou_chance"}
#: Standard deviations from the mean of a hypergeometric count beyond which nothing is added up.
_REACH = 12.0


@dataclass(frozen=True, kw_only=True)
class CamOverlap:
    """How a map lies on a mask.

    Attributes
    ----------
    energy_in_mask : float
        Share of the map's sum inside the mask; NaN for a map of zeros.
    pointing_hit : bool
        The map's maximum lies inside the mask (pointing game, Zhang et al. 2018).
    chance : float
        Share of the image's area inside the mask: what a map without knowledge scores on both.
    iou : float
        Of the mask with the map's highest values, as many pixels as the mask has (or the share
        asked for); NaN for a map of zeros.
    iou_chance : float
        Its expectation for as many pixels taken at random (their number in the mask is
        hypergeometric).
    """

    energy_in_mask: float
    pointing_hit: bool
    chance: float
    iou: float
    iou_chance: float


def cam_overlap(
    cam: ArrayLike,
    mask: ArrayLike,
    *,
    visible: ArrayLike | None = None,
    area: float | None = None,
) -> CamOverlap:
    """Compare a map with the outline of the lesion, or with what a physician marked.

    Parameters
    ----------
    cam : array_like, shape (H, W), 0 or more
    mask : array_like of bool, shape (H, W)
        A point mark is a disc of the tolerance allowed.
    visible : array_like of bool, shape (H, W), optional
        Where the image is; the black bars of a letterbox are left out of `chance`.
    area : float, optional
        Share of the visible image that the map's highest values take for the IoU, in whole pixels
        (default: the mask's own share). Of equal values at the edge a random part is taken, and
        the IoU is its expectation; a flat map scores chance.

    Returns
    -------
    CamOverlap

    Raises
    ------
    PairingError
        The shapes differ.
    RiskError
        A map with negative, missing or infinite values.
    ArgumentError

    References
    ----------
    Zhang et al. (2018), Int J Comput Vis 126:1084 (pointing game). Wang et al. (2020), CVPR
    Workshops (energy).

    Examples
    --------
    >>> cam_overlap([[0.0, 3.0], [1.0, 0.0]], [[0, 1], [0, 0]])
    CamOverlap(energy_in_mask=0.75, pointing_hit=True, chance=0.25, iou=1.0, iou_chance=0.25)
    """
    heat, inside = np.asarray(cam, dtype=float), check_mask(mask, name="mask")
    seen = np.ones_like(inside) if visible is None else check_mask(visible, name="visible")
    if not heat.shape == inside.shape == seen.shape:
        msg = f"The map is {heat.shape}, the mask {inside.shape}; both must be of one size."
        raise PairingError(msg)
    if not np.isfinite(heat).all() or heat.min() < 0:
        msg = "`cam` must hold finite values of 0 or more; negative evidence is another map."
        raise RiskError(msg)
    total, room = heat.sum(), max(int(seen.sum()), 1)
    marked = int((inside & seen).sum())
    size = marked if area is None else max(round(_share(area) * room), 1)
    return CamOverlap(
        energy_in_mask=float(heat[inside].sum() / total) if total > 0 else float("nan"),
        pointing_hit=bool(inside.flat[np.argmax(heat)] and total > 0),
        chance=marked / room,
        iou=_iou_of_highest(heat, inside & seen, seen, size) if total > 0 else float("nan"),
        iou_chance=_expected_iou(size, room, marked, marked) if size else float("nan"),
    )


def _share(area: float) -> float:
    if not isinstance(area, int | float | np.number) or not 0 < area <= 1:
        msg = f"`area` must be a share of the image in (0, 1]; got {area!r}."
        raise ArgumentError(msg)
    return float(area)


def _iou_of_highest(heat: NDArray[Float], inside: Mask, seen: Mask, size: int) -> float:
    """IoU of the mask with the `size` highest pixels; among ties at the edge, its expectation."""
    values, hit = heat[seen], inside[seen]
    if not 0 < size <= values.size:
        return float("nan")
    edge = np.partition(values, values.size - size)[values.size - size]
    above, level = values > edge, values == edge
    return _expected_iou(
        size - int(above.sum()),
        int(level.sum()),
        int(hit[level].sum()),
        int(hit.sum()),
        sure=(int(above.sum()), int(hit[above].sum())),
    )


def _expected_iou(
    drawn: int, pool: int, hits: int, marked: int, *, sure: tuple[int, int] = (0, 0)
) -> float:
    """Mean IoU of the mask with `sure` pixels and `drawn` more, taken at random out of a pool.

    Parameters
    ----------
    drawn, pool, hits : int
        Pixels taken, to take from, and of these inside the mask.
    marked : int
        Pixels of the mask.
    sure : (int, int)
        Pixels taken in any case, and of these inside the mask.
    """
    share = hits / pool
    spread = np.sqrt(drawn * share * (1 - share) * (pool - drawn) / max(pool - 1, 1))
    low = max(0, drawn - (pool - hits), int(drawn * share - _REACH * spread) - 1)
    high = min(drawn, hits, int(drawn * share + _REACH * spread) + 1)
    inside = np.arange(low, high + 1)
    log_weight = _log_choose(hits, inside) + _log_choose(pool - hits, drawn - inside)
    weight = np.exp(log_weight - log_weight.max())
    common = sure[1] + inside
    return float((weight / weight.sum()) @ (common / (sure[0] + drawn + marked - common)))


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[Float]:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CamReport:
    """Maps of a study against masks. Made by `cam_report`.

    Attributes
    ----------
    conf_level : float
    average : str
        What the means are over: "image" or "patient".
    n, n_cluster : int
        Images and patients.
    """

    conf_level: float
    average: str
    n: int
    n_cluster: int
    _table: pd.DataFrame = field(repr=False)
    _images: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Means of energy_in_mask, pointing_hit and iou: group "map", "chance", and "gain" (map
        minus chance), with intervals that count patients."""
        return self._table.copy()

    def images(self) -> pd.DataFrame:
        """One row an image."""
        return self._images.copy()

    def plot(self, ax: Axes | None = None) -> Axes:
        """The means and their intervals, beside chance."""
        from usstats.plots.overlap import plot_cam_report

        return plot_cam_report(self._table, average=self.average, ax=ax)

    def summary(self) -> str:
        """What the maps score, beside chance."""
        table = self._table.set_index(["measure", "group"])
        lines = [repr(self)[1:-1]]
        for measure in dict.fromkeys(self._table["measure"]):
            own, chance, gain = (table.loc[(measure, name)] for name in ("map", "chance", "gain"))
            lines.append(
                f"  {measure}: {own['estimate']:.3f}, chance {chance['estimate']:.3f}, gain "
                f"{gain['estimate']:.3f} ({gain['conf_low']:.3f} to {gain['conf_high']:.3f})"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        method = self._table["method"].iloc[0]
        return (
            f"<maps against masks: {method}; n = {self.n} images, unit: patient "
            f"({self.n_cluster} clusters), {self.conf_level * 100:g} % intervals>"
        )


def cam_report(
    cams: Sequence[ArrayLike] | pd.DataFrame,
    masks: Sequence[ArrayLike] | None = None,
    *,
    patient_id: ArrayLike | str = "patient_id",
    visible: Sequence[ArrayLike] | None = None,
    area: float | None = None,
    average: str = "image",
    ci: str = "t",
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> CamReport:
    """Evidence maps of a study against masks or marks, with intervals that count patients.

    Parameters
    ----------
    cams : sequence of arrays, or DataFrame
        Maps of 0 or more; or a table with patient_id, energy_in_mask, pointing_hit, chance (and
        iou, iou_chance), one row an image.
    masks : sequence of masks, optional
    patient_id : array_like, shape (n,), or str
        Patient of each image, or the name of the table's column.
    visible : sequence of masks, optional
    area : float, optional
        As in `cam_overlap`.
    average : {"image", "patient"}
        Every image counts once, or every patient.
    ci : {"t", "bootstrap"}
    conf_level : float
    n_boot, seed, resamples
        For the bootstrap.

    Returns
    -------
    CamReport

    Raises
    ------
    ArgumentError, PairingError, RiskError, ResampleError

    Warns
    -----
    SmallSampleWarning
        A mean without limits: a single patient, or no map with a mask.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> cams = rng.random((6, 8, 8))
    >>> masks = np.zeros((6, 8, 8), dtype=bool)
    >>> masks[:, :4] = True
    >>> cam_report(cams, masks, patient_id=[1, 1, 2, 2, 3, 3])
    <maps against masks: t; n = 6 images, unit: patient (3 clusters), 95 % intervals>
    """
    check_option(average, ("image", "patient"), name="average")
    check_option(ci, ("t", "bootstrap"), name="ci")
    check_conf_level(conf_level)
    images = _cam_table(cams, masks, patient_id, visible, area)
    patients = check_cluster(images["patient_id"], len(images))
    assert patients is not None  # noqa: S101 - narrows the type: labels were given
    draws = None
    if ci == "bootstrap":
        draws = as_resamples(resamples, len(images), n_boot=n_boot, seed=seed, cluster=patients)
    rows = []
    for measure, chance in AGAINST.items():
        if measure not in images or chance not in images:
            continue
        own, by_chance = (images[name].to_numpy(dtype=float) for name in (measure, chance))
        by_chance = np.where(np.isfinite(own), by_chance, np.nan)
        parts = {"map": own, "chance": by_chance, "gain": own - by_chance}
        for group, values in parts.items():
            mean = Mean.of(values, patients, average)
            bounds = (-1.0, 1.0) if group == "gain" else (0.0, 1.0)
            row = mean_row({group: mean}, conf_level=conf_level, draws=draws, bounds=bounds)
            rows.append({"measure": measure, "group": group, **row})
    table = pd.DataFrame(rows).assign(conf_level=conf_level)
    if draws is not None:
        table = table.assign(n_boot=len(draws), seed=draws.seed)
    warn_of_no_limits(table, stacklevel=3)
    return CamReport(
        conf_level=conf_level,
        average=average,
        n=len(images),
        n_cluster=int(patients.max()) + 1,
        _table=table[[name for name in COLUMNS if name in table]],
        _images=images,
    )


def _cam_table(
    cams: Sequence[ArrayLike] | pd.DataFrame,
    masks: Sequence[ArrayLike] | None,
    patient_id: ArrayLike | str,
    visible: Sequence[ArrayLike] | None,
    area: float | None,
) -> pd.DataFrame:
    if isinstance(cams, pd.DataFrame):
        named = isinstance(patient_id, str)
        table = cams.reset_index(drop=True)
        table = (
            table.rename(columns={patient_id: "patient_id"})
            if named
            else table.assign(patient_id=np.asarray(patient_id))
        )
        needed = {"patient_id", "energy_in_mask", "pointing_hit", "chance"}
        if not needed <= set(table):
            msg = f"The table lacks {sorted(needed - set(table))}; it has {list(cams.columns)}."
            raise ArgumentError(msg)
        return table
    if masks is None or isinstance(patient_id, str):
        msg = "Give `masks` and the patient of each image beside the maps."
        raise ArgumentError(msg)
    shown = [None] * len(cams) if visible is None else visible
    if not len(cams) == len(masks) == len(shown):
        msg = f"There are {len(cams)} maps, {len(masks)} masks and {len(shown)} outlines of images."
        raise PairingError(msg)
    rows = [
        asdict(cam_overlap(cam, mask, visible=seen, area=area))
        for cam, mask, seen in zip(cams, masks, shown, strict=True)
    ]
    check_cluster(patient_id, len(rows))
    return pd.DataFrame(rows).assign(patient_id=np.asarray(patient_id))
