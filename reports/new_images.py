"""Images of patients the study has not seen, through its finished networks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pandas as pd

from reports.pipeline import Workspace
from reports.run import frozen_route
from reports.study import Study, load_study
from reports.training import members_of
from usstats.errors import SchemaError

__all__ = ["image_list", "predict_images", "trained_network", "trained_route"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")
TEXT_COLUMNS = dict.fromkeys(("image_id", "patient_id", "path", "mask", "roi"), str)


def predict_images(
    folder: str | Path,
    images: Sequence[str | Path],
    *,
    network: str | None = None,
    roi: str | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Predict new images by the rule the study keeps: the mean logit of all fold networks.

    Parameters
    ----------
    folder : str or Path
        A study folder whose networks are trained.
    images : sequence of str or Path
        Image files, folders of images, or one images table (CSV) with image_id, patient_id, path
        and, for a network that looks at a region, mask or roi.
    network : str, optional
        That of the fusion unless stated.
    roi : str, optional
        Box "left top right bottom" in pixels for image files without a table.
    progress : bool
        Show how far it is.

    Returns
    -------
    DataFrame
        The columns of predictions.csv, with role external.

    Raises
    ------
    SchemaError
        No such network, or one that is not trained yet.
    LeakageError
        A patient or a file of the development images.
    ImageError
        Images that cannot be used.
    """
    study = load_study(folder)
    name = network or study.config.fusion.network
    work = trained_route(study, name)
    table, root = image_list(images, roi=roi)
    from dl.progress import console_progress
    from reports.stages.network import combined, predict_members

    shown = console_progress() if progress else None
    with _gate_folder(work.study, name, root) as gates:
        tables = predict_members(work, name, table, root=root, gates=Path(gates), progress=shown)
    return combined(work.study, name, tables)


def _gate_folder(study: Study, name: str, root: Path) -> AbstractContextManager[str]:
    """Where outlines of new images lie while they are needed, inside the folder of the images."""
    gated = any(study.config.networks[member].gate for member in members_of(study, name))
    return tempfile.TemporaryDirectory(dir=root) if gated else nullcontext(str(root))


def trained_network(study: Study, name: str) -> Path:
    """Where a network's folds lie, by whichever route it was trained.

    Raises
    ------
    SchemaError
        The study declares no such network, it is not trained to the end, or the name is that of
        an ensemble.
    """
    from reports.stages.network import network_folder

    work = trained_route(study, name)
    members = members_of(work.study, name)
    if len(members) > 1:
        msg = f"{name!r} is an ensemble of {', '.join(members)}; name one of its networks."
        raise SchemaError(msg)
    return network_folder(work, members[0])


def trained_route(study: Study, name: str) -> Workspace:
    """The study by the route, as its file says or quick, by which a network was trained.

    Raises
    ------
    SchemaError
        The study declares no such network or ensemble, or it is not trained to the end.
    """
    from reports.stages.network import network_folder

    known = [*study.config.networks, *study.config.ensembles]
    if name not in known:
        listed = ", ".join(known) or "none"
        msg = f"study.yaml declares no network {name!r}; it has: {listed}."
        raise SchemaError(msg)
    for route in (study, frozen_route(study)):
        work = Workspace(study=route, folder=study.run_dir, say=lambda line: None)
        runs = [network_folder(work, member) for member in members_of(route, name)]
        if all((run / "calibration.json").is_file() for run in runs):
            return work
    msg = (
        f"The network {name!r} is not trained with the present study.yaml and tables. Run "
        "`usstats train` first."
    )
    raise SchemaError(msg)


def image_list(
    images: Sequence[str | Path], *, roi: str | None = None
) -> tuple[pd.DataFrame, Path]:
    """The images as a table, and the folder its paths start from.

    Parameters
    ----------
    images : sequence of str or Path
        As in `predict_images`; each file of a list is a patient of its own, named by the file.
    roi : str, optional

    Raises
    ------
    SchemaError
        A path that does not exist, a folder without images, two files of one name.
    """
    paths = [Path(image) for image in images]
    if len(paths) == 1 and paths[0].suffix.lower() == ".csv":
        return _table(paths[0], roi), paths[0].resolve().parent
    files = [file.resolve() for path in paths for file in _files(path)]
    root = Path(os.path.commonpath([file.parent for file in files]))
    names = [file.stem for file in files]
    twice = sum(names.count(name) > 1 for name in set(names))
    if twice:
        msg = (
            f"{twice} file name(s) occur more than once, so that the images cannot be told apart. "
            "Rename them, or give an images table (CSV)."
        )
        raise SchemaError(msg)
    table = pd.DataFrame(
        {
            "image_id": names,
            "patient_id": names,
            "path": [file.relative_to(root).as_posix() for file in files],
        }
    )
    return (table.assign(roi=roi) if roi else table), root


def _table(path: Path, roi: str | None) -> pd.DataFrame:
    if not path.is_file():
        msg = f"There is no file {path.name!r}."
        raise SchemaError(msg)
    if roi:
        msg = "A box for all images goes with image files; put it into the column roi of the table."
        raise SchemaError(msg)
    try:
        return pd.read_csv(path, dtype=TEXT_COLUMNS, keep_default_na=False, na_values=[""])
    except (ValueError, UnicodeDecodeError) as error:
        msg = f"{path.name} cannot be read as a table ({type(error).__name__}). Save it as UTF-8."
        raise SchemaError(msg) from None


def _files(path: Path) -> Iterator[Path]:
    """An image file, or the image files right below a folder."""
    if path.is_file():
        yield path
        return
    if not path.is_dir():
        msg = f"There is no file or folder {path.name!r}."
        raise SchemaError(msg)
    found = [file for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES]
    if not found:
        msg = f"The folder {path.name!r} holds no image ({', '.join(SUFFIXES)})."
        raise SchemaError(msg)
    yield from found
