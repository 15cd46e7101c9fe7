"""Images are found inside the root, decoded once, and decoded again when anything changed."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dl.data import ImageStudy
from dl.errors import ImageError, ImageWarning, MaskError
from dl.geometry import crop_roi, letterbox
from dl.images import read_image, read_mask
from dl.prepare import Preparation, prepare
from tests.dl.worlds import altered, tiny_config, write_world
from usstats.errors import ArgumentError, OutcomeError, SchemaError

WHOLE = Preparation.of(tiny_config())
ROI = Preparation.of(tiny_config(region="roi", route="frozen", frozen_margins=(0.0, 0.5)))


@pytest.fixture
def world(tmp_path) -> ImageStudy:
    return write_world(tmp_path / "images", n=6)


@pytest.fixture
def decoded(monkeypatch) -> list[str]:
    names: list[str] = []
    monkeypatch.setattr(
        "dl._reading.pictures.read_image",
        lambda path, **options: names.append(Path(path).name) or read_image(path, **options),
    )
    return names


def table(**columns) -> pd.DataFrame:
    rows = {"image_id": ["a", "b"], "patient_id": ["p", "q"], "path": ["a.png", "b.png"]}
    return pd.DataFrame(rows | columns)


# --- the study -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (table().drop(columns="path"), r"lacks the column\(s\) path"),
        (table().iloc[:0], "no data rows"),
        (table(image_id=["a", "a"]), r"`image_id` is repeated in 1 rows \(first: row 1\)"),
        (table(patient_id=["p", None]), r"`patient_id` is empty in 1 of 2 rows \(first: row 1\)"),
        (table(path=[" ", "b.png"]), r"`path` is empty in 1 of 2 rows \(first: row 0\)"),
    ],
)
def test_a_table_that_is_no_study_is_refused(images, message):
    with pytest.raises(SchemaError, match=message):
        ImageStudy(images=images, root=Path())


def test_labels_must_be_there_and_of_two_classes():
    with pytest.raises(SchemaError, match="no column `label`"):
        ImageStudy(images=table(), root=Path()).labels()
    with pytest.raises(OutcomeError):
        ImageStudy(images=table(label=[1, 1]), root=Path()).labels()
    with pytest.raises(OutcomeError):
        ImageStudy(images=table(label=[1, 2]), root=Path()).labels()
    assert ImageStudy(images=table(label=[1, 0]), root=Path()).labels().tolist() == [1, 0]


def test_the_callers_table_is_left_alone():
    images = table(image_id=[1, 2]).set_index(pd.Index([7, 8]))
    before = images.copy()
    study = ImageStudy(images=images, root=Path())
    pd.testing.assert_frame_equal(images, before)
    assert study.rows(["2", "1"]) == [1, 0]
    with pytest.raises(ArgumentError, match="1 of 2 are not images of this study"):
        study.rows(["1", "3"])


@pytest.mark.parametrize(
    "path", ["../secret.png", "{outside}/secret.png", "link.png", "deep/../../secret.png", "a\0b"]
)
def test_a_path_that_leaves_the_root_is_refused(world, tmp_path, path):
    outside = tmp_path / "secret.png"
    shutil.copy(world.root / "P00-0.png", outside)
    (world.root / "deep").mkdir()
    (world.root / "link.png").symlink_to(outside)
    paths = world.images["path"].tolist()
    paths[2] = path.format(outside=tmp_path)
    with pytest.raises(ImageError, match=r"1 of 9 images.*\n  row 2: the path leads outside"):
        prepare(altered(world, path=paths), WHOLE, cache_dir=tmp_path / "cache")
    assert not list(tmp_path.glob("cache/*"))


def test_a_mask_that_leaves_the_root_is_refused(world, tmp_path):
    masks = world.images["mask"].tolist()
    masks[1] = "../mask.png"
    with pytest.raises(ImageError, match="row 1: the mask leads outside"):
        prepare(altered(world, mask=masks), ROI, cache_dir=tmp_path / "cache")


def test_a_link_inside_the_root_is_followed(world, tmp_path):
    (world.root / "link.png").symlink_to(world.root / "P00-0.png")
    paths = ["link.png", *world.images["path"][1:]]
    linked = prepare(altered(world, path=paths), WHOLE, cache_dir=tmp_path / "cache")
    plain = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(linked.views, plain.views)


# --- what a network sees ---------------------------------------------------------------------


def test_views_are_letterboxed_crops(world, tmp_path):
    prepared = prepare(world, ROI, cache_dir=tmp_path / "cache")
    assert prepared.views.shape == (9, 2, 1, 32, 32)
    assert prepared.views.dtype == np.uint8
    image, mask = read_image(world.root / "P03-1.png"), read_mask(world.root / "P03-1-mask.png")
    for view, margin in enumerate((0.0, 0.5)):
        expected = letterbox(crop_roi(image, mask, margin=margin), 32)
        np.testing.assert_array_equal(prepared.views[5, view, 0], expected)


def test_a_box_does_what_its_mask_does(world, tmp_path):
    boxes = []
    for row in range(len(world)):
        rows, columns = np.nonzero(read_mask(world.file(row, "mask")))
        box = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        boxes.append(" ".join(map(str, box)))
    by_box = altered(world, roi=boxes, mask=None)
    np.testing.assert_array_equal(
        prepare(by_box, ROI, cache_dir=tmp_path / "cache").views,
        prepare(world, ROI, cache_dir=tmp_path / "cache").views,
    )


def test_colour_is_kept_or_made_gray(tmp_path):
    image = np.zeros((40, 40, 3), dtype=np.uint8)
    image[..., 0] = 200
    rgb = Preparation.of(tiny_config(colour="rgb")).views(image, None)
    assert rgb.shape == (1, 3, 32, 32)
    assert rgb[0, :, 16, 16].tolist() == [200, 0, 0]
    assert WHOLE.views(image, None)[0, 0, 16, 16] == 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": None}, "row 0: .*neither a mask nor a roi"),
        ({"mask": None, "roi": "1 2 3"}, "row 0: A box is"),
        ({"mask": None, "roi": "1 2 x 4"}, "row 0: `roi` must be numbers in pixels"),
        ({"mask": None, "roi": "10 10 99 20"}, "row 0: The box .* does not lie inside"),
        ({"mask": "small.png"}, "row 0: The mask is 20 x 10 pixels and its image 48 x 48"),
        ({"mask": "empty.png"}, "row 0: The mask is empty"),
        ({"mask": "absent.png"}, "row 0: .*absent.png: the file cannot be opened"),
    ],
)
def test_a_region_that_cannot_be_is_an_error_with_its_row(world, tmp_path, change, message):
    Image.new("1", (48, 48), 0).save(world.root / "empty.png")
    small = np.zeros((10, 20), dtype=np.uint8)
    small[2:5, 2:5] = 255
    Image.fromarray(small).save(world.root / "small.png")
    with pytest.raises(ImageError, match=r"9 of 9 images") as caught:
        prepare(altered(world, **change), ROI, cache_dir=tmp_path / "cache")
    assert re.search(message, str(caught.value))
    assert "and 1 more" in str(caught.value)
    assert not list((tmp_path / "cache").glob("images-*"))
    assert issubclass(MaskError, ImageError)


def test_tiny_images_are_refused_and_blank_ones_warned_of(world, tmp_path):
    Image.new("L", (4, 4), 9).save(world.root / "P00-0.png")
    with pytest.raises(ImageError, match="row 0: 4 x 4 pixels are too few"):
        prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    Image.new("L", (40, 40), 9).save(world.root / "P00-0.png")
    with pytest.warns(ImageWarning, match="row 0: every pixel has the value 9"):
        prepare(world, WHOLE, cache_dir=tmp_path / "cache")


# --- the cache -------------------------------------------------------------------------------


def test_the_cache_gives_identical_arrays_without_decoding(world, tmp_path, decoded):
    first = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    assert len(decoded) == 9
    again = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    assert len(decoded) == 9
    for name in ("views", "details"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert (first.hashes, first.sha256) == (again.hashes, again.sha256)
    with pytest.raises(ValueError, match="read-only"):
        again.views[0] = 0


def test_a_changed_file_is_decoded_again(world, tmp_path, decoded):
    first = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    shutil.copy(world.root / "P02-0.png", world.root / "P04-0.png")
    second = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    assert len(decoded) == 18
    assert first.sha256[6] != second.sha256[6] == second.sha256[3]
    np.testing.assert_array_equal(second.views[6], second.views[3])
    assert second.duplicates().tolist() == [[3, 6]]


@pytest.mark.parametrize("what", ["mask", "settings"])
def test_a_changed_mask_and_other_settings_are_prepared_again(world, tmp_path, decoded, what):
    first = prepare(world, ROI, cache_dir=tmp_path / "cache")
    settings = ROI
    if what == "mask":
        shutil.copy(world.root / "P02-0-mask.png", world.root / "P00-0-mask.png")
    else:
        settings = Preparation.of(
            tiny_config(region="roi", route="frozen", frozen_margins=(0.0, 1.0))
        )
    second = prepare(world, settings, cache_dir=tmp_path / "cache")
    assert len(decoded) == 18
    assert (first.views[0] != second.views[0]).any()


@pytest.mark.parametrize("kind", ["images", "details"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_cache_is_made_again(world, tmp_path, kind, damage):
    first = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    views, details = np.array(first.views), first.details
    (file,) = (tmp_path / "cache").glob(f"{kind}-*.npy")
    content = bytearray(file.read_bytes())
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[:-7])
    elif damage == "flipped":
        content[-7] ^= 64
        file.write_bytes(content)
    again = prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(again.views, views)
    np.testing.assert_array_equal(again.details, details)


def test_a_file_that_changes_while_it_is_read_is_an_error(world, tmp_path, monkeypatch):
    def replaced(path, **options):
        image = read_image(path, **options)
        shutil.copy(world.root / "P02-0.png", world.root / "P00-0.png")
        return image

    monkeypatch.setattr("dl._reading.pictures.read_image", replaced)
    with pytest.raises(ImageError, match=r"row 0: .*changed while"):
        prepare(world, WHOLE, cache_dir=tmp_path / "cache")
    monkeypatch.undo()
    assert prepare(world, WHOLE, cache_dir=tmp_path / "cache").sha256[0]


def test_progress_is_told_of_every_image(world, tmp_path):
    said: list[tuple[int, int]] = []
    prepare(world, WHOLE, cache_dir=tmp_path / "cache", report=lambda *a: said.append(a))
    assert said == [(i, 9) for i in range(1, 10)]


def test_a_study_is_made_of_a_table():
    with pytest.raises(SchemaError, match="`images` must be a DataFrame; got dict"):
        ImageStudy(images=table().to_dict(), root=Path("."))


def test_a_column_may_not_stand_twice():
    doubled = pd.concat([table(), table()[["path"]]], axis=1)
    with pytest.raises(SchemaError, match=r"has the column\(s\) path twice"):
        ImageStudy(images=doubled, root=Path("."))


@pytest.mark.parametrize("other", ["p1", "P1 ", "\uff301", "P 1"])
def test_one_patient_may_not_have_two_spellings(other):
    ids = pd.DataFrame({"image_id": ["a", "b"], "patient_id": ["P1", other], "path": ["a", "b"]})
    with pytest.raises(SchemaError, match="2 identifiers differ in case, spaces or width alone"):
        ImageStudy(images=ids, root=Path("."))
