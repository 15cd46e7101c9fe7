"""Classed errors and warnings: a caller can tell a leak from a typo without reading the text."""

from data_schema.errors import SchemaError, UsstatsError

__all__ = [
    "ArgumentError",
    "CarryOverWarning",
    "DesignError",
    "DirectionWarning",
    "EmptyMaskWarning",
    "ExtrapolationWarning",
    "FailedResamplesWarning",
    "FitError",
    "LeakageError",
    "MissingDataError",
    "MissingGlyphWarning",
    "OptimismWarning",
    "OutcomeError",
    "PairingError",
    "ProbabilityWarning",
    "ResampleError",
    "RiskError",
    "SchemaError",
    "SeparationError",
    "SeparationWarning",
    "ShiftWarning",
    "SmallSampleWarning",
    "UsstatsError",
    "UsstatsWarning",
]


class ArgumentError(UsstatsError):
    """An option is not one of those offered, or a number lies outside its range."""


class OutcomeError(UsstatsError):
    """The outcome is not a 0/1 vector with both classes present."""


class RiskError(UsstatsError):
    """A probability, score or threshold is not finite or not inside its range."""


class PairingError(UsstatsError):
    """Arrays that must describe the same cases do not have the same length or labels."""


class LeakageError(UsstatsError):
    """A value was made with knowledge of the outcome it is about to predict."""


class DesignError(UsstatsError):
    """A formula or term cannot be turned into a design matrix of full rank."""


class MissingDataError(DesignError):
    """A model variable has missing values and no policy for them was declared."""


class FitError(UsstatsError):
    """The likelihood could not be maximised."""


class SeparationError(FitError):
    """A variable predicts the outcome perfectly; the maximum-likelihood estimate is infinite."""


class ResampleError(UsstatsError):
    """Resamples are impossible, too few, or failed too often to be trusted."""


class UsstatsWarning(UserWarning):
    """Parent of every warning of this package."""


class SmallSampleWarning(UsstatsWarning):
    """An estimate is undefined or unstable because there are too few cases."""


class OptimismWarning(UsstatsWarning):
    """A correction leaves part of the optimism in, because the model overfits too much."""


class DirectionWarning(UsstatsWarning):
    """A score ranks non-events above events; it is reported as it is, never turned round."""


class SeparationWarning(UsstatsWarning):
    """A fit is (quasi-)separated and its standard errors mean little."""


class FailedResamplesWarning(UsstatsWarning):
    """Some resamples could not be evaluated; the result counts them."""


class ExtrapolationWarning(UsstatsWarning):
    """A prediction lies outside the range the model was developed in."""


class ShiftWarning(UsstatsWarning):
    """A covariate is distributed differently in the cohort the model is carried to."""


class CarryOverWarning(UsstatsWarning):
    """Condition and order of reading cannot be told apart: the aided reading always came second."""


class MissingGlyphWarning(UsstatsWarning):
    """No installed font has a character of a label; an empty square stands in its place."""


class ProbabilityWarning(UsstatsWarning):
    """Numbers between 0 and 1 that are no probabilities: softmax twice, or classes reweighted."""


class EmptyMaskWarning(UsstatsWarning):
    """A mask without a single pixel: the overlap or the distance has no value."""
