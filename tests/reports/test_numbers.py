"""Rounding never tells another story than the number."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.numbers import (
    PRESETS,
    NumberPreset,
    format_auc,
    format_count,
    format_estimate,
    format_mean_sd,
    format_median_iqr,
    format_number,
    format_p,
    format_percent,
    format_ratio,
    format_risk,
    format_shortest,
    format_significant,
    number_preset,
)
from usstats.errors import ArgumentError

presets = st.sampled_from(sorted(PRESETS))
p_values = st.floats(0, 1) | st.floats(0.045, 0.055) | st.floats(0, 0.002) | st.floats(0.98, 1)
finite = st.floats(-1e12, 1e12)


def as_number(text: str) -> Decimal:
    return Decimal(re.sub("[<> ]", "", text).replace("−", "-").replace("·", "."))


@pytest.mark.parametrize(
    ("p", "ama", "esr", "lancet"),
    [
        (0.0496, ".0496", "0.0496", "0·0496"),
        (0.049, ".049", "0.049", "0·049"),
        (0.05, ".05", "0.05", "0·05"),
        (0.0504, ".05", "0.05", "0·05"),
        (0.0499999, "<.05", "< 0.05", "<0·05"),
        (0.00049, "<.001", "< 0.001", "0·0005"),
        (0.00004, "<.001", "< 0.001", "<0·0001"),
        (0.0, "<.001", "< 0.001", "<0·0001"),
        (0.001, ".001", "0.001", "0·001"),
        (0.0034, ".003", "0.003", "0·003"),
        (0.04, ".04", "0.04", "0·04"),
        (0.9996, ">.99", "> 0.99", ">0·99"),
        (0.99, ".99", "0.99", "0·99"),
        (1.0, ">.99", "> 0.99", ">0·99"),
        (0.125, ".13", "0.13", "0·13"),
        (float("nan"), "–", "–", "–"),
    ],
)
def test_p_values_by_journal(p, ama, esr, lancet):
    assert format_p(p) == ama
    assert format_p(p, preset="esr") == esr
    assert format_p(p, preset="lancet") == lancet


def test_p_with_its_symbol():
    assert format_p(0.04, symbol=True) == "P=.04"
    assert format_p(0.0004, symbol=True) == "P<.001"
    assert format_p(0.04, preset="esr", symbol=True) == "p = 0.04"
    assert format_p(0.0004, preset="nejm", symbol=True) == "P<0.001"


@example(p=0.0496, preset="ama")
@example(p=0.04999999999, preset="ama")
@given(p=p_values, preset=presets)
def test_rounding_never_carries_p_over_the_threshold_nor_to_zero_or_one(p, preset):
    text = format_p(p, preset=preset)
    shown = as_number(text)
    assert 0 < shown < 1
    assert (shown < Decimal("0.05") or (text.startswith("<") and shown == Decimal("0.05"))) == (
        p < 0.05
    )
    if not text.startswith(("<", ">")):
        assert abs(shown - Decimal(repr(p))) <= Decimal("0.005")
    assert not re.search(r"[.·]000?$", text)


@pytest.mark.parametrize("p", [-0.1, 1.2])
def test_a_p_value_outside_its_range_is_refused(p):
    with pytest.raises(ArgumentError, match=r"`p` must lie in \[0, 1\]"):
        format_p(p)


@given(value=finite, decimals=st.integers(0, 6), preset=presets)
def test_numbers_are_rounded_half_up_on_their_digits(value, decimals, preset):
    text = format_number(value, decimals, preset=preset)
    exact = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_HALF_UP)
    assert as_number(text) == exact
    assert "-" not in text
    if exact == 0:
        assert "−" not in text


def test_known_rounding_traps():
    assert [format_number(x) for x in (0.045, 2.675, 1.005, -0.004, 1e16)] == [
        "0.05",
        "2.68",
        "1.01",
        "0.00",
        "10000000000000000.00",
    ]
    assert format_number(float("nan")) == "–"
    assert format_number(float("inf")) == "–"
    assert format_number(23.45, 1, preset="lancet") == "23·5"


@given(value=st.floats(0, 1), decimals=st.integers(1, 4))
def test_an_auc_below_one_is_never_printed_as_one(value, decimals):
    text = format_auc(value, decimals)
    shown = as_number(text)
    assert (shown == 1) == (value == 1)
    assert (shown == 0) == (value == 0)
    if text.startswith(">"):
        assert value > shown
    if text.startswith("<"):
        assert value < shown


def test_auc_examples():
    assert format_auc(0.9996) == "> 0.999"
    assert format_auc(0.9996, preset="lancet") == "> 0·999"
    assert format_auc(0.99949) == "0.999"


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("ama", "0.91 (0.86-0.95)"),
        ("esr", "0.91 (0.86–0.95)"),
        ("lancet", "0·91 (0·86 to 0·95)"),
        ("nejm", "0.91 (0.86 to 0.95)"),
        ("plain", "0.91 (0.86 to 0.95)"),
    ],
)
def test_estimates_by_journal(preset, expected):
    assert format_estimate(0.912, 0.861, 0.949, preset=preset) == expected


def test_estimates_without_limits_or_value():
    nan = float("nan")
    assert format_estimate(nan, nan, nan) == "not estimable"
    assert format_estimate(0.5, nan, nan) == "0.50"
    assert format_estimate(2.0, 0.5, nan, kind="ratio") == "2.00 (0.50 to –)"
    assert format_estimate(0.99, 0.9, 0.9999, kind="unit") == "0.99 (0.90 to > 0.99)"
    assert format_estimate(5.0, 1.2, float("inf"), kind="ratio") == "5.00 (1.20-∞)"
    with pytest.raises(ArgumentError, match="`kind` must be one of"):
        format_estimate(1, 0, 2, kind="odds")


@given(estimate=finite, low=finite, high=finite, preset=presets)
def test_an_estimate_never_holds_a_bare_nan_or_a_hyphen_for_a_minus(estimate, low, high, preset):
    text = format_estimate(estimate, low, high, preset=preset)
    assert "nan" not in text
    assert not ("−" in text.partition("(")[2] and "-" in text)


@given(value=st.floats(1e-300, 1e300))
def test_a_ratio_is_never_printed_as_zero(value):
    assert re.search("[1-9]", format_ratio(value))


def test_ratios_by_size():
    values = (0.004, 1 / 3, 9.995, 99.96, 12345.6, 2e-7)
    assert [format_ratio(x) for x in values] == [
        "0.0040",
        "0.33",
        "10.00",
        "100.0",
        "12346",
        "< 0.0001",
    ]


@given(n=st.integers(0, 5000), more=st.integers(0, 5000))
def test_a_percentage_is_whole_only_when_it_is(n, more):
    text = format_percent(n, n + more)
    assert text.startswith(f"{n}/{n + more} (")
    if more and n:
        assert "(100%" not in text
        assert "(0%" not in text
    decimals = 0 if n + more < 100 else 1 if n + more < 1000 else 2
    assert re.search(rf"\((–|[<>]?\d+(\.\d{{{decimals}}})?%)\)$", text)


@given(value=st.floats(1e-30, 1e30), digits=st.integers(1, 6))
def test_significant_digits(value, digits):
    text = format_significant(value, digits)
    mantissa, _, power = text.partition("×10")
    exponent = int(power.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")) or 0)
    assert float(mantissa) * 10.0**exponent == pytest.approx(
        value, rel=0.5 * 10 ** (1 - digits) * 1.01
    )


def test_mean_and_sd_follow_the_spread():
    assert format_mean_sd(12.34, 21.0) == "12.3 (21.0)"
    assert format_mean_sd(3450.0, 521.4) == "3450 (521)"
    assert format_mean_sd(12.34, 0.0) == "12.3 (0.0)"
    assert format_mean_sd(float("nan"), 1.0) == "not estimable"


def test_a_preset_of_ones_own():
    own = NumberPreset(name="own", decimal_mark=",", p_symbol="p")
    assert format_p(0.04, preset=own) == "0,04"
    assert number_preset("ama").source
    with pytest.raises(ArgumentError, match="`preset` must be one of 'ama'"):
        number_preset("nature")


anything = st.floats(allow_nan=True, allow_infinity=True, width=64)
#: What no printed number may hold in any journal's style.
NO_NUMBER = re.compile(r"nan|inf|None|e[+-]?\d|−0(?:[.·]0+)?(?![\d.·])|(?<![\d%])-", re.I)


def every_way_to_print(value: float, low: float, high: float, preset: str) -> list[str]:
    """The value through every formatter of the presets."""
    spread = abs(low) if low == low else low
    alone = (format_number, format_significant, format_shortest, format_auc, format_ratio)
    estimates = [
        format_estimate(value, low, high, kind=kind, preset=preset)
        for kind in ("number", "unit", "ratio")
    ]
    return [
        *(write(value, preset=preset) for write in alone),
        *estimates,
        format_count(value, preset=preset),
        format_risk(value, preset=preset),
        format_percent(value, high, preset=preset),
        format_mean_sd(value, spread, preset=preset),
        format_median_iqr(value, low, high, preset=preset),
    ]


@given(value=anything, low=anything, high=anything, preset=presets)
@example(value=-0.0, low=-0.0004, high=float("nan"), preset="ama")
@example(value=-0.0004, low=float("-inf"), high=float("inf"), preset="lancet")
@example(value=0.9996, low=0.045, high=0.9996, preset="nejm")
def test_no_style_prints_what_is_no_number(value, low, high, preset):
    for text in every_way_to_print(value, low, high, preset):
        assert text
        assert not NO_NUMBER.search(text), text


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_the_traps_of_rounding_hold_in_every_style(preset):
    style = number_preset(preset)

    def point(text: str) -> str:
        return text.replace(style.decimal_mark, ".")

    zero, space = "0" * style.p_leading_zero, " " * style.operator_space
    assert point(format_number(0.045, preset=preset)) == "0.05"
    assert point(format_number(-0.0004, 3, preset=preset)) == "0.000"
    assert point(format_auc(0.9996, preset=preset)) == "> 0.999"
    assert point(format_p(0.0496, preset=preset)) == f"{zero}.0496"
    assert point(format_p(0.9996, preset=preset)) == f">{space}{zero}.99"
    floor = f"<{space}{zero}.001" if style.p_floor == 0.001 else "0.0005"
    assert point(format_p(0.00049, preset=preset)) == floor


@given(p=p_values, preset=presets, alpha=st.sampled_from([0.05, 0.01, 0.025]))
def test_a_printed_p_value_is_on_the_side_of_the_threshold_it_is_on(p, preset, alpha):
    text = format_p(p, preset=preset, significance=alpha)
    shown = as_number(text)
    if text[0] == "<":
        assert p < shown
    elif text[0] == ">":
        assert p > shown
    else:
        assert (shown < Decimal(str(alpha))) == (p < alpha)
        assert 0 < shown < 1
