"""From a trained run to the page: one number all the way, a band that is fixed and written down."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from scipy.special import expit, logit

from reports.app import AppRun, AppServer, open_app, serve
from reports.app.band import AbstentionBand, abstention_band
from reports.app.command import WARNING
from tests.reports.app_world import ask, combine, encoded, gray, raw, request, serving
from tests.reports.app_world import read as read_by_http
from tests.reports.browser import browsing
from tests.reports.conftest import copy_study
from tests.reports.test_app_browser import (
    PHONE,
    WATCH,
    nomogram_fit,
    opened,
    read,
    set_box,
    show,
    study_model,
)
from usstats.errors import ArgumentError, SchemaError
from usstats.thresholds import choose_threshold

# ---- the band ----


def cohort(n: int = 400, seed: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    return y, expit(rng.normal(1.2 * (2 * y - 1), 1.3))


def band_of(y: np.ndarray, p: np.ndarray, coverage: float) -> AbstentionBand:
    return abstention_band(y, p, cutoff=choose_threshold(y, p), coverage=coverage)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.95])
def test_the_band_leaves_out_the_patients_nearest_to_the_cutoff(coverage):
    y, p = cohort()
    band = band_of(y, p, coverage)
    unsure = np.array([band.verdict(value) == "unsure" for value in p])
    assert 1 - unsure.mean() == pytest.approx(coverage, abs=1 / len(p))
    assert band.retained == 1 - unsure.mean()
    distance = abs(logit(p) - logit(band.cutoff))
    assert distance[unsure].max() < distance[~unsure].min()
    assert logit(band.high) - logit(band.cutoff) == pytest.approx(
        logit(band.cutoff) - logit(band.low)
    )
    kept = (p >= band.cutoff) == y
    assert band.accuracy[0] == pytest.approx(kept.mean())
    assert band.accuracy_retained[0] == pytest.approx(kept[~unsure].mean())
    assert band.accuracy_retained[0] > band.accuracy[0]


def test_with_full_coverage_nobody_is_unsure():
    y, p = cohort()
    band = band_of(y, p, 1.0)
    assert band.low == band.cutoff == band.high
    verdicts = [band.verdict(value) for value in p]
    assert verdicts == ["above" if value >= band.cutoff else "below" for value in p]


def test_certain_and_tied_probabilities_have_a_verdict():
    y = np.array([0, 0, 0, 1, 1, 1])
    for p in ([0, 0, 0.5, 0.5, 1, 1], [0, 0, 0, 1, 1, 1]):
        band = band_of(y, np.array(p, dtype=float), 0.5)
        assert (band.verdict(0.0), band.verdict(1.0)) == ("below", "above")


@pytest.mark.parametrize("coverage", [0.0, -0.1, 1.01, float("nan")])
def test_a_coverage_that_is_none(coverage):
    y, p = cohort(40)
    with pytest.raises(ArgumentError, match="`coverage` is the share of patients"):
        band_of(y, p, coverage)


# ---- a trained run ----


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SimpleNamespace:
    """Three small networks whose labels are partly wrong, so that they doubt."""
    for package in ("torch", "onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason="the app's networks are written by torch as ONNX")
    from dl.crossval import cross_validate
    from tests.dl.worlds import altered, tiny_config, write_world

    root = tmp_path_factory.mktemp("app")
    study = write_world(root / "images", n=36, per_patient=1)
    wrong = np.random.default_rng(0).random(36) < 0.2
    study = altered(study, label=np.where(wrong, 1 - study.images["label"], study.images["label"]))
    config = tiny_config(region="roi", positive="NOA", epochs=4)
    cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    app = open_app(root / "run")
    return SimpleNamespace(run=root / "run", study=study, app=app, root=root)


@pytest.fixture(scope="module")
def server(trained) -> Iterator[AppServer]:
    with serving(replace(trained.app, model=study_model(nomogram_fit()))) as running:
        yield running


def python_prediction(run: Path, image: Path, box: tuple[int, int, int, int]) -> pd.Series:
    """What `dl.predict` says, by torch."""
    from dl.data import ImageStudy
    from dl.predict import predict

    row = {
        "image_id": "new",
        "patient_id": "new",
        "path": image.name,
        "roi": " ".join(map(str, box)),
    }
    return predict(run, ImageStudy(images=pd.DataFrame([row]), root=image.parent)).iloc[0]


@pytest.fixture(scope="module")
def photo(trained, tmp_path_factory) -> Path:
    """A telephone's photo of a screen that shows one of the images, lying on its side."""
    from dl.photo import photograph

    screen = np.asarray(Image.open(trained.root / "images" / "P01-0.png").resize((480, 480)))
    taken = photograph(np.pad(screen, 60, constant_values=12), np.random.default_rng(6))
    exif = Image.Exif()
    exif[0x0112] = 8
    path = tmp_path_factory.mktemp("photo") / "IMG_0001.jpg"
    Image.fromarray(np.rot90(taken, -1).copy()).save(path, quality=85, exif=exif)
    return path


def test_a_photo_on_the_phone_gives_pythons_own_number(trained, server, photo, tmp_path):
    box = (130, 140, 470, 460)
    expected = python_prediction(trained.run, photo, box)
    with browsing(tmp_path) as browser:
        tab = opened(browser, server, **PHONE)
        tab.evaluate(WATCH)
        show(tab, photo)
        set_box(tab, box)
        p = read(tab)
        assert p == pytest.approx(expected["probability_calibrated"], abs=1e-6)
        assert tab.text("#probability") == f"{100 * p:.1f}%"
        tab.click(*tab.centre("#field-1"))
        tab.write("9")
        seen = tab.evaluate("window.seen[window.seen.length - 1]")
        patient = pd.DataFrame({"dl_prob": [p], "fsh": [9.0]})
        assert seen["risk"] == pytest.approx(nomogram_fit().predict(patient)[0], abs=1e-12)
        assert expected["model_hash"] in tab.text(".about")
        painted = tab.evaluate(
            "(() => { const c = document.getElementById('map'); return [c.width, c.height]; })()"
        )
        assert max(painted) == 900
        assert tab.complaints() == []


def test_the_networks_and_their_range_are_those_of_the_folds(trained, server, photo):
    box = (100, 120, 400, 470)
    found = read_by_http(server, photo.read_bytes(), ",".join(map(str, box))).json
    expected = python_prediction(trained.run, photo, box)
    assert found["probability"] == pytest.approx(expected["probability_calibrated"], abs=1e-6)
    assert len(found["members"]) == 3
    assert min(found["members"]) <= found["probability"] <= max(found["members"])
    patient = combine(server, found).json
    assert patient["verdict"] == trained.app.band.verdict(patient["probability"])


def test_images_the_networks_learned_from_are_recognised(trained, server):
    image = (trained.root / "images" / "P03-0.png").read_bytes()
    assert read_by_http(server, image, "4,4,44,44").json["known"]
    assert not read_by_http(server, encoded(gray(90)), "4,4,44,44").json["known"]


def test_cutoff_and_band_come_from_the_out_of_fold_predictions(trained):
    table = pd.read_csv(trained.run / "predictions.csv")
    assert set(table["role"]) == {"out_of_fold"}
    y = trained.study.images.set_index("image_id")["label"].loc[table["image_id"]].to_numpy()
    p = table["probability_calibrated"].to_numpy()
    expected = abstention_band(y, p, cutoff=choose_threshold(y, p), coverage=0.8)
    for name, value in trained.app.band.to_dict().items():
        own = getattr(expected, name)
        assert value == (own if isinstance(own, str) else pytest.approx(own))
    record = json.loads((trained.run / "app" / "record.json").read_text())
    assert record["band"]["cutoff"] == choose_threshold(y, p).value
    assert record["band"]["coverage"] == 0.8
    assert record["model_hash"] in trained.app.card.values()


def test_the_networks_are_written_once_and_again_when_the_file_is_not_what_it_was(
    trained, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    said: list[str] = []
    open_app(run, say=said.append)
    assert said == []
    network = run / "app" / "network.onnx"
    monkeypatch.setattr(
        "dl.export.export_onnx", lambda _, path: shutil.copy(trained.run / "app" / path.name, path)
    )
    spoiled = bytearray(network.read_bytes())
    spoiled[len(spoiled) // 2] ^= 1
    network.write_bytes(spoiled)
    app = open_app(run, coverage=0.5, say=said.append)
    assert [line.partition(";")[0] for line in said] == ["Writing the networks for the app"]
    assert json.loads((run / "app" / "record.json").read_text())["band"]["coverage"] == 0.5
    assert app.band.retained == pytest.approx(0.5, abs=0.1)


def test_a_second_start_needs_no_torch_and_ctrl_c_ends_it_quietly(trained):
    code = (
        "import atexit, sys; from reports.cli import main;"
        "atexit.register(lambda: print('torch' in sys.modules));"
        f"sys.argv = ['usstats', 'app', {str(trained.run)!r}, '--port', '0']; main()"
    )
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    line = process.stdout.readline()
    url = line.split(" at ")[1].split()[0]
    with urllib.request.urlopen(url, timeout=10) as page:  # noqa: S310
        assert page.status == 200
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == ["Stopped. Nothing was kept.", "False"]


def test_another_host_is_warned_of(trained, monkeypatch):
    monkeypatch.setattr(AppServer, "serve_forever", lambda self, **_: None)
    said: list[str] = []
    everywhere = "0.0.0.0"  # noqa: S104
    serve(trained.run, host=everywhere, port=0, say=said.append)
    assert said[0] == WARNING.format(host=everywhere)
    said.clear()
    serve(trained.run, port=0, say=said.append)
    assert [line.split()[0] for line in said] == ["The"]


def test_a_foreign_name_for_this_address_is_refused(trained):
    everywhere = "0.0.0.0"  # noqa: S104
    with AppServer(trained.app, host=everywhere, port=0) as server:
        assert f"evil.example:{server.server_port}" not in server.hosts("192.168.1.7")
        assert f"192.168.1.7:{server.server_port}" in server.hosts("192.168.1.7")


# ---- a study around the networks ----


@pytest.fixture
def around(trained, small_study, tmp_path, monkeypatch) -> Path:
    """A study whose network is the trained one, and whose nomogram is fitted."""
    folder = copy_study(small_study, tmp_path / "study")
    config = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    config |= {"networks": {"roi": {"architecture": "tiny"}}, "cutoff": {"sensitivity": 0.9}}
    config["fusion"] |= {"network": "roi", "aggregate": "max"}
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    monkeypatch.setattr("reports.app.source.trained_network", lambda study, name: trained.run)
    shutil.copytree(trained.run / "app", folder / "app")
    return folder


def test_a_study_gives_its_words_its_rule_and_its_nomogram(around, trained):
    (around / "run" / "report").mkdir(parents=True)
    nomogram_fit().to_json(around / "run" / "report" / "model.json")
    for folder in (around, around / "run"):
        app = open_app(folder)
        assert app.title.startswith("Non-obstructive azoospermia")
        assert app.event == "non-obstructive azoospermia"
        assert app.synthetic
        assert (app.aggregate, app.image_variable) == ("max", "dl_prob")
        assert app.card["Population"] == "development"
        assert app.band.criterion != trained.app.band.criterion
    assert [path.name for path in (around / "run").iterdir()] == ["report"]
    assert json.loads((around / "app" / "record.json").read_text())["aggregate"] == "max"
    with serving(app) as server:
        page = ask(server, "GET", "/").body.decode()
    assert "Synthetic data" in page
    assert 'id="nomogram"' in page


def test_a_study_without_a_nomogram_has_the_image_part(around):
    app = open_app(around)
    assert (app.model, app.image_variable) == (None, None)
    with serving(app) as server:
        assert 'id="nomogram"' not in ask(server, "GET", "/").body.decode()


# ---- what is no run ----


def test_a_study_that_came_with_its_probabilities_has_no_network(small_study):
    with pytest.raises(SchemaError, match=r"declares no networks.*usstats calculator"):
        open_app(small_study)


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(SchemaError, match=r"neither a study nor a finished run.*study\.yaml"):
        open_app(tmp_path)


def test_networks_that_are_not_trained_to_the_end(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    (run / "predictions.csv").unlink()
    with pytest.raises(SchemaError, match=r"predictions\.csv is absent .* Run the training again"):
        open_app(run)


def test_networks_of_several_classes(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained.run, run)
    table = pd.read_csv(run / "predictions.csv")
    pd.concat([table, table.assign(**{"class": "other"})]).to_csv(run / "predictions.csv")
    with pytest.raises(SchemaError, match="several classes"):
        open_app(run)


def test_a_stalled_phone_does_not_stop_the_others(server, photo, monkeypatch):
    monkeypatch.setattr("reports.app.server._Handler.timeout", 1.0)
    stalled = request(server, "POST", "/look", b"x", Content_Length="1000")
    thread = threading.Thread(target=raw, args=(server, stalled))
    thread.start()
    began = time.monotonic()
    assert read_by_http(server, photo.read_bytes(), "100,120,400,470").status == 200
    assert time.monotonic() - began < 3
    thread.join()


def test_the_app_is_an_immutable_value(trained):
    assert isinstance(trained.app, AppRun)
    with pytest.raises(AttributeError):
        trained.app.band.cutoff = 0.5
