"""What a comparison of AUCs hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from usstats.results import unit_of_analysis


@dataclass(frozen=True, kw_only=True)
class GlobalTest:
    """Chi-square test that all AUCs are equal."""

    statistic: float
    df: int
    p_value: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AucComparison:
    """Differences between AUCs, one row a contrast.

    Attributes
    ----------
    table : DataFrame
    global_test : GlobalTest or None
        Present for three or more curves.
    conf_level : float
    method, adjust : str
    n, n_event : int
    n_cluster, n_boot, seed : int or None
    """

    table: pd.DataFrame
    global_test: GlobalTest | None
    conf_level: float
    method: str
    adjust: str
    n: int
    n_event: int
    n_cluster: int | None
    n_boot: int | None = None
    seed: int | None = None

    def frame(self) -> pd.DataFrame:
        """model_1, model_2, auc_1, auc_2, estimate (first minus second), std_error, conf_low,
        conf_high, statistic, p_value, p_adjusted; then what applies of df, margin, p_noninferior,
        noninferior, note; level, method and sample."""
        rest = [name for name in self.table.columns if name not in _LEADING]
        facts = {name: getattr(self, name) for name in _FACTS}
        known = {name: fact for name, fact in facts.items() if fact is not None}
        return self.table[[*_LEADING, *rest]].assign(**known)

    def summary(self) -> str:
        """The global test, then one line a contrast."""
        lines = [repr(self)[1:-1]]
        if self.global_test is not None:
            test = self.global_test
            lines.append(
                f"all AUCs equal: chi2({test.df}) = {test.statistic:.3f}, p = {test.p_value:.3g}"
            )
        return "\n".join(lines + [_line(row) for row in self.table.to_dict("records")])

    def __repr__(self) -> str:
        count = len(self.table)
        unit = unit_of_analysis(self.n_cluster)
        return (
            f"<AUC comparison, {count} contrast{'s' if count > 1 else ''}: {self.method}; "
            f"n = {self.n}, events = {self.n_event}, {self.conf_level * 100:g} % intervals, "
            f"p adjusted: {self.adjust}, unit: {unit}>"
        )


_LEADING = (
    "model_1",
    "model_2",
    "auc_1",
    "auc_2",
    "estimate",
    "std_error",
    "conf_low",
    "conf_high",
    "statistic",
    "p_value",
    "p_adjusted",
)


_FACTS = ("conf_level", "method", "n", "n_event", "n_cluster", "n_boot", "seed")


def _line(row: dict[Any, Any]) -> str:
    text = (
        f"{row['model_1']} - {row['model_2']}: {row['estimate']:.3f} "
        f"({row['conf_low']:.3f} to {row['conf_high']:.3f}), p = {row['p_value']:.3g}, "
        f"adjusted {row['p_adjusted']:.3g}"
    )
    noted = f"{text} ({row['note']})" if row["note"] else text
    return noted + _verdict(row) if "margin" in row else noted


def _verdict(row: dict[Any, Any]) -> str:
    """What the margin says; without limits nothing is shown either way."""
    if pd.isna(row["noninferior"]):
        return f"; non-inferiority of {row['model_1']} unknown"
    shown = "shown" if row["noninferior"] else "not shown"
    return (
        f"; non-inferiority of {row['model_1']} (margin {row['margin']:g}) {shown}: "
        f"lower limit {row['conf_low']:.3f}, one-sided p = {row['p_noninferior']:.3g}"
    )
