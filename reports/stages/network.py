"""Images in, probabilities out: the only stages that need torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from reports.files import atomic_write_text, write_csv, write_json
from reports.pipeline import WORKERS, Workspace
from reports.study import Study
from reports.training import (
    folder_name,
    image_table,
    members_of,
    same_as,
    seen_by,
    tasks_of,
    train_config,
    training_order,
)

if TYPE_CHECKING:
    from dl.data import ImageStudy
    from dl.progress import Progress
    from usstats.splits import Folds

#: Below the train stage: outlines that gate networks, as pictures.
GATES = "gates"
_TEXT = {"patient_id": str, "image_id": str, "class": str, "model_hash": str}


def train(work: Workspace) -> None:
    """Cross-validate every declared network; a killed run goes on where it stopped."""
    splits = shared_splits(work)
    for name in training_order(work.study.config):
        first = same_as(work.study, name)
        if first == name:
            _train_one(work, name, splits.get(work.study.config.networks[name].folds))
        else:
            work.say(f"  network {name}: the same as {first} by this route, trained once")
        _save_tables(work, name)
    for name in work.study.config.ensembles:
        write_csv(work.folder / f"{name}.csv", _ensemble(work, name))


def shared_splits(work: Workspace) -> dict[int, Folds]:
    """Folds that all networks of a study share, by their number; one network makes its own."""
    from dl.crossval import plan_folds
    from dl.data import ImageStudy
    from dl.progress import console_progress

    study, networks = work.study, work.study.config.networks
    if len({same_as(study, name) for name in networks}) < 2:
        return {}
    table = image_table(study, *study.config.cohorts.development)
    configs = {network.folds: train_config(study, name) for name, network in networks.items()}
    progress = console_progress()
    try:
        return {
            folds: plan_folds(
                ImageStudy(images=table, root=study.root),
                config,
                cache_dir=work.folder / "cache",
                progress=progress,
            )
            for folds, config in configs.items()
        }
    finally:
        progress.close()


def _train_one(work: Workspace, name: str, splits: Folds | None) -> None:
    from dl.crossval import cross_validate
    from dl.curves import save_training_figure
    from dl.progress import console_progress

    network = work.study.config.networks[name]
    work.say(f"  network {name}: {network.architecture}, {network.route}, {network.region}")
    cross_validate(
        development_images(work, name),
        train_config(work.study, name),
        run_dir=network_folder(work, name),
        splits=splits,
        progress=console_progress(),
        n_jobs=WORKERS,
    )
    if network.route == "finetune":
        save_training_figure(network_folder(work, name))


def _save_tables(work: Workspace, name: str) -> None:
    """Out-of-fold probabilities, and outlines with their Dice, under the network's name."""
    run, tasks = network_folder(work, name), tasks_of(work.study.config.networks[name])
    if "classify" in tasks:
        table = _read(run / "predictions.csv")
        write_csv(work.folder / f"{name}.csv", table.assign(model=name))
    if "segment" in tasks:
        masks = _read(run / "masks.csv").assign(model=name)
        write_csv(work.folder / f"{name}_masks.csv", masks)
        write_csv(work.folder / f"{name}_dice.csv", mean_dice(work.study, masks))


def _ensemble(work: Workspace, name: str) -> pd.DataFrame:
    """Out-of-fold probabilities of an ensemble; members that are the same count once."""
    members = members_of(work.study, name)
    dropped = set(work.study.config.ensembles[name]) - set(members)
    if dropped:
        work.say(f"  ensemble {name}: {', '.join(sorted(dropped))} counted once, being the same")
    tables = {member: _read(work.folder / f"{member}.csv") for member in members}
    return combined(work.study, name, tables)


def mean_dice(study: Study, masks: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice coefficient of the outlined images, its interval by resampling patients."""
    from dl.card_measures import MEASURED, mask_measures

    cohort = ", ".join(study.config.cohorts.development)
    rows = mask_measures(masks, cohort=cohort, seed=study.config.seed)
    return pd.DataFrame(rows, columns=list(MEASURED)).assign(model=masks["model"].iloc[0])


def _read(path: Path) -> pd.DataFrame:
    """A table of `dl` as it was written, to the last digit."""
    return pd.read_csv(
        path,
        dtype=_TEXT | {"fold": "Int64"},
        keep_default_na=False,
        na_values={"fold": [""], "dice": [""]},
        float_precision="round_trip",
    )


def network_folder(work: Workspace, name: str) -> Path:
    """Where a network's folds lie.

    Another number of epochs starts afresh in another folder, and the old one can be gone back to.
    """
    return work.of("train") / folder_name(work.study, name)


def development_images(work: Workspace, name: str) -> ImageStudy:
    """What a network sees of the development cohort, gated where it asks for it."""
    study = work.study
    table = image_table(study, *study.config.cohorts.development)
    return images_for(work, name, table, root=study.root, gates=work.of("train") / GATES)


def images_for(
    work: Workspace, name: str, table: pd.DataFrame, *, root: Path, gates: Path
) -> ImageStudy:
    """What a network sees of an images table; outlines that gate it are written below `gates`."""
    from dl.data import ImageStudy
    from dl.gates import gate_masks

    network = work.study.config.networks[name]
    images = ImageStudy(images=seen_by(network, table, root), root=root)
    if network.gate is None:
        return images
    return gate_masks(
        network_folder(work, network.gate),
        images,
        folder=gates.resolve().relative_to(root.resolve()),
    )


def predict(work: Workspace) -> None:
    """Put the external cohorts through the fold models of the network that describes them."""
    config = work.study.config
    outside = {cohort: _external(work, cohort) for cohort in config.cohorts.external}
    names = reported_networks(work.study)
    parts = [_read(work.of("train") / f"{name}.csv") for name in names]
    parts += [
        combined(work.study, config.network_for(cohort), tables)
        for cohort, tables in outside.items()
    ]
    write_csv(work.folder / "predictions.csv", pd.concat(parts, ignore_index=True))
    write_json(work.folder / "networks.json", _hashes(work))
    _write_cards(work, outside)


def reported_networks(study: Study) -> list[str]:
    """Networks and ensembles whose probabilities are handed on.

    Those that only are members of an ensemble stay in the train stage: nobody chooses among them.
    """
    config = study.config
    inside = {member for members in config.ensembles.values() for member in members}
    alone = [
        name
        for name, network in config.networks.items()
        if "classify" in tasks_of(network) and (name in config.fused_networks or name not in inside)
    ]
    return [*alone, *config.ensembles]


def combined(study: Study, name: str, tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Predictions of a network, or the mean log-odds of an ensemble's members."""
    from dl.ensemble import ensemble_predictions

    members = members_of(study, name)
    if len(members) == 1:
        return tables[members[0]].assign(model=name)
    return ensemble_predictions([tables[member] for member in members], name=name)


def _external(work: Workspace, cohort: str) -> dict[str, pd.DataFrame]:
    """An external cohort by each network that describes it."""
    table = image_table(work.study, cohort).drop(columns="label")
    name = work.study.config.network_for(cohort)
    return predict_members(work, name, table, root=work.study.root, gates=work.folder / GATES)


def predict_members(
    work: Workspace,
    name: str,
    table: pd.DataFrame,
    *,
    root: Path,
    gates: Path,
    progress: Progress | None = None,
) -> dict[str, pd.DataFrame]:
    """Patients no network has seen, by each network behind a name."""
    from dl.predict import predict as predict_images

    return {
        member: predict_images(
            network_folder(work, member),
            images_for(work, member, table, root=root, gates=gates),
            progress=progress,
        )
        for member in members_of(work.study, name)
    }


def _hashes(work: Workspace) -> dict[str, str]:
    """One hash of all the networks behind every name."""
    from dl.predictions import ensemble_hash
    from dl.run_folder import open_run

    config, found = work.study.config, {}
    for name in (*config.networks, *config.ensembles):
        own = [
            open_run(network_folder(work, m)).ensemble_hash for m in members_of(work.study, name)
        ]
        found[name] = own[0] if len(own) == 1 else ensemble_hash(own)
    return found


def _write_cards(work: Workspace, outside: Mapping[str, Mapping[str, pd.DataFrame]]) -> None:
    """A model card of every network, with the cohorts it was carried to."""
    from dl.model_card import model_card

    for name in _trained(work.study):
        card = model_card(
            network_folder(work, name),
            intended_use=work.study.config.intended_use,
            external={
                cohort: _labelled(work.study, cohort, tables[name])
                for cohort, tables in outside.items()
                if name in tables
            },
        )
        atomic_write_text(work.folder / f"model_card_{name}.md", card.markdown())
        write_json(work.folder / f"model_card_{name}.json", card.content)


def _trained(study: Study) -> Iterator[str]:
    return (name for name in study.config.networks if same_as(study, name) == name)


def _labelled(study: Study, cohort: str, table: pd.DataFrame) -> pd.DataFrame:
    """Predictions with the outcome of each patient."""
    event = study.cohort(cohort).set_index("patient_id")["event"]
    return table.assign(label=table["patient_id"].map(event).to_numpy())
