"""All that training may know of one fold: the training and tuning labels, no others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dl.config import TrainConfig
from usstats.errors import LeakageError

__all__ = ["BATCHES", "DROPOUT", "START", "FoldTask", "epoch_seed"]

#: What the random numbers of a fold are for.
START, BATCHES, DROPOUT = 0, 1, 2

_PLAIN = ("fold", "identity", "tasks")
_ARRAYS = {
    "rows": np.int64,
    "labels": np.int64,
    "groups": np.int64,
    "is_tuning": np.bool_,
    "held_out_rows": np.int64,
}


@dataclass(frozen=True, kw_only=True)
class FoldTask:
    """All that training may know of one fold.

    Attributes
    ----------
    config : TrainConfig
    fold : int
    folder : Path
        Where the fold's files go.
    views : Path
        Array file of the prepared images.
    rows : (k,) int
        Rows of that array that belong to patients of the other folds.
    labels, groups : (k,) int
        Their outcomes (-1 where unknown, beside a mask) and patients (tied patients share a
        number).
    is_tuning : (k,) bool
        Which of them choose the epoch rather than train.
    held_out_rows : (m,) int
        Rows to predict when training is over. Their labels are not here.
    identity : mapping
        Hashes of configuration, data and folds.
    tasks : tuple of str
        "classify", "segment" or both.
    masks : Path, optional
        Array file of the masks. Only the rows of `rows` are looked at.
    """

    config: TrainConfig
    fold: int
    folder: Path
    views: Path
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    is_tuning: NDArray[np.bool_]
    held_out_rows: NDArray[np.int64]
    identity: dict[str, str]
    tasks: tuple[str, ...] = ("classify",)
    masks: Path | None = None

    @property
    def train_rows(self) -> NDArray[np.int64]:
        """Rows whose gradient is taken."""
        return self.rows[~self.is_tuning]

    @property
    def train_labels(self) -> NDArray[np.int64]:
        """Their outcomes."""
        return self.labels[~self.is_tuning]

    @property
    def tuning_rows(self) -> NDArray[np.int64]:
        """Rows that choose the epoch."""
        return self.rows[self.is_tuning]

    @property
    def tuning_labels(self) -> NDArray[np.int64]:
        """Their outcomes."""
        return self.labels[self.is_tuning]

    def load_views(self) -> NDArray[np.uint8]:
        """The prepared images, mapped."""
        return np.load(self.views, mmap_mode="r", allow_pickle=False)

    def load_masks(self, rows: NDArray[np.int64]) -> Tensor:
        """Masks of some of the fold's own rows, (k, size, size).

        Raises
        ------
        LeakageError
            One of them is held out.
        """
        if not np.isin(rows, self.rows).all():
            msg = "A held-out mask was asked for in training."
            raise LeakageError(msg)
        masks = np.load(self.masks, mmap_mode="r", allow_pickle=False)
        return torch.from_numpy(masks[rows].astype(np.int64))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, for a process that helps to train the fold."""
        content = {name: getattr(self, name) for name in _PLAIN}
        content |= {name: getattr(self, name).tolist() for name in _ARRAYS}
        content |= {"folder": str(self.folder.resolve()), "views": str(self.views.resolve())}
        content["masks"] = None if self.masks is None else str(self.masks.resolve())
        return content | {"config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> FoldTask:
        """Read back what `to_dict` gave, through JSON."""
        values = {name: content[name] for name in _PLAIN}
        values |= {name: np.array(content[name], dtype=kind) for name, kind in _ARRAYS.items()}
        values |= {"folder": Path(content["folder"]), "views": Path(content["views"])}
        values["masks"] = None if content["masks"] is None else Path(content["masks"])
        values["tasks"] = tuple(content["tasks"])
        return cls(**values, config=TrainConfig.from_dict(content["config"]))


def epoch_seed(config: TrainConfig, fold: int, purpose: int, epoch: int = 0) -> int:
    """A seed of its own for every fold, purpose and epoch.

    No random state outlives an epoch, so that a run that was killed goes on with the numbers it
    would have drawn.
    """
    children = np.random.SeedSequence([config.seed, fold, purpose, epoch])
    return int(children.generate_state(1, np.uint64)[0] >> np.uint64(1))
