"""Checkpoints of a fold in training: every epoch a whole one, and always one that loads."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dl.checkpoint import read_tensors, write_tensors
from dl.errors import CheckpointError, ResumeError
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

    def finish_epoch(
        self, network: nn.Module, optimiser: torch.optim.Optimizer, record: dict[str, Any]
    ) -> None:
        """Write the checkpoint of an epoch, then forget the one before."""
        old = {name for name, _ in self.files.values()}
        self.history.append(record)
        name = f"last-{self.epoch:04d}.safetensors"
        weights = network.state_dict()
        tensors = {f"network/{key}": tensor for key, tensor in weights.items()}
        tensors |= _optimiser_tensors(optimiser)
        self.files["last"] = [name, write_tensors(self.folder / name, tensors)]
        if self.best_epoch == self.epoch:
            name = f"best-{self.epoch:04d}.safetensors"
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


def latest_state(
    folder: Path,
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    identity: dict[str, str],
) -> TrainingState:
    """Load the latest checkpoint of a fold into network and optimiser, or start afresh.

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
        tensors = read_tensors(folder / name, digest)
        _restore(tensors, network, optimiser, folder / name)
    return state


def read_state(folder: Path, identity: dict[str, str]) -> TrainingState:
    """The state file of a fold, or an empty state."""
    path = folder / STATE
    if not path.is_file():
        return TrainingState(folder, identity)
    content = read_json(path)
    if not isinstance(content, dict) or {"identity", "history", "files"} - set(content):
        msg = f"{path} is damaged. Remove the fold's folder to train it again."
        raise ResumeError(msg)
    if content["identity"] != identity:
        msg = f"{path} belongs to other settings, data or folds. Choose another run folder."
        raise ResumeError(msg)
    return TrainingState(folder, identity, content["history"], content["files"])


def _optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    return {
        f"optimiser/{i}/{key}": value
        for i, facts in optimiser.state_dict()["state"].items()
        for key, value in facts.items()
    }


def _restore(
    tensors: dict[str, Tensor], network: nn.Module, optimiser: torch.optim.Optimizer, path: Path
) -> None:
    """Copy values into the layouts training uses, so that the next step gives the same bits."""
    try:
        network.load_state_dict(
            {
                key.removeprefix("network/"): tensor
                for key, tensor in tensors.items()
                if key.startswith("network/")
            },
            strict=True,
        )
    except RuntimeError:
        msg = f"{path}: the checkpoint's tensors do not fit the network."
        raise CheckpointError(msg) from None
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    for key, tensor in tensors.items():
        kind, _, rest = key.partition("/")
        if kind == "optimiser":
            i, name = rest.split("/")
            parameter = parameters[int(i)]
            like = tensor
            if tensor.shape == parameter.shape:
                like = torch.empty_like(parameter).copy_(tensor)
            optimiser.state[parameter][name] = like.detach()
