"""The statistical linter: what is methodologically wrong with a study, before a reviewer finds it.

Each rule of the methods (R01 to R25) is a check on what the mistake leaves behind: in the tables of
a study, in its settings, in a result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from usstats._lint.calibration import check_calibration
from usstats._lint.comparisons import check_comparisons
from usstats._lint.covariates import check_covariates
from usstats._lint.decisions import check_decisions
from usstats._lint.evidence import Evidence, Setting, Split
from usstats._lint.finding import FIELDS, RULES, SEVERITIES, Finding
from usstats._lint.folder import read_folder
from usstats._lint.holes import check_holes
from usstats._lint.leaks import check_leaks
from usstats._lint.networks import check_networks
from usstats._lint.objects import FITS, flattened, kind_of_table, result_table
from usstats._lint.parsing import plain_table
from usstats._lint.provenance import check_provenance
from usstats._lint.reading import check_readers
from usstats._lint.sample import check_samples
from usstats._lint.scale import check_scale
from usstats._lint.settings import check_settings
from usstats._lint.sheets import Sheet
from usstats._lint.units import check_units
from usstats.errors import ArgumentError, SchemaError

__all__ = [
    "Evidence",
    "Finding",
    "LintReport",
    "lint",
    "lint_evidence",
    "read_folder",
    "rules_frame",
]

CHECKS: tuple[Callable[[Evidence], Iterator[Finding]], ...] = (
    check_provenance,
    check_networks,
    check_leaks,
    check_units,
    check_comparisons,
    check_calibration,
    check_decisions,
    check_covariates,
    check_samples,
    check_holes,
    check_readers,
    check_scale,
    check_settings,
)
_SHEETS = ("patients", "images", "predictions", "readings")


@dataclass(frozen=True, kw_only=True, repr=False)
class LintReport:
    """What was found, errors first.

    Attributes
    ----------
    findings : tuple of Finding
    looked_at : str
        What was given.
    """

    findings: tuple[Finding, ...]
    looked_at: str

    @property
    def ok(self) -> bool:
        """No finding is an error; warnings and notes may be left."""
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def is_clean(self) -> bool:
        """Nothing was found at all."""
        return not self.findings

    @property
    def rules(self) -> frozenset[str]:
        """The rules that were broken."""
        return frozenset(finding.rule for finding in self.findings)

    def __bool__(self) -> bool:
        """The same as `ok`."""
        return self.ok

    def __len__(self) -> int:
        """Number of findings."""
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def frame(self) -> pd.DataFrame:
        """One row a finding: rule, severity, where, finding, why, reference, fix."""
        rows = [[getattr(finding, name) for name in FIELDS] for finding in self.findings]
        return pd.DataFrame(rows, columns=list(FIELDS))

    def summary(self) -> str:
        """Every finding with its reason, remedy and reference, the counts last."""
        return "\n\n".join([*map(str, self.findings), f"{repr(self)[1:-1]}."])

    def __repr__(self) -> str:
        counts = [sum(f.severity == s for f in self.findings) for s in SEVERITIES]
        told = ", ".join(
            f"{n} {word}{'s' if n != 1 else ''}" for n, word in zip(counts, SEVERITIES, strict=True)
        )
        return f"<methods check of {self.looked_at}: {told}>"


def lint(
    *objects: Any,
    study: Path | str | Mapping[str, Any] | None = None,
    patients: pd.DataFrame | None = None,
    images: pd.DataFrame | None = None,
    predictions: pd.DataFrame | None = None,
    readings: pd.DataFrame | None = None,
    fit: Any = None,
    results: Any = (),
) -> LintReport:
    """Look for the mistakes of METHODS (R01 to R25) in a study, a table or a result.

    Rules look at everything that is given together: an AUC beside the predictions it comes from
    can be seen to count images, one by itself cannot.

    Parameters
    ----------
    *objects
        A study folder, tables, fits and results in any order; what they are is seen from their
        columns or class.
    study : path or mapping, optional
        The study folder (study.yaml, its tables, its run folder), or the content of study.yaml.
    patients, images, predictions, readings : DataFrame, optional
        Tables in memory, with the columns of the files of the same name.
    fit : LogisticFit or PooledFit, or a sequence or mapping (name -> fit) of them, optional
    results : result, DataFrame, or a sequence or mapping (name -> result) of them, optional
        Anything with `.frame()`. A name such as "external" or that of a cohort says where a
        result belongs.

    Returns
    -------
    LintReport
        `.frame()`: rule, severity ("error", "warning", "note"), where, finding, why, reference,
        fix. `.ok` and `bool()`: no error.

    Raises
    ------
    SchemaError
        The folder, study.yaml or a table cannot be read.
    ArgumentError
        Nothing to look at, or an object of a kind it does not know.

    Notes
    -----
    No cell of an identifier column is repeated; places are given by lines or rows.

    Examples
    --------
    >>> from usstats.lint import lint
    >>> table = pd.DataFrame({
    ...     "patient_id": ["p1", "p2"], "image_id": ["i1", "i2"], "model": "roi", "fold": [0, 1],
    ...     "role": ["out_of_fold", "in_sample"], "probability": [0.2, 0.9],
    ...     "model_hash": ["4f", "a1"]})
    >>> report = lint(predictions=table)
    >>> report.frame()[["rule", "severity", "where"]].values.tolist()
    [['R01', 'error', 'predictions, column role, row 1']]
    >>> bool(report)
    False
    """
    named = dict(zip(_SHEETS, (patients, images, predictions, readings), strict=True))
    given = _Given(tables={k: v for k, v in named.items() if v is not None})
    for item in (study, *objects, *_each(fit), *_each(results)):
        if item is not None:
            given.add(item)
    return lint_evidence(given.evidence())


def lint_evidence(evidence: Evidence) -> LintReport:
    """Apply every rule to what is known."""
    findings = {
        (f.rule, f.where, f.finding): f for check in CHECKS for f in check(evidence)
    }.values()
    order = {severity: i for i, severity in enumerate(SEVERITIES)}
    return LintReport(
        findings=tuple(sorted(findings, key=lambda f: (order[f.severity], f.rule))),
        looked_at=evidence.names,
    )


@dataclass(frozen=True)
class _Named:
    """A result or fit under the name its mapping gave it."""

    name: str
    item: Any


def _each(items: Any) -> Iterable[Any]:
    """One thing, or several; an object that is itself a sequence (Imputations) is one."""
    if isinstance(items, Mapping):
        return [_Named(str(name), item) for name, item in items.items()]
    return items if isinstance(items, list | tuple) else [items]


class _Given:
    """Sorts what was given into evidence."""

    def __init__(self, tables: dict[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            _check_table(table, name)
        self.tables = dict(tables)
        self.base = Evidence()
        self.fits: dict[str, Any] = {}
        self.results: list[_Named] = []
        self.splits: list[Split] = []
        self.fused: list[Sheet] = []

    def add(self, item: Any) -> None:
        """Take one object for what it is."""
        name, thing = (item.name, item.item) if isinstance(item, _Named) else ("", item)
        if isinstance(thing, str | Path):
            self.base = read_folder(Path(thing))
        elif isinstance(thing, Mapping):
            self._mapping(thing)
        elif isinstance(thing, list | tuple):
            for part in thing:
                self.add(part)
        elif isinstance(thing, pd.DataFrame):
            self._table(thing, name)
        elif type(thing).__name__ in FITS:
            self.fits[name or f"model {len(self.fits) + 1}"] = thing
        elif type(thing).__name__ == "Folds":
            self.splits.append(Split(where="folds", fold_of=_fold_of(thing)))
        elif hasattr(thing, "frame"):
            self.results.append(_Named(name, thing))
        else:
            msg = (
                f"lint() does not know what a {type(thing).__name__} is. Give a study folder, a "
                "table (DataFrame), a fit, or a result that has frame()."
            )
            raise ArgumentError(msg)

    def _mapping(self, content: Mapping[Any, Any]) -> None:
        if {"outcome", "models", "cohorts", "decision", "fusion", "networks"} & set(content):
            settings = tuple(
                Setting(file="study.yaml", key=k, value=v) for k, v in flattened(content)
            )
            self.base = replace(self.base, config=content, settings=settings)
            return
        for part in _each(content):
            self.add(part)

    def _table(self, table: pd.DataFrame, name: str) -> None:
        kind = kind_of_table(table)
        if not kind:
            columns = ", ".join(map(str, table.columns[:8]))
            msg = (
                f"lint() cannot tell what this table is (columns {columns}). Name it: patients=, "
                "images=, predictions=, readings= or results=."
            )
            raise ArgumentError(msg)
        if kind == "results" or name:
            self.results.append(_Named(name or "results", table))
        elif kind == "fused":
            self.fused.append(Sheet(name="patients", frame=plain_table(table)))
            self.tables.setdefault("patients", table)
        else:
            self.tables[kind] = table

    def evidence(self) -> Evidence:
        """What the rules are asked about."""
        sheets: dict[str, Any] = {
            name: Sheet(name=name, frame=plain_table(table)) for name, table in self.tables.items()
        }
        known = replace(
            self.base,
            **sheets,
            fits={**self.base.fits, **self.fits},
            splits=(*self.base.splits, *self.splits),
            fused=(*self.base.fused, *self.fused),
        )
        found = [result_table(r.item, r.name, cohorts=known.external_cohorts) for r in self.results]
        evidence = replace(known, results=(*known.results, *found))
        if evidence.names == "nothing" and not evidence.splits:
            msg = "lint() needs something to look at: a study folder, a table, a fit or a result."
            raise ArgumentError(msg)
        return evidence


def _check_table(table: Any, name: str) -> None:
    if not isinstance(table, pd.DataFrame):
        msg = f"`{name}` must be a DataFrame; got {type(table).__name__}."
        raise SchemaError(msg)


def _fold_of(folds: Any) -> dict[str, Any]:
    return dict(zip(map(str, folds.patient_id), folds.fold.tolist(), strict=True))


def rules_frame() -> pd.DataFrame:
    """The rules: rule, title, why, reference.

    >>> rules_frame()["rule"].tolist()[:2]
    ['R01', 'R02']
    """
    rows = [(name, rule.title, rule.why, rule.reference) for name, rule in RULES.items()]
    return pd.DataFrame(rows, columns=["rule", "title", "why", "reference"])
