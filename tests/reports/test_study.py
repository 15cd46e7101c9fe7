"""study.yaml is read strictly, and every fault is named with its place."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from reports.run import frozen_route
from reports.stages.cohort import participant_flow, skewed
from reports.stages.explain import choose_images
from reports.study import load_study
from reports.synthetic.study import NOA_CONFIG
from usstats.errors import SchemaError

PATIENTS = """patient_id,cohort,outcome,fsh,edv,testicular_volume
01,development,NOA,20.1,3.1,8.2
02,development,OA,5.2,4.0,15.0
03,development,unknown,7.7,3.3,12.1
04,prospective,NOA,30.0,2.2,7.5
"""
IMAGES = """image_id,patient_id,path,modality
a,01,a.png,bmode
b,01,b.png,bmode
c,02,c.png,bmode
d,03,d.png,bmode
e,04,e.png,bmode
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    config = dict(NOA_CONFIG)
    config["exclusions"] = [{"column": "outcome", "equals": "unknown", "reason": "no histology"}]
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config), "utf-8")
    (tmp_path / "patients.csv").write_text(PATIENTS, "utf-8")
    (tmp_path / "images.csv").write_text(IMAGES, "utf-8")
    return tmp_path


def _change(folder: Path, **changes: object) -> None:
    path = folder / "study.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    path.write_text(yaml.safe_dump(config | changes), "utf-8")


def test_identifiers_stay_text_and_exclusions_apply(folder):
    study = load_study(folder)
    assert list(study.patients["patient_id"]) == ["01", "02", "03", "04"]
    assert list(study.included["patient_id"]) == ["01", "02", "04"]
    assert list(study.development["event"]) == [1, 0]


def test_flow_counts_patients_images_and_reasons(folder):
    flow = participant_flow(load_study(folder)).set_index(["cohort", "step"])
    assert flow.loc[("development", "enrolled"), "n_patients"] == 3
    assert flow.loc[("development", "excluded"), "reason"] == "no histology"
    assert flow.loc[("development", "excluded"), "n_images"] == 1
    assert flow.loc[("development", "analysed"), ["n_patients", "n_images"]].tolist() == [2, 3]
    assert flow.loc[("prospective", "analysed"), "n_event"] == 1


def test_labels_carry_units(folder):
    study = load_study(folder)
    assert study.label("fsh") == "FSH (IU/L)"
    assert study.bare_label("fsh") == "FSH"
    assert study.label("dl_prob") == "Network probability"
    assert study.variables == ["dl_prob", "fsh", "testicular_volume", "edv"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"seed": -1}, "seed: "),
        ({"decision": {"low": 0.6, "high": 0.3, "rationale": "x"}}, "must lie below"),
        ({"fusion": {"network": "nobody"}}, "not declared: nobody"),
        (
            {"fusion": {"network": "roi", "external": {"mars": "roi"}}},
            "not external: mars",
        ),
        ({"models": []}, "models: "),
        ({"schema_version": 2}, "schema_version: "),
        ({"imputation": {"m": "20"}}, "imputation.m: "),
    ],
)
def test_faults_are_named(folder, changes, message):
    _change(folder, **changes)
    with pytest.raises(SchemaError) as caught:
        load_study(folder)
    assert message in str(caught.value)


def test_two_models_of_one_name_are_refused(folder):
    term = {"name": "fsh", "type": "log"}
    _change(folder, models=[{"name": "same", "terms": [dict(term)]} for _ in range(2)])
    with pytest.raises(SchemaError, match="different names"):
        load_study(folder)


def test_missing_folder_says_what_to_do(tmp_path):
    with pytest.raises(SchemaError, match="usstats init"):
        load_study(tmp_path)


def test_quick_route_changes_only_the_networks(folder):
    study = load_study(folder)
    quick = frozen_route(study)
    assert {network.route for network in quick.config.networks.values()} == {"frozen"}
    assert quick.config.models == study.config.models
    assert study.config.networks["roi"].route == "finetune"


def test_skewed_covariates_are_found():
    frame = pd.DataFrame({"even": range(20), "skewed": [2.0**i for i in range(20)], "text": "a"})
    assert skewed(frame, ["even", "skewed", "text"]) == ["skewed"]


def test_panel_shows_right_and_wrong_of_both_classes():
    patients = pd.DataFrame(
        {
            "patient_id": list("abcdefgh"),
            "event": [1, 1, 1, 1, 0, 0, 0, 0],
            "dl_prob": [0.9, 0.8, 0.3, 0.1, 0.9, 0.7, 0.2, 0.05],
        }
    )
    images = pd.DataFrame(
        {"image_id": [f"{p}1" for p in "abcdefgh"], "patient_id": list("abcdefgh")}
    )
    chosen = choose_images(patients, images).groupby("kind")["patient_id"].agg(set).to_dict()
    assert chosen == {
        "event, recognised": {"a", "b"},
        "no event, recognised": {"g", "h"},
        "event, ranked lowest": {"c", "d"},
        "no event, ranked highest": {"e", "f"},
    }
