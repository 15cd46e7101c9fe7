"""Pairs through the whole run: nobody is known beforehand, and what is missing is borne."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dl import train
from dl._training.training_state import TrainingState
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ConfigError, ResumeError
from dl.predict import predict
from dl.predictions import COLUMNS
from dl.run_folder import open_run
from tests.dl.pair_worlds import pair_config, write_pairs
from tests.dl.test_crossval import fold_record, weights_of
from tests.dl.worlds import altered
from usstats.errors import LeakageError, SchemaError
from usstats.splits import make_folds

SWITCHES = ("dual", "mask", "multi_rate", "cross_attention", "positions", "gate")


def logits_of(study: ImageStudy, config, run_dir: Path, **options) -> np.ndarray:
    return cross_validate(study, config, run_dir=run_dir, n_jobs=1, **options)["logit"].to_numpy()


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("pairs")
    study, config = write_pairs(root / "images"), pair_config()
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(root=root, study=study, config=config, run_dir=root / "run", table=table)


@pytest.fixture
def world(tmp_path) -> ImageStudy:
    return write_pairs(tmp_path / "images", n=12)


# --- a run -----------------------------------------------------------------------------------


def test_the_table_is_that_of_every_network(finished):
    assert tuple(finished.table.columns) == COLUMNS
    assert finished.table["image_id"].tolist() == finished.study.images["image_id"].tolist()
    assert np.isfinite(finished.table["logit"]).all()


def test_every_file_is_recorded(finished):
    images = open_run(finished.run_dir).images
    for column in ("sha256", "doppler_sha256", "gate_sha256"):
        assert images[column].str.fullmatch("[0-9a-f]{64}").all()
    assert len(open_run(finished.run_dir).development_files) == 2 * len(images)


def test_called_again_nothing_is_trained_and_all_is_equal(finished, monkeypatch):
    monkeypatch.setattr("dl.crossval.train_fold", lambda task: pytest.fail("trained again"))
    again = cross_validate(finished.study, finished.config, run_dir=finished.run_dir, n_jobs=1)
    pd.testing.assert_frame_equal(again, finished.table)


@pytest.mark.parametrize("column", ["doppler_path", "gate"])
def test_another_file_is_other_data(finished, tmp_path, column):
    shutil.copytree(finished.root, tmp_path / "copy")
    study = ImageStudy(images=finished.study.images, root=tmp_path / "copy" / "images")
    other = np.random.default_rng(3).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(other).save(study.root / "other.png")
    table = study.images.copy()
    table.loc[4, column] = "other.png"
    changed = ImageStudy(images=table, root=study.root)
    name = {"doppler_path": "doppler_sha256", "gate": "gate_sha256"}[column]
    with pytest.raises(ResumeError, match=rf"data: `{name}` of 1 rows \(first: row 4\)"):
        cross_validate(changed, finished.config, run_dir=tmp_path / "copy" / "run", n_jobs=1)


# --- who knows what --------------------------------------------------------------------------


def test_held_out_labels_doppler_and_gates_leave_the_folds_weights_alone(world, tmp_path):
    config = pair_config(class_weights="balanced")
    splits = make_folds(world.labels(), world.patients, n_folds=3, seed=1)
    held_out = splits.assignment == 0
    turned = np.where(held_out, 1 - world.labels(), world.labels())
    nothing = {name: world.images[name].where(~held_out, None) for name in ("doppler_path", "gate")}
    studies = {
        "true": world,
        "turned": altered(world, label=turned),
        "blind": altered(world, **nothing),
    }
    for name, study in studies.items():
        cross_validate(study, config, run_dir=tmp_path / name, splits=splits, n_jobs=1)
    weights = {name: weights_of(tmp_path / name) for name in studies}
    assert weights["true"][0] == weights["turned"][0] == weights["blind"][0]
    assert weights["true"][1] != weights["turned"][1]
    assert weights["true"][1] != weights["blind"][1]
    records = {name: fold_record(tmp_path / name, 0)["held_out_logit"] for name in studies}
    assert records["true"] == records["turned"]
    assert records["true"] != records["blind"]


def test_patients_who_share_a_doppler_picture_share_a_fold(world, tmp_path):
    shutil.copy(world.file(0, "doppler_path"), world.file(3, "doppler_path"))
    patients = world.patients[[0, 3]]
    assert patients[0] != patients[1]
    table = cross_validate(world, pair_config(epochs=1), run_dir=tmp_path / "run", n_jobs=1)
    fold = table.drop_duplicates("patient_id").set_index("patient_id")["fold"]
    assert fold[patients[0]] == fold[patients[1]]


def test_one_doppler_file_under_two_labels_is_refused(world, tmp_path):
    shutil.copy(world.file(0, "doppler_path"), world.file(1, "doppler_path"))
    with pytest.raises(SchemaError, match=r"Rows 0 and 1 .* the same file under two labels"):
        logits_of(world, pair_config(), tmp_path / "run")


def test_a_development_doppler_image_is_not_predicted(finished, tmp_path):
    other = write_pairs(tmp_path / "other", n=4, seed=9, prefix="X")
    shutil.copy(finished.study.file(2, "doppler_path"), other.file(1, "doppler_path"))
    with pytest.raises(LeakageError, match="0 images of patients and 1 files of the development"):
        predict(finished.run_dir, other)


# --- what may be missing ---------------------------------------------------------------------


def test_a_missing_doppler_image_or_gate_is_answered_and_concerns_nobody_else(finished, tmp_path):
    other = write_pairs(tmp_path / "other", n=8, seed=9, prefix="X")
    whole = predict(finished.run_dir, other)["logit"]
    for column in ("doppler_path", "gate"):
        table = other.images.copy()
        table.loc[[0, 5], column] = None
        found = predict(finished.run_dir, ImageStudy(images=table, root=other.root))["logit"]
        assert np.isfinite(found).all()
        differs = ~np.isclose(found, whole, rtol=0, atol=1e-5)
        assert np.flatnonzero(differs).tolist() == [0, 5]


def test_gray_images_alone_are_answered(finished, tmp_path):
    other = write_pairs(tmp_path / "other", n=4, seed=9, prefix="X")
    table = other.images.drop(columns=["doppler_path", "gate", "mask", "label"])
    found = predict(finished.run_dir, ImageStudy(images=table, root=other.root))
    assert np.isfinite(found["logit"]).all()


def test_doppler_images_are_looked_at(finished, tmp_path):
    other = write_pairs(tmp_path / "other", n=8, seed=9, prefix="X")
    turned = altered(other, doppler_path=other.images["doppler_path"].to_numpy()[::-1])
    one, two = (predict(finished.run_dir, study)["logit"] for study in (other, turned))
    assert (np.abs(one - two) > 1e-6).all()


def test_training_bears_missing_images_of_all_kinds(world, tmp_path):
    table = world.images.copy()
    table.loc[::2, "doppler_path"] = None
    table.loc[::3, "gate"] = None
    study = ImageStudy(images=table, root=world.root)
    config = pair_config(options={"modality_dropout": 0.5, "mask_dropout": 0.5}, batch_size=4)
    assert np.isfinite(logits_of(study, config, tmp_path / "run")).all()


# --- how it is trained -----------------------------------------------------------------------


@pytest.mark.parametrize("switch", SWITCHES)
def test_every_ablation_switch_trains(world, tmp_path, switch):
    config = pair_config(epochs=1, folds=2, options={switch: False})
    logit = logits_of(world, config, tmp_path / "run")
    assert np.isfinite(logit).all()
    assert len(np.unique(logit)) == len(logit)


def test_without_the_second_encoder_doppler_is_not_needed(world, tmp_path):
    config = pair_config(epochs=1, folds=2, options={"dual": False})
    with_doppler = logits_of(world, config, tmp_path / "a")
    gray = ImageStudy(images=world.images.drop(columns="doppler_path"), root=world.root)
    np.testing.assert_array_equal(logits_of(gray, config, tmp_path / "b"), with_doppler)


def test_several_classes_are_trained(world, tmp_path):
    classes = ("healthy", "early", "late")
    study = altered(world, label=[classes[int(p[1:]) % 3] for p in world.patients])
    config = pair_config(epochs=1, folds=2, classes=classes)
    table = cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    total = table.groupby("image_id")["probability"].sum()
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    assert len(table) == 3 * len(study)


def test_a_region_is_cut_from_both_images(world, tmp_path):
    config = pair_config(epochs=1, folds=2, region="roi")
    assert np.isfinite(logits_of(world, config, tmp_path / "run")).all()


def test_a_stopped_run_ends_with_the_bits_of_an_uninterrupted_one(world, tmp_path, monkeypatch):
    config = pair_config(folds=2, epochs=3)
    whole = logits_of(world, config, tmp_path / "whole")
    original, seen = TrainingState.write, []

    def interrupted(self, *args):
        original(self, *args)
        seen.append(1)
        if len(seen) in (2, 4):
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "write", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    np.testing.assert_array_equal(logits_of(world, config, tmp_path / "run"), whole)
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_augmentation_gets_the_layout(world, tmp_path, monkeypatch):
    seen = []
    original = train.augment_with_masks
    monkeypatch.setattr(
        "dl.train.augment_with_masks",
        lambda *args, **options: seen.append(options["layout"]) or original(*args, **options),
    )
    logits_of(world, pair_config(epochs=1, folds=2), tmp_path / "run")
    assert {layout.names for layout in seen} == {("gray", "doppler", "mask")}


# --- what is refused -------------------------------------------------------------------------


def test_a_study_without_any_doppler_image_is_refused(world, tmp_path):
    study = altered(world, doppler_path=None)
    with pytest.raises(SchemaError, match=r"no row has a `doppler_path`.*\"dual\": False"):
        logits_of(study, pair_config(), tmp_path / "run")


def test_the_frozen_route_is_refused(world, tmp_path):
    with pytest.raises(ConfigError, match='takes two images and needs route="finetune"'):
        logits_of(world, pair_config(route="frozen"), tmp_path / "run")
