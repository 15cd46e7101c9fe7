"""Everything that determines a training run, to and from JSON; it loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from dl._training.config_checks import check_values, refuse_repeated, refuse_unknown
from dl.augment_config import AugmentConfig
from dl.errors import ConfigError
from dl.policy import PolicySearch

__all__ = ["AugmentConfig", "TrainConfig"]

_TUPLES = ("frozen_margins", "frozen_penalties", "classes", "alpha", "tta", "policy")
#: What the route "frozen" reads.
_OF_FROZEN = (
    *("name", "positive", "classes", "architecture", "options", "weights", "region", "seed"),
    *("frozen_margins", "frozen_penalties", "colour", "input_size", "folds", "class_weights"),
    *("flip_views", "tta", "calibration"),
)


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
        class, one row of the predictions an image and class.
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
    patience : int
        Training stops after so many epochs without a smaller tuning loss; 0 trains all epochs.
    optimiser : {"adamw", "sgd", "adam"}
    momentum : float
        Of sgd.
    schedule : {"cosine", "constant", "one_cycle", "step"}
        How the learning rate moves after the warm-up; "one_cycle" has a rise of its own.
    step_epochs : int
        Every so many epochs the schedule "step" multiplies the learning rate by `step_factor`; 0
        is a third of the epochs.
    step_factor : float
    lr, head_lr : float
        Peak learning rates of the trunk and of the new head.
    warmup_epochs : float
    weight_decay, label_smoothing, dropout : float
    grad_clip : float
        Largest norm of the gradient.
    ema : float
        Decay a step of a moving average of the weights, which tuning and predictions then use;
        0 uses the weights themselves.
    precision : {"float32", "bfloat16", "float16"}
        Of the network's arithmetic in training; weights, losses and predictions stay in float32.
    device : {"cpu", "cuda", "auto"}
        Where training runs; "auto" takes a GPU where there is one. Bits repeat on a CPU only.
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
    task_weights : {"fixed", "uncertainty"}
        Of class and mask in a network of both: 1 and 1, or learned (Kendall et al. 2018).
    augment : AugmentConfig
    policy : tuple, optional
        Sub-policies of augmentation in plain JSON types, as `dl.policy.Policy` reads them. They are
        applied before `augment`.
    policy_search : PolicySearch, optional
        Search a policy for every fold, among its training patients.
    flip_views : bool
        Predict from the mean logit of an image and its mirror image.
    tta : tuple of str
        Further views of an image whose logits are averaged in prediction.
    calibration : {"temperature", "platt", "isotonic", "none"}
        Of the out-of-fold logits.
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
    patience: int = 0
    optimiser: str = "adamw"
    momentum: float = 0.9
    schedule: str = "cosine"
    step_epochs: int = 0
    step_factor: float = 0.1
    lr: float = 3e-4
    head_lr: float = 3e-3
    warmup_epochs: float = 1.0
    weight_decay: float = 0.01
    label_smoothing: float = 0.0
    dropout: float = 0.2
    grad_clip: float = 5.0
    norm_momentum: float = 0.1
    ema: float = 0.0
    precision: str = "float32"
    device: str = "cpu"
    loss: str = "cross_entropy"
    gamma: float = 2.0
    alpha: tuple[float, ...] | None = None
    class_weights: str = "none"
    task_weights: str = "fixed"
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    policy: tuple[Any, ...] | None = field(default=None, hash=False)
    policy_search: PolicySearch | None = None
    flip_views: bool = True
    tta: tuple[str, ...] = ()
    calibration: str = "temperature"
    seed: int

    def __post_init__(self) -> None:
        check_values(self)

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
        if isinstance(values.get("policy_search"), Mapping):
            values["policy_search"] = PolicySearch.from_dict(values["policy_search"])
        for key in _TUPLES:
            if isinstance(values.get(key), list):
                values[key] = tuple(values[key])
        if "seed" not in values:
            msg = "The configuration needs a `seed`; without one a run could not be repeated."
            raise ConfigError(msg)
        return cls(**values)

    def changed(self, **values: Any) -> TrainConfig:
        """A copy with other values."""
        return replace(self, **values)

    def frozen(self) -> TrainConfig:
        """The same network by the route "frozen"; what only training reads is as by default."""
        kept = {name: getattr(self, name) for name in _OF_FROZEN}
        return type(self)(**kept, route="frozen")

    def differences(self, other: TrainConfig) -> list[str]:
        """Names of the fields in which two configurations differ."""
        one, two = self.to_dict(), other.to_dict()
        return [name for name in one if one[name] != two[name]]
