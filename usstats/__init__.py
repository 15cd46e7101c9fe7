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
from usstats.calibration import Calibration, assess_calibration
from usstats.covariates import convert, pulsatility_index, resistive_index, testicular_volume
from usstats.decision import DecisionCurve, decision_curve, decision_curve_survival
from usstats.delong import AucComparison, compare_auc, compare_auc_independent
from usstats.describe import Description, describe
from usstats.external import ExternalValidation, evaluate
from usstats.fusion import logit_shift, patient_probability
from usstats.imputation import Imputations, impute
from usstats.leakage import LeakageAudit, audit_leakage
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nested import NestedComparison, compare_nested
from usstats.nomogram import Nomogram, build_nomogram
from usstats.optimism import InternalValidation, validate
from usstats.pooled_fit import PooledFit, fit_imputed, pool
from usstats.recipe import Recipe, ThresholdRule
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
from usstats.splits import Folds, make_folds
from usstats.thresholds import (
    DiagnosticAccuracy,
    Threshold,
    choose_threshold,
    compare_accuracy,
    diagnostic_accuracy,
)
from usstats.value_of_information import ValueOfInformation, value_of_information

try:
    __version__ = version("usstats")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

__all__ = [
    "AucComparison",
    "BlandAltman",
    "Calibration",
    "DecisionCurve",
    "Description",
    "DiagnosticAccuracy",
    "Estimate",
    "ExternalValidation",
    "Folds",
    "Imputations",
    "InternalValidation",
    "Interval",
    "IntraclassCorrelation",
    "Kappa",
    "LeakageAudit",
    "LogisticFit",
    "NestedComparison",
    "Nomogram",
    "PooledFit",
    "Recipe",
    "Resamples",
    "RocCurve",
    "SampleSize",
    "Threshold",
    "ThresholdRule",
    "ValueOfInformation",
    "assess_calibration",
    "auc",
    "audit_leakage",
    "bland_altman",
    "bootstrap",
    "build_nomogram",
    "choose_threshold",
    "cohen_kappa",
    "compare_accuracy",
    "compare_auc",
    "compare_auc_independent",
    "compare_nested",
    "concordance_correlation",
    "convert",
    "decision_curve",
    "decision_curve_survival",
    "describe",
    "design_effect",
    "diagnostic_accuracy",
    "evaluate",
    "fit_imputed",
    "fit_logistic",
    "fleiss_kappa",
    "gwet_ac",
    "icc",
    "impute",
    "krippendorff_alpha",
    "logit_shift",
    "make_folds",
    "partial_auc",
    "patient_probability",
    "pool",
    "pulsatility_index",
    "resistive_index",
    "roc_curve",
    "sample_size_accuracy",
    "sample_size_auc",
    "sample_size_auc_difference",
    "sample_size_development",
    "sample_size_development_survival",
    "sample_size_readers",
    "sample_size_validation",
    "testicular_volume",
    "validate",
    "value_of_information",
]
