"""A run knows the file its training started from, not only the file's path."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dl._training.frozen import feature_table
from dl.checkpoint import save_weights, weights_identity
from dl.config import TrainConfig
from dl.crossval import cross_validate
from dl.errors import CheckpointError, ResumeError
from dl.predict import predict
from dl.registry import build
from dl.run_folder import open_run
from tests.dl.worlds import tiny_config, write_world


def write_start(path: Path, seed: int) -> str:
    """A checkpoint of the tiny network; returns its hash."""
    torch.manual_seed(seed)
    network = build("tiny", n_classes=1, in_channels=1)
    return save_weights(path, network, architecture="tiny", facts={})


@pytest.fixture
def start(tmp_path: Path) -> Path:
    write_start(tmp_path / "start.safetensors", seed=1)
    return tmp_path / "start.safetensors"


def config_from(start: Path, **values: object) -> TrainConfig:
    return tiny_config(weights=str(start), epochs=1, **values)


def test_the_identity_of_a_start(start: Path, tmp_path: Path):
    assert weights_identity(None) == "None"
    assert weights_identity("imagenet") == "imagenet"
    assert weights_identity(start) == write_start(tmp_path / "again.safetensors", seed=1)
    assert weights_identity(start) != write_start(tmp_path / "other.safetensors", seed=2)
    with pytest.raises(CheckpointError, match="the weights file is absent"):
        weights_identity(tmp_path / "none.safetensors")


@pytest.mark.parametrize("route", ["finetune", "frozen"])
def test_another_file_under_the_same_path_is_another_run(tmp_path: Path, start: Path, route):
    study, run_dir = write_world(tmp_path / "images"), tmp_path / "run"
    config = config_from(start, route=route)
    table = cross_validate(study, config, run_dir=run_dir, n_jobs=1)
    assert open_run(run_dir).identity["weights"] == weights_identity(start)
    again = cross_validate(study, config, run_dir=run_dir, n_jobs=1)
    assert again.equals(table)
    write_start(start, seed=2)
    with pytest.raises(
        ResumeError, match=r"weights: .*start\.safetensors is another file than then"
    ):
        cross_validate(study, config, run_dir=run_dir, n_jobs=1)


def test_a_finished_run_predicts_without_the_file_it_started_from(tmp_path: Path, start: Path):
    study, run_dir = write_world(tmp_path / "images"), tmp_path / "run"
    cross_validate(study, config_from(start), run_dir=run_dir, n_jobs=1)
    start.unlink()
    other = write_world(tmp_path / "others", seed=9, prefix="X", n=4)
    assert len(predict(run_dir, other)) == len(other)


def test_a_run_without_such_a_file_is_known_as_before(tmp_path: Path):
    study, run_dir = write_world(tmp_path / "images"), tmp_path / "run"
    cross_validate(study, tiny_config(epochs=1), run_dir=run_dir, n_jobs=1)
    identity = json.loads((run_dir / "run.json").read_text("utf-8"))["identity"]
    assert set(identity) == {"config", "data", "splits"}


def test_features_of_another_start_are_not_taken_from_the_cache(tmp_path: Path, start: Path):
    pixels = np.random.default_rng(1).integers(0, 256, (5, 2, 1, 32, 32), dtype=np.uint8)
    np.save(tmp_path / "views.npy", pixels)
    config = config_from(start, route="frozen")
    first = feature_table(config, tmp_path / "views.npy")
    np.testing.assert_array_equal(feature_table(config, tmp_path / "views.npy"), first)
    write_start(start, seed=2)
    assert (feature_table(config, tmp_path / "views.npy") != first).any()
