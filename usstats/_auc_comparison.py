"""What a comparison of AUCs hands back."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


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
    n_cluster : int or None
    """

    table: pd.DataFrame
    global_test: GlobalTest | None
    conf_level: float
    method: str
    adjust: str
    n: int
    n_event: int
    n_cluster: int | None

    def frame(self) -> pd.DataFrame:
        """model_1, model_2, auc_1, auc_2, estimate (first minus second), std_error, conf_low,
        conf_high, statistic, p_value, p_adjusted; then df, margin and note where they apply."""
        rest = [name for name in self.table.columns if name not in _LEADING]
        frame = self.table[[*_LEADING, *rest]].assign(
            conf_level=self.conf_level, method=self.method, n=self.n, n_event=self.n_event
        )
        return frame if self.n_cluster is None else frame.assign(n_cluster=self.n_cluster)

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
        unit = "case" if self.n_cluster is None else f"patient ({self.n_cluster} clusters)"
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


def _line(row: dict[object, object]) -> str:
    text = (
        f"{row['model_1']} - {row['model_2']}: {row['estimate']:.3f} "
        f"({row['conf_low']:.3f} to {row['conf_high']:.3f}), p = {row['p_value']:.3g}, "
        f"adjusted {row['p_adjusted']:.3g}"
    )
    return f"{text} (identical)" if row["note"] == "identical" else text
