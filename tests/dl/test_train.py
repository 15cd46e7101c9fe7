"""Seeds that never meet, and a learning rate that warms up and falls."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from dl.train import _set_learning_rate, epoch_seed
from tests.dl.worlds import tiny_config


def test_seeds_of_folds_purposes_and_epochs_differ():
    config = tiny_config()
    seeds = [epoch_seed(config, f, p, e) for f in range(4) for p in range(4) for e in range(9)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert epoch_seed(config, 1, 2, 3) == epoch_seed(tiny_config(lr=0.5), 1, 2, 3)
    assert epoch_seed(config, 1, 2, 3) != epoch_seed(tiny_config(seed=8), 1, 2, 3)


def test_learning_rate_warms_up_then_falls_to_zero():
    config = tiny_config(epochs=10, warmup_epochs=2.0, schedule="cosine")
    optimiser = SimpleNamespace(param_groups=[{"peak_lr": 0.1}, {"peak_lr": 1.0}])

    def rates(config) -> np.ndarray:
        found = []
        for progress in np.linspace(0, 10, 101):
            _set_learning_rate(optimiser, config, progress)
            found.append([group["lr"] for group in optimiser.param_groups])
        return np.array(found)

    lr = rates(config)
    np.testing.assert_allclose(lr[:, 1], 10 * lr[:, 0])
    assert (np.diff(lr[:20, 0]) > 0).all()
    assert (np.diff(lr[20:, 0]) < 0).all()
    assert lr[20, 0] == pytest.approx(0.1)
    assert lr[60, 0] == pytest.approx(0.05)
    assert lr[-1, 0] == pytest.approx(0, abs=1e-12)
    assert (rates(config.changed(schedule="constant"))[20:, 0] == 0.1).all()
