"""The only place that rounds: numbers become text here, by the rules of a journal.

Rounding is half-up on the decimal digits a person would write down (`repr`), never the binary
value: 0.045 becomes 0.05. A rounded number never tells another story than the number itself: a p
value below .05 stays below it in print, an AUC below 1 is never printed as 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal

from reports.number_presets import PRESETS, NumberPreset, number_preset
from usstats._check import check_option
from usstats.errors import ArgumentError

__all__ = [
    "PRESETS",
    "NumberPreset",
    "format_auc",
    "format_count",
    "format_estimate",
    "format_mean_sd",
    "format_median_iqr",
    "format_number",
    "format_p",
    "format_percent",
    "format_ratio",
    "format_risk",
    "format_shortest",
    "format_significant",
    "number_preset",
    "spread_decimals",
]

MINUS = "\N{MINUS SIGN}"
NOT_ESTIMABLE = "not estimable"
SIGNIFICANCE = 0.05
_MOST_P_DECIMALS = 5
_WIDE = Context(prec=700)
#: pandas' missing values, told by name so that nothing has to be imported for them.
_MISSING_TYPES = ("NAType", "NaTType")
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def format_number(value: float, decimals: int = 2, *, preset: str | NumberPreset = "ama") -> str:
    """Round half up on the decimal digits; no minus before a zero, a true minus elsewhere.

    Examples
    --------
    >>> format_number(0.045), format_number(-0.0004, 3), format_number(-1.5, 1)
    ('0.05', '0.000', '−1.5')
    """
    style = number_preset(preset)
    if not _finite(value):
        return style.missing
    return _marked(_rounded(value, decimals), style)


def format_significant(value: float, digits: int = 4, *, preset: str | NumberPreset = "ama") -> str:
    """Keep so many significant digits: for coefficients, whose size says nothing.

    Examples
    --------
    >>> format_significant(-0.000123456), format_significant(12.3456), format_significant(2e-9, 2)
    ('−0.0001235', '12.35', '2.0×10⁻⁹')
    """
    style = number_preset(preset)
    if not _finite(value):
        return style.missing
    exponent = _exponent(value, digits)
    if -5 <= exponent < max(digits, 6):
        return _marked(_rounded(value, max(digits - 1 - exponent, 0)), style)
    mantissa = _decimal(value).scaleb(-exponent)
    shown = _marked(_quantized(mantissa, digits - 1), style)
    return f"{shown}×10{str(exponent).translate(_SUPERSCRIPTS)}"


def format_shortest(value: float, digits: int = 4, *, preset: str | NumberPreset = "ama") -> str:
    """Keep at most so many significant digits, without zeros behind the mark: for ends of ranges.

    Examples
    --------
    >>> [format_shortest(x) for x in (15.0, 0.99982, 1.38, 120.5)]
    ['15', '0.9998', '1.38', '120.5']
    """
    style = number_preset(preset)
    text = format_significant(value, digits, preset=style)
    whole, mark, rest = text.partition(style.decimal_mark)
    return f"{whole}{mark}{rest.rstrip('0')}".removesuffix(mark or " ") if mark else text


def format_p(
    p: float,
    *,
    preset: str | NumberPreset = "ama",
    symbol: bool = False,
    significance: float = SIGNIFICANCE,
) -> str:
    """Return a p value that says the same as the number did.

    Two decimals from .01 upwards, three below; more where fewer would carry it over
    `significance`; a floor and a ceiling, so that it is never printed as 0 or 1.

    Parameters
    ----------
    p : float
        NaN becomes the preset's sign for a missing value.
    preset : str or NumberPreset
    symbol : bool
        Write `P=` before it.
    significance : float

    Examples
    --------
    >>> [format_p(p) for p in (0.0496, 0.00049, 0.9996, 0.03, 0.0034)]
    ['.0496', '<.001', '>.99', '.03', '.003']
    >>> format_p(0.0001, preset="esr", symbol=True)
    'p < 0.001'
    """
    style = number_preset(preset)
    if not _finite(p):
        return style.missing
    if not 0 <= p <= 1:
        msg = f"`p` must lie in [0, 1]; got {p!r}."
        raise ArgumentError(msg)
    relation, digits = _p_parts(p, style, significance)
    shown = _marked(digits if style.p_leading_zero else digits.removeprefix("0"), style)
    space = " " if style.operator_space else ""
    if symbol:
        return f"{style.p_symbol}{space}{relation}{space}{shown}"
    return shown if relation == "=" else f"{relation}{space}{shown}"


def format_auc(value: float, decimals: int = 3, *, preset: str | NumberPreset = "ama") -> str:
    """Format a number between 0 and 1 that must not become 0 or 1 by rounding.

    Examples
    --------
    >>> format_auc(0.9996), format_auc(0.9123, 2), format_auc(1.0), format_auc(0.0002)
    ('> 0.999', '0.91', '1.000', '< 0.001')
    """
    style = number_preset(preset)
    if not _finite(value):
        return style.missing
    rounded = _rounded(value, decimals)
    step = Decimal(1).scaleb(-decimals)
    if Decimal(rounded) == 1 and value < 1:
        return f"> {_marked(str(1 - step), style)}"
    if Decimal(rounded) == 0 and value > 0:
        return f"< {_marked(str(step), style)}"
    return _marked(rounded, style)


def format_ratio(value: float, *, preset: str | NumberPreset = "ama") -> str:
    """Format an odds or likelihood ratio: two decimals, more for small ones, never 0.00.

    Examples
    --------
    >>> [format_ratio(x) for x in (1.234, 0.0456, 0.00012, 123.4, 1.5e6, 0.0)]
    ['1.23', '0.046', '0.0001', '123', '1.5×10⁶', '0']
    """
    style = number_preset(preset)
    if not _finite(value):
        return "∞" if _number(value) == math.inf else style.missing
    size = abs(value)
    if size == 0:
        return "0"
    if size < 0.00005:
        return f"< {_marked('0.0001', style)}"
    if size >= 100_000:
        return format_significant(value, 2, preset=style)
    decimals = next(
        d for d, least in ((0, 100), (1, 10), (2, 0.1), (3, 0.01), (4, 0)) if size >= least
    )
    return _marked(_rounded(value, decimals), style)


def format_estimate(
    estimate: float,
    low: float,
    high: float,
    *,
    decimals: int = 2,
    preset: str | NumberPreset = "ama",
    kind: str = "number",
) -> str:
    """An estimate and its confidence limits in one cell.

    Parameters
    ----------
    estimate, low, high : float
        A missing estimate is `not estimable`; without limits the estimate stands alone.
    decimals : int
    preset : str or NumberPreset
    kind : {"number", "unit", "ratio"}
        `unit`: between 0 and 1, see `format_auc`; `ratio`: see `format_ratio`.

    Examples
    --------
    >>> format_estimate(0.9123, 0.8571, 0.9511)
    '0.91 (0.86-0.95)'
    >>> format_estimate(-0.2, -0.5, 0.1, decimals=1, preset="esr")
    '−0.2 (−0.5 to 0.1)'
    >>> format_estimate(float("nan"), 0, 1)
    'not estimable'
    """
    check_option(kind, ("number", "unit", "ratio"), name="kind")
    style = number_preset(preset)
    estimate, low, high = (_number(value) for value in (estimate, low, high))
    if math.isnan(estimate):
        return NOT_ESTIMABLE
    write = _writer(kind, decimals, style)
    if math.isnan(low) and math.isnan(high):
        return write(estimate)
    return f"{write(estimate)} ({_joined(write(low), write(high), style.between_limits)})"


def format_count(n: float, *, preset: str | NumberPreset = "ama") -> str:
    """A count, or the preset's sign for a missing one.

    >>> format_count(38.0), format_count(float("nan"))
    ('38', '–')
    """
    style = number_preset(preset)
    return style.missing if not _finite(n) else _marked(_rounded(n, 0), style)


def format_percent(n: float, total: float, *, preset: str | NumberPreset = "ama") -> str:
    """n/N with its percentage; decimals by the size of N (none below 100, two from 1000 on).

    Examples
    --------
    >>> format_percent(34, 75), format_percent(38, 252), format_percent(0, 0)
    ('34/75 (45%)', '38/252 (15.1%)', '0/0 (–)')
    """
    style = number_preset(preset)
    if not _finite(n) or not _finite(total):
        return style.missing
    counts = (_marked(_rounded(count, 0), style) for count in (n, total))
    return f"{'/'.join(counts)} ({_percentage(n, total, style)})"


def format_risk(risk: float, decimals: int = 0, *, preset: str | NumberPreset = "ama") -> str:
    """A probability as a percentage that is 0 or 100 only when it is exactly so.

    >>> format_risk(0.123), format_risk(0.9999, 1), format_risk(0.0)
    ('12%', '>99.9%', '0%')
    """
    style = number_preset(preset)
    if not _finite(risk):
        return style.missing
    return _whole_only_if_true(Decimal(100) * _decimal(risk), decimals, style)


def format_mean_sd(
    mean: float, sd: float, *, decimals: int | None = None, preset: str | NumberPreset = "ama"
) -> str:
    """Mean (SD), with as many decimals as the SD can carry.

    >>> format_mean_sd(34.216, 5.127), format_mean_sd(0.61234, 0.0512)
    ('34.2 (5.1)', '0.612 (0.051)')
    """
    if math.isnan(_number(mean)):
        return NOT_ESTIMABLE
    places = spread_decimals(sd) if decimals is None else decimals
    shown = format_number(mean, places, preset=preset)
    return f"{shown} ({format_number(sd, places, preset=preset)})"


def format_median_iqr(
    median: float,
    low: float,
    high: float,
    *,
    decimals: int | None = None,
    preset: str | NumberPreset = "ama",
) -> str:
    """Median (lower to upper quartile).

    >>> format_median_iqr(34, 30, 39.5), format_median_iqr(-1, -2, 0.5, preset="lancet")
    ('34.0 (30.0-39.5)', '−1·0 (−2·0 to 0·5)')
    """
    if math.isnan(_number(median)):
        return NOT_ESTIMABLE
    style = number_preset(preset)
    places = spread_decimals((high - low) / 1.349) if decimals is None else decimals
    quartiles = (format_number(x, places, preset=style) for x in (low, high))
    shown = format_number(median, places, preset=style)
    return f"{shown} ({_joined(*quartiles, style.between_quartiles)})"


def spread_decimals(spread: float, *, most: int = 4) -> int:
    """Decimals that fit a standard deviation: none from 100 on, one from 1 on, more below.

    >>> [spread_decimals(sd) for sd in (520.0, 12.0, 5.1, 0.5, 0.05, 0.0)]
    [0, 1, 1, 2, 3, 1]
    """
    if not _finite(spread) or spread <= 0:
        return 1
    if spread >= 1:
        return 0 if spread >= 100 else 1
    return min(1 - math.floor(math.log10(spread)), most)


def _finite(value: float | None) -> bool:
    return math.isfinite(_number(value))


def _number(value: float | None) -> float:
    """The value as a float; what stands for a missing one in a table is NaN."""
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return math.nan
    if isinstance(value, str):
        msg = f"A number was expected; got the text {value!r}."
        raise ArgumentError(msg)
    return float(value)


def _decimal(value: float) -> Decimal:
    """The decimal a person would write down for this float."""
    return Decimal(repr(float(value)))


def _quantized(value: Decimal, decimals: int) -> str:
    step = Decimal(1).scaleb(-decimals)
    rounded = value.quantize(step, rounding=ROUND_HALF_UP, context=_WIDE)
    return f"{abs(rounded) if rounded == 0 else rounded:f}"


def _rounded(value: float, decimals: int) -> str:
    """Digits of `value`, half up, with an ASCII minus and no negative zero."""
    return _quantized(_decimal(value), decimals)


def _marked(digits: str, style: NumberPreset) -> str:
    return digits.replace("-", MINUS).replace(".", style.decimal_mark)


def _exponent(value: float, digits: int) -> int:
    """Power of ten of `value` once it is rounded to `digits` significant digits."""
    number = _decimal(value)
    if number == 0:
        return 0
    exponent = number.adjusted()
    rounded = Decimal(_quantized(number.scaleb(-exponent), digits - 1))
    return exponent + rounded.adjusted()


def _p_parts(p: float, style: NumberPreset, significance: float) -> tuple[str, str]:
    """Relation and digits: ('=', '0.04'), ('<', '0.001') or ('>', '0.99')."""
    if p < style.p_floor:
        return "<", f"{_decimal(style.p_floor):f}"
    if p > 0.99:
        return ">", "0.99"
    least = next(d for d, bound in ((2, 0.01), (3, 0.001), (4, 0.0)) if p >= bound)
    for decimals in range(least, _MOST_P_DECIMALS + 1):
        digits = _rounded(p, decimals)
        if (Decimal(digits) < _decimal(significance)) == (p < significance):
            return "=", digits
    return "<", f"{_decimal(significance):f}"


def _writer(kind: str, decimals: int, style: NumberPreset) -> Callable[[float], str]:
    """The function that writes one number of this kind."""
    if kind == "ratio":
        return lambda value: format_ratio(value, preset=style)
    single = format_auc if kind == "unit" else format_number
    return lambda value: single(value, decimals, preset=style)


def _joined(low: str, high: str, between: str) -> str:
    """Two limits; where a dash would read as a minus or clash with a sign, `to` stands in."""
    ambiguous = any(sign in low + high for sign in (MINUS, "<", ">", "–", "×"))
    return f"{low}{' to ' if ambiguous else between}{high}"


def _percentage(n: float, total: float, style: NumberPreset) -> str:
    if total == 0:
        return style.missing
    decimals = 0 if total < 100 else 1 if total < 1000 else 2
    return _whole_only_if_true(Decimal(100) * _decimal(n) / _decimal(total), decimals, style)


def _whole_only_if_true(percent: Decimal, decimals: int, style: NumberPreset) -> str:
    """A percentage that becomes 0 or 100 by rounding says so with a sign."""
    rounded, step = Decimal(_quantized(percent, decimals)), Decimal(1).scaleb(-decimals)
    if rounded == 0 and percent > 0:
        return f"<{_marked(str(step), style)}%"
    if rounded == 100 and percent < 100:
        return f">{_marked(str(100 - step), style)}%"
    return f"{_marked(str(rounded), style)}%"
