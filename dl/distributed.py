"""Training over several GPUs or hosts: the processes that torchrun starts, as one run.

One process leads: it reads images, deals folds, tunes, writes and predicts, as
`dl.crossval.cross_validate` always does. The others help it with every fold it trains.

On one machine with four GPUs:

    torchrun --nproc-per-node 4 -m dl.distributed config.json images.csv --run-dir RUN

On two machines, the same command on both, with a storage that both see under the same path:

    torchrun --nnodes 2 --nproc-per-node 4 --rdzv-backend c10d --rdzv-endpoint HOST:29500 \\
        --rdzv-id study-1 -m dl.distributed config.json images.csv --run-dir RUN

A process that ends takes the others with it, and the command, given again, goes on from the last
epoch. `batch_size` is that of all processes together: the same configuration gives the same
weights on one and on many, up to the rounding of sums, where `dropout` is 0.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pandas as pd
import torch
from torch import distributed

from dl._training.fold import FoldTask
from dl._training.world import current_world
from dl.config import TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ConfigError
from dl.progress import console_progress
from dl.train import train_fold

__all__ = ["main", "together"]

T = TypeVar("T")

#: How long helpers wait for the leading process to read images or to predict.
PATIENCE = timedelta(hours=24)


def together(lead: Callable[[], T]) -> T | None:
    """Run `lead` in the first process, while those that torchrun started beside it help to train.

    Parameters
    ----------
    lead : callable
        Trains with n_jobs=1, for example `lambda: cross_validate(study, config, run_dir=...)`.

    Returns
    -------
    object or None
        What `lead` returned; None in the other processes. Without torchrun, `lead` just runs.

    Examples
    --------
    >>> together(lambda: "trained alone")
    'trained alone'
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return lead()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group(_backend(), timeout=PATIENCE)
    if current_world().leads:
        answer: T | None = lead()
        current_world().agreed(None)
    else:
        answer = _help()
    distributed.destroy_process_group()
    return answer


def _backend() -> str:
    return "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"


def _help() -> None:
    """Train every fold the leading process names, until it has no more."""
    while (content := current_world().agreed()) is not None:
        train_fold(FoldTask.from_dict(content))


def main(arguments: Sequence[str] | None = None) -> None:
    """Cross-validate a table of images in all processes of torchrun."""
    parser = argparse.ArgumentParser(
        prog="torchrun --nproc-per-node N -m dl.distributed", description=main.__doc__
    )
    parser.add_argument("config", type=Path, help="TrainConfig as JSON")
    parser.add_argument("images", type=Path, help="CSV: image_id, patient_id, path, label, ...")
    parser.add_argument("--run-dir", type=Path, required=True, help="where the run is written")
    parser.add_argument("--root", type=Path, help="where paths start; by default the CSV's folder")
    given = parser.parse_args(arguments)
    together(lambda: _lead(given.config, given.images, given.run_dir, given.root))


def _lead(config: Path, images: Path, run_dir: Path, root: Path | None) -> None:
    for file in (config, images):
        if not file.is_file():
            msg = f"There is no file {file}."
            raise ConfigError(msg)
    names = dict.fromkeys(("image_id", "patient_id", "path"), str)
    study = ImageStudy(images=pd.read_csv(images, dtype=names), root=root or images.parent)
    settings = TrainConfig.from_json(config.read_text("utf-8"))
    cross_validate(study, settings, run_dir=run_dir, n_jobs=1, progress=console_progress())


if __name__ == "__main__":
    main()
