"""Carry a study from its images to the manuscript."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dl.storage import run_lock
from reports.pipeline import run_stages
from reports.study import Study, load_study

REPORT = "report/report.html"


def run_study(folder: Path | str, *, quick: bool = False, console: Console) -> Path:
    """Run every stage that has to be run and return the path of the report.

    Parameters
    ----------
    folder : Path
        A study folder.
    quick : bool
        Frozen image features instead of fine-tuning.
    console : Console
        Where progress is written.

    Raises
    ------
    UsstatsError
        What is wrong with the study, before anything is computed.
    """
    from reports.stages import STAGES

    study = load_study(folder)
    if quick:
        study = frozen_route(study)
    study.run_dir.mkdir(exist_ok=True)
    with run_lock(study.run_dir):
        run_stages(study, STAGES, say=lambda line: console.print(line, markup=False))
    return study.run_dir / REPORT


def frozen_route(study: Study) -> Study:
    """The same study with every network's features left as they were pretrained."""
    networks = {
        name: network.model_copy(update={"route": "frozen"})
        for name, network in study.config.networks.items()
    }
    return replace(study, config=study.config.model_copy(update={"networks": networks}))
