"""Networks as ONNX files, each compared with torch before it is kept, and run by onnxruntime."""

from __future__ import annotations

import importlib
import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from dl.errors import CheckpointError, ExportError
from dl.fingerprint import sha256_file
from dl.predict import ENSEMBLE_RULE
from dl.run_folder import Run, open_run
from dl.storage import atomic_path
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["FoldMean", "OnnxFile", "OnnxNetwork", "export_onnx"]

OPSET = 18
#: Largest difference of a logit, relative to the largest logit where that is above 1.
TOLERANCE = 1e-4
INPUTS = ("image", "gray", "doppler", "mask")
FACTS_KEY = "usstats"
#: Two, because torch takes an axis of one for one that never changes; three to see that it may.
_EXAMPLE, _OTHER_BATCH = 2, 3


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """What was written.

    Attributes
    ----------
    path : Path
    sha256 : str
    inputs : dict
        Name -> shape (None: any number), in the order of the network's arguments.
    max_difference : float
        Of a logit, between onnxruntime and torch on random images, relative to the largest logit
        where that is above 1.
    facts : dict
        Kept inside the file too.
    """

    path: Path
    sha256: str
    inputs: dict[str, tuple[int | None, ...]]
    max_difference: float
    facts: dict[str, Any]


class FoldMean(nn.Module):
    """Mean logit over the networks of a run's folds and, with `flip`, over both mirror images."""

    def __init__(self, networks: Sequence[nn.Module], *, flip: bool) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)
        self.flip = flip

    def forward(self, x: Tensor) -> Tensor:
        views = (x, x.flip(-1)) if self.flip else (x,)
        return torch.stack([net(view) for net in self.networks for view in views]).mean(dim=0)


def export_onnx(
    source: nn.Module | str | Path,
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    in_channels: int = 3,
    inputs: Sequence[str] = ("image",),
    dynamic_batch: bool = True,
) -> OnnxFile:
    """Write a network, or the mean logit over a run's fold networks, as one ONNX file.

    Parameters
    ----------
    source : Module or path
        A network of `dl.registry.build`, or the folder of a finished run.
    path : path
        Ending in .onnx; replaced only by a file that passed.
    size : int or (height, width)
        Of the input in pixels. Of a run, the size it was trained at.
    in_channels : int
        Of image or Doppler; gray and mask have one. Of a run, as it was trained.
    inputs : sequence of {"image", "gray", "doppler", "mask"}
        What the network's `forward` takes, in its order.
    dynamic_batch : bool
        Any number of images at once; else one.

    Returns
    -------
    OnnxFile

    Raises
    ------
    ArgumentError
        onnx, onnxscript or onnxruntime is not installed, or an argument is impossible.
    ExportError
        torch cannot express the network in ONNX, or onnxruntime computes something else.
    CheckpointError, ResumeError
        The run is damaged or not finished.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        _package(package)
    network, shapes, facts = _resolve(source, size, in_channels, inputs)
    target = Path(path)
    if target.suffix != ".onnx":
        msg = f"`path` must end in .onnx; got {target.name!r}."
        raise ArgumentError(msg)
    network.eval()
    program = _convert(network, shapes, dynamic_batch=dynamic_batch)
    program.model.metadata_props[FACTS_KEY] = json.dumps(facts, sort_keys=True)
    with atomic_path(target) as temporary:
        program.save(temporary)
        batches = (1, _OTHER_BATCH) if dynamic_batch else (1,)
        difference = max(_difference(network, temporary, shapes, n) for n in batches)
        digest = sha256_file(temporary)
    batch = None if dynamic_batch else 1
    return OnnxFile(
        path=target,
        sha256=digest,
        inputs={name: (batch, *shape) for name, shape in shapes.items()},
        max_difference=difference,
        facts=facts,
    )


class OnnxNetwork:
    """A network in onnxruntime: arrays in [0, 1] in, logits out, without torch.

    Parameters
    ----------
    path : path
        Written by `export_onnx`.
    threads : int

    Attributes
    ----------
    inputs : list of str
    facts : dict
        What is known of the network: of a run, its name, class, model hash and temperature.

    Raises
    ------
    CheckpointError
        No such file, or not an ONNX file.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self._runtime = runtime = _package("onnxruntime")
        if not Path(path).is_file():
            msg = f"{path}: the ONNX file is absent."
            raise CheckpointError(msg)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        state = _state(runtime)
        try:
            self._session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except (state.InvalidProtobuf, state.InvalidGraph, state.Fail, state.InvalidArgument):
            msg = f"{path}: not an ONNX file, or a truncated one."
            raise CheckpointError(msg) from None
        self.inputs = [item.name for item in self._session.get_inputs()]
        stored = self._session.get_modelmeta().custom_metadata_map.get(FACTS_KEY, "{}")
        self.facts: dict[str, Any] = json.loads(stored)

    def __call__(self, *images: ArrayLike) -> NDArray[np.float32] | tuple[NDArray[Any], ...]:
        """Logits of (N, C, H, W) images, one array for each input; a tuple of several tasks.

        Raises
        ------
        ArgumentError
            Another number of inputs, or other shapes, than the network takes.
        """
        if len(images) != len(self.inputs):
            msg = f"The network takes {', '.join(self.inputs)}; got {len(images)} arrays."
            raise ArgumentError(msg)
        arrays = (np.ascontiguousarray(image, dtype=np.float32) for image in images)
        try:
            answers = self._session.run(None, dict(zip(self.inputs, arrays, strict=True)))
        except _state(self._runtime).InvalidArgument:
            shapes = {item.name: item.shape for item in self._session.get_inputs()}
            msg = f"The network takes {shapes}; got {[np.shape(image) for image in images]}."
            raise ArgumentError(msg) from None
        return answers[0] if len(answers) == 1 else tuple(answers)


def _state(runtime: ModuleType) -> Any:
    """Where onnxruntime keeps its kinds of error."""
    return runtime.capi.onnxruntime_pybind11_state


def _resolve(
    source: nn.Module | str | Path,
    size: int | tuple[int, int] | None,
    in_channels: int,
    inputs: Sequence[str],
) -> tuple[nn.Module, dict[str, tuple[int, ...]], dict[str, Any]]:
    """The module to convert, the shape of each of its inputs, and what to say of it."""
    facts: dict[str, Any] = {}
    if not isinstance(source, nn.Module):
        run = open_run(source)
        network, facts = _whole_run(run), _run_facts(run)
        size, in_channels, inputs = run.config.input_size, run.config.in_channels, ("image",)
    else:
        network = source
    if size is None:
        msg = "`size` is needed: the height and width of the images the network will see."
        raise ArgumentError(msg)
    height, width = (size, size) if isinstance(size, int) else size
    shapes = {}
    for name in inputs:
        check_option(name, INPUTS, name="inputs")
        shapes[name] = (1 if name in ("gray", "mask") else in_channels, height, width)
    return network, shapes, facts


def _whole_run(run: Run) -> nn.Module:
    networks = [run.network(fold) for fold in range(run.folds.n_folds)]
    return FoldMean(networks, flip=run.config.flip_views)


def _run_facts(run: Run) -> dict[str, Any]:
    """What a caller must know to turn images into the run's predictions."""
    config = run.config
    return {
        "model": config.name,
        "class": config.positive,
        "architecture": config.architecture,
        "model_hash": run.ensemble_hash,
        "temperature": run.temperatures.overall,
        "rule": ENSEMBLE_RULE,
        "colour": config.colour,
        "input_size": config.input_size,
        "region": config.region,
        "margins": list(config.margins),
    }


def _convert(
    network: nn.Module, shapes: Mapping[str, tuple[int, ...]], *, dynamic_batch: bool
) -> Any:
    example = _random_images(network, shapes, _EXAMPLE if dynamic_batch else 1, seed=0)
    batch = torch.export.Dim("batch", min=1, max=65_536)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own parts
        try:
            return torch.onnx.export(
                network,
                args=(),
                kwargs=example,
                input_names=list(shapes),
                dynamic_shapes={name: {0: batch} for name in example} if dynamic_batch else None,
                dynamo=True,
                opset_version=OPSET,
                verbose=False,
            )
        except (torch.onnx.OnnxExporterError, RuntimeError) as error:
            reason = (str(error.__cause__ or error).strip() or repr(error)).splitlines()[0]
            msg = f"torch cannot write {type(network).__name__} as ONNX: {reason}"
            raise ExportError(msg) from error


def _difference(
    network: nn.Module, path: Path, shapes: Mapping[str, tuple[int, ...]], count: int
) -> float:
    """Of the logits of random images; refused above `TOLERANCE`."""
    images = _random_images(network, shapes, count, seed=count)
    with torch.no_grad():
        expected = network(**images)
    try:
        answers = OnnxNetwork(path)(*(image.numpy() for image in images.values()))
    except ArgumentError as error:
        msg = f"The ONNX file does not take {count} images: {error} It was not kept."
        raise ExportError(msg) from None
    pairs = zip(
        expected if isinstance(expected, tuple) else (expected,),
        answers if isinstance(answers, tuple) else (answers,),
        strict=True,
    )
    largest = max(_relative(a.numpy(), b) for a, b in pairs)
    if not largest < TOLERANCE:
        msg = (
            f"onnxruntime answers {count} random images with logits up to {largest:.2g} away from "
            f"torch's, more than {TOLERANCE:g}. The file was not kept."
        )
        raise ExportError(msg)
    return largest


def _relative(expected: NDArray[Any], found: NDArray[Any]) -> float:
    if expected.shape != found.shape:
        return float("inf")
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(expected - found).max(initial=0)) / scale


def _random_images(
    network: nn.Module, shapes: Mapping[str, tuple[int, ...]], count: int, *, seed: int
) -> dict[str, Tensor]:
    """Under the names of the arguments of `forward`; an image is the first, whatever its name."""
    names = list(inspect.signature(network.forward).parameters)
    generator = torch.Generator().manual_seed(seed)
    return {
        name if name in names else names[0]: torch.rand(count, *shape, generator=generator)
        for name, shape in shapes.items()
    }


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        msg = f"ONNX files need the package {name}, which is not installed. Install usstats[onnx]."
        raise ArgumentError(msg) from None
