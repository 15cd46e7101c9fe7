"""Agreement of raters and of methods: kappas, intraclass correlation, limits of agreement."""

from usstats._agreement.bland_altman import BlandAltman, bland_altman, concordance_correlation
from usstats._agreement.intraclass import IntraclassCorrelation, icc
from usstats._agreement.many_raters import fleiss_kappa, gwet_ac, krippendorff_alpha
from usstats._agreement.two_raters import Kappa, cohen_kappa

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
