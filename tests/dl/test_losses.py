"""Losses take logits; smoothing and weights against their written-out definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from dl.losses import balanced_weights, binary_cross_entropy

LOGIT = torch.tensor([-3.0, -0.5, 0.0, 1.5, 40.0, -40.0], dtype=torch.float64)
TARGET = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.7, 2.5)])
def test_cross_entropy_is_its_definition(weights, smoothing):
    p = 1 / (1 + np.exp(-LOGIT.numpy()))
    target = TARGET.numpy() * (1 - smoothing) + smoothing / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = [
            sum(t * np.log(q) for t, q in ((y, risk), (1 - y, 1 - risk)) if t > 0)
            for y, risk in zip(target[:4], p[:4], strict=True)
        ]
    w = np.where(TARGET.numpy()[:4] == 1, weights[1], weights[0])
    got = binary_cross_entropy(LOGIT[:4], TARGET[:4], weights=weights, label_smoothing=smoothing)
    assert got.item() == pytest.approx(-np.mean(w * terms), rel=1e-12)


def test_extreme_logits_stay_finite():
    assert binary_cross_entropy(-LOGIT[4:] * 100, TARGET[4:]).item() == pytest.approx(4000)


def test_the_best_constant_logit_answers_the_weighted_odds():
    """Weights multiply the odds by w1 / w0, which is what is shifted back after training."""
    y = torch.tensor([1.0] * 3 + [0.0] * 9, dtype=torch.float64)
    low, high = weights = balanced_weights(y.numpy())

    def loss(b: float) -> float:
        logit = torch.full((12,), b, dtype=torch.float64)
        return binary_cross_entropy(logit, y, weights=weights).item()

    best = minimize_scalar(loss, bracket=(-2, 2), tol=1e-9).x
    assert best - np.log(high / low) == pytest.approx(np.log(3 / 9), abs=1e-6)


def test_balanced_weights_keep_the_number_of_cases():
    low, high = balanced_weights([0] * 30 + [1] * 10)
    assert (30 * low, 10 * high) == pytest.approx((20, 20))
