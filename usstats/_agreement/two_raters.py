"""Chance-corrected agreement of two raters."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._agreement.ratings import agreement_weights, paired_ratings, read_ratings
from usstats._check import check_cluster
from usstats._influence import bounded_interval, influence_se, warn_of_no_variance
from usstats._intervals import check_conf_level, two_sided_p
from usstats.errors import SmallSampleWarning
from usstats.results import Estimate

Float = np.float64


@dataclass(frozen=True, kw_only=True, repr=False)
class Kappa(Estimate):
    """A chance-corrected coefficient of agreement.

    Attributes
    ----------
    observed, expected : float
        (Weighted) agreement seen, and that which chance would give.
    statistic, p_value : float
        Test that agreement is no better than chance, with the variance under that hypothesis;
        NaN where none is defined. Of little interest: read the interval.
    levels : tuple
        The categories.
    """

    observed: float
    expected: float
    statistic: float = np.nan
    p_value: float = np.nan
    levels: tuple[Any, ...] = ()


def cohen_kappa(
    rater_1: ArrayLike,
    rater_2: ArrayLike,
    *,
    weights: str | ArrayLike | None = None,
    levels: Sequence[Any] | None = None,
    cluster: ArrayLike | None = None,
    conf_level: float = 0.95,
) -> Kappa:
    """Cohen's kappa, weighted or not.

    Parameters
    ----------
    rater_1, rater_2 : array_like, shape (n,)
        Categories given to the same n images by two raters.
    weights : {None, "linear", "quadratic"} or array_like, shape (q, q)
        Partial credit for neighbouring categories, which then need an order.
    levels : sequence, optional
        All categories, from lowest to highest.
    cluster : array_like, shape (n,), optional
        Patient labels: the interval then counts patients.
    conf_level : float

    Returns
    -------
    Kappa

    Raises
    ------
    ArgumentError, PairingError, MissingDataError

    Warns
    -----
    SmallSampleWarning
        Both raters used one category only: kappa is NaN. They agree everywhere: no interval.

    References
    ----------
    Cohen (1960), Educ Psychol Meas 20:37; Fleiss, Cohen and Everitt (1969), Psychol Bull 72:323.
    R: vcd::Kappa (interval), irr::kappa2 (test).

    Examples
    --------
    >>> cohen_kappa([0, 0, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0])
    <cohen_kappa 0.667 (95 % 0.104 to 1.000), fleiss-cohen-everitt; n = 6, unit: case>
    """
    table = read_ratings(paired_ratings(rater_1, rater_2), levels=levels, complete=True)
    w = agreement_weights(weights, table)
    patients = check_cluster(cluster, table.n)
    first, second = table.codes.T
    q = len(table.levels)
    p_1, p_2 = (np.bincount(codes, minlength=q) / table.n for codes in (first, second))
    observed, expected = float(w[first, second].mean()), float(p_1 @ w @ p_2)
    kappa = _corrected(observed, expected)
    row, column = w @ p_2, w.T @ p_1
    influence = w[first, second] - (row[first] + column[second]) * (1 - kappa)
    influence = (influence - (kappa - expected * (1 - kappa))) / _beyond_chance(expected)
    std_error = influence_se(influence / table.n, patients)
    warn_of_no_variance("kappa", kappa, std_error)
    low, high = bounded_interval(kappa, std_error, check_conf_level(conf_level), low=-1.0)
    null_variance = _null_variance(w, p_1, p_2, row, column, expected) / table.n
    statistic = kappa / np.sqrt(null_variance) if null_variance > 0 else np.nan
    return Kappa(
        measure="cohen_kappa",
        estimate=kappa,
        std_error=std_error,
        conf_low=low,
        conf_high=high,
        conf_level=conf_level,
        method="fleiss-cohen-everitt",
        n=table.n,
        n_event=None,
        n_cluster=None if patients is None else int(patients.max()) + 1,
        observed=observed,
        expected=expected,
        statistic=float(statistic),
        p_value=float(two_sided_p(statistic)),
        levels=table.levels,
    )


def _beyond_chance(expected: float) -> float:
    return 1 - expected if expected < 1 else np.nan


def _corrected(observed: float, expected: float) -> float:
    """(observed - expected) / (1 - expected)."""
    if expected >= 1:
        msg = "Only one category was used: chance agreement is complete and kappa is NaN."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)
    return (observed - expected) / _beyond_chance(expected)


def _null_variance(
    w: NDArray[Float],
    p_1: NDArray[Float],
    p_2: NDArray[Float],
    row: NDArray[Float],
    column: NDArray[Float],
    expected: float,
) -> float:
    """n times the variance of kappa when the raters are independent (equation 8 of the paper)."""
    spread = (w - np.add.outer(row, column)) ** 2
    return float((p_1 @ spread @ p_2 - expected**2) / _beyond_chance(expected) ** 2)
