"""Temperature scaling of out-of-fold logits (Guo et al. 2017); it loads no torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

__all__ = ["Temperatures", "fit_temperature", "fit_temperatures"]

Loss = Callable[[float], NDArray[np.float64]]

#: A temperature outside this range says that the logits are useless or separate the classes.
BOUNDS = (0.05, 20.0)


@dataclass(frozen=True, kw_only=True)
class Temperatures:
    """Temperatures of a cross-validated network.

    Attributes
    ----------
    by_fold : dict
        Fold -> temperature fitted on the out-of-fold logits of the *other* folds. A patient's
        calibrated probability therefore never used the patient's own outcome.
    overall : float
        Fitted on all out-of-fold logits; for patients of other cohorts.
    """

    by_fold: dict[int, float]
    overall: float

    def of(self, fold: ArrayLike) -> NDArray[np.float64]:
        """Temperature of every row by its fold."""
        return np.array([self.by_fold[int(k)] for k in np.asarray(fold)])

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Temperatures:
        """Read back what `to_dict` gave, through JSON."""
        by_fold = {int(k): float(value) for k, value in content["by_fold"].items()}
        return cls(by_fold=by_fold, overall=float(content["overall"]))


def fit_temperature(logit: ArrayLike, y: ArrayLike, *, weights: ArrayLike | None = None) -> float:
    """The T that minimises the log-loss of sigmoid(logit / T), or of softmax(logit / T).

    Parameters
    ----------
    logit : array_like, shape (n,) or (n, K)
        Of the event, or of K classes.
    y : array_like of 0/1, or of 0 to K - 1, shape (n,)
    weights : array_like, shape (n,), optional

    Returns
    -------
    float
        Inside 0.05 to 20; the loss is convex in 1 / T.

    Examples
    --------
    >>> fit_temperature([-4, -4, -4, 4, 4, 4], [0, 0, 1, 1, 1, 0])
    5.77...
    """
    s, outcome = np.asarray(logit, dtype=float), np.asarray(y)
    w = np.ones(len(s)) if weights is None else np.asarray(weights, dtype=float)
    loss = _softmax_loss(s, outcome) if s.ndim == 2 else _sigmoid_loss(s, outcome)
    fit = minimize_scalar(
        lambda log_t: float(w @ loss(np.exp(-log_t))),
        bounds=tuple(np.log(BOUNDS)),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return float(np.exp(fit.x))


def _sigmoid_loss(s: NDArray[np.float64], y: NDArray[Any]) -> Loss:
    """Log-loss of every row as a function of 1 / T."""
    margin = np.where(y == 1, -s, s)
    return lambda steepness: np.logaddexp(0, margin * steepness)


def _softmax_loss(s: NDArray[np.float64], y: NDArray[Any]) -> Loss:
    behind = s - s[np.arange(len(s)), y.astype(int)][:, None]
    return lambda steepness: logsumexp(behind * steepness, axis=1)


def fit_temperatures(
    logit: ArrayLike, y: ArrayLike, fold: ArrayLike, patient: ArrayLike
) -> Temperatures:
    """Temperatures for every fold and for other cohorts; every patient counts once.

    The logits of the other folds come from networks that were trained on this fold's patients;
    a single number cannot carry much of that, but it is not nothing.

    Examples
    --------
    >>> t = fit_temperatures([-4, 4, -4, 4, -4, 4], [0, 1, 1, 1, 0, 0], [0, 0, 1, 1, 2, 2],
    ...                      list("abcdef"))
    >>> sorted(t.by_fold), t.by_fold[0] > t.overall
    ([0, 1, 2], True)
    """
    s, outcome, k = np.asarray(logit, dtype=float), np.asarray(y), np.asarray(fold)
    _, codes, counts = np.unique(np.asarray(patient), return_inverse=True, return_counts=True)
    w = 1 / counts[codes]
    by_fold = {
        int(own): fit_temperature(s[k != own], outcome[k != own], weights=w[k != own])
        for own in np.unique(k)
    }
    return Temperatures(by_fold=by_fold, overall=fit_temperature(s, outcome, weights=w))
