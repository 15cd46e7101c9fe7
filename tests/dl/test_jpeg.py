"""JPEG on tensors against the codec of Pillow."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from torch import Tensor

from dl._augmenting import jpeg
from dl._augmenting.jpeg import compress


def coloured(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours with edges and noise."""
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + i) + np.cos(y / 7 - i) + (x > 30) for i in range(3)]
    levels = 90 + 45 * np.stack(waves, axis=-1) + rng.normal(0, 4, (height, width, 3))
    return np.clip(levels, 0, 255).astype(np.uint8)


def pillow(pixels: np.ndarray, quality: int) -> np.ndarray:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(file))


def ours(pixels: np.ndarray, quality: int) -> np.ndarray:
    stacked = np.moveaxis(np.atleast_3d(pixels), -1, 0)[None].astype(np.float32) / 255
    coded = compress(torch.from_numpy(stacked), torch.tensor([quality]))
    return np.moveaxis((coded[0] * 255).round().byte().numpy(), 0, -1).squeeze()


def equal_blocks(one: np.ndarray, two: np.ndarray) -> float:
    """Share of 8 x 8 blocks without another rounding: 1/64 of rational coefficients are ties."""
    off = np.abs(one.astype(float) - two).reshape(one.shape[0] // 8, 8, -1, 8)
    return float((off.max(axis=(1, 3)) <= 1).mean())


@pytest.mark.parametrize("quality", [10, 35, 60, 90])
def test_gray_is_that_of_pillow_to_rounding_ties(quality):
    gray = coloured()[..., 1]
    assert equal_blocks(ours(gray, quality), pillow(gray, quality)) > 0.8


@pytest.mark.parametrize("quality", [10, 75])
def test_gray_is_that_of_scipy_block_by_block(quality):
    gray = coloured()[..., 1]
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    table = np.clip((np.array(jpeg._LUMA) * scale + 50) // 100, 1, 255)
    naive = np.empty(gray.shape)
    for y in range(0, gray.shape[0], 8):
        for x in range(0, gray.shape[1], 8):
            block = dctn(gray[y : y + 8, x : x + 8] - 128.0, norm="ortho")
            naive[y : y + 8, x : x + 8] = idctn(np.round(block / table) * table, norm="ortho") + 128
    assert equal_blocks(ours(gray, quality), np.clip(np.round(naive), 0, 255)) > 0.8


@pytest.mark.parametrize("quality", [10, 35, 60, 90])
def test_colour_is_near_that_of_pillow(quality):
    pixels = coloured()
    off = ours(pixels, quality).astype(int) - pillow(pixels, quality)
    lost = pillow(pixels, quality).astype(int) - pixels
    assert np.abs(off).mean() < 0.2 * np.abs(lost).mean() + 0.3


def test_worse_quality_loses_more():
    pixels = coloured()
    lost = [np.abs(ours(pixels, q).astype(int) - pixels).mean() for q in (95, 60, 30, 5)]
    assert lost == sorted(lost)
    assert lost[0] < lost[-1] / 3


def test_images_of_a_batch_have_their_own_quality():
    x = torch.from_numpy(np.moveaxis(coloured(), -1, 0)[None].astype(np.float32) / 255)
    both = compress(x.expand(2, -1, -1, -1), torch.tensor([90, 20]))
    for i, quality in enumerate((90, 20)):
        torch.testing.assert_close(both[i : i + 1], compress(x, torch.tensor([quality])))
    assert not torch.equal(both[0], both[1])


@pytest.mark.parametrize("shape", [(1, 1, 5, 7), (2, 3, 17, 33), (1, 3, 1, 1)])
def test_any_size_keeps_its_shape_and_range(shape):
    x: Tensor = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    y = compress(x, torch.full(shape[:1], 50))
    assert y.shape == x.shape
    assert 0 <= float(y.min()) <= float(y.max()) <= 1
    torch.testing.assert_close(y * 255, (y * 255).round(), atol=1e-4, rtol=0)
