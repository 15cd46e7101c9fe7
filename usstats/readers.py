"""Reader studies: several readers, several conditions, the same cases (MRMC)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np  # noqa: F401 - the doctest's
import pandas as pd
from numpy.typing import ArrayLike

from usstats._check import check_option
from usstats._multiplicity import ADJUSTMENTS
from usstats._readers.analysis import analyse
from usstats._readers.obuchowski_rockette import GlobalReaderTest
from usstats._readers.plan import check_margin, check_pairs, load_readings, make_plan
from usstats._readers.result import ReaderStudy
from usstats._readers.table import with_columns

__all__ = ["GlobalReaderTest", "ReaderStudy", "reader_study"]


def reader_study(
    data: pd.DataFrame,
    *,
    truth: str,
    case: str,
    reader: str,
    condition: str,
    rating: str,
    method: str = "obuchowski-rockette",
    covariance: str = "delong",
    readers: str = "random",
    cases: str = "random",
    metric: str = "auc",
    cluster: str | ArrayLike | None = None,
    threshold: float | None = None,
    specificity: tuple[float, float] | None = None,
    sensitivity: tuple[float, float] | None = None,
    corrected: bool = False,
    contrasts: Sequence[tuple[Hashable, Hashable]] | None = None,
    adjust: str = "holm",
    margin: float | None = None,
    conf_level: float = 0.95,
) -> ReaderStudy:
    """Compare conditions (systems, unaided and aided) over readers and cases.

    The null hypothesis is that the reader-averaged figure of merit is the same in all
    conditions. Differences are first minus second in sorted (or category) order.

    Parameters
    ----------
    data : DataFrame
        One row a reading.
    truth, case, reader, condition, rating : str
        Columns. `truth` is 0/1 or bool. `rating`: higher = more likely an event, -inf = nothing
        seen; for sensitivity and specificity a decision 0/1, or any rating with `threshold`.
    method : {"obuchowski-rockette"}
    covariance : {"delong", "jackknife", "unbiased"}
        Estimator of the covariance over cases. "delong" (for the other metrics its structural
        components) needs the balanced factorial design; "jackknife" and "unbiased" (Gallas; for
        AUC, sensitivity, specificity) also take nested cases and missing reads.
    readers, cases : {"random", "fixed"}
        Random readers and cases speak for new readers and new patients; fixed readers for these
        readers only (no truncation of Cov2 - Cov3, chi-square), fixed cases for these cases only.
    metric : {"auc", "partial_auc", "sensitivity", "specificity"}
    cluster : str or array_like, optional
        Column (or one label a row) of patients when a case is one of several images or lesions of
        a patient: Obuchowski's clustered covariance, or the leave-one-patient-out jackknife.
    threshold : float, optional
        Positive when rating >= threshold.
    specificity, sensitivity : (float, float)
        Range of the partial AUC, exactly one of them.
    corrected : bool
        McClish's correction of the partial AUC, continued below chance.
    contrasts : sequence of (condition, condition), optional
        Pairs named beforehand (default: every pair).
    adjust : str
        Adjustment of the pairwise p values (Holm by default); intervals stay unadjusted.
    margin : float, optional
        Also test non-inferiority of the first condition of each pair: H0 difference <= -margin.
    conf_level : float

    Returns
    -------
    ReaderStudy

    Raises
    ------
    DesignError
        Missing readings with DeLong's covariance, a reader who lacks a condition.
    PairingError
        A duplicate reading; a case of two patients.
    OutcomeError
        `truth` is not 0/1, differs between rows of a case, or has one class.
    RiskError
        A missing or textual rating, one rating for all cases.
    ArgumentError

    Warns
    -----
    SmallSampleWarning
        A single reader, who can only be fixed; a class with a single case.

    Notes
    -----
    Readers who each read in one condition only are taken as nested in conditions, cases that
    occur with one reader (or in one condition) only as nested there (Hillis 2014). Intervals of
    figures are clipped to [0, 1], those of differences are not. Intervals of single readers rest
    on the variance over cases; where that is zero (a perfect reader) they are Newcombe's (AUC) or
    Wilson's (sensitivity, specificity).

    References
    ----------
    Obuchowski and Rockette (1995), Commun Stat Simul Comput 24:285. Hillis (2007), Stat Med
    26:596. Hillis (2014), Stat Med 33:330. Gallas et al. (2007), J Opt Soc Am A 24:B70.
    Obuchowski (1997), Biometrics 53:567. R: MRMCaov::mrmc.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> grid = pd.MultiIndex.from_product([range(40), list("ABC"), ["aided", "unaided"]],
    ...                                   names=["case", "reader", "condition"])
    >>> data = grid.to_frame(index=False).assign(truth=lambda d: d["case"] % 2)
    >>> gain = np.where(data["condition"] == "aided", 2.0, 1.0)
    >>> data["rating"] = gain * data["truth"] + rng.normal(size=len(data))
    >>> study = reader_study(data, truth="truth", case="case", reader="reader",
    ...                      condition="condition", rating="rating")
    >>> study
    <reader study of auc: 3 readers (random), 2 conditions, n = 40 cases (random), ...>
    >>> study.differences[["condition_1", "condition_2", "estimate"]]
      condition_1 condition_2  estimate
    0       aided     unaided  0.1208...
    """
    check_option(method, ("obuchowski-rockette",), name="method")
    check_option(adjust, ADJUSTMENTS, name="adjust")
    check_margin(margin)
    plan = make_plan(
        metric=metric,
        covariance=covariance,
        readers=readers,
        cases=cases,
        conf_level=conf_level,
        specificity=specificity,
        sensitivity=sensitivity,
        corrected=corrected,
    )
    roles = {
        "truth": truth,
        "case": case,
        "reader": reader,
        "condition": condition,
        "rating": rating,
        "cluster": cluster,
    }
    data, columns = with_columns(data, roles, {})
    table = load_readings(data, columns, threshold, plan.metric)
    pairs = check_pairs(contrasts, table.conditions)
    return analyse(table, plan, pairs=pairs, adjust=adjust, margin=margin)
