"""What the networks of a study have to do with each other, and how well they outline."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reports.evidence import Evidence
from reports.narrative.exhibits import Exhibits
from reports.narrative.words import said
from reports.report import Block
from reports.study import Study
from reports.text import Paragraph, paragraph
from reports.training import members_of

__all__ = ["mean_dice_of", "outline_results", "relations"]


def relations(study: Study, evidence: Evidence) -> Iterator[Paragraph]:
    """Which images a network saw, whose outlines gate it, and which answer together."""
    for name, network in study.config.networks.items():
        label = said(study, f"networks.{name}", name)
        if network.modality is not None:
            modality = said(study, f"networks.{name}.modality", network.modality)
            yield paragraph(
                "The network “{name}” saw {modality} images only.", name=label, modality=modality
            )
        if _is_segmenter(name, evidence):
            yield paragraph(
                "The network “{name}” outlines the region and gives no probability; its loss is "
                "the sum of the pixels' cross-entropy and soft Dice.",
                name=label,
            )
        if network.gate is not None:
            yield paragraph(
                "The network “{name}” was gated by outlines of the network “{gate}”, each made by "
                "the model that had not seen the patient, in the same folds.",
                name=label,
                gate=said(study, f"networks.{name}.gate", network.gate),
            )
    for name in study.config.ensembles:
        members = [f"“{member}”" for member in members_of(study, name)]
        yield paragraph(
            "The ensemble “{name}”, named in the study file before training, is the mean of the "
            "log-odds of {members}, trained in the same folds; the maps shown are those of the "
            "network named first."
            if len(members) > 1
            else "The members of the ensemble “{name}” are one network by this route, {members}, "
            "which counts once.",
            name=said(study, f"ensembles.{name}", name),
            members=said(study, f"ensembles.{name}", " and ".join(members)),
        )


def _is_segmenter(name: str, evidence: Evidence) -> bool:
    return evidence.has(f"train/{name}_masks") and not evidence.has(f"train/{name}")


def mean_dice_of(study: Study, evidence: Evidence) -> pd.DataFrame:
    """Mean Dice of every network that outlines, one row each; empty without one."""
    names = [f"train/{name}_dice" for name in study.config.networks]
    found = [evidence.table(name) for name in names if evidence.has(name)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def outline_results(study: Study, evidence: Evidence, exhibits: Exhibits) -> Iterator[Block]:
    """Agreement of the outlines with those drawn by hand."""
    if "segmentation" not in exhibits.tables:
        return
    for name in study.config.networks:
        table = f"train/{name}_dice"
        if evidence.has(table) and len(evidence.table(table)) == 1:
            yield paragraph(
                "Out of fold, the outlines of the network “{network}” reached a mean Dice "
                "coefficient of {dice} over {n} images of {patients} patients.",
                network=said(study, f"networks.{name}", name),
                dice=evidence.estimate(table, 2, kind="unit", measure="mean_dice"),
                n=evidence.count(table, "n", measure="mean_dice"),
                patients=evidence.count(table, "n_cluster", measure="mean_dice"),
            )
    yield exhibits.table("segmentation")
