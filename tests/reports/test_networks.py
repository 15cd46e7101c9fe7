"""Networks of a study file: every choice of a training run, refused with its place where wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dl.config import TrainConfig
from reports.check import check_study
from reports.networks import Network
from reports.run import frozen_route
from reports.study import load_study
from reports.training import folder_name, members_of, same_as, train_config, training_order
from tests.reports.conftest import copy_study
from tests.reports.torsion_study import NETWORKS, TINY, make_torsion_study
from usstats.errors import SchemaError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_torsion_study(tmp_path_factory.mktemp("torsion") / "study")


@pytest.fixture
def study(drawn: Path, tmp_path: Path) -> Path:
    """The same study, that a test may spoil."""
    return copy_study(drawn, tmp_path / "study")


def change(folder: Path, **values: object) -> None:
    path = folder / "study.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump(config | values, sort_keys=False), "utf-8")


def with_network(folder: Path, network: str = "gray", /, **values: object) -> None:
    change(folder, networks=NETWORKS | {network: NETWORKS[network] | values})


# --- what may be chosen -------------------------------------------------------------------------


def test_every_field_of_a_training_run_can_be_chosen_and_its_default_is_the_same():
    left_out = {"name", "positive", "classes", "seed"}
    assert (
        set(Network.model_fields) - {"modality", "gate"}
        == {item.name for item in fields(TrainConfig)} - left_out
    )
    config = Network().train_config(name="network", positive="1", seed=3)
    assert config == TrainConfig(seed=3)


def test_choices_reach_the_run_as_they_were_written(study):
    with_network(
        study,
        optimiser="sgd",
        momentum=0.5,
        schedule="step",
        step_epochs=2,
        precision="bfloat16",
        policy=[[["gain", 0.5, 0.1]]],
        augment={"photo": 0.3, "rotate": 4},
        tta=["rotate", "scale"],
        calibration="isotonic",
        ema=0.9,
        patience=2,
    )
    config = train_config(load_study(study), "gray")
    assert (config.name, config.positive, config.seed) == ("gray", "torsion", 4)
    assert (config.optimiser, config.momentum, config.step_epochs) == ("sgd", 0.5, 2)
    assert (config.augment.photo, config.augment.rotate) == (0.3, 4.0)
    assert config.tta == ("rotate", "scale")
    assert config.policy == ([["gain", 0.5, 0.1]],)
    with_network(study, policy_search={"candidates": 3, "operations": ["gain", "blur"]})
    search = train_config(load_study(study), "gray").policy_search
    assert (search.candidates, search.operations) == (3, ("gain", "blur"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "networks.gray.epoch: Extra inputs are not permitted"),
        ({"epochs": "3"}, "networks.gray.epochs: Input should be a valid integer"),
        ({"epochs": True}, "networks.gray.epochs: Input should be a valid integer"),
        ({"augment": {"photos": 1}}, "networks.gray.augment.photos: Extra inputs"),
        ({"augment": {"photo": 2}}, "networks.gray: Value error, `augment.photo` must lie from 0"),
        ({"policy_search": {"rounds": 1.5}}, "networks.gray.policy_search.rounds: Input"),
        ({"optimiser": "lion"}, "`optimiser` must be one of 'adamw', 'sgd', 'adam'; got 'lion'"),
        ({"momentum": 0.5}, "`momentum` belongs to optimiser=\"sgd\"; got optimiser='adamw'"),
        ({"precision": "float16"}, 'precision="float16" needs device="cuda"'),
        ({"route": "frozen", "ema": 0.5, "patience": 0}, "so that `ema` would do nothing"),
        ({"tta": ["zoom"]}, "`tta` must be different ones of"),
        ({"name": "mine"}, "networks.gray.name: Extra inputs"),
        ({"seed": 1}, "networks.gray.seed: Extra inputs"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(study, values, message):
    with_network(study, **values)
    with pytest.raises(SchemaError, match=r"study.yaml has \d+ fault") as caught:
        load_study(study)
    assert message in str(caught.value)
    (problem,) = check_study(study)
    assert (problem.file, problem.code) == ("study.yaml", "study_file")
    assert message in problem.found


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ensembles": {"gray": ["both", "gray"]}}, "ensembles.gray has the name of a network"),
        ({"ensembles": {"together": ["both", "red"]}}, "not declared: red"),
        ({"ensembles": {"together": ["both"]}}, "together must list two or more different"),
        ({"ensembles": {"together": ["both", "both"]}}, "together must list two or more different"),
        (
            {"networks": NETWORKS | {"gray": NETWORKS["gray"] | {"folds": 3}}},
            "its networks differ in `folds`",
        ),
        (
            {"networks": NETWORKS | {"both": NETWORKS["both"] | {"gate": "mask"}}},
            "networks.both.gate names no other network of the study: mask",
        ),
        (
            {"networks": NETWORKS | {"both": NETWORKS["both"] | {"gate": "both"}}},
            "networks.both.gate names no other network",
        ),
        (
            {"networks": NETWORKS | {"outlines": NETWORKS["outlines"] | {"folds": 3}}},
            "networks.both.folds is 2 and that of its gate outlines 3",
        ),
        ({"fusion": {"network": "nobody"}}, "not declared: nobody"),
    ],
)
def test_names_that_do_not_resolve_are_refused(study, changes, message):
    change(study, **changes)
    with pytest.raises(SchemaError) as caught:
        load_study(study)
    assert message in str(caught.value)


# --- networks against what there is -------------------------------------------------------------


def refused(folder: Path) -> dict[str, str]:
    return {p.column: p.found for p in check_study(folder) if p.severity == "error"}


def test_a_sound_study_of_pairs_has_no_error(study):
    problems = check_study(study)
    assert {p.severity for p in problems} == {"warning"}
    (alone,) = (p for p in problems if p.code == "doppler_missing")
    images = pd.read_csv(study / "images.csv")
    n = images["modality"].value_counts()
    assert f"{n['gray'] - n['doppler']} of {n['gray']} gray images" in alone.found
    assert f"{n['doppler']} Doppler images" in alone.found
    paired = images[images["modality"] == "doppler"].set_index(["patient_id", "side", "view"]).index
    for line in alone.rows:
        row = images.iloc[line - 2]
        assert row["modality"] == "gray"
        assert (row["patient_id"], row["side"], row["view"]) not in paired


@pytest.mark.parametrize(
    ("name", "values", "column", "found"),
    [
        ("gray", {"architecture": "resnet19"}, "networks.gray", "`architecture` must be one of"),
        ("gray", {"options": {"depth": 3}}, "networks.gray", "option of small_cnn"),
        ("gray", {"weights": "imagenet"}, "networks.gray.weights", "no published weights"),
        ("outlines", {"region": "roi"}, "networks.outlines", "where the mask is"),
        (
            "outlines",
            {"policy_search": {"rounds": 1}},
            "networks.outlines.policy_search",
            "a segmenter has none",
        ),
        ("gray", {"task_weights": "uncertainty"}, "networks.gray.task_weights", "one task"),
        ("both", {"gate": "gray"}, "networks.both.gate", "gray, which does not segment"),
        ("gray", {"gate": "outlines"}, "networks.gray.gate", "'small_cnn' has none"),
        ("gray", {"modality": "elastography"}, "networks.gray.modality", "'elastography'"),
    ],
)
def test_networks_that_cannot_be_trained_are_found_before_training(
    study, name, values, column, found
):
    with_network(study, name, **values)
    problems = refused(study)
    assert found in problems[column]


def test_a_segmenter_gives_no_probability(study):
    change(study, fusion={"network": "outlines"}, ensembles={"together": ["outlines", "gray"]})
    problems = refused(study)
    assert "the segmenter outlines" in problems["fusion"]
    assert "the segmenter outlines" in problems["ensembles.together"]


def edit_images(folder: Path, edit) -> pd.DataFrame:
    table = edit(pd.read_csv(folder / "images.csv", dtype=str, keep_default_na=False))
    table.to_csv(folder / "images.csv", index=False)
    return table


def test_a_doppler_image_without_its_gray_one_is_found_with_its_line(study):
    table = pd.read_csv(study / "images.csv", dtype=str)
    lost = int((table["modality"] == "doppler").to_numpy().argmax()) - 1
    after = edit_images(study, lambda t: t.drop(index=lost))
    (problem,) = (p for p in check_study(study) if p.code == "doppler_unpaired")
    key = table.loc[lost, "patient_id"]
    assert len(problem.rows) == 1
    assert after.iloc[problem.rows[0] - 2][["patient_id", "modality"]].tolist() == [key, "doppler"]


def test_doubled_pictures_and_missing_files_are_found(study):
    def double(table: pd.DataFrame) -> pd.DataFrame:
        first = table[table["modality"] == "doppler"].head(1)
        other = table[table["modality"] == "doppler"].tail(1)["path"].item()
        return pd.concat([table, first.assign(image_id="again", path=other)])

    table = edit_images(study, double)
    codes = {p.code: p.rows for p in check_study(study)}
    assert len(codes["doppler_twice"]) == 3
    assert codes["doppler_twice"][-1] == len(table) + 1
    assert len(codes["doppler_shared"]) == 2
    edit_images(study, lambda t: t.assign(path=["images/none.png", *t["path"][1:]]))
    assert {p.code: p.rows for p in check_study(study)}["file_missing"] == (2,)


def test_unknown_words_for_a_modality_are_refused(study):
    edit_images(study, lambda t: t.assign(modality=["colour", *t["modality"][1:]]))
    (problem,) = (p for p in check_study(study) if p.code == "no_pairs")
    assert "`modality` must be one of gray" in problem.found
    assert "both" in problem.remedy


def test_pairs_in_one_row_are_looked_at_as_well(study):
    from dl.pairing import pair_images

    images = pd.read_csv(study / "images.csv", dtype=str)
    paired = pair_images(images).drop(columns=["modality", "doppler_image_id"])
    paired.loc[3, "doppler_path"] = "images/none.png"
    paired.to_csv(study / "images.csv", index=False)
    (problem,) = (p for p in check_study(study) if p.severity == "error")
    assert (problem.code, problem.column, problem.rows) == ("file_missing", "doppler_path", (5,))


# --- quick, and networks that are the same ------------------------------------------------------


def test_by_the_quick_route_equal_networks_count_once_and_pairs_are_trained(study):
    ensemble = {"two": ["gray", "features"]}
    change(
        study,
        networks=NETWORKS | {"features": {**TINY, "architecture": "small_cnn", "tta": ["gain"]}},
        ensembles=ensemble,
        fusion={"network": "two"},
    )
    slow = load_study(study)
    assert members_of(slow, "two") == ["gray", "features"]
    quick = frozen_route(slow)
    routes = {name: network.route for name, network in quick.config.networks.items()}
    assert routes["gray"] == routes["features"] == "frozen"
    assert routes["both"] == routes["outlines"] == "finetune"
    assert members_of(quick, "two") == ["gray"]
    assert same_as(quick, "features") == "gray"
    assert folder_name(quick, "features") == folder_name(quick, "gray") != folder_name(slow, "gray")
    assert quick.config.networks["both"].gate == "outlines"


def test_gated_networks_wait_for_their_outlines_and_follow_their_changes(study):
    config = load_study(study)
    assert training_order(config.config) == ["gray", "outlines", "both"]
    before = folder_name(config, "both"), folder_name(config, "gray")
    with_network(study, "outlines", epochs=2)
    after = load_study(study)
    assert folder_name(after, "both") != before[0]
    assert folder_name(after, "gray") == before[1]
