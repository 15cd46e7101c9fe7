"""Prepared images through a network, batch by batch, in a controlled torch.

Logits are averaged over an image's views (margins) and over its variants: itself and, by the
configuration, its mirror image and those that `tta` names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dl._augmenting.variants import variants
from dl._training.allocator import keep_freed_memory

__all__ = ["as_input", "features", "logits", "mask_logits", "steady_torch"]

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
    filled = torch.utils.deterministic.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        torch.use_deterministic_algorithms(mode=True)
        # Nothing here reads memory before it is written; filling it takes a seventh of an epoch.
        torch.utils.deterministic.fill_uninitialized_memory = False
        try:
            yield
        finally:
            torch.utils.deterministic.fill_uninitialized_memory = filled
            torch.use_deterministic_algorithms(mode=deterministic)
            torch.set_flush_denormal(False)
            torch.set_num_threads(threads)


def as_input(pixels: NDArray[np.uint8]) -> Tensor:
    """8-bit images (N, C, H, W) as the network's input in [0, 1], channels last in memory.

    Examples
    --------
    >>> as_input(np.array([[[[0, 51, 255]]]], dtype=np.uint8)).tolist()
    [[[[0.0, 0.2, 1.0]]]]
    """
    tensor = torch.from_numpy(np.array(pixels, dtype=np.uint8))
    return tensor.to(torch.float32).div_(255).contiguous(memory_format=torch.channels_last)


def logits(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    tta: Sequence[str] = (),
    batch_size: int = BATCH,
) -> NDArray[np.float64]:
    """Mean logits over an image's views and variants.

    Parameters
    ----------
    network : Module
        With one logit of the event, or one a class.
    views : (n, views, C, H, W) uint8
    rows : sequence of int
    flip : bool
        The mirror image as well.
    tta : sequence of {"rotate", "scale", "gain"}
        Further variants; see `variants`.
    batch_size : int

    Returns
    -------
    (len(rows),) float, or (len(rows), K) of a network with K logits
    """
    what = "classify" if hasattr(network, "classify") else "forward"
    answers = _mean_over_views(
        network, views, rows, flip=flip, tta=tta, batch_size=batch_size, what=what
    )
    return answers[:, 0] if answers.shape[1] == 1 else answers


def features(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    tta: Sequence[str] = (),
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Pooled features, averaged in the same way as `logits`: (len(rows), n_features)."""
    return _mean_over_views(
        network, views, rows, flip=flip, tta=tta, batch_size=BATCH, what="features", report=report
    )


@torch.no_grad()
def mask_logits(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    tta: Sequence[str] = (),
) -> Tensor:
    """Mean mask logits over an image's variants, each turned back: (len(rows), K, H, W).

    A pixel that a variant did not show is averaged over the others.
    """
    network.eval()
    rows = np.asarray(rows, dtype=np.int64)
    shown = variants(flip=flip, tta=tta)
    layout = getattr(network, "layout", None)
    parts = []
    for start in range(0, len(rows), BATCH):
        x = as_input(views[rows[start : start + BATCH], 0]).to(_device(network))
        turned = [each.undo(_masks(network(each.show(x, layout)))) for each in shown]
        total = sum(y * known for y, known in turned)
        parts.append((total / sum(known for _, known in turned)).cpu())
    return torch.cat(parts)


def _device(network: nn.Module) -> torch.device:
    return next((each.device for each in network.parameters()), torch.device("cpu"))


def _masks(answer: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    return answer if isinstance(answer, Tensor) else answer[1]


@torch.no_grad()
def _mean_over_views(
    network: nn.Module,
    views: NDArray[np.uint8],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    flip: bool,
    tta: Sequence[str],
    batch_size: int,
    what: str,
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    network.eval()
    answer = getattr(network, what)
    shown, layout = variants(flip=flip, tta=tta), getattr(network, "layout", None)
    rows = np.asarray(rows, dtype=np.int64)
    n_views = views.shape[1]
    parts = []
    batch_size = max(batch_size // n_views, 1)
    for start in range(0, len(rows), batch_size):
        batch = views[rows[start : start + batch_size]]
        x = as_input(batch.reshape(-1, *batch.shape[2:])).to(_device(network))
        y = sum(answer(each.show(x, layout)).double() for each in shown) / len(shown)
        parts.append(y.view(len(batch), n_views, -1).mean(dim=1).cpu().numpy())
        if report is not None:
            report(min(start + batch_size, len(rows)), len(rows))
    return np.concatenate(parts)
