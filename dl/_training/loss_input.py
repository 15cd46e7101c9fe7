"""What the losses ask of their tensors before they compute."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from usstats.errors import ArgumentError, OutcomeError, PairingError

#: The label of an image, or of a pixel, that nobody gave.
MISSING = -1


def single_precision(logits: Tensor) -> Tensor:
    """Half precision widened; logarithms and sums need it."""
    return logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits


def known_rows(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of (N, K) logits that have a label, and their labels; a single logit has two classes.

    Raises
    ------
    PairingError
        Not one label a row.
    OutcomeError
        A label that is no class.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        msg = (
            f"Logits must be (N, n_classes) and labels (N,); got {tuple(logits.shape)} and "
            f"{tuple(labels.shape)}."
        )
        raise PairingError(msg)
    codes = labels.long()
    check_codes(codes, logits.shape[1], "labels")
    there = codes != MISSING
    return single_precision(logits[there]), codes[there]


def check_codes(codes: Tensor, n_logits: int, name: str) -> None:
    """Refuse codes that are neither a class nor MISSING.

    Raises
    ------
    OutcomeError
    """
    top = max(n_logits, 2) - 1
    wrong = (codes < MISSING) | (codes > top)
    if bool(wrong.any()):
        msg = (
            f"`{name}` must be classes 0 to {top}, or {MISSING} where unknown; "
            f"{int(wrong.sum())} of {codes.numel()} are not (first: {int(codes[wrong][0])})."
        )
        raise OutcomeError(msg)


def class_weights(weights: Sequence[float] | None, n_logits: int, like: Tensor) -> Tensor:
    """One weight a class as a tensor; ones by default.

    Raises
    ------
    ArgumentError
        Another number of weights than classes, or one that is not positive.
    """
    n = max(n_logits, 2)
    given = [1.0] * n if weights is None else [float(w) for w in weights]
    if len(given) != n or not all(0 < w < float("inf") for w in given):
        msg = f"`weights` must be {n} positive numbers, one a class; got {given}."
        raise ArgumentError(msg)
    return like.new_tensor(given)


def mean_or_zero(terms: Tensor) -> Tensor:
    """The mean; of no terms zero, still tied to the network with a gradient of zero."""
    return terms.sum() / max(terms.numel(), 1)
