"""Kinds of calibration: functions of a logit that rise, stored as JSON; it loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, log_softmax, logsumexp, softmax

from usstats.errors import ArgumentError

__all__ = [
    "KINDS",
    "Calibrator",
    "CrossFitted",
    "Isotonic",
    "Platt",
    "Temperature",
    "Uncalibrated",
    "calibrator_from_dict",
    "class_log_odds",
]

Floats = NDArray[np.float64]


class Calibrator(Protocol):
    """What every kind of calibration can do."""

    kind: ClassVar[str]

    def apply(self, logit: ArrayLike) -> Floats:
        """Probabilities: of the event from (n,) logits, of every class from (n, K)."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, `kind` among them."""


class _Stored:
    """Fields as plain JSON types under the name of the kind."""

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, `kind` among them."""
        return {"kind": self.kind} | asdict(self)


@dataclass(frozen=True, kw_only=True)
class Uncalibrated(_Stored):
    """The network's own sigmoid or softmax.

    Examples
    --------
    >>> Uncalibrated().apply([0.0]).tolist()
    [0.5]
    """

    kind: ClassVar[str] = "none"

    def apply(self, logit: ArrayLike) -> Floats:
        """Probabilities of (n,) or (n, K) logits."""
        return _to_probability(np.asarray(logit, dtype=float))


@dataclass(frozen=True, kw_only=True)
class Temperature(_Stored):
    """sigmoid(logit / T) or softmax(logits / T) (Guo et al. 2017).

    Examples
    --------
    >>> Temperature(temperature=2.0).apply([0.0, 2.0]).round(3).tolist()
    [0.5, 0.731]
    """

    kind: ClassVar[str] = "temperature"
    temperature: float

    def apply(self, logit: ArrayLike) -> Floats:
        """Probabilities of (n,) or (n, K) logits."""
        return _to_probability(np.asarray(logit, dtype=float) / self.temperature)


@dataclass(frozen=True, kw_only=True)
class Platt(_Stored):
    """sigmoid(a + b logit); of several classes softmax(a + b log p), a and b for each class.

    The latter is vector scaling (Guo et al. 2017) of the log-probabilities, so that a constant
    added to all of an image's logits changes nothing.

    Attributes
    ----------
    intercept, slope : tuple of float
        One, or one a class.

    Examples
    --------
    >>> Platt(intercept=(-1.0,), slope=(0.5,)).apply([2.0, 4.0]).round(3).tolist()
    [0.5, 0.731]
    """

    kind: ClassVar[str] = "platt"
    intercept: tuple[float, ...]
    slope: tuple[float, ...]

    def apply(self, logit: ArrayLike) -> Floats:
        """Probabilities of (n,) or (n, K) logits."""
        s = np.asarray(logit, dtype=float)
        if s.ndim == 1:
            return _to_probability(self.intercept[0] + self.slope[0] * s)
        linear = np.asarray(self.intercept) + np.asarray(self.slope) * log_softmax(s, axis=1)
        return _to_probability(linear)


@dataclass(frozen=True, kw_only=True)
class Isotonic(_Stored):
    """A rising curve of straight pieces (Zadrozny and Elkan 2002), flat beyond its ends.

    Of several classes one curve a class, of its log-odds against all others, and the values are
    divided by their sum.

    Attributes
    ----------
    logit, probability : tuple of tuples of float
        The corners of each curve.

    Examples
    --------
    >>> Isotonic(logit=((-1.0, 1.0),), probability=((0.2, 0.8),)).apply([-9.0, 0.0]).tolist()
    [0.2, 0.5]
    """

    kind: ClassVar[str] = "isotonic"
    logit: tuple[tuple[float, ...], ...]
    probability: tuple[tuple[float, ...], ...]

    def apply(self, logit: ArrayLike) -> Floats:
        """Probabilities of (n,) or (n, K) logits."""
        s = np.asarray(logit, dtype=float)
        if s.ndim == 1:
            return np.interp(s, self.logit[0], self.probability[0])
        curves = zip(class_log_odds(s).T, self.logit, self.probability, strict=True)
        p = np.stack([np.interp(odds, x, y) for odds, x, y in curves], axis=1)
        return p / p.sum(axis=1, keepdims=True)


_CLASSES: dict[str, type[Any]] = {
    each.kind: each for each in (Uncalibrated, Temperature, Platt, Isotonic)
}
#: The kinds there are: none, temperature, platt, isotonic.
KINDS = tuple(_CLASSES)


def calibrator_from_dict(content: Mapping[str, Any]) -> Calibrator:
    """Read back what `to_dict` gave, through JSON.

    Raises
    ------
    ArgumentError
        An unknown kind, or other fields than it has.

    Examples
    --------
    >>> calibrator_from_dict({"kind": "temperature", "temperature": 1.5})
    Temperature(temperature=1.5)
    """
    values = {name: _tuples(value) for name, value in dict(content).items() if name != "kind"}
    known = _CLASSES.get(str(content.get("kind")))
    try:
        return known(**values)
    except TypeError:
        msg = f"Not a calibration of a kind that is known ({', '.join(KINDS)}): {sorted(content)}."
        raise ArgumentError(msg) from None


@dataclass(frozen=True, kw_only=True)
class CrossFitted:
    """Calibrators of a cross-validated network.

    Attributes
    ----------
    by_fold : dict
        Fold -> calibrator fitted on the out-of-fold logits of the *other* folds. A patient's
        calibrated probability therefore never used the patient's own outcome.
    overall : Calibrator
        Fitted on all out-of-fold logits; for patients of other cohorts.
    """

    by_fold: dict[int, Calibrator]
    overall: Calibrator

    def apply(self, logit: ArrayLike, fold: ArrayLike | None = None) -> Floats:
        """Probabilities of (n,) or (n, K) logits, each by the calibrator of its fold."""
        s = np.asarray(logit, dtype=float)
        if fold is None:
            return self.overall.apply(s)
        folds, p = np.asarray(fold), np.full_like(s, np.nan)
        for own in np.unique(folds):
            p[folds == own] = self.by_fold[int(own)].apply(s[folds == own])
        return p

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        by_fold = {str(fold): each.to_dict() for fold, each in self.by_fold.items()}
        return {"by_fold": by_fold, "overall": self.overall.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> CrossFitted:
        """Read back what `to_dict` gave, through JSON."""
        by_fold = {int(k): calibrator_from_dict(each) for k, each in content["by_fold"].items()}
        return cls(by_fold=by_fold, overall=calibrator_from_dict(content["overall"]))


def class_log_odds(logit: Floats) -> Floats:
    """Log-odds of each class against all others, (n, K), of (n, K) logits.

    Examples
    --------
    >>> class_log_odds(np.array([[0.0, 0.0, 0.0]])).round(3).tolist()  # log(1/2)
    [[-0.693, -0.693, -0.693]]
    """
    log_p, k = log_softmax(logit, axis=1), logit.shape[1]
    others = [logsumexp(np.delete(log_p, i, axis=1), axis=1) for i in range(k)]
    return log_p - np.stack(others, axis=1)


def _to_probability(logit: Floats) -> Floats:
    return softmax(logit, axis=1) if logit.ndim == 2 else expit(logit)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value
