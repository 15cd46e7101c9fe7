"""Masks through the training loop: alone, and beside a class, each where it is given."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import Generator

from dl._training.objective import Objective
from dl._training.targets import mask_targets, task_labels
from dl.augment import augment_batch, augment_with_masks
from dl.config import AugmentConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ConfigError, ImageError, TrainingError
from dl.losses import cross_entropy, dice_cross_entropy
from dl.predict import predict, predict_masks
from dl.predictions import COLUMNS
from dl.prepare import Preparation, prepare
from dl.run_folder import open_run
from dl.segment import read_probability
from tests.dl.worlds import altered, tiny_config, write_world
from usstats import dice
from usstats.errors import ArgumentError, LeakageError, SchemaError

SMALL = {"encoder": "tiny", "widths": [16, 8, 8, 8]}


@pytest.fixture(scope="module")
def both(tmp_path_factory) -> SimpleNamespace:
    """Every fifth patient has no label and every fourth no mask."""
    root = tmp_path_factory.mktemp("both")
    study = write_world(root / "images", n=24)
    patient = np.array([int(p[1:]) for p in study.patients])
    label = study.images["label"].where(patient % 5 > 0).astype("Int64")
    study = altered(study, label=label, mask=study.images["mask"].where(patient % 4 > 0))
    config = tiny_config(architecture="multitask_unet", options=SMALL, epochs=8, folds=2)
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    masks = pd.read_csv(root / "run/masks.csv")
    return SimpleNamespace(
        study=study, config=config, run_dir=root / "run", table=table, masks=masks, root=root
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("alone")
    study = write_world(root / "images", n=16)
    study = ImageStudy(images=study.images.drop(columns="label"), root=study.root)
    config = tiny_config(architecture="unet", options=SMALL, epochs=8, folds=2)
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(study=study, config=config, run_dir=root / "run", table=table)


# --- what comes out --------------------------------------------------------------------------


def test_both_tasks_are_learnt_out_of_fold(both):
    known = both.study.images["label"].notna().to_numpy()
    assert tuple(both.table.columns) == COLUMNS
    assert len(both.table) == len(both.study)
    label = both.study.images["label"][known].astype(int)
    assert roc_auc_score(label, both.table["logit"][known]) > 0.9
    has_mask = both.study.images["mask"].notna()
    assert both.masks["dice"].isna().tolist() == (~has_mask).tolist()
    assert both.masks["dice"].mean() > 0.5


def test_a_segmenter_needs_no_label(alone):
    assert list(alone.table.columns) == [
        "patient_id",
        "image_id",
        "model",
        "fold",
        "role",
        "mask_file",
        "area",
        "dice",
        "model_hash",
    ]
    assert alone.table["dice"].mean() > 0.5
    assert not (alone.run_dir / "predictions.csv").exists()
    held_out = alone.table.groupby("patient_id")["fold"].nunique()
    assert (held_out == 1).all()


def test_written_masks_are_the_fold_networks_and_dice_theirs(alone):
    row, run = 3, open_run(alone.run_dir)
    record = alone.table.iloc[row]
    prepared = prepare(alone.study, Preparation.of(alone.config), cache_dir=alone.run_dir / "cache")
    x = torch.from_numpy(prepared.views[row].copy()).float() / 255
    network = run.network(int(record["fold"]))
    with torch.no_grad():
        logit = (network(x) + network(x.flip(-1)).flip(-1)) / 2
    picture = read_probability(alone.run_dir / "masks" / record["mask_file"])
    assert picture.shape == (32, 32)
    np.testing.assert_allclose(picture, logit.sigmoid()[0, 0].numpy(), atol=0.003)
    with Image.open(alone.study.file(row, "mask")) as file:
        truth = np.asarray(file.resize((32, 32), Image.Resampling.NEAREST)) > 0
    assert record["dice"] == pytest.approx(dice(picture * 255 >= 128, truth), abs=1e-12)


def test_run_again_gives_the_same(both):
    again = cross_validate(both.study, both.config, run_dir=both.run_dir, n_jobs=1)
    pd.testing.assert_frame_equal(again, both.table)


def test_held_out_masks_do_not_reach_the_weights(alone, tmp_path):
    """Empty the masks of one fold: the network that never saw them stays as it was."""
    fold = alone.table["fold"].to_numpy()
    images = tmp_path / "images"
    study = ImageStudy(images=write_world(images, n=16).images.drop(columns="label"), root=images)
    for row in np.flatnonzero(fold == 0):
        file = study.file(row, "mask")
        Image.fromarray(np.eye(48, dtype=bool)).save(file)
    cross_validate(study, alone.config, run_dir=tmp_path / "run", n_jobs=1)
    old, new = (open_run(folder) for folder in (alone.run_dir, tmp_path / "run"))
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            old.network(0).state_dict().values(), new.network(0).state_dict().values(), strict=True
        )
    )
    assert old.model_hash(1) != new.model_hash(1)


def test_other_cohorts_are_outlined(both, alone, tmp_path):
    other = write_world(tmp_path / "images", n=6, seed=9, prefix="X")
    found = predict_masks(both.run_dir, other, folder=tmp_path / "masks")
    assert set(found["role"]) == {"external"}
    assert found["dice"].mean() > 0.5
    assert len(list((tmp_path / "masks").glob("*.png"))) == len(other)
    assert len(predict(both.run_dir, other)) == len(other)
    with pytest.raises(ArgumentError, match="gives no class; use `predict_masks`"):
        predict(alone.run_dir, other)
    with pytest.raises(LeakageError):
        predict_masks(both.run_dir, both.study, folder=tmp_path / "again")


def test_a_classifier_outlines_nothing(finished, tmp_path):
    with pytest.raises(ArgumentError, match="does not segment; use `predict`"):
        predict_masks(finished.run_dir, finished.study, folder=tmp_path)


# --- targets ---------------------------------------------------------------------------------


def test_targets_lie_on_their_images(tmp_path):
    """A wide picture that is bright where its mask is, letterboxed, shows both at one place."""
    mask = np.zeros((30, 60), dtype=bool)
    mask[10:22, 40:54] = True
    Image.fromarray(mask).save(tmp_path / "m.png")
    Image.fromarray(np.where(mask, 240, 20).astype(np.uint8)).save(tmp_path / "i.png")
    rows = [("a", "p", "i.png", "m.png"), ("b", "q", "i.png", None)]
    table = pd.DataFrame(rows, columns=["image_id", "patient_id", "path", "mask"])
    study = ImageStudy(images=table, root=tmp_path)
    preparation = Preparation.of(tiny_config())
    views = prepare(study, preparation, cache_dir=tmp_path / "cache").views
    targets = np.load(
        mask_targets(study, preparation, images=["x", "x"], cache_dir=tmp_path / "cache")
    )
    assert (targets[1] == -1).all()
    assert (targets[0][:7] == -1).all()
    assert (targets[0][9:23] >= 0).all()
    assert ((views[0, 0, 0] > 130) == (targets[0] == 1)).mean() > 0.99


def test_a_mask_of_another_size_is_refused_by_row(tmp_path):
    study = write_world(tmp_path / "images", n=8)
    Image.fromarray(np.eye(20, dtype=bool)).save(study.file(2, "mask"))
    config = tiny_config(architecture="unet", options=SMALL, folds=2)
    with pytest.raises(ImageError, match=r"row 2: the mask is 20 x 20 .* 48 x 48"):
        cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)


def test_masks_move_with_their_images():
    generator = torch.Generator().manual_seed(4)
    masks = torch.zeros(6, 40, 40, dtype=torch.long)
    masks[:, 12:26, 8:20] = 1
    images = masks[:, None].float() * 0.8 + 0.1
    config = AugmentConfig(gain=0.0, gamma=0.0, speckle=0.0, shadow=0.0)
    x, m = augment_with_masks(images, masks, config, generator)
    again = augment_batch(images, config, Generator().manual_seed(4))
    torch.testing.assert_close(x, again, rtol=0, atol=0)
    inside, outside, unknown = x[:, 0][m == 1], x[:, 0][m == 0], x[:, 0][m == -1]
    assert set(m.unique().tolist()) == {-1, 0, 1}
    assert (inside > 0.5).float().mean() > 0.99
    assert (outside < 0.5).float().mean() > 0.99
    assert unknown.max() < 0.1
    assert not torch.equal(m, masks)


# --- losses ----------------------------------------------------------------------------------


def test_an_image_gives_only_the_task_it_has():
    torch.manual_seed(0)
    config = tiny_config()
    answer = torch.randn(3, 1), torch.randn(3, 1, 8, 8)
    labels = torch.tensor([1, -1, 0])
    masks = torch.randint(0, 2, (3, 8, 8))
    masks[2] = -1
    got = Objective.of(config, labels.numpy()).loss(answer, labels, masks)
    known = cross_entropy(answer[0][[0, 2]], labels[[0, 2]])
    torch.testing.assert_close(got, known + dice_cross_entropy(answer[1][:2], masks[:2]))


def test_labels_may_miss_beside_masks_only(both):
    labels = task_labels(both.study, None, ("classify", "segment"))
    assert set(labels.tolist()) == {-1, 0, 1}
    assert (task_labels(both.study, None, ("segment",)) == -1).all()
    with pytest.raises(Exception, match="missing"):
        task_labels(both.study, None, ("classify",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"region": "roi"}, 'needs region="whole"'),
        ({"route": "frozen"}, 'route="finetune"'),
        ({"classes": ("a", "b")}, "only segments has no `classes`"),
    ],
)
def test_settings_that_masks_cannot_use_are_refused(alone, tmp_path, values, message):
    config = alone.config.changed(**values)
    with pytest.raises(ConfigError, match=message):
        cross_validate(alone.study, config, run_dir=tmp_path / "run", n_jobs=1)


def test_networks_of_two_images_need_two_images(alone, tmp_path):
    config = tiny_config(architecture="dual_aspp")
    with pytest.raises(SchemaError, match=r"'dual_aspp' takes gray and Doppler images, and no row"):
        cross_validate(alone.study, config, run_dir=tmp_path / "run", n_jobs=1)


def test_a_study_without_masks_is_refused(tmp_path):
    study = write_world(tmp_path / "images", n=8)
    study = ImageStudy(images=study.images.drop(columns="mask"), root=study.root)
    config = tiny_config(architecture="unet", options=SMALL, folds=2)
    with pytest.raises(SchemaError, match="'unet' learns from outlines, and no row has a `mask`"):
        cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    assert not (tmp_path / "run").exists()


def test_a_fold_whose_tuning_images_have_no_mask_is_named(tmp_path):
    study = write_world(tmp_path / "images", n=8)
    masks = [mask if row == 0 else None for row, mask in enumerate(study.images["mask"])]
    config = tiny_config(architecture="unet", options=SMALL, folds=2)
    with pytest.raises(TrainingError, match=r"Fold \d: no tuning image has a mask"):
        cross_validate(altered(study, mask=masks), config, run_dir=tmp_path / "run", n_jobs=1)
