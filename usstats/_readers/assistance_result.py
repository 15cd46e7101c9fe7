"""What an analysis of an aid hands back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from usstats._readers.order import ReadingOrder
from usstats._readers.result import ReaderStudy, frame_of_rows, leading_first, records
from usstats._readers.standalone import StandaloneComparison
from usstats.results import unit_of_analysis

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class AssistanceEffect:
    """Aided minus unaided, overall, by experience and by reader, and what came with it.

    Tables that were not asked for (no experience, no times, no decisions, one order) are empty.

    Attributes
    ----------
    study : ReaderStudy
        Conditions aided and unaided; its single difference is the effect of the aid.
    readers : DataFrame
        reader, group, aided, unaided, estimate (aided minus unaided), std_error, conf_low,
        conf_high, p_value (variance over cases), harmed (estimate < 0), harmed_beyond_chance
        (conf_high < 0).
    order : ReadingOrder
    order_effects : DataFrame
        term ("period", "sequence (carry-over)", "difference adjusted for period"), estimate, ...
    by_experience : DataFrame
        group, condition, estimate, ...: figures and their difference in each group.
    interaction : DataFrame
        group_1, group_2, estimate (effect in the first minus effect in the second group), ...
    interaction_test : dict or None
        statistic, df, df2, p_value of "all groups profit alike".
    reading_time : DataFrame
        measure ("reading_time": geometric mean; "reading_time_ratio": aided / unaided), group,
        condition, estimate, conf_low, conf_high, ...; std_error is that of the logarithm.
    reading_time_interaction : DataFrame
        group_1, group_2, estimate (ratio of the ratios), ...
    decisions : DataFrame
        truth, change ("better", "worse", "net"), n_changed, n_readings, estimate, ...
    operating_points : DataFrame
        reader, condition, group, sensitivity, specificity, n, n_event.
    standalone : StandaloneComparison or None
    """

    study: ReaderStudy
    readers: pd.DataFrame
    order: ReadingOrder
    order_effects: pd.DataFrame
    by_experience: pd.DataFrame
    interaction: pd.DataFrame
    interaction_test: dict[str, float] | None
    reading_time: pd.DataFrame
    reading_time_interaction: pd.DataFrame
    decisions: pd.DataFrame
    operating_points: pd.DataFrame
    standalone: StandaloneComparison | None

    @property
    def difference(self) -> pd.Series[Any]:
        """Aided minus unaided: estimate, std_error, conf_low, conf_high, statistic, df, p_value,
        and with a margin p_noninferior and noninferior."""
        return self.study.differences.iloc[0]

    @property
    def n_harmed(self) -> int:
        """Readers who did worse with the aid."""
        return int(self.readers["harmed"].sum())

    def frame(self) -> pd.DataFrame:
        """Every estimate in one table; `measure` says what it is, group and term of whom."""
        frame = frame_of_rows(records(self.study.frame()) + self._further_rows()).assign(
            conf_level=self.study.conf_level,
            n=self.study.n,
            n_event=self.study.n_event,
        )
        frame["method"] = frame["method"].fillna(self.study.method)
        if self.study.n_cluster is not None:
            frame["n_cluster"] = self.study.n_cluster
        return leading_first(frame)

    def _further_rows(self) -> list[dict[str, Any]]:
        average = f"reader_averaged_{self.study.metric}"
        rows: list[dict[str, Any]] = []
        for row in records(self.by_experience):
            measure = "difference" if " - " in str(row["condition"]) else average
            rows.append({"measure": measure} | row)
        for name, table in (
            ("interaction", self.interaction),
            ("reading_time_interaction", self.reading_time_interaction),
        ):
            sign = " - " if name == "interaction" else " / "
            for row in records(table):
                group = f"{row.pop('group_1')}{sign}{row.pop('group_2')}"
                rows.append({"measure": name, "group": group} | row)
        rows += [{"measure": "order_effect"} | row for row in records(self.order_effects)]
        rows += records(self.reading_time)
        for row in records(self.decisions):
            measure = f"decisions_{row.pop('change')}"
            rows.append({"measure": measure, "term": row.pop("truth")} | row)
        if self.standalone is not None:
            rows += records(self.standalone.frame())
        return rows

    def summary(self) -> str:
        """The effect, its interaction with experience, readers harmed, order, time, decisions."""
        lines = [repr(self)[1:-1], *self.study.summary().split("\n")[1:]]
        lines.append(f"readers who did worse with the aid: {self._harmed_in_words()}")
        lines.append(self.order.summary())
        lines += [
            f"{_named(row)}: {_interval(row)}"
            for row in self._further_rows()
            if row["measure"] != "standalone_difference"
        ]
        if self.standalone is not None:
            lines += self.standalone.summary().split("\n")[1:]
        return "\n".join(lines)

    def _harmed_in_words(self) -> str:
        beyond = int(self.readers["harmed_beyond_chance"].sum())
        return f"{self.n_harmed} of {len(self.readers)}, {beyond} of them beyond chance"

    def __repr__(self) -> str:
        row, study = self.difference, self.study
        unit = unit_of_analysis(study.n_cluster)
        return (
            f"<effect of the aid on {study.metric}: {_interval(row.to_dict())}, "
            f"p = {row['p_value']:.3g}; {study.n_reader} readers ({study.readers}), "
            f"n = {study.n} cases ({study.cases}), events = {study.n_event}, unit: {unit}, "
            f"{study.conf_level * 100:g} % interval, Obuchowski-Rockette with "
            f"{study.covariance} covariance>"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Each reader unaided and aided, by experience."""
        from usstats.plots.readers import plot_reader_change

        frame = self.study.frame()
        if "group" in self.readers:
            groups = dict(zip(self.readers["reader"], self.readers["group"], strict=True))
            frame["group"] = frame["reader"].map(groups)
        order = self.study.means["condition"].tolist()[::-1]
        return plot_reader_change(frame, ax, conditions=order)


def _named(row: dict[str, Any]) -> str:
    """What a row is of: measure, group or term, condition; without those it has none of."""
    parts = (row["measure"], row.get("group") or row.get("term"), row.get("condition"))
    return ", ".join(str(part) for part in parts if part is not None)


def _interval(row: dict[Any, Any]) -> str:
    return f"{row['estimate']:.3f} ({row['conf_low']:.3f} to {row['conf_high']:.3f})"
