"""A study of pairs, with a segmenter that gates and an ensemble that is fused, from its folder."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy.special import expit, logit

from dl.errors import ImageError
from dl.run_folder import open_run
from reports.new_images import predict_images, trained_network
from reports.pipeline import Workspace
from reports.run import run_study, train_study
from reports.stages import network
from reports.stages.network import combined, network_folder
from reports.study import load_study
from reports.verify import verify_run
from tests.reports.conftest import coarse_figures, copy_study
from tests.reports.torsion_study import make_torsion_study
from usstats.errors import LeakageError, SchemaError
from usstats.fusion import patient_probability

NAMES = ("both", "gray", "outlines")
KEYS = ["patient_id", "image_id"]


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """The small network is registered in this process alone."""
    patch = pytest.MonkeyPatch()
    patch.setattr(network, "WORKERS", 1)
    yield
    patch.undo()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained, and its external cohort predicted."""
    folder = make_torsion_study(tmp_path_factory.mktemp("torsion") / "study")
    train_study(folder, external=True, console=Console(quiet=True))
    return folder


@pytest.fixture(scope="module")
def work(trained: Path) -> Workspace:
    study = load_study(trained)
    return Workspace(study=study, folder=study.run_dir / "predict", say=lambda line: None)


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"patient_id": str, "image_id": str, "fold": "Int64"})


def test_all_networks_share_their_folds(work):
    folds = [open_run(network_folder(work, name)).folds for name in NAMES]
    assert len({fold.hash for fold in folds}) == 1


def test_a_gated_network_gets_the_outlines_of_its_own_folds(work, trained):
    run = open_run(network_folder(work, "both"))
    images = pd.read_csv(trained / "images.csv", dtype=str)
    development = images[images["patient_id"].str.startswith("D")]
    assert len(run.images) == (development["modality"] == "gray").sum()
    assert (run.images["doppler_sha256"] != "").sum() == (
        development["modality"] == "doppler"
    ).sum()
    assert (run.images["gate_sha256"] != "").all()
    gates = (
        trained
        / "run"
        / "train"
        / "gates"
        / open_run(network_folder(work, "outlines")).ensemble_hash
    )
    assert len(list(gates.glob("*.png"))) == len(run.images)


def test_a_segmenter_leaves_its_outlines_and_their_dice(work, trained):
    folder = trained / "run" / "train"
    masks = table(folder / "outlines_masks.csv")
    run = open_run(network_folder(work, "outlines"))
    assert masks["image_id"].tolist() == run.images["image_id"].tolist()
    assert masks["fold"].tolist() == run.images["fold"].tolist()
    dice = pd.read_csv(folder / "outlines_dice.csv").iloc[0]
    assert dice["estimate"] == pytest.approx(masks["dice"].mean())
    assert dice["conf_low"] < dice["estimate"] < dice["conf_high"]
    assert (dice["n"], dice["n_cluster"]) == (len(masks), masks["patient_id"].nunique())
    assert not (folder / "outlines.csv").exists()


def test_the_ensemble_is_the_mean_of_its_members_log_odds(trained):
    folder = trained / "run" / "train"
    both, gray, together = (
        table(folder / f"{name}.csv").set_index(KEYS) for name in ("both", "gray", "together")
    )
    gray = gray.loc[together.index]
    both = both.loc[together.index]
    np.testing.assert_allclose(together["logit"], (both["logit"] + gray["logit"]) / 2)
    mean = (logit(both["probability_calibrated"]) + logit(gray["probability_calibrated"])) / 2
    np.testing.assert_allclose(together["probability_calibrated"], expit(mean))
    assert (together["fold"] == both["fold"]).all()
    assert set(together["role"]) == {"out_of_fold"}


def test_outside_the_ensemble_speaks_too_and_its_members_stay_inside(trained):
    predictions = table(trained / "run" / "predict" / "predictions.csv")
    assert predictions.groupby("role")["model"].unique().map(list).to_dict() == {
        "out_of_fold": ["together"],
        "external": ["together"],
    }
    outside = predictions[predictions["role"] == "external"]
    assert outside["patient_id"].str.startswith("L").all()
    hashes = json.loads((trained / "run" / "predict" / "networks.json").read_text())
    assert set(outside["model_hash"]) == {hashes["together"]}
    assert patient_probability(predictions, model="together")["dl_prob"].between(0, 1).all()


def test_predictions_of_the_training_patients_make_no_ensemble(work, trained):
    tables = {name: table(trained / "run" / "train" / f"{name}.csv") for name in ("both", "gray")}
    inside = {name: rows.assign(role="in_sample") for name, rows in tables.items()}
    with pytest.raises(LeakageError, match="in_sample"):
        combined(work.study, "together", inside)


def test_every_network_has_its_curves_and_its_card(work, trained):
    for name in NAMES:
        assert (network_folder(work, name) / "training.png").stat().st_size > 1000
        text = (trained / "run" / "predict" / f"model_card_{name}.md").read_text("utf-8")
        assert "Shows that a study of pairs runs." in text
        assert "Author to state." in text
    card = json.loads((trained / "run" / "predict" / "model_card_gray.json").read_text("utf-8"))
    assert {row["cohort"] for row in card["performance"]} == {"development, out of fold", "later"}
    assert card["model"]["model_hash"] == open_run(network_folder(work, "gray")).ensemble_hash


def test_new_images_get_the_numbers_of_the_external_cohort(trained):
    images = pd.read_csv(trained / "images.csv", dtype=str)
    new = images[images["patient_id"].str.startswith("L")]
    path = trained / "new.csv"
    new.to_csv(path, index=False)
    before = sorted(trained.iterdir())
    found = predict_images(trained, [path], progress=False).set_index("image_id")
    assert sorted(trained.iterdir()) == before
    predictions = table(trained / "run" / "predict" / "predictions.csv")
    expected = predictions[predictions["role"] == "external"].set_index("image_id")
    np.testing.assert_allclose(found["logit"], expected.loc[found.index, "logit"], rtol=1e-6)
    assert set(found["model_hash"]) == set(expected["model_hash"])
    path.unlink()


def test_an_ensemble_is_no_single_network(trained):
    with pytest.raises(SchemaError, match="'together' is an ensemble of both, gray"):
        trained_network(load_study(trained), "together")
    with pytest.raises(SchemaError, match="it has: both, gray, outlines, together"):
        trained_network(load_study(trained), "nobody")


def test_a_second_training_changes_nothing(trained):
    files = [p for p in (trained / "run").rglob("*") if p.is_file() and p.name != ".lock"]
    before = {path: path.stat().st_mtime_ns for path in files}
    train_study(trained, external=True, console=Console(quiet=True))
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_a_stopped_training_goes_on_to_the_same_bytes(trained, tmp_path):
    folder = copy_study(trained, tmp_path / "study")
    shutil.rmtree(folder / "run" / "predict")
    for name in ("train", "predict"):
        (folder / "run" / "stages" / f"{name}.json").unlink()
    train = folder / "run" / "train"
    shutil.rmtree(next(train.glob("both-*")) / "folds" / "1")
    for name in ("both.csv", "together.csv", "outlines_dice.csv"):
        (train / name).unlink()
    train_study(folder, external=True, console=Console(quiet=True))
    for name in ("predict/predictions.csv", "train/together.csv", "train/outlines_dice.csv"):
        assert (folder / "run" / name).read_bytes() == (trained / "run" / name).read_bytes()


def test_a_picture_that_cannot_be_read_stops_before_training(trained, tmp_path):
    folder = copy_study(trained, tmp_path / "study")
    shutil.rmtree(folder / "run")
    path = next((folder / "images").glob("D*_cd.png"))
    path.unlink()
    path.write_bytes(b"text")
    with pytest.raises((SchemaError, ImageError), match="image_unreadable"):
        train_study(folder, console=Console(quiet=True))
    assert not (folder / "run" / "train").exists()


@pytest.mark.slow
def test_from_pairs_to_the_manuscript(trained, tmp_path):
    folder = copy_study(trained, tmp_path / "study")
    patch = coarse_figures()
    try:
        page = run_study(folder, console=Console(quiet=True)).read_text("utf-8")
    finally:
        patch.undo()
    checked = verify_run(folder)
    assert checked.holds, checked.summary()
    report = folder / "run" / "report"
    cards = {f"model_card_{name}.{kind}" for name in NAMES for kind in ("md", "json")}
    manifest = json.loads((report / "manifest.json").read_text("utf-8"))
    assert cards == set(manifest["details"]["model_cards"])
    assert cards <= set(manifest["outputs"])
    hashes = json.loads((folder / "run" / "predict" / "networks.json").read_text())
    model = json.loads((report / "model.json").read_text("utf-8"))
    assert model["provenance"]["network_hash"] == hashes["together"]
    text = re.sub(r"<[^>]+>", "", page)
    assert "The ensemble “together”, named in the study file before training" in text
    assert "“both” was gated by outlines of the network “outlines”" in text
    assert "Out of fold, the outlines of the network “outlines” reached a mean Dice" in text
    dice = pd.read_csv(report / "tables" / "segmentation.csv", dtype=str)
    assert dice.iloc[0]["Network"] == "outlines"
    cam = pd.read_csv(folder / "run" / "explain" / "cam.csv")
    assert cam["kind"].str.endswith(", Doppler").any()
