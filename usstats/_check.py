"""The front door: every public function's arguments pass here before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from usstats.errors import ArgumentError, OutcomeError, PairingError, RiskError

Float = np.float64


def one_dimensional(values: ArrayLike, name: str, error: type[Exception]) -> NDArray[Any]:
    """Return values as one non-empty row, or raise `error`."""
    try:
        array = np.asarray(values)
    except ValueError:
        msg = f"`{name}` must be one-dimensional; its rows differ in length."
        raise error(msg) from None
    if array.ndim != 1:
        msg = f"`{name}` must be one-dimensional; it has shape {array.shape}."
        raise error(msg)
    if array.size == 0:
        msg = f"`{name}` is empty: there are no cases."
        raise error(msg)
    return array


def _first(bad: NDArray[np.bool_]) -> str:
    """Positions of the first offending values, for a message."""
    return ", ".join(str(i) for i in np.flatnonzero(bad)[:3])


def check_outcome(y: ArrayLike, *, name: str = "y", require_both: bool = True) -> NDArray[np.int64]:
    """Return the outcome as integers 0 and 1.

    Parameters
    ----------
    y : array_like, shape (n,)
        0/1 or bool. Anything else is refused: which label is the event must be declared by the
        caller, never guessed from the alphabet.
    name : str
        The argument's name in messages.
    require_both : bool
        Refuse a vector with a single class.

    Raises
    ------
    OutcomeError
    """
    array = one_dimensional(y, name, OutcomeError)
    missing = np.asarray(pd.isna(array))
    if missing.any():
        msg = f"`{name}` has {missing.sum()} missing outcomes (first at row {_first(missing)})."
        raise OutcomeError(msg)
    if array.dtype == object or array.dtype.kind not in "biuf":
        array = _bool_objects(array, name)
    whole = array.dtype.kind in "biu"
    values = array if whole else array.astype(float)
    inside = values.min() >= 0 and values.max() <= 1
    if not inside or not (whole or np.isin(values, (0.0, 1.0)).all()):
        levels = pd.unique(array)[:5].tolist()
        msg = (
            f"`{name}` must be 0/1 or bool; it holds {levels}. Declare the event, for example "
            f"`{name} == {levels[-1]!r}`."
        )
        raise OutcomeError(msg)
    events = int(values.sum())
    if require_both and events in (0, values.size):
        msg = (
            f"`{name}` holds only {'non-events' if events == 0 else 'events'} "
            f"(n = {values.size}); both classes are needed."
        )
        raise OutcomeError(msg)
    return values.astype(np.int64)


def _bool_objects(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Accept an object column of Python bools or 0/1; refuse strings with advice."""
    if all(isinstance(v, bool | int | float | np.number | np.bool_) for v in array):
        return array.astype(float)
    levels = pd.unique(array)[:5].tolist()
    msg = (
        f"`{name}` holds labels {levels}; say which one is the event, for example "
        f"`{name} == {levels[-1]!r}`."
    )
    raise OutcomeError(msg)


def check_finite(s: ArrayLike, *, name: str = "s") -> NDArray[Float]:
    """Return a score as finite floats.

    Raises
    ------
    RiskError
        Text, missing or infinite values; counted, with the first rows named.
    """
    array = one_dimensional(s, name, RiskError)
    try:
        values = array.astype(float)
    except (TypeError, ValueError):
        msg = f"`{name}` must be numeric; it holds values such as {array[0]!r}."
        raise RiskError(msg) from None
    bad = ~np.isfinite(values)
    if bad.any():
        msg = (
            f"`{name}` must be finite; {bad.sum()} of {values.size} values are missing or "
            f"infinite (first at row {_first(bad)}). Impute or leave them out beforehand."
        )
        raise RiskError(msg)
    return values


def check_risk(p: ArrayLike, *, name: str = "p", labels: ArrayLike | None = None) -> NDArray[Float]:
    """Return probabilities of the event, all inside [0, 1].

    Parameters
    ----------
    p : array_like, shape (n,)
    name : str
        The argument's name in messages.
    labels : array_like, shape (n,), optional
        Patient labels, to say whose value is wrong.

    Raises
    ------
    RiskError
    """
    values = check_finite(p, name=name)
    bad = (values < 0) | (values > 1)
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        who = f"row {first}" if labels is None else f"patient {np.asarray(labels)[first]}"
        advice = (
            "If these are percentages, divide by 100."
            if values.min() >= 0 and values[bad].min() > 1 and values.max() > 10
            else "If these are logits, apply the inverse logit first."
        )
        msg = (
            f"`{name}` must lie in [0, 1]; {bad.sum()} of {values.size} values do not "
            f"(first: {values[first]:.2f}, {who}). {advice}"
        )
        raise RiskError(msg)
    return values


def check_lengths(**arrays: NDArray[Any] | None) -> int:
    """Return the common length of the named arrays (None is skipped).

    Raises
    ------
    PairingError
    """
    sizes = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(sizes.values())) > 1:
        found = ", ".join(f"`{name}` has {size}" for name, size in sizes.items())
        msg = f"These must describe the same cases, one value each: {found}."
        raise PairingError(msg)
    return next(iter(sizes.values()))


def check_cluster(cluster: ArrayLike | None, n: int) -> NDArray[np.int64] | None:
    """Return patient labels as codes 0..n_cluster-1 in order of appearance.

    Raises
    ------
    PairingError
        A missing label, or another length than `n`.
    """
    if cluster is None:
        return None
    labels = one_dimensional(cluster, "cluster", PairingError)
    check_lengths(cases=np.empty(n), cluster=labels)
    missing = np.asarray(pd.isna(labels))
    if missing.any():
        msg = f"`cluster` has {missing.sum()} missing labels (first at row {_first(missing)})."
        raise PairingError(msg)
    codes, _ = pd.factorize(labels)
    return np.asarray(codes, dtype=np.int64)


def check_risks(
    risks: Mapping[str, ArrayLike], n: int, *, scores: bool = False
) -> dict[str, NDArray[Float]]:
    """Return a mapping name -> (n,) of risks (or of any finite scores).

    Raises
    ------
    RiskError, PairingError
    """
    if not isinstance(risks, Mapping) or not risks:
        msg = (
            "`risks` must map model names to arrays, for example {'nomogram': p}; "
            f"got {type(risks).__name__}."
        )
        raise ArgumentError(msg)
    check = check_finite if scores else check_risk
    checked = {str(name): check(values, name=str(name)) for name, values in risks.items()}
    check_lengths(y=np.empty(n), **checked)
    return checked


def check_option(value: Hashable, options: Collection[Any], *, name: str) -> None:
    """Refuse an option that is not offered, listing those that are.

    Raises
    ------
    ArgumentError
    """
    try:
        known = value in options
    except (TypeError, ValueError):  # arrays and pd.NA have no truth value
        known = False
    if not known:
        offered = ", ".join(repr(option) for option in options)
        msg = f"`{name}` must be one of {offered}; got {value!r}."
        raise ArgumentError(msg)


def _is_whole(value: object) -> bool:
    """A number without a fraction; True and text are none."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    return isinstance(value, int) or (bool(np.isfinite(value)) and int(value) == value)


def check_n_boot(n_boot: int, *, least: int = 2, most: int = 1_000_000) -> int:
    """Return the number of resamples if it can be computed with.

    Raises
    ------
    ArgumentError
    """
    if not _is_whole(n_boot) or not least <= n_boot <= most:
        msg = f"`n_boot` must be a whole number from {least} to {most}; got {n_boot!r}."
        raise ArgumentError(msg)
    return int(n_boot)


def check_n_jobs(n_jobs: int) -> int:
    """Return the number of workers: a positive number, or -1 for all cores.

    Raises
    ------
    ArgumentError
    """
    if not _is_whole(n_jobs) or n_jobs == 0:
        msg = f"`n_jobs` must be a number of workers, or -1 for all cores; got {n_jobs!r}."
        raise ArgumentError(msg)
    return int(n_jobs)


def check_seed(seed: int | None) -> int:
    """Return the seed; a resampled result without one could not be repeated.

    Raises
    ------
    ArgumentError
    """
    if seed is None or not _is_whole(seed) or not 0 <= seed < 2**63:
        msg = f"`seed` must be a whole number from 0 to 2**63 - 1; got {seed!r}."
        raise ArgumentError(msg)
    return int(seed)


def seed_or_fresh(seed: int | None) -> int:
    """Return the seed; a fresh one without it, which the result tells so that it can be repeated.

    Raises
    ------
    ArgumentError
    """
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return check_seed(seed)


def check_inside(value: object, low: float, high: float, *, name: str) -> float:
    """Return a number that lies strictly between `low` and `high`.

    Raises
    ------
    ArgumentError
    """
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not low < float(value) < high:  # type: ignore[arg-type]
        msg = f"`{name}` must be a number inside ({low:g}, {high:g}); got {value!r}."
        raise ArgumentError(msg)
    return float(value)  # type: ignore[arg-type]


def check_count(value: object, *, name: str, least: int = 1) -> int:
    """Return a whole number that is at least `least`.

    Raises
    ------
    ArgumentError
    """
    if not _is_whole(value) or int(value) < least:  # type: ignore[call-overload]
        msg = f"`{name}` must be a whole number of at least {least}; got {value!r}."
        raise ArgumentError(msg)
    return int(value)  # type: ignore[call-overload, no-any-return]
