"""Gates are predicted masks: out of fold, in the image's own pixels, and of the same folds."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ResumeError
from dl.gates import gate_masks
from dl.geometry import letterbox
from dl.images import read_image
from dl.predict import predict, predict_masks
from dl.run_folder import open_run
from dl.segment import mask_path, read_probability
from tests.dl.pair_worlds import pair_config, write_pairs
from tests.dl.worlds import altered, tiny_config
from usstats.errors import ArgumentError, LeakageError
from usstats.splits import make_folds

UNET = {"architecture": "unet", "options": {"encoder": "resnet18", "widths": [8, 8, 8, 8, 8]}}


@pytest.fixture(scope="module")
def segmented(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("segmented")
    study = write_pairs(root / "images", n=12)
    wide = read_image(study.file(0))[4:40]
    for column in ("path", "mask"):
        cut = read_image(study.file(0, column))[4:40]
        Image.fromarray(cut).save(study.file(0, column))
    assert wide.shape == (36, 48)
    study = ImageStudy(images=study.images.drop(columns="gate"), root=study.root)
    splits = make_folds(study.labels(), study.patients, n_folds=2, seed=5)
    config = tiny_config(**UNET, epochs=1, folds=2, lr=1e-3, head_lr=1e-3)
    cross_validate(study, config, run_dir=root / "masks", splits=splits, n_jobs=1)
    return SimpleNamespace(study=study, run_dir=root / "masks", splits=splits, config=config)


def test_gates_are_the_out_of_fold_masks_at_the_images_size(segmented):
    gated = gate_masks(segmented.run_dir, segmented.study)
    for row in range(len(gated)):
        gate, image = read_image(gated.file(row, "gate")), read_image(gated.file(row))
        assert gate.shape == image.shape[:2]
        square = read_probability(mask_path(segmented.run_dir / "masks", row)) * 255
        visible = letterbox(np.ones(gate.shape, dtype=bool), 32)
        again = letterbox(gate, 32)
        assert np.abs(again - square)[visible].mean() < 12
    assert gated.images["gate_fold"].tolist() == segmented.splits.lookup(gated.patients).tolist()
    pd.testing.assert_frame_equal(
        gated.images.drop(columns=["gate", "gate_fold"]), segmented.study.images
    )


def test_gates_follow_the_image_whatever_the_order_of_the_table(segmented):
    gated = gate_masks(segmented.run_dir, segmented.study)
    turned = ImageStudy(images=segmented.study.images.iloc[::-1], root=segmented.study.root)
    other = gate_masks(segmented.run_dir, turned)
    assert other.images["gate"].tolist() == gated.images["gate"].tolist()[::-1]


def test_a_network_is_trained_on_gates_of_its_own_folds_only(segmented, tmp_path):
    gated = gate_masks(segmented.run_dir, segmented.study)
    config = pair_config(epochs=1, folds=2)
    splits = open_run(segmented.run_dir).folds
    table = cross_validate(gated, config, run_dir=tmp_path / "run", splits=splits, n_jobs=1)
    assert np.isfinite(table["logit"]).all()
    assert (open_run(tmp_path / "run").images["gate_sha256"] != "").all()
    others = make_folds(gated.labels(), gated.patients, n_folds=2, seed=6)
    assert (others.assignment != segmented.splits.assignment).any()
    with pytest.raises(LeakageError, match=r"of 18 gates were predicted in other folds"):
        cross_validate(gated, config, run_dir=tmp_path / "other", splits=others, n_jobs=1)
    external = gate_masks(segmented.run_dir, write_pairs(tmp_path / "x", n=4, prefix="X", seed=8))
    assert np.isfinite(predict(tmp_path / "run", external)["logit"]).all()


def test_other_patients_get_the_mean_of_all_networks(segmented, tmp_path):
    other = write_pairs(tmp_path / "x", n=4, prefix="X", seed=8)
    gated = gate_masks(segmented.run_dir, other, folder="outlines")
    predict_masks(segmented.run_dir, other, folder=tmp_path / "squares")
    assert gated.images["gate_fold"].isna().all()
    assert gated.images["gate"].str.startswith("outlines/").all()
    for row in range(len(gated)):
        square = Image.open(mask_path(tmp_path / "squares", row)).resize((48, 48), 2)
        np.testing.assert_array_equal(read_image(gated.file(row, "gate")), np.asarray(square))


def test_a_mixture_of_patients_is_refused(segmented):
    some = altered(segmented.study, patient_id=["Z", *segmented.study.patients[1:]])
    with pytest.raises(LeakageError, match="1 of 18 images are of patients the segmenter never"):
        gate_masks(segmented.run_dir, some)


def test_an_image_that_was_not_segmented_is_refused(segmented, tmp_path):
    table = segmented.study.images.assign(
        path=["P00-left-doppler.png", *segmented.study.images["path"][1:]]
    )
    with pytest.raises(ArgumentError, match=r"1 of 18 images have no out-of-fold mask .*row 0"):
        gate_masks(segmented.run_dir, ImageStudy(images=table, root=segmented.study.root))


def test_gates_stay_inside_the_study(segmented):
    with pytest.raises(ArgumentError, match="`folder` must lie inside the study's root"):
        gate_masks(segmented.run_dir, segmented.study, folder="../out")


def test_a_run_that_is_not_finished_gives_no_gates(segmented, tmp_path):
    shutil.copytree(segmented.run_dir, tmp_path / "run")
    mask_path(tmp_path / "run" / "masks", 3).unlink()
    with pytest.raises(ResumeError, match="run is not finished"):
        gate_masks(tmp_path / "run", segmented.study)


def test_only_a_segmenter_gives_gates(finished):
    with pytest.raises(ArgumentError, match="'tiny' does not segment"):
        gate_masks(finished.run_dir, finished.study)
