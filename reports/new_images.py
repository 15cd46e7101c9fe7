"""Images of patients the study has not seen, through its finished networks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from reports.pipeline import Workspace
from reports.run import frozen_route
from reports.study import Study, load_study
from usstats.errors import SchemaError

__all__ = ["image_list", "predict_images"]

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
    run = _trained(study, network or study.config.fusion.network)
    table, root = image_list(images, roi=roi)
    from dl.data import ImageStudy
    from dl.predict import predict
    from dl.progress import console_progress

    shown = console_progress() if progress else None
    return predict(run, ImageStudy(images=table, root=root), progress=shown)


def _trained(study: Study, name: str) -> Path:
    """Where a network's folds lie, by whichever route it was trained."""
    from reports.stages.network import network_folder

    if name not in study.config.networks:
        known = ", ".join(study.config.networks) or "none"
        msg = f"study.yaml declares no network {name!r}; it has: {known}."
        raise SchemaError(msg)
    for route in (study, frozen_route(study)):
        work = Workspace(study=route, folder=study.run_dir, say=lambda line: None)
        run = network_folder(work, name)
        if (run / "temperature.json").is_file():
            return run
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
