"""Every number of a model card, read back and computed once more from the run's files."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

import usstats
from dl.crossval import cross_validate
from dl.errors import ResumeError
from dl.model_card import NOTICE, UNSTATED, model_card
from dl.predict import predict
from dl.run_folder import open_run
from tests.dl.worlds import CLASSES, tiny_config, write_classes, write_world
from usstats.errors import ArgumentError

HOSTILE = "x|y\n# Title <script>alert(1)</script> [a](http://b.c) www.b.c *b* `c` $d$"


@pytest.fixture(scope="module")
def card(finished):
    return model_card(finished.run_dir, intended_use="Studies of speckle.")


def test_the_card_says_what_the_run_recorded(card, finished):
    run, content = open_run(finished.run_dir), card.content
    model, data, split = content["model"], content["data"], content["split"]
    assert model["architecture"] == "tiny"
    assert model["model_hash"] == run.ensemble_hash
    assert model["fold_hashes"] == [run.model_hash(fold) for fold in range(3)]
    assert model["n_parameters"] == sum(p.numel() for p in run.network(0).parameters())
    assert model["starting_weights"] == "random"
    assert (data["n_images"], data["n_patients"], data["n_unlabelled"]) == (36, 24, 0)
    labels = finished.study.images.groupby("label")["patient_id"]
    expected = [(len(g), int(g.nunique())) for _, g in labels]
    assert [(c["n_images"], c["n_patients"]) for c in data["classes"]] == expected
    assert data["sha256"] == run.identity["data"]
    assert split["sha256"] == run.folds.hash
    assert sum(split["patients_held_out"]) == 24
    assert content["training"]["configuration"] == finished.config.to_dict()
    epochs = [run.fold_record(fold)["best_epoch"] for fold in range(3)]
    assert content["training"]["chosen"] == {"best_epoch": epochs}
    calibrator = run.calibration.overall
    assert content["calibration"]["temperature"] == calibrator.temperature
    recorded = json.loads((finished.run_dir / "run.json").read_text())
    assert content["environment"]["torch"] == recorded["torch"]


def test_the_measures_are_those_of_the_statistics(card, finished):
    table, y = finished.table, finished.study.labels()
    rows = card.frame().set_index(["group", "measure"])
    area = usstats.auc(y, table["logit"], cluster=table["patient_id"])
    own = rows.loc[("", "auc")]
    assert own["estimate"] == area.estimate
    assert (own["conf_low"], own["conf_high"]) == (area.conf_low, area.conf_high)
    assert (own["n"], own["n_event"], own["n_cluster"]) == (36, 24, 24)
    assert own["method"] == area.method
    for group, column in (
        ("uncalibrated", "probability"),
        ("calibrated", "probability_calibrated"),
    ):
        with pytest.warns(usstats.errors.SmallSampleWarning):
            found = usstats.assess_calibration(
                y, table[column], cluster=table["patient_id"], band=False
            ).frame()
        for row in found.set_index("measure").loc[["calibration_slope", "brier"]].itertuples():
            own = rows.loc[(group, row.Index)]
            np.testing.assert_equal(own["estimate"], row.estimate)
            np.testing.assert_equal(own["conf_high"], row.conf_high)


def test_the_text_shows_the_numbers_and_the_notice(card):
    text = card.markdown()
    assert text.startswith("# Model card: network\n\n**Research use only. Not a medical device")
    assert NOTICE in text
    assert "Studies of speckle." in text
    assert text.count(UNSTATED) == 5
    row = card.frame().iloc[0]
    shown = (
        f"| auc | {row.estimate:.3f} ({row.conf_low:.3f} to {row.conf_high:.3f}) | 36 | 24 | 24 |"
    )
    assert shown in text
    assert "fewer than 100: intervals are wide" in text
    assert "Not evaluated in other patients" in text
    assert "24 images of" not in text
    assert card.content["model"]["model_hash"] in repr(card)


def test_the_files_hold_the_card_and_nobodys_name(card, finished, tmp_path):
    text, data = card.save(tmp_path / "card")
    assert json.loads(data.read_text("utf-8")) == card.content
    assert text.read_text("utf-8") == card.markdown()
    both = text.read_text("utf-8") + data.read_text("utf-8")
    names = [*finished.study.images["patient_id"], *finished.study.images["path"]]
    assert not any(name in both for name in names)
    assert str(finished.run_dir) not in both


def test_another_cohort_has_its_own_rows(finished, tmp_path):
    other = write_world(tmp_path / "other", n=12, seed=2, prefix="X")
    table = predict(finished.run_dir, other).assign(label=other.labels())
    card = model_card(finished.run_dir, external={"Centre B": table}, limits=["One scanner."])
    rows = card.frame().query("cohort == 'Centre B'").set_index(["group", "measure"])
    area = usstats.auc(other.labels(), table["logit"], cluster=table["patient_id"])
    assert rows.loc[("", "auc"), "estimate"] == area.estimate
    assert "One scanner." in card.content["limits"]
    assert not any("Not evaluated" in limit for limit in card.content["limits"])
    with pytest.raises(ArgumentError, match=r"`external\['B'\]` needs the outcome"):
        model_card(finished.run_dir, external={"B": table.drop(columns="label")})
    one = table[table["label"] == 1]
    row = model_card(finished.run_dir, external={"B": one}).frame().iloc[-1]
    assert (row["measure"], row["method"]) == ("auc", "one class")
    assert pd.isna(row["estimate"])
    assert "not estimable" in model_card(finished.run_dir, external={"B": one}).markdown()


def test_a_poor_model_has_a_slope_with_its_interval(finished):
    y = np.random.default_rng(1).integers(0, 2, 24)
    code = dict(zip(finished.study.images["patient_id"].unique(), y, strict=True))
    table = finished.table.assign(label=finished.table["patient_id"].map(code))
    rows = model_card(finished.run_dir, external={"B": table}).frame().query("cohort == 'B'")
    own = rows.set_index(["group", "measure"]).loc[("calibrated", "calibration_slope")]
    with pytest.warns(usstats.errors.SmallSampleWarning):
        found = usstats.assess_calibration(
            table["label"], table["probability_calibrated"], cluster=table["patient_id"], band=False
        ).frame()
    slope = found.set_index("measure").loc["calibration_slope"]
    assert np.isfinite(slope["estimate"])
    assert own[["estimate", "conf_low", "conf_high"]].tolist() == [
        slope["estimate"],
        slope["conf_low"],
        slope["conf_high"],
    ]


def test_text_from_outside_is_shown_and_never_obeyed(finished):
    table = finished.table.assign(label=finished.study.labels())
    card = model_card(
        finished.run_dir,
        intended_use=HOSTILE,
        limits=["- 1. x", HOSTILE],
        external={HOSTILE: table},
    )
    text = card.markdown()
    assert "<script" not in text
    assert not re.search(r"(?<!\\)\]\(http", text)
    assert "http://" not in text
    assert "www.b" not in text
    headings = [line for line in text.split("\n") if line.startswith("#")]
    assert all(re.fullmatch(r"#{1,2} [A-Z][a-z: ]+", line) for line in headings)
    tables = [line for line in text.split("\n") if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {8}
    assert "- \\- 1. x" in text
    assert card.content["stated"]["intended_use"] == HOSTILE


def test_a_run_of_classes_has_a_row_a_class(tmp_path):
    study = write_classes(tmp_path / "images")
    cross_validate(study, tiny_config(classes=CLASSES), run_dir=tmp_path / "run", n_jobs=1)
    card = model_card(tmp_path / "run")
    rows = card.frame().set_index(["group", "measure"])["estimate"]
    table = pd.read_csv(tmp_path / "run/predictions.csv")
    p = table["probability"].to_numpy().reshape(-1, 3)
    y, patients = study.labels(CLASSES), study.patients
    found = usstats.multiclass_auc(y, p, cluster=patients).frame().set_index(["measure", "group"])
    assert rows[("all", "auc_hand_till")] == pytest.approx(
        found.loc[("auc_hand_till", "all"), "estimate"], rel=1e-9
    )
    for name in CLASSES:
        assert np.isfinite(rows[(name, "auc")])
        assert np.isfinite(rows[(f"{name}, calibrated", "brier")])
    named = [each["class"] for each in card.content["data"]["classes"]]
    assert named == list(CLASSES)


def test_a_segmenters_card_has_its_dice(tmp_path):
    study = write_world(tmp_path / "images", n=9)
    options = {"encoder": "mobilenet_v2", "widths": [8, 8, 8, 8, 8]}
    config = tiny_config(architecture="unet", options=options, epochs=1)
    table = cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    card = model_card(tmp_path / "run")
    row = card.frame().iloc[0]
    assert row["measure"] == "mean_dice"
    assert row["estimate"] == pytest.approx(table["dice"].mean(), rel=1e-9)
    assert row["conf_low"] < row["estimate"] < row["conf_high"]
    assert card.content["calibration"] == {"kind": "none"}


def test_an_unfinished_run_and_what_is_no_text_are_refused(run_copy):
    with pytest.raises(ArgumentError, match="`contact` must be text; got int"):
        model_card(run_copy.run_dir, contact=3)
    shutil.rmtree(run_copy.run_dir / "folds/1")
    with pytest.raises(ResumeError, match=r"fold.json is absent"):
        model_card(run_copy.run_dir)
    (run_copy.run_dir / "predictions.csv").unlink()
    with pytest.raises(ResumeError, match=r"predictions.csv is absent; the run is not finished"):
        model_card(run_copy.run_dir)
