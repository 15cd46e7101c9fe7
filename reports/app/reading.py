"""What the networks say of one image, and of all images of a patient together: plain values."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dl.errors import ImageError
from reports.app.refusal import RefusedError
from reports.app.uploads import MIN_SIDE, decoded
from usstats.fusion import AGGREGATES

if TYPE_CHECKING:
    from dl.onnx_network import OnnxPrediction
    from reports.app.source import AppRun

__all__ = ["MAX_IMAGES", "combined", "parsed_box", "parsed_images", "read_upload"]

MAX_IMAGES = 20
#: Longest side of the map that is sent; a network's last feature map is far coarser.
MAP_SIDE = 256

Box = tuple[int, int, int, int]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class ImageReading(BaseModel):
    """One image's calibrated probability: by all fold networks together, and by each alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    probability: Probability
    members: tuple[Probability, ...] = Field(min_length=1, max_length=50)


class _Images(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    images: tuple[ImageReading, ...] = Field(min_length=1, max_length=MAX_IMAGES)


def read_upload(run: AppRun, content: bytes, box: Box) -> dict[str, Any]:
    """Read one image that was sent.

    Parameters
    ----------
    run : AppRun
    content : bytes
        The file.
    box : tuple of int
        left, top, right, bottom (half open) of the region in the upright picture. A network that
        looks at a region adds its margin around it; one that looks at whole images sees the box
        as the image.

    Returns
    -------
    dict
        probability and members; seen, the part of the picture the network was shown; map, the
        evidence over it (None where the network has none); known, whether the file was among the
        development images.

    Raises
    ------
    RefusedError
    """
    picture = decoded(content)
    _check_box(box, picture.shape)
    found, seen = _predicted(run, picture, box)
    return {
        "probability": float(found.probability_calibrated[0]),
        "members": [float(p) for p in found.members[:, 0]],
        "seen": list(seen),
        "map": _map(found),
        "known": hashlib.sha256(content).hexdigest() in run.development_files,
    }


def _predicted(run: AppRun, picture: NDArray[np.uint8], box: Box) -> tuple[OnnxPrediction, Box]:
    """The prediction, and the part of the picture that was seen."""
    left, top, right, bottom = box
    try:
        if run.looks_at_region:
            found = run.network.predict(picture, roi=box)
            return found, found.box
        return run.network.predict(picture[top:bottom, left:right]), box
    except ImageError as error:
        raise RefusedError(422, str(error)) from None


def _check_box(box: Box, shape: tuple[int, ...]) -> None:
    left, top, right, bottom = box
    height, width = shape[:2]
    inside = min(left, top) >= 0 and right <= width and bottom <= height
    if not inside or min(right - left, bottom - top) < MIN_SIDE:
        msg = (
            f"The region must lie inside the image of {width} x {height} pixels and have at least "
            f"{MIN_SIDE} pixels on each side."
        )
        raise RefusedError(422, msg)


def _map(found: OnnxPrediction) -> dict[str, Any] | None:
    """Evidence for the event over the part that was seen, 0 to 255, row by row."""
    if found.evidence is None:
        return None
    left, top, right, bottom = found.box
    heat = found.heat(found.classes[0])[top:bottom, left:right]
    levels = Image.fromarray(np.round(heat * 255).astype(np.uint8))
    levels.thumbnail((MAP_SIDE, MAP_SIDE), Image.Resampling.BILINEAR)
    return {
        "width": levels.width,
        "height": levels.height,
        "levels": base64.b64encode(levels.tobytes()).decode("ascii"),
    }


def combined(run: AppRun, images: Sequence[ImageReading]) -> dict[str, Any]:
    """Return what is said of the patient, by the rule the run keeps.

    Parameters
    ----------
    run : AppRun
    images : sequence of ImageReading

    Returns
    -------
    dict
        probability, members, low, high (the range of the members), verdict and n_images.

    Raises
    ------
    RefusedError
        Images read by different numbers of networks.
    """
    if {len(image.members) for image in images} != {run.n_networks}:
        msg = f"Every image must come with the answers of {run.n_networks} networks."
        raise RefusedError(422, msg)
    together = AGGREGATES[run.aggregate]

    def of_patient(values: Sequence[float]) -> float:
        p = np.asarray(values, dtype=float)
        return float(together(p, np.zeros(len(p), dtype=np.int64))[0])

    probability = of_patient([image.probability for image in images])
    members = [of_patient(column) for column in zip(*(i.members for i in images), strict=True)]
    return {
        "probability": probability,
        "members": members,
        "low": min(members),
        "high": max(members),
        "verdict": run.band.verdict(probability),
        "n_images": len(images),
    }


def parsed_images(content: bytes) -> tuple[ImageReading, ...]:
    """Return the readings in a request's JSON.

    Raises
    ------
    RefusedError
        400, without a word of what was sent.

    Examples
    --------
    >>> parsed_images(b'{"images": [{"probability": 0.7, "members": [0.6, 0.8]}]}')[0].members
    (0.6, 0.8)
    """
    try:
        return _Images.model_validate_json(content).images
    except ValidationError:
        msg = (
            f"Expected JSON with 1 to {MAX_IMAGES} `images`, each with its `probability` and those "
            "of the networks as `members`, all from 0 to 1."
        )
        raise RefusedError(400, msg) from None


def parsed_box(text: str) -> Box:
    """Return "left,top,right,bottom" as numbers.

    Raises
    ------
    RefusedError
        400.

    Examples
    --------
    >>> parsed_box("10,20,110,220")
    (10, 20, 110, 220)
    """
    parts = text.split(",")
    if len(parts) != 4 or not all(p.isascii() and p.isdigit() and len(p) <= 6 for p in parts):
        msg = "`box` must be four whole numbers: left,top,right,bottom, in pixels of the image."
        raise RefusedError(400, msg)
    left, top, right, bottom = (int(part) for part in parts)
    return left, top, right, bottom
