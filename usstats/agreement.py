"""Agreement of raters and of methods: kappas, intraclass correlation, limits of agreement."""

from usstats._bland_altman import BlandAltman, bland_altman, concordance_correlation
from usstats._intraclass import IntraclassCorrelation, icc
from usstats._kappa import Kappa, cohen_kappa
from usstats._kappa_many import fleiss_kappa, gwet_ac, krippendorff_alpha

__all__ = [
    "BlandAltman",
    "IntraclassCorrelation",
    "Kappa",
    "bland_altman",
    "cohen_kappa",
    "concordance_correlation",
    "fleiss_kappa",
    "gwet_ac",
    "icc",
    "krippendorff_alpha",
]
