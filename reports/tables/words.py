"""What results are called in print, and how each is rounded."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from reports.number_presets import NumberPreset
from reports.numbers import format_estimate, format_number
from usstats.errors import ArgumentError

__all__ = [
    "MEASURES",
    "Measure",
    "abbreviations_in",
    "cell_of",
    "confidence_words",
    "estimate_cell",
    "in_order",
    "method_note",
    "method_words",
    "require_columns",
    "sample_note",
    "sample_notes",
    "single_cell",
    "words_for",
]


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A measure's printed name, its rounding, and the abbreviation in its name."""

    label: str
    kind: str = "number"
    decimals: int = 2


MEASURES: Mapping[str, Measure] = {
    "auc": Measure(label="AUC", kind="unit", decimals=3),
    "auc_change": Measure(label="Change in AUC", decimals=3),
    "partial_auc": Measure(label="Partial AUC", kind="unit", decimals=3),
    "dxy": Measure(label="Somers Dxy", decimals=3),
    "nagelkerke_r2": Measure(label="Nagelkerke R²", decimals=3),
    "brier": Measure(label="Brier score", decimals=3),
    "brier_scaled": Measure(label="Scaled Brier score", decimals=3),
    "calibration_in_the_large": Measure(label="Calibration in the large"),
    "calibration_intercept": Measure(label="Calibration intercept"),
    "calibration_slope": Measure(label="Calibration slope"),
    "oe_ratio": Measure(label="O:E ratio", kind="ratio"),
    "ici": Measure(label="ICI", decimals=3),
    "e50": Measure(label="E50", decimals=3),
    "e90": Measure(label="E90", decimals=3),
    "emax": Measure(label="Emax", decimals=3),
    "sensitivity": Measure(label="Sensitivity", kind="unit"),
    "specificity": Measure(label="Specificity", kind="unit"),
    "ppv": Measure(label="PPV", kind="unit"),
    "npv": Measure(label="NPV", kind="unit"),
    "accuracy": Measure(label="Accuracy", kind="unit"),
    "lr_pos": Measure(label="LR+", kind="ratio"),
    "lr_neg": Measure(label="LR−", kind="ratio"),
    "dor": Measure(label="Diagnostic odds ratio", kind="ratio"),
    "youden": Measure(label="Youden index"),
    "net_benefit": Measure(label="Net benefit", decimals=3),
    "mean_dice": Measure(label="Mean Dice", kind="unit"),
    "mape": Measure(label="MAPE", decimals=3),
}

_ABBREVIATIONS = {
    "AUC": "area under the receiver operating characteristic curve",
    "CI": "confidence interval",
    "E50": "median absolute calibration error",
    "E90": "ninetieth percentile of the absolute calibration error",
    "Emax": "largest absolute calibration error",
    "FMI": "fraction of missing information",
    "ICI": "integrated calibration index",
    "IQR": "interquartile range",
    "LR": "likelihood ratio",
    "MAPE": "mean absolute prediction error",
    "NPV": "negative predictive value",
    "O:E": "observed to expected",
    "OR": "odds ratio",
    "PPV": "positive predictive value",
    "SD": "standard deviation",
    "SE": "standard error",
    "SMD": "standardized mean difference",
}


def words_for(measure: str) -> Measure:
    """The measure's words; one without an entry keeps its name.

    >>> words_for("auc").label, words_for("new_measure").label
    ('AUC', 'New measure')
    """
    fallback = Measure(label=measure.replace("_", " ").capitalize())
    return MEASURES.get(measure, fallback)


def abbreviations_in(*texts: str) -> tuple[tuple[str, str], ...]:
    """The abbreviations that occur as words in the texts, in alphabetical order.

    >>> abbreviations_in("AUC (95% CI)")[1]
    ('CI', 'confidence interval')
    """
    words = set(" ".join(texts).replace("(", " ").replace(")", " ").replace(",", " ").split())
    words |= {word.rstrip("+−") for word in words}
    return tuple((short, long) for short, long in _ABBREVIATIONS.items() if short in words)


def estimate_cell(row: Mapping[Hashable, Any], preset: str | NumberPreset) -> str:
    """Estimate and interval of one row of a result's frame, rounded as its measure asks."""
    measure = words_for(str(row["measure"]))
    return format_estimate(
        row["estimate"],
        row.get("conf_low", np.nan),
        row.get("conf_high", np.nan),
        decimals=measure.decimals,
        kind=measure.kind,
        preset=preset,
    )


def single_cell(measure: str, value: float, preset: str | NumberPreset) -> str:
    """One number, rounded as its measure asks."""
    words = words_for(measure)
    if pd.isna(value):
        return format_number(np.nan, preset=preset)
    return format_estimate(
        value, np.nan, np.nan, decimals=words.decimals, kind=words.kind, preset=preset
    )


def confidence_words(frame: pd.DataFrame) -> str:
    """`95% CI` of a frame's level.

    >>> confidence_words(pd.DataFrame({"conf_level": [0.95]}))
    '95% CI'
    """
    level = frame["conf_level"].dropna().iloc[0] if "conf_level" in frame else np.nan
    return "CI" if pd.isna(level) else f"{level * 100:g}% CI"


def sample_note(frame: pd.DataFrame, *, name: str = "") -> str:
    """The sample a frame's numbers come from, and its unit of analysis.

    >>> sample_note(pd.DataFrame({"n": [252], "n_event": [98]}), name="Development")
    'Development: n = 252, events = 98; unit of analysis: patient.'
    """
    first = frame.iloc[0]
    head = f"{name}: " if name else ""
    clusters = first.get("n_cluster")
    clustered = clusters is not None and not pd.isna(clusters) and clusters < first["n"]
    unit = f"image, clustered in {int(clusters)} patients" if clustered else "patient"
    sample = f"n = {int(first['n'])}, events = {int(first['n_event'])}"
    return f"{head}{sample}; unit of analysis: {unit}."


def require_columns(frame: pd.DataFrame, names: tuple[str, ...], *, table: str) -> None:
    """Refuse a frame that lacks what a table is made from.

    Raises
    ------
    ArgumentError
    """
    missing = [name for name in names if name not in frame.columns]
    if missing:
        msg = (
            f"The {table} needs the columns {', '.join(names)}; {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing."
        )
        raise ArgumentError(msg)


def in_order(order: Sequence[str], *indexes: pd.Index) -> list[str]:
    """The measures of the order that occur in any of the frames."""
    found = set().union(*indexes)
    return [name for name in order if name in found]


def cell_of(table: pd.DataFrame, name: str, style: NumberPreset) -> str:
    """A measure's cell from a frame indexed by measure; a dash where it was not computed."""
    if name not in table.index:
        return style.missing
    return estimate_cell({"measure": name, **table.loc[name].to_dict()}, style)


def sample_notes(tables: Mapping[str, pd.DataFrame]) -> tuple[str, ...]:
    """The sample of each cohort that states one."""
    return tuple(
        sample_note(table, name=name)
        for name, table in tables.items()
        if {"n", "n_event"} <= set(table.columns)
    )


#: People, whose names keep their capital inside a sentence.
_NAMES = ("Youden", "Brier", "Nagelkerke")
_METHODS = {
    "wilson": "Wilson",
    "clopper-pearson": "Clopper and Pearson",
    "wald": "Wald",
    "delong": "DeLong",
    "log": "on the log scale",
    "logit": "on the logit scale",
    "limits of sensitivity and specificity": "from the limits of sensitivity and specificity",
}


def method_words(method: str) -> str:
    """A method's name as a sentence writes it.

    >>> method_words("wilson"), method_words("limits of sensitivity and specificity (wilson)")
    ('Wilson', 'from the limits of sensitivity and specificity')
    """
    return _METHODS.get(method, _METHODS.get(method.partition(" (")[0], method))


def method_note(
    frames: Mapping[str, pd.DataFrame], measures: Sequence[str] | None = None
) -> tuple[str, ...]:
    """The methods of the intervals; where measures differ in theirs, which is whose.

    Parameters
    ----------
    frames : mapping of cohort to DataFrame
        With the column `method`, and `measure` where `measures` are given.
    measures : sequence of str, optional
        Those that are printed, in their order.

    Examples
    --------
    >>> frame = pd.DataFrame({"measure": ["ppv", "npv", "lr_pos"],
    ...                       "method": ["wilson", "wilson", "log"]})
    >>> method_note({"": frame}, ["ppv", "npv", "lr_pos"])
    ('Confidence limits: Wilson (PPV, NPV); on the log scale (LR+).',)
    """
    known = [frame for frame in frames.values() if "method" in frame]
    rows = pd.concat(known)[lambda table: table["method"] != "undefined"] if known else None
    if rows is None or rows.empty:
        return ()
    names = sorted({method_words(str(method)) for method in rows["method"]})
    if measures is None or len(names) == 1:
        return (f"Method: {', '.join(names)}.",)
    owners: dict[str, list[str]] = {}
    for name in measures:
        for method in dict.fromkeys(rows.loc[rows["measure"] == name, "method"]):
            label = words_for(name).label
            is_word = label[1:2].islower() and not label.startswith(_NAMES)
            within = label[:1].lower() + label[1:] if is_word else label
            owners.setdefault(method_words(str(method)), []).append(within)
    listed = "; ".join(f"{method} ({', '.join(labels)})" for method, labels in owners.items())
    return (f"Confidence limits: {listed}.",)
