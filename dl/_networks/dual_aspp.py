"""Gray scale and Doppler in one network: multi-rate encoders, mask gates and cross-attention.

The tokens of both images, one for 32 x 32 pixels, carry the code of their place, ask each other
(`FusionBlock`) and are averaged per image; the two averages, weighted by a gate, make the logits.
A Doppler image that is missing gives no tokens, and a learned vector stands for its average, so a
row without Doppler is answered in the same way whether the batch holds Doppler or not.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool1d, gelu

from dl._networks.dual_encoder import ASPP, DualPlan, ModalityEncoder
from dl._networks.encoders import encoder_imagenet
from dl.layers import CrossAttention, sincos_positions
from dl.network import NetworkEntry, register
from usstats.errors import ArgumentError, PairingError

__all__ = ["DualModalNet", "DualPlan", "dual_aspp"]


class FusionBlock(nn.Module):
    """Both images ask the tokens the other had before, then pass one and the same layer.

    Parameters
    ----------
    dim, heads : int
    attention : bool
        Off: the layer alone.
    """

    def __init__(self, dim: int, *, heads: int, attention: bool, dropout: float) -> None:
        super().__init__()
        self.to_gray = CrossAttention(dim, heads=heads) if attention else None
        self.to_doppler = CrossAttention(dim, heads=heads) if attention else None
        self.feed = nn.Sequential(
            nn.LayerNorm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(4 * dim, dim),
        )

    def forward(
        self, gray: Tensor, doppler: Tensor | None, has_doppler: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Tokens (N, T, dim) and (N, S, dim) to the same; rows without Doppler hear nothing."""
        if doppler is None:
            return gray + self.feed(gray), None
        if self.to_gray is not None and self.to_doppler is not None:
            heard, said = self.to_gray(gray, doppler), self.to_doppler(doppler, gray)
            if has_doppler is not None:
                heard = heard.where(has_doppler[:, None, None], torch.zeros_like(heard))
            gray, doppler = gray + heard, doppler + said
        return gray + self.feed(gray), doppler + self.feed(doppler)


class SignalStage(nn.Module):
    """The published head: the averages as a signal of one channel, convolved at three rates."""

    def __init__(self, width: int, *, outputs: int = 512, channels: int = 256) -> None:
        super().__init__()
        plan = ((1, 1), (3, 1), (5, 2), (7, 4))
        inputs = (1, channels, channels, channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(n, channels, kernel, dilation=rate, padding=kernel // 2)
            for n, (kernel, rate) in zip(inputs, plan, strict=True)
        )
        self.pooled = width // 8
        self.out = nn.Linear(channels * self.pooled, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convs[0](x[:, None])
        for conv in self.convs[1:]:
            x = gelu(conv(x))
        return self.out(adaptive_avg_pool1d(x, self.pooled).flatten(1))


class DualModalNet(nn.Module):
    """Logits from a gray image, its Doppler image and their masks; all but the first may miss.

    Parameters
    ----------
    plan : DualPlan
    n_classes : int
    doppler_channels : int
    dropout : float
        Before the last layer.
    """

    def __init__(
        self,
        plan: DualPlan,
        *,
        n_classes: int,
        doppler_channels: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        dim, width = plan.dim, plan.dim * (2 if plan.dual else 1)
        self.plan = plan
        self.gray = ModalityEncoder(1, plan)
        self.doppler = ModalityEncoder(doppler_channels, plan) if plan.dual else None
        self.no_doppler = nn.Parameter(0.02 * torch.randn(dim)) if plan.dual else None
        self.loudness = nn.Parameter(torch.ones(())) if plan.positions else None
        self.fusion = nn.ModuleList(
            FusionBlock(
                dim, heads=plan.heads, attention=plan.dual and plan.cross_attention, dropout=0.1
            )
            for _ in range(plan.depth)
        )
        self.weigh = nn.Linear(width, width) if plan.gate else None
        stage = [SignalStage(width)] if plan.legacy_head else []
        n = 512 if plan.legacy_head else width
        self.head = nn.Sequential(
            *stage,
            nn.LayerNorm(n),
            nn.Linear(n, dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(dim, n_classes),
        )

    def forward(
        self,
        gray: Tensor,
        doppler: Tensor | None = None,
        mask: Tensor | None = None,
        *,
        has_doppler: Tensor | None = None,
        has_mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (N, n_classes).

        Parameters
        ----------
        gray : (N, 1, H, W) Tensor
            In [0, 1], as all images.
        doppler : (N, doppler_channels, H', W') Tensor, optional
        mask : (N, 1 or 2, H, W) Tensor, optional
            Outlines in [0, 1]: one drawn on both images, or first the gray image's, then the
            Doppler image's.
        has_doppler, has_mask : (N,) bool Tensor, optional
            Rows whose Doppler image, or mask, is there; what stands in the other rows is not
            looked at. All rows by default.
        """
        if not torch.compiler.is_exporting():  # counting rows would fix their number
            _check_pair(gray, doppler, mask)
        has_mask = self._present(gray, has_mask, self.plan.mask_dropout)
        masks = (None, None) if mask is None else (mask[:, :1], mask[:, -1:])
        a = self._tokens(self.gray(gray, masks[0], has_mask))
        b, there = None, None
        if doppler is not None and self.doppler is not None:
            there = self._present(gray, has_doppler, self.plan.modality_dropout)
            b = self._doppler_tokens(doppler, masks[1], has_mask, there)
        for block in self.fusion:
            a, b = block(a, b, there)
        return self.head(self._weighed(a, b, there))

    def _present(self, x: Tensor, present: Tensor | None, dropped: float) -> Tensor | None:
        """Which rows to use: those that are there, less those taken away in training."""
        if not self.training or dropped == 0:
            return present
        kept = torch.rand(len(x), device=x.device) >= dropped
        return kept if present is None else kept & present

    def _tokens(self, features: Tensor) -> Tensor:
        """A map (N, dim, h, w) as tokens (N, h w, dim) that carry their place."""
        tokens = features.flatten(2).transpose(1, 2)
        if self.loudness is None:
            return tokens
        code = sincos_positions(*features.shape[-2:], self.plan.dim)
        return tokens + self.loudness * code.to(tokens)

    def _doppler_tokens(
        self,
        doppler: Tensor,
        mask: Tensor | None,
        has_mask: Tensor | None,
        there: Tensor | None,
    ) -> Tensor | None:
        """Tokens of all rows. In training the encoder sees, and normalises by, those there only."""
        if there is None or not self.training:
            return self._tokens(self.doppler(doppler, mask, has_mask))
        rows = there.nonzero()[:, 0]
        if len(rows) == 0:
            return None
        # Batch normalisation refuses a single value a channel, so a single row comes twice.
        used = rows.repeat(2) if len(rows) == 1 else rows
        part, has_part = (None if t is None else t[used] for t in (mask, has_mask))
        tokens = self._tokens(self.doppler(doppler[used], part, has_part))[: len(rows)]
        return tokens.new_zeros(len(doppler), *tokens.shape[1:]).index_copy(0, rows, tokens)

    def _weighed(self, a: Tensor, b: Tensor | None, there: Tensor | None) -> Tensor:
        """The averages of both images side by side, times their gate."""
        pooled = a.mean(dim=1)
        if self.no_doppler is not None:
            absent = self.no_doppler.expand_as(pooled).to(pooled)
            other = absent if b is None else b.mean(dim=1)
            if b is not None and there is not None:
                other = torch.where(there[:, None], other, absent)
            pooled = torch.cat([pooled, other], dim=1)
        return pooled if self.weigh is None else pooled * self.weigh(pooled).sigmoid()


def _check_pair(gray: Tensor, doppler: Tensor | None, mask: Tensor | None) -> None:
    sizes = {"gray": len(gray)}
    sizes |= {name: len(t) for name, t in (("doppler", doppler), ("mask", mask)) if t is not None}
    if len(set(sizes.values())) > 1:
        msg = f"`gray`, `doppler` and `mask` must have one row an image pair; got {sizes}."
        raise PairingError(msg)
    if mask is not None and (mask.ndim != 4 or mask.shape[1] not in (1, 2)):
        msg = f"`mask` must be (N, 1 or 2, H, W); got {tuple(mask.shape)}."
        raise PairingError(msg)


def dual_aspp(
    *, n_classes: int, in_channels: int = 3, dropout: float = 0.2, **options: Any
) -> DualModalNet:
    """Build the network; `in_channels` are those of the Doppler image, `options` of `DualPlan`.

    Examples
    --------
    >>> network = dual_aspp(n_classes=2, dim=32, channels=(8, 8, 16, 16, 32), scales=(1, 2)).eval()
    >>> gray, doppler = torch.zeros(4, 1, 64, 64), torch.zeros(4, 3, 64, 64)
    >>> network(gray, doppler).shape, network(gray).shape
    (torch.Size([4, 2]), torch.Size([4, 2]))
    """
    plan = DualPlan(**options)
    return DualModalNet(plan, n_classes=n_classes, doppler_channels=in_channels, dropout=dropout)


def _imagenet(*, encoder: str, dual: bool, **options: Any) -> dict[str, Tensor]:
    """Published weights for both encoders, where the encoder has them."""
    if encoder == ASPP:
        msg = f"There are no ImageNet weights for the encoder {ASPP!r}; use weights=None."
        raise ArgumentError(msg)
    gray = encoder_imagenet(encoder=encoder, in_channels=1)
    doppler = encoder_imagenet(encoder=encoder) if dual else {}
    return {f"gray.{name}": t for name, t in gray.items()} | {
        f"doppler.{name}": t for name, t in doppler.items()
    }


register(
    NetworkEntry(
        name="dual_aspp",
        build=dual_aspp,
        inputs=("gray", "doppler"),
        may_miss=("doppler",),
        mask="optional",
        stem="doppler.trunk.stem.weight",
        imagenet=_imagenet,
        origin="Own design after the published Dual-ASPP; Gabor bank and attention written anew",
        options=asdict(DualPlan()),
    )
)
