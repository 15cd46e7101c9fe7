"""What is read, what is refused, and how every pixel format becomes 8 bits."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dl.errors import ImageError, ImageWarning, MaskError
from dl.images import read_image, read_mask
from usstats.errors import ArgumentError, SchemaError

GRAY = (np.arange(20 * 30).reshape(20, 30) % 256).astype(np.uint8)
NOISE = np.random.default_rng(1).integers(0, 256, (40, 50), dtype=np.uint8)
COLOUR = np.stack([GRAY, GRAY[::-1], 255 - GRAY], axis=-1)


def encoded(pixels: np.ndarray, kind: str, **options) -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def saved(path: Path, pixels, kind: str = "PNG", **options) -> Path:
    path.write_bytes(encoded(np.asarray(pixels), kind, **options))
    return path


def _chunk(kind: bytes, content: bytes) -> bytes:
    crc = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + crc


def png_header(width: int, height: int, depth: int = 8) -> bytes:
    """A PNG that announces a size and holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"\0" * 8)


@pytest.mark.parametrize("pixels", [GRAY, COLOUR], ids=["gray", "colour"])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_lossless_formats_come_back_bit_for_bit(tmp_path, pixels, kind):
    read = read_image(saved(tmp_path / "scan.bin", pixels, kind))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, pixels)


def test_jpeg_comes_back_nearly(tmp_path):
    smooth = np.tile(np.linspace(0, 255, 64), (48, 1)).astype(np.uint8)
    read = read_image(saved(tmp_path / "scan.jpg", smooth, "JPEG", quality=95))
    assert read.shape == (48, 64)
    assert np.abs(read.astype(int) - smooth).max() <= 4


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.T),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].T),
        (8, lambda a: np.rot90(a, 1)),
    ],
)
def test_exif_orientation_is_applied(tmp_path, orientation, upright):
    exif = Image.Exif()
    exif[274] = orientation
    read = read_image(saved(tmp_path / "a.png", GRAY, exif=exif))
    np.testing.assert_array_equal(read, upright(GRAY))


@pytest.mark.parametrize("bits", [9, 12, 16])
def test_16_bit_gray_is_scaled_by_the_bits_in_use(tmp_path, bits):
    top = 2**bits - 1
    values = np.linspace(0, top, 600).round().astype(np.uint16).reshape(20, 30)
    read = read_image(saved(tmp_path / "a.png", values), bits=bits)
    np.testing.assert_array_equal(read, np.round(values.astype(float) * 255 / top))
    assert read.min() == 0
    assert read.max() == 255


def test_16_bit_tiff_and_png_agree(tmp_path):
    values = np.arange(600, dtype=np.uint16).reshape(20, 30) * 109
    read = [read_image(saved(tmp_path / kind, values, kind)) for kind in ("PNG", "TIFF")]
    np.testing.assert_array_equal(*read)


def test_values_beyond_the_declared_bits_are_refused_not_clipped(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 4096]], dtype=np.uint16))
    with pytest.raises(ImageError, match=r"a\.png: pixel values 0 to 4096 do not fit the 12 bits"):
        read_image(path, bits=12)


def test_a_nearly_black_16_bit_image_is_warned_of(tmp_path):
    path = saved(tmp_path / "a.png", np.array([[0, 4095]], dtype=np.uint16))
    with pytest.warns(ImageWarning, match="pass bits=12"):
        read_image(path)


@pytest.mark.parametrize("kind", ["RGBA", "LA"])
def test_transparency_is_laid_on_black(tmp_path, kind):
    picture = Image.fromarray(COLOUR).convert(kind)
    alpha = np.full(GRAY.shape, 255, dtype=np.uint8)
    alpha[:, :10] = 0
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png")
    assert read.ndim == (3 if kind == "RGBA" else 2)
    assert not read[:, :10].any()
    expected = np.asarray(Image.fromarray(COLOUR).convert("RGB" if kind == "RGBA" else "L"))
    np.testing.assert_array_equal(read[:, 10:], expected[:, 10:])


def test_a_gray_level_declared_transparent_is_black(tmp_path):
    level = np.where(GRAY < 128, 200, 90).astype(np.uint8)
    read = read_image(saved(tmp_path / "a.png", level, transparency=200))
    np.testing.assert_array_equal(read, np.where(level == 200, 0, 90))


def test_palette_1_bit_and_cmyk_become_rgb_and_gray(tmp_path):
    palette = Image.fromarray(COLOUR // 128 * 255).convert("P", palette=Image.Palette.ADAPTIVE)
    palette.save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), COLOUR // 128 * 255)
    Image.fromarray(GRAY > 100).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_image(tmp_path / "b.png"), (GRAY > 100) * 255)
    Image.new("CMYK", (9, 8), (0, 255, 255, 0)).save(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif").tolist() == np.full((8, 9, 3), (255, 0, 0)).tolist()


def test_floating_point_pixels_are_refused(tmp_path):
    with pytest.raises(ImageError, match="floating-point"):
        read_image(saved(tmp_path / "a.tif", GRAY.astype(np.float32), "TIFF"))


@pytest.mark.parametrize("size", [(8000, 5001), (9600, 10000), (40000, 40000)])
def test_a_bomb_is_refused_from_its_header(tmp_path, size, monkeypatch):
    monkeypatch.setattr("dl.images._decode", lambda *a: pytest.fail("decoded"))
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    with pytest.raises(ImageError, match=r"bomb\.png: the header announces .* 40 megapixels"):
        read_image(tmp_path / "bomb.png")


def test_the_largest_image_gets_past_the_header(tmp_path):
    (tmp_path / "large.png").write_bytes(png_header(8000, 5000))
    with pytest.raises(ImageError, match="truncated or damaged"):
        read_image(tmp_path / "large.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 bytes"),
        (b"this is text", "not a readable PNG, JPEG, TIFF, BMP or DICOM"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a readable"),
        (b"%PDF-1.4", "not a readable"),
        (encoded(GRAY, "GIF"), "not a readable"),
        (encoded(GRAY, "WEBP"), "not a readable"),
        (encoded(NOISE, "PNG")[:900], "truncated or damaged"),
        (encoded(COLOUR, "JPEG")[:400], "truncated or damaged"),
        (encoded(GRAY, "BMP")[:1200], "truncated or damaged"),
    ],
)
def test_what_is_no_image_is_refused_with_its_path(tmp_path, content, reason):
    path = tmp_path / "scan.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=reason) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert isinstance(caught.value, SchemaError)


@pytest.mark.parametrize("kind", ["TIFF", "PNG", "MPO"])
def test_several_frames_are_refused(tmp_path, kind):
    pages = [Image.fromarray(page) for page in (COLOUR, 255 - COLOUR)]
    pages[0].save(tmp_path / "loop", kind, save_all=True, append_images=pages[1:])
    with pytest.raises(ImageError, match=r"loop: 2 frames"):
        read_image(tmp_path / "loop")


def test_an_absent_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ImageError, match=r"none\.png: the image cannot be opened \(no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ImageError, match="cannot be opened"):
        read_image(tmp_path)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("BMP", {}),
    ],
)
def test_damaged_bytes_give_an_array_or_an_image_error(tmp_path, kind, options):
    """No other exception and no stray warning, whatever bytes are flipped or cut."""
    rng = np.random.default_rng(3)
    messages: list[str] = []
    exif = Image.Exif()
    exif[274] = 6
    whole = encoded(COLOUR, kind, exif=exif, **options)
    path = tmp_path / "scan"
    for _ in range(150):
        content = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), rng.integers(1, 4)):
            content[place] = rng.integers(256)
        end = len(whole) if rng.random() < 0.7 else rng.integers(1, len(whole))
        path.write_bytes(content[:end])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                warnings.simplefilter("ignore", ImageWarning)
                assert read_image(path).dtype == np.uint8
        except ImageError as error:
            messages.append(str(error))
    assert len(messages) > 10
    assert all(message.startswith(str(path)) for message in messages)


# --- masks -----------------------------------------------------------------------------------

DISC = np.hypot(*(np.mgrid[:20, :30] - np.array([10, 15])[:, None, None])) < 7


@pytest.mark.parametrize("levels", [(0, 1), (0, 255), (0, 254)])
def test_any_two_levels_are_a_mask(tmp_path, levels):
    pixels = np.where(DISC, levels[1], levels[0]).astype(np.uint8)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "m.png", pixels)), DISC)


def test_a_coloured_a_1_bit_and_a_nearly_binary_mask_are_read(tmp_path):
    red = np.zeros((20, 30, 3), dtype=np.uint8)
    red[DISC, 0] = 255
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "red.png", red)), DISC)
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "bit.png", DISC)), DISC)
    four = np.where(DISC, 254, 1).astype(np.uint8)
    four[10, 15], four[0, 0] = 255, 0
    np.testing.assert_array_equal(read_mask(saved(tmp_path / "four.png", four)), DISC)


def test_a_jpeg_mask_is_snapped_to_its_levels(tmp_path):
    disc = np.kron(DISC, np.ones((6, 6), dtype=bool))
    path = saved(tmp_path / "m.jpg", disc.astype(np.uint8) * 255, "JPEG", quality=85)
    assert (read_mask(path) != disc).mean() < 0.01


def test_an_empty_mask_is_all_false(tmp_path):
    assert not read_mask(saved(tmp_path / "m.png", np.zeros((9, 9), dtype=np.uint8))).any()


@pytest.mark.parametrize(
    ("pixels", "what"),
    [
        (np.full((9, 9), 255, dtype=np.uint8), "one level only"),
        (GRAY, "256 levels"),
        ((DISC * 1 + (GRAY > 128)).astype(np.uint8) * 120, "3 levels"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, pixels, what):
    with pytest.raises(MaskError, match=rf"m\.png: a mask must be binary .* {what}"):
        read_mask(saved(tmp_path / "m.png", pixels))


def test_reading_images_loads_no_torch():
    import subprocess
    import sys

    code = "import sys, dl.images, dl.prepare, dl.config; print('torch' in sys.modules)"
    answer = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "False"


@pytest.mark.parametrize("bits", [0, -1, 1.5, "12", True])
def test_bits_are_a_number_of_bits(tmp_path, bits):
    path = saved(tmp_path / "scan.png", np.full((4, 4), 300, dtype=np.uint16))
    with pytest.raises(ArgumentError, match="`bits` must be a whole number of at least 1"):
        read_image(path, bits=bits)


@pytest.mark.parametrize("frame", [-1, 1.5, "1", True])
def test_a_frame_is_counted_from_0(tmp_path, frame):
    pages = [Image.new("L", (8, 8), level) for level in (7, 9)]
    pages[0].save(tmp_path / "loop.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(ArgumentError, match="`frame` must be a whole number of at least 0"):
        read_image(tmp_path / "loop.tif", frame=frame)
