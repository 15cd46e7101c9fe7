"""Tables of results from other programs and from papers, put into the toolkit's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

#: Columns by which a table is known to hold results.
RESULT_COLUMNS = frozenset(
    {
        "measure", "metric", "term", "model_1", "net_benefit", "threshold_probability", "variable",
        "shifted", "corrected", "accuracy", "f1", "f1_score", "nri", "idi", "auc", "reason",
        "p_value", "hosmer_lemeshow", "statistic",
    }
)  # fmt: skip
#: Words a column may have in capitals, and what other programs call them.
_SAME = (
    "measure", "term", "variable", "group", "model", "reader", "condition", "cohort", "method", "n",
    "analysis", "experience", "model_1", "model_2", "auc_1", "auc_2", "p_value", "threshold",
    "estimate", "std_error",
)  # fmt: skip
_SPOKEN = {name: name for name in _SAME} | {
    "metric": "measure", "index": "measure", "statistic_name": "measure",
    "p": "p_value", "pvalue": "p_value", "p_val": "p_value", "sig": "p_value",
    "p_adj": "p_adjusted", "adjusted_p": "p_adjusted", "p_holm": "p_adjusted",
    "adjusted_p_value": "p_adjusted", "p_bonferroni": "p_adjusted",
    "se": "std_error", "ci_low": "conf_low", "ci_high": "conf_high", "lower": "conf_low",
    "upper": "conf_high", "threshold_prob": "threshold_probability",
    "cutoff": "threshold", "cut_off": "threshold", "optimal_cutoff": "threshold",
    "optimal_cut_off": "threshold", "cutoff_value": "threshold", "cut_off_value": "threshold",
    "model_a": "model_1", "model_b": "model_2", "auc_a": "auc_1", "auc_b": "auc_2",
    "predictor": "term", "covariate": "term",
    "dataset": "cohort", "set": "cohort", "sample_size": "n",
}  # fmt: skip
_PAIR = re.compile(r"^\s*(\S.*?)\s+(?:vs\.?|versus|against)\s+(\S.*?)\s*$", re.IGNORECASE)
_RATIO = re.compile(r"^(adjusted |crude )?(or|odds ratio)\b.*(ci|confidence)", re.IGNORECASE)
_RATIOS = ("or", "odds_ratio", "adjusted_or", "exp_b")
_NUMBER = r"([<>]?\s*[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf(?:inity)?|∞))"
_BETWEEN = rf"{_NUMBER}\s*(?:-|–|—|,|;|to)\s*{_NUMBER}"
_INTERVAL = re.compile(rf"^\s*{_NUMBER}\s*[(\[]\s*{_BETWEEN}\s*[)\]]\s*$", re.IGNORECASE)
_LIMITS = re.compile(rf"^\s*[(\[]?\s*{_BETWEEN}\s*[)\]]?\s*$", re.IGNORECASE)
_P = re.compile(r"^\s*(?:p\s*)?[<>=≤≥]?\s*(\d*\.?\d+(?:e-?\d+)?)\s*$", re.IGNORECASE)


def is_ratio(frame: pd.DataFrame) -> bool:
    """Whether a table says that its estimates are odds ratios."""
    return any(_key(c) in _RATIOS or _RATIO.match(str(c).strip()) for c in frame)


def is_result(header: Iterable[str]) -> bool:
    """Whether the columns of a table are those of results."""
    names = {_key(cell) for cell in header}
    spoken = {_SPOKEN.get(name, name) for name in names} & (RESULT_COLUMNS | {"std_error"})
    if spoken - {"variable"} or names & RESULT_COLUMNS:
        return True
    telling = re.compile(
        r"^(test|held_?out|outer|external)_|(^|_)(auc|auroc|nri|idi|hosmer|sensitivity|"
        r"specificity|net_benefit|odds_ratio)(_|$)|^(or|hr)_.*ci"
    )
    return any(telling.search(name) for name in names)


def in_words(frame: pd.DataFrame) -> pd.DataFrame:
    """A table of results in the toolkit's words where another spelling is plain."""
    names = {c: _SPOKEN[_key(c)] for c in frame if _key(c) in _SPOKEN and _key(c) != c}
    free: dict[Any, str] = {}
    for column, new in names.items():
        if new not in frame and new not in free.values():
            free[column] = new
    spoken = frame.rename(columns=free)
    return spoken.assign(**dict([*_pairs(spoken), *_intervals(spoken), *_p_values(spoken)]))


def _key(column: Any) -> str:
    """`P-value`, `p value` and `p.value` are one name."""
    return re.sub(r"[^a-z0-9%]+", "_", str(column).strip().lower()).strip("_")


def _pairs(frame: pd.DataFrame) -> Iterator[tuple[str, pd.Series[Any]]]:
    """`A vs B` in one cell as two models."""
    column = next((c for c in frame if _key(c) in ("comparison", "contrast", "pair")), None)
    if column is None or "model_1" in frame or not len(frame):
        return
    found = [_PAIR.match(str(cell)) for cell in frame[column]]
    if all(found):
        for i in (1, 2):
            names = [match[i] for match in found if match]
            yield f"model_{i}", pd.Series(names, index=frame.index, dtype=object)


def _intervals(frame: pd.DataFrame) -> Iterator[tuple[str, pd.Series[float]]]:
    """`1.2 (0.9-1.7)` under an odds ratio, or its limits in a column beside it, as numbers."""
    plain = next((c for c in frame if _key(c) in _RATIOS), None)
    if plain is not None and "estimate" not in frame:
        yield "estimate", frame[plain].map(_amount)
    if "conf_high" in frame:
        return
    both = next((c for c in frame if _RATIO.match(str(c).strip())), None)
    beside = next((c for c in frame if re.fullmatch(r"(95%?_)?ci", _key(c))), None)
    if both is not None:
        yield from _matched(frame[both], _INTERVAL, ("estimate", "conf_low", "conf_high"))
    elif plain is not None and beside is not None:
        yield from _matched(frame[beside], _LIMITS, ("conf_low", "conf_high"))


def _matched(
    cells: pd.Series[Any], form: re.Pattern[str], names: tuple[str, ...]
) -> Iterator[tuple[str, pd.Series[float]]]:
    found = [form.match(str(cell)) for cell in cells]
    for i, name in enumerate(names, 1):
        values = [float("nan") if match is None else _amount(match[i]) for match in found]
        yield name, pd.Series(values, index=cells.index, dtype=float)


def _amount(cell: Any) -> float:
    """A printed number; more than what could be printed is infinite."""
    text = str(cell).strip().replace("∞", "inf")
    if text.startswith(">"):
        return float("inf")
    try:
        return float(text.lstrip("< "))
    except ValueError:
        return float("nan")


def _p_values(frame: pd.DataFrame) -> Iterator[tuple[str, pd.Series[float]]]:
    """`<0.001` as the number it stands beside."""
    for name in ("p_value", "p_adjusted"):
        if name in frame and not pd.api.types.is_numeric_dtype(frame[name].dtype):
            found = [_P.match(str(cell)) for cell in frame[name]]
            values = [float("nan") if match is None else float(match[1]) for match in found]
            yield name, pd.Series(values, index=frame.index, dtype=float)
