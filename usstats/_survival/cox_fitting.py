"""Maximum (penalised) partial likelihood, and the directions along which it has no maximum.

Our own Newton, not lifelines': lifelines has no Breslow ties, no score test and no baseline
hazard of Efron's kind, and stops where coefficients are right to five digits only. The tests hold
the two against each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse

from usstats._fits.newton import MAX_ITERATIONS, climb
from usstats._fits.ridge import penalty_factors, penalty_matrix
from usstats._fits.scaling import scale_columns
from usstats._survival.baseline import Baseline, baseline_hazard
from usstats._survival.cox_data import CoxData
from usstats._survival.partial_likelihood import PartialLikelihood
from usstats.errors import FitError, SeparationError

Float = np.float64
Vector = NDArray[Float]
Matrix = NDArray[Float]

#: Beyond this spread of the linear predictor the data are looked at for a monotone likelihood.
SUSPICIOUS_SPREAD = 15.0
#: A margin below this is zero to the linear programme.
NOTHING = 1e-7
#: An event this far below the highest, as a share of the spread, still ranks first.
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class CoxSolution:
    """The maximum of a (penalised) partial likelihood, on the original scale."""

    params: Vector
    covariance: Matrix
    log_likelihood: float
    null_log_likelihood: float
    score_chi2: float
    means: Vector
    baseline: Baseline
    n_iter: int
    penalty: Mapping[str, float] | None
    effective_df: float | None


def maximise_cox(
    data: CoxData, *, ties: str, penalty: float | Mapping[str, float] | None
) -> CoxSolution:
    """Newton's method on centred and scaled columns.

    Raises
    ------
    FitError, SeparationError, ArgumentError
    """
    scaling = scale_columns(data.X)
    Z, spread = scaling.apply(data.X)[:, 1:], scaling.spread[1:]
    factors = None if penalty is None else penalty_factors(penalty)
    P = (
        None
        if factors is None
        else penalty_matrix(data, factors)[1:, 1:] / np.outer(spread, spread)
    )
    likelihood = PartialLikelihood.of(Z, data.time, data.y, ties=ties, penalty=P)
    beta, information, n_iter = _climb(likelihood, data)
    start, gradient, at_zero = likelihood.derivatives(np.zeros_like(beta))
    inverse = _inverse(information + likelihood.penalty)
    return CoxSolution(
        params=beta / spread,
        covariance=_covariance(likelihood, beta, inverse, data) / np.outer(spread, spread),
        log_likelihood=likelihood.derivatives(beta)[0],
        null_log_likelihood=start,
        score_chi2=float(gradient @ _inverse(at_zero + likelihood.penalty) @ gradient),
        means=scaling.centre[1:],
        baseline=baseline_hazard(likelihood, beta, spread, last=float(data.time.max())),
        n_iter=n_iter,
        penalty=factors,
        effective_df=None if P is None else float(np.trace(inverse @ information)),
    )


def _climb(likelihood: PartialLikelihood, data: CoxData) -> tuple[Vector, Matrix, int]:
    k = likelihood.Z.shape[1]
    try:
        beta, information, n_iter = climb(likelihood, np.zeros(k), MAX_ITERATIONS)
    except FitError:
        refuse_monotone(likelihood, data)
        msg = (
            f"The partial likelihood of `{data.time_name}` was not maximised in "
            f"{MAX_ITERATIONS} Newton steps. Use fewer terms, or a `penalty`."
        )
        raise FitError(msg) from None
    if not likelihood.penalty.any() and np.ptp(likelihood.Z @ beta) > SUSPICIOUS_SPREAD:
        refuse_monotone(likelihood, data)
    return beta, information, n_iter


def _inverse(information: Matrix) -> Matrix:
    return np.asarray(linalg.cho_solve(linalg.cho_factor(information), np.eye(len(information))))


def _covariance(
    likelihood: PartialLikelihood, beta: Vector, inverse: Matrix, data: CoxData
) -> Matrix:
    """Inverse information, or the sandwich of the patients' scores (Lin and Wei 1989)."""
    if data.cluster is None:
        return inverse
    residuals = likelihood.score_residuals(beta)
    scores = np.zeros((int(data.cluster.max()) + 1, beta.size))
    np.add.at(scores, data.cluster, residuals)
    half = scores @ inverse
    return np.asarray(half.T @ half)


def refuse_monotone(likelihood: PartialLikelihood, data: CoxData) -> None:
    """Name the variables along which the partial likelihood rises without end.

    Raises
    ------
    SeparationError
    """
    spec = data.spec
    blocks = {name: [j - 1 for j in places] for name, places in spec.blocks.items()}
    direction = monotone_direction(likelihood)
    if not direction.any():
        return
    alone = [
        name
        for name, columns in blocks.items()
        if monotone_direction(likelihood.with_columns(columns)).any()
    ]
    culprits = alone or [name for name, columns in blocks.items() if direction[columns].any()]
    names = ", ".join(f"`{name}`" for name in culprits)
    msg = (
        f"Monotone likelihood: at every event {names} {'is' if len(culprits) == 1 else 'are'} "
        "extreme among the patients at risk, so that the estimate is infinite (for example, a "
        f"level without events; {int(data.y.sum())} events in {data.y.size} rows). Merge levels, "
        "leave the variable out, or pass a `penalty`."
    )
    raise SeparationError(msg)


def monotone_direction(likelihood: PartialLikelihood) -> Vector:
    """A direction in which every event ranks first among those at risk; zero if there is none.

    Maximise the sum over events of (x_event - mean at risk)'b with |b| <= 1, no event being below
    anybody at risk with it. One extra variable for each event time, the highest x'b from then on,
    keeps the number of constraints linear in the rows.
    """
    k, m = likelihood.Z.shape[1], likelihood.times.size
    mean = likelihood.at_events(np.zeros(k)).mean
    gain = (likelihood.Z[likelihood.rows] - mean).sum(axis=0)
    A = _ranks_first(likelihood)
    found = optimize.linprog(
        np.concatenate([-gain, np.zeros(m)]),
        A_ub=A,
        b_ub=np.zeros(A.shape[0]),
        bounds=[(-1, 1)] * k + [(None, None)] * m,
        method="highs",
    )
    if found.status != 0:
        msg = f"The linear programme for a monotone likelihood was not solved: {found.message}"
        raise FitError(msg)
    direction = np.where(np.abs(found.x[:k]) > NOTHING, found.x[:k], 0.0)
    lp = likelihood.Z @ direction
    holds = likelihood.shortfall(lp).max() <= ROUNDING * np.ptp(lp)
    return direction if holds and gain @ direction > NOTHING else np.zeros(k)


def _ranks_first(likelihood: PartialLikelihood) -> sparse.csr_array:
    """Constraints A (b, highest) <= 0: nobody at risk above the highest, no event below it."""
    Z, m, group = likelihood.Z, likelihood.times.size, likelihood.group
    at_risk = np.flatnonzero(likelihood.passed > 0)
    everybody = [sparse.csr_array(Z[at_risk]), -_picks(likelihood.passed[at_risk] - 1, m)]
    later = _picks(np.arange(1, m), m) - _picks(np.arange(m - 1), m)
    falling = [sparse.csr_array((m - 1, Z.shape[1])), later]
    events = [-sparse.csr_array(Z[likelihood.rows]), _picks(group, m)]
    rows = [sparse.hstack(row) for row in (everybody, falling, events)]
    return sparse.csr_array(sparse.vstack(rows))


def _picks(columns: NDArray[np.int64], width: int) -> sparse.csr_array:
    """A 0/1 matrix with one entry a row."""
    rows = np.arange(len(columns))
    return sparse.csr_array((np.ones(len(columns)), (rows, columns)), shape=(len(rows), width))
