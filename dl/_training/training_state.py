"""Checkpoints of a fold in training: every epoch a whole one, and always one that loads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from dl._training.optimisation import Learner
from dl.checkpoint import read_tensors, write_tensors
from dl.config import TrainConfig
from dl.errors import ResumeError
from dl.storage import read_json, write_json, write_text

__all__ = ["LOG", "TrainingState", "latest_state"]

STATE, LOG = "state.json", "log.jsonl"


@dataclass
class TrainingState:
    """What is known after the last finished epoch; `state.json` is written last.

    Attributes
    ----------
    folder : Path
    identity : dict
        Hashes of configuration, data and folds the state belongs to.
    history : list
        One record an epoch.
    files : dict
        "last" and "best" -> [file name, SHA-256].
    """

    folder: Path
    identity: dict[str, str]
    history: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, list[str]] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The epoch, from 1, of the smallest tuning loss."""
        losses = [record["tuning_loss"] for record in self.history]
        return losses.index(min(losses)) + 1

    @property
    def stopped_epoch(self) -> int | None:
        """The epoch after which waiting for a smaller tuning loss ended training, if it did."""
        return self.history[-1].get("stopped_epoch") if self.history else None

    @property
    def facts(self) -> dict[str, Any]:
        """What a finished fold keeps of its training."""
        return {
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "history": self.history,
        }

    def is_over(self, config: TrainConfig) -> bool:
        """All epochs are trained, or patience has run out."""
        return self.epoch >= config.epochs or self.stopped_epoch is not None

    def add(self, record: dict[str, Any], config: TrainConfig) -> None:
        """Remember an epoch, and whether it is the one that ends training early."""
        self.history.append(record)
        waited = self.epoch - self.best_epoch
        if 0 < config.patience <= waited and self.epoch < config.epochs:
            record["stopped_epoch"] = self.epoch

    def write(self, learner: Learner) -> None:
        """Write the checkpoint of the last epoch, then forget the one before."""
        old = {name for name, _ in self.files.values()}
        name = f"last-{self.epoch:04d}.safetensors"
        self.files["last"] = [name, write_tensors(self.folder / name, learner.tensors())]
        if self.best_epoch == self.epoch:
            name = f"best-{self.epoch:04d}.safetensors"
            weights = learner.predictor.state_dict()
            self.files["best"] = [name, write_tensors(self.folder / name, weights)]
        write_json(self.folder / STATE, self._content())
        self._log()
        for name in old - {name for name, _ in self.files.values()}:
            (self.folder / name).unlink(missing_ok=True)

    def load_best(self, network: nn.Module) -> None:
        """Put the weights of the best epoch into the network."""
        name, digest = self.files["best"]
        network.load_state_dict(read_tensors(self.folder / name, digest), strict=True)

    def forget(self) -> None:
        """Delete the checkpoints of a finished fold; its log stays."""
        for name, _ in self.files.values():
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / STATE).unlink(missing_ok=True)

    def _content(self) -> dict[str, Any]:
        return {"identity": self.identity, "history": self.history, "files": self.files}

    def _log(self) -> None:
        lines = [json.dumps(record, allow_nan=False) for record in self.history]
        write_text(self.folder / LOG, "\n".join(lines) + "\n")


def latest_state(folder: Path, learner: Learner, identity: dict[str, str]) -> TrainingState:
    """Load the latest checkpoint of a fold into a learner, or start afresh.

    Raises
    ------
    ResumeError
        The checkpoint belongs to other settings, data or folds.
    CheckpointError
        It is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = read_state(folder, identity)
    if state.epoch:
        name, digest = state.files["last"]
        learner.restore(read_tensors(folder / name, digest), str(folder / name))
    return state


def read_state(folder: Path, identity: dict[str, str]) -> TrainingState:
    """The state file of a fold, or an empty state."""
    path = folder / STATE
    if not path.is_file():
        return TrainingState(folder, identity)
    content = read_json(path, needs=("identity", "history", "files"))
    if content["identity"] != identity:
        msg = f"{path} belongs to other settings, data or folds. Choose another run folder."
        raise ResumeError(msg)
    return TrainingState(folder, identity, content["history"], content["files"])
