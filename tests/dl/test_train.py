"""Seeds that never meet."""

from __future__ import annotations

from dl.train import epoch_seed
from tests.dl.worlds import tiny_config


def test_seeds_of_folds_purposes_and_epochs_differ():
    config = tiny_config()
    seeds = [epoch_seed(config, f, p, e) for f in range(4) for p in range(4) for e in range(9)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert epoch_seed(config, 1, 2, 3) == epoch_seed(tiny_config(lr=0.5), 1, 2, 3)
    assert epoch_seed(config, 1, 2, 3) != epoch_seed(tiny_config(seed=8), 1, 2, 3)
