"""Every image decoded once into the squares a network sees, and cached; it loads no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dl._reading.pictures import Pictures, file_digests, read_pictures
from dl.channels import ChannelLayout
from dl.config import TrainConfig
from dl.data import ImageStudy, check_study
from dl.errors import ImageError, MaskError, ResumeError
from dl.fingerprint import (
    DETAIL,
    confirmed_duplicates,
    detail_signature,
    perceptual_hash,
    sha256_file,
)
from dl.geometry import crop_roi, letterbox, roi_box
from dl.storage import atomic_path, read_json, write_json
from usstats.errors import SchemaError

__all__ = ["Preparation", "PreparedImages", "prepare"]

#: Raised whenever the same file and settings would give other pixels.
PREPARATION_VERSION = 1
_LISTED = 8
Report = Callable[[int, int], None]
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How files become the squares a network sees.

    Attributes
    ----------
    region : {"roi", "whole"}
    margins : tuple of float
        One a view.
    input_size : int
    colour : {"gray", "rgb"}
        Of a single image; of a pair, the gray image is gray and the Doppler image in colour.
    blocks : tuple of (str, int)
        What stands in which channel, as in `ChannelLayout`; by default a single image.
    version : int
    """

    region: str
    margins: tuple[float, ...]
    input_size: int
    colour: str
    blocks: tuple[tuple[str, int], ...] = ()
    version: int = PREPARATION_VERSION

    def __post_init__(self) -> None:
        single = (("image", 1 if self.colour == "gray" else 3),)
        layout = ChannelLayout(tuple(self.blocks) or single)
        object.__setattr__(self, "blocks", layout.blocks)

    @classmethod
    def of(cls, config: TrainConfig) -> Preparation:
        """The preparation a training configuration asks for."""
        from dl._networks.stacked import (
            channel_layout,  # what an architecture takes is known beside torch
        )

        return cls(
            region=config.region,
            margins=config.margins,
            input_size=config.input_size,
            colour=config.colour,
            blocks=channel_layout(config).blocks,
        )

    @property
    def layout(self) -> ChannelLayout:
        """What stands in which channel."""
        return ChannelLayout(self.blocks)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of one prepared image: views, channels, height, width."""
        return len(self.margins), self.layout.n_channels, self.input_size, self.input_size

    def read(self, study: ImageStudy, row: int) -> Pictures:
        """What this preparation needs of one row of a study."""
        return read_pictures(study, row, layout=self.layout, with_region=self.region == "roi")

    def compose(self, pictures: Pictures) -> NDArray[np.uint8]:
        """Crop, letterbox and stack one row: (views, channels, size, size); zeros are missing."""
        views = range(len(self.margins))
        return np.stack([np.concatenate(self._blocks(pictures, view)) for view in views])

    def views(self, image: NDArray[Any], region: NDArray[Any] | None) -> NDArray[np.uint8]:
        """Crop, letterbox and stack one image: (views, channels, size, size)."""
        return self.compose(Pictures(image=image, region=region))

    def _blocks(self, pictures: Pictures, view: int) -> list[NDArray[np.uint8]]:
        sources = {
            "image": (pictures.image, pictures.region),
            "gray": (pictures.image, pictures.region),
            "doppler": (pictures.doppler, pictures.doppler_region),
            "mask": (pictures.gate, pictures.region),
        }
        size = self.input_size
        return [
            np.zeros((n, size, size), dtype=np.uint8)
            if sources[name][0] is None
            else self._square(_coloured(sources[name][0], n), sources[name][1], view)
            for name, n in self.blocks
        ]

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


def _coloured(image: NDArray[Any], n_channels: int) -> NDArray[Any]:
    return np.asarray(Image.fromarray(image).convert("L" if n_channels == 1 else "RGB"))


@dataclass(frozen=True, kw_only=True)
class PreparedImages:
    """All images of a study as a network sees them.

    Attributes
    ----------
    views : (n, views, channels, size, size) uint8
        Mapped from the cache file, read-only.
    cache : Path
        That file.
    blocks : tuple of str
        What stands in the channels, as in `ChannelLayout`.
    digests : tuple of mapping
        SHA-256 of every file of every row, by its column; None where there is none.
    hashes : tuple of int
        Perceptual hashes of the whole images.
    doppler_hashes : tuple of int
        Of those Doppler images that are there.
    details : (n + Doppler images, 4096) float32
        Their fine detail, mapped: first of the images, then of the Doppler images.
    """

    views: NDArray[np.uint8]
    cache: Path
    blocks: tuple[str, ...]
    digests: tuple[Mapping[str, str | None], ...]
    hashes: tuple[int, ...]
    doppler_hashes: tuple[int, ...]
    details: NDArray[np.float32]

    @property
    def sha256(self) -> tuple[str, ...]:
        """Of every image file."""
        return tuple(str(row["path"]) for row in self.digests)

    def sha256_of(self, column: str) -> tuple[str | None, ...]:
        """Of the files named in another column, None where there is none."""
        return tuple(row[column] for row in self.digests)

    @property
    def pictures(self) -> list[tuple[int, str]]:
        """Row and SHA-256 of every file that shows a patient: images and Doppler images."""
        doppler = self.sha256_of("doppler_path")
        rows = _doppler_rows(self.digests)
        return [*enumerate(self.sha256), *((row, str(doppler[row])) for row in rows)]

    def duplicates(self) -> NDArray[Any]:
        """Pairs of rows that show the same picture, gray or Doppler, (k, 2)."""
        rows = np.array([row for row, _ in self.pictures])
        found = confirmed_duplicates([*self.hashes, *self.doppler_hashes], self.details)
        pairs = np.sort(rows[found[:, :2]], axis=1)
        return np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0)


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
    SchemaError
        A network of two images, and a table that is not paired.
    """
    check_study(study)
    if "doppler" in preparation.layout.names:
        _refuse_unpaired(study)
    digests = _digests(study, preparation)
    key = _cache_key(study, digests, preparation)
    cache_dir.mkdir(parents=True, exist_ok=True)
    array, facts = cache_dir / f"images-{key}.npy", cache_dir / f"images-{key}.json"
    details = cache_dir / f"details-{key}.npy"
    if not _is_whole(facts, (array, details)):
        _decode_all(study, preparation, digests, (array, details, facts), report)
    hashes = tuple(int(text, 16) for text in read_json(facts)["hashes"])
    return PreparedImages(
        views=np.load(array, mmap_mode="r", allow_pickle=False),
        cache=array,
        blocks=preparation.layout.names,
        digests=tuple(digests),
        hashes=hashes[: len(study)],
        doppler_hashes=hashes[len(study) :],
        details=np.load(details, mmap_mode="r", allow_pickle=False),
    )


def _refuse_unpaired(study: ImageStudy) -> None:
    modality = study.images.get("modality", pd.Series(dtype=str)).astype(str).str.strip()
    rows = np.flatnonzero(modality.str.lower() == "doppler")
    if rows.size:
        msg = (
            f"{rows.size} rows of the images table are Doppler images by themselves (first: row "
            f"{rows[0]}); a network of two images takes one row a pair. Pair the table with "
            "`dl.pairing.pair_images`."
        )
        raise SchemaError(msg)


def _digests(study: ImageStudy, preparation: Preparation) -> list[dict[str, str | None]]:
    layout, with_region = preparation.layout, preparation.region == "roi"
    return for_every_row(
        len(study), lambda row: file_digests(study, row, layout=layout, with_region=with_region)
    )


def _cache_key(
    study: ImageStudy, digests: list[dict[str, str | None]], preparation: Preparation
) -> str:
    chosen = [
        study.images[name].astype(str).tolist() if name in study.images else None
        for name in ("roi", "doppler_roi", "frame", "doppler_frame")
    ]
    content = json.dumps([digests, chosen, asdict(preparation)], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _is_whole(facts: Path, files: tuple[Path, ...]) -> bool:
    """The cache was finished, and its arrays are still those that were written."""
    try:
        written = read_json(facts, needs=("sha256", "hashes"))
        return written["sha256"] == [sha256_file(file) for file in files]
    except (ResumeError, OSError):
        return False


def _decode_all(
    study: ImageStudy,
    preparation: Preparation,
    digests: list[dict[str, str | None]],
    files: tuple[Path, Path, Path],
    report: Report | None,
) -> None:
    array, details, facts = files
    with atomic_path(array) as squares, atomic_path(details) as detail:
        hashes = _decode_into((squares, detail), study, preparation, digests, report)
    _refuse_replaced(study, preparation, digests)
    content = {
        "hashes": [f"{value:016x}" for value in hashes],
        "preparation": asdict(preparation),
        "sha256": [sha256_file(array), sha256_file(details)],
    }
    write_json(facts, content)


def _refuse_replaced(
    study: ImageStudy, preparation: Preparation, digests: list[dict[str, str | None]]
) -> None:
    now = _digests(study, preparation)

    def one(row: int) -> None:
        if now[row] != digests[row]:
            msg = "the image or its mask changed while the images were being read; run again"
            raise ImageError(msg)

    for_every_row(len(study), one)


def _decode_into(
    files: tuple[Path, Path],
    study: ImageStudy,
    preparation: Preparation,
    digests: list[dict[str, str | None]],
    report: Report | None,
) -> list[int]:
    """Write views and fine detail of every image; return the perceptual hashes.

    Detail and hashes of the Doppler images stand behind those of the images.
    """
    n, paired = len(study), _doppler_rows(digests)
    place = {row: n + i for i, row in enumerate(paired)}
    squares = _new_array(files[0], np.uint8, (n, *preparation.shape))
    details = _new_array(files[1], np.float32, (n + len(paired), DETAIL))
    hashes = [0] * len(details)

    def look(place: int, image: NDArray[np.uint8]) -> None:
        hashes[place], details[place] = perceptual_hash(image), detail_signature(image)

    def one(row: int) -> None:
        pictures = preparation.read(study, row)
        squares[row] = preparation.compose(pictures)
        look(row, pictures.image)
        if pictures.doppler is not None:
            look(place[row], pictures.doppler)
        if report is not None:
            report(row + 1, n)

    for_every_row(n, one)
    squares.flush()
    details.flush()
    return hashes


def _new_array(file: Path, kind: type[np.generic], shape: tuple[int, ...]) -> NDArray[Any]:
    return np.lib.format.open_memmap(file, mode="w+", dtype=kind, shape=shape)


def _doppler_rows(digests: Sequence[Mapping[str, str | None]]) -> list[int]:
    return [row for row, files in enumerate(digests) if files["doppler_path"]]


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
