"""How far a training image may be changed, to and from JSON; it loads no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from dl._config_checks import check_types
from dl.errors import ConfigError

__all__ = ["AugmentConfig"]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a training image may be changed; 0 switches a change off.

    Attributes
    ----------
    flip : float
        Probability of a left-right flip. Depth is never flipped: shadows fall downwards.
    rotate : float
        Degrees, either way.
    scale, translate : float
        Shares of the image.
    gain : float
        Brightness added, as a share of the full range.
    gamma : float
        Log-range of the exponent.
    speckle : float
        Standard deviation of multiplicative noise.
    shadow : float
        Probability of an acoustic shadow: a dark band below a random depth.
    """

    flip: float = 0.5
    rotate: float = 10.0
    scale: float = 0.15
    translate: float = 0.08
    gain: float = 0.1
    gamma: float = 0.2
    speckle: float = 0.08
    shadow: float = 0.1

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        for name, value in asdict(self).items():
            top = {"flip": 1, "shadow": 1, "rotate": 180}.get(name, 0.9)
            if not 0 <= value <= top:
                msg = f"`augment.{name}` must lie from 0 to {top}; got {value!r}."
                raise ConfigError(msg)

    @classmethod
    def none(cls) -> AugmentConfig:
        """No change at all."""
        return cls(**{item.name: 0.0 for item in fields(cls)})
