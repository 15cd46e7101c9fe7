"""Policies of augmentation as plain JSON, and how one is searched; it loads no torch.

A policy is a list of sub-policies, a sub-policy a list of one or two operations, an operation
[name, probability, magnitude]: [[["gain", 0.5, 0.1], ["shadow", 0.5, 0.4]], ...]. Each image of a
batch draws one sub-policy.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dl._training.config_types import check_types, refuse_unknown
from dl.errors import ConfigError

__all__ = ["OPERATIONS", "Operation", "OperationRange", "Policy", "PolicySearch"]

_LONGEST = 2
_WORDS = "[name, probability, magnitude]"


@dataclass(frozen=True, kw_only=True)
class OperationRange:
    """How much an operation may do.

    Attributes
    ----------
    low, top : float
        Magnitudes that a search tries: from clearly visible to as much as a reader would still
        take for the same examination. A policy written by hand may hold any from 0 to `top`.
    unit : str
    signed : bool
        Whether it goes either way, at random.
    """

    low: float
    top: float
    unit: str
    signed: bool = False


_OF_RANGE = "share of the full range"

#: Every operation a policy may hold. Depth is never turned upside down: shadows fall downwards.
OPERATIONS: Mapping[str, OperationRange] = {
    "rotate": OperationRange(low=4, top=20, unit="degrees", signed=True),
    "shear": OperationRange(low=3, top=12, unit="degrees", signed=True),
    "scale": OperationRange(low=0.05, top=0.25, unit="share of the size", signed=True),
    "translate_x": OperationRange(low=0.03, top=0.12, unit="share of the width", signed=True),
    "translate_y": OperationRange(low=0.03, top=0.12, unit="share of the height", signed=True),
    "gain": OperationRange(low=0.04, top=0.2, unit=_OF_RANGE, signed=True),
    "gamma": OperationRange(low=0.1, top=0.5, unit="logarithm of the exponent", signed=True),
    "contrast": OperationRange(low=0.1, top=0.4, unit="share of the contrast", signed=True),
    "attenuation": OperationRange(low=0.2, top=1.0, unit="exponent at the lower border"),
    "tgc": OperationRange(low=0.04, top=0.2, unit=_OF_RANGE),
    "shadow": OperationRange(low=0.2, top=0.7, unit="share of the level"),
    "haze": OperationRange(low=0.05, top=0.3, unit=_OF_RANGE),
    "speckle": OperationRange(low=0.05, top=0.25, unit="standard deviation"),
    "blur": OperationRange(low=0.6, top=2.0, unit="128ths of the side"),
    "photo": OperationRange(low=0.2, top=1.0, unit="strength"),
}


@dataclass(frozen=True)
class Operation:
    """One change of an image.

    Parameters
    ----------
    name : str
        One of `OPERATIONS`.
    probability : float
        That it happens, in (0, 1].
    magnitude : float
        In the unit of `OPERATIONS`, from 0 to its top.

    Raises
    ------
    ConfigError
    """

    name: str
    probability: float
    magnitude: float

    def __post_init__(self) -> None:
        if self.name not in OPERATIONS:
            known = ", ".join(OPERATIONS)
            msg = f"`policy` names an unknown operation {self.name!r}; known are {known}."
            raise ConfigError(msg)
        if not _is_number(self.probability) or not 0 < self.probability <= 1:
            msg = (
                f"`policy`: the probability of {self.name!r} must lie above 0 and up to 1; got "
                f"{self.probability!r}."
            )
            raise ConfigError(msg)
        known_range = OPERATIONS[self.name]
        if not _is_number(self.magnitude) or not 0 <= self.magnitude <= known_range.top:
            msg = (
                f"`policy`: the magnitude of {self.name!r} must lie from 0 to {known_range.top:g} "
                f"({known_range.unit}); got {self.magnitude!r}."
            )
            raise ConfigError(msg)


SubPolicy = tuple[Operation, ...]


@dataclass(frozen=True)
class Policy:
    """Sub-policies of which each image draws one.

    Parameters
    ----------
    sub_policies : tuple of tuples of Operation
        One or two operations each.

    Raises
    ------
    ConfigError
        There is none, or one has no operation or more than two.

    Examples
    --------
    >>> policy = Policy.of([[["gain", 0.5, 0.1], ["shadow", 0.5, 0.4]]])
    >>> Policy.from_json(policy.to_json()) == policy
    True
    """

    sub_policies: tuple[SubPolicy, ...]

    def __post_init__(self) -> None:
        lengths = [len(sub_policy) for sub_policy in self.sub_policies]
        if not lengths:
            msg = "`policy` must hold at least one sub-policy; leave it out for none."
            raise ConfigError(msg)
        if min(lengths) < 1 or max(lengths) > _LONGEST:
            msg = f"`policy`: sub-policies hold 1 to {_LONGEST} operations; these hold {lengths}."
            raise ConfigError(msg)

    def __len__(self) -> int:
        return len(self.sub_policies)

    @classmethod
    def of(cls, content: Any) -> Policy:
        """Read a policy from plain JSON types, as `TrainConfig.policy` carries it.

        Raises
        ------
        ConfigError
            Not of that form, an unknown operation, or a number out of range.
        """
        if isinstance(content, Policy):
            return content
        return cls(tuple(_sub_policy(part, i) for i, part in enumerate(_listed(content))))

    @property
    def plain(self) -> tuple[Any, ...]:
        """Plain JSON types, for `TrainConfig(policy=...)`."""
        return tuple(
            [[step.name, step.probability, step.magnitude] for step in sub_policy]
            for sub_policy in self.sub_policies
        )

    def to_json(self) -> str:
        """JSON text."""
        return json.dumps(self.plain, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Policy:
        """Read a policy back.

        Raises
        ------
        ConfigError
            Not JSON, or refused by `of`.
        """
        try:
            content = json.loads(text)
        except ValueError:
            msg = "The policy is not valid JSON."
            raise ConfigError(msg) from None
        return cls.of(content)


def _is_number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _listed(content: Any) -> Sequence[Any]:
    if not isinstance(content, list | tuple):
        msg = f"`policy` must be a list of sub-policies; got {type(content).__name__}."
        raise ConfigError(msg)
    return content


def _sub_policy(part: Any, place: int) -> SubPolicy:
    steps: Sequence[Any] = part if isinstance(part, list | tuple) else [None]
    for step in steps:
        if not isinstance(step, list | tuple) or len(step) != 3 or not isinstance(step[0], str):
            msg = (
                f"`policy`: sub-policy {place} (counted from 0) must be a list of {_WORDS}; got "
                f"{part!r}."
            )
            raise ConfigError(msg)
    return tuple(Operation(*step) for step in steps)


@dataclass(frozen=True, kw_only=True)
class PolicySearch:
    """How a policy is searched inside the training part of one outer fold.

    Attributes
    ----------
    inner_folds : int
        Of the training patients; each has a child network that never saw it.
    candidates : int
        Random sub-policies drawn for every inner fold.
    rounds : int
        Successive halving: every round tries each candidate that is left on three times as many
        changed copies of the images, and keeps the best third for the next.
    chosen : int
        Best sub-policies taken from every inner fold.
    probability : float
        Of each operation in the policy that is found. It is not searched: see
        `dl.policy_search.search_policy`.
    least_change : float
        Candidates must change the images by this share of the mean difference between images of
        two patients.
    epochs : int
        Of the child networks; 0 is those of the configuration.
    operations : tuple of str
        Those that may be drawn; all of `OPERATIONS` by default.

    Raises
    ------
    ConfigError
    """

    inner_folds: int = 3
    candidates: int = 60
    rounds: int = 3
    chosen: int = 5
    probability: float = 0.5
    least_change: float = 0.05
    epochs: int = 0
    operations: tuple[str, ...] = tuple(OPERATIONS)

    def __post_init__(self) -> None:
        check_types(self, "policy_search.")
        ranges: dict[str, tuple[float, float]] = {
            "inner_folds": (2, 20),
            "candidates": (1, 10_000),
            "rounds": (1, 8),
            "chosen": (1, 100),
            "probability": (0.05, 1),
            "least_change": (0.001, 1),
            "epochs": (0, 10_000),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                got = getattr(self, name)
                msg = f"`policy_search.{name}` must lie from {low:g} to {high:g}; got {got!r}."
                raise ConfigError(msg)
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown or not self.operations:
            known = ", ".join(OPERATIONS)
            msg = f"`policy_search.operations` must be some of {known}; got {unknown or 'none'}."
            raise ConfigError(msg)

    def check_tasks(self, tasks: Sequence[str]) -> None:
        """Refuse a network that does not classify.

        Raises
        ------
        ConfigError
        """
        if "classify" not in tasks:
            msg = (
                "A policy is searched by the loss of the class, and a network that only segments "
                "has none; leave `policy_search` out and set `policy` or `augment` by hand."
            )
            raise ConfigError(msg)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> PolicySearch:
        """Read settings back, refusing keys they do not have."""
        values = dict(content)
        refuse_unknown(cls, values, "policy_search.")
        if isinstance(values.get("operations"), list):
            values["operations"] = tuple(values["operations"])
        return cls(**values)
