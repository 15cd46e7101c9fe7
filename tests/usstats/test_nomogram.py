"""Nomograms against rms::nomogram, and the law that points are the model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.reference import ReferenceCase, load_case
from tests.usstats.models import appendicitis, appx_nomogram_fit, birthweight, birthwt_nomogram_fit
from tests.usstats.test_logistic import simulated
from usstats.errors import ArgumentError, DesignError
from usstats.logistic import LogisticFit, fit_logistic
from usstats.nomogram import Nomogram, build_nomogram
from usstats.ticks import log_ticks, logit_ticks, pretty, tick_label


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


def largest_total(nomogram: Nomogram) -> float:
    return float(sum(axis.points.max() for axis in nomogram.axes))


@pytest.mark.parametrize("make", [explicit_axes, default_axes])
def test_axes_points_and_scales_equal_rms(make) -> None:  # type: ignore[no-untyped-def]
    case, nomogram = make()
    case.check(nomogram.points_per_lp, "points_per_unit_lp")
    case.check(nomogram.lp_at_zero, "lp_at_zero_points")
    assert [axis.name for axis in nomogram.axes] == list(case.expected["axes"])
    for axis, group in zip(nomogram.axes, nomogram.groups, strict=True):
        case.check(group.least, f"axis_min_effect.{axis.name}")
        case.check(group.most, f"axis_max_effect.{axis.name}")
        assert list(axis.values) == case.value(f"axes.{axis.name}.values")
        case.check(axis.effects, f"axes.{axis.name}.linear_predictor_part")
        case.check(axis.points, f"axes.{axis.name}.points")
    lp = case.value("lp_axis.lp")
    case.check(nomogram.total_of_lp(lp), "lp_axis.total_points")
    risks = case.value("fun_axis.risk.value")
    inside = [risk for risk in risks if nomogram.total_of_risk(risk) <= largest_total(nomogram)]
    assert set(inside) <= set(nomogram.risk_ticks)
    case.check(nomogram.total_of_risk(risks), "fun_axis.risk.total_points")
    case.check(nomogram.linear_predictor(case.value("table.total_points")), "table.lp")


@pytest.mark.parametrize(
    ("make", "data"), [(explicit_axes, appendicitis), (default_axes, birthweight)]
)
def test_rows_equal_rms(make, data) -> None:  # type: ignore[no-untyped-def]
    case, nomogram = make()
    rows = data().head(len(case.expected["rows"]["row"]))
    if "race_text" in rows:
        rows = rows.assign(race=rows["race_text"], smoke=rows["smoke_text"])
    read = nomogram.read(rows)
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


@pytest.mark.parametrize("name", varied_fits())
def test_every_tick_stands_where_its_label_says(name: str) -> None:
    fit = varied_fits()[name]
    nomogram = build_nomogram(fit)
    for group in nomogram.groups:
        for axis in group.axes:
            other = {v: fit.spec.ranges[v].adjust_to for v in fit.spec.variables}
            for label, points in zip(axis.labels, axis.points, strict=True):
                value = label.replace("\N{MINUS SIGN}", "-")
                number = fit.spec.mains[axis.variable].type != "factor"
                shown = {axis.variable: float(value) if number else value}
                given = {**other, **shown, **axis.given}
                assert nomogram.points(**given).points[group.name] == pytest.approx(
                    points, abs=1e-4
                )
    risk = nomogram.frame().query("kind == 'risk'")
    np.testing.assert_allclose(
        nomogram.risk(risk["points"]), [float(label) for label in risk["label"]], rtol=1e-9
    )


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


def test_two_continuous_variables_that_interact_are_refused() -> None:
    fit = fit_logistic("y ~ age*fsh", simulated())
    with pytest.raises(DesignError, match="age and fsh interact and are both continuous"):
        build_nomogram(fit)


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


def test_the_file_holds_no_patient(tmp_path: Path) -> None:
    path = tmp_path / "nomogram.json"
    nomogram = build_nomogram(appx_nomogram_fit())
    nomogram.to_json(path)
    content = json.loads(path.read_text("utf-8"))
    assert content["axes"][0]["points"] == nomogram.axes[0].points.tolist()
    assert path.stat().st_size < 20_000
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
