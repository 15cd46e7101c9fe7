"""NASNet-A Mobile against Keras: layer by layer in its table, logit by logit in its numbers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from dl._networks import nasnet_weights, pretrained
from dl._networks.nasnet_weights import (
    KERAS_TOP,
    KERAS_TRUNK,
    PRETRAINEDMODELS,
    keras_layer,
    keras_tensors,
    pretrainedmodels_name,
)
from dl.errors import CheckpointError
from dl.layers import same_padding
from dl.nasnet import LARGE, MOBILE, NasNetTrunk, SeparableConv2d, _halve_keras, _halve_slim
from dl.registry import build
from tests.dl.foreign_weights import NASNET_CELLS, image, keras_nasnet_shapes, keras_values
from tests.reference import shared_path
from usstats.errors import ArgumentError

LOGITS = json.loads((Path(__file__).parent / "foreign_logits.json").read_text("utf-8"))["keras"]
#: Trainable values and output (channels, side) of each cell at 224 pixels.
CELLS = {
    "stem_1": (8_534, 44, 56),
    "stem_2": (13_948, 88, 28),
    "0": (33_000, 264, 28),
    "1": (42_680, 264, 28),
    "2": (50_424, 264, 28),
    "3": (50_424, 264, 28),
    "reduce_4": (153_648, 352, 14),
    "5": (147_312, 528, 14),
    "6": (170_544, 528, 14),
    "7": (186_032, 528, 14),
    "8": (186_032, 528, 14),
    "reduce_8": (555_104, 704, 7),
    "9": (557_920, 1056, 7),
    "10": (650_848, 1056, 7),
    "11": (712_800, 1056, 7),
    "12": (712_800, 1056, 7),
}


def n_trainable(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def n_statistics(module: nn.Module) -> int:
    return sum(b.numel() for name, b in module.named_buffers() if "running" in name)


@pytest.fixture(scope="module")
def weights() -> dict[tuple[str, str], np.ndarray]:
    shapes = keras_nasnet_shapes()
    return {key: keras_values(*key, shape) for key, shape in shapes.items()}


@pytest.fixture(scope="module")
def network(weights) -> nn.Module:
    """With the values Keras' reference logits were computed from."""
    network = build("nasnet_mobile", n_classes=1000)
    network.load_state_dict(keras_tensors(weights), strict=True)
    return network


def test_counts(network):
    assert n_trainable(network) == 5_289_978
    assert n_statistics(network) == 36_738
    assert n_trainable(network.trunk) + n_statistics(network.trunk) == 4_269_716
    kinds = Counter(type(module) for module in network.modules())
    assert kinds[nn.BatchNorm2d] == 192
    assert kinds[SeparableConv2d] == 160
    assert kinds[nn.Conv2d] - 2 * 160 == 36
    assert len([name for name in network.state_dict() if "num_batches" not in name]) == 1126


def test_every_cell_has_its_width_size_and_count(network):
    sizes: dict[str, tuple[int, ...]] = {}
    hooks = [
        cell.register_forward_hook(
            lambda module, inputs, out, name=name: sizes.update({name: tuple(out.shape[1:])})
        )
        for name, cell in network.trunk.cells.items()
    ]
    with torch.no_grad():
        top = network.trunk(torch.zeros(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    assert top.shape == (1, 1056, 7, 7)
    assert bool((top >= 0).all())
    found = {name: (n_trainable(network.trunk.cells[name]), *sizes[name]) for name in sizes}
    assert found == {name: (n, c, side, side) for name, (n, c, side) in CELLS.items()}
    assert n_trainable(network.trunk.stem) + n_trainable(network.trunk.stem_norm) == 928


def test_every_layer_is_that_of_the_table(network):
    """All 771 rows: what holds weights by name, shape and count; the rest by kind and shape."""
    path = shared_path("reference", "nasnet_mobile_layers.csv")
    if not path.is_file():
        pytest.skip("the layer table is not on this machine")
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert len(table) == 771
    holding = table[table["weights"] != ""]
    modules = {name: network.get_submodule(keras_layer(name)) for name in holding["name"]}
    shapes: dict[str, str] = {}
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, out, name=name: shapes.update(
                {name: "x".join(map(str, [*out.shape[2:], out.shape[1]]))}
            )
        )
        for name, module in modules.items()
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    for hook in hooks:
        hook.remove()
    assert len(set(modules.values())) == len(holding) == 389
    for row in holding.itertuples():
        module = modules[row.name]
        assert shapes[row.name] == row.output_hwc, row.name
        assert n_trainable(module) == int(row.trainable), row.name
        assert n_trainable(module) + n_statistics(module) == int(row.params), row.name
        if row.type == "BatchNormalization":
            assert (module.eps, module.momentum) == (1e-3, pytest.approx(3e-4))
    assert not [name for name in table["name"] if keras_layer(name) and name not in modules]


def test_the_names_and_shapes_of_keras_cover_ours_exactly(weights):
    ours = build("nasnet_mobile", n_classes=1000).state_dict()
    tensors = keras_tensors(weights)
    assert {name: t.shape for name, t in tensors.items()} == {n: t.shape for n, t in ours.items()}
    assert len(weights) == 1126


def keras_error(network: nn.Module, size: str) -> float:
    """Largest difference from Keras' logits, relative to the largest of them."""
    x = torch.from_numpy(image(*map(int, size.split("x")))).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = network(x)[:, :5].double().numpy()
    expected = np.array(LOGITS[size])
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("size", list(LOGITS))
def test_logits_are_those_of_keras(network, size):
    assert keras_error(network, size) < 1e-5


def spoil_epsilon(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5


def spoil_padding(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, SeparableConv2d) and module.depthwise.stride[0] == 2:
            k = module.depthwise.kernel_size[0]
            module.depthwise.padding = (k // 2, k // 2)
            module.forward = lambda x, m=module: m.pointwise(m.depthwise(x))


def spoil_border(network: nn.Module) -> None:
    for cell in network.trunk.cells.values():
        if hasattr(cell, "_halve"):
            cell._halve = _halve_slim


@pytest.mark.parametrize("spoil", [spoil_epsilon, spoil_padding, spoil_border])
def test_other_conventions_are_not_those_of_keras(weights, spoil):
    network = build("nasnet_mobile", n_classes=1000)
    network.load_state_dict(keras_tensors(weights))
    spoil(network)
    assert keras_error(network, "96x96") > 1e-3


@pytest.mark.parametrize("size", [(7, 7), (8, 8), (7, 10)])
def test_the_pools_of_a_reduction(size):
    """Against sums over the pixels a window covers, written out."""
    h = torch.randn(2, 3, *size, dtype=torch.double)
    before = [same_padding(n, kernel=3, stride=2)[0] for n in size]
    outputs = [-(-n // 2) for n in size]
    keras, slim = _halve_keras(h), _halve_slim(h)
    for i in range(outputs[0]):
        for j in range(outputs[1]):
            rows = [r for r in range(2 * i - before[0], 2 * i - before[0] + 3) if 0 <= r < size[0]]
            columns = [
                c for c in range(2 * j - before[1], 2 * j - before[1] + 3) if 0 <= c < size[1]
            ]
            inside = h[:, :, rows][:, :, :, columns].flatten(2)
            zeros = torch.zeros(2, 3, 9 - inside.shape[-1], dtype=torch.double)
            counted = torch.cat((inside, zeros), dim=-1)
            torch.testing.assert_close(keras[0][:, :, i, j], counted.amax(-1))
            torch.testing.assert_close(keras[1][:, :, i, j], counted.mean(-1))
            torch.testing.assert_close(slim[0][:, :, i, j], inside.amax(-1))
            torch.testing.assert_close(slim[1][:, :, i, j], inside.mean(-1))
    assert keras[0].shape[-2:] == slim[1].shape[-2:] == tuple(outputs)


def test_borders_differ_and_a_third_is_refused(network):
    slim = build("nasnet_mobile", n_classes=1000, border="slim")
    slim.load_state_dict(network.state_dict())
    x = torch.from_numpy(image(64, 64)).permute(0, 3, 1, 2)
    with torch.no_grad():
        gap = (slim(x) - network(x)).abs().max() / network(x).abs().max()
    assert 1e-3 < float(gap) < 1
    with pytest.raises(ArgumentError, match=r"`border` must be one of 'keras', 'slim'; got 'same'"):
        build("nasnet_mobile", n_classes=1, border="same")


def test_the_large_plan_has_the_published_count():
    """NASNet-A Large (6 @ 4032), whose cell after a reduction looks two cells back."""
    with torch.device("meta"):
        trunk = NasNetTrunk(3, plan=LARGE, border="slim")
    assert n_trainable(trunk) + 4033 * 1000 == 88_753_150
    assert n_trainable(trunk) + n_statistics(trunk) + 4033 * 1000 == 88_949_818
    assert MOBILE.filters == 44


# --- the weights of other packages


def pretrainedmodels_names() -> list[str]:
    """Tensors of that package's NASNetAMobile, spelled out cell by cell."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = ["conv0.conv.weight", *(f"conv0.bn.{n}" for n in norm)]
    names += ["last_linear.weight", "last_linear.bias"]
    cells = ["cell_stem_0", "cell_stem_1", *(f"cell_{i}" for i in range(4)), "reduction_cell_0"]
    cells += [*(f"cell_{i}" for i in range(6, 10)), "reduction_cell_1"]
    cells += [f"cell_{i}" for i in range(12, 16)]
    for cell, (_, _, _, _, adjust) in zip(cells, NASNET_CELLS, strict=True):
        reduces = "stem" in cell or "reduction" in cell
        convs, norms = ["conv_1x1.conv"], ["conv_1x1.bn"]
        if adjust == "project":
            convs, norms = [*convs, "conv_prev_1x1.conv"], [*norms, "conv_prev_1x1.bn"]
        elif adjust == "reduce":
            convs, norms = [*convs, "path_1.conv", "path_2.conv"], [*norms, "final_path_bn"]
        branches = ["0_left", "0_right", "1_right", "4_left", "2_right" if reduces else "1_left"]
        for branch in branches:
            for i in (1, 2):
                here = f"comb_iter_{branch}.separable_{i}"
                convs += [f"{here}.depthwise_conv2d", f"{here}.pointwise_conv2d"]
                norms += [f"comb_iter_{branch}.bn_sep_{i}"]
        names += [f"{cell}.{conv}.weight" for conv in convs]
        names += [f"{cell}.{bn}.{part}" for bn in norms for part in norm]
    return names


def test_the_names_of_pretrainedmodels_cover_ours_exactly():
    names = pretrainedmodels_names()
    ours = build("nasnet_mobile", n_classes=1000, border="slim").state_dict()
    assert Counter(map(pretrainedmodels_name, names)) == Counter(ours.keys())


def test_slim_weights_of_an_old_torch_are_loaded(tmp_path: Path, monkeypatch):
    source = build("nasnet_mobile", n_classes=1000, border="slim").state_dict()
    old = {n: source[pretrainedmodels_name(n)] for n in pretrainedmodels_names() if "num_" not in n}
    torch.save(old, tmp_path / PRETRAINEDMODELS.file)
    monkeypatch.setenv(pretrained.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        CheckpointError, match=r"SHA256 is \w+..., expected SHA256 beginning with 7e"
    ):
        build("nasnet_mobile", n_classes=2, weights="imagenet", border="slim")
    monkeypatch.setattr(pretrained.PublishedFile, "check", lambda *a: None)
    network = build("nasnet_mobile", n_classes=2, weights="imagenet", border="slim")
    stem = network.state_dict()["trunk.cells.reduce_4.left1.conv_1.depthwise.weight"]
    assert torch.equal(stem, source["trunk.cells.reduce_4.left1.conv_1.depthwise.weight"])


def test_absent_weights_say_what_to_fetch_and_where_to_put_it(tmp_path: Path, monkeypatch):
    monkeypatch.setenv(pretrained.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(pretrained, "_folders", lambda: [tmp_path])
    with pytest.raises(CheckpointError) as caught:
        build("nasnet_mobile", n_classes=1, weights="imagenet")
    message = str(caught.value)
    for part in (KERAS_TRUNK.url, f"MD5 {KERAS_TRUNK.digest}", str(tmp_path), "weights=None"):
        assert part in message


def test_a_file_that_is_not_the_published_one_is_never_opened(tmp_path: Path, monkeypatch):
    (tmp_path / KERAS_TOP.others[0]).write_bytes(b"\x89HDF\r\n\x1a\n and other things")
    monkeypatch.setattr(pretrained, "_folders", lambda: [tmp_path])
    monkeypatch.setattr(nasnet_weights, "read_h5", lambda path: pytest.fail("opened"))
    with pytest.raises(CheckpointError, match=r"not the file published .* MD5 is .* MD5 020fb642"):
        build("nasnet_mobile", n_classes=1, weights="imagenet")


def write_h5(path: Path, weights: dict[tuple[str, str], np.ndarray], *, inside: str = "") -> Path:
    """As Keras lays a file out: layer / layer / weight:0, or below model_weights."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        root = file.create_group(inside) if inside else file
        root.attrs["layer_names"] = sorted({layer.encode() for layer, _ in weights})
        for (layer, weight), values in weights.items():
            root[f"{layer}/{layer}/{weight}:0"] = values
    return path


@pytest.mark.parametrize("inside", ["", "model_weights"])
def test_a_keras_file_is_read_in_both_layouts(tmp_path: Path, network, weights, inside):
    path = write_h5(tmp_path / "keras.h5", weights, inside=inside)
    loaded = build("nasnet_mobile", n_classes=1000, weights=path)
    expected = network.state_dict()
    assert all(torch.equal(t, expected[name]) for name, t in loaded.state_dict().items())
    torch.manual_seed(0)
    own_head = build("nasnet_mobile", n_classes=3, in_channels=1, weights=path)
    assert own_head.head.weight.shape == (3, 1056)
    torch.testing.assert_close(
        own_head.trunk.stem.weight, expected["trunk.stem.weight"].sum(1, keepdim=True)
    )


def test_a_keras_file_without_its_top_leaves_the_head_new(tmp_path: Path, weights):
    trunk = {key: values for key, values in weights.items() if key[0] != "predictions"}
    network = build("nasnet_mobile", n_classes=5, weights=write_h5(tmp_path / "x.h5", trunk))
    assert network.head.weight.shape == (5, 1056)
    assert len(trunk) == 1124


def damaged(tmp_path: Path, weights: dict, kind: str) -> Path:
    path, changed = tmp_path / f"{kind}.h5", dict(weights)
    if kind in ("foreign layer", "truncated", "text", "nothing"):
        changed = dict(list(weights.items())[:12])
    if kind == "absent layer":
        del changed["normal_conv_1_7", "kernel"]
    elif kind == "foreign layer":
        changed["block13_sepconv2", "kernel"] = np.zeros((1, 1, 2, 2), np.float32)
    elif kind == "shape":
        changed["stem_conv1", "kernel"] = np.zeros((3, 3, 3, 96), np.float32)
    elif kind == "nan":
        changed["adjust_bn_3", "gamma"] = np.full(44, np.nan, np.float32)
    elif kind == "other head":
        changed["predictions", "kernel"] = np.zeros((1056, 7), np.float32)
        changed["predictions", "bias"] = np.zeros(7, np.float32)
    elif kind == "layout of Keras 3":
        changed = {("layers", str(i)): np.zeros(3, np.float32) for i in range(4)}
    write_h5(path, changed)
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "text":
        path.write_text("weights")
    elif kind == "nothing":
        path.unlink()
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("absent layer", r"1 tensors are absent.*cells\.7\.squeeze\.conv\.weight"),
        ("foreign layer", r"1 of its weights are none of NASNetMobile's \(block13_sepconv2/kernel"),
        ("shape", r"another shape \(first: trunk\.stem\.weight"),
        ("nan", r"1 tensors hold NaN or infinity \(first: trunk\.cells\.3\.adjust\.norm\.weight"),
        ("other head", r"another shape \(first: head\.bias"),
        ("layout of Keras 3", r"none of NASNetMobile's .*model\.save"),
        ("truncated", "not an h5 file, or a truncated one"),
        ("text", "not an h5 file, or a truncated one"),
        ("nothing", "the weights file is absent"),
    ],
)
def test_a_damaged_keras_file_is_refused_with_the_reason(tmp_path, weights, kind, message):
    with pytest.raises(CheckpointError, match=message):
        build("nasnet_mobile", n_classes=2, weights=damaged(tmp_path, weights, kind))


def test_a_file_that_declares_too_much_is_not_read(tmp_path: Path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("stem_conv1/kernel", (200_000, 100_000), "f4", chunks=(100, 100))
    with pytest.raises(CheckpointError, match="declares more values than any NASNet has"):
        nasnet_weights.read_keras(path)


def test_without_h5py_the_error_says_so(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(CheckpointError, match="needs the package h5py"):
        build("nasnet_mobile", n_classes=1, weights=tmp_path / "x.h5")


def test_other_networks_do_not_read_keras_files(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"only \.safetensors checkpoints are opened"):
        build("resnet18", n_classes=1, weights=tmp_path / "x.h5")
