"""What an ultrasound header says: regions with their spacing, frames, and text in the pixels."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dl.errors import ImageError, ImageWarning
from dl.images import read_image
from dl.ultrasound import read_ultrasound_header
from tests.dl.test_dicom import GRAY, PATIENT, bundled, written


def region(**values) -> Dataset:
    item = Dataset()
    standard = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "RegionLocationMinX0": 4,
        "RegionLocationMinY0": 2,
        "RegionLocationMaxX1": 19,
        "RegionLocationMaxY1": 21,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.02,
        "PhysicalDeltaY": 0.03,
    }
    for name, value in (standard | values).items():
        if value is not None:
            setattr(item, name, value)
    return item


def header_of(path, *regions, **tags):
    return read_ultrasound_header(
        written(path / "a.dcm", GRAY, SequenceOfUltrasoundRegions=Sequence(regions), **tags)
    )


def test_the_region_is_half_open_and_its_spacing_in_millimetres(tmp_path):
    header = header_of(tmp_path, region())
    (found,) = header.regions
    assert (found.content, found.data, found.box) == ("2d", "tissue", (4, 2, 20, 22))
    assert found.spacing_mm == pytest.approx((0.3, 0.2))
    assert header.pixel_spacing_mm == found.spacing_mm
    assert (header.height, header.width, header.n_frames) == (*GRAY.shape, 1)


def test_a_trace_has_no_spacing_and_a_negative_direction_is_a_length(tmp_path):
    trace = region(RegionSpatialFormat=3, RegionDataType=3, PhysicalUnitsXDirection=4)
    flow = region(RegionDataType=2, PhysicalDeltaY=-0.03)
    header = header_of(tmp_path, trace, flow)
    assert [(r.content, r.data) for r in header.regions] == [
        ("spectral", "pulsed_wave"),
        ("2d", "colour_flow"),
    ]
    assert header.regions[0].spacing_mm is None
    assert header.pixel_spacing_mm == pytest.approx((0.3, 0.2))


def test_two_images_of_different_depth_have_no_common_spacing(tmp_path):
    assert header_of(tmp_path, region(), region(PhysicalDeltaY=0.04)).pixel_spacing_mm is None


@pytest.mark.parametrize(
    "wrong",
    [{"RegionLocationMaxX1": 32}, {"RegionLocationMinY0": 40}, {"RegionLocationMinX0": None}],
)
def test_a_region_outside_the_picture_is_left_out_with_a_warning(tmp_path, wrong):
    with pytest.warns(ImageWarning, match="1 of 1 ultrasound regions do not lie inside"):
        header = header_of(tmp_path, region(**wrong))
    assert (header.regions, header.pixel_spacing_mm) == ((), None)


@pytest.mark.parametrize(("flag", "burned_in"), [("YES", True), ("NO", False), (None, None)])
def test_burned_in_text_is_told_as_the_header_tells_it(tmp_path, flag, burned_in):
    assert header_of(tmp_path, region(), BurnedInAnnotation=flag).burned_in is burned_in


def test_the_real_loop_was_resized_after_its_regions_were_written():
    with pytest.warns(ImageWarning, match="resized after the examination") as caught:
        header = read_ultrasound_header(bundled("examples_ybr_color.dcm"))
    assert (header.n_frames, header.regions, header.burned_in) == (30, (), None)
    assert len(caught) == 1


def test_a_frame_of_the_real_loop_is_read_by_its_number():
    path = bundled("examples_ybr_color.dcm")
    frames = pydicom.pixels.pixel_array(path)
    for k in (0, 17, 29):
        np.testing.assert_array_equal(read_image(path, frame=k), frames[k])
    with pytest.raises(ImageError, match="there is no frame 30; the file has 30, counted from 0"):
        read_image(path, frame=30)
    with pytest.raises(ImageError, match=r"30 frames; .* Choose one with `frame` \(0 to 29\)"):
        read_image(path)


def test_a_report_has_no_picture():
    with pytest.raises(ImageError, match="holds no image pixels"):
        read_ultrasound_header(bundled("reportsi.dcm"))


def test_nothing_of_the_patient_is_kept(tmp_path):
    assert PATIENT not in repr(header_of(tmp_path, region(), PatientID=PATIENT))
