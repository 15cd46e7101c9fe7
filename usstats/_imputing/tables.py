"""Multiple imputation by chained equations: completed tables, and a map of what was missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from usstats._check import check_seed
from usstats._imputing.chained import Chain, run_chain
from usstats._imputing.columns import Method, as_column, completed, decode, is_label
from usstats.errors import ArgumentError, MissingDataError, UsstatsWarning


@dataclass(frozen=True, kw_only=True)
class Imputations(Sequence[pd.DataFrame]):
    """Completed copies of a table: `len()`, indexing and iteration as for a list of frames.

    Attributes
    ----------
    original : pandas.DataFrame
        The table as it came, holes and all.
    m, n_iter, seed : int
        Copies, iterations of the chain, and the seed; copy i uses child i of the seed, so that
        ten copies begin with the five copies of the same seed.
    methods : Mapping
        Variable to the way it was drawn; only incomplete variables.
    variables : tuple of str
        The variables of the imputation models.
    excluded : tuple of str
        Columns kept out of them (identifiers, dates, what the caller named).
    outcome : str or None
        The outcome, always a predictor in the imputation models.
    """

    original: pd.DataFrame = field(repr=False)
    drawn: tuple[Mapping[str, NDArray[Any]], ...] = field(repr=False)
    trace: pd.DataFrame = field(repr=False)
    methods: Mapping[str, str]
    variables: tuple[str, ...]
    excluded: tuple[str, ...]
    outcome: str | None
    n_iter: int
    seed: int

    @property
    def m(self) -> int:
        """Number of completed copies."""
        return len(self.drawn)

    def __len__(self) -> int:
        return self.m

    def __getitem__(self, i: Any) -> Any:
        if isinstance(i, slice):
            return [completed(self.original, values) for values in self.drawn[i]]
        return completed(self.original, self.drawn[i])

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (completed(self.original, values) for values in self.drawn)

    def frame(self) -> pd.DataFrame:
        """The missing map, with how each variable was filled."""
        table = self.missing_map()
        return table.assign(method=[self.methods.get(v, "") for v in table["variable"]])

    def missing_map(self) -> pd.DataFrame:
        """Number and per cent of missing values of each variable of the imputation models."""
        return missing_map(self.original[list(self.variables)])

    def missing_patterns(self) -> pd.DataFrame:
        """Which variables are missing together, the most frequent pattern first."""
        return missing_patterns(self.original[list(self.variables)])

    def diagnostics(self) -> pd.DataFrame:
        """Mean and SD of the drawn values: copy, iteration, variable, mean, std.

        Chains that have forgotten their start mix freely and show no trend over iterations.
        Levels are counted 0, 1, 2 ... in their own order.
        """
        return self.trace.copy()

    def stacked(self) -> pd.DataFrame:
        """All completed copies one under the other, with a first column `imputation` (1..m)."""
        frames = [copy.assign(imputation=i + 1) for i, copy in enumerate(self)]
        table = pd.concat(frames, ignore_index=True)
        return table[["imputation", *self.original.columns]]

    def summary(self) -> str:
        """Copies, method, and the share of missing values of each incomplete variable."""
        rows = self.frame().query("n_missing > 0")
        shares = [
            f"{row.variable} {row.n_missing} ({row.percent_missing:.1f} %, {row.method})"
            for row in rows.itertuples()
        ]
        holes = "; ".join(shares) or "nothing was missing"
        return (
            f"{self.m} completed copies by chained equations ({self.n_iter} iterations, "
            f"seed {self.seed}); n = {len(self.original)}; {holes}"
        )

    def __repr__(self) -> str:
        return f"<{self.summary()}>"


def impute(
    data: pd.DataFrame,
    *,
    m: int = 20,
    method: Method = "pmm",
    seed: int | None,
    variables: Sequence[str] | None = None,
    outcome: str | None = None,
    n_iter: int = 10,
    exclude: Sequence[str] = (),
) -> Imputations:
    """Complete a table `m` times by chained equations.

    Parameters
    ----------
    data : pandas.DataFrame
        One row a patient. Text, categorical and bool columns are factors; a numeric column of
        zeros and ones is binary.
    m : int
        Completed copies; about as many as the per cent of patients with a missing value.
    method : {"pmm", "norm", "sample"} or mapping
        How numeric variables are drawn: predictive mean matching (type 1, five donors), Bayesian
        linear regression, or a random observed value. Binary variables and factors are drawn
        from a logistic or multinomial regression. A mapping names the method of single
        variables; the others stay with the default.
    seed : int
        Copy i is drawn with child i of this seed.
    variables : sequence of str, optional
        Variables of the imputation models; by default every column that is no identifier.
    outcome : str, optional
        The outcome of the prediction model. It must be complete and is always a predictor: left
        out, imputed predictors are pulled towards "no association" (Moons et al. 2006).
    n_iter : int
        Passes of the chain. A single incomplete variable needs one.
    exclude : sequence of str
        Columns to keep out of the imputation models. Columns named `id` or ending in `_id`,
        dates, and text columns with hardly a repeated value are kept out unasked.

    Returns
    -------
    Imputations

    Raises
    ------
    ArgumentError
        An option outside its range, an unknown column, an outcome left out of the models.
    MissingDataError
        A missing outcome, or a variable without a single observed value.
    DesignError
        Infinite values, or a column whose values cannot be modelled.

    Notes
    -----
    van Buuren and Groothuis-Oudshoorn (2011), J Stat Softw 45(3); matching of type 1 as in
    Morris, White and Royston (2014); augmentation against perfect prediction by White, Daniel
    and Royston (2010). R's `mice` draws from the same models with other random numbers.

    Examples
    --------
    >>> df = pd.DataFrame({"fsh": [4.1, None, 12.0, 20.5, 9.9, 7.2], "noa": [0, 0, 1, 1, 1, 0]})
    >>> copies = impute(df, m=3, seed=1, outcome="noa")
    >>> len(copies), int(copies[0].isna().sum().sum())
    (3, 0)
    >>> copies.missing_map()[["variable", "n_missing"]].to_dict("records")
    [{'variable': 'fsh', 'n_missing': 1}, {'variable': 'noa', 'n_missing': 0}]
    """
    _check_counts(m=m, n_iter=n_iter)
    seed = check_seed(seed)
    used, excluded = _choose_variables(data, variables, outcome, exclude)
    columns = [as_column(data[name], method) for name in used]
    rngs = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(m)]
    chains = [run_chain(columns, rng, n_iter=n_iter) for rng in rngs]
    holes = [column for column in columns if column.missing.any()]
    return Imputations(
        original=data.copy(),
        drawn=tuple(
            {c.name: decode(data[c.name], chain.drawn[c.name], c) for c in holes}
            for chain in chains
        ),
        trace=_trace_frame(chains),
        methods={column.name: column.method for column in holes},
        variables=used,
        excluded=excluded,
        outcome=outcome,
        n_iter=n_iter,
        seed=seed,
    )


def missing_map(data: pd.DataFrame) -> pd.DataFrame:
    """Number and per cent of missing values of each column.

    Returns
    -------
    pandas.DataFrame
        Columns variable, n, n_missing, percent_missing.

    Examples
    --------
    >>> missing_map(pd.DataFrame({"fsh": [4.1, None], "age": [30, 40]})).values.tolist()
    [['fsh', 2, 1, 50.0], ['age', 2, 0, 0.0]]
    """
    n_missing = data.isna().sum()
    return pd.DataFrame(
        {
            "variable": list(data.columns),
            "n": len(data),
            "n_missing": n_missing.to_numpy(),
            "percent_missing": 100 * n_missing.to_numpy() / max(len(data), 1),
        }
    )


def missing_patterns(data: pd.DataFrame) -> pd.DataFrame:
    """Which columns are missing together, the most frequent pattern first.

    Returns
    -------
    pandas.DataFrame
        Columns pattern (names joined by " + ", empty for complete rows), n_variables, n,
        percent.

    Examples
    --------
    >>> df = pd.DataFrame({"fsh": [4.1, None, None], "lh": [3.0, None, 2.0]})
    >>> missing_patterns(df)["pattern"].tolist()
    ['', 'fsh', 'fsh + lh']
    """
    holes = data.isna().to_numpy()
    patterns, n = np.unique(holes, axis=0, return_counts=True)
    table = pd.DataFrame(
        {
            "pattern": [" + ".join(data.columns[row].astype(str)) for row in patterns],
            "n_variables": patterns.sum(axis=1),
            "n": n,
            "percent": 100 * n / max(len(data), 1),
        }
    )
    order = ["n", "n_variables", "pattern"]
    return table.sort_values(order, ascending=[False, True, True], ignore_index=True)


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or int(value) != value or not 1 <= value <= 10_000:
            msg = f"`{name}` must be a whole number from 1 to 10000; got {value!r}."
            raise ArgumentError(msg)


def _choose_variables(
    data: pd.DataFrame,
    variables: Sequence[str] | None,
    outcome: str | None,
    exclude: Sequence[str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The variables of the models and the columns left out, in the table's order."""
    _check_table(data, [*(variables or ()), *exclude, *([outcome] if outcome else [])])
    asked = data.columns if variables is None else variables
    left_out = set(exclude) | {c for c in asked if variables is None and is_label(data[c])}
    used = tuple(c for c in data.columns if c in set(asked) - left_out or c == outcome)
    _check_outcome_used(data, variables, outcome, exclude)
    if not used:
        msg = "No column is left for the imputation models: all look like identifiers or dates."
        raise ArgumentError(msg)
    return used, tuple(c for c in data.columns if c not in used)


def _check_table(data: pd.DataFrame, named: Sequence[str]) -> None:
    if not isinstance(data, pd.DataFrame) or data.empty:
        msg = f"`data` must be a DataFrame with rows; got {type(data).__name__} without any."
        raise ArgumentError(msg)
    if not data.columns.is_unique:
        twice = data.columns[data.columns.duplicated()].tolist()
        msg = f"`data` has columns of the same name: {twice}. Rename them."
        raise ArgumentError(msg)
    unknown = [name for name in named if name not in data.columns]
    if unknown:
        msg = f"These columns are not in `data`: {unknown}."
        raise ArgumentError(msg)


def _check_outcome_used(
    data: pd.DataFrame,
    variables: Sequence[str] | None,
    outcome: str | None,
    exclude: Sequence[str],
) -> None:
    if outcome is None:
        if variables is not None:
            msg = (
                "`variables` was given without `outcome`: an imputation model without the "
                "outcome pulls associations towards zero. Name the outcome."
            )
            warnings.warn(msg, UsstatsWarning, stacklevel=4)
        return
    if outcome in exclude:
        msg = (
            f"`outcome` {outcome!r} is in `exclude`: the imputation models must contain it, "
            "or the imputed predictors lose their association with it."
        )
        raise ArgumentError(msg)
    n_missing = int(data[outcome].isna().sum())
    if n_missing:
        msg = (
            f"`outcome` {outcome!r} is missing in {n_missing} of {len(data)} rows. Outcomes are "
            "not imputed: leave these rows out first."
        )
        raise MissingDataError(msg)


def _trace_frame(chains: Sequence[Chain]) -> pd.DataFrame:
    rows = [(i + 1, *step) for i, chain in enumerate(chains) for step in chain.trace]
    return pd.DataFrame(rows, columns=["copy", "iteration", "variable", "mean", "std"])
