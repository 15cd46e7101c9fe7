"""Likelihood-ratio tests of whole terms: the model refitted without some of its columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from usstats._fits.firth import Profile
from usstats._fits.newton import newton_logistic
from usstats._fits.prepared import Prepared
from usstats._fits.wald import chi2_table
from usstats.errors import ArgumentError

#: Twice the loss in log-likelihood when the columns at some positions are left out.
Loss = Callable[[Sequence[int]], float]

#: What the likelihood of each method is called; the others have none with a chi-square law.
NAMES = {
    "ml": "likelihood ratio",
    "firth": "penalised likelihood ratio",
    "flic": "penalised likelihood ratio",
}


def likelihood_ratio_table(
    data: Prepared | None, log_likelihood: float, *, method: str, clustered: bool
) -> pd.DataFrame:
    """Tests of every variable, its curvature and its interactions, rows as `wald.anova_table`.

    Parameters
    ----------
    data : Prepared or None
        What the model was developed on; None for a model read from a file.
    log_likelihood : float
        Of the whole model.
    method : str
        "ml"; or "firth" and "flic", whose penalised likelihood keeps the determinant of the full
        information matrix.
    clustered : bool
        Whether rows belong to patients.

    Raises
    ------
    ArgumentError
        Another method, clustered rows, or a model read from a file.
    """
    if method not in NAMES:
        msg = (
            f'`test`="lr" is offered for {", ".join(NAMES)}: the likelihood of a {method} fit is '
            'not that of a chi-square test. Use test="wald", or refit.'
        )
        raise ArgumentError(msg)
    if clustered:
        msg = (
            '`test`="lr" takes rows of one patient for independent; this model has a `cluster`. '
            'Use test="wald", whose covariance is the sandwich over patients.'
        )
        raise ArgumentError(msg)
    if data is None:
        msg = '`test`="lr" refits the model and needs its data; this model was read from a file.'
        raise ArgumentError(msg)
    loss = _loss(data, log_likelihood) if method == "ml" else Profile.of(data).without
    return chi2_table(data.spec, loss, method=NAMES[method])


def _loss(data: Prepared, log_likelihood: float) -> Loss:
    def of(positions: Sequence[int]) -> float:
        rest = np.delete(data.X, list(positions), axis=1)
        return 2 * (log_likelihood - newton_logistic(rest, data.y, data.weights).log_likelihood)

    return of
