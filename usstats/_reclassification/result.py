"""The result of a reclassification analysis: measures, movements and tables by outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from usstats._check import check_option
from usstats._reclassification.movements import Codes, Movements, Vector
from usstats.errors import ArgumentError
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GROUPS = (("event", 1), ("non_event", 0))
_MOVES = (("down", -1), ("unchanged", 0), ("up", 1))


@dataclass(frozen=True, kw_only=True, repr=False)
class Reclassification:
    """NRI and IDI of a new model over an old one. Made by `reclassify`.

    Attributes
    ----------
    kind : str
        "continuous", "categorical", or "difference" where a least change was asked for.
    cutoffs : tuple of float
        Of the categorical NRI.
    min_change : float or None
    thresholds : tuple of float
        Where net benefit is compared.
    n, n_event, n_cluster, n_boot, n_failed, seed, conf_level
        Sample, resamples and level.
    """

    kind: str
    cutoffs: tuple[float, ...]
    min_change: float | None
    thresholds: tuple[float, ...]
    conf_level: float
    n: int
    n_event: int
    n_cluster: int | None = None
    n_boot: int | None = None
    n_failed: int | None = None
    seed: int | None = None
    _table: pd.DataFrame = field(repr=False)
    _moved: Movements = field(repr=False)

    def frame(self) -> pd.DataFrame:
        """One row a measure: nri, nri_events, nri_nonevents, idi, idi_events, idi_nonevents,
        auc_change, and net_benefit_difference at each `threshold_probability`.

        `statistic` (estimate over standard error) is given for NRI and IDI because journals ask
        for it; there is no p value (rule R08).
        """
        return self._table.copy()

    def movements(self) -> pd.DataFrame:
        """How many events and non-events moved: group, movement, n, share of the group."""
        rows = [
            {"group": group, "movement": name, "n": int((up == code).sum())}
            for group, level in _GROUPS
            for up in (self._moved.up[self._moved.y == level],)
            for name, code in _MOVES
        ]
        table = pd.DataFrame(rows)
        return table.assign(share=table["n"] / table.groupby("group")["n"].transform("sum"))

    def table(self, group: str | None = None) -> pd.DataFrame:
        """The reclassification table: category by the old model against that by the new one.

        Parameters
        ----------
        group : {None, "event", "non_event"}
            The square table of one outcome, old model in rows; or both in long form: group, old,
            new, n, share (of the patients in the old category).

        Raises
        ------
        ArgumentError
            No cut-offs, hence no categories: see `movements`.
        """
        check_option(group, (None, *(name for name, _ in _GROUPS)), name="group")
        if self.kind != "categorical":
            msg = (
                f"A {self.kind} NRI has no categories; see `movements()`, or call reclassify with "
                "`cutoffs`."
            )
            raise ArgumentError(msg)
        if group is not None:
            return self._cross_table(dict(_GROUPS)[group])
        return pd.concat(
            [_long(self._cross_table(level), name) for name, level in _GROUPS], ignore_index=True
        )

    def _cross_table(self, level: int) -> pd.DataFrame:
        labels = category_labels(self.cutoffs)
        rows = self._moved.y == level
        counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
        both = [np.searchsorted(self.cutoffs, p[rows], side="right") for p in self.risks]
        np.add.at(counts, tuple(both), 1)
        return pd.DataFrame(
            counts,
            index=pd.Index(labels, name="old"),
            columns=pd.Index(labels, name="new"),
        )

    @property
    def risks(self) -> tuple[Vector, Vector]:
        """The old and the new risks."""
        return self._moved.old, self._moved.new

    @property
    def outcome(self) -> Codes:
        """The outcome, 0/1."""
        return self._moved.y

    def summary(self) -> str:
        """Every measure with its limits, by outcome first, and what they cannot say."""
        unit = unit_of_analysis(self.n_cluster)
        head = (
            f"Reclassification ({self.kind}); n = {self.n}, events = {self.n_event}, unit: {unit}; "
            f"{self.conf_level * 100:g} % intervals"
        )
        rows = [_row_text(row) for row in self._table.to_dict("records")]
        note = (
            "NRI and IDI are no tests and can be positive for worthless markers; judge by net "
            "benefit."
        )
        return "\n".join([head, *rows, note])

    def __repr__(self) -> str:
        values = self._table.drop_duplicates("measure").set_index("measure")["estimate"]
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<Reclassification, {self.kind}: NRI {values['nri']:.3f} (events "
            f"{values['nri_events']:.3f}, non-events {values['nri_nonevents']:.3f}), IDI "
            f"{values['idi']:.3f}; n = {self.n}, events = {self.n_event}, unit: {unit}, "
            f"{self._table['method'].iloc[0]}, {self.conf_level * 100:g} % intervals>"
        )

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the new risk of each patient over the old one, by outcome."""
        from usstats.plots.reclassification import plot_reclassification

        return plot_reclassification(self, ax=ax, **options)


def _row_text(row: dict[Any, Any]) -> str:
    at = row["threshold_probability"]
    where = "" if np.isnan(at) else f" at {at:g}"
    limits = f" ({row['conf_low']:.4f} to {row['conf_high']:.4f})"
    return f"  {row['measure']}{where}: {row['estimate']:.4f}{limits}"


def category_labels(cutoffs: tuple[float, ...]) -> list[str]:
    """Names of the categories, left-closed.

    >>> category_labels((0.4, 0.6))
    ['[0,0.4)', '[0.4,0.6)', '[0.6,1]']
    """
    edges = [f"{edge:g}" for edge in (0.0, *cutoffs, 1.0)]
    closing = [")"] * len(cutoffs) + ["]"]
    return [f"[{a},{b}{end}" for a, b, end in zip(edges, edges[1:], closing, strict=False)]


def _long(counts: pd.DataFrame, group: str) -> pd.DataFrame:
    """One row a cell, the old category changing slowest."""
    labels, n = list(counts.columns), counts.to_numpy()
    rows = pd.DataFrame(
        {
            "group": group,
            "old": np.repeat(labels, len(labels)),
            "new": np.tile(labels, len(labels)),
            "n": n.ravel(),
        }
    )
    of_row = np.repeat(n.sum(axis=1), len(labels))
    return rows.assign(share=rows["n"] / np.where(of_row > 0, of_row, np.nan))
