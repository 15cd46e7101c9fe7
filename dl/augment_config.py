"""How far a training image may be changed, to and from JSON; it loads no torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields

from dl._training.config_checks import check_types
from dl.errors import ConfigError

__all__ = ["AugmentConfig"]

_LARGEST = {
    "flip": 1.0,
    "rotate": 180.0,
    "shear": 30.0,
    "attenuation": 3.0,
    "tgc": 0.5,
    "shadow": 1.0,
    "grain": 8.0,
    "blur": 8.0,
    "photo": 1.0,
    "photo_strength": 1.0,
}


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """How far a training image may be changed; 0 switches a change off.

    Attributes
    ----------
    flip : float
        Probability of a left-right flip. Depth is never flipped: shadows fall downwards.
    rotate, shear : float
        Degrees, either way.
    scale, translate : float
        Shares of the image.
    gain : float
        Brightness added, as a share of the full range.
    gamma : float
        Log-range of the exponent.
    attenuation : float
        Levels fall as exp(-a depth) from the skin (depth 0) to the lower border (1); a up to this.
    tgc : float
        Error of each of the eight sliders of the time-gain compensation, either way, as a share
        of the full range.
    haze : float
        Largest level of a veil of clutter, densest near the probe, as a share of the full range.
    speckle : float
        Standard deviation of multiplicative noise.
    grain : float
        Its point spread: standard deviation across the beam, half of it along, in 128ths of the
        image's side; 0 is white noise.
    shadow : float
        Probability of an acoustic shadow: a dark band below a random depth.
    blur : float
        Largest standard deviation of a Gaussian blur, in 128ths of the image's side.
    photo : float
        Probability that the image is a telephone's photo of a screen (`dl.photo`).
    photo_strength : float
        How bad such a photo may be, up to 1.

    Notes
    -----
    Gain and TGC act on levels that the scanner has compressed logarithmically, where a factor of
    the echo is a summand. Ranges were chosen so that a reader would give the changed image the
    same label; they are no measurement of scanners.
    """

    flip: float = 0.5
    rotate: float = 10.0
    scale: float = 0.15
    translate: float = 0.08
    gain: float = 0.1
    gamma: float = 0.2
    speckle: float = 0.08
    shadow: float = 0.1
    shear: float = 0.0
    attenuation: float = 0.0
    tgc: float = 0.0
    haze: float = 0.0
    grain: float = 0.0
    blur: float = 0.0
    photo: float = 0.0
    photo_strength: float = 1.0

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        for name, value in asdict(self).items():
            top = _LARGEST.get(name, 0.9)
            if not 0 <= value <= top:
                msg = f"`augment.{name}` must lie from 0 to {top:g}; got {value!r}."
                raise ConfigError(msg)

    @classmethod
    def none(cls) -> AugmentConfig:
        """No change at all."""
        changes = (item.name for item in fields(cls) if item.name != "photo_strength")
        return cls(**dict.fromkeys(changes, 0.0))
