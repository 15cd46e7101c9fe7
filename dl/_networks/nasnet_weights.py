"""NASNet-A Mobile's weights of Keras (h5) and of pretrainedmodels (torch) under our names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dl._networks.pretrained import PublishedFile, with_counters
from dl.errors import CheckpointError

__all__ = [
    "KERAS_TOP",
    "KERAS_TRUNK",
    "PRETRAINEDMODELS",
    "keras_layer",
    "nasnet_imagenet",
    "pretrainedmodels_name",
    "read_keras",
]

_KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet"
KERAS_TOP = PublishedFile(
    network="nasnet_mobile",
    url=f"{_KERAS}/NASNet-mobile.h5",
    digest="020fb642bf7360b370c678b08e0adf61",
    algorithm="md5",
    others=("nasnet_mobile.h5",),
)
KERAS_TRUNK = PublishedFile(
    network="nasnet_mobile",
    url=f"{_KERAS}/NASNet-mobile-no-top.h5",
    digest="1ed92395b5b598bdda52abe5c0dbfd63",
    algorithm="md5",
    others=("nasnet_mobile_no_top.h5",),
)
PRETRAINEDMODELS = PublishedFile(
    network="nasnet_mobile (border slim)",
    url="http://data.lip6.fr/cadene/pretrainedmodels/nasnetamobile-7e03cead.pth",
    digest="7e03cead",
)

#: More than any NASNet holds; a file that declares more is not read.
MOST_VALUES = 100_000_000
_SHOWN = 3
_KERAS_WEIGHTS = {
    "kernel": "weight",
    "pointwise_kernel": "pointwise.weight",
    "depthwise_kernel": "depthwise.weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "bias": "bias",
}
_KERAS_ENDS = {"stem_conv1": "trunk.stem", "stem_bn1": "trunk.stem_norm", "predictions": "head"}
_KERAS_ADJUST = {
    "conv_projection": "conv",
    "conv_1": "path_1",
    "conv_2": "path_2",
    "bn": "norm",
}
_SEPARABLE = re.compile(
    r"separable_conv_(?P<number>[12])_(?P<bn>bn_)?(normal|reduction)_"
    r"(?P<branch>(left|right)\d)_(?P<cell>\w+)"
)
_ADJUST = re.compile(r"adjust_(?P<part>conv_projection|conv_1|conv_2|bn)_(?P<cell>\w+)")
_SQUEEZE = re.compile(r"(normal|reduction)_(?P<part>conv|bn)_1_(?P<cell>\w+)")


def keras_layer(layer: str) -> str | None:
    """Our module for a layer of Keras' NASNetMobile that holds weights; None for any other.

    Examples
    --------
    >>> keras_layer("separable_conv_2_bn_normal_left1_5")
    'trunk.cells.5.left1.norm_2'
    >>> keras_layer("adjust_conv_projection_reduce_4")
    'trunk.cells.reduce_4.adjust.conv'
    """
    if layer in _KERAS_ENDS:
        return _KERAS_ENDS[layer]
    if match := _SEPARABLE.fullmatch(layer):
        part = f"{'norm' if match['bn'] else 'conv'}_{match['number']}"
        return f"trunk.cells.{match['cell']}.{match['branch']}.{part}"
    if match := _ADJUST.fullmatch(layer):
        return f"trunk.cells.{match['cell']}.adjust.{_KERAS_ADJUST[match['part']]}"
    if match := _SQUEEZE.fullmatch(layer):
        return f"trunk.cells.{match['cell']}.squeeze.{'norm' if match['part'] == 'bn' else 'conv'}"
    return None


def read_keras(path: Path) -> dict[str, Tensor]:
    """The tensors of a Keras h5 file of NASNetMobile under our names, with its top if it has one.

    Parameters
    ----------
    path : Path
        In the layout of Keras' published files and of `model.save("x.h5")`: a group for each
        layer under the layer's name.

    Raises
    ------
    CheckpointError
        Not an h5 file, truncated, of another layout, or with a layer NASNetMobile has not.
    """
    return keras_tensors(read_h5(path), source=str(path))


def keras_tensors(
    weights: Mapping[tuple[str, str], NDArray[Any]], *, source: str = "Keras"
) -> dict[str, Tensor]:
    """The weights of Keras' NASNetMobile, (layer, weight) -> values, as tensors under our names.

    Kernels (height, width, in, out) become (out, in, height, width), depthwise ones
    (height, width, channels, 1) become (channels, 1, height, width), a dense one is transposed.

    Raises
    ------
    CheckpointError
        A layer that NASNetMobile has not, or none at all.

    Examples
    --------
    >>> tensors = keras_tensors({("stem_conv1", "kernel"): np.zeros((3, 3, 3, 32))})
    >>> {name: tensor.shape for name, tensor in tensors.items()}
    {'trunk.stem.weight': torch.Size([32, 3, 3, 3])}
    """
    places = {key: (keras_layer(key[0]), _KERAS_WEIGHTS.get(key[1])) for key in weights}
    unknown = ["/".join(key) for key, place in places.items() if None in place]
    if unknown or not weights:
        msg = (
            f"{source}: {len(unknown)} of its weights are none of NASNetMobile's "
            f"({', '.join(unknown[:_SHOWN]) or 'it holds none'}). It must be NASNetMobile of Keras "
            "in a file with a group for each layer under the layer's name, as Keras publishes it "
            'and model.save("x.h5") writes it.'
        )
        raise CheckpointError(msg)
    tensors = {
        ".".join(places[key]): _from_keras(values, key[1]) for key, values in weights.items()
    }
    return with_counters(tensors)


def _from_keras(values: NDArray[Any], weight: str) -> Tensor:
    tensor = torch.from_numpy(np.asarray(values, dtype=np.float32))
    if weight == "depthwise_kernel" and tensor.ndim == 4:
        tensor = tensor.permute(2, 3, 0, 1)
    elif weight.endswith("kernel"):
        tensor = tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T
    return tensor.contiguous()


def read_h5(path: Path) -> dict[tuple[str, str], NDArray[Any]]:
    """(layer, weight) -> values, of a Keras h5 file; links out of the file are not followed.

    Raises
    ------
    CheckpointError
        h5py is not installed, or the file is absent, truncated or no h5 file.
    """
    try:
        import h5py
    except ImportError:
        msg = f"{path}: reading a Keras h5 file needs the package h5py. Install usstats[onnx]."
        raise CheckpointError(msg) from None
    if not path.is_file():
        msg = f"{path}: the weights file is absent."
        raise CheckpointError(msg)
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return _collect(root, h5py.Dataset)
    except (OSError, RuntimeError, KeyError):
        msg = f"{path}: not an h5 file, or a truncated one."
        raise CheckpointError(msg) from None


def _collect(root: Any, dataset: type) -> dict[tuple[str, str], NDArray[Any]]:
    """Every dataset below a layer's group; a file may nest the layer's name a second time."""
    found: dict[tuple[str, str], Any] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, dataset) and "/" in name:
            found[name.split("/")[0], name.rsplit("/", 1)[-1].split(":")[0]] = item

    root.visititems(keep)
    if sum(item.size for item in found.values()) > MOST_VALUES:
        msg = f"{root.file.filename}: declares more values than any NASNet has; it was not read."
        raise CheckpointError(msg)
    return {key: item[()] for key, item in found.items() if item.dtype.kind == "f"}


_TORCH_ENDS = {"conv0.conv": "trunk.stem", "conv0.bn": "trunk.stem_norm", "last_linear": "head"}
#: The cells there count on by six a stage, here by four and the reduction.
_TORCH_CELLS = {
    "cell_stem_0": "stem_1",
    "cell_stem_1": "stem_2",
    "reduction_cell_0": "reduce_4",
    "reduction_cell_1": "reduce_8",
    **{f"cell_{6 * k + i}": str((0, 5, 9)[k] + i) for k in range(3) for i in range(4)},
}
_TORCH_NORMAL = {
    "comb_iter_0_left": "left1",
    "comb_iter_0_right": "right1",
    "comb_iter_1_left": "left2",
    "comb_iter_1_right": "right2",
    "comb_iter_4_left": "left5",
}
_TORCH_REDUCTION = {
    "comb_iter_0_left": "left1",
    "comb_iter_0_right": "right1",
    "comb_iter_1_right": "right2",
    "comb_iter_2_right": "right3",
    "comb_iter_4_left": "left4",
}
_TORCH_PARTS = {
    "separable_1.depthwise_conv2d": "conv_1.depthwise",
    "separable_1.pointwise_conv2d": "conv_1.pointwise",
    "bn_sep_1": "norm_1",
    "separable_2.depthwise_conv2d": "conv_2.depthwise",
    "separable_2.pointwise_conv2d": "conv_2.pointwise",
    "bn_sep_2": "norm_2",
    "conv_1x1.conv": "squeeze.conv",
    "conv_1x1.bn": "squeeze.norm",
    "conv_prev_1x1.conv": "adjust.conv",
    "conv_prev_1x1.bn": "adjust.norm",
    "path_1.conv": "adjust.path_1",
    "path_2.conv": "adjust.path_2",
    "final_path_bn": "adjust.norm",
}


def pretrainedmodels_name(published: str) -> str:
    """Our name of a tensor in the file of pretrainedmodels.

    Examples
    --------
    >>> pretrainedmodels_name("cell_6.comb_iter_1_right.separable_2.pointwise_conv2d.weight")
    'trunk.cells.5.right2.conv_2.pointwise.weight'
    """
    module, last = published.rsplit(".", 1)
    if module in _TORCH_ENDS:
        return f"{_TORCH_ENDS[module]}.{last}"
    cell, _, rest = module.partition(".")
    ours = _TORCH_CELLS[cell]
    if rest.startswith("comb_iter"):
        branch, _, part = rest.partition(".")
        branches = _TORCH_REDUCTION if "_" in ours else _TORCH_NORMAL
        return f"trunk.cells.{ours}.{branches[branch]}.{_TORCH_PARTS[part]}.{last}"
    return f"trunk.cells.{ours}.{_TORCH_PARTS[rest]}.{last}"


def nasnet_imagenet(*, border: str = "keras") -> dict[str, Tensor]:
    """NASNet-A Mobile's ImageNet weights under our names, those trained with this border.

    Raises
    ------
    CheckpointError
        The file is not on this machine, or is not the published one.
    """
    if border == "keras":
        return read_keras(KERAS_TRUNK.find(KERAS_TOP))
    published = PRETRAINEDMODELS.tensors()
    return with_counters({pretrainedmodels_name(name): t for name, t in published.items()})
