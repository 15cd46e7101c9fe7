"""What a configuration refuses: values out of range, and those that make no sense together."""

from __future__ import annotations

from typing import Any

from dl._training.config_types import check_types, refuse_repeated, refuse_unknown
from dl.errors import ConfigError
from dl.policy import Policy

__all__ = ["check_types", "check_values", "refuse_repeated", "refuse_unknown"]

_CHOICES = {
    "route": ("finetune", "frozen"),
    "region": ("roi", "whole"),
    "colour": ("gray", "rgb"),
    "optimiser": ("adamw", "sgd", "adam"),
    "schedule": ("cosine", "constant", "one_cycle", "step"),
    "precision": ("float32", "bfloat16", "float16"),
    "device": ("cpu", "cuda", "auto"),
    "loss": ("cross_entropy", "focal"),
    "class_weights": ("none", "balanced"),
    "task_weights": ("fixed", "uncertainty"),
    "calibration": ("temperature", "platt", "isotonic", "none"),
}

_RANGES: dict[str, tuple[float, float]] = {
    "input_size": (32, 1024),
    "folds": (2, 50),
    "epochs": (1, 10_000),
    "batch_size": (2, 4096),
    "patience": (0, 10_000),
    "roi_margin": (0, 5),
    "tuning_fraction": (0.05, 0.5),
    "momentum": (0, 0.9999),
    "step_epochs": (0, 10_000),
    "step_factor": (1e-6, 1),
    "lr": (0, float("inf")),
    "head_lr": (0, float("inf")),
    "weight_decay": (0, 10),
    "label_smoothing": (0, 0.5),
    "dropout": (0, 0.9),
    "grad_clip": (1e-6, 1e6),
    "norm_momentum": (0, 1),
    "ema": (0, 0.999999),
    "gamma": (0, 20),
    "seed": (0, 2**63 - 1),
}

#: As `dl._augmenting.variants` shows them.
_TTA = ("rotate", "scale", "gain")

#: A field that only one value of another gives a meaning.
_BELONGS = {
    "momentum": ("optimiser", "sgd"),
    "step_epochs": ("schedule", "step"),
    "step_factor": ("schedule", "step"),
}

#: What only a network in training has.
_OF_TRAINING = ("patience", "ema", "precision", "task_weights", "policy", "policy_search")


def check_values(config: Any) -> None:
    """Check a whole `TrainConfig`; numbers and JSON get the type they are declared with.

    Raises
    ------
    ConfigError
    """
    check_types(config, "")
    _check_choices(config)
    _check_ranges(config)
    _check_texts(config)
    _check_frozen_numbers(config)
    _check_belonging(config)
    _check_route(config)
    _check_classes(config)
    _check_loss(config)


def _check_choices(config: Any) -> None:
    for name, offered in _CHOICES.items():
        if getattr(config, name) not in offered:
            choices = ", ".join(map(repr, offered))
            msg = f"`{name}` must be one of {choices}; got {getattr(config, name)!r}."
            raise ConfigError(msg)


def _check_ranges(config: Any) -> None:
    ranges = _RANGES | {"warmup_epochs": (0, config.epochs)}
    for name, (low, high) in ranges.items():
        if not low <= getattr(config, name) <= high:
            msg = f"`{name}` must lie from {low} to {high}; got {getattr(config, name)!r}."
            raise ConfigError(msg)


def _check_texts(config: Any) -> None:
    if not config.name or not config.positive:
        msg = "`name` and `positive` must not be empty."
        raise ConfigError(msg)
    if len(set(config.tta)) < len(config.tta) or not set(config.tta) <= set(_TTA):
        offered = ", ".join(map(repr, _TTA))
        msg = f"`tta` must be different ones of {offered}; got {list(config.tta)}."
        raise ConfigError(msg)
    if config.policy is not None:
        Policy.of(config.policy)
    if config.policy is not None and config.policy_search is not None:
        msg = "Give either a `policy` or a `policy_search`, which finds one for every fold."
        raise ConfigError(msg)


def _check_frozen_numbers(config: Any) -> None:
    margins, penalties = config.frozen_margins, config.frozen_penalties
    if not margins or not penalties or min(margins) < 0 or min(penalties) <= 0:
        msg = "`frozen_margins` must be 0 or more and `frozen_penalties` above 0, one at least."
        raise ConfigError(msg)


def _check_belonging(config: Any) -> None:
    for name, (owner, value) in _BELONGS.items():
        if getattr(config, owner) != value and _is_set(config, name):
            msg = f'`{name}` belongs to {owner}="{value}"; got {owner}={getattr(config, owner)!r}.'
            raise ConfigError(msg)
    if config.precision == "float16" and config.device == "cpu":
        msg = (
            'precision="float16" needs device="cuda"; on a CPU use "bfloat16", which has the '
            "range of float32."
        )
        raise ConfigError(msg)


def _check_route(config: Any) -> None:
    if config.route != "frozen":
        return
    if config.loss == "focal":
        msg = 'The route "frozen" fits by cross-entropy; use route="finetune" for the focal loss.'
        raise ConfigError(msg)
    idle = [f"`{name}`" for name in _OF_TRAINING if _is_set(config, name)]
    if idle:
        msg = (
            f'The route "frozen" trains no network, so that {", ".join(idle)} would do nothing; '
            'leave them out, or use route="finetune".'
        )
        raise ConfigError(msg)


def _is_set(config: Any, name: str) -> bool:
    """A field holds something else than its default."""
    return bool(getattr(config, name) != type(config).__dataclass_fields__[name].default)


def _check_classes(config: Any) -> None:
    names = config.classes
    if names is not None and (len(names) < 2 or len(set(names)) < len(names) or not all(names)):
        msg = f"`classes` must be two or more different names; got {list(names)}."
        raise ConfigError(msg)


def _check_loss(config: Any) -> None:
    alpha, n = config.alpha, config.n_classes
    if config.loss != "focal":
        if alpha is not None:
            msg = '`alpha` belongs to loss="focal"; the cross-entropy takes `class_weights`.'
            raise ConfigError(msg)
        return
    if config.class_weights != "none" or config.label_smoothing > 0:
        msg = "The focal loss takes `alpha`, and neither `class_weights` nor `label_smoothing`."
        raise ConfigError(msg)
    if alpha is not None and (len(alpha) != n or min(alpha) <= 0):
        msg = f"`alpha` must be {n} positive weights, one a class; got {list(alpha)}."
        raise ConfigError(msg)
