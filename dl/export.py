"""Networks and runs as ONNX files, each compared with torch before it is kept.

`dl.onnx_network` runs the files, without torch.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dl._networks.run_network import RunNetwork, run_network
from dl.errors import ExportError
from dl.fingerprint import sha256_file
from dl.onnx_network import FACTS_KEY, OnnxNetwork, package
from dl.predict import ENSEMBLE_RULE
from dl.prepare import Preparation
from dl.run_folder import Run, open_run
from dl.storage import atomic_path
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["OnnxFile", "OnnxNetwork", "export_onnx"]

OPSET = 18
#: Largest difference of an output, relative to its largest value where that is above 1.
TOLERANCE = 1e-4
INPUTS = ("image", "gray", "doppler", "mask")
PAIR = ("gray", "doppler")
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
    outputs : tuple of str
        Of a network: logits, mask, or both. Of a run, behind them: members, the logits of every
        fold's network (N, M, K); evidence, see `dl.onnx_network.OnnxPrediction`.
    max_difference : float
        Of an output, between onnxruntime and torch on random images, relative to its largest
        value where that is above 1.
    facts : dict
        Kept inside the file too.
    """

    path: Path
    sha256: str
    inputs: dict[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    max_difference: float
    facts: dict[str, Any]


def export_onnx(
    source: nn.Module | str | Path,
    path: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    in_channels: int = 3,
    inputs: Sequence[str] | None = None,
    dynamic_batch: bool = True,
) -> OnnxFile:
    """Write a network, or all fold networks of a run as one, to an ONNX file.

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
        What the network's `forward` takes, in its order; by default gray and Doppler image of a
        network of two, else the image. A run has one input whatever it takes, "image", with the
        channels of its `preparation` stacked; blocks of zeros are missing.
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

    Examples
    --------
    >>> import tempfile
    >>> from dl.registry import build
    >>> network = build("mobilenet_v2", n_classes=1, in_channels=1)
    >>> with tempfile.TemporaryDirectory() as folder:  # doctest: +SKIP
    ...     export_onnx(network, Path(folder) / "network.onnx", size=64, in_channels=1).outputs
    ('logits',)
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        package(name)
    network, shapes, facts = _resolve(source, size, in_channels, inputs)
    target = Path(path)
    if target.suffix != ".onnx":
        msg = f"`path` must end in .onnx; got {target.name!r}."
        raise ArgumentError(msg)
    network.eval()
    outputs = _outputs(network, shapes)
    program = _convert(network, shapes, outputs, dynamic_batch=dynamic_batch)
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
        outputs=outputs,
        max_difference=difference,
        facts=facts,
    )


def _resolve(
    source: nn.Module | str | Path,
    size: int | tuple[int, int] | None,
    in_channels: int,
    inputs: Sequence[str] | None,
) -> tuple[nn.Module, dict[str, tuple[int, ...]], dict[str, Any]]:
    """The module to convert, the shape of each of its inputs, and what to say of it."""
    if not isinstance(source, nn.Module):
        run = open_run(source)
        shape = Preparation.of(run.config).shape[1:]
        return run_network(run), {"image": shape}, _run_facts(run)
    if size is None:
        msg = "`size` is needed: the height and width of the images the network will see."
        raise ArgumentError(msg)
    height, width = (size, size) if isinstance(size, int) else size
    shapes = {}
    for name in _taken(source) if inputs is None else inputs:
        check_option(name, INPUTS, name="inputs")
        shapes[name] = (1 if name in ("gray", "mask") else in_channels, height, width)
    return source, shapes, {}


def _taken(network: nn.Module) -> tuple[str, ...]:
    names = inspect.signature(network.forward).parameters
    return PAIR if set(PAIR) <= set(names) else ("image",)


def _run_facts(run: Run) -> dict[str, Any]:
    """What a caller must know to turn images into the run's predictions."""
    config = run.config
    facts = {
        "model": config.name,
        "class": config.positive,
        "classes": None if config.classes is None else list(config.classes),
        "architecture": config.architecture,
        "model_hash": run.ensemble_hash,
        "rule": ENSEMBLE_RULE,
        "preparation": asdict(Preparation.of(config)),
        "flip_views": config.flip_views,
        "tta": list(config.tta),
    }
    if (run.folder / "calibration.json").is_file():
        facts["calibration"] = run.calibration.overall.to_dict()
    return json.loads(json.dumps(facts))


def _outputs(network: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, ...]:
    """Names of what the network returns, seen from one answer."""
    if isinstance(network, RunNetwork):
        return network.outputs
    with torch.no_grad():
        answer = network(**_random_images(network, shapes, 1, seed=0))
    answers = answer if isinstance(answer, tuple) else (answer,)
    names = tuple("logits" if each.ndim == 2 else "mask" for each in answers)
    return (
        names if len(set(names)) == len(names) else tuple(f"{n}_{i}" for i, n in enumerate(names))
    )


def _convert(
    network: nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    outputs: Sequence[str],
    *,
    dynamic_batch: bool,
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
                output_names=list(outputs),
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
    """Of all outputs for random images; refused above `TOLERANCE`."""
    images = _random_images(network, shapes, count, seed=count)
    with torch.no_grad():
        expected = network(**images)
    try:
        answers = OnnxNetwork(path).run(*(image.numpy() for image in images.values()))
    except ArgumentError as error:
        msg = f"The ONNX file does not take {count} images: {error} It was not kept."
        raise ExportError(msg) from None
    tensors = expected if isinstance(expected, tuple) else (expected,)
    pairs = zip(tensors, answers.values(), strict=True)
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
