"""AUC of several classes: Hand and Till's M, macro, weighted and micro averages, each class."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from usstats._cases import FEW_CASES
from usstats._check import check_cluster, check_option
from usstats._intervals import check_conf_level
from usstats._multiclass.averages import AVERAGES, AreaSet, area_rows, describe_parts
from usstats._multiclass.labels import (
    Labels,
    Probabilities,
    check_class_risks,
    plain_label,
    warn_of_absent,
)
from usstats._resampling.draws import Resamples
from usstats.errors import DirectionWarning, SmallSampleWarning, UsstatsWarning
from usstats.results import COLUMNS, Estimate
from usstats.roc import RocCurve, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CHOSEN = ("measure", "estimate", "std_error", "conf_low", "conf_high", "method")
INTERVALS = ("delong", "logit", "bootstrap", "percentile", "bca")


@dataclass(frozen=True, kw_only=True, repr=False)
class MulticlassAuc(Estimate):
    """The average that was asked for, with all others and the curve of each class.

    Attributes
    ----------
    average : str
    classes : tuple
        In the order of the columns of probabilities.
    """

    average: str
    classes: Labels
    _table: pd.DataFrame = field(repr=False)
    _areas: AreaSet = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """Rows auc_hand_till, auc_macro, auc_weighted, auc_micro (group "all"), then auc of each
        class against the rest (group: the class)."""
        return self._table.copy()

    def pairs(self) -> pd.DataFrame:
        """Hand and Till's matrix: AUC of class_1 against class_2 by the probability of class_1."""
        design, names = self._areas.pairs.design, self._areas.risks.names
        first, second = np.argmax(design.event, axis=1), np.argmax(design.against, axis=1)
        return pd.DataFrame(
            {
                "class_1": [names[i] for i in first],
                "class_2": [names[j] for j in second],
                "estimate": self._areas.pairs.estimate,
            }
        )

    def curves(self) -> dict[str, RocCurve]:
        """ROC curve of each class that has cases, against the rest."""
        risks = self._areas.risks
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UsstatsWarning)
            return {
                name: roc_curve(risks.y == k, risks.p[:, k], cluster=self._areas.cluster)
                for k, name in enumerate(risks.names)
                if risks.counts[k]
            }

    def summary(self) -> str:
        """The average, then one line a class."""
        rows = self._table[self._table["measure"] == "auc"].to_dict("records")
        lines = [
            f"  {row['group']}: {row['estimate']:.3f} ({row['conf_low']:.3f} to "
            f"{row['conf_high']:.3f}), n = {row['n_event']}"
            for row in rows
        ]
        return "\n".join([super().summary(), *lines])

    def __repr__(self) -> str:
        return f"<{super().summary()}, {len(self.classes)} classes>"

    def plot(self, ax: Axes | None = None) -> Axes:
        """One-vs-rest ROC curves."""
        from usstats.plots.multiclass import plot_one_vs_rest

        return plot_one_vs_rest(self, ax=ax)


def multiclass_auc(
    y: ArrayLike,
    p: Probabilities,
    *,
    classes: Sequence[Any] | None = None,
    average: str = "hand-till",
    cluster: ArrayLike | None = None,
    ci: str = "delong",
    conf_level: float = 0.95,
    n_boot: int = 2000,
    seed: int | None = None,
    resamples: ArrayLike | Resamples | None = None,
) -> MulticlassAuc:
    """AUC of a classification into three or more classes, with its interval.

    Parameters
    ----------
    y : array_like, shape (n,)
        Class labels: text, numbers, bool or categorical.
    p : DataFrame or mapping (columns named by class) or array_like, shape (n, K)
        Probability of each class; rows sum to 1.
    classes : sequence, optional
        The classes in the order of the columns; needed for an array unless `y` counts its columns
        from 0. With named columns it selects and orders them.
    average : {"hand-till", "macro", "weighted", "micro"}
        "hand-till": mean over pairs of classes of the AUC between these two alone, untouched by
        how frequent classes are. "macro", "weighted": plain mean of the one-vs-rest AUCs, and the
        mean weighted by the observed class shares (fixed for "delong", redrawn by a bootstrap
        that is not within classes). "micro": one curve of all
        n * K decisions "is it this class".
    cluster : array_like, shape (n,), optional
        Patient labels when a patient has several images.
    ci : {"delong", "logit", "bootstrap", "percentile", "bca"}
        "delong": from the placement values of all curves together, so that their correlation
        counts; by patient (Obuchowski) with `cluster`. "logit": the same on the logit scale.
        "percentile" (or "bootstrap"), "bca": bootstrap of patients, within classes unless a
        patient has several. A zero variance (perfect separation) takes averaged limits of
        Newcombe, and `method` says so.
    conf_level : float
    n_boot, seed, resamples
        For the bootstrap, as in `auc`.

    Returns
    -------
    MulticlassAuc
        `.frame()` holds all averages and each class, `.pairs()` Hand and Till's matrix,
        `.curves()` the one-vs-rest ROC curves.

    Raises
    ------
    OutcomeError, RiskError, PairingError, ArgumentError, ResampleError

    Warns
    -----
    SmallSampleWarning
        A class without cases (what needs it is NaN) or with five or fewer patients.
    DirectionWarning
        The AUC of a class lies below 0.5.
    ProbabilityWarning
        The probabilities look like a softmax of a softmax.

    References
    ----------
    Hand and Till (2001), Mach Learn 45:171. DeLong et al. (1988), Biometrics 44:837. Obuchowski
    (1997), Biometrics 53:567. R: pROC::multiclass.roc.

    Examples
    --------
    >>> y = ["benign", "benign", "BCC", "BCC", "melanoma", "melanoma"] * 3
    >>> p = [[.8, .1, .1], [.4, .5, .1], [.2, .7, .1], [.5, .4, .1], [.1, .2, .7], [.3, .1, .6]] * 3
    >>> multiclass_auc(y, p, classes=["benign", "BCC", "melanoma"])
    <auc_hand_till 0.917 (95 % 0.813 to 1.000), delong; n = 18, unit: case, 3 classes>
    """
    check_option(average, AVERAGES, name="average")
    check_option(ci, INTERVALS, name="ci")
    check_conf_level(conf_level)
    areas = area_set(y, p, classes, cluster)
    warn_of_absent(areas.risks)
    _warn_of_few(areas)
    _warn_of_direction(areas)
    resampled = ci not in ("delong", "logit")
    kind = "percentile" if ci == "bootstrap" else ci
    draws = areas.draws(resamples, n_boot, seed) if resampled else None
    table = _table(areas, area_rows(areas, kind, conf_level, draws), conf_level, draws)
    row = table.iloc[AVERAGES.index(average)]
    return MulticlassAuc(
        **{str(name): row[name] for name in _CHOSEN},
        conf_level=conf_level,
        n=len(areas.risks.y),
        n_event=None,
        n_cluster=_n_cluster(areas),
        n_boot=None if draws is None else len(draws),
        n_failed=None if draws is None or pd.isna(row["n_failed"]) else int(row["n_failed"]),
        seed=None if draws is None else draws.seed,
        average=average,
        classes=tuple(plain_label(label) for label in areas.risks.labels),
        _table=table,
        _areas=areas,
    )


def area_set(
    y: ArrayLike,
    p: Probabilities,
    classes: Sequence[Any] | None,
    cluster: ArrayLike | None,
    *,
    name: str = "p",
) -> AreaSet:
    """Check the arguments and place every case on every curve."""
    risks = check_class_risks(y, p, classes, name=name)
    return AreaSet.of(risks, check_cluster(cluster, len(risks.y)))


def _n_cluster(areas: AreaSet) -> int | None:
    return None if areas.cluster is None else int(areas.cluster.max()) + 1


def _table(
    areas: AreaSet, rows: Sequence[dict[str, Any]], conf_level: float, draws: Resamples | None
) -> pd.DataFrame:
    counts = areas.risks.counts
    events = [pd.NA] * len(AVERAGES) + [int(count) for count in counts]
    table = pd.DataFrame(
        [{**who, **row} for who, row in zip(describe_parts(areas), rows, strict=True)]
    )
    table = table.assign(conf_level=conf_level, n=len(areas.risks.y))
    table["n_event"] = pd.array(events, dtype="Int64")
    if areas.cluster is not None:
        table["n_cluster"] = _n_cluster(areas)
    if draws is not None:
        table["n_boot"], table["seed"] = len(draws), draws.seed
        table["n_failed"] = table.get("n_failed", pd.Series(pd.NA, table.index)).astype("Int64")
    return table[[name for name in COLUMNS if name in table]]


def _warn_of_few(areas: AreaSet) -> None:
    y, cluster = areas.risks.y, areas.cluster
    unit = np.arange(len(y)) if cluster is None else cluster
    patients = [len(np.unique(unit[y == k])) for k in range(len(areas.risks.labels))]
    few = {n: k for n, k in zip(areas.risks.names, patients, strict=True) if 0 < k <= FEW_CASES}
    if few:
        kind = "cases" if cluster is None else "patients"
        listed = ", ".join(f"{name} ({count})" for name, count in few.items())
        msg = f"Classes with {FEW_CASES} or fewer {kind}: {listed}. Their intervals are unstable."
        warnings.warn(msg, SmallSampleWarning, stacklevel=3)


def _warn_of_direction(areas: AreaSet) -> None:
    below = np.flatnonzero(areas.rest.estimate < 0.5)
    if below.size:
        listed = ", ".join(f"{areas.risks.names[k]} ({areas.rest.estimate[k]:.3f})" for k in below)
        msg = (
            f"AUC below 0.5 against the rest: {listed}. It is reported as it is; check that the "
            "columns are in the order of the classes."
        )
        warnings.warn(msg, DirectionWarning, stacklevel=3)
