"""Several networks that answer as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from usstats.errors import ArgumentError

__all__ = ["DeepEnsemble"]


class DeepEnsemble(nn.Module):
    """Mean logit of networks trained from different starts or folds (Lakshminarayanan et al. 2017).

    Parameters
    ----------
    networks : iterable of Module
        Each returns logits (N, n_classes), or a tuple that begins with them, of the same inputs.

    Examples
    --------
    >>> ensemble = DeepEnsemble([nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)])
    >>> x = torch.ones(4, 2)
    >>> ensemble(x).shape, ensemble.member_logits(x).shape
    (torch.Size([4, 1]), torch.Size([3, 4, 1]))
    """

    def __init__(self, networks: Iterable[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        if not self.networks:
            msg = "`networks` is empty: an ensemble needs at least one network."
            raise ArgumentError(msg)

    def member_logits(self, *inputs: Any, **options: Any) -> Tensor:
        """Every network's logits, (n_networks, N, n_classes), for `dl.uncertainty`."""
        answers = [network(*inputs, **options) for network in self.networks]
        return torch.stack([y[0] if isinstance(y, tuple) else y for y in answers])

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """Mean logits, (N, n_classes)."""
        return self.member_logits(*inputs, **options).mean(dim=0)
