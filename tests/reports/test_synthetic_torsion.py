"""Torsion lives in the flow inside the testis: there, and nowhere else, networks find it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from dl.config import AugmentConfig, TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.doppler import flow_pixels, is_doppler
from dl.images import read_image, read_mask
from dl.pairing import pair_images
from dl.predict import predict
from reports.synthetic.scenes import SyntheticImages
from reports.synthetic.torsion import COLOUR_BAR, TORSION, TorsionLaw
from usstats import auc
from usstats.errors import ArgumentError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> SyntheticImages:
    return TORSION.draw(tmp_path_factory.mktemp("torsion"), n_patients=40, seed=3)


def without_bar(flow: np.ndarray) -> np.ndarray:
    left, top, right, bottom = COLOUR_BAR
    flow = flow.copy()
    flow[top:bottom, left:right] = False
    return flow


# --- the pictures ----------------------------------------------------------------------------


def test_flow_inside_the_testis_tells_torsion_and_colour_at_large_does_not(drawn):
    study, inside, total = drawn.study, [], []
    for row in range(len(study)):
        flow = without_bar(flow_pixels(read_image(study.file(row, "doppler_path"))))
        mask = read_mask(study.file(row, "mask"))
        inside.append(flow[mask].mean())
        total.append(flow.mean())
    np.testing.assert_allclose(inside, drawn.truth["flow_inside"])
    y = study.labels()
    assert auc(y, -np.array(inside)).estimate == 1
    assert 0.15 < auc(y, -np.array(total)).estimate < 0.85


def test_gray_images_are_gray_and_doppler_images_coloured(drawn):
    study = drawn.study
    for row in range(len(study)):
        assert read_image(study.file(row)).ndim == 2
        assert is_doppler(read_image(study.file(row, "doppler_path")))


@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_brightness_and_size_do_not_tell_torsion(drawn):
    study, y = drawn.study, drawn.study.labels()
    facts = [
        (gray.mean(), gray[mask].mean(), gray[mask].std(), mask.mean())
        for gray, mask in (
            (read_image(study.file(row)), read_mask(study.file(row, "mask")))
            for row in range(len(study))
        )
    ]
    for values in zip(*facts, strict=True):
        found = auc(y, np.array(values), cluster=study.patients)
        assert found.conf_low < 0.5 < found.conf_high


def test_a_seed_draws_the_same_study_and_another_seed_another(tmp_path):
    one, two, other = (
        TORSION.draw(tmp_path / name, n_patients=6, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    pd.testing.assert_frame_equal(one.study.images, two.study.images)
    pictures = [
        np.stack([read_image(s.study.file(0, c)) for c in ("path", "mask")])
        for s in (one, two, other)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()


def test_the_table_of_files_pairs_to_the_study(tmp_path):
    law = TorsionLaw(missing_doppler=0.4)
    files = law.draw_files(tmp_path / "a", n_patients=20, seed=4)
    drawn = law.draw(tmp_path / "b", n_patients=20, seed=4)
    pairs = pair_images(files).drop(columns="flow_inside")
    pd.testing.assert_frame_equal(pairs, drawn.study.images)
    missing = ~drawn.study.has_doppler
    assert 0 < missing.sum() < len(drawn.study)
    assert (files["modality"] == "doppler").sum() == (~missing).sum()
    assert set(files["synthetic"]) == {True}


def test_too_few_patients_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="3 patients are too few"):
        TORSION.draw(tmp_path, n_patients=3, seed=1)


# --- the networks ----------------------------------------------------------------------------


def torsion_config(**options) -> TrainConfig:
    small = {
        "dim": 32,
        "heads": 4,
        "depth": 1,
        "channels": [8, 16, 16, 32, 32],
        "scales": [1.0, 2.0],
    }
    return TrainConfig(
        architecture="dual_aspp",
        options=small | options,
        weights=None,
        region="whole",
        input_size=64,
        folds=3,
        epochs=16,
        batch_size=8,
        lr=3e-3,
        head_lr=3e-3,
        augment=AugmentConfig(rotate=10.0, shadow=0.0),
        flip_views=False,
        seed=1,
    )


def turned(study: ImageStudy) -> ImageStudy:
    """Every patient's Doppler images given to another one."""
    paths = study.images["doppler_path"].to_numpy()
    order = np.random.default_rng(1).permutation(len(paths))
    return ImageStudy(images=study.images.assign(doppler_path=paths[order]), root=study.root)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SimpleNamespace:
    root: Path = tmp_path_factory.mktemp("trained")
    study = TORSION.draw(root / "images", n_patients=60, seed=3).study
    study = ImageStudy(images=study.images.assign(gate=study.images["mask"]), root=study.root)
    table = cross_validate(study, torsion_config(), run_dir=root / "run", n_jobs=1)
    other = TORSION.draw(root / "other", n_patients=40, seed=8, prefix="X").study
    other = ImageStudy(images=other.images.assign(gate=other.images["mask"]), root=other.root)
    return SimpleNamespace(study=study, table=table, run_dir=root / "run", other=other, root=root)


@pytest.mark.slow
def test_both_images_find_torsion_out_of_fold_and_in_others(trained):
    found = auc(trained.study.labels(), trained.table["logit"], cluster=trained.study.patients)
    assert found.estimate > 0.95
    other = predict(trained.run_dir, trained.other)["logit"]
    assert auc(trained.other.labels(), other).estimate > 0.95


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_the_gray_image_alone_does_not(trained):
    config = torsion_config(dual=False)
    table = cross_validate(trained.study, config, run_dir=trained.root / "gray", n_jobs=1)
    found = auc(trained.study.labels(), table["logit"], cluster=trained.study.patients)
    assert found.estimate < 0.6
    assert found.conf_low < 0.5 < found.conf_high


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_doppler_images_of_other_patients_change_every_answer_and_tell_nothing(trained):
    right = predict(trained.run_dir, trained.other)["logit"].to_numpy()
    wrong = predict(trained.run_dir, turned(trained.other))["logit"].to_numpy()
    assert (np.abs(wrong - right) > 1e-6).mean() > 0.9
    found = auc(trained.other.labels(), wrong, cluster=trained.other.patients)
    assert found.conf_low < 0.5 < found.conf_high


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_a_missing_doppler_image_is_answered_without_conviction(trained):
    table = trained.other.images.drop(columns="doppler_path")
    logit = predict(trained.run_dir, ImageStudy(images=table, root=trained.other.root))["logit"]
    assert np.isfinite(logit).all()
    found = auc(trained.other.labels(), logit, cluster=trained.other.patients)
    assert found.conf_low < 0.5 < found.conf_high
    seen = predict(trained.run_dir, trained.other)["logit"]
    assert logit.abs().mean() < seen.abs().mean()
