"""Making a study folder that is either wholly there or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from reports.files import atomic_write_text, write_csv
from reports.study import STUDY_FILE, StudyConfig
from usstats.errors import SchemaError

__all__ = ["new_study_folder", "require_free", "write_study"]


def require_free(target: Path) -> None:
    """Refuse a target that is a file or a folder with anything in it.

    Raises
    ------
    SchemaError
        With what is there and what to do.
    """
    if target.is_dir() and not any(target.iterdir()):
        return
    if target.exists() or target.is_symlink():
        kind = "a folder that is not empty" if target.is_dir() else "a file"
        msg = f"{target} is {kind}; nothing was written. Name a folder that does not exist yet."
        raise SchemaError(msg)


@contextmanager
def new_study_folder(target: Path) -> Iterator[Path]:
    """A scratch folder beside `target` that takes its name when the block ends well.

    When the block raises, or the process stops, `target` stays as it was.

    Examples
    --------
    >>> with tempfile.TemporaryDirectory() as home:
    ...     with new_study_folder(Path(home) / "study") as folder:
    ...         _ = (folder / "patients.csv").write_text("patient_id")
    ...     sorted(path.name for path in Path(home).rglob("*"))
    ['patients.csv', 'study']
    """
    require_free(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(
        tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name[:40]}.", suffix=".new")
    )
    try:
        scratch.chmod(0o755)
        yield scratch
        require_free(target)
        if target.is_dir():
            target.rmdir()
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


class _Plain(yaml.SafeDumper):
    """Repeats what occurs twice; the reader refuses YAML aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def write_study(
    folder: Path, config: Mapping[str, Any], *, patients: pd.DataFrame, images: pd.DataFrame
) -> StudyConfig:
    """Write study.yaml, patients.csv and images.csv; the configuration is checked first.

    Parameters
    ----------
    folder
        Usually the one `new_study_folder` yields.
    config
        The content of study.yaml.
    patients, images
        One row a patient, one row an image.
    """
    checked = StudyConfig.model_validate(dict(config))
    text = yaml.dump(dict(config), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=96)
    atomic_write_text(folder / STUDY_FILE, text)
    write_csv(folder / "patients.csv", patients)
    write_csv(folder / "images.csv", images)
    return checked
