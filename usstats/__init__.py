"""Statistics of an ultrasound prediction study: arrays and tables in, results out."""

from importlib.metadata import PackageNotFoundError, version

from usstats.agreement import (
    BlandAltman,
    IntraclassCorrelation,
    Kappa,
    bland_altman,
    cohen_kappa,
    concordance_correlation,
    fleiss_kappa,
    gwet_ac,
    icc,
    krippendorff_alpha,
)
from usstats.assistance import (
    AssistanceEffect,
    ReadingOrder,
    StandaloneComparison,
    assistance_effect,
    compare_standalone,
)
from usstats.calibration import (
    Calibration,
    assess_calibration,
    hosmer_lemeshow,
    le_cessie_van_houwelingen,
    spiegelhalter,
)
from usstats.concordance_index import concordance, harrell_c, uno_c
from usstats.covariates import convert, pulsatility_index, resistive_index, testicular_volume
from usstats.decision import DecisionCurve, decision_curve, decision_curve_survival
from usstats.decision_value import ValueOfInformation, value_of_information
from usstats.delong import AucComparison, compare_auc, compare_auc_independent
from usstats.describe import Description, describe
from usstats.external import ExternalValidation, evaluate
from usstats.fusion import logit_shift, patient_probability
from usstats.harrell_calibration import (
    calibration_groups,
    calibration_indexes,
    calibration_limits,
    lowess_curve,
)
from usstats.imputation import Imputations, impute
from usstats.leakage import LeakageAudit, audit_leakage
from usstats.lint import LintReport, lint
from usstats.logistic import LogisticFit, fit_logistic
from usstats.multiclass import (
    MulticlassAuc,
    MulticlassAucComparison,
    MulticlassCalibration,
    MulticlassReport,
    assess_multiclass_calibration,
    compare_multiclass_auc,
    multiclass_auc,
    multiclass_report,
)
from usstats.nested import NestedComparison, compare_nested
from usstats.nomogram import Nomogram, build_nomogram
from usstats.optimism import InternalValidation, validate
from usstats.overlap import (
    CamOverlap,
    CamReport,
    OverlapReport,
    cam_overlap,
    cam_report,
    dice,
    hd95,
    iou,
    overlap_report,
    surface_distances,
)
from usstats.pooled_fit import PooledFit, fit_imputed, pool
from usstats.product_limit import KaplanMeier, kaplan_meier
from usstats.readers import (
    GlobalReaderTest,
    ReaderStudy,
    reader_study,
)
from usstats.recipe import Recipe, ThresholdRule
from usstats.reclassification import Reclassification, reclassify
from usstats.resample import Resamples, bootstrap
from usstats.results import Estimate, Interval
from usstats.roc import RocCurve, auc, partial_auc, roc_curve
from usstats.samplesize import (
    SampleSize,
    design_effect,
    sample_size_accuracy,
    sample_size_auc,
    sample_size_auc_difference,
    sample_size_development,
    sample_size_development_survival,
    sample_size_readers,
    sample_size_validation,
)
from usstats.selection import BackwardElimination, LassoTuning
from usstats.splits import Folds, make_folds
from usstats.survival import CoxFit, fit_cox
from usstats.survival_calibration import SurvivalCalibration, assess_calibration_survival
from usstats.survival_comparison import LogRank, logrank
from usstats.thresholds import (
    DecisionComparison,
    DiagnosticAccuracy,
    Threshold,
    choose_threshold,
    compare_accuracy,
    compare_decisions,
    diagnostic_accuracy,
)
from usstats.time_dependent import TimeDependent, time_dependent_auc, time_dependent_brier
from usstats.updating import UpdatedModel, update_model

try:
    __version__ = version("usstats")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AssistanceEffect",
    "AucComparison",
    "BackwardElimination",
    "BlandAltman",
    "Calibration",
    "CamOverlap",
    "CamReport",
    "CoxFit",
    "DecisionComparison",
    "DecisionCurve",
    "Description",
    "DiagnosticAccuracy",
    "Estimate",
    "ExternalValidation",
    "Folds",
    "GlobalReaderTest",
    "Imputations",
    "InternalValidation",
    "Interval",
    "IntraclassCorrelation",
    "KaplanMeier",
    "Kappa",
    "LassoTuning",
    "LeakageAudit",
    "LintReport",
    "LogRank",
    "LogisticFit",
    "MulticlassAuc",
    "MulticlassAucComparison",
    "MulticlassCalibration",
    "MulticlassReport",
    "NestedComparison",
    "Nomogram",
    "OverlapReport",
    "PooledFit",
    "ReaderStudy",
    "ReadingOrder",
    "Recipe",
    "Reclassification",
    "Resamples",
    "RocCurve",
    "SampleSize",
    "StandaloneComparison",
    "SurvivalCalibration",
    "Threshold",
    "ThresholdRule",
    "TimeDependent",
    "UpdatedModel",
    "ValueOfInformation",
    "assess_calibration",
    "assess_calibration_survival",
    "assess_multiclass_calibration",
    "assistance_effect",
    "auc",
    "audit_leakage",
    "bland_altman",
    "bootstrap",
    "build_nomogram",
    "calibration_groups",
    "calibration_indexes",
    "calibration_limits",
    "cam_overlap",
    "cam_report",
    "choose_threshold",
    "cohen_kappa",
    "compare_accuracy",
    "compare_auc",
    "compare_auc_independent",
    "compare_decisions",
    "compare_multiclass_auc",
    "compare_nested",
    "compare_standalone",
    "concordance",
    "concordance_correlation",
    "convert",
    "decision_curve",
    "decision_curve_survival",
    "describe",
    "design_effect",
    "diagnostic_accuracy",
    "dice",
    "evaluate",
    "fit_cox",
    "fit_imputed",
    "fit_logistic",
    "fleiss_kappa",
    "gwet_ac",
    "harrell_c",
    "hd95",
    "hosmer_lemeshow",
    "icc",
    "impute",
    "iou",
    "kaplan_meier",
    "krippendorff_alpha",
    "le_cessie_van_houwelingen",
    "lint",
    "logit_shift",
    "logrank",
    "lowess_curve",
    "make_folds",
    "multiclass_auc",
    "multiclass_report",
    "overlap_report",
    "partial_auc",
    "patient_probability",
    "pool",
    "pulsatility_index",
    "reader_study",
    "reclassify",
    "resistive_index",
    "roc_curve",
    "sample_size_accuracy",
    "sample_size_auc",
    "sample_size_auc_difference",
    "sample_size_development",
    "sample_size_development_survival",
    "sample_size_readers",
    "sample_size_validation",
    "spiegelhalter",
    "surface_distances",
    "testicular_volume",
    "time_dependent_auc",
    "time_dependent_brier",
    "uno_c",
    "update_model",
    "validate",
    "value_of_information",
]
