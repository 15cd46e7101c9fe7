"""DICOM stills: colour space and range made explicit, everything else refused without quoting."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundImageStorage

from dl.errors import ImageError, ImageWarning
from dl.images import read_image

PATIENT = "Canary^Patient"


def bundled(name: str) -> Path:
    path = get_testdata_file(name, download=False)
    if path is None:
        pytest.skip(f"{name} does not come with this pydicom")
    return Path(path)


def dicom(pixels: np.ndarray, **tags) -> FileDataset:
    """An ultrasound still; tags override its own."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = UltrasoundImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    colour = pixels.ndim == 3
    bits = 8 * pixels.dtype.itemsize
    header = {
        "PatientName": PATIENT,
        "SOPClassUID": UltrasoundImageStorage,
        "SOPInstanceUID": "1.2.3",
        "Modality": "US",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": 0,
        "PixelData": pixels.tobytes(),
    }
    if colour:
        header["PlanarConfiguration"] = 0
    for name, value in (header | tags).items():
        if value is not None:
            setattr(data, name, value)
    return data


def written(path: Path, pixels: np.ndarray, **tags) -> Path:
    dicom(pixels, **tags).save_as(path)
    return path


GRAY = (np.arange(24 * 32).reshape(24, 32) % 256).astype(np.uint8)


def test_gray_and_rgb_come_back_bit_for_bit(tmp_path):
    np.testing.assert_array_equal(read_image(written(tmp_path / "g.dcm", GRAY)), GRAY)
    colour = np.stack([GRAY, GRAY.copy()[::-1], 255 - GRAY], axis=-1)
    np.testing.assert_array_equal(read_image(written(tmp_path / "c", colour)), colour)


def test_monochrome1_is_inverted(tmp_path):
    path = written(tmp_path / "a.dcm", GRAY, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_image(path), 255 - GRAY)


def test_12_bits_are_scaled_from_bits_stored(tmp_path):
    values = (GRAY.astype(np.uint16) * 16 + 15).astype(np.uint16)
    path = written(tmp_path / "a.dcm", values, BitsStored=12, HighBit=11)
    np.testing.assert_array_equal(read_image(path), np.round(values * (255 / 4095)))


def test_signed_values_start_at_the_least_that_can_be_stored(tmp_path):
    values = (GRAY.astype(np.int32) * 257 - 32768).astype(np.int16)
    path = written(tmp_path / "a.dcm", values, PixelRepresentation=1)
    np.testing.assert_array_equal(read_image(path), GRAY)


def test_the_window_of_the_header_is_applied(tmp_path):
    values = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32)
    path = written(
        tmp_path / "a.dcm",
        values,
        WindowCenter=300,
        WindowWidth=201,
        RescaleSlope=2,
        RescaleIntercept=-100,
    )
    real = values.astype(float) * 2 - 100
    expected = np.piecewise(
        real,
        [real <= 199.5, real > 399.5],
        [0, 255, lambda v: ((v - 299.5) / 200 + 0.5) * 255],
    )
    np.testing.assert_allclose(read_image(path), expected, atol=0.51)


def test_ybr_ultrasound_becomes_rgb(tmp_path):
    """BT.601 full range, as PS3.3 C.7.6.3.1.2 writes it."""
    rng = np.random.default_rng(1)
    ybr = rng.integers(60, 190, (24, 32, 3)).astype(np.uint8)
    path = written(tmp_path / "a.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    y, b, r = np.moveaxis(ybr.astype(float), -1, 0)
    expected = [
        y + 1.402 * (r - 128),
        y - 0.344136 * (b - 128) - 0.714136 * (r - 128),
        y + 1.772 * (b - 128),
    ]
    expected = np.clip(np.stack(expected, axis=-1), 0, 255)
    np.testing.assert_allclose(read_image(path), expected, atol=1.01)


@pytest.mark.parametrize(
    "name",
    [
        "SC_rgb_dcmtk_+eb+cy+n1.dcm",
        "SC_rgb_dcmtk_+eb+cy+np.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "SC_rgb_rle.dcm",
        "SC_rgb_rle_16bit.dcm",
    ],
)
def test_one_picture_in_many_encodings_shows_the_same_colours(name):
    reference = read_image(bundled("SC_rgb_dcmtk_+eb+cr.dcm")).astype(int)
    read = read_image(bundled(name)).astype(int)
    assert read.shape == reference.shape
    assert np.median(np.abs(read - reference)) <= 2


def test_bundled_ultrasound_is_read():
    rgb = read_image(bundled("examples_rgb_color.dcm"))
    np.testing.assert_array_equal(
        rgb, pydicom.dcmread(bundled("examples_rgb_color.dcm")).pixel_array
    )
    assert read_image(bundled("examples_palette.dcm")).shape == (350, 800, 3)
    assert read_image(bundled("ExplVR_BigEnd.dcm")).shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("examples_ybr_color.dcm", "30 frames"),
        ("SC_rgb_rle_2frame.dcm", "2 frames"),
        ("MR_truncated.dcm", "cannot be decoded"),
        ("reportsi.dcm", "holds no image pixels"),
        ("rtplan.dcm", "holds no image pixels"),
    ],
)
def test_bundled_files_that_are_no_still_are_refused(name, reason):
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(bundled(name))
    assert name in str(caught.value)


def test_a_huge_size_in_the_header_is_refused(tmp_path):
    path = written(tmp_path / "a.dcm", GRAY, Rows=40000, Columns=40000)
    with pytest.raises(ImageError, match="40000 x 40000 pixels; at most 40 megapixels"):
        read_image(path)


@pytest.mark.parametrize(
    "tags",
    [
        {"Rows": 100},
        {"PhotometricInterpretation": None},
        {"BitsAllocated": 7},
        {"NumberOfFrames": "3"},
        {"PixelData": None},
        {"RescaleSlope": [1, 2], "WindowCenter": 100, "WindowWidth": 50},
    ],
)
def test_a_wrong_header_is_refused_and_never_quoted(tmp_path, tags):
    path = written(tmp_path / "a.dcm", GRAY, **tags)
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert "Canary" not in str(caught.value)


def test_an_empty_window_is_no_window(tmp_path):
    path = written(tmp_path / "a.dcm", GRAY, WindowCenter=100, WindowWidth="")
    np.testing.assert_array_equal(read_image(path), GRAY)


def test_damaged_bytes_give_an_array_or_an_image_error(tmp_path, caplog):
    rng = np.random.default_rng(4)
    stream = BytesIO()
    dicom(GRAY, WindowCenter=120, WindowWidth=200, RescaleSlope=1).save_as(stream)
    whole, path, refused = stream.getvalue(), tmp_path / "a.dcm", []
    head = whole.index(GRAY.tobytes())
    for _ in range(200):
        content = bytearray(whole)
        for place in rng.integers(132, head, rng.integers(1, 4)):
            content[place] = rng.integers(256)
        end = len(whole) if rng.random() < 0.8 else rng.integers(133, len(whole))
        path.write_bytes(content[:end])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", ImageWarning)
                assert read_image(path).dtype == np.uint8
        except ImageError as error:
            refused.append(str(error))
    assert len(refused) > 20
    assert not any("Canary" in message for message in refused)
    assert "Canary" not in caplog.text, "the reader's own log quotes the header"
    assert not logging.getLogger("pydicom").disabled


def test_no_module_of_the_reader_writes_to_the_log(caplog):
    logger = logging.getLogger("pydicom")
    before = list(logger.handlers), logger.propagate
    with pytest.raises(ImageError, match="cannot be decoded"):
        read_image(bundled("JPEG-lossy.dcm"))
    assert not caplog.records
    assert (list(logger.handlers), logger.propagate) == before
