"""Copies of a picture are found, pictures that only look alike are not."""

from __future__ import annotations

import hashlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from dl.fingerprint import (
    confirmed_duplicates,
    detail_signature,
    hamming,
    near_duplicates,
    perceptual_hash,
    sha256_file,
)


def scan(seed: int, size: int = 160) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = gaussian_filter(rng.standard_normal((size, size)), 6)
    field = 60 + 110 * (field - field.min()) / np.ptp(field)
    return np.clip(field * rng.gamma(30, 1 / 30, field.shape), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray) -> np.ndarray:
    stream = BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


COPIES = {
    "shrunk": lambda a: np.asarray(Image.fromarray(a).resize((97, 97))),
    "enlarged": lambda a: np.asarray(Image.fromarray(a).resize((400, 400))),
    "gain": lambda a: np.clip(a * 1.2, 0, 255).astype(np.uint8),
    "brightness": lambda a: np.clip(a + 20.0, 0, 255).astype(np.uint8),
    "recompressed": jpeg,
    "coloured": lambda a: np.stack([a, a, a], axis=-1),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_keeps_its_hash(change):
    for seed in range(8):
        image = scan(seed)
        assert hamming(perceptual_hash(image), perceptual_hash(COPIES[change](image))) <= 4


def test_other_pictures_lie_far_apart():
    hashes = [perceptual_hash(scan(seed)) for seed in range(30)]
    apart = [hamming(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(apart) > 10
    assert 28 < np.mean(apart) < 36
    assert all(0 <= value < 2**64 for value in hashes)


@pytest.mark.parametrize("distance", [0, 3, 20])
def test_near_duplicates_are_those_of_every_pair(distance):
    rng = np.random.default_rng(2)
    hashes = [int(v) for v in rng.integers(0, 2**63, 40)]
    for i in range(12):
        hashes.append(hashes[i] ^ sum(1 << int(b) for b in rng.choice(64, i, replace=False)))
    expected = [
        [i, j, bin(hashes[i] ^ hashes[j]).count("1")]
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if bin(hashes[i] ^ hashes[j]).count("1") <= distance
    ]
    assert len(expected) > distance // 4
    assert near_duplicates(hashes, distance).tolist() == expected


def test_no_pairs_are_an_empty_table():
    assert near_duplicates([0, 2**60 - 1], 3).shape == (0, 3)
    assert near_duplicates([], 3).shape == (0, 3)


def _confirmed(pictures: list[np.ndarray], hashes: list[int] | None = None) -> list:
    details = [detail_signature(picture) for picture in pictures]
    hashes = hashes or [perceptual_hash(picture) for picture in pictures]
    return confirmed_duplicates(hashes, details)[:, :2].tolist()


def test_copies_are_confirmed_and_look_alikes_are_not():
    pictures = [scan(seed) for seed in range(25)]
    pictures += [COPIES["recompressed"](pictures[3]), COPIES["gain"](pictures[8])]
    assert _confirmed(pictures) == [[3, 25], [8, 26]]
    assert _confirmed(pictures, hashes=[7] * 27) == [[3, 25], [8, 26]]


def test_what_all_pictures_share_makes_no_copy():
    """One organ: a common layout far stronger than what sets the pictures apart."""
    layout = scan(99).astype(float)
    pictures = [
        np.clip(layout + 0.3 * (scan(seed).astype(float) - 100), 0, 255).astype(np.uint8)
        for seed in range(25)
    ]
    pictures.append(pictures[5].copy())
    assert _confirmed(pictures, hashes=[7] * 26) == [[5, 25]]


def test_pictures_without_detail_match_nothing():
    blank = np.full((50, 50), 9, dtype=np.uint8)
    assert _confirmed([blank, blank, scan(1)]) == []


def test_sha256_is_that_of_the_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"scan" * 100_000)
    assert sha256_file(tmp_path / "a") == hashlib.sha256(b"scan" * 100_000).hexdigest()
