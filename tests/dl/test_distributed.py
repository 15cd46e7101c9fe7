"""Two processes that torchrun starts give the weights that one gives, and die together."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dl._training.fold import FoldTask
from dl._training.world import World, training_device
from dl.checkpoint import read_tensors
from dl.config import TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.distributed import main
from dl.errors import ConfigError, TrainingError
from tests.dl.worlds import tiny_config, write_world

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """
import os, sys
import dl._training.fold, dl.train
from dl.distributed import main
from tests.dl import worlds  # registers the tiny network

original = dl.train._train_epoch
def mortal(learner, objective, task, views, epoch):
    if "DIES" in os.environ and learner.world.rank == 1 and (task.fold, epoch) == (1, 1):
        os._exit(9)
    return original(learner, objective, task, views, epoch)
dl.train._train_epoch = mortal
main()
"""


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)} | changes


def torchrun(script: Path, *arguments: str, **changes: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(  # noqa: S603 - our own interpreter
        [*command, "--standalone", str(script), *arguments],
        cwd=REPOSITORY,
        env=environment(**changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


def two_processes(script: Path, *arguments: str) -> list[tuple[int, str]]:
    """What torchrun does, without its own start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    started = [
        subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, str(script), *arguments],
            cwd=REPOSITORY,
            env=environment(**known, RANK=rank, LOCAL_RANK=rank),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=120)[1] for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.fixture
def script(tmp_path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def weights_of(run_dir: Path, fold: int) -> dict[str, torch.Tensor]:
    record = json.loads((run_dir / f"folds/{fold}/fold.json").read_text())
    return read_tensors(run_dir / f"folds/{fold}/weights.safetensors", record["weights_sha256"])


def written(folder: Path, config, study) -> list[str]:
    (folder / "config.json").write_text(config.to_json())
    study.images.to_csv(study.root / "images.csv", index=False)
    return [str(folder / "config.json"), str(study.root / "images.csv")]


def compare(one: Path, two: Path, **tolerance: float) -> None:
    for fold in range(2):
        left, right = weights_of(one, fold), weights_of(two, fold)
        assert set(left) == set(right)
        for name, tensor in left.items():
            torch.testing.assert_close(right[name], tensor, **tolerance)


CONFIG = {"optimiser": "sgd", "dropout": 0.0, "folds": 2, "batch_size": 7, "lr": 0.01}


def test_two_processes_give_the_weights_of_one(tmp_path, script):
    """Uneven batches, batch normalisation, momentum, a moving average and clipping among them."""
    study = write_world(tmp_path / "images", n=18)
    config = tiny_config(**CONFIG, ema=0.9, head_lr=0.02)
    alone = cross_validate(study, config, run_dir=tmp_path / "one", n_jobs=1)
    files, two = written(tmp_path, config, study), tmp_path / "two"
    for code, said in two_processes(script, *files, "--run-dir", str(two)):
        assert code == 0, said[-2000:]
    compare(tmp_path / "one", two, atol=1e-6, rtol=1e-5)
    record = json.loads((two / "folds/0/log.jsonl").read_text().splitlines()[0])
    assert record["processes"] == 2
    again = cross_validate(study, config, run_dir=two, n_jobs=1)
    np.testing.assert_allclose(again["logit"], alone["logit"], atol=1e-5)


@pytest.mark.slow
def test_processes_die_together_and_go_on(tmp_path, script):
    """Masks and labels that some images lack, and learned weights of the two tasks."""
    study = write_world(tmp_path / "images", n=18)
    table = study.images.assign(label=study.images["label"].astype("Int64"))
    table.loc[::5, "label"] = pd.NA
    table.loc[1::4, "mask"] = ""
    study = ImageStudy(images=table, root=study.root)
    options = {"encoder": "tiny", "widths": [8, 8]}
    config = tiny_config(
        **CONFIG, architecture="multitask_unet", options=options, task_weights="uncertainty"
    )
    cross_validate(study, config, run_dir=tmp_path / "one", n_jobs=1)
    files, two = written(tmp_path, config, study), tmp_path / "two"
    died = torchrun(script, *files, "--run-dir", str(two), DIES="1")
    assert died.returncode != 0
    assert not (two / "predictions.csv").exists()
    assert len((two / "folds/1/log.jsonl").read_text().splitlines()) == 1
    finished = torchrun(script, *files, "--run-dir", str(two))
    assert finished.returncode == 0, finished.stderr[-2000:]
    compare(tmp_path / "one", two, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("n", [2, 3, 7, 16])
def test_a_batch_is_dealt_out_whole(n):
    parts = [np.arange(n)[World(rank, 2).part(n)] for rank in range(2)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
    assert 0 <= len(parts[0]) - len(parts[1]) <= 1


def test_more_processes_than_images_in_a_batch_are_refused():
    with pytest.raises(TrainingError, match="4 processes cannot share a batch of 3 images"):
        World(0, 4).part(3)


def test_a_fold_goes_to_another_process_as_json(tmp_path):
    config = tiny_config(policy=([["rotate", 0.5, 5.0]],))
    task = FoldTask(
        config=TrainConfig.from_json(config.to_json()),
        fold=2,
        folder=tmp_path,
        views=tmp_path / "views.npy",
        rows=np.array([0, 2, 3]),
        labels=np.array([0, 1, -1]),
        groups=np.array([5, 6, 7]),
        is_tuning=np.array([True, False, False]),
        held_out_rows=np.array([1]),
        identity={"config": "a"},
        tasks=("classify", "segment"),
        masks=tmp_path / "masks.npy",
    )
    again = FoldTask.from_dict(json.loads(json.dumps(task.to_dict())))
    assert str(again) == str(task)
    assert [again.rows.dtype, again.is_tuning.dtype] == [np.int64, np.bool_]


def test_a_gpu_that_is_not_there_is_missed_before_images_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    study = write_world(tmp_path / "images", n=6)
    (study.root / "P00-0.png").unlink()
    with pytest.raises(ConfigError, match=r'device="cuda": .* has no GPU\. Use device="auto"'):
        cross_validate(study, tiny_config(device="cuda"), run_dir=tmp_path / "run", n_jobs=1)
    assert training_device("auto") == training_device("cpu") == torch.device("cpu")


def test_alone_the_command_just_runs(tmp_path, capsys):
    study = write_world(tmp_path / "images", n=12)
    config = TrainConfig.from_json(tiny_config(folds=2, epochs=1).to_json())
    files = written(tmp_path, config, study)
    main([*files, "--run-dir", str(tmp_path / "run")])
    assert (tmp_path / "run/predictions.csv").is_file()
    assert "training 2/2" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="There is no file"):
        main([str(tmp_path / "absent.json"), files[1], "--run-dir", str(tmp_path / "other")])
