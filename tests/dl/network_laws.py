"""Laws that every network keeps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def parts(output: Any) -> list[Tensor]:
    """Logits of every task."""
    return list(output) if isinstance(output, tuple) else [output]


def without_gradient(network: nn.Module, answer: Callable[[], Any]) -> list[str]:
    """Parameters that a random weighting of the outputs does not move, in training mode."""
    network.train().zero_grad(set_to_none=True)
    torch.manual_seed(5)
    loss = sum((y * torch.randn_like(y)).sum() for y in parts(answer()))
    loss.backward()
    return [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().max() > 1e-12)
    ]


def n_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def fit(network: nn.Module, loss: Callable[[], Tensor], *, steps: int, lr: float) -> float:
    """A few steps of AdamW on one batch; the last loss."""
    network.train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=lr)
    for _ in range(steps):
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
    return value.item()
