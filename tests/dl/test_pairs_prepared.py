"""A pair becomes one stack of channels; each file of it is checked, hashed and letterboxed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dl.data import ImageStudy
from dl.errors import ImageError
from dl.geometry import letterbox
from dl.images import read_image
from dl.prepare import Preparation, prepare
from tests.dl.pair_worlds import pair_config, write_pairs
from tests.dl.worlds import altered, tiny_config
from usstats.errors import SchemaError

WHOLE = Preparation.of(pair_config())
ROI = Preparation.of(pair_config(region="roi", roi_margin=0.0))
NAMES = WHOLE.layout.names


@pytest.fixture
def world(tmp_path) -> ImageStudy:
    return write_pairs(tmp_path / "images", n=4)


def blocks(study: ImageStudy, preparation: Preparation, cache: Path) -> dict[str, np.ndarray]:
    views = prepare(study, preparation, cache_dir=cache).views[:, 0]
    return {name: preparation.layout.take(views, name) for name in NAMES}


def with_cell(study: ImageStudy, row: int, **cells) -> ImageStudy:
    table = study.images.copy()
    for name, value in cells.items():
        column = table[name].astype(object) if name in table else [""] * len(table)
        table[name] = column
        table.loc[row, name] = value
    return ImageStudy(images=table, root=study.root)


def saved(study: ImageStudy, name: str, pixels: np.ndarray) -> str:
    Image.fromarray(pixels).save(study.root / name)
    return name


def test_every_block_is_its_own_file_letterboxed(world, tmp_path):
    found = blocks(world, WHOLE, tmp_path / "cache")
    for row in range(len(world)):
        gray, doppler, gate = (
            read_image(world.file(row, column)) for column in ("path", "doppler_path", "gate")
        )
        np.testing.assert_array_equal(found["gray"][row, 0], letterbox(gray, 32))
        np.testing.assert_array_equal(
            found["doppler"][row], letterbox(doppler, 32).transpose(2, 0, 1)
        )
        np.testing.assert_array_equal(found["mask"][row, 0], letterbox(gate, 32))


def test_what_is_missing_is_zero_and_the_rest_as_before(world, tmp_path):
    whole = blocks(world, WHOLE, tmp_path / "cache")
    without = with_cell(with_cell(world, 0, doppler_path=None), 1, gate=" ")
    found = blocks(without, WHOLE, tmp_path / "cache")
    assert not found["doppler"][0].any()
    assert not found["mask"][1].any()
    assert found["doppler"][1].any()
    np.testing.assert_array_equal(found["gray"], whole["gray"])
    np.testing.assert_array_equal(found["doppler"][1:], whole["doppler"][1:])


def test_a_study_of_gray_images_alone_can_be_prepared(world, tmp_path):
    table = world.images.drop(columns=["doppler_path", "gate"])
    found = blocks(ImageStudy(images=table, root=world.root), WHOLE, tmp_path / "cache")
    assert found["gray"].any()
    assert not found["doppler"].any()
    assert not found["mask"].any()


@pytest.mark.parametrize("column", ["path", "doppler_path", "gate"])
def test_a_file_that_changed_is_read_again(world, tmp_path, column):
    before = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    file = world.file(2, column)
    Image.fromarray(255 - read_image(file)).save(file)
    after = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    assert before.cache != after.cache
    changed = (before.views != after.views).any(axis=(1, 2, 3, 4))
    assert changed.tolist() == [row == 2 for row in range(len(world))]


def test_a_doppler_image_is_cut_by_its_own_box_else_by_the_gray_images(world, tmp_path):
    doppler = read_image(world.file(0, "doppler_path"))
    own = with_cell(world, 0, doppler_roi="4 6 20 22")
    found = blocks(own, ROI, tmp_path / "cache")["doppler"][0].transpose(1, 2, 0)
    np.testing.assert_array_equal(found, letterbox(doppler[6:22, 4:20], 32))
    grays = with_cell(with_cell(world, 0, mask=None), 0, roi="10 8 40 30")
    found = blocks(grays, ROI, tmp_path / "cache")["doppler"][0].transpose(1, 2, 0)
    np.testing.assert_array_equal(found, letterbox(doppler[8:30, 10:40], 32))


def test_a_gate_is_cut_as_its_image(world, tmp_path):
    boxed = with_cell(with_cell(world, 0, mask=None), 0, roi="10 8 40 30")
    gate = read_image(world.file(0, "gate"))
    found = blocks(boxed, ROI, tmp_path / "cache")["mask"][0, 0]
    np.testing.assert_array_equal(found, letterbox(gate[8:30, 10:40], 32))


def test_gates_are_probabilities_or_masks_of_any_two_levels(world, tmp_path):
    levels = np.zeros((48, 48), dtype=np.uint8)
    levels[10:30, 10:30] = 1
    found = blocks(with_cell(world, 0, gate=saved(world, "one.png", levels)), WHOLE, tmp_path / "c")
    assert found["mask"][0].max() == 255
    soft = np.tile(np.arange(48, dtype=np.uint8), (48, 1))
    found = blocks(with_cell(world, 0, gate=saved(world, "soft.png", soft)), WHOLE, tmp_path / "c")
    np.testing.assert_array_equal(found["mask"][0, 0], letterbox(soft, 32))


def test_doppler_of_another_size_keeps_its_aspect(world, tmp_path):
    wide = np.full((20, 40, 3), 90, dtype=np.uint8)
    wide[0, 0] = 0
    found = blocks(
        with_cell(world, 0, doppler_path=saved(world, "w.png", wide)), WHOLE, tmp_path / "c"
    )
    rows = np.flatnonzero(found["doppler"][0].any(axis=(0, 2)))
    assert (rows.min(), rows.max()) == (8, 23)


@pytest.mark.parametrize(
    ("cells", "preparation", "message"),
    [
        ({"doppler_path": "none.png"}, WHOLE, "row 1: .*none.png: the file cannot be opened"),
        ({"doppler_path": "../out.png"}, WHOLE, "row 1: the doppler_path leads outside"),
        ({"doppler_path": "text.png"}, WHOLE, "row 1: .*not a readable"),
        ({"doppler_path": "P01-left-gray.png"}, WHOLE, "row 1: `doppler_path` is the gray image"),
        ({"doppler_path": "dot.png"}, WHOLE, "row 1: 4 x 4 pixels are too few"),
        ({"gate": "small.png"}, WHOLE, "row 1: the gate is 20 x 10 pixels and its image 48 x 48"),
        ({"doppler_path": "small.png"}, ROI, "row 1: the Doppler image is 20 x 10 .*doppler_roi"),
        ({"doppler_roi": "1 2 3 x"}, ROI, "row 1: `doppler_roi` must be"),
    ],
)
def test_what_cannot_be_used_is_named_by_row_and_column(
    world, tmp_path, cells, preparation, message
):
    saved(world, "small.png", np.arange(200, dtype=np.uint8).reshape(10, 20))
    saved(world, "dot.png", np.eye(4, dtype=np.uint8))
    (world.root / "text.png").write_text("no image")
    with pytest.raises(ImageError, match=message):
        prepare(with_cell(world, 1, **cells), preparation, cache_dir=tmp_path / "cache")


def test_an_unpaired_table_is_refused(world, tmp_path):
    table = world.images.drop(columns="doppler_path").assign(modality="gray")
    table.loc[2, "modality"] = "doppler"
    study = ImageStudy(images=table, root=world.root)
    with pytest.raises(SchemaError, match=r"1 rows .* Doppler images .*first: row 2.*pair_images"):
        prepare(study, WHOLE, cache_dir=tmp_path / "cache")


def test_shared_doppler_pictures_are_found(world, tmp_path):
    shutil.copy(world.file(0, "doppler_path"), world.file(3, "doppler_path"))
    shutil.copy(world.file(1, "path"), world.file(5, "doppler_path"))
    found = prepare(world, WHOLE, cache_dir=tmp_path / "cache").duplicates()
    assert found.tolist() == [[0, 3], [1, 5]]


def test_a_network_of_one_image_does_not_look_at_pairs(world, tmp_path):
    single = Preparation.of(tiny_config())
    assert single.layout.names == ("image",)
    broken = altered(world, doppler_path="none.png", gate="none.png")
    assert prepare(broken, single, cache_dir=tmp_path / "cache").views.shape[2] == 1
