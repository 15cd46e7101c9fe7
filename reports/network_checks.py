"""What study.yaml asks of its networks, held against the networks there are and the images."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from data_schema.problems import Problem, Severity
from reports.networks import Network
from reports.study import STUDY_FILE, StudyConfig
from reports.training import seen_by, takes_pairs, tasks_of
from usstats.errors import SchemaError, UsstatsError

if TYPE_CHECKING:
    from reports.study_checks import StudyTables

__all__ = ["check_networks"]

IMAGES = "images.csv"
_PAIRS = "one gray and at most one Doppler image of a patient, side and view"


def check_networks(config: StudyConfig, tables: StudyTables, root: Path) -> list[Problem]:
    """Networks that cannot be trained as declared, and images that make no clear pairs.

    Where torch is not installed nothing is known of the networks, and nothing is said.
    """
    if not config.networks or find_spec("torch") is None:
        return []
    found = [_refused(name, network) for name, network in config.networks.items()]
    problems = [problem for problem in found if problem is not None]
    if problems:
        return problems
    problems += _fused_segmenters(config)
    for name, network in config.networks.items():
        problems += [*_settings(name, network), *_gate(name, network, config)]
    if {"image_id", "patient_id", "path"} <= set(tables.images):
        problems += [*_pairs(config, tables, root), *_nothing_to_see(config, tables)]
    return problems


def _refused(name: str, network: Network) -> Problem | None:
    """An architecture, option, starting point or device that there is not."""
    from dl._networks.stacked import network_of
    from dl._training.world import training_device
    from dl.registry import entry

    try:
        tasks_of(network)
        network_of(network.train_config(name=name, positive="1", seed=0))
        training_device(network.device)
    except (UsstatsError, TypeError) as error:
        return _setting(name, "", str(error), "settings this network can be trained with")
    known = None if "/" in network.architecture else entry(network.architecture)
    if network.weights == "imagenet" and known is not None and known.imagenet is None:
        found = f"no published weights for {network.architecture!r}"
        return _setting(name, "weights", found, "weights: null, or the path of a checkpoint")
    return None


def _fused_segmenters(config: StudyConfig) -> Iterator[Problem]:
    """Outlines where a probability is wanted."""
    used = {"fusion": config.fused_networks - set(config.ensembles)}
    used |= {f"ensembles.{name}": set(members) for name, members in config.ensembles.items()}
    for place, names in used.items():
        for name in sorted(names & set(config.networks)):
            if "classify" not in tasks_of(config.networks[name]):
                found = f"the segmenter {name}, which gives outlines and no probability"
                expected = "a network that classifies"
                yield _problem(STUDY_FILE, "segmenter_fused", found, expected, column=place)


def _settings(name: str, network: Network) -> Iterator[Problem]:
    """What the network's tasks and inputs give no meaning."""
    tasks = tasks_of(network)
    if "segment" in tasks and (network.region, network.route) != ("whole", "finetune"):
        found = "a network that segments, and a box or a route that would tell it where the mask is"
        yield _setting(name, "", found, "region: whole and route: finetune")
    if takes_pairs(network) and network.route != "finetune":
        yield _setting(name, "route", "a network of two images, frozen", "route: finetune")
    if network.policy_search is not None and "classify" not in tasks:
        found = "a search by the loss of the class, and a segmenter has none"
        yield _setting(name, "policy_search", found, "`policy` or `augment` by hand")
    if network.task_weights == "uncertainty" and len(tasks) < 2:
        found = "learned weights of class and mask, and a network with one task"
        yield _setting(name, "task_weights", found, "task_weights: fixed")


def _gate(name: str, network: Network, config: StudyConfig) -> Iterator[Problem]:
    if network.gate is None:
        return
    if "segment" not in tasks_of(config.networks[network.gate]):
        found = f"{network.gate}, which does not segment"
        yield _setting(name, "gate", found, "the name of a network that segments")
    if not takes_pairs(network):
        found = f"a gate, and {network.architecture!r} has none"
        yield _setting(name, "gate", found, "a network of two images, such as dual_aspp")


def _pairs(config: StudyConfig, tables: StudyTables, root: Path) -> Iterator[Problem]:
    """Images in rows of their own that do not tell which of them are a pair."""
    from dl.pairing import pairing_faults

    images = tables.images
    users = [name for name, network in config.networks.items() if takes_pairs(network)]
    if not users or "doppler_path" in images or images["path"].isna().any():
        return
    try:
        faults = pairing_faults(images.drop(columns="label", errors="ignore"), root=root)
    except SchemaError as error:
        remedy = f"correct the table; the network {users[0]} takes pairs"
        yield _problem(IMAGES, "no_pairs", str(error).rstrip("."), _PAIRS, remedy=remedy)
        return
    for fault in faults:
        rows = tuple(tables.lines["images"][row] for row in fault.rows)
        found = fault.what[0].lower() + fault.what[1:]
        yield _problem(IMAGES, fault.code, found, _PAIRS, column="modality", rows=rows)
    if not faults:
        yield from _without_doppler(config.networks[users[0]], tables, root)


def _without_doppler(network: Network, tables: StudyTables, root: Path) -> Iterator[Problem]:
    """Gray and Doppler images counted apart, and gray ones that stand alone."""
    numbered = tables.images.assign(line=tables.lines["images"])
    pairs = seen_by(network, numbered.drop(columns="label", errors="ignore"), root)
    alone = pairs["doppler_path"].isna()
    n_doppler = int((~alone).sum())
    if not n_doppler:
        found = f"{len(pairs)} gray images and no Doppler image"
        yield _problem(IMAGES, "no_doppler", found, _PAIRS, column="modality")
    elif alone.any():
        yield _problem(
            IMAGES,
            "doppler_missing",
            f"{alone.sum()} of {len(pairs)} gray images beside which none of the {n_doppler} "
            "Doppler images stands",
            _PAIRS,
            column="modality",
            rows=tuple(int(line) for line in pairs.loc[alone, "line"]),
            remedy="nothing to do where none was taken: the network takes it as missing",
            severity="warning",
        )


def _nothing_to_see(config: StudyConfig, tables: StudyTables) -> Iterator[Problem]:
    """Networks for which images.csv holds no image, or no outline to learn from."""
    drawn = "mask" in tables.images and tables.images["mask"].notna().any()
    for name, network in config.networks.items():
        if not takes_pairs(network) and seen_by(network, tables.images, Path()).empty:
            found = f"no image of the modality {network.modality or 'gray'!r} in images.csv"
            yield _setting(name, "modality", found, "a modality of images.csv")
        if "segment" in tasks_of(network) and not drawn:
            found = f"no mask at all, and the network {name} learns from them"
            yield _problem(IMAGES, "mask_missing", found, "outlines drawn by hand", column="mask")


def _setting(name: str, key: str, found: str, expected: str) -> Problem:
    column = f"networks.{name}.{key}" if key else f"networks.{name}"
    return _problem(STUDY_FILE, "network_refused", found.rstrip("."), expected, column=column)


def _problem(
    file: str,
    code: str,
    found: str,
    expected: str,
    *,
    column: str = "",
    rows: tuple[int, ...] = (),
    remedy: str = "",
    severity: Severity = "error",
) -> Problem:
    return Problem(
        file=file,
        column=column,
        rows=rows,
        n=len(rows),
        code=code,
        severity=severity,
        found=found,
        expected=expected,
        remedy=remedy or ("correct the rows" if rows else "correct study.yaml"),
    )
