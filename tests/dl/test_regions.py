"""Several regions in one mask: label maps in, label maps out, one row an image and region."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from dl._training.targets import MISSING, mask_classes, mask_targets
from dl.config import AugmentConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ImageError, MaskError
from dl.images import read_regions
from dl.predict import predict_masks
from dl.prepare import Preparation
from dl.registry import build
from dl.segment import mask_frame, write_masks
from tests.dl.worlds import SIDE, tiny_config
from usstats import dice

SMALL = {"encoder": "tiny", "widths": [16, 8, 8, 8], "n_mask_classes": 3}


def write_regions(root, *, n: int, prefix: str = "R") -> ImageStudy:
    """A dark region above a bright one in speckle; every fourth patient has no outline."""
    rng = np.random.default_rng(1)
    root.mkdir(parents=True, exist_ok=True)
    y, x = np.mgrid[:SIDE, :SIDE]
    rows = []
    for i in range(n):
        centre = rng.uniform(20, 28)
        discs = [np.hypot((y - up) / 8, (x - centre) / 14) < 1 for up in (14, 34)]
        regions = np.select(discs, [1, 2], 0).astype(np.uint8)
        pixels = 90 * np.select(discs, [0.2, 1.9], 1.0) * rng.gamma(9, 1 / 9, (SIDE, SIDE))
        name = f"{prefix}{i:02d}"
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(root / f"{name}.png")
        Image.fromarray(regions).save(root / f"{name}-mask.png")
        mask = f"{name}-mask.png" if i % 4 else None
        rows.append((name, name, f"{name}.png", mask))
    names = ["image_id", "patient_id", "path", "mask"]
    return ImageStudy(images=pd.DataFrame(rows, columns=names), root=root)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("regions")
    study = write_regions(root / "images", n=16)
    config = tiny_config(
        architecture="unet", options=SMALL, epochs=25, folds=2, augment=AugmentConfig.none()
    )
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(study=study, table=table, root=root)


def test_regions_are_learnt_out_of_fold(run):
    assert run.table["class"].tolist() == [1, 2] * 16
    assert run.table["image_id"].tolist() == np.repeat(run.study.images["image_id"], 2).tolist()
    has_mask = np.repeat(run.study.images["mask"].notna(), 2).to_numpy()
    assert (run.table["dice"].notna().to_numpy() == has_mask).all()
    assert run.table.groupby("class")["dice"].mean().min() > 0.6
    written = pd.read_csv(run.root / "run/masks.csv")
    np.testing.assert_allclose(written["dice"], run.table["dice"])


def test_the_table_says_what_the_pictures_show(run):
    row = 5
    shown = np.asarray(Image.open(run.root / "run/masks" / f"{row:06d}.png"))
    assert set(np.unique(shown)) <= {0, 1, 2}
    truth = Image.open(run.study.root / run.study.images["mask"][row])
    truth = np.asarray(truth.resize(shown.shape, Image.Resampling.NEAREST))
    for k, found in zip((1, 2), run.table[run.table.index // 2 == row].itertuples(), strict=True):
        assert found.dice == pytest.approx(dice(shown == k, truth == k))
        assert found.area == pytest.approx((shown == k).mean())


def test_another_cohort_is_outlined(run):
    other = write_regions(run.root / "other", n=3, prefix="X")
    other = ImageStudy(
        images=other.images.assign(path=other.images["path"]), root=run.root / "other"
    )
    for path in other.root.glob("*.png"):
        pixels = np.asarray(Image.open(path))
        Image.fromarray(pixels[:, ::-1].copy()).save(path)
    table = predict_masks(run.root / "run", other, folder=run.root / "out")
    assert table["class"].tolist() == [1, 2] * 3
    assert (table["role"] == "external").all()


def test_targets_hold_the_number_of_the_region(run, tmp_path):
    preparation = Preparation(region="whole", margins=(0.0,), input_size=SIDE, colour="gray")
    images = [str(i) for i in range(16)]
    path = mask_targets(run.study, preparation, images=images, cache_dir=tmp_path, n_classes=3)
    targets = np.load(path)
    assert (targets[0] == MISSING).all()
    wanted = np.asarray(Image.open(run.study.root / run.study.images["mask"][1]))
    assert (targets[1] == wanted).all()


@pytest.mark.parametrize(
    ("pixels", "what"),
    [
        (np.full((8, 8), 3, dtype=np.uint8), "the level 3"),
        (np.full((8, 8), 255, dtype=np.uint8), "the level 255"),
        (np.zeros((8, 8, 3), dtype=np.uint8), "colours"),
    ],
)
def test_a_level_that_is_no_class_is_refused(tmp_path, pixels, what):
    Image.fromarray(pixels).save(tmp_path / "map.png")
    message = rf"gray levels 0 \(background\) to 2, one a region; it holds {what}"
    with pytest.raises(MaskError, match=message):
        read_regions(tmp_path / "map.png", 3)


def test_a_binary_mask_of_255_is_no_label_map(tmp_path):
    study = write_regions(tmp_path / "images", n=2)
    mask = study.root / study.images["mask"][1]
    Image.fromarray((np.asarray(Image.open(mask)) > 0).astype(np.uint8) * 255).save(mask)
    preparation = Preparation(region="whole", margins=(0.0,), input_size=32, colour="gray")
    with pytest.raises(ImageError, match=r"row 1: .*the level 255"):
        mask_targets(study, preparation, images=["a", "b"], cache_dir=tmp_path, n_classes=3)


def test_the_most_probable_class_is_written(tmp_path):
    logit = torch.randn(1, 3, 6, 6)
    write_masks(tmp_path, np.array([0]), logit)
    shown = np.asarray(Image.open(tmp_path / "000000.png"))
    assert (shown == logit[0].argmax(dim=0).numpy()).all()


def test_one_region_keeps_its_probabilities_and_its_columns(tmp_path):
    logit = torch.randn(1, 1, 6, 6)
    write_masks(tmp_path, np.array([0]), logit)
    shown = np.asarray(Image.open(tmp_path / "000000.png"))
    assert np.abs(shown / 255 - logit[0, 0].sigmoid().numpy()).max() < 0.5 / 255 + 1e-6
    study = ImageStudy(
        images=pd.DataFrame({"image_id": ["a"], "patient_id": ["p"], "path": ["a.png"]}),
        root=tmp_path,
    )
    target = (logit[0] > 0).numpy().astype(np.int8)
    table = mask_frame(
        study, tmp_path, target, model="m", role="external", fold=None, model_hash="h"
    )
    assert "class" not in table
    assert table.columns[-3:].tolist() == ["area", "dice", "model_hash"]
    assert table["dice"].item() == pytest.approx(1)


def test_networks_take_the_number_of_classes_of_a_pixel():
    assert mask_classes(tiny_config()) == 1
    assert mask_classes(tiny_config(architecture="unet", options=SMALL)) == 3
    network = build(
        "unet", n_classes=1, in_channels=1, encoder="tiny", n_mask_classes=3, widths=[8, 8, 8, 8]
    )
    assert network(torch.rand(1, 1, 32, 32)).shape == (1, 3, 32, 32)
    assert build("unet", n_classes=4, in_channels=1, encoder="tiny", widths=[8, 8, 8, 8])(
        torch.rand(1, 1, 32, 32)
    ).shape == (1, 4, 32, 32)
