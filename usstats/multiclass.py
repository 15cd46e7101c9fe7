"""Several classes: each against the rest, AUCs with intervals, calibration of probabilities."""

from usstats._multiclass.auc import MulticlassAuc, multiclass_auc
from usstats._multiclass.calibration import MulticlassCalibration, assess_multiclass_calibration
from usstats._multiclass.comparison import MulticlassAucComparison, compare_multiclass_auc
from usstats._multiclass.report import MulticlassReport, multiclass_report

__all__ = [
    "MulticlassAuc",
    "MulticlassAucComparison",
    "MulticlassCalibration",
    "MulticlassReport",
    "assess_multiclass_calibration",
    "compare_multiclass_auc",
    "multiclass_auc",
    "multiclass_report",
]
