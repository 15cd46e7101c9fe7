"""A finished run's folds put together: the predictions table, and the table of masks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dl._training.targets import mask_classes
from dl.calibrate import fit_calibrators
from dl.data import ImageStudy
from dl.predictions import predictions_frame
from dl.run_folder import Run
from dl.segment import mask_frame
from dl.storage import atomic_path, write_json

__all__ = ["assemble"]


def assemble(study: ImageStudy, run: Run, tasks: Sequence[str], masks: Path | None) -> pd.DataFrame:
    """Write the tables of what was predicted out of fold; return the first of them."""
    tables = [_assemble_classes(study, run)] if "classify" in tasks else []
    if masks is not None:
        tables.append(_assemble_masks(study, run, masks))
    return tables[0]


def _assemble_masks(study: ImageStudy, run: Run, masks: Path) -> pd.DataFrame:
    fold = run.images["fold"].to_numpy()
    table = mask_frame(
        study,
        run.folder / "masks",
        np.load(masks, mmap_mode="r", allow_pickle=False),
        model=run.config.name,
        role="out_of_fold",
        fold=fold,
        model_hash=[run.model_hash(int(k)) for k in fold],
        n_classes=mask_classes(run.config),
    )
    _write_csv(run.folder / "masks.csv", table)
    return table


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")


def _assemble_classes(study: ImageStudy, run: Run) -> pd.DataFrame:
    """Out-of-fold logits of all folds, calibrated, as the predictions table."""
    config, n = run.config, len(study)
    logit = np.full(n if config.classes is None else (n, config.n_logits), np.nan)
    hashes = np.empty(n, dtype=object)
    for k in range(run.folds.n_folds):
        record = run.fold_record(k)
        rows = record["rows"]["held_out"]
        logit[rows], hashes[rows] = record["held_out_logit"], run.model_hash(k)
    fold = run.images["fold"].to_numpy()
    labels = run.images["label"].to_numpy()
    known = labels >= 0
    calibration = fit_calibrators(
        logit[known], labels[known], fold[known], study.patients[known], kind=config.calibration
    )
    table = predictions_frame(
        study,
        logit,
        calibration.apply(logit, fold),
        model=config.name,
        positive=config.positive,
        classes=config.classes,
        role="out_of_fold",
        fold=fold,
        model_hash=list(hashes),
    )
    write_json(run.folder / "calibration.json", calibration.to_dict())
    _write_csv(run.folder / "predictions.csv", table)
    return table
