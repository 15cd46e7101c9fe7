"""Nomograms of Cox models: points, survival, risk and median against the model itself."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.usstats.test_nomogram import assert_ticks_stand_where_their_labels_say
from usstats.errors import ArgumentError
from usstats.nomogram import build_nomogram
from usstats.survival import CoxFit, fit_cox

TIMES = (12.0, 30.0)
ALL = ("survival", "risk", "median")


@cache
def followed(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    data = pd.DataFrame(
        {
            "age": rng.normal(60, 10, n).round(1),
            "fsh": np.exp(rng.normal(size=n)),
            "sex": rng.choice(["f", "m"], n),
            "site": rng.choice(["a", "b", "c"], n),
            "patient": np.arange(n) // 2,
        }
    )
    lp = 0.04 * (data["age"] - 60) + 0.5 * (data["sex"] == "m") + 0.3 * np.log(data["fsh"])
    event, end = rng.exponential(30 * np.exp(-lp)), rng.uniform(5, 60, n)
    return data.assign(
        months=np.minimum(event, end).round(1) + 0.1, dead=(event <= end).astype(int)
    )


FITS = {
    "linear": ("age + log(fsh)", {}),
    "spline by factor": ("rcs(age, 4)*sex + site", {}),
    "Breslow": ("age + sex", {"ties": "breslow"}),
    "penalised": ("rcs(age, 3) + site + log(fsh)", {"penalty": 4.0}),
    "clustered": ("age + site*sex", {"cluster": "patient"}),
}


@cache
def cox(name: str) -> CoxFit:
    terms, options = FITS[name]
    return fit_cox(f"Surv(months, dead) ~ {terms}", followed(), **options)


def patients(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "age": rng.uniform(20, 100, n),
            "fsh": np.exp(rng.normal(scale=2, size=n)),
            "sex": rng.choice(["f", "m"], n),
            "site": rng.choice(["a", "b", "c"], n),
        }
    )


@pytest.mark.parametrize("name", FITS)
def test_points_of_ten_thousand_patients_are_the_models_predictions(name: str) -> None:
    fit, data = cox(name), patients(10_000)
    nomogram = build_nomogram(fit, times=TIMES, scales=ALL)
    read = nomogram.read(data)
    groups = [group.name for group in nomogram.groups]
    np.testing.assert_allclose(read[groups].sum(axis=1), read["total"], rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(read["lp"], fit.linear_predictor(data), atol=1e-9)
    for time in TIMES:
        survival = fit.baseline_survival(time) ** np.exp(fit.linear_predictor(data))
        np.testing.assert_allclose(read[f"survival_{time:g}"], survival, atol=1e-9)
        np.testing.assert_allclose(read[f"risk_{time:g}"], fit.risk(data, time), atol=1e-9)
    np.testing.assert_allclose(read["risk"], fit.predict(data, horizon=TIMES[0]), atol=1e-9)
    expected = fit.predict_interval(data, horizon=TIMES[0])
    np.testing.assert_allclose(read["conf_low"], expected["conf_low"], atol=1e-9)
    np.testing.assert_allclose(read["conf_high"], expected["conf_high"], atol=1e-9)


@pytest.mark.parametrize("name", FITS)
def test_every_tick_stands_where_its_label_says(name: str) -> None:
    fit = cox(name)
    nomogram = build_nomogram(fit, times=TIMES, scales=ALL)
    assert_ticks_stand_where_their_labels_say(fit, nomogram)
    medians = nomogram.outcomes[-1]
    for tick, lp in zip(medians.ticks, medians.scale.to_lp(medians.ticks), strict=True):
        assert fit.baseline_survival(tick) ** np.exp(lp) == pytest.approx(0.5, abs=1e-12)
    assert len(medians.ticks) >= 3


def test_the_median_is_the_first_time_at_which_half_have_had_the_event() -> None:
    fit, data = cox("linear"), patients(200)
    read = build_nomogram(fit, times=12, scales=("median",)).read(data)
    times = fit.baseline.times
    survival = fit.survival(data, times)
    naive = [
        times[np.flatnonzero(row <= 0.5)[0]] if row.min() <= 0.5 else np.inf for row in survival
    ]
    np.testing.assert_array_equal(read["median_survival"], naive)
    assert np.isinf(naive).any()


def test_limits_of_the_median_are_where_those_of_survival_reach_a_half() -> None:
    fit = cox("linear")
    row = pd.DataFrame({"age": [70.0], "fsh": [1.0]})
    reading = build_nomogram(fit, times=12, scales=ALL).points(age=70.0, fsh=1.0)
    median = reading.outcomes[-1]
    times = fit.baseline.times
    bands = [fit.predict_interval(row, horizon=float(t)).iloc[0] for t in times]
    reached = {
        end: times[next(i for i, band in enumerate(bands) if band[end] >= 0.5)]
        for end in ("conf_low", "conf_high")
    }
    assert (median.conf_low, median.conf_high) == (reached["conf_high"], reached["conf_low"])


def test_a_reading_gives_every_lower_axis_with_its_interval() -> None:
    nomogram = build_nomogram(cox("linear"), times=(30, 12), scales=ALL, time_unit="months")
    reading = nomogram.points(age=70.0, fsh=1.0, conf_level=0.9)
    table = reading.outcome_frame()
    assert table["measure"].tolist() == ["survival", "survival", "risk", "risk", "median"]
    assert table["time"].tolist()[:4] == [30, 12, 30, 12]
    assert (table["conf_low"] < table["estimate"]).all()
    assert (table["estimate"] < table["conf_high"]).all()
    assert table.loc[0, "estimate"] == pytest.approx(1 - reading.risk, abs=1e-12)
    assert table.loc[0, "conf_low"] == pytest.approx(1 - reading.conf_high, abs=1e-12)
    assert "Survival at 30 months 0." in repr(reading)
    assert "times 30, 12" in repr(nomogram)


def test_higher_points_mean_worse_survival() -> None:
    nomogram = build_nomogram(cox("linear"), times=12)
    totals = np.linspace(0, nomogram.total_ticks[-1], 50)
    assert (np.diff(nomogram.risk(totals)) > 0).all()
    risk = nomogram.frame().query("kind == 'risk'")
    np.testing.assert_allclose(nomogram.risk(risk["points"]), risk["value"], rtol=1e-9)
    np.testing.assert_allclose(nomogram.total_of_risk(risk["value"]), risk["points"], rtol=1e-9)


def test_chosen_risks_are_shown_as_survival_too() -> None:
    nomogram = build_nomogram(cox("linear"), times=12, risk_ticks=(0.2, 0.4, 0.5))
    survival, risk = nomogram.outcomes
    assert risk.ticks == (0.2, 0.4, 0.5)
    assert survival.ticks == (0.8, 0.6, 0.5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "A Cox model gives survival at a time: choose `times`"),
        ({"times": ()}, "`times` must be positive"),
        ({"times": (12, 12)}, "`times` must be distinct"),
        ({"times": 999}, "not after the end of follow-up"),
        ({"times": 0.01}, "No event happened by 0.01"),
        ({"times": "12 months"}, "`times` must be numbers"),
        ({"times": 12, "scales": ("hazard",)}, "`scales` must be one of"),
        ({"times": 12, "scales": ()}, "`scales` must name each axis once"),
        ({"times": 12, "scales": ("risk", "risk")}, "`scales` must name each axis once"),
    ],
)
def test_options_are_checked(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        build_nomogram(cox("linear"), **options)
