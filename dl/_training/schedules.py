"""Learning rates as shares of their peak: pure functions of how far training is; no torch."""

from __future__ import annotations

import math

from dl.config import TrainConfig

__all__ = ["share"]

#: One-cycle (Smith and Topin 2019): the share of training that the rise takes, and where the
#: rate begins and ends as shares of the peak.
RISE, FIRST, LAST = 0.3, 1 / 25, 1 / 250_000


def share(progress: float, config: TrainConfig) -> float:
    """Learning rate as a share of its peak.

    A linear warm-up over `warmup_epochs`, then the schedule; "one_cycle" has a rise of its own in
    the warm-up's place. Momentum stays as it is.

    Parameters
    ----------
    progress : float
        Epochs that are over, with the finished part of the one that runs.
    config : TrainConfig

    Examples
    --------
    >>> config = TrainConfig(seed=1, epochs=10, warmup_epochs=0.0)
    >>> [round(share(t, config), 3) for t in (0, 5, 10)]
    [1.0, 0.5, 0.0]
    >>> steps = config.changed(schedule="step", step_epochs=4)
    >>> [round(share(t, steps), 3) for t in (0, 4, 9.5)]
    [1.0, 0.1, 0.01]
    """
    if config.schedule == "one_cycle":
        return _one_cycle(progress / config.epochs)
    warm = config.warmup_epochs
    if progress < warm:
        return (progress + 0.1) / (warm + 0.1)
    if config.schedule == "step":
        every = config.step_epochs or max(config.epochs // 3, 1)
        return config.step_factor ** int(progress // every)
    if config.schedule == "constant":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * (progress - warm) / max(config.epochs - warm, 1e-9)))


def _one_cycle(done: float) -> float:
    """Half a cosine up to the peak, half a cosine down to almost nothing."""
    if done < RISE:
        return _between(FIRST, 1.0, done / RISE)
    return _between(1.0, LAST, (done - RISE) / (1 - RISE))


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))
