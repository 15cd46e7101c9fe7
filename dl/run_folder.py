"""What a run folder holds, and whether it belongs to the settings, data and folds at hand.

config.json  splits.json  images.csv  run.json     written first; run.json last of them
folds/k/     weights.safetensors (+ .json), log.jsonl, fold.json last
calibration.json  predictions.csv                  written when every fold is done
masks/ROW.png     masks.csv                        of a network that segments: 8-bit probabilities
cache/       prepared images and features
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import nn

from dl._networks.stacked import network_of
from dl.calibrators import CrossFitted
from dl.checkpoint import load_weights, model_hash, weights_identity
from dl.config import TrainConfig
from dl.data import ImageStudy
from dl.errors import CheckpointError, ResumeError
from dl.prepare import PreparedImages
from dl.storage import atomic_path, damaged, read_json, write_json, write_text
from usstats.splits import Folds

__all__ = ["Run", "begin_run", "fold_folder", "image_index", "open_run"]

FORMAT = "usstats.run/1"
#: What is read of fold.json.
_RECORD = ("identity", "weights_sha256", "rows", "held_out_logit")
_SHOWN = 3
T = TypeVar("T")
_FILES = ("sha256", "mask_sha256", "doppler_sha256", "doppler_mask_sha256", "gate_sha256")
_CHOSEN = ("roi", "doppler_roi", "frame", "doppler_frame")
_TEXT = dict.fromkeys(("image_id", "patient_id", "hash", *_FILES, *_CHOSEN), str)


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run folder whose folds are fixed.

    Attributes
    ----------
    folder : Path
    config : TrainConfig
    folds : Folds
    images : DataFrame
        row, image_id, patient_id, label, fold, sha256, mask_sha256, roi, hash: which picture was
        held out where. Of networks of two images also doppler_sha256, doppler_mask_sha256,
        doppler_roi and gate_sha256.
    identity : dict
        SHA-256 of configuration, data, folds and the file of starting weights.
    """

    folder: Path
    config: TrainConfig
    folds: Folds
    images: pd.DataFrame
    identity: dict[str, str]

    @property
    def fold_folders(self) -> list[Path]:
        """One folder a fold."""
        return [fold_folder(self.folder, fold) for fold in range(self.folds.n_folds)]

    def fold_record(self, fold: int) -> dict[str, Any]:
        """What was written when a fold was finished.

        Raises
        ------
        ResumeError
            It was not, or belongs to other settings.
        """
        path = self.fold_folders[fold] / "fold.json"
        record = read_json(path, needs=_RECORD)
        if record["identity"] != self.identity:
            msg = f"{path} belongs to other settings, data or folds. Use a fresh run folder."
            raise ResumeError(msg)
        return record

    def is_done(self, fold: int) -> bool:
        """A fold was finished."""
        return (self.fold_folders[fold] / "fold.json").is_file()

    def network(self, fold: int) -> nn.Module:
        """The network trained without the patients of a fold.

        Raises
        ------
        CheckpointError
            Its file is absent, damaged, or not the one the fold was finished with.
        """
        network = network_of(self.config)
        path = self.fold_folders[fold] / "weights.safetensors"
        facts = load_weights(network, path, architecture=self.config.architecture)
        if facts["sha256"] != self.fold_record(fold)["weights_sha256"]:
            msg = f"{path}: these are not the weights the fold was finished with. Restore them."
            raise CheckpointError(msg)
        return network.eval()

    @property
    def development_files(self) -> set[str]:
        """SHA-256 of every image and Doppler image."""
        columns = [name for name in ("sha256", "doppler_sha256") if name in self.images]
        return set(self.images[columns].to_numpy().ravel()) - {""}

    def model_hash(self, fold: int) -> str:
        """Short hash of a fold's weights."""
        return model_hash(self.fold_record(fold)["weights_sha256"])

    @property
    def ensemble_hash(self) -> str:
        """Short hash of all folds' weights together."""
        hashes = [self.fold_record(k)["weights_sha256"] for k in range(self.folds.n_folds)]
        return model_hash(hashlib.sha256("".join(hashes).encode()).hexdigest())

    @property
    def calibration(self) -> CrossFitted:
        """Of the finished run.

        Raises
        ------
        ResumeError
            It is not finished, or the file is damaged.
        """
        path = self.folder / "calibration.json"
        content = read_json(path, needs=("by_fold", "overall"))
        try:
            return CrossFitted.from_dict(content)
        except (AttributeError, TypeError, ValueError):
            raise damaged(path) from None


def fold_folder(run_dir: Path, fold: int) -> Path:
    """Where a fold's files are."""
    return run_dir / "folds" / str(fold)


def image_index(
    study: ImageStudy,
    prepared: PreparedImages,
    folds: Folds,
    labels: NDArray[np.int64],
    mask_sha256: Sequence[str | None] | None = None,
) -> pd.DataFrame:
    """One row a development image: who, which file, and in which fold it is held out."""
    columns = {
        "row": range(len(study)),
        "image_id": study.images["image_id"],
        "patient_id": study.images["patient_id"],
        "label": labels,
        "fold": folds.lookup(study.patients),
        "sha256": prepared.sha256,
        "mask_sha256": _blank(mask_sha256 or prepared.sha256_of("mask")),
        "roi": _texts(study, "roi"),
        "hash": [f"{value:016x}" for value in prepared.hashes],
    }
    frames = [name for name in ("frame", "doppler_frame") if name in study.images]
    columns |= {name: _texts(study, name) for name in frames}
    if "doppler" in prepared.blocks:
        columns |= {
            "doppler_sha256": _blank(prepared.sha256_of("doppler_path")),
            "doppler_mask_sha256": _blank(prepared.sha256_of("doppler_mask")),
            "doppler_roi": _texts(study, "doppler_roi"),
        }
    if "mask" in prepared.blocks:
        columns["gate_sha256"] = _blank(prepared.sha256_of("gate"))
    return pd.DataFrame(columns)


def _blank(digests: Sequence[str | None]) -> list[str]:
    return [digest or "" for digest in digests]


def _texts(study: ImageStudy, column: str) -> pd.Series | list[str]:
    given = column in study.images
    return study.images[column].fillna("").astype(str) if given else [""] * len(study)


def begin_run(
    run_dir: Path,
    config: TrainConfig,
    images: pd.DataFrame,
    folds: Folds,
) -> Run:
    """Fix a run's settings, data and folds in its folder, or check that they are those fixed.

    Raises
    ------
    ResumeError
        They differ; every changed setting, row or the folds are named.
    """
    identity = _identity(config, images, folds) | _weights(config)
    run = Run(folder=run_dir, config=config, folds=folds, images=images, identity=identity)
    if (run_dir / "run.json").is_file():
        _refuse_changes(open_run(run_dir), run)
        return run
    write_text(run_dir / "config.json", config.to_json() + "\n")
    folds.to_json(run_dir / "splits.json")
    with atomic_path(run_dir / "images.csv") as temporary:
        images.to_csv(temporary, index=False, lineterminator="\n")
    write_json(run_dir / "run.json", {"format": FORMAT, "identity": identity} | _versions())
    return run


def open_run(run_dir: str | Path) -> Run:
    """Read the fixed part of a run folder.

    Raises
    ------
    ResumeError
        There is no run, or a file of it is damaged.
    """
    folder = Path(run_dir)
    record = read_json(folder / "run.json")
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        msg = f"{folder / 'run.json'} is not of the format {FORMAT!r}."
        raise ResumeError(msg)
    config = _read_part(folder / "config.json", _read_config)
    folds = _read_part(folder / "splits.json", Folds.from_json)
    images = _read_part(folder / "images.csv", _read_images)
    identity = record.get("identity")
    found = _identity(config, images, folds)
    listed = _differing(identity, found)
    if listed:
        msg = f"{folder}: {listed} changed since the run began. Restore it, or use a fresh folder."
        raise ResumeError(msg)
    return Run(folder=folder, config=config, folds=folds, images=images, identity=identity)


def _identity(config: TrainConfig, images: pd.DataFrame, folds: Folds) -> dict[str, str]:
    return {
        "config": config.digest,
        "data": _digest(images.drop(columns="fold").to_dict("list")),
        "splits": folds.hash,
    }


def _weights(config: TrainConfig) -> dict[str, str]:
    """The hash of a file of starting weights, which its path does not tell."""
    own_file = config.weights not in (None, "imagenet")
    return {"weights": weights_identity(config.weights)} if own_file else {}


def _differing(written: Any, found: Mapping[str, str]) -> str:
    old = written if isinstance(written, Mapping) else {}
    parts = zip(found, ("config.json", "images.csv", "splits.json"), strict=True)
    return ", ".join(file for key, file in parts if old.get(key) != found[key])


def _read_part(path: Path, read: Callable[[Path], T]) -> T:
    try:
        return read(path)
    except (OSError, ValueError, KeyError):
        what = "damaged" if path.is_file() else "absent"
        msg = f"{path} is {what}; restore it, or use a fresh run folder."
        raise ResumeError(msg) from None


def _read_config(path: Path) -> TrainConfig:
    return TrainConfig.from_json(path.read_text("utf-8"))


def _read_images(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=_TEXT, keep_default_na=False)
    return table.astype({"row": int, "label": int, "fold": int})


def _refuse_changes(old: Run, new: Run) -> None:
    changes = []
    fields = old.config.differences(new.config)
    if fields:
        changes.append(f"settings: {', '.join(fields)}")
    elif old.identity.get("weights") != new.identity.get("weights"):
        changes.append(f"weights: {new.config.weights} is another file than then")
    if old.identity["data"] != new.identity["data"]:
        changes.append(f"data: {_changed_rows(old.images, new.images)}")
    elif old.identity["splits"] != new.identity["splits"]:
        changes.append("folds: patients are dealt differently")
    if changes:
        msg = (
            f"{new.folder} holds a run from something else ({'; '.join(changes)}). Choose a "
            "fresh run folder, or go back to what it was started with."
        )
        raise ResumeError(msg)


def _changed_rows(old: pd.DataFrame, new: pd.DataFrame) -> str:
    if len(old) != len(new):
        return f"{len(old)} images then, {len(new)} now"
    columns = [name for name in old.columns if name not in ("row", "fold")]
    parts = []
    for name in columns:
        rows = (old[name].astype(str) != new[name].astype(str)).to_numpy().nonzero()[0]
        if rows.size:
            first = ", ".join(map(str, rows[:_SHOWN]))
            parts.append(f"`{name}` of {rows.size} rows (first: row {first})")
    return ", ".join(parts) or "the order of the columns"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _versions() -> dict[str, str]:
    import numpy
    import torch

    return {"torch": torch.__version__, "numpy": numpy.__version__}
