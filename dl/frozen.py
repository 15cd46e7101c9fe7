"""The frozen route: fixed features, and a ridge logistic head whose penalty is tuned inside."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import nn

from dl.checkpoint import weights_identity
from dl.config import TrainConfig
from dl.inference import features, steady_torch
from dl.losses import balanced_weights
from dl.registry import build
from dl.storage import atomic_path
from dl.train import START, FoldTask, epoch_seed
from usstats.splits import make_folds

__all__ = ["LinearHead", "feature_table", "fit_head", "frozen_network"]

INNER_FOLDS = 5
_LEAST_SPREAD = 1e-12


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """logit = features @ weight + bias, and how its penalty was chosen.

    Attributes
    ----------
    weight : (n_features,) float
    bias : float
    penalty : float
        Chosen among those tried, by the inner folds' log-loss.
    inner_loss : dict
        Penalty -> mean log-loss on the inner folds.
    """

    weight: NDArray[np.float64]
    bias: float
    penalty: float
    inner_loss: dict[float, float]


def feature_table(
    config: TrainConfig,
    views_file: Path,
    *,
    report: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Features of every prepared image, (n, n_features), from the cache where they are there.

    They depend on pixels and published weights alone, never on an outcome.
    """
    key = hashlib.sha256(
        f"{views_file.name}|{config.architecture}|{weights_identity(config.weights)}|"
        f"{config.flip_views}|{config.seed if config.weights is None else ''}".encode()
    ).hexdigest()[:24]
    path = views_file.with_name(f"features-{key}.npy")
    if not path.is_file():
        views = np.load(views_file, mmap_mode="r", allow_pickle=False)
        with steady_torch(epoch_seed(config, 0, START)):
            network = _trunk(config)
            rows = np.arange(len(views))
            table = features(network, views, rows, flip=config.flip_views, report=report)
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.save(file, table, allow_pickle=False)
    return np.load(path, allow_pickle=False)


def fit_head(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    groups: NDArray[np.int64],
    config: TrainConfig,
    *,
    seed: int,
) -> LinearHead:
    """Fit the head on training patients; inner folds of those patients choose the penalty.

    Parameters
    ----------
    x : (n, n_features) float
    y, groups : (n,) int
        Outcome and patient.
    config : TrainConfig
    seed : int
        Of the inner folds.

    Raises
    ------
    ResampleError
        A class has fewer than two patients.
    """
    patients_of_class = [len(np.unique(groups[y == level])) for level in (0, 1)]
    n_folds = max(2, min(INNER_FOLDS, *patients_of_class))
    inner = make_folds(y, groups, n_folds=n_folds, seed=seed).assignment
    losses = np.zeros(len(config.frozen_penalties))
    for fold in range(n_folds):
        inside, outside = inner != fold, inner == fold
        path = _ridge_path(x[inside], y[inside], config.frozen_penalties, config)
        for i, (weight, bias) in enumerate(path):
            losses[i] += _log_loss(x[outside] @ weight + bias, y[outside])
    losses /= len(y)
    best = config.frozen_penalties[int(np.argmin(losses))]
    weight, bias = _ridge_path(x, y, (best,), config)[0]
    tried = dict(zip(config.frozen_penalties, losses.tolist(), strict=True))
    return LinearHead(weight=weight, bias=bias, penalty=best, inner_loss=tried)


def frozen_network(task: FoldTask, head: LinearHead) -> nn.Module:
    """The fixed trunk with a fitted head: a network like any other."""
    with steady_torch(epoch_seed(task.config, 0, START)):
        network = _trunk(task.config)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight)[None])
        network.head.bias.fill_(head.bias)
    return network


def _trunk(config: TrainConfig) -> nn.Module:
    network = build(
        config.architecture, n_classes=1, in_channels=config.in_channels, weights=config.weights
    )
    return network.to(memory_format=torch.channels_last)


def _ridge_path(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    penalties: tuple[float, ...],
    config: TrainConfig,
) -> list[tuple[NDArray[np.float64], float]]:
    """Ridge logistic fits on standardised features, told in the features' own units.

    A feature is divided by its spread, but never by less than the median spread: one that is zero
    in all but a few images would otherwise answer a new image with tens of standard deviations.

    The ridge does not notice a rotation, so the fit runs in the at most n directions in which
    the n images differ.
    """
    centre, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1 / np.maximum(spread, max(float(np.median(spread)), _LEAST_SPREAD))
    left, singular, right = np.linalg.svd((x - centre) * scale, full_matrices=False)
    weights = (1.0, 1.0) if config.class_weights == "none" else balanced_weights(y)
    fits = []
    for penalty in penalties:
        model = LogisticRegression(
            C=1 / penalty, solver="newton-cholesky", class_weight=dict(enumerate(weights))
        ).fit(left * singular, y)
        weight = (model.coef_[0] @ right) * scale
        shift = np.log(weights[1] / weights[0])
        fits.append((weight, float(model.intercept_[0] - centre @ weight - shift)))
    return fits


def _log_loss(logit: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    return float(np.logaddexp(0, np.where(y == 1, -logit, logit)).sum())
