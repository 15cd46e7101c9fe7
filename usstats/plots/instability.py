"""Instability plots: what the models of the resamples would have told the same patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._check import check_option
from usstats.plots.style import OKABE_ITO, REFERENCE_GREY, journal_style, new_axes, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Refitted risks drawn one by one; more only make the cloud denser.
MOST_MODELS = 200
_CURVE: dict[str, Any] = {"color": REFERENCE_GREY, "lw": 0.4, "alpha": 0.25, "zorder": 1}


class InstabilityTables(Protocol):
    """What is drawn: an `Instability`, or anything with its tables."""

    def frame(self) -> pd.DataFrame: ...

    def prediction_frame(self) -> pd.DataFrame: ...

    def calibration_frame(self) -> pd.DataFrame: ...

    def net_benefit_frame(self, thresholds: ArrayLike | None = None) -> pd.DataFrame: ...


def plot_instability(
    instability: InstabilityTables,
    ax: Axes | None = None,
    *,
    kind: str = "prediction",
    thresholds: ArrayLike | None = None,
) -> Axes:
    """Draw one instability plot (Riley and Collins 2023).

    Parameters
    ----------
    instability : Instability
    ax : Axes, optional
        A fresh 84 mm figure without it.
    kind : {"prediction", "mape", "classification", "calibration", "net_benefit"}
        Refitted against developed risk with each patient's range; the mean absolute difference,
        or the share of models that classify otherwise, against developed risk; calibration or
        decision curve of every refitted model on the development patients.
    thresholds : array_like, optional
        Threshold probabilities of the decision curves; the range anybody would act in.

    Returns
    -------
    Axes

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> from usstats.instability import Instability
    >>> p = np.linspace(0.1, 0.9, 20)
    >>> result = Instability(original=p, predictions=np.array([p, p**2]), y=(p > 0.5) * 1.0,
    ...                      threshold=0.5, n_failed=0, seed=1)
    >>> plot_instability(result).get_xlabel()
    'Risk by the developed model'
    """
    check_option(kind, (*_DRAW, "net_benefit"), name="kind")
    with journal_style():
        ax = new_axes(ax)
        if kind == "net_benefit":
            _draw_net_benefit(ax, instability.net_benefit_frame(thresholds))
        else:
            _DRAW[kind](ax, instability)
    return ax


def _draw_predictions(ax: Axes, instability: InstabilityTables) -> None:
    cloud = instability.prediction_frame().query("replicate < @MOST_MODELS")
    patients = instability.frame().sort_values("estimate")
    ax.plot(
        cloud["estimate"],
        cloud["prediction"],
        ls="none",
        marker=".",
        ms=1.5,
        mec="none",
        mfc=REFERENCE_GREY,
        alpha=0.18,
        rasterized=True,
        zorder=1,
    )
    level = patients["conf_level"].iloc[0]
    for i, column in enumerate(("conf_low", "conf_high")):
        label = f"{level * 100:g}% range of refitted models" if i == 0 else None
        smooth = _running_median(patients["estimate"], patients[column])
        ax.plot(*smooth, color=OKABE_ITO[1], ls="--", zorder=3, label=label)
    ax.plot([0, 1], [0, 1], color="black", lw=0.8, zorder=2, label="Developed model")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("Risk by the developed model")
    ax.set_ylabel("Risk by the refitted models")
    ax.legend(loc="upper left")


def _running_median(x: pd.Series, y: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """The patients' limits, calmed by the median over neighbours in risk."""
    width = max(len(x) // 20, 1) * 2 + 1
    calm = y.rolling(width, center=True, min_periods=1).median()
    return x.to_numpy(), calm.to_numpy()


def _draw_mape(ax: Axes, instability: InstabilityTables) -> None:
    table = instability.frame()
    _draw_patients(ax, table["estimate"], table["mape"])
    average = table["mape"].mean()
    ax.axhline(average, color=OKABE_ITO[1], ls="--", label=f"Average {rounded(average, 3)}")
    ax.set_ylim(bottom=0)
    ax.set_ylabel("Mean absolute prediction error")
    ax.legend(loc="best")


def _draw_classification(ax: Axes, instability: InstabilityTables) -> None:
    table = instability.frame()
    _draw_patients(ax, table["estimate"], table["classification_instability"])
    ax.set_ylim(-0.02, 1.0)
    ax.set_ylabel("Share of models that classify otherwise")


def _draw_patients(ax: Axes, risk: pd.Series, value: pd.Series) -> None:
    ax.plot(risk, value, ls="none", marker="o", ms=2.5, mec="none", alpha=0.5, color=OKABE_ITO[0])
    ax.set_xlim(0, 1)
    ax.set_xlabel("Risk by the developed model")


def _draw_calibration(ax: Axes, instability: InstabilityTables) -> None:
    ax.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":", zorder=2, label="Ideal")
    _draw_curves(ax, instability.calibration_frame(), "predicted", "observed")
    ax.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    ax.set_xlabel("Predicted risk")
    ax.set_ylabel("Observed proportion")
    ax.legend(loc="upper left")


def _draw_net_benefit(ax: Axes, table: pd.DataFrame) -> None:
    _draw_curves(ax, table, "threshold_probability", "net_benefit")
    ax.axhline(0.0, color="black", lw=0.8, zorder=2, label="Treat none")
    top = table["net_benefit"].max()
    at = table["threshold_probability"]
    if at.max() > at.min():
        ax.set_xlim(at.min(), at.max())
    ax.set_ylim(-0.25 * top, 1.05 * top)
    ax.set_xlabel("Threshold probability")
    ax.set_ylabel("Net benefit")
    ax.legend(loc="upper right")


def _draw_curves(ax: Axes, table: pd.DataFrame, x: str, y: str) -> None:
    """Refitted models in grey, the developed one on top."""
    refitted = table[table["replicate"] >= 0]
    for _, curve in refitted.groupby("replicate"):
        ax.plot(curve[x], curve[y], **_CURVE)
    ax.plot([], [], label="Refitted models", **{**_CURVE, "lw": 0.8, "alpha": 1.0})
    own = table[table["replicate"] < 0]
    ax.plot(own[x], own[y], color=OKABE_ITO[0], zorder=3, label="Developed model")


_DRAW = {
    "prediction": _draw_predictions,
    "mape": _draw_mape,
    "classification": _draw_classification,
    "calibration": _draw_calibration,
}
