"""AUC contrasts where they are valid: frozen models, in patients none of them was fitted to."""

from __future__ import annotations

import pandas as pd

from reports.files import read_csv, write_csv
from reports.pipeline import Workspace, cohort_file
from reports.stages.model import TEXT_IDS
from usstats.delong import compare_auc


def contrast_models(work: Workspace) -> None:
    """The nomogram against every other model in each external cohort, Holm-adjusted (R06, R07)."""
    frames = []
    for cohort in work.study.config.cohorts.external:
        table = read_csv(work.of("external") / f"{cohort_file(cohort)}_risks.csv", dtype=TEXT_IDS)
        models = [model.name for model in work.study.config.models if model.name in table]
        if len(models) < 2:
            continue
        first, *others = models
        comparison = compare_auc(
            table["event"],
            {name: table[name] for name in models},
            contrasts=[(first, other) for other in others],
        )
        frames.append(comparison.frame().assign(group=cohort))
    if frames:
        write_csv(work.folder / "auc.csv", pd.concat(frames, ignore_index=True))
