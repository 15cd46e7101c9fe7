"""How much the networks of an ensemble disagree; it loads no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, expit, softmax

from usstats._check import check_option
from usstats.errors import RiskError

__all__ = [
    "ensemble_logits",
    "ensemble_probabilities",
    "expected_entropy",
    "member_probabilities",
    "mutual_information",
    "predictive_entropy",
]

Float = np.float64


def member_probabilities(member_logits: ArrayLike) -> NDArray[Float]:
    """Every network's probabilities of every class: the one softmax (or sigmoid) there is.

    Parameters
    ----------
    member_logits : array_like, shape (n_networks, n) or (n_networks, n, 1), or (n_networks, n, K)
        Logits of the event, or of K exclusive classes.

    Returns
    -------
    (n_networks, n, K) float
        K = 2, non-event and event, for a single logit.

    Raises
    ------
    RiskError
        Another shape, or a logit that is not finite.

    Examples
    --------
    >>> member_probabilities([[0.0], [2.0]]).round(3).tolist()
    [[[0.5, 0.5]], [[0.119, 0.881]]]
    """
    s = _checked(member_logits)
    if s.shape[2] > 1:
        return softmax(s, axis=2)
    return np.concatenate([expit(-s), expit(s)], axis=2)


def ensemble_logits(member_logits: ArrayLike) -> NDArray[Float]:
    """Mean logit over the networks, (n,) or (n, K)."""
    mean = _checked(member_logits).mean(axis=0)
    return mean[:, 0] if mean.shape[1] == 1 else mean


def ensemble_probabilities(member_logits: ArrayLike, *, rule: str = "logit") -> NDArray[Float]:
    """Probabilities of the ensemble.

    Parameters
    ----------
    member_logits : as in `member_probabilities`
    rule : {"logit", "probability"}
        Softmax of the mean logit, as `dl.predict` does; or the mean of the networks'
        probabilities, whose entropy `mutual_information` takes apart. The mean of probabilities
        lies nearer to one half.

    Returns
    -------
    (n,) or (n, K) float
        Of the event for a single logit.

    Examples
    --------
    >>> [ensemble_probabilities([[-1.0], [3.0]], rule=rule).round(3).item()
    ...  for rule in ("logit", "probability")]
    [0.731, 0.611]
    """
    check_option(rule, ("logit", "probability"), name="rule")
    s = _checked(member_logits)
    p = member_probabilities(s if rule == "probability" else s.mean(axis=0, keepdims=True))
    mean = p.mean(axis=0)
    return mean[:, 1] if s.shape[2] == 1 else mean


def predictive_entropy(member_logits: ArrayLike) -> NDArray[Float]:
    """Entropy of the mean probabilities, nats, (n,): all uncertainty there is.

    Examples
    --------
    >>> predictive_entropy([[0.0], [0.0]]).round(4).item()  # log 2
    0.6931
    """
    return entr(member_probabilities(member_logits).mean(axis=0)).sum(axis=1)


def expected_entropy(member_logits: ArrayLike) -> NDArray[Float]:
    """Mean entropy of the networks' own probabilities, nats, (n,)."""
    return entr(member_probabilities(member_logits)).sum(axis=2).mean(axis=0)


def mutual_information(member_logits: ArrayLike) -> NDArray[Float]:
    """Predictive entropy less expected entropy, nats, (n,): how much the networks disagree.

    0 where all give the same probabilities, at most log(number of networks) and log(K).

    Raises
    ------
    RiskError

    References
    ----------
    Houlsby et al. (2011), arXiv 1112.5745; Lakshminarayanan et al. (2017), NeurIPS.

    Examples
    --------
    >>> mutual_information([[3.0, 3.0], [3.0, -3.0]]).round(4).tolist()
    [0.0, 0.5023]
    """
    difference = predictive_entropy(member_logits) - expected_entropy(member_logits)
    return np.maximum(difference, 0.0)


def _checked(member_logits: ArrayLike) -> NDArray[Float]:
    s = np.asarray(member_logits, dtype=float)
    s = s[:, :, None] if s.ndim == 2 else s
    if s.ndim != 3 or s.size == 0:
        msg = (
            "`member_logits` must be (n_networks, n) or (n_networks, n, n_classes); "
            f"got shape {np.shape(member_logits)}."
        )
        raise RiskError(msg)
    bad = ~np.isfinite(s).all(axis=(0, 2))
    if bad.any():
        msg = (
            f"`member_logits` must be finite; {bad.sum()} of {len(bad)} cases are not "
            f"(first: case {np.flatnonzero(bad)[0]})."
        )
        raise RiskError(msg)
    return s
