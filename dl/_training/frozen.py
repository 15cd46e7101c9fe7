"""The frozen route: fixed features, and a ridge logistic head whose penalty is tuned inside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from torch import nn

from dl._networks.stacked import network_of
from dl._training.fold import START, FoldTask, epoch_seed
from dl.checkpoint import weights_identity
from dl.config import TrainConfig
from dl.errors import ConfigError
from dl.inference import features, steady_torch
from dl.losses import balanced_weights
from dl.storage import atomic_path
from usstats.splits import make_folds

__all__ = ["LinearHead", "feature_table", "fit_head", "frozen_network", "head_logits"]

INNER_FOLDS = 5
_LEAST_SPREAD = 1e-12
_MOST_STEPS = 10_000


@dataclass(frozen=True, kw_only=True)
class LinearHead:
    """logits = features @ weight + bias, and how its penalty was chosen.

    Attributes
    ----------
    weight : (n_features,) float, or (n_features, K) of K declared classes
    bias : float, or (K,) float
    penalty : float
        Chosen among those tried, by the inner folds' log-loss.
    inner_loss : dict
        Penalty -> mean log-loss on the inner folds.
    """

    weight: NDArray[np.float64]
    bias: float | NDArray[np.float64]
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

    Raises
    ------
    ConfigError
        The network has no features to fit a head on.
    """
    key = hashlib.sha256(
        f"{views_file.name}|{config.architecture}|{weights_identity(config.weights)}|"
        f"{config.flip_views}|{config.tta}|{json.dumps(config.options, sort_keys=True)}|"
        f"{config.seed if config.weights is None else ''}".encode()
    ).hexdigest()[:24]
    path = views_file.with_name(f"features-{key}.npy")
    if not path.is_file():
        views = np.load(views_file, mmap_mode="r", allow_pickle=False)
        with steady_torch(epoch_seed(config, 0, START)):
            network = _trunk(config)
            rows = np.arange(len(views))
            shown = {"flip": config.flip_views, "tta": config.tta}
            table = features(network, views, rows, **shown, report=report)
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

    Two classes are fitted by ridge logistic regression, several by its multinomial form.

    Parameters
    ----------
    x : (n, n_features) float
    y, groups : (n,) int
        Outcome, or position of the class, and patient.
    config : TrainConfig
    seed : int
        Of the inner folds.

    Raises
    ------
    ResampleError
        A class has fewer than two patients.
    """
    n_classes = config.n_classes
    patients_of_class = [len(np.unique(groups[y == level])) for level in range(n_classes)]
    n_folds = max(2, min(INNER_FOLDS, *patients_of_class))
    inner = make_folds(y, groups, n_folds=n_folds, seed=seed, n_classes=n_classes).assignment
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
    weight, bias = torch.from_numpy(head.weight), torch.as_tensor(head.bias)
    with torch.no_grad():
        network.head.weight.copy_(weight.T if weight.ndim > 1 else weight[None])
        network.head.bias.copy_(bias.expand(len(network.head.bias)))
    return network


def head_logits(network: nn.Module, table: NDArray[np.float64]) -> NDArray[np.float64]:
    """What a network's head answers to features, (n,) or (n, K), in double precision."""
    weight = network.head.weight.detach().double().numpy()
    bias = network.head.bias.detach().double().numpy()
    if len(weight) == 1:
        return table @ weight[0] + float(bias[0])
    return table @ weight.T + bias


def _trunk(config: TrainConfig) -> nn.Module:
    network = network_of(config, weights=config.weights)
    if not hasattr(network, "features"):
        msg = f'The route "frozen" needs pooled features, and {config.architecture!r} has none.'
        raise ConfigError(msg)
    return network.to(memory_format=torch.channels_last)


def _ridge_path(
    x: NDArray[np.float64],
    y: NDArray[np.int64],
    penalties: tuple[float, ...],
    config: TrainConfig,
) -> list[tuple[NDArray[np.float64], Any]]:
    """Ridge logistic fits on standardised features, told in the features' own units.

    A feature is divided by its spread, but never by less than the median spread: one that is zero
    in all but a few images would otherwise answer a new image with tens of standard deviations.

    The ridge does not notice a rotation, so the fit runs in the at most n directions in which
    the n images differ. Several declared classes have a softmax, and a column of weights each.
    """
    centre, spread = x.mean(axis=0), x.std(axis=0)
    scale = 1 / np.maximum(spread, max(float(np.median(spread)), _LEAST_SPREAD))
    left, singular, right = np.linalg.svd((x - centre) * scale, full_matrices=False)
    weights = (1.0,) * config.n_classes
    if config.class_weights == "balanced":
        weights = balanced_weights(y, n_classes=config.n_classes)
    shift = np.log(weights) if len(weights) > 2 else np.log(weights[1] / weights[0])
    fits = []
    for penalty in penalties:
        slopes, intercepts = _ridge_fit(left * singular, y, penalty, weights)
        own = (slopes @ right) * scale
        fits.append(_as_declared(own, intercepts - own @ centre - shift, config))
    return fits


def _as_declared(
    slopes: NDArray[np.float64], bias: NDArray[np.float64], config: TrainConfig
) -> tuple[NDArray[np.float64], Any]:
    """One logit of the event, or a column a declared class; two classes share it evenly."""
    if config.classes is None:
        return slopes[0], float(bias[0])
    if len(slopes) == 1:
        slopes, bias = np.vstack([-slopes, slopes]) / 2, np.hstack([-bias, bias]) / 2
    return slopes.T, bias


def _ridge_fit(
    x: NDArray[np.float64], y: NDArray[np.int64], penalty: float, weights: tuple[float, ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slopes (1, n_features) or (K, n_features), and intercepts, of one weighted fit."""
    several = len(weights) > 2
    solver = {"solver": "lbfgs", "tol": 1e-6} if several else {"solver": "newton-cholesky"}
    model = LogisticRegression(
        C=1 / penalty, class_weight=dict(enumerate(weights)), max_iter=_MOST_STEPS, **solver
    ).fit(x, y)
    return model.coef_, model.intercept_


def _log_loss(logit: NDArray[np.float64], y: NDArray[np.int64]) -> float:
    if logit.ndim == 1:
        return float(np.logaddexp(0, np.where(y == 1, -logit, logit)).sum())
    return float(-log_softmax(logit, axis=1)[np.arange(len(y)), y].sum())
