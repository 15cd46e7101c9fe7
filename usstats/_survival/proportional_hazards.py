"""Does a hazard ratio stay the same over time: Grambsch and Therneau's score test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, special

from usstats._check import check_option
from usstats._fits.scaling import scale_columns
from usstats._survival.censoring import FollowUp, event_curve
from usstats._survival.partial_likelihood import PartialLikelihood
from usstats.errors import ArgumentError

if TYPE_CHECKING:
    from usstats._survival.cox_data import CoxData
    from usstats.survival import CoxFit

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

TRANSFORMS = ("km", "identity", "log")


def proportional_hazards_table(fit: CoxFit, transform: str) -> pd.DataFrame:
    """One row a term and a global one; see `CoxFit.proportional_hazards`."""
    check_option(transform, TRANSFORMS, name="transform")
    data = fit.development
    if data is None or fit.penalty is not None:
        why = "the data; this model was read from a file" if data is None else "no penalty"
        msg = f"The test of proportional hazards needs a fit with {why}."
        raise ArgumentError(msg)
    scaling = scale_columns(data.X)
    Z, spread = scaling.apply(data.X)[:, 1:], scaling.spread[1:]
    likelihood = PartialLikelihood.of(Z, data.time, data.y, ties=fit.ties)
    score, information = _augmented(
        likelihood, fit.params.to_numpy(dtype=float) * spread, _clock(data, transform)
    )
    k = Z.shape[1]
    blocks = {name: [j - 1 for j in places] for name, places in fit.spec.blocks.items()}
    rows = [
        {"term": name, "statistic": _statistic(score, information, places), "df": len(places)}
        for name, places in [*blocks.items(), ("GLOBAL", range(k))]
    ]
    frame = pd.DataFrame(rows)
    p_value = special.chdtrc(frame["df"], frame["statistic"])
    return frame.assign(p_value=p_value, method=f"score test, {transform} time")


def _clock(data: CoxData, transform: str) -> Vector:
    """g(t) of every event, in order of time, about its mean."""
    times = np.sort(data.time[data.y == 1])
    if transform == "km":
        clock = 1 - event_curve(FollowUp(data.time, data.y)).before(times)
    elif transform == "log":
        if times[0] == 0:
            msg = f'transform="log" needs positive event times; `{data.time_name}` holds 0.'
            raise ArgumentError(msg)
        clock = np.log(times)
    else:
        clock = times / times[-1]
    return np.asarray(clock - clock.mean())


def _augmented(likelihood: PartialLikelihood, beta: Vector, clock: Vector) -> tuple[Vector, Matrix]:
    """Score of the slopes in g(t), and the information of coefficients and slopes together."""
    seen = likelihood.at_events(beta)
    score = clock @ (likelihood.Z[likelihood.rows] - seen.mean)
    still, cross, own = (likelihood.information(seen, clock**power) for power in range(3))
    return score, np.block([[still, cross], [cross, own]])


def _statistic(score: Vector, information: Matrix, places: Sequence[int]) -> float:
    """Score test of some slopes, the coefficients being estimated."""
    k = score.size
    kept = [*range(k), *(k + j for j in places)]
    gradient = np.concatenate([np.zeros(k), score[list(places)]])
    solved = linalg.solve(information[np.ix_(kept, kept)], gradient, assume_a="sym")
    return float(gradient @ solved)
