"""Prepared images through a network, batch by batch, in a controlled torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dl.allocator import keep_freed_memory

__all__ = ["as_input", "features", "logits", "steady_torch"]

#: Images in one forward pass: enough to fill the arithmetic, few enough for the cache.
BATCH = 32


@contextmanager
def steady_torch(seed: int) -> Iterator[None]:
    """One thread, flushed denormals, deterministic kernels and an own random state; then undone.

    One thread makes results independent of the machine's number of cores; folds run side by
    side instead.
    """
    keep_freed_memory()
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(mode=deterministic)
            torch.set_flush_denormal(False)
            torch.set_num_threads(threads)


def as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """8-bit images (N, C, H, W) as the network's input in [0, 1], channels last in memory."""
    tensor = torch.from_numpy(np.array(pixels, dtype=np.uint8))
    return tensor.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)


def logits(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    batch_size: int = BATCH,
) -> NDArray[np.float64]:
    """Mean logits over an image's views and, with `flip`, their mirror images.

    Parameters
    ----------
    network : Module
        With one logit of the event, or one a class.
    views : (n, views, C, H, W) uint8
    rows : sequence of int

    Returns
    -------
    (len(rows),) float, or (len(rows), K) of a network with K logits
    """
    what = "classify" if hasattr(network, "classify") else "forward"
    answers = _mean_over_views(network, views, rows, flip=flip, batch_size=batch_size, what=what)
    return answers[:, 0] if answers.shape[1] == 1 else answers


def features(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Pooled features, averaged in the same way as `logits`: (len(rows), n_features)."""
    return _mean_over_views(
        network, views, rows, flip=flip, batch_size=BATCH, what="features", report=report
    )


@torch.no_grad()
def _mean_over_views(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    batch_size: int,
    what: str = "forward",
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    network.eval()
    answer = getattr(network, what)
    rows = np.asarray(rows, dtype=np.int64)
    n_views = views.shape[1]
    parts = []
    batch_size = max(batch_size // n_views, 1)
    for start in range(0, len(rows), batch_size):
        batch = views[rows[start : start + batch_size]]
        x = as_input(batch.reshape(-1, *batch.shape[2:]))
        y = answer(x).double()
        if flip:
            y = (y + answer(x.flip(-1)).double()) / 2
        parts.append(y.view(len(batch), n_views, -1).mean(dim=1).numpy())
        if report is not None:
            report(min(start + batch_size, len(rows)), len(rows))
    return np.concatenate(parts)
