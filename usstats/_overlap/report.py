"""Segmentations of a whole study: means by patient, failures, agreement of the areas."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._agreement.bland_altman import BlandAltman, bland_altman
from usstats._agreement.intraclass import IntraclassCorrelation, icc
from usstats._check import check_option
from usstats._clustered_means import Mean, mean_row
from usstats._intervals import check_conf_level
from usstats._overlap.images import (
    BOUNDS,
    MEASURES,
    Scoring,
    Stack,
    image_table,
    read_classes,
)
from usstats._overlap.masks import Spacing
from usstats._resampling.draws import Resamples, as_resamples
from usstats.errors import ArgumentError, EmptyMaskWarning, SmallSampleWarning
from usstats.results import COLUMNS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEAN = "mean of classes"


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class OverlapReport:
    """How well two sets of masks agree. Made by `overlap_report`.

    Attributes
    ----------
    conf_level : float
    average : str
        "image" or "patient": what is averaged.
    n : int
        Images.
    n_cluster : int
        Patients.
    unit : str
        Of distances: "pixel", or "spacing" when a pixel spacing was given.
    """

    conf_level: float
    average: str
    n: int
    n_cluster: int
    unit: str
    _table: pd.DataFrame = field(repr=False)
    _images: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Means: measure, group (class, "all", or "mean of classes"), estimate, std_error,
        conf_low, conf_high, conf_level, method, n (images with a value), n_cluster, n_undefined."""
        return self._table.copy()

    def images(self) -> pd.DataFrame:
        """patient_id, image_id, class (label maps), dice, iou, hd95, size_a, size_b (area or
        volume), empty ("", "a", "b", "both")."""
        return self._images.copy()

    def patients(self) -> pd.DataFrame:
        """Mean of each patient's images (and class), undefined ones left out."""
        given = [name for name in MEASURES if name in self._images]
        keys = ["patient_id", *(["class"] if "class" in self._images else [])]
        grouped = self._images.groupby(keys, sort=False)
        return grouped[given].mean().assign(n=grouped.size()).reset_index()

    def failures(self) -> pd.DataFrame:
        """Images by class: group, n, both_empty, only_a (nothing there in b: a false alarm),
        only_b (missed by a), disjoint (two masks that do not touch), n_undefined_hd95."""
        if "empty" not in self._images:
            msg = "A table of measures does not say which masks were empty; give the masks."
            raise ArgumentError(msg)
        return pd.DataFrame([_failures(name, rows) for name, rows in _by_class(self._images)])

    def area_agreement(self, group: Hashable | None = None) -> BlandAltman:
        """Bland-Altman limits of the areas (volumes), a minus b, by patient.

        Parameters
        ----------
        group : optional
            The class, where there are several.
        """
        rows = self._sizes(group)
        return bland_altman(
            rows["size_a"], rows["size_b"], cluster=rows["patient_id"], conf_level=self.conf_level
        )

    def area_icc(
        self, group: Hashable | None = None, *, n_boot: int = 2000, seed: int = 0
    ) -> IntraclassCorrelation:
        """Intraclass correlation of the areas (volumes), with a bootstrap of patients where these
        have several images."""
        rows = self._sizes(group)
        patients = rows["patient_id"] if rows["patient_id"].duplicated().any() else None
        return icc(
            rows[["size_a", "size_b"]],
            cluster=patients,
            n_boot=n_boot,
            seed=seed,
            conf_level=self.conf_level,
        )

    def _sizes(self, group: Hashable | None) -> pd.DataFrame:
        parts = {name: rows for name, rows in _by_class(self._images) if "size_a" in rows}
        chosen = next(iter(parts)) if group is None and len(parts) == 1 else group
        if chosen not in parts:
            msg = f"`group` must be one of {list(parts)}; got {group!r}."
            raise ArgumentError(msg)
        return parts[chosen]

    def summary(self) -> str:
        """Each mean with its interval."""
        lines = [repr(self)[1:-1]]
        for row in self._table.to_dict("records"):
            group = "" if row["group"] == "all" else f" ({row['group']})"
            left_out = f", {row['n_undefined']} undefined" if row["n_undefined"] else ""
            lines.append(
                f"  {row['measure']}{group}: {row['estimate']:.3f} ({row['conf_low']:.3f} to "
                f"{row['conf_high']:.3f}){left_out}"
            )
        return "\n".join(lines)

    def __repr__(self) -> str:
        first = self._table.iloc[0]
        group = "" if first["group"] == "all" else f" of {first['group']}"
        return (
            f"<overlap: mean {first['measure']}{group} {first['estimate']:.3f} "
            f"({first['conf_low']:.3f} to {first['conf_high']:.3f}), mean over {self.average}s, "
            f"{first['method']}; n = {self.n} images, unit: patient ({self.n_cluster} clusters), "
            f"{self.conf_level * 100:g} % intervals>"
        )

    def plot(
        self, ax: Axes | None = None, *, measure: str = "dice", unit: str | None = None
    ) -> Axes:
        """Every image, with the mean and its interval, by class; `unit` is that of the spacing."""
        from usstats.plots.overlap import plot_overlap

        length = "pixels" if self.unit == "pixel" else unit
        return plot_overlap(self.images(), self.frame(), measure, ax=ax, unit=length)


def overlap_report(
    masks_a: Stack | pd.DataFrame,
    masks_b: Stack | None = None,
    *,
    patient_id: ArrayLike | str = "patient_id",
    image_id: ArrayLike | str | None = None,
    spacing: Spacing | ArrayLike = None,
    classes: Sequence[Any] | Mapping[Any, str] | None = None,
    background: Any = 0,
    average: str = "image",
    both_empty: float = np.nan,
    missed: float | str = np.nan,
    pooled: bool = False,
    ci: str = "t",
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> OverlapReport:
    """Dice, IoU and HD95 of a set of images, with intervals that count patients.

    Parameters
    ----------
    masks_a : sequence of masks, or DataFrame
        Of the model or of reader 1; shapes may differ between images. Or a table, one row an
        image (and class), with some of the columns dice, iou, hd95 and with patient_id, class.
    masks_b : sequence of masks, optional
        The reference, or reader 2, in the same order.
    patient_id : array_like, shape (n,), or str
        Patient of each image, or the name of the table's column. Images are never taken for
        patients: where each patient has one image, say so by giving each its own label.
    image_id : array_like, shape (n,), or str, optional
    spacing : float, sequence or array_like of shape (n, axes), optional
        Length of a pixel along each axis (row, column), common or one row an image. Without it
        distances are in pixels and areas in pixel counts.
    classes : sequence of labels, or mapping of label to name, optional
        The masks are label maps and these classes are scored, each against all others. The mean
        of classes is over what is listed here: the background counts only if it is listed.
    background : optional
        A label that may occur without being scored.
    average : {"image", "patient"}
        Mean over images, or over patients' means (which lets a patient with many images weigh no
        more than another). The interval counts patients either way.
    both_empty : float
        What Dice and IoU are for two empty masks (`dice`); NaN is left out and counted.
    missed : float or "diagonal"
        HD95 where one mask is empty (`hd95`); leaving misses out flatters the mean.
    pooled : bool
        Convention of `hd95`.
    ci : {"t", "bootstrap"}
        Student's t on patients (Taylor-linearised), or percentiles of a bootstrap of patients.
    conf_level : float
    n_boot, seed, resamples
        For the bootstrap.

    Returns
    -------
    OverlapReport
        `.images()`, `.patients()`, `.failures()`, `.area_agreement()`, `.area_icc()`.

    Raises
    ------
    ArgumentError, PairingError, RiskError, ResampleError

    Warns
    -----
    EmptyMaskWarning
        Images without a value, which the means leave out; counted by `.failures()`.
    SmallSampleWarning
        A mean without limits: a single patient, or no value at all.

    References
    ----------
    Maier-Hein et al. (2024), Nat Methods 21:195 (Metrics Reloaded).

    Examples
    --------
    >>> a = np.zeros((4, 8, 8), dtype=bool)
    >>> a[:, 2:6, 2:6] = True
    >>> b = np.stack([np.roll(a[0], shift, axis=1) for shift in (0, 1, 1, 2)])
    >>> report = overlap_report(a, b, patient_id=["P1", "P1", "P2", "P3"], spacing=0.1)
    >>> report.frame()[["measure", "estimate", "n_cluster"]]
      measure  estimate  n_cluster
    0    dice      0.75          3
    1     iou      0.63          3
    2    hd95      0.10          3
    """
    check_option(average, ("image", "patient"), name="average")
    check_option(ci, ("t", "bootstrap"), name="ci")
    check_conf_level(conf_level)
    images = image_table(
        masks_a,
        masks_b,
        Scoring(
            spacing=spacing,  # type: ignore[arg-type]
            classes=read_classes(classes),
            background=background,
            both_empty=both_empty,
            missed=missed,
            pooled=pooled,
        ),
        patient_id=patient_id,
        image_id=image_id,
    )
    values, patients = _by_image(images)
    draws = None
    if ci == "bootstrap":
        draws = as_resamples(resamples, len(patients), n_boot=n_boot, seed=seed, cluster=patients)
    means = {key: Mean.of(column, patients, average) for key, column in values.items()}
    table = _mean_table(means, conf_level, draws)
    _warn_of_undefined(table)
    return OverlapReport(
        conf_level=conf_level,
        average=average,
        n=len(patients),
        n_cluster=int(patients.max()) + 1,
        unit="pixel" if spacing is None else "spacing",
        _table=table,
        _images=images.drop(columns="row"),
    )


def _by_class(images: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if "class" not in images:
        return [("all", images)]
    return [(str(name), rows) for name, rows in images.groupby("class", sort=False)]


def _by_image(
    images: pd.DataFrame,
) -> tuple[dict[tuple[str, str], np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Values of each measure and class by image (NaN where absent), and the patients."""
    n = int(images["row"].max()) + 1
    patients = np.empty(n, dtype=np.int64)
    patients[images["row"]] = pd.factorize(images["patient_id"])[0]
    values = {}
    for measure in (name for name in MEASURES if name in images):
        for name, rows in _by_class(images):
            column = np.full(n, np.nan)
            column[rows["row"]] = rows[measure]
            values[measure, name] = column
    return values, pd.factorize(patients)[0].astype(np.int64)


def _mean_table(
    means: Mapping[tuple[str, str], Mean], conf_level: float, draws: Resamples | None
) -> pd.DataFrame:
    """The mean of classes first, then each class, by measure."""
    rows = []
    for measure in dict.fromkeys(measure for measure, _ in means):
        own = {group: mean for (name, group), mean in means.items() if name == measure}
        wanted = {MEAN: own} if len(own) > 1 else {}
        wanted |= {group: {group: mean} for group, mean in own.items()}
        for group, parts in wanted.items():
            row = mean_row(parts, conf_level=conf_level, draws=draws, bounds=BOUNDS[measure])
            undefined = sum(len(mean.weight) - mean.n for mean in parts.values())
            rows.append({"measure": measure, "group": group, **row, "n_undefined": undefined})
    table = pd.DataFrame(rows).assign(conf_level=conf_level)
    if draws is not None:
        table = table.assign(n_boot=len(draws), seed=draws.seed)
    return table[[name for name in (*COLUMNS, "n_undefined") if name in table]]


def _failures(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    empty = rows["empty"]
    return {
        "group": name,
        "n": len(rows),
        "both_empty": int((empty == "both").sum()),
        "only_a": int((empty == "b").sum()),
        "only_b": int((empty == "a").sum()),
        "disjoint": int(((empty == "") & (rows["iou"] == 0)).sum()),
        "n_undefined_hd95": int(rows["hd95"].isna().sum()),
    }


def _warn_of_undefined(table: pd.DataFrame) -> None:
    """Say once what is left out and what has no limits."""
    own = table[(table["group"] != MEAN) & (table["n_undefined"] > 0)]
    if len(own):
        listed = ", ".join(
            f"{row.measure}{'' if row.group == 'all' else f' of {row.group}'} ({row.n_undefined})"
            for row in own.itertuples()
        )
        msg = (
            f"Images without a value are left out of the means: {listed}. Missed lesions are among "
            "them; report `.failures()` beside the means, or set `both_empty` and `missed`."
        )
        warnings.warn(msg, EmptyMaskWarning, stacklevel=3)
    warn_of_no_limits(table, stacklevel=4)


def warn_of_no_limits(table: pd.DataFrame, *, stacklevel: int) -> None:
    """Name the means without an interval."""
    bare = table[table["conf_low"].isna()]
    if len(bare):
        listed = ", ".join(f"{row.measure} of {row.group}" for row in bare.itertuples())
        msg = f"No limits, for want of patients or values: {listed}."
        warnings.warn(msg, SmallSampleWarning, stacklevel=stacklevel)
