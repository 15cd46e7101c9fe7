"""Everything that determines a training run, to and from JSON; it loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dl._config_checks import check_types, refuse_repeated, refuse_unknown
from dl.augment_config import AugmentConfig
from dl.errors import ConfigError

__all__ = ["AugmentConfig", "TrainConfig"]

ROUTES = ("finetune", "frozen")
REGIONS = ("roi", "whole")
COLOURS = ("gray", "rgb")
OPTIMISERS = ("adamw",)
SCHEDULES = ("cosine", "constant")
LOSSES = ("cross_entropy", "focal")
CLASS_WEIGHTS = ("none", "balanced")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One network and its training; two runs from equal configurations give equal weights.

    Attributes
    ----------
    name : str
        The column `model` of the predictions.
    positive : str
        The label of the event, the column `class` of the predictions; for two classes that are
        coded 0/1.
    classes : tuple of str, optional
        Names of several exclusive classes, in the order of their codes 0 to K - 1: one logit a
        class, one row of the predictions an image and class. Route finetune only.
    architecture : str
        A name of `dl.registry.names()`.
    options : dict
        Of the architecture, as its registry entry lists them: {"deep_supervision": True}.
    weights : str or None
        "imagenet", None (random), or the path of a checkpoint.
    route : {"finetune", "frozen"}
        Train the whole network, or only a ridge logistic head on its fixed features.
    region : {"roi", "whole"}
        The lesion's box with a margin, or the whole image; both letterboxed, never squashed.
        Networks that segment see the whole image.
    roi_margin : float
        Share of the box's longer side added all around (route finetune).
    frozen_margins : tuple of float
        Margins whose features are averaged (route frozen, region roi).
    frozen_penalties : tuple of float
        Ridge penalties tried on the inner folds (route frozen).
    colour : {"gray", "rgb"}
    input_size : int
        Side of the square the network sees.
    folds : int
    tuning_fraction : float
        Share of each fold's training patients set aside to choose the epoch.
    epochs, batch_size : int
    optimiser, schedule : str
    lr, head_lr : float
        Peak learning rates of the trunk and of the new head.
    warmup_epochs : float
    weight_decay, label_smoothing, dropout : float
    grad_clip : float
        Largest norm of the gradient.
    norm_momentum : float
        How fast running statistics of batch normalisation move to the study's images.
    loss : {"cross_entropy", "focal"}
    gamma : float
        Exponent of the focal loss.
    alpha : tuple of float, optional
        Weights of the focal loss, one a class (non-event and event). What they and `gamma` do to
        probabilities cannot be undone exactly; recalibrate.
    class_weights : {"none", "balanced"}
        Of the cross-entropy. Weights distort probabilities; the logits are shifted back by their
        logarithm.
    augment : AugmentConfig
    flip_views : bool
        Predict from the mean logit of an image and its mirror image.
    seed : int

    Examples
    --------
    >>> config = TrainConfig(seed=1, epochs=3)
    >>> TrainConfig.from_json(config.to_json()) == config
    True
    """

    name: str = "network"
    positive: str = "1"
    classes: tuple[str, ...] | None = None
    architecture: str = "efficientnet_lite0"
    options: dict[str, Any] = field(default_factory=dict, hash=False)
    weights: str | None = "imagenet"
    route: str = "finetune"
    region: str = "roi"
    roi_margin: float = 0.25
    frozen_margins: tuple[float, ...] = (0.0, 0.15, 0.3, 0.6)
    frozen_penalties: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
    colour: str = "gray"
    input_size: int = 128
    folds: int = 5
    tuning_fraction: float = 0.2
    epochs: int = 10
    batch_size: int = 16
    optimiser: str = "adamw"
    schedule: str = "cosine"
    lr: float = 3e-4
    head_lr: float = 3e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    dropout: float = 0.2
    grad_clip: float = 5.0
    norm_momentum: float = 0.1
    loss: str = "cross_entropy"
    gamma: float = 2.0
    alpha: tuple[float, ...] | None = None
    class_weights: str = "none"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    flip_views: bool = True
    seed: int

    def __post_init__(self) -> None:
        check_types(self, "")
        _check_choices(self)
        _check_ranges(self)
        _check_classes(self)
        _check_loss(self)

    @property
    def n_logits(self) -> int:
        """Logits of the network: one of the event, or one a class."""
        return 1 if self.classes is None else len(self.classes)

    @property
    def n_classes(self) -> int:
        """Classes of the outcome, two at least."""
        return max(self.n_logits, 2)

    @property
    def margins(self) -> tuple[float, ...]:
        """The views of an image the network averages over; whole images have one."""
        if self.region == "whole":
            return (0.0,)
        return self.frozen_margins if self.route == "frozen" else (self.roi_margin,)

    @property
    def in_channels(self) -> int:
        """Channels of the network's input."""
        return 1 if self.colour == "gray" else 3

    @property
    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return json.loads(self.to_json())

    def to_json(self) -> str:
        """Canonical JSON text."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TrainConfig:
        """Read a configuration back.

        Raises
        ------
        ConfigError
            Not JSON, an unknown or repeated key, or a value out of range.
        """
        try:
            content = json.loads(text, object_pairs_hook=refuse_repeated)
        except ConfigError:
            raise
        except ValueError:
            msg = "The configuration is not valid JSON."
            raise ConfigError(msg) from None
        return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> TrainConfig:
        """Make a configuration from plain JSON types, refusing keys it does not know."""
        if not isinstance(content, Mapping):
            msg = f"The configuration must be an object; got {type(content).__name__}."
            raise ConfigError(msg)
        values = dict(content)
        refuse_unknown(cls, values, "")
        if isinstance(values.get("augment"), Mapping):
            refuse_unknown(AugmentConfig, values["augment"], "augment.")
            values["augment"] = AugmentConfig(**values["augment"])
        for key in ("frozen_margins", "frozen_penalties", "classes", "alpha"):
            if isinstance(values.get(key), list):
                values[key] = tuple(values[key])
        if "seed" not in values:
            msg = "The configuration needs a `seed`; without one a run could not be repeated."
            raise ConfigError(msg)
        return cls(**values)

    def changed(self, **values: Any) -> TrainConfig:
        """A copy with other values."""
        return replace(self, **values)

    def differences(self, other: TrainConfig) -> list[str]:
        """Names of the fields in which two configurations differ."""
        one, two = self.to_dict(), other.to_dict()
        return [name for name in one if one[name] != two[name]]


def _check_choices(config: TrainConfig) -> None:
    offers = {
        "route": ROUTES,
        "region": REGIONS,
        "colour": COLOURS,
        "optimiser": OPTIMISERS,
        "schedule": SCHEDULES,
        "loss": LOSSES,
        "class_weights": CLASS_WEIGHTS,
    }
    for name, offered in offers.items():
        if getattr(config, name) not in offered:
            choices = ", ".join(map(repr, offered))
            msg = f"`{name}` must be one of {choices}; got {getattr(config, name)!r}."
            raise ConfigError(msg)


def _check_ranges(config: TrainConfig) -> None:
    ranges = {
        "input_size": (32, 1024),
        "folds": (2, 50),
        "epochs": (1, 10_000),
        "batch_size": (2, 4096),
        "roi_margin": (0, 5),
        "tuning_fraction": (0.05, 0.5),
        "lr": (0, 10),
        "head_lr": (0, 10),
        "warmup_epochs": (0, config.epochs),
        "weight_decay": (0, 10),
        "label_smoothing": (0, 0.5),
        "dropout": (0, 0.9),
        "grad_clip": (1e-6, 1e6),
        "norm_momentum": (0, 1),
        "gamma": (0, 20),
        "seed": (0, 2**63 - 1),
    }
    for name, (low, high) in ranges.items():
        if not low <= getattr(config, name) <= high:
            msg = f"`{name}` must lie from {low} to {high}; got {getattr(config, name)!r}."
            raise ConfigError(msg)
    if min(config.frozen_margins) < 0 or min(config.frozen_penalties) <= 0:
        msg = "`frozen_margins` must be 0 or more and `frozen_penalties` above 0."
        raise ConfigError(msg)
    if not config.name or not config.positive:
        msg = "`name` and `positive` must not be empty."
        raise ConfigError(msg)


def _check_classes(config: TrainConfig) -> None:
    names = config.classes
    if names is None:
        return
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        msg = f"`classes` must be two or more different names; got {list(names)}."
        raise ConfigError(msg)
    if config.route == "frozen":
        msg = 'The route "frozen" knows the two classes 0/1 only; use route="finetune".'
        raise ConfigError(msg)


def _check_loss(config: TrainConfig) -> None:
    alpha, n = config.alpha, config.n_classes
    if config.loss != "focal":
        if alpha is not None:
            msg = '`alpha` belongs to loss="focal"; the cross-entropy takes `class_weights`.'
            raise ConfigError(msg)
        return
    if config.route == "frozen":
        msg = 'The route "frozen" fits by cross-entropy; use route="finetune" for the focal loss.'
        raise ConfigError(msg)
    if config.class_weights != "none" or config.label_smoothing > 0:
        msg = "The focal loss takes `alpha`, and neither `class_weights` nor `label_smoothing`."
        raise ConfigError(msg)
    if alpha is not None and (len(alpha) != n or min(alpha) <= 0):
        msg = f"`alpha` must be {n} positive weights, one a class; got {list(alpha)}."
        raise ConfigError(msg)
