"""An exported network at work: pictures in, calibrated probabilities out, without torch."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dl._reading.pictures import Pictures
from dl.calibrators import Calibrator, Uncalibrated, calibrator_from_dict, class_log_odds
from dl.errors import CheckpointError, MaskError
from dl.geometry import check_pixels, grow_box, roi_box
from dl.images import read_image, read_mask
from dl.onnx_prediction import OnnxPrediction, unboxed
from dl.prepare import Preparation
from usstats.errors import ArgumentError

__all__ = ["FACTS_KEY", "OnnxNetwork", "OnnxPrediction", "package"]

#: Where an ONNX file keeps what is known of its network.
FACTS_KEY = "usstats"
#: What a network answers, in this order; a file may hold further outputs behind them.
TASKS = ("logits", "mask")
Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]
#: A file or its pixels; of a region also a box.
Picture = str | Path | ArrayLike


class OnnxNetwork:
    """A network in onnxruntime; neither torch nor a run folder is needed.

    Parameters
    ----------
    path : path
        Written by `dl.export.export_onnx`.
    threads : int

    Attributes
    ----------
    inputs, outputs : list of str
    facts : dict
        What is known of the network: of a run, its model name, class or classes, architecture,
        model_hash, calibration, rule and preparation.

    Raises
    ------
    CheckpointError
        No such file, or not an ONNX file.
    ArgumentError
        onnxruntime is not installed.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self._runtime = runtime = package("onnxruntime")
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
        self.path = Path(path)
        self.inputs = [item.name for item in self._session.get_inputs()]
        self.outputs = [item.name for item in self._session.get_outputs()]
        stored = self._session.get_modelmeta().custom_metadata_map.get(FACTS_KEY, "{}")
        try:
            self.facts: dict[str, Any] = json.loads(stored)
        except ValueError:
            msg = f"{path}: what it says of its run is damaged. Export the run again."
            raise CheckpointError(msg) from None

    @property
    def classes(self) -> tuple[str, ...]:
        """The event alone, or all classes."""
        names = self._fact("classes")
        return (str(self._fact("class")),) if names is None else tuple(names)

    @property
    def calibrator(self) -> Calibrator:
        """Of a run, that for patients of other cohorts."""
        stored = self.facts.get("calibration")
        return Uncalibrated() if stored is None else calibrator_from_dict(stored)

    @property
    def preparation(self) -> Preparation:
        """How a picture becomes what the network sees."""
        stored = dict(self._fact("preparation"))
        return Preparation(**{k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()})

    def predict(
        self,
        image: Picture,
        *,
        roi: Picture | None = None,
        doppler: Picture | None = None,
        doppler_roi: Picture | None = None,
        gate: Picture | None = None,
    ) -> OnnxPrediction:
        """Everything the networks of a run say of one picture, or of a pair.

        Parameters
        ----------
        image : path, or (H, W) or (H, W, 3) uint8
            A file of any kind `dl.images.read_image` takes, or pixels; of a pair the gray image.
        roi : path of a mask, (H, W) mask, or (left, top, right, bottom) in pixels, optional
            Needed where the network looks at a region (`preparation.region == "roi"`).
        doppler, doppler_roi : as `image` and `roi`, optional
            Of a network that takes one; without a region of its own, that of the gray image.
        gate : path or (H, W) uint8, optional
            An outline, 255 inside, for a network that has gates.

        Returns
        -------
        OnnxPrediction

        Raises
        ------
        ImageError, MaskError
            The picture cannot be read; a region is needed, or does not lie inside it.
        ArgumentError
            The file holds no run, or its network gives no class.
        """
        pixels, region = _pixels(image), _region(roi)
        flow = None if doppler is None else _pixels(doppler)
        pictures = Pictures(
            image=pixels,
            region=region,
            doppler=flow,
            doppler_region=_doppler_region(doppler_roi, region, pixels, flow),
            gate=None if gate is None else _pixels(gate),
        )
        views = self.preparation.compose(pictures)
        answers = self.run(views.astype(np.float32) / 255)
        if "members" not in answers:
            msg = f"{self.path.name}: the network gives no class; use `outline`."
            raise ArgumentError(msg)
        return self._prediction(answers, pixels.shape[:2], region)

    def probability(self, image: Picture, **more: Picture | None) -> float | Floats:
        """Calibrated probability of the event, or of every class, (K,).

        Arguments are those of `predict`.
        """
        found = self.predict(image, **more).probability_calibrated
        return float(found[0]) if len(found) == 1 else found

    def outline(self, image: Picture) -> NDArray[np.float32]:
        """Probability that a pixel belongs to the region, (H, W), by a network that segments.

        Raises
        ------
        ArgumentError
            The network does not segment.
        """
        if "mask" not in self.outputs:
            msg = f"{self.path.name}: the network does not segment; use `predict`."
            raise ArgumentError(msg)
        pixels = _pixels(image)
        x = self.preparation.views(pixels, None).astype(np.float32) / 255
        p = 1 / (1 + np.exp(-self.run(x)["mask"][0, 0]))
        height, width = pixels.shape[:2]
        return unboxed(p, (0, 0, width, height), len(p))

    def run(self, *images: ArrayLike) -> dict[str, NDArray[np.float32]]:
        """All outputs by name, of (N, C, H, W) images in [0, 1], one array for each input.

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
        return dict(zip(self.outputs, answers, strict=True))

    def __call__(self, *images: ArrayLike) -> NDArray[np.float32] | tuple[NDArray[Any], ...]:
        """Logits of (N, C, H, W) images; a tuple of class and mask logits of two tasks."""
        answers = self.run(*images)
        tasks = tuple(answers[name] for name in TASKS if name in answers)
        return tasks[0] if len(tasks) == 1 else tasks

    def _prediction(
        self,
        answers: dict[str, NDArray[np.float32]],
        shape: tuple[int, ...],
        region: NDArray[Any] | None,
    ) -> OnnxPrediction:
        preparation, calibrator = self.preparation, self.calibrator
        members = answers["members"].astype(float).mean(axis=0)
        binary = self.facts.get("classes") is None
        mean = members.mean(axis=0)
        if binary:
            logit, members_calibrated = mean, calibrator.apply(members[:, 0])[:, None]
            calibrated, raw = calibrator.apply(mean), Uncalibrated().apply(mean)
        else:
            logit, members_calibrated = class_log_odds(mean[None])[0], calibrator.apply(members)
            calibrated = calibrator.apply(mean[None])[0]
            raw = Uncalibrated().apply(mean[None])[0]
        view = len(preparation.margins) // 2
        evidence = answers.get("evidence")
        return OnnxPrediction(
            classes=self.classes,
            logit=logit,
            probability=raw,
            probability_calibrated=calibrated,
            members=members_calibrated,
            evidence=None if evidence is None else evidence[view],
            box=_seen_box(preparation, shape, region, view),
            shape=(shape[0], shape[1]),
            input_size=preparation.input_size,
            model=str(self._fact("model")),
            model_hash=str(self._fact("model_hash")),
        )

    def _fact(self, name: str) -> Any:
        if name not in self.facts:
            msg = (
                f"{self.path.name} does not say its {name}: it holds a network alone. Export the "
                "run folder to predict pictures; arrays go through `run`."
            )
            raise ArgumentError(msg)
        return self.facts[name]


def package(name: str) -> ModuleType:
    """A package that ONNX files need.

    Raises
    ------
    ArgumentError
        It is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        msg = f"ONNX files need the package {name}, which is not installed. Install usstats[onnx]."
        raise ArgumentError(msg) from None


def _state(runtime: ModuleType) -> Any:
    """Where onnxruntime keeps its kinds of error."""
    return runtime.capi.onnxruntime_pybind11_state


def _pixels(image: Picture) -> NDArray[np.uint8]:
    if isinstance(image, str | Path):
        return read_image(image)
    return check_pixels(image)


def _region(roi: Picture | None) -> NDArray[Any] | None:
    if roi is None:
        return None
    return read_mask(roi) if isinstance(roi, str | Path) else np.asarray(roi)


def _doppler_region(
    roi: Picture | None,
    region: NDArray[Any] | None,
    image: NDArray[np.uint8],
    doppler: NDArray[np.uint8] | None,
) -> NDArray[Any] | None:
    """Its own, or the gray image's where both pictures are of one size."""
    own = _region(roi)
    if own is not None or region is None or doppler is None:
        return own
    if doppler.shape[:2] != image.shape[:2]:
        msg = "The Doppler image has another size than the gray image; give `doppler_roi` as well."
        raise MaskError(msg)
    return region


def _seen_box(
    preparation: Preparation, shape: tuple[int, ...], region: NDArray[Any] | None, view: int
) -> Box:
    if preparation.region == "whole" or region is None:
        return 0, 0, shape[1], shape[0]
    return grow_box(roi_box(region, shape), shape, margin=preparation.margins[view])
