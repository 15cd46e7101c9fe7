"""How training went, epoch by epoch: the table behind the curve figure."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from dl.progress import read_log
from dl.storage import atomic_path
from usstats.errors import SchemaError

__all__ = ["save_training_figure", "training_curve"]

_MEASURES = ("train_loss", "tuning_loss", "tuning_auc", "tuning_dice", "seconds")


def training_curve(run_dir: str | Path) -> pd.DataFrame:
    """Losses and tuning measures of every epoch of every fold, from the logs of a run.

    A run in progress gives the epochs that are over.

    Parameters
    ----------
    run_dir : path
        Of `dl.crossval.cross_validate`, route finetune.

    Returns
    -------
    DataFrame
        fold, epoch (from 1), train_loss, tuning_loss, tuning_auc and tuning_dice (NaN where the
        network does not have the task), seconds, chosen: True for the epoch with the smallest
        tuning loss, whose weights the fold keeps.

    Raises
    ------
    SchemaError
        The folder holds no log.

    Examples
    --------
    >>> training_curve("nowhere")
    Traceback (most recent call last):
    data_schema.errors.SchemaError: nowhere holds no log of training (folds/*/log.jsonl)...
    """
    logs = sorted(Path(run_dir).glob("folds/*/log.jsonl"), key=lambda log: int(log.parent.name))
    if not logs:
        msg = (
            f"{run_dir} holds no log of training (folds/*/log.jsonl). It is written after the "
            'first epoch; the route "frozen" has no epochs.'
        )
        raise SchemaError(msg)
    return pd.concat([_one_fold(log) for log in logs], ignore_index=True)


def save_training_figure(run_dir: str | Path, path: str | Path | None = None) -> Path:
    """Draw the curves of every fold, by default into training.png of the run folder.

    Returns
    -------
    Path
        Of the figure; the suffix is its format.
    """
    from usstats.plots.training import training_figure

    target = Path(run_dir) / "training.png" if path is None else Path(path)
    figure = training_figure(training_curve(run_dir))
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format=target.suffix[1:] or "png", dpi=300)
    return target


def _one_fold(log: Path) -> pd.DataFrame:
    table = pd.DataFrame(read_log(log)).reindex(columns=["epoch", *_MEASURES])
    table = table.astype(dict.fromkeys(_MEASURES, float))
    table.insert(0, "fold", int(log.parent.name))
    return table.assign(chosen=table.index == table["tuning_loss"].idxmin())
