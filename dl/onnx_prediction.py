"""What an exported network says of one picture; it loads no torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from dl.geometry import letterbox_box
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = ["OnnxPrediction", "unboxed"]

Floats = NDArray[np.float64]
Box = tuple[int, int, int, int]


@dataclass(frozen=True, kw_only=True, repr=False)
class OnnxPrediction:
    """What a run's networks say of one picture.

    Attributes
    ----------
    classes : tuple of str
        The event alone, or all K classes.
    logit, probability : (K,) float
        Log-odds of each class and the one sigmoid or softmax, as in the predictions table.
    probability_calibrated : (K,) float
    members : (n_members, K) float
        Calibrated probability by each fold's network alone.
    evidence : (K, h, w) float or None
        How much each place of the last feature map adds to a class's logit (class activation map,
        Zhou et al. 2016): the mean over the places, plus a constant of the network, is the logit.
        None for a network whose logits are not a linear function of such a map.
    box : (left, top, right, bottom)
        The part of the picture the network saw.
    shape : (height, width)
        Of the picture.
    input_size : int
    model, model_hash : str
    """

    classes: tuple[str, ...]
    logit: Floats
    probability: Floats
    probability_calibrated: Floats
    members: Floats
    evidence: NDArray[np.float32] | None
    box: Box
    shape: tuple[int, int]
    input_size: int
    model: str
    model_hash: str

    @property
    def low(self) -> Floats:
        """Smallest calibrated probability among the fold networks, (K,)."""
        return self.members.min(axis=0)

    @property
    def high(self) -> Floats:
        """Largest calibrated probability among the fold networks, (K,)."""
        return self.members.max(axis=0)

    def heat(self, name: str | None = None) -> NDArray[np.float32]:
        """Evidence for a class over the picture's own pixels, (height, width), 0 to 1.

        Parameters
        ----------
        name : str, optional
            One of `classes`; by default the event, or the likeliest class.

        Raises
        ------
        ArgumentError
            Another name, or a network without such a map.
        """
        if self.evidence is None:
            msg = f"The network {self.model!r} gives no evidence map: its head is not linear."
            raise ArgumentError(msg)
        index = int(self.probability_calibrated.argmax())
        if name is not None:
            check_option(name, self.classes, name="name")
            index = self.classes.index(name)
        return _over_picture(self.evidence[index], self.box, self.shape, self.input_size)

    def frame(self) -> pd.DataFrame:
        """One row a class: model, class, logit, probability, probability_calibrated, the range
        over the fold networks (low, high; how much they differ, not a confidence interval),
        n_members, model_hash."""
        return pd.DataFrame(
            {
                "model": self.model,
                "class": list(self.classes),
                "logit": self.logit,
                "probability": self.probability,
                "probability_calibrated": self.probability_calibrated,
                "low": self.low,
                "high": self.high,
                "n_members": len(self.members),
                "model_hash": self.model_hash,
            }
        )

    def __repr__(self) -> str:
        told = ", ".join(
            f"{name} {p:.3f} ({low:.3f} to {high:.3f})"
            for name, p, low, high in zip(
                self.classes, self.probability_calibrated, self.low, self.high, strict=True
            )
        )
        return (
            f"<Prediction by {self.model} {self.model_hash}: {told}; calibrated, range over "
            f"{len(self.members)} fold networks; unit: image>"
        )


def _over_picture(
    evidence: NDArray[np.float32], box: Box, shape: tuple[int, int], size: int
) -> NDArray[np.float32]:
    """Evidence above 0 on the picture's pixels, the largest 1; 0 outside the box."""
    heat = np.maximum(np.asarray(evidence, dtype=np.float32), 0)
    left, top, right, bottom = box
    over = np.zeros(shape, dtype=np.float32)
    over[top:bottom, left:right] = unboxed(_resized(heat, (size, size)), box, size)
    largest = over.max()
    return over / largest if largest > 0 else over


def unboxed(square: NDArray[np.float32], box: Box, size: int) -> NDArray[np.float32]:
    """A letterboxed square back on the pixels of the box it was made from."""
    width, height = box[2] - box[0], box[3] - box[1]
    left, top, right, bottom = letterbox_box((height, width), size)
    return _resized(square[top:bottom, left:right], (height, width))


def _resized(values: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    picture = Image.fromarray(np.ascontiguousarray(values, dtype=np.float32))
    return np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))
