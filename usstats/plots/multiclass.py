"""Several classes: the confusion matrix, one-vs-rest ROC curves, and calibration curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from usstats._check import check_option
from usstats.plots.roc import Curve, plot_roc
from usstats.plots.style import (
    REFERENCE_GREY,
    journal_style,
    line_style,
    new_axes,
    percent,
    plain,
    rounded,
)
from usstats.results import Estimate

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from matplotlib.axes import Axes

    from usstats.calibration import Calibration
    from usstats.roc import RocCurve

#: From this share on white text has the better contrast.
DARK = 0.7
#: With more classes and longer names than these, the names under the matrix are turned.
FEW, LONG = 3, 9
#: Characters of a turned line.
LONGEST = 24


def plot_confusion(
    counts: pd.DataFrame, ax: Axes | None = None, *, normalise: str = "truth"
) -> Axes:
    """Draw a confusion matrix: counts in the cells, shares as shades and beneath the counts.

    Parameters
    ----------
    counts : DataFrame
        Rows predicted, columns true, as `MulticlassReport.confusion()` gives.
    ax : Axes, optional
        A fresh 84 mm figure without it.
    normalise : {"truth", "predicted", "all"}
        What a share is of: the true class (a column: sensitivities on the diagonal), the
        predicted class (a row: predictive values), or all cases.

    Returns
    -------
    Axes

    Examples
    --------
    >>> counts = pd.DataFrame([[8, 1], [2, 9]], index=["no", "yes"], columns=["no", "yes"])
    >>> plot_confusion(counts).get_xlabel()
    'True class'
    """
    check_option(normalise, tuple(_SHARE_OF), name="normalise")
    numbers = counts.to_numpy()
    shares = _shares(numbers, normalise)
    with journal_style():
        ax = new_axes(ax)
        ax.imshow(np.nan_to_num(shares), cmap="Blues", vmin=0, vmax=1, aspect="equal")
        for (row, column), share in np.ndenumerate(shares):
            text = f"{numbers[row, column]}"
            if np.isfinite(share):
                text += f"\n{percent(share)}"
            colour = "white" if share > DARK else "black"
            ax.text(column, row, text, ha="center", va="center", color=colour)
        _name_axes(ax, counts)
        ax.set_title(f"Shade and %: share of {_SHARE_OF[normalise]}", fontsize=7)
    return ax


_SHARE_OF = {"truth": "the true class", "predicted": "the predicted class", "all": "all cases"}


def _shares(numbers: NDArray[np.int64], normalise: str) -> NDArray[np.float64]:
    axis = {"truth": 0, "predicted": 1, "all": None}[normalise]
    total = np.broadcast_to(numbers.sum(axis=axis, keepdims=True), numbers.shape)
    empty = np.full(numbers.shape, np.nan)
    return np.asarray(np.divide(numbers, total, out=empty, where=total > 0))


def _name_axes(ax: Axes, counts: pd.DataFrame) -> None:
    turned = len(counts) > FEW and max(len(str(name)) for name in counts.columns) > LONG
    width = LONGEST if turned else 14
    ax.set_xticks(range(len(counts)), [plain(name, width=width) for name in counts.columns])
    ax.set_yticks(range(len(counts)), [plain(name, width=14) for name in counts.index])
    if turned:
        ax.tick_params("x", rotation=45)
        for label in ax.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("True class")
    ax.set_ylabel("Predicted class")


class MulticlassCurves(Protocol):
    """What is drawn: a `MulticlassAuc`."""

    @property
    def measure(self) -> str: ...

    @property
    def estimate(self) -> float: ...

    @property
    def conf_low(self) -> float: ...

    @property
    def conf_high(self) -> float: ...

    def frame(self) -> pd.DataFrame: ...

    def curves(self) -> dict[str, RocCurve]: ...


@dataclass(frozen=True)
class _Drawn:
    """A curve with the interval of the table, which may come from a bootstrap."""

    auc: Estimate
    table: pd.DataFrame

    def frame(self) -> pd.DataFrame:
        return self.table


_NAMES = {
    "auc_hand_till": "Hand and Till's M",
    "auc_macro": "Macro AUC",
    "auc_weighted": "Weighted AUC",
    "auc_micro": "Micro AUC",
}


def plot_one_vs_rest(result: MulticlassCurves, ax: Axes | None = None) -> Axes:
    """Draw the ROC curve of each class against the rest.

    Parameters
    ----------
    result : MulticlassAuc
    ax : Axes, optional
        A fresh 84 mm figure without it.

    Returns
    -------
    Axes
        The legend gives each AUC with its interval, under that of the average.
    """
    rows = result.frame()
    own = {row["group"]: row for row in rows[rows["measure"] == "auc"].to_dict("records")}
    drawn: Mapping[str, Curve] = {
        f"{name} against the rest": _Drawn(_as_estimate(own[name]), curve.frame())
        for name, curve in result.curves().items()
    }
    limits = f"({rounded(result.conf_low)}\N{EN DASH}{rounded(result.conf_high)})"
    with journal_style():
        ax = plot_roc(drawn, ax=ax)
        title = f"{_NAMES[result.measure]} {rounded(result.estimate)} {limits}"
        legend = ax.get_legend()
        if legend is not None:
            legend.set_title(title)
            legend.get_title().set_fontsize(6.5)
    return ax


def _as_estimate(row: Mapping[Hashable, Any]) -> Estimate:
    return Estimate(
        measure="auc",
        estimate=float(row["estimate"]),
        std_error=float(row["std_error"]),
        conf_low=float(row["conf_low"]),
        conf_high=float(row["conf_high"]),
        conf_level=float(row["conf_level"]),
        method=str(row["method"]),
        n=int(row["n"]),
        n_event=int(row["n_event"]),
    )


class ClassCalibrations(Protocol):
    """What is drawn: a `MulticlassCalibration`."""

    @property
    def by_class(self) -> Mapping[str, Calibration]: ...


def plot_multiclass_calibration(
    result: ClassCalibrations, ax: Axes | None = None, *, band: bool = True
) -> Axes:
    """Draw the calibration curve of each class against the rest.

    Parameters
    ----------
    result : MulticlassCalibration
    ax : Axes, optional
        A fresh 84 mm figure without it.
    band : bool
        Shade the pointwise limits where a curve has them.

    Returns
    -------
    Axes
        Where the flexible curve of a class is withheld, its logistic recalibration line is drawn
        and the legend says so.
    """
    with journal_style():
        ax = new_axes(ax)
        ax.plot([0, 1], [0, 1], color=REFERENCE_GREY, lw=0.6, label="Ideal", zorder=1)
        for i, (name, calibration) in enumerate(result.by_class.items()):
            _draw_class(ax, i, name, calibration, band=band)
        ax.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            xlabel="Predicted probability of the class",
            ylabel="Observed proportion",
        )
        ax.legend(loc="best", fontsize=6.5)
    return ax


def _draw_class(ax: Axes, i: int, name: str, calibration: Calibration, *, band: bool) -> None:
    style = line_style(i)
    label = f"{plain(name, width=20)} ({calibration.n_event} cases"
    curve = calibration.curve().dropna(subset="observed")
    if curve.empty:
        _draw_logistic(ax, calibration, f"{label}; logistic)", i)
        return
    x = curve["predicted"]
    if band and "conf_low" in curve:
        low, high = (curve[side].clip(0, 1) for side in ("conf_low", "conf_high"))
        ax.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0, zorder=1)
    ax.plot(x, curve["observed"].clip(0, 1), label=f"{label})", zorder=2 + i, **style)


def _draw_logistic(ax: Axes, calibration: Calibration, label: str, i: int) -> None:
    values = calibration.frame().set_index("measure")["estimate"]
    intercept, slope = values["recalibration_intercept"], values["calibration_slope"]
    if not np.isfinite(slope):
        return
    risk = calibration.curve()["predicted"].to_numpy().clip(1e-6, 1 - 1e-6)
    line = special.expit(intercept + slope * special.logit(risk))
    ax.plot(risk, line, label=label, zorder=2 + i, **line_style(i))
