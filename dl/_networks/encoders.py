"""Any registered classifier's trunk as the encoder of a larger network."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import dl._networks.backbones
import dl.nasnet
import dl.nets  # noqa: F401  (each registers its trunks)
from dl._networks.pyramid import PROBE, Tap, find_taps
from dl.layers import merge_input_channels
from dl.network import entry, names
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["Encoder", "encoder_imagenet", "encoder_names", "new_encoder"]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Standardisation of input in [0, 1], the trunk behind it, and where its maps can be read."""

    standardise: nn.Module
    trunk: nn.Module
    taps: tuple[Tap, ...]


def encoder_names() -> list[str]:
    """Networks whose trunk can serve as an encoder.

    Examples
    --------
    >>> {"efficientnet_lite0", "resnet18"} <= set(encoder_names())
    True
    """
    return [name for name in names() if entry(name).trunk is not None]


def new_encoder(name: str, in_channels: int) -> Encoder:
    """A new trunk with random weights.

    Raises
    ------
    ArgumentError
        No such encoder; the message lists those known.

    Examples
    --------
    >>> [tap.stride for tap in new_encoder("resnet18", 1).taps]
    [2, 4, 8, 16, 32]
    """
    check_option(name, encoder_names(), name="encoder")
    known = entry(name)
    standardise, trunk = known.parts(in_channels, **known.options)
    probe = standardise(torch.zeros(1, in_channels, PROBE, PROBE))
    return Encoder(standardise=standardise, trunk=trunk, taps=find_taps(trunk, probe.shape[1]))


def encoder_imagenet(
    *, encoder: str, in_channels: int | None = None, **options: object
) -> dict[str, Tensor]:
    """Published tensors of an encoder, names beginning with "trunk.".

    Parameters
    ----------
    encoder : str
    in_channels : int, optional
        Fit the first filters to an input of so many channels.
    **options
        The network's others, which do not matter here.

    Raises
    ------
    ArgumentError
        There are none.
    CheckpointError
        Their file is absent or damaged.
    """
    known = entry(encoder)
    if known.imagenet is None:
        msg = f"There are no ImageNet weights for the encoder {encoder!r}; use weights=None."
        raise ArgumentError(msg)
    tensors = known.imagenet(**known.options)
    if in_channels is not None and not isinstance(known.mean, tuple):
        tensors[known.stem] = merge_input_channels(tensors[known.stem], in_channels)
    return {name: tensor for name, tensor in tensors.items() if name.startswith("trunk.")}
