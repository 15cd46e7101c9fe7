"""Nomograms: a model's linear predictor as points on axes. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from usstats._nomogram.axes import AxisOptions, group_axes, group_variables
from usstats._nomogram.model import FittedModel, NomogramModel, check_shown, nomogram_model
from usstats._nomogram.outcome_scale import OutcomeScale, shown_scales
from usstats._nomogram.reading import NomogramReading
from usstats._nomogram.result import READING, Nomogram, OutcomeAxis
from usstats._nomogram.ticks import pretty
from usstats.design import DesignSpec
from usstats.errors import ArgumentError, DesignError

__all__ = ["FittedModel", "Nomogram", "NomogramReading", "build_nomogram"]

Float = np.float64
Vector = NDArray[Float]

#: A tick this far beyond the end of an axis, as a share of it, still stands on it.
_ON_AXIS = 1e-9
#: An axis is folded where it turns back by more than this share of the highest points.
LEAST_TURN = 0.003


def build_nomogram(
    fit: FittedModel,
    *,
    max_points: float = 100,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    ticks: Mapping[str, Sequence[float]] | None = None,
    hold: Mapping[str, Sequence[float]] | None = None,
    lp_ticks: Sequence[float] | None = None,
    risk_ticks: Sequence[float] | None = None,
    times: float | Sequence[float] | None = None,
    scales: Sequence[str] | None = None,
    time_unit: str = "",
) -> Nomogram:
    """Turn a fitted model into the axes of a nomogram.

    Parameters
    ----------
    fit : LogisticFit, PooledFit or CoxFit
        Anything with `params`, `covariance`, `spec` and `linear_predictor`; one with a `baseline`
        hazard is a survival model.
    max_points : float
        Points of the axis with the widest effect.
    ranges : mapping of str to (low, high), optional
        Ranges of axes instead of those of development data.
    ticks : mapping of str to sequence of float, optional
        Values of axes. By default R's pretty(range, 10) for a number (1-2-5 steps for a log term,
        probabilities denser towards 0 and 1 for a logit term), its values where there are at most
        ten, all levels of a factor.
    hold : mapping of str to sequence of float, optional
        Values of an interacting number: the variable it interacts with gets one axis for each.
        Needed where two continuous variables interact.
    lp_ticks, risk_ticks : sequence of float, optional
        Values of the lower axes; a survival axis shows their complements.
    times : float or sequence of float, optional
        Horizons of a Cox model; the first is the one `risk` and a cut-off refer to.
    scales : sequence of {"survival", "risk", "median"}, optional
        Lower axes of a Cox model; by default survival and risk at each time.
    time_unit : str
        Unit of follow-up in the names of these axes, "months".

    Returns
    -------
    Nomogram

    Raises
    ------
    ArgumentError
        Options of an unknown variable, backwards or outside a term's domain; times beyond
        follow-up or before the first event.
    DesignError
        Two continuous variables interact and neither is held, or an interaction needs too many
        axes.

    Notes
    -----
    Points are scaled over axis values, which reach beyond the data, as in R's `rms::nomogram`.
    Variables that interact share one set of axes, one for each combination of levels (of held
    values); a patient is read off one of them, and for a value between two held ones the points
    are computed from the model. The arithmetic is exact: points add up to the model's prediction.

    Examples
    --------
    >>> from usstats.logistic import fit_logistic
    >>> import pandas as pd
    >>> data = pd.DataFrame({"y": [0, 0, 1, 0, 1, 1], "x": [0.0, 12, 21, 33, 40, 50]})
    >>> nomogram = build_nomogram(fit_logistic("y ~ x", data))
    >>> nomogram.points(x=25.0).total
    50.0
    """
    if not hasattr(fit, "spec"):
        msg = (
            f"`fit` must be a fitted model such as fit_logistic returns; got {type(fit).__name__}."
        )
        raise ArgumentError(msg)
    options = AxisOptions(ranges=ranges or {}, ticks=ticks or {}, hold=hold or {})
    _check_options(fit.spec, max_points, options)
    at, kinds = check_shown(fit, times, scales)
    shown = shown_scales(kinds, at.tolist())
    return draw_up(
        nomogram_model(fit, times=at, median="median" in kinds, unit=str(time_unit)),
        options,
        max_points=float(max_points),
        horizon=float(at[0]) if at.size else None,
        lp_ticks=lp_ticks,
        shown=[(kind, time, _ticks_of(kind, risk_ticks)) for kind, time in shown],
    )


def draw_up(
    model: NomogramModel,
    options: AxisOptions,
    *,
    max_points: float,
    horizon: float | None,
    lp_ticks: Sequence[float] | None,
    shown: Sequence[tuple[str, float | None, Sequence[float] | None]],
) -> Nomogram:
    """Axes, scale and ticks of a model; `shown` holds kind, time and ticks of each lower axis.

    Raises
    ------
    DesignError
        No variable moves the linear predictor, or an interaction cannot be drawn.
    """
    groups = [
        group_axes(model.spec, model.slopes, model.reference, names, options)
        for names in group_variables(model.spec)
    ]
    widest = max(group.most - group.least for group in groups)
    if not widest > 0:
        msg = "No variable moves the linear predictor; there is nothing to draw."
        raise DesignError(msg)
    scale = max_points / widest
    at_zero = model.reference.lp + sum(group.lowest for group in groups)
    largest = sum(group.most - group.least for group in groups)
    totals = pretty(0, largest * scale)
    reach = at_zero, at_zero + totals[-1] / scale
    lps = pretty(at_zero, at_zero + largest) if lp_ticks is None else lp_ticks
    made = model.scales([("risk", horizon), *((kind, time) for kind, time, _ in shown)])
    return Nomogram(
        model=model,
        groups=tuple(group.with_points(scale, LEAST_TURN * max_points) for group in groups),
        max_points=max_points,
        points_per_lp=scale,
        lp_at_zero=at_zero,
        total_ticks=tuple(totals),
        lp_ticks=_within(lps, reach),
        outcomes=tuple(
            _outcome_axis(scale, ticks, reach)
            for scale, (_, _, ticks) in zip(made[1:], shown, strict=True)
        ),
        risk_scale=made[0],
    )


def _outcome_axis(
    scale: OutcomeScale, given: Sequence[float] | None, reach: tuple[float, float]
) -> OutcomeAxis:
    ticks = scale.ticks(*reach) if given is None else given
    inside = _within(scale.to_lp(ticks), reach)
    kept = [float(tick) for tick, lp in zip(ticks, scale.to_lp(ticks), strict=True) if lp in inside]
    return OutcomeAxis(scale=scale, ticks=tuple(kept))


def _within(values: Iterable[float], reach: tuple[float, float]) -> tuple[float, ...]:
    """Those that total points can reach."""
    slack = _ON_AXIS * (reach[1] - reach[0])
    return tuple(float(v) for v in values if reach[0] - slack <= v <= reach[1] + slack)


def _ticks_of(kind: str, risks: Sequence[float] | None) -> Sequence[float] | None:
    """Ticks of an axis where those of the risk were given."""
    if risks is None or kind == "median":
        return None
    given = [float(risk) for risk in risks]
    if not all(0 < risk < 1 for risk in given):
        msg = f"`risk_ticks` must lie strictly between 0 and 1; got {given}."
        raise ArgumentError(msg)
    return given if kind == "risk" else [round(1 - risk, 12) for risk in given]


def _check_options(spec: DesignSpec, max_points: float, options: AxisOptions) -> None:
    numeric = [name for name, term in spec.mains.items() if term.type != "factor"]
    for name in [*options.ranges, *options.ticks, *options.hold]:
        if name not in numeric:
            msg = (
                f"`ranges`, `ticks` and `hold` are for numeric variables, {numeric}; got {name!r}."
            )
            raise ArgumentError(msg)
    interacting = {part for term in spec.terms for part in term.parts}
    alone = [name for name in options.hold if name not in interacting]
    if alone:
        msg = f"`hold` is for variables that interact, {sorted(interacting)}; got {alone}."
        raise ArgumentError(msg)
    if not 0 < max_points < float("inf"):
        msg = f"`max_points` must be positive; got {max_points!r}."
        raise ArgumentError(msg)
    taken = [name for name in spec.variables if name in READING]
    if taken:
        msg = f"Variables cannot be called {taken} in a nomogram; rename them."
        raise DesignError(msg)
