"""Carry a study from its images to the manuscript, or through a part of the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dl.storage import run_lock
from reports.pipeline import Stage, StageRecord, record_path, run_stages, saved_records
from reports.study import Study, load_study
from reports.training import can_be_frozen
from usstats.errors import SchemaError

__all__ = ["REPORT", "as_it_ran", "frozen_route", "rewrite_report", "run_study", "train_study"]

REPORT = "report/report.html"
#: The stages that only show what the others found.
SHOWING = ("draw", "report")


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

    study = _opened(folder, quick=quick)
    _run(study, STAGES, console)
    return study.run_dir / REPORT


def train_study(
    folder: Path | str, *, quick: bool = False, external: bool = False, console: Console
) -> Path:
    """Train the study's networks and return the path of its predictions table.

    Parameters
    ----------
    folder : Path
        A study folder.
    quick : bool
        Frozen image features instead of fine-tuning.
    external : bool
        Predict the external cohorts, too; else the table is that of the network that enters the
        models, out of fold.
    console : Console

    Raises
    ------
    UsstatsError
        What is wrong with the study; a study without networks has nothing to train.
    """
    from reports.stages import STAGES

    study = _opened(folder, quick=quick)
    if not study.config.networks:
        msg = (
            "study.yaml declares no networks: the probabilities come with the study as "
            "predictions.csv, and there is nothing to train."
        )
        raise SchemaError(msg)
    wanted = ("check", "train", "predict") if external else ("check", "train")
    _run(study, [stage for stage in STAGES if stage.name in wanted], console)
    if external:
        return study.run_dir / "predict" / "predictions.csv"
    return study.run_dir / "train" / f"{study.config.fusion.network}.csv"


def rewrite_report(folder: Path | str, *, console: Console) -> Path:
    """Draw and write the report again from the saved results, and return its path.

    Parameters
    ----------
    folder : Path
        A study folder that has been run.
    console : Console

    Raises
    ------
    SchemaError
        A stage before the report is not finished, or was made from something else.
    """
    from reports.stages import STAGES

    earlier = [stage for stage in STAGES if stage.name not in SHOWING]
    study, saved = as_it_ran(_opened(folder), earlier)
    record_path(study.run_dir, "report").unlink(missing_ok=True)
    _run(study, [stage for stage in STAGES if stage.name in SHOWING], console, saved)
    return study.run_dir / REPORT


def as_it_ran(study: Study, stages: Sequence[Stage]) -> tuple[Study, list[StageRecord]]:
    """The study by the route its finished run took, as its file says or quick, and its records.

    Raises
    ------
    SchemaError
        It was run by neither.
    """
    try:
        return study, saved_records(study, stages)
    except SchemaError:
        quick = frozen_route(study)
        if quick.config == study.config:
            raise
        try:
            return quick, saved_records(quick, stages)
        except SchemaError:
            pass
        raise


def frozen_route(study: Study) -> Study:
    """The same study with every network's features left as they were pretrained.

    Networks without such a route, that segment or take a pair of images, are trained all the same.
    """
    networks = {
        name: network.frozen() if can_be_frozen(network) else network
        for name, network in study.config.networks.items()
    }
    return replace(study, config=study.config.model_copy(update={"networks": networks}))


def _opened(folder: Path | str, *, quick: bool = False) -> Study:
    study = load_study(folder)
    return frozen_route(study) if quick else study


def _run(
    study: Study, stages: Sequence[Stage], console: Console, saved: Sequence[StageRecord] = ()
) -> None:
    """The stages under the run folder's lock."""
    study.run_dir.mkdir(exist_ok=True)
    with run_lock(study.run_dir):
        run_stages(study, stages, say=lambda line: console.print(line, markup=False), saved=saved)
