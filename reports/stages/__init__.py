"""The stages of a study in the order they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reports.pipeline import Stage
from reports.stages import (
    cohort,
    contrasts,
    draw,
    examine,
    explain,
    model,
    network,
    performance,
    readers,
    truth,
    write,
)
from reports.study import STUDY_FILE, Study
from reports.synthetic import TRUTH_FILE
from reports.training import train_config


def _tables(study: Study) -> Iterator[Path]:
    yield study.root / "patients.csv"
    yield study.root / "images.csv"


def _pictures(study: Study) -> Iterator[Path]:
    yield from _tables(study)
    for column in ("path", "mask", "doppler_path", "doppler_mask", "gate"):
        if column in study.images:
            yield from (study.root / path for path in study.images[column].dropna().unique())


def _predictions(study: Study) -> Iterator[Path]:
    if not study.config.networks:
        yield study.root / "predictions.csv"


def _networks(study: Study) -> dict[str, object]:
    config = study.config
    return {
        "networks": {name: train_config(study, name).to_json() for name in config.networks},
        "ensembles": config.ensembles,
        "shown": {name: [n.modality, n.gate] for name, n in config.networks.items()},
        "outcome": config.outcome.model_dump(),
        "exclusions": [rule.model_dump() for rule in config.exclusions],
        "cohorts": config.cohorts.model_dump(),
        "seed": config.seed,
    }


def _predictions_of(study: Study) -> dict[str, object]:
    """What the tables that networks hand on depend on, beside the networks."""
    config = study.config
    return {
        **_networks(study),
        "fusion": config.fusion.model_dump(),
        "intended_use": config.intended_use,
    }


def _everything(study: Study) -> object:
    return study.config.model_dump()


def _has_networks(study: Study) -> bool:
    return bool(study.config.networks)


def _has_external(study: Study) -> bool:
    return bool(study.config.cohorts.external)


def _has_readings(study: Study) -> bool:
    return (study.root / readers.READINGS).is_file()


def _readings(study: Study) -> Iterator[Path]:
    yield study.root / "patients.csv"
    yield study.root / readers.READINGS


def _has_truth(study: Study) -> bool:
    return study.config.synthetic and (study.root / TRUTH_FILE).is_file()


STAGES: tuple[Stage, ...] = (
    Stage(
        name="check",
        title="Checking tables and images",
        work=cohort.check_tables,
        settings=_everything,
        inputs=_pictures,
    ),
    Stage(
        name="describe",
        title="Describing the patients",
        work=cohort.describe_cohorts,
        settings=_everything,
        inputs=_tables,
    ),
    Stage(
        name="train",
        title="Training the networks",
        work=network.train,
        settings=_networks,
        inputs=_pictures,
        applies=_has_networks,
        resumes=True,
    ),
    Stage(
        name="predict",
        title="Predicting the external cohorts",
        work=network.predict,
        needs=("train",),
        settings=_predictions_of,
        inputs=_pictures,
        applies=_has_networks,
    ),
    Stage(
        name="fuse",
        title="Fusing images and covariates",
        work=model.fuse,
        needs=("predict",),
        settings=_everything,
        inputs=lambda study: [*_tables(study), *_predictions(study)],
    ),
    Stage(
        name="fit",
        title="Fitting the models",
        work=model.fit,
        needs=("fuse",),
        settings=_everything,
    ),
    Stage(
        name="validate",
        title="Validating by resampling",
        work=performance.validate,
        needs=("fuse", "fit"),
        settings=_everything,
    ),
    Stage(
        name="compare",
        title="Comparing the models",
        work=performance.compare,
        needs=("fuse", "fit"),
        settings=_everything,
    ),
    Stage(
        name="external",
        title="Evaluating the external cohorts",
        work=performance.external,
        needs=("fuse", "fit"),
        settings=_everything,
        applies=_has_external,
    ),
    Stage(
        name="contrasts",
        title="Contrasting the models in the external cohorts",
        work=contrasts.contrast_models,
        needs=("external",),
        settings=_everything,
        applies=_has_external,
    ),
    Stage(
        name="readers",
        title="Analysing the readers",
        work=readers.analyse_readers,
        settings=_everything,
        inputs=_readings,
        applies=_has_readings,
    ),
    Stage(
        name="explain",
        title="Explaining the network",
        work=explain.explain_network,
        needs=("train", "fuse"),
        settings=_predictions_of,
        inputs=_pictures,
        applies=_has_networks,
    ),
    Stage(
        name="examine",
        title="Looking at failures, subgroups and the sample size",
        work=examine.examine,
        needs=("fuse", "fit", "validate", "external", "explain"),
        settings=_everything,
        inputs=_tables,
    ),
    Stage(
        name="truth",
        title="Holding the results against the known truth",
        work=truth.compare_with_truth,
        needs=("train", "fit", "validate"),
        settings=_everything,
        inputs=lambda study: [study.root / TRUTH_FILE],
        applies=_has_truth,
    ),
    Stage(
        name="draw",
        title="Drawing the figures",
        work=draw.draw_figures,
        needs=(
            "describe",
            "fuse",
            "fit",
            "validate",
            "compare",
            "external",
            "explain",
            "readers",
        ),
        settings=_everything,
    ),
    Stage(
        name="report",
        title="Writing the report",
        work=write.write_manuscript,
        needs=(
            "check",
            "describe",
            "train",
            "predict",
            "fuse",
            "fit",
            "validate",
            "compare",
            "external",
            "contrasts",
            "readers",
            "explain",
            "examine",
            "truth",
            "draw",
        ),
        settings=_everything,
        inputs=lambda study: [study.root / STUDY_FILE],
    ),
)
