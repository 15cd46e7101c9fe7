"""Calibration of class probabilities: the multinomial framework and each class's own curve."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._check import check_cluster, check_option, seed_or_fresh
from usstats._influence import influence_se
from usstats._intervals import check_conf_level
from usstats._multiclass.labels import (
    ClassRisks,
    Codes,
    Labels,
    Probabilities,
    check_class_risks,
    plain_label,
    warn_of_absent,
)
from usstats._multiclass.recalibration import brier_rows, recalibration_rows
from usstats._resampling.draws import Resamples
from usstats.calibration import Calibration, assess_calibration
from usstats.errors import ProbabilityWarning, UsstatsWarning
from usstats.results import COLUMNS, unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Training that leaves the meaning of a probability alone; everything else moves it.
PLAIN_LOSSES = frozenset({"crossentropy", "categoricalcrossentropy", "ce", "logloss", "nll"})
PLAIN_SAMPLING = frozenset({"none", "natural", "random", "uniform", "shuffle"})
#: A mean probability this far from the class share, and this many standard errors, is told.
FAR, CLEAR = 0.05, 3.0


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MulticlassCalibration:
    """Calibration of class probabilities. Made by `assess_multiclass_calibration`.

    Attributes
    ----------
    classes : tuple
    reference : object
        The class whose probability stands in the denominator of every logit.
    by_class : mapping of name to Calibration
        Each class against the rest, for the classes with cases.
    caveat : str or None
        Why the probabilities need recalibration, where their training or their means say so.
    conf_level : float
    n : int
    n_cluster : int or None
    """

    classes: Labels
    reference: Any
    by_class: Mapping[str, Calibration]
    caveat: str | None
    conf_level: float
    n: int
    n_cluster: int | None
    _table: pd.DataFrame = field(repr=False)
    _matrix: pd.DataFrame = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Rows calibration_in_the_large and calibration_slope of each class against the reference,
        oe_ratio, ici, e50, e90 and emax of each class against the rest, brier and brier_scaled."""
        return self._table.copy()

    def slope_matrix(self) -> pd.DataFrame:
        """The full recalibration: slope of each class's logit (group) on each linear predictor
        (term); the identity matrix where all is well."""
        return self._matrix.copy()

    def curves(self) -> pd.DataFrame:
        """Smooth one-vs-rest curves: group, predicted, observed[, conf_low, conf_high]."""
        parts = [curve.curve().assign(group=name) for name, curve in self.by_class.items()]
        table = pd.concat(parts, ignore_index=True)
        return table[["group", *(name for name in table if name != "group")]]

    def summary(self) -> str:
        """Sample, measures, and the caveat."""
        rows = [
            f"  {row['measure']} ({row['group']}): {row['estimate']:.3f}"
            + (
                f" ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
                if np.isfinite(row["conf_low"])
                else ""
            )
            for row in self._table.to_dict("records")
        ]
        return "\n".join([repr(self)[1:-1], *rows, *([self.caveat] if self.caveat else [])])

    def __repr__(self) -> str:
        unit = unit_of_analysis(self.n_cluster)
        brier = self._table.set_index("measure").loc["brier", "estimate"]
        return (
            f"<multi-class calibration, {len(self.classes)} classes, reference {self.reference}: "
            f"brier {brier:.3f}; n = {self.n}, unit: {unit}, {self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, *, band: bool = True) -> Axes:
        """All one-vs-rest curves on one plot."""
        from usstats.plots.multiclass import plot_multiclass_calibration

        return plot_multiclass_calibration(self, ax=ax, band=band)


def assess_multiclass_calibration(
    y: ArrayLike,
    p: Probabilities,
    *,
    classes: Sequence[Any] | None = None,
    reference: Any = None,
    loss: str | None = None,
    sampling: str | None = None,
    smoother: str = "loess",
    band: bool = True,
    cluster: ArrayLike | None = None,
    min_events: int = 100,
    conf_level: float = 0.95,
    n_boot: int | None = None,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> MulticlassCalibration:
    """Assess the calibration of the probabilities of several classes.

    Parameters
    ----------
    y : array_like, shape (n,)
        Class labels.
    p : DataFrame, mapping or array_like, shape (n, K)
        Probability of each class; rows sum to 1.
    classes : sequence, optional
        As in `multiclass_auc`.
    reference : optional
        Class in the denominator of the logits (default: the first). Intercepts and slopes depend
        on it; curves and Brier scores do not.
    loss, sampling : str, optional
        How the network was trained, for example "focal" and "oversampling". Anything but cross
        entropy on patients as they come distorts the probabilities, and a warning says so.
    smoother, band, min_events, n_boot, seed, resamples
        Of the curve of each class against the rest, as in `assess_calibration`.
    cluster : array_like, shape (n,), optional
        Patient labels: standard errors are then sandwiches over patients.
    conf_level : float

    Returns
    -------
    MulticlassCalibration

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    ProbabilityWarning
        A loss or sampling that distorts probabilities, or a mean probability that lies more than
        0.05 and three standard errors from the share of its class.
    SmallSampleWarning
        Withheld curves, slopes that do not exist, a class without cases.

    Notes
    -----
    Intercepts: log P(k)/P(r) = a_k + lp_k, where lp_k = log p_k/p_r; slopes: a_k + b_k lp_k; full
    matrix: a_k + sum_j b_kj lp_j. The Brier score sums over classes, so that for two classes it is
    twice the binary one. The expected calibration error is not offered: its value depends on the
    number of bins, it is biased upwards in small samples, and it hides which class is wrong in
    which direction; the curves and `ici` show that.

    References
    ----------
    Van Hoorde et al. (2014), Stat Med 33:2585; (2015), J Biomed Inform 54:283. Van Calster et al.
    (2016), J Clin Epidemiol 74:167. Carriero et al. (2025) on reweighted training.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> p = rng.dirichlet([2, 2, 2], size=900)
    >>> y = (rng.random((900, 1)) > p.cumsum(axis=1)).sum(axis=1)
    >>> assess_multiclass_calibration(y, p).frame().loc[0, ["measure", "group"]].tolist()
    ['calibration_in_the_large', '1']
    """
    check_option(smoother, ("loess", "rcs"), name="smoother")
    check_conf_level(conf_level)
    risks = check_class_risks(y, p, classes)
    codes = check_cluster(cluster, len(risks.y))
    warn_of_absent(risks)
    base = _reference(risks, reference)
    caveat = _caveat(risks, codes, loss, sampling)
    rows, matrix = recalibration_rows(risks, base, codes, conf_level)
    options = {
        "smoother": smoother,
        "band": band,
        "cluster": cluster,
        "min_events": min_events,
        "conf_level": conf_level,
        "n_boot": n_boot,
        "seed": seed if n_boot is None else seed_or_fresh(seed),
        "resamples": resamples,
    }
    by_class = _each_class(risks, options)
    n_cluster = None if codes is None else int(codes.max()) + 1
    facts = {"conf_level": conf_level, "n": len(risks.y)}
    facts |= {} if n_cluster is None else {"n_cluster": n_cluster}
    tables = [pd.DataFrame(rows), _against_rest(by_class)]
    tables.append(pd.DataFrame(brier_rows(risks, codes, conf_level)))
    return MulticlassCalibration(
        classes=tuple(plain_label(label) for label in risks.labels),
        reference=plain_label(risks.labels[base]),
        by_class=MappingProxyType(by_class),
        caveat=caveat,
        conf_level=conf_level,
        n=len(risks.y),
        n_cluster=n_cluster,
        _table=_ordered(pd.concat(tables, ignore_index=True), facts, risks),
        _matrix=_ordered(pd.DataFrame(matrix), facts, risks),
    )


def _ordered(table: pd.DataFrame, facts: dict[str, Any], risks: ClassRisks) -> pd.DataFrame:
    counts = dict(zip(risks.names, risks.counts.tolist(), strict=True))
    table = table.assign(n_event=table["group"].map(counts).astype("Int64"), **facts)
    return table[[name for name in COLUMNS if name in table]]


def _reference(risks: ClassRisks, reference: Any) -> int:
    if reference is None:
        return 0
    check_option(str(reference), risks.names, name="reference")
    return risks.names.index(str(reference))


def _caveat(
    risks: ClassRisks, cluster: Codes | None, loss: str | None, sampling: str | None
) -> str | None:
    """Warn of probabilities that training has moved (rule R19)."""
    causes = [
        f"{what} '{value}'"
        for what, value, harmless in (
            ("loss", loss, PLAIN_LOSSES),
            ("sampling", sampling, PLAIN_SAMPLING),
        )
        if value is not None and _letters(value) not in harmless
    ]
    apart = _means_apart(risks, cluster)
    if not causes and not apart:
        return None
    found = [f"trained with {' and '.join(causes)}"] if causes else []
    found += [f"mean probability against share of the class: {apart}"] if apart else []
    msg = (
        f"The probabilities need recalibration before they are read as risks ({'; '.join(found)}). "
        "Oversampling, class weights and focal loss shift and squeeze probabilities; the ranking "
        "may stay. Recalibrate the logits out of fold, or train on patients as they come (R19)."
    )
    warnings.warn(msg, ProbabilityWarning, stacklevel=3)
    return msg


def _letters(text: str) -> str:
    return "".join(character for character in str(text).lower() if character.isalpha())


def _means_apart(risks: ClassRisks, cluster: Codes | None) -> str:
    """Classes whose mean probability is clearly and materially not their share."""
    own = risks.y[:, None] == np.arange(len(risks.labels))
    gap, n = risks.p - own, len(risks.y)
    listed = []
    for k, name in enumerate(risks.names):
        mean = float(gap[:, k].mean())
        error = influence_se((gap[:, k] - mean) / n, cluster)
        if abs(mean) > max(FAR, CLEAR * error):
            listed.append(f"{name} {risks.p[:, k].mean():.2f} against {own[:, k].mean():.2f}")
    return ", ".join(listed)


def _each_class(risks: ClassRisks, options: dict[str, Any]) -> dict[str, Calibration]:
    """One-vs-rest calibration of the classes present; warnings of a kind are told once."""
    found: dict[str, Calibration] = {}
    told: dict[type[Warning], list[str]] = {}
    for k, name in enumerate(risks.names):
        if not risks.counts[k]:
            continue
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UsstatsWarning)
            found[name] = assess_calibration(risks.y == k, risks.p[:, k], **options)
        for warning in caught:
            told.setdefault(warning.category, []).append(f"{name}: {warning.message}")
    for category, texts in told.items():
        warnings.warn(" ".join(texts), category, stacklevel=3)
    return found


def _against_rest(by_class: Mapping[str, Calibration]) -> pd.DataFrame:
    """O:E and the distances of the flexible curve, by class."""
    wanted = ("oe_ratio", "ici", "e50", "e90", "emax")
    columns = ["measure", "estimate", "std_error", "conf_low", "conf_high", "method"]
    parts = []
    for name, calibration in by_class.items():
        table = calibration.frame()
        parts.append(table.loc[table["measure"].isin(wanted), columns].assign(group=name))
    table = pd.concat(parts, ignore_index=True)
    order = {measure: i for i, measure in enumerate(wanted)}
    return table.sort_values("measure", key=lambda column: column.map(order), kind="stable")
