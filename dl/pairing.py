"""One row a file to one row a pair: gray images with the Doppler image of the same plane.

It loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dl.data import ImageStudy
from dl.doppler import is_doppler
from dl.images import read_image
from dl.prepare import for_every_row
from usstats.errors import ArgumentError, PairingError, SchemaError

__all__ = ["DOPPLER", "GRAY", "PairingFault", "is_modality", "pair_images", "pairing_faults"]

GRAY = ("gray", "grey", "bmode", "b-mode")
DOPPLER = ("doppler",)
#: What a Doppler image brings into its pair, as doppler_NAME.
_BROUGHT = ("image_id", "path", "mask", "roi", "frame")
_SHOWN = 5
BY = ("patient_id", "side", "view")
Flags = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class PairingFault:
    """Why rows of a table make no clear pairs.

    Attributes
    ----------
    code : str
        A stable name, such as "doppler_unpaired".
    what : str
    rows : tuple of int
        Counted from 0.
    """

    code: str
    what: str
    rows: tuple[int, ...]

    def error(self) -> PairingError:
        """As it is raised."""
        return PairingError(_refusal(f"{self.what}:", self.rows))


def pair_images(
    images: pd.DataFrame,
    *,
    by: Sequence[str] = BY,
    root: str | Path | None = None,
) -> pd.DataFrame:
    """Give every gray image the Doppler image of the same patient, side and view.

    Parameters
    ----------
    images : DataFrame
        One row a file: image_id, patient_id, path, the columns of `by`, and modality (gray or
        bmode, doppler); further columns, such as label, mask or roi, frame, are carried along.
    by : sequence of str
        Columns in which the two images of a pair agree; capital letters and blanks around words
        do not count, and an empty cell agrees with an empty cell.
    root : path, optional
        Folder of the files. Without a column modality, they are read and those in colour taken as
        Doppler images (`dl.doppler.is_doppler`).

    Returns
    -------
    DataFrame
        The gray images in their order, with doppler_image_id, doppler_path and, where the table
        has them, doppler_mask, doppler_roi and doppler_frame. They are missing where there is no
        Doppler image; `doppler_path.isna().sum()` counts these.

    Raises
    ------
    SchemaError
        A column is absent, a modality unknown, an identifier missing or repeated, or the table
        is paired already.
    PairingError
        Two Doppler images, or one and several gray images, under one key; a Doppler image without
        a gray one; the two of different patients or labels; one Doppler file for two keys. The
        rows, counted from 0, are listed.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "image_id": ["g1", "d1", "g2"],
    ...         "patient_id": ["a", "a", "a"],
    ...         "path": ["g1.png", "d1.png", "g2.png"],
    ...         "modality": ["gray", "doppler", "gray"],
    ...         "side": ["left", "left", "right"],
    ...         "view": ["long", "long", "long"],
    ...     }
    ... )
    >>> pair_images(table)[["image_id", "doppler_path"]].values.tolist()
    [['g1', 'd1.png'], ['g2', nan]]
    """
    table, key, doppler = _keyed(images, by, root)
    for fault in _faults(table, key, doppler):
        raise fault.error()
    partner = pd.Series(np.flatnonzero(doppler), index=key[doppler])
    row = partner.reindex(key[~doppler]).to_numpy()
    brought = table.reindex(row)[[name for name in _BROUGHT if name in table]]
    brought = brought.add_prefix("doppler_").reset_index(drop=True)
    return pd.concat([table[~doppler].reset_index(drop=True), brought], axis=1)


def pairing_faults(
    images: pd.DataFrame, *, by: Sequence[str] = BY, root: str | Path | None = None
) -> list[PairingFault]:
    """Everything for which `pair_images` would refuse a table, at once.

    Parameters
    ----------
    images, by, root : as for `pair_images`

    Raises
    ------
    SchemaError
        As `pair_images`, of a table without keys.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {"image_id": ["d1"], "patient_id": ["a"], "path": ["d1.png"], "modality": ["doppler"]}
    ... )
    >>> [(fault.code, fault.rows) for fault in pairing_faults(table, by=["patient_id"])]
    [('doppler_unpaired', (0,))]
    """
    return list(_faults(*_keyed(images, by, root)))


def is_modality(words: pd.Series, modality: str) -> Flags:
    """Which cells of a column name a modality; gray has several names.

    Examples
    --------
    >>> is_modality(pd.Series(["B-mode", "doppler", None]), "gray").tolist()
    [True, False, False]
    """
    wanted = modality.strip().lower()
    return _words(words).isin(GRAY if wanted in GRAY else (wanted,)).to_numpy()


def _keyed(
    images: pd.DataFrame, by: Sequence[str], root: str | Path | None
) -> tuple[pd.DataFrame, NDArray[np.int64], Flags]:
    """The table, a key of every row, and which rows are Doppler images."""
    table = ImageStudy(images=images, root=Path(root or ".")).images
    absent = [name for name in by if name not in table]
    if absent or not len(by):
        listed = ", ".join(absent) or "any name"
        msg = f"`by`: the images table lacks {listed}; name the columns in which a pair agrees."
        raise SchemaError(msg)
    if "doppler_path" in table:
        msg = "The images table has a column `doppler_path`: it is paired already."
        raise SchemaError(msg)
    doppler = _by_colour(table, root) if "modality" not in table else _by_modality(table)
    return table, _keys(table, by), doppler


def _by_modality(table: pd.DataFrame) -> Flags:
    words = _words(table["modality"])
    unknown = np.flatnonzero(~words.isin((*GRAY, *DOPPLER)))
    if unknown.size:
        offered = ", ".join((*GRAY, *DOPPLER))
        msg = f"`modality` must be one of {offered}; another word or none stands in"
        raise SchemaError(_refusal(msg, unknown))
    return words.isin(DOPPLER).to_numpy()


def _words(column: pd.Series) -> pd.Series:
    return column.astype(str).str.strip().str.lower()


def _by_colour(table: pd.DataFrame, root: str | Path | None) -> Flags:
    if root is None:
        msg = "Without a column `modality` the files are looked at; give their folder as `root`."
        raise ArgumentError(msg)
    study = ImageStudy(images=table, root=Path(root))

    def one(row: int) -> bool:
        return is_doppler(read_image(study.file(row) or "", frame=study.frame(row)))

    return np.array(for_every_row(len(study), one))


def _keys(table: pd.DataFrame, by: Sequence[str]) -> NDArray[np.int64]:
    """A number for every row that rows of one key have in common."""
    words = {
        name: table[name].astype(str).where(table[name].notna(), "").str.strip() for name in by
    }
    loose = [name for name in by if name != "patient_id"]
    words |= {name: words[name].str.casefold() for name in loose}
    return pd.DataFrame(words).groupby(list(by), sort=False).ngroup().to_numpy()


def _faults(table: pd.DataFrame, key: NDArray[np.int64], doppler: Flags) -> Iterator[PairingFault]:
    size = key.max() + 1
    n_gray = np.bincount(key[~doppler], minlength=size)[key]
    n_doppler = np.bincount(key[doppler], minlength=size)[key]
    paired = n_doppler > 0
    found = {
        ("doppler_twice", "More than one Doppler image under one key"): n_doppler > 1,
        ("gray_twice", "A Doppler image with more than one gray image to choose from"): (
            paired & (n_gray > 1)
        ),
        ("doppler_unpaired", "A Doppler image without its gray image"): paired & (n_gray == 0),
        ("pair_patients", "A pair of two patients"): paired & _differs(table["patient_id"], key),
        ("doppler_shared", "A Doppler file that stands in more than one row"): (
            _shared_files(table, doppler)
        ),
    }
    if "label" in table:
        labels = paired & _differs(table["label"], key)
        found["pair_labels", "A pair under two labels"] = labels
    for (code, what), wrong in found.items():
        rows = tuple(np.flatnonzero(wrong).tolist())
        if rows:
            yield PairingFault(code=code, what=what, rows=rows)


def _shared_files(table: pd.DataFrame, doppler: Flags) -> Flags:
    """Rows whose Doppler file, or frame of it, another row names too."""
    files = table["path"].where(doppler | table["path"].isin(table["path"][doppler]))
    if "frame" in table:
        files = files.where(files.isna(), files + " " + table["frame"].astype(str))
    return (files.notna() & files.duplicated(keep=False)).to_numpy()


def _differs(column: pd.Series, key: NDArray[np.int64]) -> Flags:
    """Rows of a key under which a column holds several values, missing ones aside."""
    return (column.groupby(key).transform("nunique") > 1).to_numpy()


def _refusal(what: str, rows: Sequence[int] | NDArray[np.int64]) -> str:
    first = ", ".join(map(str, rows[:_SHOWN]))
    more = f" and {len(rows) - _SHOWN} more" if len(rows) > _SHOWN else ""
    return f"{what} rows {first}{more} (counted from 0) of the images table. Correct them."
