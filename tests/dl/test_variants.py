"""Variants at prediction: what they change, what they leave alone, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import nn

from dl._augmenting.variants import PLAIN, TTA, Variant, variants
from dl.channels import ChannelLayout
from dl.inference import as_input, logits, mask_logits, steady_torch
from dl.registry import build
from tests.dl import worlds  # noqa: F401 - registers the tiny network
from usstats.errors import ArgumentError

ALL = ("rotate", "scale", "gain")
PAIR = ChannelLayout((("gray", 1), ("doppler", 3), ("mask", 1)))
VIEWS = np.random.default_rng(1).integers(0, 256, (70, 1, 1, 32, 32), dtype=np.uint8)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(3)
    return build("tiny", n_classes=2, in_channels=1)


def smooth(count: int = 2, channels: int = 1) -> torch.Tensor:
    """Blobs well inside the square."""
    noise = np.random.default_rng(4).random((count, channels, 48, 48))
    soft = ndimage.gaussian_filter(noise, (0, 0, 4, 4))
    y, x = np.mgrid[:48, :48] - 23.5
    inside = np.exp(-((x**2 + y**2) / 150))
    return torch.from_numpy(soft * inside).float()


def test_the_names_add_their_variants_once():
    assert variants(flip=False) == (PLAIN,)
    assert variants(flip=True)[1].mirror
    assert len(variants(flip=True, tta=ALL)) == 8
    assert variants(flip=True, tta=("gain", "gain")) == variants(flip=True, tta=("gain",))
    with pytest.raises(ArgumentError, match="`tta` must be one of 'rotate', 'scale', 'gain'"):
        variants(flip=True, tta=("blur",))


def test_rotation_and_zoom_are_those_of_scipy():
    x = smooth(1)
    turned = Variant(rotate=10).show(x)[0, 0].numpy()
    peer = ndimage.rotate(x[0, 0].numpy(), 10, reshape=False, order=1)
    assert np.abs(turned - peer)[8:-8, 8:-8].max() < 1e-5  # scipy ends half a pixel earlier
    larger = Variant(zoom=1.1).show(x)[0, 0].numpy()
    centre = 23.5 - 23.5 / 1.1
    peer = ndimage.affine_transform(x[0, 0].numpy(), [1 / 1.1] * 2, offset=centre, order=1)
    assert np.abs(larger - peer).max() < 1e-5
    assert larger.sum() > x.sum()


@pytest.mark.parametrize("variant", [v for name in ALL for v in TTA[name]] + [Variant(mirror=True)])
def test_the_way_back_leads_to_where_it_began(variant):
    x = smooth()
    back, known = Variant(mirror=variant.mirror, rotate=variant.rotate, zoom=variant.zoom).undo(
        variant.show(x) if variant.gain == 0 else x
    )
    assert ((back - x) * known).abs().max() < 0.02
    assert known.mean() > 0.7
    assert known.shape == (1, 1, 48, 48)


def test_black_stays_black_and_colours_keep_their_hue():
    x = torch.rand(3, 3, 8, 8)
    x[:, :, :4] = 0
    louder = Variant(gain=0.08).show(x)
    assert not louder[:, :, :4].any()
    inner = (x[:, :, 4:] < 0.9).all(dim=1)
    change = (louder - x)[:, :, 4:].movedim(1, -1)[inner]
    torch.testing.assert_close(change, torch.full_like(change, 0.08))
    assert Variant(gain=-0.08).show(x).min() == 0


@pytest.mark.parametrize("name", ALL)
def test_a_mask_and_a_missing_picture_are_not_made_louder(name):
    x = torch.rand(2, 5, 16, 16) * 0.8 + 0.1
    x[0, 1:4] = 0
    for variant in TTA[name]:
        shown = variant.show(x, PAIR)
        assert not PAIR.take(shown, "doppler")[0].any()
        if variant.gain:
            torch.testing.assert_close(PAIR.take(shown, "mask"), PAIR.take(x, "mask"))
            assert not torch.equal(PAIR.take(shown, "gray"), PAIR.take(x, "gray"))
        else:  # moved as the pictures are
            gray = PAIR.take(x, "gray").clone()
            same = torch.cat([gray, x[:, 1:4], gray], dim=1)
            moved = variant.show(same, PAIR)
            torch.testing.assert_close(PAIR.take(moved, "mask"), PAIR.take(moved, "gray"))


def test_logits_are_the_mean_over_the_variants(network):
    with steady_torch(0), torch.no_grad():
        x = as_input(VIEWS[:4, 0])
        each = [network(v.show(x)).double() for v in variants(flip=True, tta=ALL)]
        found = logits(network, VIEWS, range(4), flip=True, tta=ALL)
        plain = logits(network, VIEWS, range(4), flip=True)
    np.testing.assert_allclose(found, torch.stack(each).mean(0).numpy(), atol=1e-6)
    assert np.abs(found - plain).max() > 1e-4


@pytest.mark.parametrize("tta", [(), ALL])
def test_one_by_one_equals_sixty_four_at_once(network, tta):
    with steady_torch(0):
        rows = np.arange(70)
        one = logits(network, VIEWS, rows, flip=True, tta=tta, batch_size=1)
        many = logits(network, VIEWS, rows, flip=True, tta=tta, batch_size=64)
    np.testing.assert_allclose(one, many, rtol=1e-5, atol=1e-5)


class Levels(nn.Module):
    """Says of every pixel how bright it is."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 10 * x - 5


def test_masks_come_back_to_their_places():
    """A segmenter that follows the picture gives the same mask with and without variants."""
    views = (smooth(3) / smooth(3).max() * 255).to(torch.uint8).numpy()[:, None]
    plain = mask_logits(Levels(), views, range(3), flip=False)
    turned = mask_logits(Levels(), views, range(3), flip=True, tta=("rotate", "scale"))
    assert (plain - turned).abs().max() < 0.25
    louder = mask_logits(Levels(), views, range(3), flip=False, tta=("gain",))
    lit = torch.from_numpy((views[:, 0] > 25) & (views[:, 0] < 230))
    torch.testing.assert_close(louder[lit], plain[lit], atol=1e-4, rtol=0)
