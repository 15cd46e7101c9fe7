"""Every image decoded once into the squares a network sees, and cached; it loads no torch."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dl.config import TrainConfig
from dl.data import ImageStudy
from dl.errors import ImageError, ImageWarning, MaskError, ResumeError
from dl.fingerprint import (
    confirmed_duplicates,
    detail_signature,
    perceptual_hash,
    sha256_file,
)
from dl.geometry import crop_roi, letterbox, roi_box
from dl.images import read_image
from dl.storage import atomic_path, read_json, write_json

__all__ = ["Preparation", "PreparedImages", "prepare"]

#: Raised whenever the same file and settings would give other pixels.
PREPARATION_VERSION = 1
MIN_SIDE = 8
_LISTED = 8
Report = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a file becomes the squares a network sees."""

    region: str
    margins: tuple[float, ...]
    input_size: int
    colour: str
    version: int = PREPARATION_VERSION

    @classmethod
    def of(cls, config: TrainConfig) -> Preparation:
        """The preparation a training configuration asks for."""
        return cls(
            region=config.region,
            margins=config.margins,
            input_size=config.input_size,
            colour=config.colour,
        )

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one prepared image: views, channels, height, width."""
        channels = 1 if self.colour == "gray" else 3
        return len(self.margins), channels, self.input_size, self.input_size

    def views(self, image: NDArray[Any], region: NDArray[Any] | None) -> NDArray[Any]:
        """Crop, letterbox and stack one image: (views, channels, size, size)."""
        coloured = self._coloured(image)
        return np.stack([self._square(coloured, region, view) for view in range(len(self.margins))])

    def cut(self, picture: NDArray[Any], region: NDArray[Any] | None, view: int) -> NDArray[Any]:
        """The part of an image, or of its mask, that one view shows."""
        if self.region == "whole":
            return picture
        if region is None:
            msg = "the network looks at a region, but there is neither a mask nor a roi"
            raise MaskError(msg)
        return crop_roi(picture, region, margin=self.margins[view])

    def mask_view(
        self, mask: NDArray[np.bool_], shape: tuple[int, ...], view: int
    ) -> NDArray[np.bool_]:
        """The mask as the network sees it in one view, (size, size)."""
        roi_box(mask, shape)
        return letterbox(self.cut(mask, mask, view), self.input_size)

    def _square(self, image: NDArray[Any], region: NDArray[Any] | None, view: int) -> NDArray[Any]:
        square = letterbox(self.cut(image, region, view), self.input_size)
        return np.moveaxis(np.atleast_3d(square), -1, 0)

    def _coloured(self, image: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(Image.fromarray(image).convert("L" if self.colour == "gray" else "RGB"))


@dataclass(frozen=True, kw_only=True)
class PreparedImages:
    """All images of a study as a network sees them.

    Attributes
    ----------
    views : (n, views, channels, size, size) uint8
        Mapped from the cache file, read-only.
    cache : Path
        That file.
    sha256 : tuple of str
        Of every image file.
    mask_sha256 : tuple of str or None
    hashes : tuple of int
        Perceptual hashes of the whole images.
    details : (n, 4096) float32
        Their fine detail.
    """

    views: NDArray[np.uint8]
    cache: Path
    sha256: tuple[str, ...]
    mask_sha256: tuple[str | None, ...]
    hashes: tuple[int, ...]
    details: NDArray[np.float32]

    def duplicates(self) -> NDArray[Any]:
        """Pairs of rows that show the same picture, (k, 2)."""
        return confirmed_duplicates(self.hashes, self.details)[:, :2]


def prepare(
    study: ImageStudy,
    preparation: Preparation,
    *,
    cache_dir: Path,
    report: Report | None = None,
) -> PreparedImages:
    """Decode and prepare every image, or take them from the cache.

    The cache's name is a hash of the files' SHA-256, the preparation and its version: a file that
    changed in any way is decoded again.

    Parameters
    ----------
    study : ImageStudy
    preparation : Preparation
    cache_dir : Path
    report : callable, optional
        Called with (images done, images in all).

    Raises
    ------
    ImageError
        Any image that cannot be used, all listed by row with the reason. Nothing is trained on
        the others.
    """
    digests = _digests(study, preparation)
    key = _cache_key(study, digests, preparation)
    cache_dir.mkdir(parents=True, exist_ok=True)
    array, facts = cache_dir / f"images-{key}.npy", cache_dir / f"images-{key}.json"
    details = cache_dir / f"details-{key}.npy"
    if not _is_whole(facts, (array, details)):
        _decode_all(study, preparation, digests, (array, details, facts), report)
    return PreparedImages(
        views=np.load(array, mmap_mode="r", allow_pickle=False),
        cache=array,
        sha256=tuple(image for image, _ in digests),
        mask_sha256=tuple(mask for _, mask in digests),
        hashes=tuple(int(text, 16) for text in read_json(facts)["hashes"]),
        details=np.load(details, allow_pickle=False),
    )


def _digests(study: ImageStudy, preparation: Preparation) -> list[tuple[str, str | None]]:
    def one(row: int) -> tuple[str, str | None]:
        image, mask = study.file(row), study.file(row, "mask")
        use_mask = mask is not None and preparation.region == "roi"
        return hashed(image), hashed(mask) if use_mask else None

    return for_every_row(len(study), one)


def hashed(path: Path | None) -> str:
    try:
        return sha256_file(path or "")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        msg = f"{path}: the file cannot be opened ({reason})."
        raise ImageError(msg) from None


def _cache_key(
    study: ImageStudy, digests: list[tuple[str, str | None]], preparation: Preparation
) -> str:
    boxes = study.images["roi"].astype(str).tolist() if "roi" in study.images else None
    content = json.dumps([digests, boxes, asdict(preparation)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _is_whole(facts: Path, files: tuple[Path, ...]) -> bool:
    """The cache was finished, and its arrays are still those that were written."""
    try:
        written = read_json(facts).get("sha256")
        return written == [sha256_file(file) for file in files]
    except (ResumeError, OSError):
        return False


def _decode_all(
    study: ImageStudy,
    preparation: Preparation,
    digests: list[tuple[str, str | None]],
    files: tuple[Path, Path, Path],
    report: Report | None,
) -> None:
    array, details, facts = files
    with atomic_path(array) as temporary:
        seen = _decode_into(temporary, study, preparation, report)
    with atomic_path(details) as temporary, temporary.open("wb") as file:
        np.save(file, np.stack([detail for _, detail in seen]), allow_pickle=False)
    _refuse_replaced(study, preparation, digests)
    content = {
        "hashes": [f"{perceptual:016x}" for perceptual, _ in seen],
        "preparation": asdict(preparation),
        "sha256": [sha256_file(array), sha256_file(details)],
    }
    write_json(facts, content)


def _refuse_replaced(
    study: ImageStudy, preparation: Preparation, digests: list[tuple[str, str | None]]
) -> None:
    now = _digests(study, preparation)

    def one(row: int) -> None:
        if now[row] != digests[row]:
            msg = "the image or its mask changed while the images were being read; run again"
            raise ImageError(msg)

    for_every_row(len(study), one)


def _decode_into(
    file: Path, study: ImageStudy, preparation: Preparation, report: Report | None
) -> list[tuple[int, NDArray[np.float32]]]:
    """Write the views of every image; return their perceptual hashes and fine detail."""
    n = len(study)
    views = np.lib.format.open_memmap(
        file, mode="w+", dtype=np.uint8, shape=(n, *preparation.shape)
    )

    def one(row: int) -> tuple[int, NDArray[np.float32]]:
        image = _usable(study, row)
        views[row] = preparation.views(image, _region(study, row, preparation))
        if report is not None:
            report(row + 1, n)
        return perceptual_hash(image), detail_signature(image)

    seen = for_every_row(n, one)
    views.flush()
    return seen


def _region(study: ImageStudy, row: int, preparation: Preparation) -> NDArray[Any] | None:
    return study.region(row) if preparation.region == "roi" else None


def _usable(study: ImageStudy, row: int) -> NDArray[np.uint8]:
    image = read_image(study.file(row) or "")
    if min(image.shape[:2]) < MIN_SIDE:
        msg = f"{image.shape[1]} x {image.shape[0]} pixels are too few to see anything in"
        raise ImageError(msg)
    if image.min() == image.max():
        warnings.warn(
            f"row {row}: every pixel has the value {image.flat[0]}; is the file blank?",
            ImageWarning,
            stacklevel=5,
        )
    return image


def for_every_row(n: int, work: Callable[[int], T]) -> list[T]:
    """Do every row, then complain once about all those that failed."""
    done: list[T] = []
    problems: list[str] = []
    for row in range(n):
        try:
            done.append(work(row))
        except ImageError as error:
            problems.append(f"row {row}: {error}")
    if problems:
        listed = "\n  ".join(problems[:_LISTED])
        more = len(problems) - _LISTED
        tail = f"\n  and {more} more" if more > 0 else ""
        msg = (
            f"{len(problems)} of {n} images cannot be used; correct or leave out these rows "
            f"(counted from 0) before training:\n  {listed}{tail}"
        )
        raise ImageError(msg)
    return done
