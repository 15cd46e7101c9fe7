"""What is known of a network before it is built, and the table of those that are known.

The contract between a network and the rest of the floor:

- A module that holds networks calls `register(NetworkEntry(...))` for each, at the end of the file,
  and `dl.registry` imports that module. A network never imports `dl.registry`.
- `forward(*inputs)` takes one (N, C, H, W) tensor in [0, 1] for each of the entry's `inputs`, in
  that order, and `mask=None` behind them where the entry's `mask` is not "none". Where the entry
  says so (`may_miss`), an input may be None. Training and prediction stack inputs and mask in one
  tensor (`layout_of`); `dl._networks.stacked` takes it apart in front of the network.
- It returns logits: (N, n_classes) for ("classify",), (N, n_mask_classes, H, W) for ("segment",), a
  tuple of both in the order of `tasks` for ("classify", "segment"). No softmax, no sigmoid.
- What is new for a study begins with "head." in the state dict, and its last classifying layer is
  `network.head` or `network.head[-1]`, an `nn.Linear`; that part learns faster and is not loaded
  from ImageNet.
- A classifier of one image is a trunk that returns the last feature map; it is written as
  `NetworkEntry(trunk=...)` and becomes an `ImageClassifier` (`.trunk`, `.features`, `.head`). Any
  other network is written as `NetworkEntry(build=...)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from statistics import fmean
from typing import Any

from torch import Tensor, nn

from dl.channels import ChannelLayout
from dl.layers import GrayStem, Standardise, StandardiseColours
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = [
    "ChannelLayout",
    "NetworkEntry",
    "entry",
    "layout_of",
    "names",
    "register",
    "tasks_of",
]

INPUTS = ("image", "gray", "doppler")
TASKS = ("classify", "segment")
MASKS = ("none", "optional", "required")
#: Channels of a Doppler image.
COLOURS = 3


@dataclass(frozen=True, kw_only=True)
class NetworkEntry:
    """What is known of a network before it is built.

    Attributes
    ----------
    name : str
        In lower case with underscores, as in a configuration.
    trunk : callable, optional
        in_channels -> Module that returns the last feature map; `options` come as keywords.
    build : callable, optional
        Everything but a trunk: called with n_classes, in_channels, dropout and the `options` as
        keywords. `in_channels` counts those of the last input; a gray input has one channel.
        Exactly one of `trunk` and `build` is given.
    inputs : tuple of str
        ("image",) or ("gray", "doppler"): what `forward` takes.
    may_miss : tuple of str
        Inputs that may be None.
    mask : {"none", "optional", "required"}
        Whether `forward` takes a mask (N, 1, H, W) in [0, 1] as well.
    tasks : tuple of str
        ("classify",), ("segment",) or ("classify", "segment"): what `forward` returns.
    n_features : int
        Channels of the trunk's map.
    stem : str
        Name of the first convolution's weight, the one that sees the input channels. A gray image
        is answered exactly as its three equal copies: published filters are added up over
        colours, or, where colours are standardised each in its own way, see it three times.
    mean, std : float or three floats
        Standardisation of levels in [0, 1]; three floats are those of colours.
    imagenet : callable, optional
        Returns published weights under our names; `options` come as keywords. None where there
        are none. Of a trunk, all of them; of any other network, what there is: the rest stays new.
    readers : mapping
        Suffix of a foreign weights file -> path -> tensors under our names, e.g. {".h5": ...}.
    origin : str
        Where the network and its published weights come from, for a model card.
    options : mapping
        Further arguments of `trunk` or `build` with their defaults: {"border": "keras"}.
    """

    name: str
    trunk: Callable[..., nn.Module] | None = None
    build: Callable[..., nn.Module] | None = None
    inputs: tuple[str, ...] = ("image",)
    may_miss: tuple[str, ...] = ()
    mask: str = "none"
    tasks: tuple[str, ...] = ("classify",)
    n_features: int = 0
    stem: str = ""
    mean: float | tuple[float, float, float] = 0.5
    std: float | tuple[float, float, float] = 0.25
    imagenet: Callable[..., dict[str, Tensor]] | None = None
    readers: Mapping[str, Callable[[Path], dict[str, Tensor]]] = field(default_factory=dict)
    origin: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.trunk is None) == (self.build is None):
            msg = f"Network {self.name!r} needs either `trunk` or `build`, and not both."
            raise ArgumentError(msg)
        check_option(self.mask, MASKS, name="mask")
        for name in (*self.inputs, *self.may_miss):
            check_option(name, INPUTS, name="inputs")
        for name in self.tasks:
            check_option(name, TASKS, name="tasks")

    def parts(self, in_channels: int, **options: Any) -> tuple[nn.Module, nn.Module]:
        """Standardisation of input in [0, 1], and a new trunk behind it; both take `in_channels`.

        A network made for colours that is given gray keeps its filters of three colours.
        """
        mean, std = self.mean, self.std
        if not isinstance(mean, tuple) or not isinstance(std, tuple):
            return Standardise(mean, std), self.trunk(in_channels, **options)
        if in_channels == len(mean):
            return StandardiseColours(mean, std), self.trunk(in_channels, **options)
        standardise = Standardise(fmean(mean), fmean(std))
        if in_channels != 1 or not self.stem:
            return standardise, self.trunk(in_channels, **options)
        trunk = self.trunk(len(mean), **options)
        place = self.stem.removeprefix("trunk.").removesuffix(".weight")
        gray = GrayStem(trunk.get_submodule(place), mean=mean, std=std)
        trunk.set_submodule(place, gray)
        return standardise, trunk


_ENTRIES: dict[str, NetworkEntry] = {}


def register(network: NetworkEntry) -> NetworkEntry:
    """Add a network; a name that is taken is refused."""
    if network.name in _ENTRIES:
        msg = f"A network called {network.name!r} is registered already; choose another name."
        raise ArgumentError(msg)
    _ENTRIES[network.name] = network
    return network


def names() -> list[str]:
    """The networks that can be built, in alphabetical order.

    Examples
    --------
    >>> from dl import registry
    >>> {"efficientnet_lite0", "nasnet_mobile", "resnet18"} <= set(registry.names())
    True
    """
    return sorted(_ENTRIES)


def entry(name: str) -> NetworkEntry:
    """What is known of one network.

    Raises
    ------
    ArgumentError
        An unknown name; the message lists those known.
    """
    import_module("dl.registry")  # whoever asks first finds all of them
    check_option(name, names(), name="architecture")
    return _ENTRIES[name]


def layout_of(name: str, in_channels: int) -> ChannelLayout:
    """What stands in which channel of the images a network is trained on.

    A network of two images takes its Doppler image in colour, whatever `in_channels` says of the
    image of the others.

    Examples
    --------
    >>> from dl import registry
    >>> registry.layout_of("resnet18", 1).blocks
    (('image', 1),)
    >>> registry.layout_of("dual_aspp", 1).blocks
    (('gray', 1), ('doppler', 3), ('mask', 1))
    """
    if "/" in name or entry(name).inputs == ("image",):
        return ChannelLayout.of(("image",), in_channels=in_channels)
    known = entry(name)
    return ChannelLayout.of(known.inputs, in_channels=COLOURS, with_mask=known.mask != "none")


def tasks_of(name: str) -> tuple[str, ...]:
    """What a network is trained for; those of other packages classify.

    Raises
    ------
    ArgumentError
        The network cannot do without a mask, which the training loop does not promise.
    """
    if "/" in name:
        return ("classify",)
    known = entry(name)
    if known.mask == "required":
        msg = f"The training loop may have no mask to give; {name!r} requires one."
        raise ArgumentError(msg)
    return known.tasks
