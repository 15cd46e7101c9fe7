"""Every option of training: it changes the weights, never sees held-out labels, and resumes."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import dl._training.objective
from dl._networks.stacked import network_of
from dl._training.objective import Objective
from dl._training.optimisation import Learner, WeightAverage, new_optimiser
from dl._training.schedules import share
from dl._training.training_state import TrainingState
from dl.crossval import cross_validate
from dl.errors import ConfigError, TrainingError
from dl.losses import UncertaintyWeights, dice_cross_entropy
from dl.registry import build
from dl.run_folder import open_run
from dl.storage import read_json
from tests.dl.worlds import altered, tiny_config, write_world
from usstats.splits import make_folds

REPOSITORY = Path(__file__).parents[2]
BOTH = {
    "architecture": "multitask_unet",
    "options": {"encoder": "tiny", "widths": [8, 8]},
    "flip_views": False,
}
OPTIONS = {
    "sgd": {"optimiser": "sgd", "momentum": 0.8, "schedule": "step", "step_epochs": 1},
    "adam": {"optimiser": "adam", "schedule": "one_cycle"},
    "ema": {"ema": 0.9},
    "patience": {"patience": 1, "epochs": 6, "lr": 0.2},
    "bfloat16": {"precision": "bfloat16"},
    "uncertainty": {"task_weights": "uncertainty"} | BOTH,
}


def weights_of(run_dir: Path) -> list[bytes]:
    return [file.read_bytes() for file in sorted(run_dir.glob("folds/*/weights.safetensors"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("options"), n=12)


# --- held-out labels -------------------------------------------------------------------------


def randomised(study, rows: np.ndarray) -> np.ndarray:
    """Labels of these rows dealt out anew among their patients, the others as they are."""
    label, patients = study.labels(), study.patients
    own = dict(zip(patients[rows], label[rows], strict=True))
    dealt = np.random.default_rng(4).permutation(list(own.values()))
    new = dict(zip(own, dealt, strict=True))
    assert new != own
    return np.array([new.get(patient, old) for patient, old in zip(patients, label, strict=True)])


@pytest.mark.parametrize("name", OPTIONS)
def test_random_held_out_labels_leave_the_weights_alone(world, tmp_path, name):
    short = {"folds": 2, "epochs": 2, "batch_size": 3}
    config = tiny_config(**(short | OPTIONS[name]))
    plain = tiny_config(**(short | (BOTH if name == "uncertainty" else {})))
    splits = make_folds(world.labels(), world.patients, n_folds=2, seed=1)
    turned = altered(world, label=randomised(world, splits.assignment == 0))
    runs = [(world, config), (turned, config), (world, plain)]
    for i, (study, settings) in enumerate(runs):
        cross_validate(study, settings, run_dir=tmp_path / str(i), splits=splits, n_jobs=1)
    own, other, without = (weights_of(tmp_path / str(i)) for i in range(3))
    assert own[0] == other[0]
    assert own[1] != other[1], "labels of the training part must matter"
    assert name == "patience" or own[0] != without[0], "the option must do something"


# --- schedules -------------------------------------------------------------------------------


def torch_rates(make, steps: int) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make(optimiser)
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize(
    ("values", "make"),
    [
        ({"schedule": "cosine"}, lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        ({"schedule": "constant"}, lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
        (
            {"schedule": "step", "step_epochs": 7, "step_factor": 0.5},
            lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5),
        ),
        ({"schedule": "step"}, lambda o: torch.optim.lr_scheduler.StepLR(o, 6, 0.1)),
        (
            {"schedule": "one_cycle"},
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, 1.0, total_steps=21, pct_start=7 / 21, cycle_momentum=False
            ),
        ),
    ],
)
def test_schedules_are_those_of_torch(values, make):
    config = tiny_config(epochs=20, warmup_epochs=0.0, **values)
    own = [share(float(epoch), config) for epoch in range(20)]
    np.testing.assert_allclose(own, torch_rates(make, 20), rtol=1e-12)


def test_the_learning_rate_warms_up_then_falls_to_zero():
    config = tiny_config(epochs=10, warmup_epochs=2.0, schedule="cosine")
    found = np.array([share(t, config) for t in np.linspace(0, 10, 101)])
    assert (np.diff(found[:20]) > 0).all()
    assert (np.diff(found[20:]) < 0).all()
    assert (found[20], found[60]) == pytest.approx((1.0, 0.5))
    assert found[-1] == pytest.approx(0, abs=1e-12)
    constant = config.changed(schedule="constant")
    assert all(share(t, constant) == 1 for t in np.linspace(2, 10, 11))


# --- optimisers and the moving average -------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({}, torch.optim.AdamW),
        ({"optimiser": "adam"}, torch.optim.Adam),
        ({"optimiser": "sgd", "momentum": 0.5}, torch.optim.SGD),
    ],
)
def test_only_weights_decay_and_what_is_new_learns_faster(values, kind):
    config = tiny_config(weight_decay=0.3, **values)
    network = build("tiny", n_classes=1, in_channels=1)
    weights = UncertaintyWeights()
    optimiser = new_optimiser(network, config, list(weights.parameters()))
    assert type(optimiser) is kind
    names = {id(p): name for name, p in network.named_parameters()}
    names[id(weights.log_variance)] = "head.log_variance"
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            assert group["weight_decay"] == (0.3 if parameter.ndim > 1 else 0)
            assert group["peak_lr"] == (0.1 if name.startswith("head") else 0.02)
        assert group.get("momentum", 0.5) == 0.5
    assert not names


DUAL = {
    "architecture": "dual_aspp",
    "options": {"dim": 32, "channels": [8, 8, 16, 16, 32]},
    "input_size": 64,
}


def test_a_network_of_two_images_learns_and_is_averaged_like_any_other():
    config = tiny_config(**DUAL, ema=0.5)
    network = network_of(config)
    learner = Learner(network, config)
    peaks = {id(p): g["peak_lr"] for g in learner.optimiser.param_groups for p in g["params"]}
    new = getattr(network, "new_parts", ("head",))
    for name, parameter in network.network.named_parameters():
        assert peaks[id(parameter)] == (0.1 if name.partition(".")[0] in new else 0.02)
    x, labels = torch.rand(4, 5, 64, 64), torch.tensor([0, 1, 0, 1])
    x[0, 1:4] = 0
    objective = Objective.of(config, labels.numpy())
    assert learner.step(objective.loss(learner.answer(x), labels), 0.0)
    other = Learner(network_of(config), config)
    other.restore(learner.tensors(), "here")
    assert all(torch.equal(a, other.tensors()[name]) for name, a in learner.tensors().items())
    assert set(learner.predictor.state_dict()) == set(network.state_dict())


def test_the_average_is_the_weighted_sum_of_all_steps():
    network = nn.Linear(1, 1, bias=False)
    seen = [network.weight.item()]
    average = WeightAverage(network, decay=0.6)
    for step in range(1, 12):
        network.weight.data.fill_(float(step) ** 1.5)
        average.update(network)
        seen.append(network.weight.item())
    decays = [min(0.6, (1 + t) / (10 + t)) for t in range(1, 12)]
    shares = [math.prod(decays)]
    shares += [(1 - d) * math.prod(decays[i + 1 :]) for i, d in enumerate(decays)]
    assert sum(shares) == pytest.approx(1)
    assert average.network.weight.item() == pytest.approx(np.dot(shares, seen), rel=1e-5)
    assert not average.network.weight.requires_grad


def test_predictions_and_tuning_use_the_average(world, tmp_path, monkeypatch):
    learners = []
    original = TrainingState.write

    def watch(self, learner):
        learners.append(learner)
        original(self, learner)

    monkeypatch.setattr(TrainingState, "write", watch)
    config = tiny_config(folds=2, epochs=1, ema=0.5)
    cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    saved, learner = open_run(tmp_path / "run").network(1).state_dict(), learners[-1]
    average, last = learner.predictor.state_dict(), learner.network.state_dict()
    assert all(torch.equal(saved[name], average[name]) for name in saved)
    assert any(not torch.equal(saved[name], last[name]) for name in saved)
    assert learner.average.steps == len(learners) // 2


# --- early stopping --------------------------------------------------------------------------


def test_training_stops_when_patience_runs_out_and_keeps_the_best(world, tmp_path):
    settings = {"folds": 2, "epochs": 12, "lr": 0.3, "head_lr": 0.5, "schedule": "constant"}
    whole = tiny_config(**settings)
    for name, config in (("whole", whole), ("early", whole.changed(patience=2))):
        cross_validate(world, config, run_dir=tmp_path / name, n_jobs=1)
    for fold in range(2):
        early, all_epochs = (
            read_json(tmp_path / name / f"folds/{fold}/fold.json") for name in ("early", "whole")
        )
        losses = [record["tuning_loss"] for record in all_epochs["history"]]
        waits = np.arange(12) - [int(np.argmin(losses[: i + 1])) for i in range(12)]
        expected = int(np.argmax(waits >= 2)) + 1
        assert early["stopped_epoch"] == expected < 12
        assert [r["tuning_loss"] for r in early["history"]] == losses[:expected]
        assert early["best_epoch"] == expected - 2
        assert all_epochs["stopped_epoch"] is None


# --- tasks -----------------------------------------------------------------------------------


def test_learned_task_weights_move_and_stay_out_of_the_network():
    config = tiny_config(task_weights="uncertainty", **BOTH)
    objective = Objective.of(config, np.array([0, 1]))
    network = build("multitask_unet", n_classes=1, in_channels=1, encoder="tiny", widths=[8, 8])
    learner = Learner(network, config, extra=objective.task_weights)
    x, masks = torch.rand(4, 1, 32, 32), torch.randint(0, 2, (4, 32, 32))
    labels = torch.tensor([0, 1, 0, 1])
    answer = learner.answer(x)
    loss = objective.loss(answer, labels, masks)
    by_hand = objective.of_classes(answer[0], labels) + dice_cross_entropy(answer[1], masks)
    torch.testing.assert_close(loss, by_hand)  # exp(0) = 1 and 0 / 2 = 0 at the start
    assert learner.step(loss, 0.0)
    assert (objective.task_weights.log_variance != 0).all()
    assert "extra/log_variance" in learner.tensors()
    assert not any("log_variance" in name for name in network.state_dict())


def test_task_weights_need_two_tasks(world, tmp_path):
    config = tiny_config(task_weights="uncertainty")
    with pytest.raises(ConfigError, match=r"class against mask, and 'tiny' has one task only"):
        cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)


# --- numbers that are not finite -------------------------------------------------------------


@pytest.mark.parametrize("name", ["sgd", "ema", "bfloat16", "uncertainty"])
def test_nan_loss_stops_and_the_run_goes_on_from_the_last_good_epoch(
    world, tmp_path, monkeypatch, name
):
    config = tiny_config(**({"folds": 2, "epochs": 2} | OPTIONS[name]))
    original, seen = dl._training.objective.Objective.of_classes, []

    def poisoned(self, logits, labels):
        seen.append(1)
        loss = original(self, logits, labels)
        return loss * float("nan") if len(seen) == 2 else loss

    monkeypatch.setattr(dl._training.objective.Objective, "of_classes", poisoned)
    with pytest.raises(TrainingError, match=r"Fold 0, epoch [12]: .* image rows \d+(, \d+)*\."):
        cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    monkeypatch.undo()
    for folder in ("run", "whole"):
        cross_validate(world, config, run_dir=tmp_path / folder, n_jobs=1)
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


class _Overflow(torch.autograd.Function):
    """A finite loss whose gradient is not: what a float16 gradient above 65,504 becomes."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return torch.full_like(gradient, math.inf)


def test_an_overflow_in_float16_is_skipped_but_not_for_ever():
    config = tiny_config(device="auto", precision="float16", ema=0.9)
    learner = Learner(build("tiny", n_classes=1, in_channels=1), config)
    weights = [p.detach().clone() for p in learner.network.parameters()]

    def loss() -> torch.Tensor:
        return _Overflow.apply(learner.network.head.weight).sum()

    answers = []
    while learner.step(loss(), 0.0):
        answers.append(learner.scaler.get_scale())
        assert len(answers) < 20
    assert answers == [2.0**power for power in range(15, -1, -1)]
    now = learner.network.parameters()
    assert all(torch.equal(a, b) for a, b in zip(weights, now, strict=True))
    assert learner.average.steps == 0
    own, other = learner.tensors(), Learner(build("tiny", n_classes=1, in_channels=1), config)
    other.restore(own, "here")
    assert other.scaler.get_scale() == 1.0
    nan = learner.network.head.weight.sum() * float("nan")
    assert not other.step(nan, 0.0)


# --- killed and resumed ----------------------------------------------------------------------

KILLED = """
import json, sys
from pathlib import Path
from dl.crossval import cross_validate
from tests.dl.worlds import tiny_config, write_world
study = write_world(Path(sys.argv[1]), n=12)
cross_validate(study, tiny_config(**json.loads(sys.argv[3])), run_dir=sys.argv[2], n_jobs=1)
"""
FRAGILE = {
    "optimiser": "sgd",
    "schedule": "one_cycle",
    "ema": 0.95,
    "patience": 6,
    "folds": 2,
    "epochs": 25,
    "lr": 0.05,
}


def killed_after(seconds: float, root: Path, run_dir: Path) -> bool:
    """Start the run, wait for its first epoch, and kill it; whether it was still at work."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", KILLED, str(root), str(run_dir), json.dumps(FRAGILE)],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    limit = time.monotonic() + 60
    while not (run_dir / "folds/0/state.json").is_file() and time.monotonic() < limit:
        time.sleep(0.005)
    time.sleep(seconds)
    os.kill(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def check_kills(root: Path, tmp_path: Path, waits: list[float]) -> None:
    study, config = write_world(root, n=12), tiny_config(**FRAGILE)
    whole = cross_validate(study, config, run_dir=tmp_path / "whole", n_jobs=1)
    run_dir = tmp_path / "parts"
    for wait in waits:
        killed_after(wait, root, run_dir)
    resumed = cross_validate(study, config, run_dir=run_dir, n_jobs=1)
    pd.testing.assert_frame_equal(resumed, whole)
    assert weights_of(run_dir) == weights_of(tmp_path / "whole")


def test_a_killed_run_with_every_option_ends_with_the_same_bits(tmp_path):
    check_kills(tmp_path / "images", tmp_path, [0.1])


@pytest.mark.slow
def test_twenty_kills_at_random_moments(tmp_path):
    waits = np.random.default_rng(11).uniform(0, 0.4, 20).tolist()
    check_kills(tmp_path / "images", tmp_path, waits)


@pytest.mark.parametrize("n", [1, 4, 9])
def test_an_interrupted_run_ends_with_the_same_bits(world, tmp_path, monkeypatch, n):
    config = tiny_config(**(FRAGILE | {"epochs": 8}))
    original, seen = TrainingState.write, []

    def interrupted(self, learner):
        original(self, learner)
        seen.append(1)
        if len(seen) == n:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingState, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(world, config, run_dir=tmp_path / "parts", n_jobs=1)
    monkeypatch.undo()
    for folder in ("parts", "whole"):
        cross_validate(world, config, run_dir=tmp_path / folder, n_jobs=1)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
