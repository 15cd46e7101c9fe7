"""B-mode pictures of a testis, drawn from speckle physics and a severity that is known.

Fully developed speckle is the envelope of circular complex Gaussian noise seen through the
point-spread function of the scanner (Goodman 1975; Wagner et al., IEEE Trans Sonics Ultrason
1983;30:156-163); an echogenicity map in decibels scales it, and log compression makes it gray.
Spermatogenic failure makes the parenchyma darker, patchier and coarser, as the inhomogeneity
scores of scrotal sonography describe it (Lotti and Maggi, Hum Reprod Update 2015;21:56-83).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.special import expit

from reports.synthetic.overlay import FIELD_BOTTOM, FIELD_LEFT, FIELD_RIGHT, FIELD_TOP, SIDE

__all__ = ["SCANNERS", "Anatomy", "Picture", "Scanner", "draw_anatomy", "render"]

Floats = NDArray[np.float32]

#: Lambert's formula V = 0.71 L W H, with the width and height usual for a given length.
LAMBERT, WIDTH_TO_LENGTH, HEIGHT_TO_LENGTH = 0.71, 0.66, 0.58
#: Depth presets of the scanners: millimetres per pixel of the stored picture.
PIXEL_SPACINGS_MM = (0.16, 0.18, 0.20, 0.22, 0.24, 0.26, 0.29, 0.32)
LARGEST_TESTIS_PX = 176.0
LOOKS = 2  # independent looks averaged by spatial compounding
SLOPE_SD_DB = 4.0  # time-gain settings and probe contact differ from picture to picture
IMAGE_NOISE_SD = 0.60  # how far one picture's texture strays from its patient's severity

# Mean echo levels in decibels below the brightest echo.
PARENCHYMA, WALL, FLUID, DEEP, MEDIASTINUM = -25.0, -15.0, -52.0, -29.0, -14.0


@dataclass(frozen=True, kw_only=True)
class Scanner:
    """What a machine and its settings do to every picture it makes."""

    gain_db: float
    gain_sd_db: float
    dynamic_range_db: float
    depth_slope_db: float  # brightness lost from the top to the bottom of the field
    axial_px: float
    lateral_px: float
    caliper_rate: float


SCANNERS: Mapping[str, Scanner] = MappingProxyType(
    {
        "north": Scanner(
            gain_db=0.0,
            gain_sd_db=1.2,
            dynamic_range_db=58.0,
            depth_slope_db=5.0,
            axial_px=0.75,
            lateral_px=1.15,
            caliper_rate=0.15,
        ),
        "south": Scanner(
            gain_db=2.5,
            gain_sd_db=1.5,
            dynamic_range_db=62.0,
            depth_slope_db=8.0,
            axial_px=0.85,
            lateral_px=1.35,
            caliper_rate=0.60,
        ),
        "west": Scanner(
            gain_db=-2.0,
            gain_sd_db=1.2,
            dynamic_range_db=55.0,
            depth_slope_db=3.0,
            axial_px=0.70,
            lateral_px=1.25,
            caliper_rate=0.35,
        ),
        # The machine of the prospective cohort: brighter and blunter than the three above.
        "prospective": Scanner(
            gain_db=4.0,
            gain_sd_db=1.2,
            dynamic_range_db=66.0,
            depth_slope_db=6.0,
            axial_px=1.05,
            lateral_px=1.75,
            caliper_rate=0.30,
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class Anatomy:
    """Where the testis lies in the field (pixels), and how its outline bends."""

    centre: tuple[float, float]  # row, column
    half_axes: tuple[float, float]  # along the outline's short and long axis
    tilt: float
    bumps: tuple[tuple[float, float], tuple[float, float]]  # amplitude and phase, orders 2 and 3
    mediastinum: float  # depth of the bright line, as a share of the short half axis
    pixel_spacing_mm: float
    field: tuple[int, int, int, int]  # top, left, bottom, right of the echoes


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A gray image, the mask of the testis, and the ends of its long axis as (row, column)."""

    gray: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    long_axis: tuple[tuple[float, float], tuple[float, float]]


def draw_anatomy(volume_ml: float, rng: np.random.Generator) -> Anatomy:
    """A longitudinal section of a testis of this volume; the depth preset follows its length."""
    length_mm = (1000 * volume_ml / (LAMBERT * WIDTH_TO_LENGTH * HEIGHT_TO_LENGTH)) ** (1 / 3)
    length_mm *= math.exp(rng.normal(0, 0.04))
    spacing = _depth_preset(length_mm, rng)
    half_length = length_mm / spacing / 2
    field = _field_box(rng)
    ratio = HEIGHT_TO_LENGTH * math.exp(rng.normal(0, 0.07))
    return Anatomy(
        centre=(
            (field[0] + field[2]) / 2 - 6 + float(rng.uniform(-22, 22)),
            (field[1] + field[3]) / 2 + float(rng.uniform(-14, 14)),
        ),
        half_axes=(ratio * half_length, half_length),
        tilt=float(rng.normal(0, 0.10)),
        bumps=(_bump(0.03, rng), _bump(0.014, rng)),
        mediastinum=float(rng.uniform(-0.25, 0.45)),
        pixel_spacing_mm=spacing,
        field=field,
    )


def _field_box(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, bottom, right of the echoes: nearly, never quite, the whole screen."""
    left, right, bottom = (int(edge) for edge in rng.integers(0, 27, 3))
    return FIELD_TOP, FIELD_LEFT + left, FIELD_BOTTOM - bottom, FIELD_RIGHT - right


def _bump(amplitude: float, rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.normal(0, amplitude)), float(rng.uniform(0, 2 * math.pi))


def _depth_preset(length_mm: float, rng: np.random.Generator) -> float:
    """The preset that fills the field, or now and then the next wider one."""
    needed = length_mm / LARGEST_TESTIS_PX
    fitting = [spacing for spacing in PIXEL_SPACINGS_MM if spacing >= needed]
    wider = min(int(rng.random() < 0.3), max(len(fitting) - 1, 0))
    return fitting[wider] if fitting else round(needed, 3)


def render(
    severity: float, anatomy: Anatomy, scanner: Scanner, rng: np.random.Generator
) -> Picture:
    """One picture of a testis with this severity of spermatogenic failure.

    Parameters
    ----------
    severity
        Latent severity of the patient; 0 is the mean of obstructive azoospermia.
    anatomy
        From `draw_anatomy`.
    scanner
        One of `SCANNERS`.
    rng
        Source of the speckle, of this picture's own deviation and of the gain.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> picture = render(0.0, draw_anatomy(15.0, rng), SCANNERS["north"], rng)
    >>> picture.gray.shape, picture.gray.dtype, bool(picture.mask[128, 128])
    ((256, 256), dtype('uint8'), True)
    """
    radius, depth = _outline(anatomy)
    level = _surroundings(radius, depth, anatomy, rng)
    inside = radius < 1
    shown = float(severity + IMAGE_NOISE_SD * rng.standard_normal())
    parenchyma = _parenchyma(shown, rng) + _mediastinum(radius, depth, anatomy)
    level = _blend(level, parenchyma, radius)
    level += _tunica(radius, depth, anatomy)
    gray = _compress(level + _speckle(scanner, rng), scanner, rng)
    field = _field(anatomy)
    gray[~field] = 0
    return Picture(gray=gray, mask=inside & field, long_axis=_long_axis(anatomy))


def _grid() -> tuple[Floats, Floats]:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return rows, columns


def _field(anatomy: Anatomy) -> NDArray[np.bool_]:
    """Where the scanner writes echoes; the rest of the screen is black."""
    top, left, bottom, right = anatomy.field
    field = np.zeros((SIDE, SIDE), dtype=bool)
    field[top:bottom, left:right] = True
    return field


def _outline(anatomy: Anatomy) -> tuple[Floats, Floats]:
    """Normalised radius (1 on the outline) and depth along the short axis (-1 top, 1 bottom)."""
    rows, columns = _grid()
    down, right = rows - anatomy.centre[0], columns - anatomy.centre[1]
    cosine, sine = math.cos(anatomy.tilt), math.sin(anatomy.tilt)
    short = (down * cosine - right * sine) / anatomy.half_axes[0]
    long = (right * cosine + down * sine) / anatomy.half_axes[1]
    angle = np.arctan2(short, long)
    (amplitude_2, phase_2), (amplitude_3, phase_3) = anatomy.bumps
    bend = amplitude_2 * np.cos(2 * angle + phase_2) + amplitude_3 * np.cos(3 * angle + phase_3)
    return np.hypot(short, long) / (1 + bend), short


def _smooth_noise(scale_px: float, rng: np.random.Generator) -> Floats:
    """A unit-variance field with this correlation length, drawn on a coarse grid."""
    step = max(1.0, scale_px / 2)
    side = int(SIDE / step) + 8
    coarse = gaussian_filter(
        rng.standard_normal((side, side), dtype=np.float32), scale_px / step, mode="wrap"
    )
    coarse /= coarse.std()
    part = (0, 0, SIDE / step, SIDE / step)
    fine = Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=part)
    return np.asarray(fine)


def _surroundings(
    radius: Floats, depth: Floats, anatomy: Anatomy, rng: np.random.Generator
) -> Floats:
    """Skin and scrotal wall above, a film of fluid at the outline, deeper tissue below."""
    rows, columns = _grid()
    drift = _smooth_noise(26, rng)
    below = rows - anatomy.centre[0]
    layers = 3.5 * np.sin((rows - FIELD_TOP) / 4.2 + 1.1 * drift) * np.exp(-(rows - FIELD_TOP) / 40)
    wall = WALL + layers - 0.06 * (rows - FIELD_TOP) + 1.8 * _smooth_noise(6, rng)
    deep = DEEP + 3.5 * _smooth_noise(9, rng) - 0.04 * np.clip(below, 0, None)
    share = expit((depth + 0.25 + 0.12 * drift) / 0.22)
    level = wall * (1 - share) + deep * share - _edge_shadows(columns, below, anatomy)
    level = level + 5.5 * _smooth_noise(40, rng)
    fluid = expit((1 + float(rng.uniform(0.01, 0.10)) - radius) / 0.02)
    skin = 9 * np.exp(-(((rows - FIELD_TOP - 3) / 2.5) ** 2))
    return (level * (1 - fluid) + FLUID * fluid + skin).astype(np.float32)


def _edge_shadows(columns: Floats, below: Floats, anatomy: Anatomy) -> Floats:
    """Refraction at the poles darkens the tissue beneath them."""
    away = np.abs(columns - anatomy.centre[1]) - 0.97 * anatomy.half_axes[1]
    return 9 * np.exp(-((away / 7) ** 2)) * expit(below / 8)


def _parenchyma(shown: float, rng: np.random.Generator) -> Floats:
    """Echo level of the parenchyma: darker, patchier and coarser with severity."""
    patch_db = 1.9 * math.exp(0.42 * (shown - 0.8))
    patch_px = 4.5 * math.exp(0.16 * (shown - 0.8))
    level = PARENCHYMA - 1.1 * shown + float(rng.normal(0, 1.0))
    field = level + patch_db * _smooth_noise(patch_px, rng) + 0.8 * _smooth_noise(30, rng)
    return field.astype(np.float32)


def _mediastinum(radius: Floats, depth: Floats, anatomy: Anatomy) -> Floats:
    """The bright line of the mediastinum testis, fading before the poles."""
    line = np.exp(-(((depth - anatomy.mediastinum) / 0.055) ** 2))
    along = expit((0.62 - radius + 0.25 * np.abs(depth)) / 0.05)
    return ((MEDIASTINUM - PARENCHYMA) * line * along).astype(np.float32)


def _tunica(radius: Floats, depth: Floats, anatomy: Anatomy) -> Floats:
    """The capsule, a specular reflector: bright where the beam meets it head on."""
    thickness = 1.6 / anatomy.half_axes[0]
    ring = np.exp(-(((radius - 1.0) / thickness) ** 2))
    return (18 * ring * np.abs(depth) ** 1.5).astype(np.float32)


def _blend(outside: Floats, inside: Floats, radius: Floats) -> Floats:
    share = expit((1 - radius) / 0.012)
    return (outside * (1 - share) + inside * share).astype(np.float32)


def _speckle(scanner: Scanner, rng: np.random.Generator) -> Floats:
    """Two compounded looks at Rayleigh speckle, in decibels about a mean intensity of 0 dB."""
    noise = rng.standard_normal((2 * LOOKS, SIDE, SIDE), dtype=np.float32)
    seen = gaussian_filter(noise, (0, scanner.axial_px, scanner.lateral_px), truncate=2.5)
    intensity = np.square(seen).sum(axis=0)
    return 10 * np.log10(intensity / intensity.mean() + 0.02)


def _compress(level: Floats, scanner: Scanner, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Gain, brightness gradients of depth and of a tilted probe, and log compression to 8 bits."""
    rows, columns = _grid()
    down = float(rng.normal(scanner.depth_slope_db, SLOPE_SD_DB))
    across = float(rng.normal(0, SLOPE_SD_DB))
    slope = down * (rows / SIDE - 0.4) + across * (columns / SIDE - 0.5)
    gain = scanner.gain_db + scanner.gain_sd_db * float(rng.standard_normal())
    shown = (level + gain - slope) / scanner.dynamic_range_db + 1
    return np.clip(255 * shown, 0, 255).astype(np.uint8)


def _long_axis(anatomy: Anatomy) -> tuple[tuple[float, float], tuple[float, float]]:
    row, column = anatomy.centre
    down = anatomy.half_axes[1] * math.sin(anatomy.tilt)
    right = anatomy.half_axes[1] * math.cos(anatomy.tilt)
    return (row - down, column - right), (row + down, column + right)
