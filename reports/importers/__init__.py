"""Published data sets, turned into study folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from reports.importers.breast_lesions_usg import import_breast_lesions_usg
from reports.importers.report import ImportReport
from usstats.errors import ArgumentError, SchemaError

__all__ = ["IMPORTERS", "ImportReport", "import_breast_lesions_usg", "import_release"]


class Importer(Protocol):
    """Turns the folder of a release into a study folder."""

    def __call__(self, source: Path, target: Path, *, external: Path | None) -> ImportReport:
        """Import `source`, with the release in `external` as the external cohort."""


IMPORTERS: Mapping[str, Importer] = MappingProxyType(
    {"breast-lesions-usg": import_breast_lesions_usg}
)
#: The release that serves as external cohort, by the name of its folder beside the first one.
EXTERNAL_FOLDERS: Mapping[str, str] = MappingProxyType({"breast-lesions-usg": "busi"})


def import_release(
    release: str,
    source: Path | str,
    target: Path | str,
    *,
    external: Path | str | None = None,
    with_external: bool = True,
) -> ImportReport:
    """Turn a published release into a study folder.

    Parameters
    ----------
    release
        One of `IMPORTERS`.
    source
        The folder the release was unpacked into.
    target
        A folder that does not exist yet, or is empty.
    external
        Folder of the external cohort's release; by default the one beside `source` that usually
        goes with it.
    with_external
        False leaves the external cohort out.

    Raises
    ------
    ArgumentError
        No such release.
    SchemaError
        Files are missing or do not hold what the release holds, or the target is taken.
    """
    if release not in IMPORTERS:
        msg = f"No importer for {release!r}. There are: {', '.join(sorted(IMPORTERS))}."
        raise ArgumentError(msg)
    folder = Path(source)
    if not folder.is_dir():
        msg = f"The folder {folder} does not exist; name the one {release} was unpacked into."
        raise SchemaError(msg)
    other = _external_folder(release, folder, external) if with_external else None
    return IMPORTERS[release](folder, Path(target), external=other)


def _external_folder(release: str, source: Path, external: Path | str | None) -> Path:
    if external is not None:
        return Path(external)
    beside = source.resolve().parent / EXTERNAL_FOLDERS[release]
    if not beside.is_dir():
        msg = (
            f"The external cohort's folder {beside} does not exist. Name it with `--external`, or "
            "leave the cohort out with `--no-external`."
        )
        raise SchemaError(msg)
    return beside
