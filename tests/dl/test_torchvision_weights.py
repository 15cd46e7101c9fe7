"""Files of torchvision go into our networks, which then give torchvision's logits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dl._networks import pretrained
from dl._networks import torchvision_weights as published
from dl.errors import CheckpointError
from dl.fingerprint import sha256_file
from dl.registry import build, entry
from tests.dl import foreign_weights as foreign
from usstats.errors import ArgumentError

REFERENCE = json.loads((Path(__file__).parent / "foreign_logits.json").read_text("utf-8"))
#: Network -> names in torchvision, our name of one, and the file's facts.
NETWORKS = {
    "resnet18": (
        lambda: foreign.resnet_names((2, 2, 2, 2), convolutions=2),
        published.resnet_name,
        published.RESNET18,
    ),
    "resnet50": (
        lambda: foreign.resnet_names((3, 4, 6, 3), convolutions=3),
        published.resnet_name,
        published.RESNET50,
    ),
    "densenet121": (foreign.densenet121_names, published.densenet_name, published.DENSENET121),
    "mobilenet_v2": (
        foreign.mobilenet_v2_names,
        published.mobilenet_v2_name,
        published.MOBILENET_V2,
    ),
    "efficientnet_b0": (
        foreign.efficientnet_b0_names,
        published.efficientnet_b0_name,
        published.EFFICIENTNET_B0,
    ),
}


def shapes_of(name: str) -> dict[str, tuple[int, ...]]:
    """Of torchvision's tensors, from those of ours they become."""
    names, ours, _ = NETWORKS[name]
    with torch.device("meta"):
        own = build(name, n_classes=1000).state_dict()
    return {key: tuple(own[ours(key)].shape) for key in names()}


def tensors_of(name: str) -> dict[str, torch.Tensor]:
    filled = {}
    for key, shape in shapes_of(name).items():
        counts = key.endswith("num_batches_tracked")
        filled[key] = torch.tensor(0) if counts else torch.from_numpy(foreign.values(key, shape))
    return filled


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where weights are looked for."""
    monkeypatch.setenv(pretrained.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(pretrained, "_folders", lambda: [pretrained.weights_folder()])
    return tmp_path


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_names_and_shapes_are_those_of_torchvision(name):
    _, ours, _ = NETWORKS[name]
    shapes = shapes_of(name)
    assert foreign.digest(shapes) == REFERENCE["torchvision"][name]["names"]
    with torch.device("meta"):
        assert set(map(ours, shapes)) == set(build(name, n_classes=1000).state_dict())


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_logits_are_those_of_torchvision(name):
    _, ours, _ = NETWORKS[name]
    network = build(name, n_classes=1000)
    network.load_state_dict({ours(key): tensor for key, tensor in tensors_of(name).items()})
    x = torch.from_numpy(foreign.image(65, 98)).permute(0, 3, 1, 2)
    with torch.no_grad():
        found = network(x)[:, :6].numpy()
    expected = np.array(REFERENCE["torchvision"][name]["logits"])
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_facts_of_a_file_agree_with_its_name(name):
    _, _, file = NETWORKS[name]
    assert file.network == name
    assert len(file.digest) == 64
    assert file.file == f"{file.file.rsplit('-', 1)[0]}-{file.digest[:8]}.pth"
    assert entry(name).origin.endswith("torchvision (BSD)")


def old_names(name: str) -> Callable[[str], str]:
    """DenseNet's file still has the names of the torch it was written by."""
    return lambda key: (
        key.replace("norm1.", "norm.1.")
        .replace("norm2.", "norm.2.")
        .replace("conv1.", "conv.1.")
        .replace("conv2.", "conv.2.")
        if name == "densenet121"
        else key
    )


@pytest.mark.parametrize("name", ["densenet121", "resnet18"])
def test_a_file_is_found_checked_and_loaded_but_for_the_head(folder, monkeypatch, name):
    """As it was written by an old torch, which counted no batches."""
    _, ours, file = NETWORKS[name]
    tensors, old = tensors_of(name), old_names(name)
    kept = {old(key): t for key, t in tensors.items() if "num_batches" not in key}
    torch.save(kept, folder / file.file)
    known = entry(name)
    sha256 = sha256_file(folder / file.file)
    load = published.imagenet_loader(replace(file, digest=sha256), ours)
    monkeypatch.setitem(vars(known), "imagenet", load)
    torch.manual_seed(3)
    network = build(name, n_classes=2, in_channels=1, weights="imagenet")
    state = network.state_dict()
    assert all(
        torch.equal(state[ours(k)], t)
        for k, t in tensors.items()
        if state[ours(k)].ndim > 1 and "head" not in ours(k)
    )
    assert network.head.weight.shape == (2, known.n_features)
    assert not network.head.weight.eq(0).all()
    with pytest.raises(ArgumentError, match=r"take 3 channels or 1; got in_channels=2"):
        build(name, n_classes=2, in_channels=2, weights="imagenet")


def test_absent_weights_say_what_to_fetch_and_where_to_put_it(folder):
    with pytest.raises(CheckpointError) as caught:
        build("resnet50", n_classes=1, weights="imagenet")
    file = published.RESNET50
    for part in (file.url, f"SHA256 {file.digest}", str(folder), file.file, "weights=None"):
        assert part in str(caught.value)


def test_a_changed_file_is_never_opened(folder, monkeypatch):
    (folder / published.RESNET18.file).write_bytes(b"PK\x03\x04 anything")
    monkeypatch.setattr(torch, "load", lambda *a, **k: pytest.fail("opened"))
    with pytest.raises(CheckpointError, match=r"is not the file published for resnet18.*SHA256"):
        build("resnet18", n_classes=1, weights="imagenet")


def test_a_published_file_may_hold_tensors_and_nothing_else(folder):
    """A pickle with code in it is not run even where the hash agrees."""
    harm = folder / "harm"

    class Payload:
        def __reduce__(self):
            return (Path.touch, (harm,))

    path = folder / published.RESNET18.file
    torch.save({"conv1.weight": Payload()}, path)
    file = replace(published.RESNET18, digest=sha256_file(path))
    with pytest.raises(CheckpointError, match="holds more than tensors"):
        file.tensors()
    assert not harm.exists()


def test_a_file_of_another_network_is_refused(folder):
    path = folder / published.RESNET18.file
    torch.save({"features.0.0.weight": torch.zeros(2)}, path)
    file = replace(published.RESNET18, digest=sha256_file(path))
    with pytest.raises(CheckpointError, match="holds tensors of another network than resnet18"):
        published.imagenet_loader(file, published.resnet_name)()


def test_the_folder_of_weights(monkeypatch, tmp_path: Path):
    monkeypatch.delenv(pretrained.FOLDER_VARIABLE, raising=False)
    assert pretrained.weights_folder().parts[-2:] == ("usstats", "weights")
    monkeypatch.setenv(pretrained.FOLDER_VARIABLE, str(tmp_path))
    assert pretrained.weights_folder() == tmp_path
    assert pretrained._folders()[0] == tmp_path
