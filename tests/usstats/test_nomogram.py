"""Nomograms against rms::nomogram, and the law that points are the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from tests.reference import ReferenceCase, load_case
from tests.usstats.models import appendicitis, appx_nomogram_fit, birthweight, birthwt_nomogram_fit
from tests.usstats.test_logistic import simulated
from usstats._imputing.tables import impute
from usstats._nomogram.ticks import (
    log_ticks,
    logit_ticks,
    pretty,
    probability_ticks,
    tick_label,
    tick_labels,
    turning_points,
)
from usstats.errors import ArgumentError, DesignError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import Nomogram, build_nomogram
from usstats.pooled_fit import fit_imputed
from usstats.updating import update_model

Make = Callable[[], tuple[ReferenceCase, Nomogram]]


def explicit_axes() -> tuple[ReferenceCase, Nomogram]:
    case = load_case("nomogram_appx_explicit_axes")
    nomogram = build_nomogram(
        appx_nomogram_fit(),
        ticks=case.inputs["axes"],
        lp_ticks=case.inputs["lp_at"],
        risk_ticks=case.inputs["fun_at"],
    )
    return case, nomogram


def default_axes() -> tuple[ReferenceCase, Nomogram]:
    case = load_case("nomogram_birthwt_default_axes")
    return case, build_nomogram(birthwt_nomogram_fit(), risk_ticks=case.inputs["fun_at"])


CASES = [(explicit_axes, appendicitis), (default_axes, birthweight)]


@pytest.mark.parametrize(("make", "data"), CASES)
def test_axes_points_and_scales_equal_rms(make: Make, data: Callable[[], pd.DataFrame]) -> None:
    case, nomogram = make()
    case.check(nomogram.points_per_lp, "points_per_unit_lp")
    case.check(nomogram.lp_at_zero, "lp_at_zero_points")
    assert [axis.name for axis in nomogram.axes] == list(case.expected["axes"])
    for axis, group in zip(nomogram.axes, nomogram.groups, strict=True):
        case.check(group.least, f"axis_min_effect.{axis.name}")
        case.check(group.most, f"axis_max_effect.{axis.name}")
        path = f"axes.{axis.name}"
        if axis.has_levels:
            assert list(axis.values) == case.value(f"{path}.values")
        else:
            case.check(axis.values, f"{path}.values")
        case.check(axis.effects, f"{path}.linear_predictor_part")
        case.check(axis.points, f"{path}.points")


@pytest.mark.parametrize(("make", "data"), CASES)
def test_lower_axes_equal_rms(make: Make, data: Callable[[], pd.DataFrame]) -> None:
    """rms also prints values that no total points reach; its lp axis spans the data's range."""
    case, nomogram = make()
    last = float(nomogram.linear_predictor(nomogram.total_ticks[-1]))
    lp, risks = case.value("lp_axis.lp"), case.value("fun_axis.risk.value")
    assert {r for r in risks if special.logit(r) <= last} <= set(nomogram.risk_ticks)
    case.check(nomogram.linear_predictor(nomogram.total_of_lp(lp)), "lp_axis.lp")
    case.check(nomogram.total_of_lp(lp), "lp_axis.total_points")
    case.check(nomogram.risk(nomogram.total_of_risk(risks)), "fun_axis.risk.value")
    case.check(nomogram.total_of_risk(risks), "fun_axis.risk.total_points")
    totals = case.value("table.total_points")
    case.check(nomogram.total_of_lp(nomogram.linear_predictor(totals)), "table.total_points")
    case.check(nomogram.linear_predictor(totals), "table.lp")


@pytest.mark.parametrize(("make", "data"), CASES)
def test_rows_equal_rms(make: Make, data: Callable[[], pd.DataFrame]) -> None:
    case, nomogram = make()
    rows = data().iloc[[int(row) - 1 for row in case.value("rows.row")]]
    if "race_text" in rows:
        rows = rows.assign(race=rows["race_text"], smoke=rows["smoke_text"])
    read = nomogram.read(rows)
    case.check(read.index.to_numpy() + 1, "rows.row")
    case.check(read["total"], "rows.total_points")
    case.check(read["lp"], "rows.lp")


def varied_fits() -> dict[str, LogisticFit]:
    data = simulated(400)
    data["k"] = np.random.default_rng(1).integers(-3, 4, len(data))
    return {
        "transforms": fit_logistic("y ~ age + log(fsh) + logit(p) + site + left + k", data),
        "splines": fit_logistic("y ~ rcs(age, 5) + rcs(fsh, 3) + p", data),
        "curve x factor": fit_logistic("y ~ rcs(age, 4)*site + left*log(fsh) + p", data),
        "factor x factor": fit_logistic("y ~ site*left + age", data),
        "three": fit_logistic("y ~ age*left + age*site + site*left + k", data),
    }


def patients(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.uniform(-5, 30, n),
            "fsh": np.exp(rng.normal(scale=3, size=n)),
            "p": rng.uniform(1e-4, 1 - 1e-4, n),
            "site": rng.choice(["a", "b", "c"], n),
            "left": rng.random(n) < 0.5,
            "k": rng.integers(-3, 4, n),
        }
    )


@pytest.mark.parametrize("name", varied_fits())
def test_points_of_ten_thousand_patients_are_the_models_predictions(name: str) -> None:
    fit = varied_fits()[name]
    nomogram, data = build_nomogram(fit), patients(10_000, 3)
    read = nomogram.read(data)
    groups = [group.name for group in nomogram.groups]
    np.testing.assert_allclose(read[groups].sum(axis=1), read["total"], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(read["risk"], fit.predict(data), atol=1e-9)
    np.testing.assert_allclose(nomogram.risk(read["total"]), fit.predict(data), atol=1e-9)
    expected = fit.predict_interval(data)
    np.testing.assert_allclose(read["conf_low"], expected["conf_low"], atol=1e-9)


def number_of(label: str) -> float:
    return float(label.replace("\N{MINUS SIGN}", "-"))


def assert_ticks_stand_where_their_labels_say(fit: Any, nomogram: Nomogram) -> None:
    """A label, read as a number, has the points its tick stands at, to the printed precision."""
    other = {v: fit.spec.ranges[v].adjust_to for v in fit.spec.variables}
    for group in nomogram.groups:
        for axis in group.axes:
            assert len(set(axis.labels)) == len(axis.labels)
            number = fit.spec.mains[axis.variable].type != "factor"
            held = {
                name: value if fit.spec.mains[name].type == "factor" else number_of(value)
                for name, value in axis.given.items()
            }
            values = [number_of(label) if number else label for label in axis.labels]
            rows = pd.DataFrame([{**other, **held, axis.variable: value} for value in values])
            around = np.abs(np.diff(axis.points)).max(initial=0.0)
            found = nomogram.read(rows)[group.name].to_numpy()
            np.testing.assert_allclose(found, axis.points, atol=2e-3 * around + 1e-7)
    for axis in nomogram.lower_axes():
        if axis.kind in ("risk", "survival"):
            scale = next(
                a.scale for a in nomogram.outcomes if a.scale.title(fit.spec.outcome) == axis.name
            )
            shown = scale.of_lp(nomogram.linear_predictor(axis.points))
            labels = [number_of(label) for label in axis.labels]
            np.testing.assert_allclose(shown, labels, rtol=1e-5, atol=1e-12)
            assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", varied_fits())
def test_every_tick_stands_where_its_label_says(name: str) -> None:
    fit = varied_fits()[name]
    assert_ticks_stand_where_their_labels_say(fit, build_nomogram(fit))


TERMS = ("a", "log(b)", "logit(p)", "rcs(c, 4)", "f", "k", "a*f", "rcs(c, 3)*g", "log(b)*k")


@st.composite
def random_models(draw: st.DrawFn) -> tuple[LogisticFit, pd.DataFrame]:
    """A model of some terms on data of some scale, with slopes of any size and sign."""
    terms = draw(st.lists(st.sampled_from(TERMS), min_size=1, max_size=4, unique=True))
    if "rcs(c, 4)" in terms and "rcs(c, 3)*g" in terms:
        terms.remove("rcs(c, 4)")
    seed, decade = draw(st.integers(0, 10**6)), draw(st.integers(-9, 9))
    shift = draw(st.sampled_from([0.0, 1.0, -40.0, 1e5]))
    rng, n = np.random.default_rng(seed), 120
    data = pd.DataFrame(
        {
            "a": (rng.normal(size=n) + shift) * 10.0**decade,
            "b": np.exp(rng.normal(scale=3, size=n)),
            "p": special.expit(rng.normal(scale=3, size=n)),
            "c": rng.normal(size=n) - shift,
            "f": rng.choice(["u", "v", "w"], n),
            "g": rng.choice(["no", "yes"], n),
            "k": rng.integers(-2, 3, n),
            "y": rng.integers(0, 2, n),
        }
    )
    fit = fit_logistic(f"y ~ {' + '.join(terms)}", data, method="ridge", penalty=2.0)
    stretch = draw(st.sampled_from([0.01, 1.0, 20.0]))
    slopes = fit.params.iloc[1:] * stretch
    params = pd.concat([fit.params.iloc[:1], slopes])
    params.iloc[0] = fit.centred_intercept - float(np.asarray(fit.means)[1:] @ slopes)
    return replace(fit, params=params), data


@given(model=random_models())
@settings(max_examples=60)
def test_any_models_points_are_its_predictions_and_its_labels_are_true(
    model: tuple[LogisticFit, pd.DataFrame],
) -> None:
    fit, data = model
    nomogram = build_nomogram(fit)
    read = nomogram.read(data)
    np.testing.assert_allclose(read["risk"], fit.predict(data), atol=1e-9)
    assert_ticks_stand_where_their_labels_say(fit, nomogram)


@pytest.mark.parametrize(("shift", "times"), [(1e8, 1.0), (0.0, 1e12), (1e8, 1e5)])
def test_no_digits_are_lost_far_from_zero(shift: float, times: float) -> None:
    data = simulated(400)
    formula = "y ~ age + rcs(fsh, 4) + site"
    near = build_nomogram(fit_logistic(formula, data)).read(data)
    far = data.assign(age=data["age"] + shift, fsh=data["fsh"] * times)
    fit = fit_logistic(formula, far)
    nomogram = build_nomogram(fit)
    np.testing.assert_allclose(nomogram.read(far)["risk"], fit.predict(far), atol=1e-9)
    np.testing.assert_allclose(nomogram.read(far)["risk"], near["risk"], atol=1e-6)
    assert_ticks_stand_where_their_labels_say(fit, nomogram)


def fits_of_every_kind() -> dict[str, Any]:
    data = simulated(300)
    gaps = data.copy()
    gaps.loc[::7, "fsh"] = np.nan
    formula = "y ~ age + log(fsh) + site"
    ml = fit_logistic(formula, data)
    return {
        "ml": ml,
        "clustered": fit_logistic(formula, data, cluster=np.arange(300) // 3),
        **{m: fit_logistic(formula, data, method=m) for m in ("firth", "flic", "flac")},
        "ridge": fit_logistic(formula, data, method="ridge", penalty=3.0),
        "lasso": fit_logistic(formula, data, method="lasso", penalty=0.02),
        "pooled": fit_imputed(formula, impute(gaps, m=3, seed=1, outcome="y")),
        "new intercept": update_model(ml, data.iloc[:150], method="intercept"),
        "new slope": update_model(ml, data.iloc[:150], method="slope"),
    }


@pytest.mark.parametrize("name", fits_of_every_kind())
def test_every_kind_of_fit_is_drawn_up(name: str) -> None:
    fit, data = fits_of_every_kind()[name], simulated(300)
    read = build_nomogram(fit).read(data)
    np.testing.assert_allclose(read["risk"], fit.predict(data), atol=1e-9)
    half = 1.959963984540054 * np.sqrt(
        np.einsum(
            "ij,jk,ik->i", fit.spec.matrix(data), fit.covariance.to_numpy(), fit.spec.matrix(data)
        )
    )
    lp = fit.linear_predictor(data)
    np.testing.assert_allclose(read["conf_low"], special.expit(lp - half), atol=1e-9)
    np.testing.assert_allclose(read["conf_high"], special.expit(lp + half), atol=1e-9)


def test_axis_scale_spans_zero_to_the_maximum() -> None:
    for fit in varied_fits().values():
        nomogram = build_nomogram(fit, max_points=10)
        every = np.concatenate([axis.points for axis in nomogram.axes])
        assert every.min() == pytest.approx(0, abs=1e-12)
        assert every.max() == pytest.approx(10)
        for group in nomogram.groups:
            assert min(axis.points.min() for axis in group.axes) == pytest.approx(0, abs=1e-12)


def test_an_interaction_has_one_axis_per_level_and_its_names_say_so() -> None:
    nomogram = build_nomogram(varied_fits()["curve x factor"])
    assert [axis.name for axis in nomogram.axes] == [
        "age (site=a)",
        "age (site=b)",
        "age (site=c)",
        "fsh (left=False)",
        "fsh (left=True)",
        "p",
    ]
    assert list(nomogram.points(age=4, site="b", left=True, fsh=1.0, p=0.3).points) == [
        "age * site",
        "left * fsh",
        "p",
    ]


def test_two_continuous_variables_that_interact_need_one_of_them_held() -> None:
    fit, data = fit_logistic("y ~ age*fsh + p", simulated(400)), patients(2000, 5)
    text = r"age and fsh interact and are both continuous.*hold={'fsh': \(\.\.\.\)}"
    with pytest.raises(DesignError, match=text):
        build_nomogram(fit)
    nomogram = build_nomogram(fit, hold={"fsh": (0.5, 1, 4)})
    assert [axis.name for axis in nomogram.axes][:3] == [
        "age (fsh=0.5)",
        "age (fsh=1)",
        "age (fsh=4)",
    ]
    np.testing.assert_allclose(nomogram.read(data)["risk"], fit.predict(data), atol=1e-9)
    assert nomogram.points(age=9, fsh=1, p=0.5).between == ()
    assert nomogram.points(age=9, fsh=2, p=0.5).between == ("fsh",)
    assert_ticks_stand_where_their_labels_say(fit, nomogram)


def test_a_number_can_be_held_beside_a_factor_too() -> None:
    fit = fit_logistic("y ~ age*site", simulated(400))
    nomogram = build_nomogram(fit, hold={"age": (2, 10)})
    assert [axis.name for axis in nomogram.axes] == ["site (age=2)", "site (age=10)"]
    three = fit_logistic("y ~ age*fsh + fsh*p", simulated(400))
    with pytest.raises(DesignError, match="age and p interact and are both continuous"):
        build_nomogram(three, hold={"fsh": (1, 2)})
    both = build_nomogram(three, hold={"fsh": (1, 2), "p": (0.2, 0.5, 0.8)})
    assert len(both.axes) == 6


def test_a_patient_is_read_off_the_nearest_axis() -> None:
    fit = fit_logistic("y ~ age*fsh", simulated(400))
    nomogram = build_nomogram(fit, hold={"fsh": (0.5, 1, 4)})
    (group,) = nomogram.groups
    position, exact = group.axis_of({"fsh": np.array([0.1, 0.5, 0.9, 2.4, 3, 99])}, 6)
    assert position.tolist() == [0, 0, 1, 1, 2, 2]
    assert exact.tolist() == [False, True, False, False, False, False]


def test_a_reading_says_what_lies_outside_development_data() -> None:
    nomogram = build_nomogram(varied_fits()["transforms"])
    patient = {"age": 99.0, "fsh": 1.0, "p": 0.3, "site": "b", "left": True, "k": 0}
    reading = nomogram.points(**patient)
    assert reading.outside == ("age",)
    assert "outside development data: age" in repr(reading)
    assert reading.conf_low < reading.risk < reading.conf_high
    assert reading.frame()["term"].tolist()[-1] == "total"


def test_readings_need_every_variable_and_no_other() -> None:
    nomogram = build_nomogram(appx_nomogram_fit())
    with pytest.raises(ArgumentError, match=r"missing \['crp', 'sex', 'perit'\], unknown \['ag'\]"):
        nomogram.points(age=3, wbc=10, ag=1)
    with pytest.raises(DesignError, match=r"`sex` holds levels .*\['x'\] in 1 of 1 rows"):
        nomogram.points(age=3, wbc=10, crp=3, sex="x", perit="no")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"ticks": {"sex": [0, 1]}}, "are for numeric variables"),
        ({"ticks": {"age": [3, 1]}}, "at least two increasing numbers"),
        ({"ranges": {"age": (9, 2)}}, "at least two increasing numbers"),
        ({"hold": {"age": (3, 9)}}, r"`hold` is for variables that interact, \[\]; got"),
        ({"times": 12}, "`times` and `scales` are for a Cox model"),
        ({"scales": ("survival",)}, "`times` and `scales` are for a Cox model"),
        ({"max_points": 0}, "`max_points` must be positive"),
        ({"risk_ticks": [0.0, 0.5]}, "strictly between 0 and 1"),
    ],
)
def test_options_are_checked(options: dict[str, object], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        build_nomogram(appx_nomogram_fit(), **options)  # type: ignore[arg-type]


def test_ranges_replace_those_of_the_data() -> None:
    nomogram = build_nomogram(appx_nomogram_fit(), ranges={"age": (5, 15)})
    assert (nomogram.axes[0].values[0], nomogram.axes[0].values[-1]) == (5, 15)


def test_a_nomogram_says_what_it_is_of() -> None:
    nomogram = build_nomogram(appx_nomogram_fit())
    assert repr(nomogram).endswith("n = 358, events = 208, unit: row>")
    assert "age 0 to" in nomogram.summary()


@pytest.mark.parametrize(
    ("low", "high", "n", "expected"),
    [
        (14, 45, 10, [10, 15, 20, 25, 30, 35, 40, 45]),
        (80, 250, 10, list(range(80, 261, 20))),
        (0, 1, 10, [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]),
        (0, 100, 5, [0, 20, 40, 60, 80, 100]),
        (-7.2, 3.1, 5, [-8, -6, -4, -2, 0, 2, 4]),
        (0.001, 0.0047, 5, [0.001, 0.002, 0.003, 0.004, 0.005]),
        (1, 10, 4, [0, 2, 4, 6, 8, 10]),
        (0, 0.97, 5, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_pretty_gives_the_values_r_gives(
    low: float, high: float, n: int, expected: list[float]
) -> None:
    assert pretty(low, high, n) == pytest.approx(expected, abs=1e-15)


def test_pretty_covers_every_range() -> None:
    rng = np.random.default_rng(1)
    for _ in range(2000):
        low = rng.normal() * 10.0 ** rng.integers(-4, 5)
        high = low + abs(rng.normal()) * 10.0 ** rng.integers(-4, 5)
        ticks = pretty(low, high, int(rng.integers(3, 15)))
        assert ticks[0] <= low + 1e-9 * abs(low)
        assert ticks[-1] >= high - 1e-9 * abs(high)
        assert np.ptp(np.diff(ticks)) <= 1e-9 * (abs(low) + high - low)


def test_ticks_of_transformed_scales() -> None:
    assert log_ticks(1, 1) == pytest.approx(pretty(1, 1))
    assert log_ticks(3, 400) == [2, 5, 10, 20, 50, 100, 200, 500]
    assert logit_ticks(0.004, 0.3) == [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3]
    assert logit_ticks(0.9, 0.9993)[-3:] == [0.998, 0.999, 0.9995]
    assert [tick_label(v) for v in (1e-7, 123456.0, 0.1 + 0.2, -0.0)] == [
        "0.0000001",
        "123456",
        "0.3",
        "0",
    ]
    assert [tick_label(v) for v in (1.2e13, -4e-9)] == ["1.2e13", "\N{MINUS SIGN}4e\N{MINUS SIGN}9"]


def test_labels_of_an_axis_tell_its_ticks_apart() -> None:
    assert tick_labels(pretty(1e8, 1e8 + 4)) == (
        "100000000",
        "100000000.5",
        "100000001",
        "100000001.5",
        "100000002",
        "100000002.5",
        "100000003",
        "100000003.5",
        "100000004",
    )
    assert tick_labels([1 / 3, 2 / 3, "x"]) == ("0.333333", "0.666667", "x")


def test_probability_ticks_never_leave_the_range_and_are_never_alone() -> None:
    rng = np.random.default_rng(2)
    for _ in range(500):
        ends = np.sort(special.expit(rng.normal(scale=4, size=2) + rng.normal(scale=3)))
        ticks = probability_ticks(*ends)
        assert len(ticks) >= 3 or ends[1] > 1 - 1e-9 or np.ptp(ends) < 1e-9, ends
        assert all(ends[0] <= tick <= ends[1] for tick in ticks)


def test_turns_smaller_than_the_least_are_no_turns() -> None:
    assert turning_points([0, 3, 5, 4, 1, 2]) == [2, 4]
    assert turning_points([5, 3, 1]) == []
    assert turning_points([2, 2, 1]) == []
    assert turning_points([0, 1, 0.9, 2, 1.95, 0], least=0.2) == [3]
