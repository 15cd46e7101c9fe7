"""Abstention curves against counts by hand, and what leaving cases out must and must not do."""

from __future__ import annotations

import numpy as np
import pytest

import usstats
from dl.abstention import abstention_curve
from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
)
from usstats.proportions import wilson
from usstats.results import Result

RNG = np.random.default_rng(12)
Y = RNG.integers(0, 2, 80)
LOGIT = 1.5 * (Y - 0.5) + RNG.normal(0, 1.5, 80)
P = 1 / (1 + np.exp(-LOGIT))
DOUBT = -np.abs(P - 0.5)
PATIENT = np.repeat(np.arange(40), 2)


def rows(curve, measure):
    table = curve.frame()
    return table[table["measure"] == measure].set_index("retained")


def test_each_point_is_the_measure_on_the_cases_kept():
    curve = abstention_curve(Y, P, uncertainty=DOUBT, retained=[1.0, 0.6])
    kept = np.argsort(DOUBT)[:48]
    for share, part in ((1.0, np.arange(80)), (0.6, kept)):
        expected = usstats.diagnostic_accuracy(Y[part], P[part], threshold=0.5).frame()
        expected = expected.set_index("measure")
        for measure in ("accuracy", "sensitivity", "specificity"):
            got = rows(curve, measure).loc[share]
            for column in ("estimate", "conf_low", "conf_high"):
                assert got[column] == pytest.approx(expected.loc[measure, column], rel=1e-12)
        area = usstats.auc(Y[part], P[part])
        got = rows(curve, "auc").loc[share]
        assert (got["estimate"], got["conf_low"]) == pytest.approx((area.estimate, area.conf_low))
        assert got["n"] == len(part)
        assert got["n_abstained"] == 80 - len(part)
        assert got["n_event"] == Y[part].sum()
        assert got["uncertainty_limit"] == DOUBT[part].max()


def test_cluster_gives_the_clustered_intervals():
    curve = abstention_curve(Y, P, uncertainty=DOUBT, retained=[1.0, 0.7], cluster=PATIENT)
    kept = np.argsort(DOUBT)[:56]
    expected = usstats.diagnostic_accuracy(
        Y[kept], P[kept], threshold=0.5, cluster=PATIENT[kept]
    ).frame()
    expected = expected.set_index("measure").loc["accuracy"]
    got = rows(curve, "accuracy").loc[0.7]
    assert got["conf_low"] == pytest.approx(expected["conf_low"])
    assert got["n_cluster"] == len(np.unique(PATIENT[kept]))
    assert curve.n_cluster == 40


def test_a_useful_uncertainty_beats_chance_and_a_useless_one_does_not():
    wrong = (P >= 0.5) != Y
    good = abstention_curve(Y, P, uncertainty=DOUBT)
    ideal = abstention_curve(Y, P, uncertainty=wrong.astype(float), retained=[1.0])
    flat = abstention_curve(Y, P, uncertainty=np.zeros(80), retained=[1.0])
    assert good.area_best < good.area < good.area_random
    assert ideal.area == pytest.approx(ideal.area_best)
    assert flat.area == pytest.approx(flat.area_random) == pytest.approx(wrong.mean())


def test_areas_by_a_loop():
    y, p = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.4, 0.2])
    doubt = np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    curve = abstention_curve(y, p, uncertainty=doubt, retained=[1.0])
    # In order of doubt: right, right, wrong, wrong, right.
    expected = np.mean([0, 0, 1 / 3, 2 / 4, 2 / 5])
    assert curve.area == pytest.approx(expected)
    assert curve.area_best == pytest.approx(np.mean([0, 0, 0, 1 / 4, 2 / 5]))


def test_ties_are_broken_by_no_order():
    doubt = np.round(RNG.random(80), 1)
    order = RNG.permutation(80)
    one = abstention_curve(Y, P, uncertainty=doubt)
    two = abstention_curve(Y[order], P[order], uncertainty=doubt[order])
    np.testing.assert_allclose(one.frame()["estimate"], two.frame()["estimate"])
    assert one.area == pytest.approx(two.area)
    assert rows(one, "accuracy").index[-1] > 0.5
    mean = np.mean(
        [
            abstention_curve(Y, P, uncertainty=doubt + 1e-6 * RNG.random(80), retained=[1.0]).area
            for _ in range(60)
        ]
    )
    assert one.area == pytest.approx(mean, abs=0.01)


def test_only_the_order_of_the_uncertainty_counts():
    one = abstention_curve(Y, P, uncertainty=DOUBT)
    two = abstention_curve(Y, P, uncertainty=np.exp(5 * DOUBT))
    np.testing.assert_array_equal(one.frame()["estimate"], two.frame()["estimate"])


def test_several_classes():
    p = RNG.dirichlet([1, 1, 1], 90)
    y = np.array([RNG.choice(3, p=row) for row in p])
    curve = abstention_curve(y, p, uncertainty=-p.max(axis=1), retained=[1.0, 0.5])
    table = curve.frame()
    assert table["measure"].unique().tolist() == ["accuracy"]
    right = p.argmax(axis=1) == y
    kept = np.argsort(-p.max(axis=1))[:45]
    assert table["estimate"].tolist() == pytest.approx([right.mean(), right[kept].mean()])
    interval = wilson(int(right.sum()), 90)
    assert table.loc[0, "conf_low"] == pytest.approx(interval.low)
    assert "n_event" not in table


def test_a_class_that_is_gone_is_not_estimable():
    y, p = np.array([0, 0, 0, 1]), np.array([0.1, 0.2, 0.3, 0.55])
    with pytest.warns(SmallSampleWarning, match=r"2 of 8 measures .*sensitivity at 75% retained"):
        curve = abstention_curve(y, p, uncertainty=-abs(p - 0.5), retained=[1.0, 0.75])
    assert np.isnan(rows(curve, "auc").loc[0.75, "estimate"])
    assert rows(curve, "accuracy").loc[0.75, "estimate"] == 1


def test_it_is_a_result():
    curve = abstention_curve(Y, P, uncertainty=DOUBT)
    assert isinstance(curve, Result)
    assert repr(curve).startswith("<AbstentionCurve: accuracy 0.")
    assert "n = 80, unit: case" in repr(curve)
    copy = curve.frame()
    copy["estimate"] = 0
    assert (curve.frame()["estimate"] > 0).all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"uncertainty": DOUBT[:10]}, PairingError, "`uncertainty` has 10"),
        ({"uncertainty": np.where(DOUBT > -0.1, np.nan, DOUBT)}, RiskError, "`uncertainty` must"),
        ({"retained": [0.0, 1.0]}, ArgumentError, "shares above 0 and up to 1"),
        ({"retained": []}, ArgumentError, "shares above 0"),
        ({"threshold": 1.5}, ArgumentError, "`threshold`"),
        ({"p": LOGIT}, RiskError, "If these are logits"),
        ({"p": np.column_stack([LOGIT, -LOGIT])}, RiskError, "apply softmax once"),
        ({"p": np.column_stack([1 - P, P]), "y": Y + 1}, OutcomeError, "classes 0 to 1"),
        ({"y": np.where(Y == 1, "yes", "no")}, OutcomeError, "which one is the event"),
    ],
)
def test_impossible_input_is_refused(change, error, message):
    given = {"y": Y, "p": P, "uncertainty": DOUBT} | change
    with pytest.raises(error, match=message):
        abstention_curve(given.pop("y"), given.pop("p"), **given)


def test_the_drawing_shows_the_numbers():
    curve = abstention_curve(Y, P, uncertainty=DOUBT)
    ax = curve.plot()
    lines = {line.get_label(): line for line in ax.get_lines()}
    table = rows(curve, "accuracy")
    np.testing.assert_allclose(lines["Accuracy"].get_ydata(), table["estimate"])
    np.testing.assert_allclose(lines["Accuracy"].get_xdata(), 100 * (1 - table.index))
    assert ax.get_xlabel() == "Cases left to people (%)"
