"""The app of a study that fuses an ensemble, and of one whose nomogram has other networks."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from rich.console import Console
from scipy.special import expit, logit

from reports.app import open_app
from reports.app.ensemble import mean_probability
from reports.new_images import predict_images
from reports.run import train_study
from reports.stages import network
from reports.synthetic.small_network import SMALL
from tests.reports.test_app_browser import nomogram_fit, study_model
from tests.reports.torsion_study import TINY, make_torsion_study
from usstats.fusion import patient_probability

pytest.importorskip("onnxruntime", reason="the app reads ONNX files")
pytest.importorskip("onnxscript", reason="the app's networks are written by torch as ONNX")

#: One epoch on images that tell nothing.
pytestmark = pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("app") / "study"
    networks = {
        "small": TINY | {"architecture": SMALL},
        "large": TINY | {"architecture": SMALL, "input_size": 48, "calibration": "platt"},
    }
    make_torsion_study(
        folder,
        networks=networks,
        ensembles={"pair": ["small", "large"]},
        fusion={"network": "pair"},
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "WORKERS", 1)
        train_study(folder, console=Console(quiet=True))
    return SimpleNamespace(folder=folder, app=open_app(folder))


def test_the_mean_of_one_probability_is_itself_and_of_certain_ones_is_finite():
    assert mean_probability([np.array([0.0, 1.0])]).tolist() == [0, 1]
    assert mean_probability([np.array([1.0]), np.array([0.0])]) == pytest.approx([0.5], abs=1e-3)


def test_the_app_says_what_the_ensemble_predicts(trained):
    images = pd.read_csv(trained.folder / "images.csv", dtype=str)
    path = trained.folder / images.loc[images["patient_id"].str.startswith("L"), "path"].iloc[0]
    said = trained.app.network.predict(np.asarray(Image.open(path)))
    row = predict_images(trained.folder, [path], progress=False).iloc[0]
    assert said.logit[0] == pytest.approx(row["logit"], abs=1e-4)
    assert said.probability_calibrated[0] == pytest.approx(row["probability_calibrated"], abs=1e-4)
    assert said.model_hash == row["model_hash"]
    each = [
        one.predict(np.asarray(Image.open(path))).members for one in trained.app.network.networks
    ]
    np.testing.assert_allclose(said.members, expit((logit(each[0]) + logit(each[1])) / 2))
    assert trained.app.n_networks == len(said.members) == 2


def test_its_band_is_that_of_the_ensembles_own_out_of_fold_probabilities(trained):
    table = pd.read_csv(trained.folder / "run" / "train" / "pair.csv", dtype={"patient_id": str})
    p = patient_probability(table)["dl_prob"]
    assert trained.app.band.n == len(p)
    answered = [trained.app.band.verdict(value) != "unsure" for value in p]
    assert trained.app.band.retained == pytest.approx(np.mean(answered))
    assert "mean log-odds of 2 networks" in trained.app.card["Network"]


@pytest.mark.parametrize(("hash_of_model", "is_there"), [("other", False), ("own", True)])
def test_a_nomogram_of_other_networks_is_left_out_and_said_so(
    trained, monkeypatch, hash_of_model, is_there
):
    own = trained.app.card["Networks (hash)"]
    written = own if hash_of_model == "own" else "0" * 16
    report = Path(trained.folder) / "run" / "report"
    report.mkdir(exist_ok=True)
    (report / "model.json").touch()
    model = study_model(nomogram_fit())
    monkeypatch.setattr(
        "reports.app.source.read_model",
        lambda path: type(model)(**{**vars(model), "network_hash": written}),
    )
    lines: list[str] = []
    app = open_app(trained.folder, say=lines.append)
    assert (app.model is not None) is is_there
    assert ("Nomogram" in app.card) is not is_there
    if not is_there:
        assert f"fitted with the networks {written}, and these are {own}" in app.card["Nomogram"]
        assert "usstats run" in lines[-1]
