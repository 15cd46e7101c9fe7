"""Other cohorts get the mean logit of the fold networks; development patients get nothing new."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import CheckpointError, ImageError, ImageWarning, ResumeError
from dl.inference import logits, steady_torch
from dl.predict import predict, predict_in_sample
from dl.predictions import COLUMNS
from dl.prepare import Preparation, prepare
from dl.run_folder import open_run
from tests.dl.worlds import altered, tiny_config, write_world
from usstats import patient_probability
from usstats.errors import LeakageError


@pytest.fixture
def other(tmp_path: Path) -> ImageStudy:
    return write_world(tmp_path / "other", n=10, seed=2, prefix="X")


def fold_logits(run_dir: Path, study: ImageStudy, cache: Path) -> np.ndarray:
    """(n_folds, n), every network and every image by itself."""
    run = open_run(run_dir)
    views = prepare(study, Preparation.of(run.config), cache_dir=cache).views
    with steady_torch(0):
        return np.array(
            [
                [logits(run.network(k), views, [i], flip=True)[0] for i in range(len(study))]
                for k in range(run.folds.n_folds)
            ]
        )


def test_external_prediction_is_the_mean_logit_over_folds(finished, other, tmp_path):
    table = predict(finished.run_dir, other)
    assert tuple(table.columns) == COLUMNS
    expected = fold_logits(finished.run_dir, other, tmp_path / "cache").mean(axis=0)
    np.testing.assert_allclose(table["logit"], expected, atol=1e-5)
    np.testing.assert_array_equal(table["probability"], expit(table["logit"]))
    overall = open_run(finished.run_dir).calibration.overall
    np.testing.assert_allclose(
        table["probability_calibrated"], expit(table["logit"] / overall.temperature), rtol=1e-14
    )
    assert table["fold"].isna().all()
    assert set(table["role"]) == {"external"}
    assert roc_auc_score(other.labels(), table["logit"]) > 0.9


def test_external_labels_are_not_looked_at(finished, other):
    with_labels = predict(finished.run_dir, other)
    without = ImageStudy(images=other.images.drop(columns="label"), root=other.root)
    assert predict(finished.run_dir, without).equals(with_labels)
    assert predict(finished.run_dir, altered(other, label=1 - other.labels())).equals(with_labels)


def test_external_prediction_of_an_image_does_not_depend_on_its_company(finished, other):
    whole = predict(finished.run_dir, other)
    part = ImageStudy(images=other.images.iloc[[7, 2]], root=other.root)
    np.testing.assert_allclose(
        predict(finished.run_dir, part)["logit"], whole["logit"].iloc[[7, 2]], atol=1e-5
    )


def test_frozen_route_predicts_others_by_the_mean_logit_too(other, tmp_path):
    study = write_world(tmp_path / "images")
    config = tiny_config(route="frozen", region="roi", frozen_margins=(0.1, 0.4))
    cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    table = predict(tmp_path / "run", other)
    expected = fold_logits(tmp_path / "run", other, tmp_path / "cache").mean(axis=0)
    np.testing.assert_allclose(table["logit"], expected, atol=2e-5)


def test_development_patients_are_refused(finished):
    with pytest.raises(LeakageError, match="36 images of patients and 36 files"):
        predict(finished.run_dir, finished.study)


def test_a_development_file_under_another_name_is_refused(finished, other):
    shutil.copy(finished.study.root / "P00-0.png", other.root / "X03-0.png")
    with pytest.raises(LeakageError, match="0 images of patients and 1 files"):
        predict(finished.run_dir, other)


def test_in_sample_rows_are_marked_and_the_statistics_refuse_them(finished):
    table = predict_in_sample(finished.run_dir, finished.study)
    assert set(table["role"]) == {"in_sample"}
    with pytest.raises(LeakageError):
        patient_probability(table)
    assert len(patient_probability(finished.table)) == 24


def test_in_sample_logit_is_that_of_the_networks_that_trained_on_the_patient(finished, tmp_path):
    table = predict_in_sample(finished.run_dir, finished.study)
    by_fold = fold_logits(finished.run_dir, finished.study, tmp_path / "cache")
    own = finished.table["fold"].to_numpy(dtype=int)
    expected = [by_fold[np.arange(3) != own[i], i].mean() for i in range(len(own))]
    np.testing.assert_allclose(table["logit"], expected, atol=1e-5)
    oof = by_fold[own, np.arange(len(own))]
    np.testing.assert_allclose(finished.table["logit"], oof, atol=1e-5)


def test_in_sample_refuses_strangers(finished, other):
    with pytest.raises(LeakageError, match="15 images are of patients the networks were not"):
        predict_in_sample(finished.run_dir, other)


def test_an_unfinished_run_predicts_nothing(run_copy, other):
    (run_copy.run_dir / "calibration.json").unlink()
    with pytest.raises(ResumeError, match=r"calibration\.json is absent"):
        predict(run_copy.run_dir, other)


def test_a_damaged_network_predicts_nothing(run_copy, other):
    file = run_copy.run_dir / "folds/2/weights.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match="folds/2"):
        predict(run_copy.run_dir, other)


def test_an_unreadable_image_is_named_by_row(finished, other):
    (other.root / "X02-0.png").write_bytes(b"")
    with pytest.raises(ImageError, match=r"row 3: .*X02-0.png: the file is empty"):
        predict(finished.run_dir, other)


def test_a_development_patient_is_known_in_every_spelling(finished, other):
    known = str(finished.study.images["patient_id"].iloc[0])
    spelled = other.images["patient_id"].tolist()
    spelled[0] = f" {known.lower()} "
    with pytest.raises(LeakageError, match="1 images of patients and 0 files"):
        predict(finished.run_dir, altered(other, patient_id=spelled))


def test_a_development_picture_in_another_file_is_pointed_at(finished, other):
    first = finished.study.images["path"].iloc[0]
    copy = Image.open(finished.study.root / first)
    copy.resize((96, 96)).save(other.root / "copy.jpg", quality=90)
    study = altered(other, path=["copy.jpg", *other.images["path"][1:]])
    with pytest.warns(ImageWarning, match=r"1 images look like development .* \(first: row 0\)"):
        predict(finished.run_dir, study)
