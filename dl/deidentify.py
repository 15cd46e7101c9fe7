"""Images without their patients: pixels written anew, headers and burned-in text left behind."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dl.data import ImageStudy
from dl.errors import ImageWarning
from dl.geometry import Box, roi_box
from dl.images import is_dicom, read_image
from dl.prepare import for_every_row
from dl.storage import atomic_path
from dl.ultrasound import read_ultrasound_header
from usstats._check import check_option
from usstats._files import write_text
from usstats.errors import ArgumentError

__all__ = ["blank_boxes", "deidentify", "keep_boxes"]

KEEP = ("regions", "all")


def blank_boxes(image: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """Black out parts of an image, such as the band with the patient's name.

    Parameters
    ----------
    image : (H, W) or (H, W, 3) uint8
    boxes : sequence of (left, top, right, bottom)
        In pixels, half open.

    Returns
    -------
    array of the same shape

    Raises
    ------
    MaskError
        A box lies outside the image.

    Examples
    --------
    >>> blank_boxes(np.full((2, 4), 9, dtype=np.uint8), [(0, 0, 4, 1)]).tolist()
    [[0, 0, 0, 0], [9, 9, 9, 9]]
    """
    blanked = image.copy()
    for box in boxes:
        left, top, right, bottom = roi_box(np.asarray(box), image.shape)
        blanked[top:bottom, left:right] = 0
    return blanked


def keep_boxes(image: NDArray[np.uint8], boxes: Sequence[Box]) -> NDArray[np.uint8]:
    """Black out everything but some parts of an image, such as its ultrasound regions.

    Parameters and errors as in `blank_boxes`.

    Examples
    --------
    >>> keep_boxes(np.full((2, 4), 9, dtype=np.uint8), [(0, 0, 4, 1)]).tolist()
    [[9, 9, 9, 9], [0, 0, 0, 0]]
    """
    kept = np.zeros_like(image)
    for box in boxes:
        left, top, right, bottom = roi_box(np.asarray(box), image.shape)
        kept[top:bottom, left:right] = image[top:bottom, left:right]
    return kept


def deidentify(
    study: ImageStudy,
    folder: str | Path,
    *,
    blank: Sequence[Box] = (),
    keep: str = "regions",
) -> ImageStudy:
    """Write a study's images again without anything that names a patient.

    The new files are PNG with pixels only: no header, no EXIF, no comment, and numbers for names.
    Identifiers in the table stay as they are; see that they are pseudonyms.

    Parameters
    ----------
    study : ImageStudy
    folder : path
        Gets images/000000.png and so on, and images.csv.
    blank : sequence of (left, top, right, bottom)
        Bands blackened in every image, in pixels.
    keep : {"regions", "all"}
        Of a DICOM file with calibrated ultrasound regions, those regions only; or the whole
        picture.

    Returns
    -------
    ImageStudy
        The same table with the new paths; masks and regions of interest keep their geometry.

    Raises
    ------
    ImageError
        Images that cannot be used, by row.
    ArgumentError
        `folder` is that of the study.

    Warns
    -----
    ImageWarning
        DICOM files whose header does not deny burned-in text, and that had nothing blackened.
    """
    check_option(keep, KEEP, name="keep")
    target = Path(folder)
    if target.resolve() == study.root.resolve():
        msg = "`folder` is the study's own; write the de-identified images somewhere else."
        raise ArgumentError(msg)
    (target / "images").mkdir(parents=True, exist_ok=True)
    names = [f"images/{row:06d}.png" for row in range(len(study))]

    def one(row: int) -> bool:
        image, doubtful = _cleaned(study.file(row) or Path(), study.frame(row), blank, keep)
        with atomic_path(target / names[row]) as temporary:
            Image.fromarray(image).save(temporary, format="PNG")
        return doubtful

    doubtful = np.flatnonzero(for_every_row(len(study), one))
    if doubtful.size:
        warnings.warn(
            f"{doubtful.size} of {len(study)} images come from DICOM files that do not deny text "
            f"burned into their pixels (first: row {doubtful[0]}), and nothing was blackened "
            "there; look at them, and blacken the bands with `blank`.",
            ImageWarning,
            stacklevel=2,
        )
    table = study.images.drop(columns="frame", errors="ignore").assign(path=names)
    write_text(target / "images.csv", table.to_csv(index=False))
    return ImageStudy(images=pd.DataFrame(table), root=target)


def _cleaned(
    path: Path, frame: int | None, blank: Sequence[Box], keep: str
) -> tuple[NDArray[np.uint8], bool]:
    """The blackened image, and whether text may still stand in it."""
    image = blank_boxes(read_image(path, frame=frame), blank)
    if not is_dicom(path):
        return image, False
    header = read_ultrasound_header(path)
    if keep == "regions" and header.regions:
        return keep_boxes(image, [region.box for region in header.regions]), False
    return image, header.burned_in is not False and not blank
