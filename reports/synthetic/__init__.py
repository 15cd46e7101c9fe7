"""Demonstration studies drawn from a known truth, every image labelled SYNTHETIC."""

from reports.synthetic.covariates import Law
from reports.synthetic.study import TRUTH_FILE, Truth, ensure_noa_study, make_noa_study

__all__ = ["TRUTH_FILE", "Law", "Truth", "ensure_noa_study", "make_noa_study"]
