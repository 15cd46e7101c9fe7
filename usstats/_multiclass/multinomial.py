"""The baseline-category logit: its likelihood, and fits with coefficients shared at will."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, special

from usstats._calibration.recalibration import cluster_sums
from usstats._fits.newton import MAX_ITERATIONS, climb
from usstats._multiclass.labels import Codes
from usstats.errors import FitError

Float = np.float64
Matrix = NDArray[Float]


@dataclass(frozen=True, kw_only=True)
class Multinomial:
    """Log-likelihood of log P(class k) / P(reference) = offset_k + D_k beta.

    Attributes
    ----------
    design : ndarray, shape (K - 1, n, q)
        D of every class but the reference.
    offset, indicator : ndarray, shape (K - 1, n)
    """

    design: Matrix
    offset: Matrix
    indicator: Matrix

    @property
    def penalty(self) -> Matrix:
        """None: maximum likelihood."""
        q = self.design.shape[2]
        return np.zeros((q, q))

    def probabilities(self, beta: NDArray[Float]) -> tuple[float, Matrix]:
        """Log-likelihood, and the probability of every class but the reference."""
        eta = self.offset + self.design @ beta
        total = special.logsumexp(np.vstack([np.zeros(eta.shape[1]), eta]), axis=0)
        return float((self.indicator * eta).sum() - total.sum()), np.exp(eta - total)

    def scores(self, p: Matrix) -> Matrix:
        """Derivative of each case's log-likelihood; shape (n, q)."""
        return np.asarray(np.einsum("knq,kn->nq", self.design, self.indicator - p))

    def derivatives(self, beta: NDArray[Float]) -> tuple[float, NDArray[Float], Matrix]:
        """Log-likelihood, its gradient, and the information."""
        value, p = self.probabilities(beta)
        weighted = self.design * p[:, :, None]
        mean = weighted.sum(axis=0)
        information = np.einsum("knq,knr->qr", weighted, self.design, optimize=True)
        return value, self.scores(p).sum(axis=0), information - mean.T @ mean


def fit_multinomial(
    design: Matrix, offset: Matrix, indicator: Matrix, cluster: Codes | None
) -> tuple[NDArray[Float], Matrix]:
    """Estimates and their covariance, a sandwich over patients where there are several images.

    Raises
    ------
    FitError
        No finite maximum.
    """
    model = Multinomial(design=design, offset=offset, indicator=indicator)
    beta, information, _ = climb(model, np.zeros(design.shape[2]), MAX_ITERATIONS)
    try:
        covariance = linalg.inv(information)
    except linalg.LinAlgError:
        msg = "The information matrix is singular at the maximum."
        raise FitError(msg) from None
    if cluster is None:
        return beta, covariance
    scores = cluster_sums(model.scores(model.probabilities(beta)[1]), cluster)
    return beta, np.asarray(covariance @ scores.T @ scores @ covariance)
