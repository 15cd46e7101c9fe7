"""How many patients a study needs: to develop, to validate, to compare curves or readers."""

from usstats._sizes.development import sample_size_development, sample_size_development_survival
from usstats._sizes.readers import power_readers, sample_size_readers
from usstats._sizes.result import SampleSize, design_effect
from usstats._sizes.roc import (
    power_auc,
    power_auc_difference,
    sample_size_auc,
    sample_size_auc_difference,
)
from usstats._sizes.validation import sample_size_accuracy, sample_size_validation

__all__ = [
    "SampleSize",
    "design_effect",
    "power_auc",
    "power_auc_difference",
    "power_readers",
    "sample_size_accuracy",
    "sample_size_auc",
    "sample_size_auc_difference",
    "sample_size_development",
    "sample_size_development_survival",
    "sample_size_readers",
    "sample_size_validation",
]
