"""A checkpoint is opened whole, by the network it belongs to, or not at all."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from dl._training.optimisation import Learner
from dl._training.training_state import STATE, TrainingState, latest_state
from dl.checkpoint import load_weights, model_hash, read_tensors, save_weights, write_tensors
from dl.errors import CheckpointError, ResumeError
from dl.registry import build
from tests.dl.worlds import tiny_config


def network(seed: int = 0, **options):
    torch.manual_seed(seed)
    return build("tiny", **({"n_classes": 1, "in_channels": 1} | options))


@pytest.fixture
def saved(tmp_path) -> Path:
    path = tmp_path / "weights.safetensors"
    save_weights(path, network(), architecture="tiny", facts={"fold": 3})
    return path


def rewrite(path: Path, **facts) -> None:
    described = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(described | facts))


def test_weights_come_back_bit_for_bit_with_what_was_said(saved):
    other = network(seed=1)
    facts = load_weights(other, saved, architecture="tiny")
    own = network().state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in other.state_dict().items())
    assert facts["fold"] == 3
    assert len(model_hash(facts["sha256"])) == 16
    assert sorted(p.name for p in saved.parent.iterdir()) == [
        "weights.json",
        "weights.safetensors",
    ]


def test_equal_weights_give_equal_bytes(tmp_path):
    digests = [write_tensors(tmp_path / name, network().state_dict()) for name in "ab"]
    assert digests[0] == digests[1]
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert write_tensors(tmp_path / "c", network(seed=1).state_dict()) != digests[0]


@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_flipped_bit_is_refused(saved, where):
    content = bytearray(saved.read_bytes())
    content[{"first": 0, "middle": len(content) // 2, "last": -1}[where]] ^= 1
    saved.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: .*damaged or was replaced"):
        load_weights(network(), saved, architecture="tiny")


@pytest.mark.parametrize("size", [0, 10, -1])
def test_a_truncated_file_is_refused(saved, size):
    saved.write_bytes(saved.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="damaged or was replaced"):
        load_weights(network(), saved, architecture="tiny")


def test_another_architecture_is_refused(saved):
    with pytest.raises(CheckpointError, match=r"holds the weights of 'tiny'; .*'resnet18'"):
        build("resnet18", n_classes=1, in_channels=1, weights=saved)


@pytest.mark.parametrize("options", [{"n_classes": 2}, {"in_channels": 3}])
def test_another_head_or_input_is_refused(saved, options):
    with pytest.raises(CheckpointError, match=r"(1|2) tensors are absent, unknown or of another"):
        load_weights(network(**options), saved, architecture="tiny")


@pytest.mark.parametrize("change", ["missing", "extra", "half", "nan"])
def test_wrong_tensors_are_refused_and_the_network_stays(tmp_path, change):
    tensors = dict(network().state_dict())
    if change == "missing":
        del tensors["head.bias"]
    elif change == "extra":
        tensors["head.more"] = torch.zeros(1)
    elif change == "half":
        tensors["head.bias"] = tensors["head.bias"].half()
    else:
        tensors["head.bias"] = torch.tensor([float("nan")])
    path = tmp_path / "w.safetensors"
    save_weights(path, network(), architecture="tiny", facts={})
    rewrite(path, sha256=write_tensors(path, tensors))
    other = network(seed=1)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    reason = "NaN or infinity" if change == "nan" else r"head\.(bias|more)"
    with pytest.raises(CheckpointError, match=reason):
        load_weights(other, path, architecture="tiny")
    assert all(torch.equal(before[name], t) for name, t in other.state_dict().items())


class Payload:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.pkl", "w.safetensors"])
def test_a_pickle_never_runs(tmp_path, name):
    target, path = tmp_path / "it-ran", tmp_path / name
    payload = pickle.dumps({"head.bias": Payload(target)})
    path.write_bytes(payload)
    save_weights(tmp_path / "real.safetensors", network(), architecture="tiny", facts={})
    shutil.copy(tmp_path / "real.json", path.with_suffix(".json"))
    from dl.fingerprint import sha256_file

    rewrite(path, sha256=sha256_file(path))
    with pytest.raises(CheckpointError, match="ickled"):
        build("tiny", n_classes=1, in_channels=1, weights=path)
    assert not target.exists()
    pickle.loads(payload)  # noqa: S301 - shows that the payload works
    assert target.exists()


@pytest.mark.parametrize("content", [None, "{", "[1]", '{"format": "other"}'])
def test_a_checkpoint_without_its_description_is_refused(saved, content):
    description = saved.with_suffix(".json")
    if content is None:
        description.unlink()
    else:
        description.write_text(content)
    with pytest.raises(CheckpointError, match="JSON"):
        load_weights(network(), saved, architecture="tiny")


def test_an_absent_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: .*absent"):
        build("tiny", n_classes=1, in_channels=1, weights=tmp_path / "none.safetensors")
    with pytest.raises(CheckpointError, match="absent"):
        read_tensors(tmp_path / "none.safetensors", "0" * 64)


# --- the state of a fold in training ---------------------------------------------------------


def learner(seed: int, steps: int = 0, **options) -> Learner:
    one = Learner(network(seed), tiny_config(epochs=9, **options))
    for step in range(steps):
        one_step(one, step)
    return one


def one_step(one: Learner, step: int) -> None:
    one.network.train()
    x = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(step))
    assert one.step(one.answer(x).square().mean(), 0.0)


def finish_epoch(state: TrainingState, one: Learner, tuning_loss: float) -> None:
    state.add({"tuning_loss": tuning_loss}, one.config)
    state.write(one)


OPTIONS = (
    {},
    {"optimiser": "adam", "ema": 0.9},
    {"optimiser": "sgd", "momentum": 0.5},
    {"optimiser": "sgd", "momentum": 0.0, "precision": "bfloat16"},
)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_next_step_after_a_restored_state_gives_the_same_bits(tmp_path, options):
    own, other = learner(0, steps=3, **options), learner(1, **options)
    finish_epoch(TrainingState(tmp_path, {"config": "a"}), own, 1.0)
    state = latest_state(tmp_path, other, {"config": "a"})
    assert (state.epoch, state.best_epoch) == (1, 1)
    for one in (own, other):
        torch.manual_seed(5)
        one_step(one, 9)
    left, right = own.tensors(), other.tensors()
    assert set(left) == set(right)
    assert all(torch.equal(left[name], right[name]) for name in left)


def test_only_the_last_and_the_best_epoch_are_kept(tmp_path):
    own, state, heads = learner(0, steps=1), TrainingState(tmp_path, {}), []
    for loss in (0.9, 0.4, 0.6, 0.5):
        one_step(own, 1)
        heads.append(own.network.head.bias.detach().clone())
        finish_epoch(state, own, loss)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "best-0002.safetensors",
        "last-0004.safetensors",
        "log.jsonl",
        "state.json",
    ]
    other = network(3)
    state.load_best(other)
    assert torch.equal(other.head.bias, heads[1])
    state.forget()
    assert [p.name for p in tmp_path.iterdir()] == ["log.jsonl"]


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(tmp_path):
    own = learner(0, steps=1)
    finish_epoch(TrainingState(tmp_path, {"config": "a"}), own, 1.0)
    with pytest.raises(ResumeError, match=r"state\.json belongs to other settings"):
        latest_state(tmp_path, own, {"config": "b"})
    with pytest.raises(CheckpointError, match="do not fit"):
        latest_state(tmp_path, learner(0, ema=0.5), {"config": "a"})
    file = tmp_path / "last-0001.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="damaged"):
        latest_state(tmp_path, own, {"config": "a"})
    (tmp_path / STATE).write_text("[]")
    with pytest.raises(ResumeError, match=r"state\.json"):
        latest_state(tmp_path, own, {"config": "a"})
