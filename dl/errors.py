"""Classed errors and warnings of the image floor; it loads no torch."""

from __future__ import annotations

from usstats.errors import FitError, SchemaError, UsstatsError, UsstatsWarning

__all__ = [
    "CheckpointError",
    "ConfigError",
    "ExportError",
    "ImageError",
    "ImageWarning",
    "InsensitiveMapWarning",
    "MaskError",
    "OversizeError",
    "ResumeError",
    "RunLockedError",
    "TrainingError",
]


class ImageError(SchemaError):
    """An image file cannot be read, or is not of a kind that is accepted."""


class OversizeError(ImageError):
    """The header announces more pixels than are decoded."""


class MaskError(ImageError):
    """A mask or box does not describe a region of its image."""


class ConfigError(SchemaError):
    """A training configuration has an unknown key or an impossible value."""


class CheckpointError(SchemaError):
    """A checkpoint is damaged, or belongs to another network."""


class ExportError(UsstatsError):
    """A network cannot be written as ONNX, or the file computes something else."""


class ResumeError(UsstatsError):
    """A run folder holds a run made from other settings, data or folds."""


class RunLockedError(UsstatsError):
    """Another process is working in the run folder."""


class TrainingError(FitError):
    """The loss is no longer a finite number."""


class ImageWarning(UsstatsWarning):
    """An image was accepted, but a person should look at it."""


class InsensitiveMapWarning(UsstatsWarning):
    """An evidence map that hardly depends on the network's weights."""
