"""Several questions asked of the same data: which pairs, and the adjustment of their p values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from usstats._check import check_option
from usstats.errors import ArgumentError, RiskError

Float = np.float64
Pair = tuple[str, str]


def adjust_p(p_values: ArrayLike, method: str = "holm") -> NDArray[Float]:
    """Adjusted p values; NaN stays NaN and does not count as a question.

    Parameters
    ----------
    p_values : array_like, shape (k,)
    method : {"holm", "bonferroni", "hochberg", "hommel", "BH", "BY", "none"}
        The first four bound the family-wise error ("hochberg" and "hommel" for independent or
        positively dependent tests), "BH" (or "fdr") and "BY" the false discovery rate. Capitals
        do not matter.

    Raises
    ------
    RiskError
        A p value outside [0, 1].

    References
    ----------
    Holm (1979), Scand J Stat 6:65; Hochberg (1988), Biometrika 75:800; Hommel (1988), Biometrika
    75:383; Benjamini and Hochberg (1995), JRSS B 57:289; Benjamini and Yekutieli (2001), Ann Stat
    29:1165. R: p.adjust.

    Examples
    --------
    >>> adjust_p([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    adjust = _METHODS[check_adjustment(method, name="method")]
    p = _numbers(p_values)
    if ((p < 0) | (p > 1)).any():
        msg = f"`p_values` must lie in [0, 1]; found {p[(p < 0) | (p > 1)][0]:g}."
        raise RiskError(msg)
    adjusted = p.copy()
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(adjust(p[order]), 1.0)
    return adjusted


def _numbers(p_values: ArrayLike) -> NDArray[Float]:
    try:
        p = np.asarray(p_values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        p = np.empty((0, 0))
    if p.ndim != 1:
        msg = f"`p_values` must be a list of numbers; got {type(p_values).__name__}."
        raise RiskError(msg)
    return p


def check_adjustment(method: str, *, name: str = "adjust") -> str:
    """The adjustment's own spelling.

    >>> check_adjustment("bh")
    'BH'
    """
    spelled = {option.lower(): option for option in ADJUSTMENTS} | {"fdr": "BH"}
    if str(method).lower() in spelled:
        return spelled[str(method).lower()]
    check_option(method, ADJUSTMENTS, name=name)
    return method


def _bonferroni(p: NDArray[Float]) -> NDArray[Float]:
    return p * p.size


def _holm(p: NDArray[Float]) -> NDArray[Float]:
    return np.asarray(np.maximum.accumulate(p * np.arange(p.size, 0, -1)))


def _step_up(p: NDArray[Float]) -> NDArray[Float]:
    """The smallest of a sorted vector's entries from each position on."""
    return np.asarray(np.minimum.accumulate(p[::-1])[::-1])


def _hochberg(p: NDArray[Float]) -> NDArray[Float]:
    return _step_up(p * np.arange(p.size, 0, -1))


def _hommel(p: NDArray[Float]) -> NDArray[Float]:
    """Closed testing with Simes' test: the worst set of each size joins the largest others."""
    adjusted = p.copy()
    for i, size in ((i, size) for i in range(p.size) for size in range(2, p.size + 1)):
        others = np.delete(p, i)[p.size - size :]
        joined = np.sort(np.append(others, p[i]))
        simes = (joined * size / np.arange(1, size + 1)).min()
        adjusted[i] = max(adjusted[i], simes)
    return adjusted


def _bh(p: NDArray[Float]) -> NDArray[Float]:
    return _step_up(p * p.size / np.arange(1, p.size + 1))


def _by(p: NDArray[Float]) -> NDArray[Float]:
    return np.asarray(_bh(p) * (1 / np.arange(1, p.size + 1)).sum())


def _none(p: NDArray[Float]) -> NDArray[Float]:
    return p


_METHODS: Mapping[str, Callable[[NDArray[Float]], NDArray[Float]]] = MappingProxyType(
    {
        "holm": _holm,
        "bonferroni": _bonferroni,
        "hochberg": _hochberg,
        "hommel": _hommel,
        "BH": _bh,
        "BY": _by,
        "none": _none,
    }
)
ADJUSTMENTS = tuple(_METHODS)


def check_contrasts(
    contrasts: Sequence[Pair] | None, names: list[str], *, argument: str = "risks"
) -> list[Pair]:
    """Pairs of names, by default all; each pair is one question, asked once.

    Raises
    ------
    ArgumentError

    Examples
    --------
    >>> check_contrasts(None, ["a", "b", "c"])
    [('a', 'b'), ('a', 'c'), ('b', 'c')]
    """
    if len(names) < 2:
        msg = f"`{argument}` must hold two or more to compare; it holds {len(names)}."
        raise ArgumentError(msg)
    if contrasts is None:
        return list(combinations(names, 2))
    if isinstance(contrasts, str) or not isinstance(contrasts, Iterable):
        msg = f"`contrasts` must be a list of pairs, [(name, name), ...]; got {contrasts!r}."
        raise ArgumentError(msg)
    pairs = [_check_pair(pair, names) for pair in contrasts]
    if not pairs:
        msg = "`contrasts` is empty: name at least one pair."
        raise ArgumentError(msg)
    if len({frozenset(pair) for pair in pairs}) < len(pairs):
        msg = "`contrasts` names a pair twice; each question is asked, and adjusted for, once."
        raise ArgumentError(msg)
    return pairs


def _check_pair(pair: object, names: list[str]) -> Pair:
    found = tuple(map(str, pair)) if isinstance(pair, list | tuple) else ()
    if len(found) != 2 or found[0] == found[1] or not set(found) <= set(names):
        offered = ", ".join(map(repr, names))
        msg = f"`contrasts` must be pairs [(name, name), ...] of {offered}; got {pair!r}."
        raise ArgumentError(msg)
    return found[0], found[1]
