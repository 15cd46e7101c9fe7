"""Tables of an Obuchowski-Rockette analysis: means, differences, components, mean squares."""

from __future__ import annotations

import numpy as np
import pandas as pd

from usstats._readers.obuchowski_rockette import (
    Cells,
    Spread,
    components,
    mean_squares,
    variance_of_mean,
    wald_row,
)


def condition_means(
    cells: Cells, *, readers: str, cases: str, conf_level: float, bounded: bool
) -> pd.DataFrame:
    """Reader-averaged figure of each condition, from that condition's data alone."""
    rows = []
    for i in range(cells.n_condition):
        own = cells.part(cells.condition == i)
        variance, df = variance_of_mean(own, readers=readers, cases=cases)
        row = wald_row(own.theta.mean(), variance, df, conf_level, test=False, bounded=bounded)
        rows.append(row | {"n_reader": len(own.theta)})
    return pd.DataFrame(rows)


def condition_differences(
    cells: Cells, pairs: list[tuple[int, int]], spread: Spread, conf_level: float
) -> pd.DataFrame:
    """First minus second condition of each pair."""
    means, J = cells.means(), cells.readers_of
    rows = [
        wald_row(
            float(means[a] - means[b]),
            spread.of_difference(int(J[a]), int(J[b])),
            spread.df,
            conf_level,
        )
        for a, b in pairs
    ]
    return pd.DataFrame(rows)


def reader_differences(
    cells: Cells, pairs: list[tuple[int, int]], conf_level: float
) -> pd.DataFrame:
    """Each reader's differences against the case variance of that reader, pooled over pairs."""
    rows = []
    for j in np.unique(cells.reader):
        own = cells.part(cells.reader == j)
        found = components(own)
        variance = 2 * (found.error - found.cov1)
        theta = dict(zip(own.condition.tolist(), own.theta.tolist(), strict=True))
        for a, b in pairs:
            row = wald_row(theta[a] - theta[b], variance, np.inf, conf_level)
            rows.append({"reader": int(j), "pair": pairs.index((a, b))} | row)
    return pd.DataFrame(rows)


def component_table(cells: Cells) -> pd.DataFrame:
    """Variance components of readers and the Obuchowski-Rockette error covariances."""
    found, ms = components(cells), mean_squares(cells)
    rows: dict[str, float] = {}
    if cells.nested:
        rows["reader(condition)"] = ms.interaction - found.error + found.cov2
    elif cells.n_reader > 1 and cells.n_condition > 1:
        rows["reader"] = (ms.reader - ms.interaction) / cells.n_condition - found.cov1 + found.cov3
        rows["condition:reader"] = ms.interaction - found.error + found.cov1 + found.between_readers
    elif cells.n_reader > 1:
        rows["reader"] = ms.reader - found.error + found.cov2
    covariances = {"Cov1": found.cov1, "Cov2": found.cov2, "Cov3": found.cov3}
    rows |= {"Error": found.error} | {name: covariances[name] for name in found.present}
    correlations = [
        value / found.error if name.startswith("Cov") and found.error else np.nan
        for name, value in rows.items()
    ]
    return pd.DataFrame(
        {"term": list(rows), "estimate": list(rows.values()), "correlation": correlations}
    )


def anova_table(cells: Cells) -> pd.DataFrame:
    """Sums of squares of the figures of merit."""
    ms = mean_squares(cells)
    last = "reader(condition)" if cells.nested else "condition:reader"
    rows = [
        ("condition", ms.df_condition, ms.condition),
        ("reader", ms.df_reader, ms.reader),
        (last, ms.df_interaction, ms.interaction),
    ]
    return pd.DataFrame(
        [{"term": t, "df": df, "mean_square": value} for t, df, value in rows if df],
        columns=["term", "df", "mean_square"],
    )
