"""Every network as ONNX gives torch's logits, in one file, for any number of images."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from dl import export, registry
from dl.errors import CheckpointError, ExportError
from dl.export import OnnxNetwork, export_onnx
from dl.registry import build
from usstats.errors import ArgumentError

SIDE = 32


def small_network(in_channels: int = 1) -> nn.Module:
    torch.manual_seed(1)
    return build("tiny", n_classes=2, in_channels=in_channels)


def example(name: str, count: int, *, side: int = SIDE) -> list[torch.Tensor]:
    """Images for each input of a network, in its order."""
    generator = torch.Generator().manual_seed(count)
    channels = {"gray": 1, "image": 3, "doppler": 3}
    return [
        torch.rand(count, channels[part], side, side, generator=generator)
        for part in registry.entry(name).inputs
    ]


@pytest.fixture(scope="module")
def onnx() -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)


def check_network(name: str, path: Path, *, side: int) -> None:
    torch.manual_seed(2)
    network = build(name, n_classes=3)
    written = export_onnx(network, path, size=side, inputs=registry.entry(name).inputs)
    assert written.max_difference < 1e-4
    runner = OnnxNetwork(path)
    for count in (1, 5):
        images = example(name, count, side=side)
        with torch.no_grad():
            expected = network(*images)
        found = runner(*images)
        pairs = zip(
            expected if isinstance(expected, tuple) else (expected,),
            found if isinstance(found, tuple) else (found,),
            strict=True,
        )
        for torch_logits, onnx_logits in pairs:
            scale = max(1.0, float(torch_logits.abs().max()))
            assert np.abs(torch_logits.numpy() - onnx_logits).max() < 1e-4 * scale


@pytest.mark.usefixtures("onnx")
def test_a_network_gives_the_same_logits_in_onnxruntime(tmp_path: Path):
    check_network("tiny", tmp_path / "network.onnx", side=64)


@pytest.mark.slow
@pytest.mark.usefixtures("onnx")
@pytest.mark.parametrize("name", registry.names())
def test_every_network_gives_the_same_logits_in_onnxruntime(tmp_path: Path, name):
    check_network(name, tmp_path / "network.onnx", side=64)


@pytest.mark.usefixtures("onnx")
def test_one_image_at_a_time(tmp_path: Path):
    path = tmp_path / "one.onnx"
    written = export_onnx(small_network(), path, size=(32, 48), in_channels=1, dynamic_batch=False)
    assert written.inputs == {"image": (1, 1, 32, 48)}
    runner = OnnxNetwork(path)
    assert runner(np.zeros((1, 1, 32, 48))).shape == (1, 2)
    with pytest.raises(ArgumentError, match=r"takes .*\[1, 1, 32, 48\].*got \[\(2, 1, 32, 48\)\]"):
        runner(np.zeros((2, 1, 32, 48)))
    with pytest.raises(ArgumentError, match="takes image; got 2 arrays"):
        runner(np.zeros((1, 1, 32, 48)), np.zeros((1, 1, 32, 48)))


class Counts(nn.Module):
    """Its answer depends on how many images there are, which tracing fixes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.weight * x.mean(dim=(2, 3)) * int(x.shape[0])


@pytest.mark.usefixtures("onnx")
def test_a_file_that_computes_something_else_is_not_kept(tmp_path: Path, monkeypatch):
    path = tmp_path / "x.onnx"
    path.write_text("what was here before")
    with pytest.raises(ExportError, match=r"cannot write Counts|does not take 1 images"):
        export_onnx(Counts(), path, size=SIDE)
    monkeypatch.setattr(export, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"logits up to .* away from torch's.*not kept"):
        export_onnx(small_network(), path, size=SIDE, in_channels=1)
    assert path.read_text() == "what was here before"
    assert [item.name for item in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.usefixtures("onnx")
def test_what_is_no_onnx_file_is_refused(tmp_path: Path):
    (tmp_path / "text.onnx").write_text("text")
    export_onnx(small_network(), tmp_path / "cut.onnx", size=SIDE, in_channels=1)
    whole = (tmp_path / "cut.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    for name in ("text.onnx", "cut.onnx"):
        with pytest.raises(CheckpointError, match="not an ONNX file, or a truncated one"):
            OnnxNetwork(tmp_path / name)
    with pytest.raises(CheckpointError, match="the ONNX file is absent"):
        OnnxNetwork(tmp_path / "none.onnx")


@pytest.mark.usefixtures("onnx")
def test_impossible_arguments_are_refused(tmp_path: Path):
    with pytest.raises(ArgumentError, match="`size` is needed"):
        export_onnx(small_network(), tmp_path / "x.onnx", in_channels=1)
    with pytest.raises(ArgumentError, match=r"`path` must end in .onnx; got 'x.pt'"):
        export_onnx(small_network(), tmp_path / "x.pt", size=SIDE, in_channels=1)
    with pytest.raises(ArgumentError, match="`inputs` must be one of 'image'"):
        export_onnx(small_network(), tmp_path / "x.onnx", size=SIDE, inputs=["sound"])


def test_without_the_packages_the_error_says_so(monkeypatch, tmp_path: Path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ArgumentError, match=r"need the package onnx, .*Install usstats\[onnx\]"):
        export_onnx(small_network(), tmp_path / "x.onnx", size=SIDE, in_channels=1)


def test_a_network_of_two_images_is_written_with_both(onnx, tmp_path):
    small = {"dim": 16, "heads": 2, "depth": 1, "channels": [4, 4, 8, 8, 16], "scales": [1.0]}
    network = build("dual_aspp", n_classes=1, **small)
    written = export_onnx(network, tmp_path / "pair.onnx", size=32)
    assert written.inputs == {"gray": (None, 1, 32, 32), "doppler": (None, 3, 32, 32)}
