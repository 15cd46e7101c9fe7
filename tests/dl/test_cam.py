"""The CAM family against loops written from the papers, and the laws each map keeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dl._explaining.layers import default_layers
from dl.cam import (
    METHODS,
    AttentionGates,
    EigenCam,
    GradCam,
    LayerCam,
    LinearCam,
    Occlusion,
    new_cam,
    unit_map,
)
from dl.channels import ChannelLayout
from dl.ensemble import DeepEnsemble
from dl.registry import build
from tests.dl import worlds  # noqa: F401 - registers the tiny network
from usstats.errors import ArgumentError


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(2)
    own = build("tiny", n_classes=1, in_channels=1)
    nn.init.normal_(own.head.weight)
    own.train()
    own.trunk.norm.eval()
    return own


X = torch.rand(3, 1, 64, 48, generator=torch.Generator().manual_seed(1))


def modes(network: nn.Module) -> list[bool]:
    return [module.training for module in network.modules()]


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) for module in network.modules())


def call(cam):
    with cam:
        return cam(X)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_network_is_left_as_it_was(network, error):
    before, weights = modes(network), {k: v.clone() for k, v in network.state_dict().items()}
    network.head.weight.grad = torch.ones_like(network.head.weight)
    try:
        with GradCam(network) as cam:
            assert hooks(network) == 1
            assert not any(modes(network))
            cam(X)
            if error is not None:
                raise error
    except (KeyboardInterrupt, RuntimeError):
        assert error is not None
    assert modes(network) == before
    assert hooks(network) == 0
    assert all(torch.equal(weights[k], v) for k, v in network.state_dict().items())
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    assert network.trunk.stem.weight.grad is None


def test_a_failing_forward_pass_leaves_the_network_as_it_was(network):
    before = modes(network)
    with pytest.raises(RuntimeError), GradCam(network) as cam:
        cam(torch.rand(1, 2, 32, 32))
    assert (modes(network), hooks(network)) == (before, 0)


@pytest.mark.parametrize("toward", ["event", "non_event"])
def test_map_is_the_relu_of_the_weighted_features(network, toward):
    """A linear head over a global mean: the gradient is the head's weight over the map's area."""
    with GradCam(network) as cam:
        found = cam(X, toward=toward)
    network.eval()
    with torch.no_grad():
        maps = network.trunk(network.standardise(X))
        sign = 1 if toward == "event" else -1
        area = maps.shape[-1] * maps.shape[-2]
        raw = torch.einsum("c,nchw->nhw", sign * network.head.weight[0] / area, maps).relu()
        expected = nn.functional.interpolate(raw[:, None], X.shape[-2:], mode="bilinear")[:, 0]
    torch.testing.assert_close(found, expected)
    assert float(found.max()) > 0


def test_the_map_of_an_image_does_not_depend_on_its_company(network):
    with GradCam(network) as cam:
        torch.testing.assert_close(cam(X)[1], cam(X[1:2])[0])


def test_other_weights_give_another_map(network):
    """The sanity check of Adebayo et al. 2018."""
    with GradCam(network) as cam:
        before = unit_map(cam(X)[0])
        nn.init.normal_(network.trunk.top.weight)
        after = unit_map(cam(X)[0])
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] < 0.9
    with GradCam(network) as cam:
        np.testing.assert_array_equal(after, unit_map(cam(X)[0]))


def test_misuse_is_refused(network):
    with pytest.raises(ArgumentError, match="inside its `with` block"):
        GradCam(network)(X)
    with pytest.raises(ArgumentError, match="`toward` must be one of"), GradCam(network) as cam:
        cam(X, toward="benign")
    with pytest.raises(ArgumentError, match=r"`layer` 'trunk\.peak' is no part of the network"):
        GradCam(network, "trunk.peak")
    with pytest.raises(ArgumentError, match=r"'head' answers \(3, 1\); a feature map"):
        call(GradCam(network, "head"))
    with pytest.raises(ArgumentError, match="`method` must be one of 'gradcam', 'gradcam\\+\\+'"):
        new_cam("scorecam", network)
    with pytest.raises(ArgumentError, match="has no gates"):
        AttentionGates(network)
    with pytest.raises(ArgumentError, match="is open already"), GradCam(network) as cam, cam:
        pass
    assert hooks(network) == 0


def test_a_map_of_zeros_stays_zero():
    assert not unit_map(torch.zeros(4, 4)).any()


# ------------------------------------------------------------------ formulas, place by place


def seen_and_gradient(network, x, layer, index=0):
    """A and G of one layer, by a second forward pass from the layer on."""
    kept = []
    hook = layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    network.eval()
    logits = network(x.clone().requires_grad_())
    hook.remove()
    (g,) = torch.autograd.grad(logits[:, index].sum(), kept[0])
    return kept[0].detach().double().numpy(), g.double().numpy()


def naive(method: str, a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(h, w) of one image, summed place by place."""
    n_channels, height, width = a.shape
    raw = np.zeros((height, width))
    for k in range(n_channels):
        below = a[k].sum()
        weight = 0.0
        for i in range(height):
            for j in range(width):
                if method == "gradcam":
                    weight += g[k, i, j] / (height * width)
                elif method == "gradcam++":
                    bottom = 2 * g[k, i, j] ** 2 + below * g[k, i, j] ** 3
                    alpha = g[k, i, j] ** 2 / bottom if bottom else 0.0
                    weight += alpha * max(g[k, i, j], 0)
        for i in range(height):
            for j in range(width):
                own = max(g[k, i, j], 0) if method == "layercam" else weight
                raw[i, j] += own * a[k, i, j]
    return raw.clip(0)


def enlarged(raw: np.ndarray, size) -> np.ndarray:
    tensor = torch.from_numpy(raw)[None, None]
    return nn.functional.interpolate(tensor, tuple(size), mode="bilinear")[0, 0].numpy()


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("layer", ["trunk", "trunk.act"])
def test_maps_are_those_of_the_papers_formulas(method, layer):
    torch.manual_seed(4)
    network = build("tiny", n_classes=3, in_channels=1)
    nn.init.normal_(network.head.weight)
    a, g = seen_and_gradient(network, X, network.get_submodule(layer), index=1)
    with new_cam(method, network, layer) as cam:
        found = cam(X, toward=1)
    for i in range(len(X)):
        np.testing.assert_allclose(
            found[i].numpy(), enlarged(naive(method, a[i], g[i]), X.shape[-2:]), atol=1e-5
        )
    assert float(found.max()) > 0


def test_eigen_cam_is_the_power_iteration_on_the_channels(network):
    network.eval()
    with torch.no_grad():
        a = network.trunk(network.standardise(X)).double().numpy()
    with EigenCam(network) as cam:
        found = cam(X).numpy()
    for i, own in enumerate(a):
        direction = np.ones(len(own))
        moment = sum(np.outer(v, v) for v in own.reshape(len(own), -1).T)
        for _ in range(500):
            direction = moment @ direction
            direction /= np.linalg.norm(direction)
        raw = np.array([[v @ direction for v in row] for row in own.transpose(1, 2, 0)])
        raw *= 1 if raw.sum() > 0 else -1
        np.testing.assert_allclose(found[i], enlarged(raw.clip(0), X.shape[-2:]), atol=1e-4)


class Negative(nn.Module):
    def forward(self, x):
        return -x


class Pool(nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))[:, :2]


def test_eigen_cams_sign_does_not_depend_on_the_features_sign(network):
    """Behind a ReLU the first direction has one sign, so the map of -A is that of A."""
    flipped = nn.Sequential(network.standardise, network.trunk, Negative(), Pool())
    with EigenCam(network) as cam, EigenCam(flipped, "2") as other:
        torch.testing.assert_close(cam(X), other(X), atol=1e-4, rtol=1e-4)


# ---------------------------------------------------------------------------------------- laws


def test_grad_cam_of_a_linear_head_on_means_is_cam():
    torch.manual_seed(1)
    network = build("tiny", n_classes=3, in_channels=1)
    nn.init.normal_(network.head.weight)
    with LinearCam(network) as exact, GradCam(network) as gradient:
        for k in range(3):
            a, b = exact(X, toward=k), gradient(X, toward=k)
            places = network.trunk(network.standardise(X))[0, 0].numel()
            torch.testing.assert_close(a, b * places, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalise", ["sigmoid", "softmax"])
def test_the_exact_map_adds_up_to_the_logit(normalise):
    """Of a map that is nowhere negative, the mean plus the bias is the logit; gates included."""
    torch.manual_seed(1)
    network = build("attention_resnet18", n_classes=3, in_channels=1, normalise=normalise)
    with torch.no_grad():
        network.head.weight.abs_()
        network.head.bias.normal_()
    x = torch.rand(2, 1, 64, 64)
    with LinearCam(network) as cam:
        means = cam(x, toward=2).mean(dim=(1, 2))
    with torch.no_grad():
        torch.testing.assert_close(means + network.head.bias[2], network(x)[:, 2])


def test_the_exact_map_is_refused_where_the_head_is_not_linear():
    network = build("tiny", n_classes=1, in_channels=1)
    network.features = lambda x: network.trunk(network.standardise(x)).amax(dim=(2, 3))
    nn.init.normal_(network.head.weight)
    with pytest.raises(ArgumentError, match="not a linear head"), LinearCam(network) as cam:
        cam(X)
    with pytest.raises(ArgumentError, match="needs a linear head"):
        LinearCam(dual())


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"gates"}))
def test_every_method_leaves_the_network_and_gives_maps_of_0_or_more(network, method):
    before = modes(network)
    network.head.weight.grad = torch.ones_like(network.head.weight)
    with torch.inference_mode(), new_cam(method, network) as cam:
        found = cam(X)
    assert found.shape == X[:, 0].shape
    assert not found.requires_grad
    assert bool((found >= 0).all())
    assert bool(torch.isfinite(found).all())
    assert (modes(network), hooks(network)) == (before, 0)
    assert torch.equal(network.head.weight.grad, torch.ones_like(network.head.weight))
    with new_cam(method, network) as cam:
        torch.testing.assert_close(cam(X[1:2])[0], found[1], rtol=1e-4, atol=1e-5)


def test_nested_methods_do_not_disturb_each_other(network):
    before = modes(network)
    with GradCam(network) as cam:
        alone = cam(X)
    with GradCam(network) as outer:
        with LayerCam(network) as inner, EigenCam(network, "trunk.act") as other:
            assert hooks(network) == 3
            inner(X), other(X)
            torch.testing.assert_close(outer(X), alone)
        torch.testing.assert_close(outer(X), alone)
        assert hooks(network) == 1
        assert not any(modes(network))
    assert (modes(network), hooks(network)) == (before, 0)


def test_a_map_before_an_activation_that_overwrites_it(network):
    """The ReLU behind `norm` works in place; the map is the one before it."""
    network.eval()
    with torch.no_grad():
        before = network.trunk.norm(network.trunk.stem(network.standardise(X)))
    assert float(before.min()) < 0
    with EigenCam(network, network.trunk.norm) as cam:
        own = cam(X)[0]
    places = before[0].flatten(1).T
    raw = places @ torch.linalg.svd(places).Vh[0]
    raw = (raw * raw.sum().sign()).relu().view(before.shape[-2:])
    np.testing.assert_allclose(own, enlarged(raw.numpy(), X.shape[-2:]), atol=1e-4)


def test_the_way_up_to_the_map_is_not_recorded_and_the_callers_mode_is_kept(network):
    with torch.no_grad(), GradCam(network) as cam:
        cam(X)
        assert not torch.is_grad_enabled()
        assert not network(X).requires_grad
    with GradCam(network) as cam:
        cam(X)
        assert network(X).requires_grad
    with GradCam(network) as cam:
        expected = cam(X)
    network.requires_grad_(requires_grad=False)
    with GradCam(network) as cam:
        torch.testing.assert_close(cam(X), expected)
        assert torch.is_grad_enabled()


class Aside(nn.Module):
    """Passes a map on its way, and answers without it."""

    def __init__(self) -> None:
        super().__init__()
        self.aside, self.head = nn.Conv2d(1, 2, 1), nn.Linear(1, 2)

    def forward(self, x):
        self.aside(x)
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("trains", [True, False])
def test_a_map_that_does_not_matter_is_refused(trains):
    network = Aside().requires_grad_(trains)
    with pytest.raises(ArgumentError, match="class logits do not depend on aside"):
        call(GradCam(network, "aside"))


def test_without_a_class_the_one_with_the_highest_logit_is_explained():
    torch.manual_seed(3)
    network = build("tiny", n_classes=3, in_channels=1)
    nn.init.normal_(network.head.weight)
    nn.init.normal_(network.head.bias)
    with torch.no_grad():
        best = network(X).argmax(dim=1)
    with GradCam(network) as cam:
        torch.testing.assert_close(cam(X), cam(X, toward=best))
        torch.testing.assert_close(cam(X, toward=[0, 1, 2])[1], cam(X, toward=1)[1])
        for wrong in (3, -1, "event", [0, 1], 1.0, True, [[0, 1, 2]]):
            with pytest.raises(ArgumentError, match="`toward` must be a class from 0 to 2"):
                cam(X, toward=wrong)
    with EigenCam(network) as cam, pytest.raises(ArgumentError, match="knows no class"):
        cam(X, toward=1)


# ------------------------------------------------------------------------------- every network


def dual(**options):
    torch.manual_seed(0)
    plan = {"dim": 16, "heads": 2, "channels": (8, 8, 8, 8, 16), "scales": (1, 2)} | options
    return build("dual_aspp", n_classes=2, **plan)


class Stacked(nn.Module):
    """Takes one tensor apart for a network of two images."""

    layout = ChannelLayout((("gray", 1), ("doppler", 3), ("mask", 1)))

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x):
        take = self.layout.take
        return self.network(
            take(x, "gray"),
            take(x, "doppler"),
            take(x, "mask"),
            has_doppler=self.layout.present(x, "doppler"),
            has_mask=self.layout.present(x, "mask"),
        )


FEW_PATCHES = {"occlusion": {"patch": 32, "stride": 32}}
PAIR = torch.rand(2, 5, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam", "occlusion"])
def test_two_images_give_two_maps(method):
    network = Stacked(dual()).eval()
    with new_cam(method, network, **FEW_PATCHES.get(method, {})) as cam:
        maps = cam.maps(PAIR)
        assert {name: tuple(m.shape) for name, m in maps.items()} == {
            "gray": (2, 64, 64),
            "doppler": (2, 64, 64),
        }
        with pytest.raises(ArgumentError, match=r"several maps \(gray, doppler\)"):
            cam(PAIR)
    assert all(float(m.max()) > 0 for m in maps.values())
    if method != "occlusion":
        with new_cam(method, network, "network.doppler") as cam:
            torch.testing.assert_close(cam(PAIR), maps["doppler"])


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "occlusion"])
def test_a_missing_doppler_image_has_no_evidence(method):
    network = Stacked(dual()).eval()
    x = PAIR.clone()
    x[1, 1:4] = 0
    with new_cam(method, network, **FEW_PATCHES.get(method, {})) as cam:
        maps = cam.maps(x)
        alone = cam.maps(x[1:])
    assert float(maps["doppler"][0].max()) > 0
    assert float(maps["doppler"][1].max()) == 0
    torch.testing.assert_close(alone["gray"][0], maps["gray"][1], rtol=1e-4, atol=1e-6)


def test_without_a_doppler_encoder_there_is_one_map():
    network = dual(dual=False)
    with GradCam(network) as cam:
        assert list(cam.maps(PAIR[:, :1])) == ["gray"]


def test_of_two_tasks_the_class_is_explained():
    torch.manual_seed(0)
    network = build("multitask_unet", n_classes=2, encoder="tiny", widths=(8, 4), in_channels=1)
    nn.init.normal_(network.head.weight)
    with LinearCam(network) as exact, GradCam(network) as cam:
        torch.testing.assert_close(
            unit_map(exact(X, toward=1)[0]), unit_map(cam(X, toward=1)[0]), rtol=1e-3, atol=1e-4
        )
    with pytest.raises(ArgumentError, match="No image passes decoder on its way"):
        call(GradCam(network, "decoder"))
    with pytest.raises(ArgumentError, match="needs the logits of classes"):
        call(GradCam(build("unet", n_classes=1, encoder="tiny", widths=(8, 4), in_channels=1)))


def test_gates_are_shown_as_they_are():
    torch.manual_seed(0)
    network = build("attention_resnet18", n_classes=3, in_channels=1, deep_supervision=True)
    x = torch.rand(2, 1, 64, 64)
    with AttentionGates(network) as cam:
        maps = cam.maps(x)
    with torch.no_grad():
        for found, a in zip(maps.values(), network.coefficients(x), strict=True):
            expected = nn.functional.interpolate(a, (64, 64), mode="bilinear")[:, 0]
            torch.testing.assert_close(found, expected)
    with GradCam(network, "gates.0") as cam:
        assert float(cam(x, toward=0).max()) > 0


@pytest.mark.parametrize("name", ["nasnet_mobile", "densenet121", "efficientnet_lite0"])
def test_the_default_layer_is_the_map_before_pooling(name):
    network = build(name, n_classes=1, in_channels=1)
    kept = []
    hook = default_layers(network)["image"].register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    with torch.no_grad():
        pooled = network.features(torch.rand(1, 1, 64, 64))
    hook.remove()
    torch.testing.assert_close(kept[0].mean(dim=(2, 3)), pooled)


def test_a_network_of_another_make_is_looked_at_before_its_pooling():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 2),
    )
    assert default_layers(network) == {}
    with GradCam(network) as cam, GradCam(network, "1") as named:
        torch.testing.assert_close(cam(X, toward=0), named(X, toward=0))
        assert hooks(network) == 2
    assert hooks(network) == 0
    with pytest.raises(ArgumentError, match="has no feature map"):
        call(GradCam(nn.Sequential(nn.Flatten(), nn.Linear(64 * 48, 1))))


def test_of_an_ensemble_no_single_member_is_passed_off_as_the_whole():
    members = [build("tiny", n_classes=1, in_channels=1) for _ in range(2)]
    assert default_layers(DeepEnsemble(members)) == {}


# ------------------------------------------------------------------------------------ occlusion


class Corner(nn.Module):
    """The logit is the mean of a corner of the image, and of its channels, weighted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0, 1.0]))

    def forward(self, x):
        return (x[..., :8, :8].mean(dim=(2, 3)) * self.weight).sum(dim=1, keepdim=True)


@pytest.mark.parametrize(("patch", "stride", "fill"), [(8, 4, 0.0), (5, 3, None), (4, 7, 0.25)])
def test_occlusion_against_a_loop_over_patches(patch, stride, fill):
    network, x = Corner(), torch.rand(3, 2, 20, 26, generator=torch.Generator().manual_seed(2))
    with Occlusion(network, patch=patch, stride=stride, fill=fill) as cam:
        found = cam(x).numpy()
    images = x.double().numpy()
    step = min(patch, stride)
    tops = [t for t in range(20) if t == 20 - patch or (t % step == 0 and t < 20 - patch)]
    lefts = [t for t in range(26) if t == 26 - patch or (t % step == 0 and t < 26 - patch)]
    for image, own in zip(images, found, strict=True):
        sums, counts = np.zeros((20, 26)), np.zeros((20, 26))
        for top in tops:
            for left in lefts:
                hidden = image.copy()
                for c in range(2):
                    level = image[c].mean() if fill is None else fill
                    hidden[c, top : top + patch, left : left + patch] = level
                change = image[:, :8, :8].mean(axis=(1, 2)) - hidden[:, :8, :8].mean(axis=(1, 2))
                sums[top : top + patch, left : left + patch] += 2 * change[0] + change[1]
                counts[top : top + patch, left : left + patch] += 1
        np.testing.assert_allclose(own, (sums / counts).clip(0), atol=1e-6)


def test_covering_what_is_no_evidence_changes_nothing():
    x = torch.rand(2, 2, 32, 32, generator=torch.Generator().manual_seed(3))
    with Occlusion(Corner(), patch=8, stride=8, fill=0.0) as cam:
        found = cam(x)
    assert float(found[:, 8:].abs().max()) == float(found[:, :, 8:].abs().max()) == 0
    assert float(found[:, :8, :8].min()) > 0


def test_a_mask_is_never_covered_and_pictures_are_one_by_one():
    network = Corner()
    layout = ChannelLayout((("image", 1), ("mask", 1)))
    x = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        network.weight.copy_(torch.tensor([0.0, 1.0]))
    with Occlusion(network, fill=0.0, layout=layout) as cam:
        assert float(cam(x).max()) == 0
        with pytest.raises(ArgumentError, match="layout has 2 channels, the images 3"):
            cam(torch.rand(1, 3, 16, 16))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"patch": 0}, "`patch` must be a whole number of at least 1"),
        ({"stride": 1.5}, "`stride` must be a whole number"),
        ({"fill": 2.0}, r"`fill` must be a level in \[0, 1\]"),
        ({"layer": "trunk"}, "looks at no layer"),
    ],
)
def test_impossible_patches_are_refused(option, message):
    with pytest.raises(ArgumentError, match=message):
        Occlusion(Corner(), **option)
