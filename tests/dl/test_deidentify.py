"""Images leave their headers, their names and what is written into them behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from pydicom.sequence import Sequence

from dl.data import ImageStudy
from dl.deidentify import blank_boxes, deidentify, keep_boxes
from dl.errors import ImageError, ImageWarning, MaskError
from dl.images import read_image
from tests.dl.test_dicom import GRAY, PATIENT, written
from tests.dl.test_ultrasound import region
from usstats.errors import ArgumentError

BAND = (0, 0, 32, 3)


def study_of(root: Path, *names: str, **columns) -> ImageStudy:
    rows = {"image_id": [f"i{k}" for k in range(len(names))], "patient_id": "p", "path": names}
    return ImageStudy(images=pd.DataFrame(rows | columns), root=root)


def canaries(folder: Path) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and holds_canary(file)]


def holds_canary(file: Path) -> bool:
    return b"Canary" in file.read_bytes() or "Canary" in file.name


def test_no_header_comment_or_name_is_left(tmp_path):
    source = tmp_path / "from"
    source.mkdir()
    written(source / "Canary_1.dcm", GRAY, PatientID=PATIENT, BurnedInAnnotation="NO")
    said = PngInfo()
    said.add_text("Comment", PATIENT)
    Image.fromarray(GRAY).save(source / "b.png", pnginfo=said)
    exif = Image.Exif()
    exif[0x010E] = PATIENT
    Image.fromarray(GRAY).save(source / "c.jpg", exif=exif, quality=100)
    study = study_of(source, "Canary_1.dcm", "b.png", "c.jpg")
    assert len(canaries(source)) == 3

    clean = deidentify(study, tmp_path / "to")
    assert canaries(tmp_path / "to") == []
    assert clean.images["path"].tolist() == [f"images/00000{k}.png" for k in range(3)]
    assert clean.images["image_id"].equals(study.images["image_id"])
    np.testing.assert_array_equal(read_image(clean.file(0)), GRAY)
    np.testing.assert_array_equal(read_image(clean.file(1)), GRAY)
    again = pd.read_csv(tmp_path / "to" / "images.csv", dtype=str)
    assert again["path"].tolist() == clean.images["path"].tolist()


def test_bands_are_blackened_and_the_rest_is_untouched(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    clean = deidentify(study_of(tmp_path, "a.png"), tmp_path / "to", blank=[BAND])
    seen = read_image(clean.file(0))
    assert not seen[:3].any()
    np.testing.assert_array_equal(seen[3:], GRAY[3:])


@pytest.mark.parametrize("keep", ["regions", "all"])
def test_of_a_calibrated_file_only_its_regions_are_kept(tmp_path, keep):
    written(
        tmp_path / "a.dcm",
        GRAY,
        SequenceOfUltrasoundRegions=Sequence([region()]),
        BurnedInAnnotation="NO",
    )
    clean = deidentify(study_of(tmp_path, "a.dcm"), tmp_path / "to", keep=keep)
    seen, inside = read_image(clean.file(0)), np.zeros(GRAY.shape, dtype=bool)
    inside[2:22, 4:20] = True
    np.testing.assert_array_equal(seen[inside], GRAY[inside])
    np.testing.assert_array_equal(seen[~inside], 0 if keep == "regions" else GRAY[~inside])


@pytest.mark.parametrize("flag", ["YES", None])
def test_text_that_may_be_burned_in_is_a_warning(tmp_path, flag):
    written(tmp_path / "a.dcm", GRAY, BurnedInAnnotation=flag)
    study = study_of(tmp_path, "a.dcm")
    with pytest.warns(ImageWarning, match=r"1 of 1 images .*first: row 0.* look at them"):
        deidentify(study, tmp_path / "to")
    deidentify(study, tmp_path / "blackened", blank=[BAND])


def test_the_frame_of_a_loop_becomes_a_still(tmp_path):
    pages = [Image.fromarray(page) for page in (GRAY, 255 - GRAY)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    clean = deidentify(study_of(tmp_path, "a.tif", frame=[1]), tmp_path / "to")
    np.testing.assert_array_equal(read_image(clean.file(0)), 255 - GRAY)
    assert "frame" not in clean.images


def test_what_cannot_be_done_is_refused(tmp_path):
    Image.fromarray(GRAY).save(tmp_path / "a.png")
    study = study_of(tmp_path, "a.png")
    with pytest.raises(ArgumentError, match="`folder` is the study's own"):
        deidentify(study, tmp_path)
    with pytest.raises(ArgumentError, match="`keep`"):
        deidentify(study, tmp_path / "to", keep="some")
    with pytest.raises(ImageError, match=r"row 0: The box \(0, 0, 99, 3\)"):
        deidentify(study, tmp_path / "to", blank=[(0, 0, 99, 3)])
    assert not list((tmp_path / "to" / "images").iterdir())
    with pytest.raises(ImageError, match=r"row 0: `frame` must be a whole number.*'two'"):
        deidentify(study_of(tmp_path, "a.png", frame=["two"]), tmp_path / "to")


@pytest.mark.parametrize("box", [(0, 0, 40, 3), (5, 5, 5, 9)])
def test_a_box_outside_the_image_is_refused(box):
    for work in (blank_boxes, keep_boxes):
        with pytest.raises(MaskError, match="does not lie inside the image"):
            work(GRAY, [box])


def test_what_is_blanked_and_what_is_kept_make_the_image():
    boxes = [(1, 2, 9, 8), (4, 4, 20, 20)]
    np.testing.assert_array_equal(blank_boxes(GRAY, boxes) + keep_boxes(GRAY, boxes), GRAY)
