"""ImageNet weights that torchvision publishes (BSD licence) under our names.

The first weights of each network (IMAGENET1K_V1), whose SHA-256 begins with the digits in the
file's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import accumulate

from torch import Tensor

from dl._networks.pretrained import PublishedFile, with_counters
from dl.errors import CheckpointError

__all__ = [
    "COLOUR_MEAN",
    "COLOUR_STD",
    "DENSENET121",
    "EFFICIENTNET_B0",
    "MOBILENET_V2",
    "RESNET18",
    "RESNET50",
    "densenet_name",
    "efficientnet_b0_name",
    "imagenet_loader",
    "mobilenet_v2_name",
    "resnet_name",
]

#: Of ImageNet's red, green and blue, in [0, 1].
COLOUR_MEAN, COLOUR_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_PLACE = "https://download.pytorch.org/models"
RESNET18 = PublishedFile(
    network="resnet18",
    url=f"{_PLACE}/resnet18-f37072fd.pth",
    digest="f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
)
RESNET50 = PublishedFile(
    network="resnet50",
    url=f"{_PLACE}/resnet50-0676ba61.pth",
    digest="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
)
DENSENET121 = PublishedFile(
    network="densenet121",
    url=f"{_PLACE}/densenet121-a639ec97.pth",
    digest="a639ec97d7c33b07ae66f0b5fb7d0192f95a3b11b7576c66c0126c2a727c4395",
)
MOBILENET_V2 = PublishedFile(
    network="mobilenet_v2",
    url=f"{_PLACE}/mobilenet_v2-b0353104.pth",
    digest="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
)
EFFICIENTNET_B0 = PublishedFile(
    network="efficientnet_b0",
    url=f"{_PLACE}/efficientnet_b0_rwightman-7f5810bc.pth",
    digest="7f5810bc96def8f7552d5b7e68d53c4786f81167d28291b21c0d90e1fca14934",
)

_RESNET_STEPS = {"conv": "conv_", "bn": "norm_"}
_RESNET_STEM = {"conv1": "trunk.stem.0", "bn1": "trunk.stem.1", "fc": "head"}
_DENSENET_ENDS = {
    "features.conv0": "trunk.stem",
    "features.norm0": "trunk.stem_norm",
    "features.norm5": "trunk.top_norm",
    "classifier": "head",
}
_INVERTED_ENDS = {
    "features.0.0": "trunk.stem",
    "features.0.1": "trunk.stem_norm",
    "classifier.1": "head",
}
_MOBILENET_STEPS = {
    "0.0": "expand",
    "0.1": "expand_norm",
    "1.0": "depthwise",
    "1.1": "depthwise_norm",
    "2": "project",
    "3": "project_norm",
}
#: The first block does not expand, and its steps are counted from the depthwise one.
_MOBILENET_FIRST = {
    "0.0": "depthwise",
    "0.1": "depthwise_norm",
    "1": "project",
    "2": "project_norm",
}
_EFFICIENT_STEPS = {
    "0.0": "expand",
    "0.1": "expand_norm",
    "1.0": "depthwise",
    "1.1": "depthwise_norm",
    "2.fc1": "squeeze.reduce",
    "2.fc2": "squeeze.expand",
    "3.0": "project",
    "3.1": "project_norm",
}
_EFFICIENT_FIRST = {
    "0.0": "depthwise",
    "0.1": "depthwise_norm",
    "1.fc1": "squeeze.reduce",
    "1.fc2": "squeeze.expand",
    "2.0": "project",
    "2.1": "project_norm",
}
_EFFICIENT_REPEATS = (1, 2, 2, 3, 3, 4, 1)
_EFFICIENT_STARTS = (0, *accumulate(_EFFICIENT_REPEATS))


def resnet_name(published: str) -> str:
    """Our name of a ResNet tensor.

    Examples
    --------
    >>> resnet_name("layer2.0.downsample.1.running_mean"), resnet_name("layer1.1.bn2.bias")
    ('trunk.stages.1.0.shortcut.1.running_mean', 'trunk.stages.0.1.norm_2.bias')
    """
    module, last = published.rsplit(".", 1)
    if module in _RESNET_STEM:
        return f"{_RESNET_STEM[module]}.{last}"
    stage, block, step = module.removeprefix("layer").split(".", 2)
    step = step.replace("downsample", "shortcut")
    step = re.sub(r"^(conv|bn)(\d)$", lambda m: f"{_RESNET_STEPS[m[1]]}{m[2]}", step)
    return f"trunk.stages.{int(stage) - 1}.{block}.{step}.{last}"


def densenet_name(published: str) -> str:
    """Our name of a DenseNet tensor, as torchvision calls it now or did when it was saved.

    Examples
    --------
    >>> densenet_name("features.denseblock2.denselayer3.norm.1.weight")
    'trunk.block_2.2.norm_1.weight'
    >>> densenet_name("features.transition1.conv.weight")
    'trunk.transition_1.conv.weight'
    """
    module, last = published.rsplit(".", 1)
    if module in _DENSENET_ENDS:
        return f"{_DENSENET_ENDS[module]}.{last}"
    if match := re.fullmatch(r"features\.transition(\d)\.(norm|conv)", module):
        return f"trunk.transition_{match[1]}.{match[2]}.{last}"
    pattern = r"features\.denseblock(\d)\.denselayer(\d+)\.(norm|conv)\.?(\d)"
    block, layer, step, number = re.fullmatch(pattern, module).groups()
    return f"trunk.block_{block}.{int(layer) - 1}.{step}_{number}.{last}"


def mobilenet_v2_name(published: str) -> str:
    """Our name of a MobileNetV2 tensor.

    Examples
    --------
    >>> mobilenet_v2_name("features.1.conv.1.weight"), mobilenet_v2_name("features.18.0.weight")
    ('trunk.blocks.0.steps.project.weight', 'trunk.top.weight')
    """
    module, last = published.rsplit(".", 1)
    ends = _INVERTED_ENDS | {"features.18.0": "trunk.top", "features.18.1": "trunk.top_norm"}
    if module in ends:
        return f"{ends[module]}.{last}"
    _, block, _, step = module.split(".", 3)
    steps = _MOBILENET_FIRST if block == "1" else _MOBILENET_STEPS
    return f"trunk.blocks.{int(block) - 1}.steps.{steps[step]}.{last}"


def efficientnet_b0_name(published: str) -> str:
    """Our name of an EfficientNet-B0 tensor.

    Examples
    --------
    >>> efficientnet_b0_name("features.4.2.block.2.fc1.bias")
    'trunk.blocks.7.steps.squeeze.reduce.bias'
    """
    module, last = published.rsplit(".", 1)
    ends = _INVERTED_ENDS | {"features.8.0": "trunk.top", "features.8.1": "trunk.top_norm"}
    if module in ends:
        return f"{ends[module]}.{last}"
    _, stage, repeat, _, step = module.split(".", 4)
    steps = _EFFICIENT_FIRST if stage == "1" else _EFFICIENT_STEPS
    block = _EFFICIENT_STARTS[int(stage) - 1] + int(repeat)
    return f"trunk.blocks.{block}.steps.{steps[step]}.{last}"


def imagenet_loader(
    published: PublishedFile, our_name: Callable[[str], str]
) -> Callable[..., dict[str, Tensor]]:
    """What reads a published file under our names, `our_name` translating one of them."""

    def load(**options: object) -> dict[str, Tensor]:
        tensors = published.tensors()
        try:
            return with_counters({our_name(name): tensor for name, tensor in tensors.items()})
        except (KeyError, ValueError, AttributeError):
            msg = f"{published.file}: holds tensors of another network than {published.network}."
            raise CheckpointError(msg) from None

    return load
