"""The processes that train one fold together, each on its share of every batch.

A batch is dealt out by rows and its logits are gathered, so that every process computes the one
loss of the whole batch. Gradients then add up to those of a single process, whatever the loss is
and wherever labels are missing; statistics of batch normalisation are shared as well. Dropout
draws for each process its own numbers: only without it does a single process give the same weights.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from dl.errors import ConfigError, TrainingError

__all__ = ["World", "current_world", "training_device"]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


@dataclass(frozen=True)
class World:
    """How many processes train together, and which of them this one is; by default it is alone.

    Examples
    --------
    >>> World().part(5), World(rank=1, size=2).part(5)
    (slice(0, 5, None), slice(3, 5, None))
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """This process tunes, writes and reports."""
        return self.rank == 0

    def part(self, n: int) -> slice:
        """This process's rows of a batch of n.

        Raises
        ------
        TrainingError
            There are fewer rows than processes.
        """
        if n < self.size:
            msg = f"{self.size} processes cannot share a batch of {n} images; raise `batch_size`."
            raise TrainingError(msg)
        most = math.ceil(n / self.size)
        sizes = [most - (rank >= n % self.size > 0) for rank in range(self.size)]
        start = sum(sizes[: self.rank])
        return slice(start, start + sizes[self.rank])

    def wrapped(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as training calls it: gradients averaged over the processes."""
        if self.size == 1:
            return network
        for module in network.modules():
            if type(module) in _NORMS:
                module.__class__ = _SharedBatchNorm
        return DistributedDataParallel(
            network,
            device_ids=[device.index] if device.type == "cuda" else None,
            broadcast_buffers=False,
            find_unused_parameters=True,
        )

    def gathered(self, answer: Tensor, n: int) -> Tensor:
        """The logits of a whole batch of n rows, of which only the own carry a gradient."""
        if self.size == 1:
            return answer
        if answer.requires_grad:  # DistributedDataParallel will divide by the number of processes.
            answer.register_hook(lambda gradient: gradient * self.size)
        own = answer.new_zeros(math.ceil(n / self.size), *answer.shape[1:])
        own[: len(answer)] = answer.detach()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(parts, own)
        rows = [World(rank, self.size).part(n) for rank in range(self.size)]
        lengths = [part.stop - part.start for part in rows]
        known: Sequence[Tensor] = [
            answer if rank == self.rank else part[:length]
            for rank, (part, length) in enumerate(zip(parts, lengths, strict=True))
        ]
        return torch.cat(list(known))

    def agreed(self, content: Any = None) -> Any:
        """What the leading process says, in plain JSON types; nothing is pickled."""
        if self.size == 1:
            return content
        text = json.dumps(content).encode() if self.leads else b""
        length = torch.tensor([len(text)])
        distributed.broadcast(length, src=0)
        letters = torch.zeros(int(length), dtype=torch.uint8)
        if self.leads:
            letters = torch.frombuffer(bytearray(text), dtype=torch.uint8)
        distributed.broadcast(letters, src=0)
        return json.loads(bytes(letters.tolist()))


def current_world() -> World:
    """The processes that `dl.distributed` has joined, or this one alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return World()
    return World(rank=distributed.get_rank(), size=distributed.get_world_size())


def training_device(name: str) -> torch.device:
    """The device that a configuration asks for: the process's own GPU where there are several.

    Raises
    ------
    ConfigError
        A GPU is asked for and there is none.

    Examples
    --------
    >>> training_device("cpu")
    device(type='cpu')
    """
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        msg = (
            'device="cuda": this machine, or this build of torch, has no GPU. Use device="auto" '
            'to train on a GPU where there is one, or device="cpu".'
        )
        raise ConfigError(msg)
    if name == "cpu" or not there:
        return torch.device("cpu")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


class _Sum(Function):
    """The sum over all processes, of values and of gradients."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.detach().clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


class _SharedBatchNorm(_BatchNorm):
    """Batch normalisation by the mean and variance of the batch of all processes."""

    def _check_input_dim(self, x: Tensor) -> None:
        pass

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        others = [axis for axis in range(x.ndim) if axis != 1]
        wide = x.float()
        n = _Sum.apply(wide.new_tensor([wide.numel() / wide.shape[1]]))
        mean = _Sum.apply(wide.sum(others)) / n
        shape = [1, -1] + [1] * (x.ndim - 2)
        centred = wide - mean.view(shape)
        variance = _Sum.apply((centred**2).sum(others)) / n
        self._remember(mean.detach(), variance.detach() * n / (n - 1).clamp(min=1))
        scaled = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            scaled = scaled * self.weight.view(shape) + self.bias.view(shape)
        return scaled.to(x.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked += 1
        share = self.momentum
        if share is None:
            share = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
