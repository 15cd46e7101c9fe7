"""Three and more yes/no decisions: Cochran's Q, pairs with adjusted p values, and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.contingency_tables import cochrans_q

from usstats._multiplicity import adjust_p
from usstats.errors import ArgumentError, OutcomeError, PairingError, SmallSampleWarning
from usstats.thresholds import compare_accuracy, compare_decisions

PAIR_COLUMNS = ["measure", "model_1", "model_2", "estimate_1", "estimate_2", "estimate"]


def calls(n=120, seed=5):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    shown = {"ours": 0.25, "reader 1": 0.35, "reader 2": 0.4}
    return y, {name: np.where(rng.random(n) < wrong, 1 - y, y) for name, wrong in shown.items()}


def test_the_omnibus_test_is_cochrans_q_in_each_class():
    y, decisions = calls()
    table = np.stack(list(decisions.values()), axis=1)
    omnibus = compare_decisions(y, decisions).omnibus.set_index("measure")
    for name, rows in {
        "sensitivity": table[y == 1],
        "specificity": 1 - table[y == 0],
        "accuracy": (table == y[:, None]).astype(int),
    }.items():
        theirs = cochrans_q(rows)
        got = omnibus.loc[name]
        assert_allclose([got["statistic"], got["p_value"]], [theirs.statistic, theirs.pvalue])
        assert (got["df"], got["n"]) == (2, len(rows))


@pytest.mark.parametrize("clustered", [False, True])
def test_each_pair_is_the_comparison_of_two(clustered):
    y, decisions = calls()
    cluster = np.arange(len(y)) // 3 if clustered else None
    frame = compare_decisions(y, decisions, cluster=cluster).frame()
    assert list(frame.columns[:6]) == PAIR_COLUMNS
    pairs = list(dict.fromkeys(zip(frame["model_1"], frame["model_2"], strict=True)))
    assert pairs == [("ours", "reader 1"), ("ours", "reader 2"), ("reader 1", "reader 2")]
    for one, two in pairs:
        alone = compare_accuracy(y, decisions[one], decisions[two], cluster=cluster).frame()
        rows = frame[(frame["model_1"] == one) & (frame["model_2"] == two)]
        for column in ("estimate", "std_error", "conf_low", "statistic", "p_value"):
            assert_allclose(rows[column], alone[column])


@pytest.mark.parametrize("adjust", ["holm", "hochberg", "bh", "none"])
def test_p_values_are_adjusted_within_a_measure(adjust):
    y, decisions = calls()
    frame = compare_decisions(y, decisions, adjust=adjust).frame()
    for _, rows in frame.groupby("measure"):
        assert_allclose(rows["p_adjusted"], adjust_p(rows["p_value"], adjust))


def test_named_contrasts_alone_are_adjusted_for():
    y, decisions = calls()
    pairs = [("ours", "reader 1"), ("ours", "reader 2")]
    frame = compare_decisions(y, decisions, contrasts=pairs, method="exact").frame()
    rows = frame[frame["measure"] == "sensitivity"]
    assert len(rows) == 2
    assert_allclose(rows["p_adjusted"], adjust_p(rows["p_value"]))
    assert set(rows["method"]) == {"exact"}


def test_the_order_of_decisions_leaves_the_omnibus_test_alone():
    y, decisions = calls()
    turned = dict(reversed(decisions.items()))
    for cluster in (None, np.arange(len(y)) // 3):
        here, there = (compare_decisions(y, d, cluster=cluster) for d in (decisions, turned))
        assert_allclose(here.omnibus["statistic"], there.omnibus["statistic"])
    assert "Cochran's Q, clustered" in set(there.omnibus["method"])


def test_the_text_says_both_tests():
    y, decisions = calls()
    text = compare_decisions(y, decisions, cluster=np.arange(len(y)) // 2).summary()
    assert "p adjusted: holm, 95 % intervals; n = 120, events = 60, unit: patient (60" in text
    assert "sensitivity, all equal: Cochran's Q, clustered chi2(2)" in text
    assert "ours - reader 1, sensitivity: " in text


def test_an_absent_class_leaves_no_test_of_it():
    y, decisions = calls()
    events = {name: d[y == 1] for name, d in decisions.items()}
    with pytest.warns(SmallSampleWarning, match="compare specificity on"):
        got = compare_decisions(y[y == 1], events)
    assert got.omnibus["measure"].tolist() == ["sensitivity", "accuracy"]
    alone = got.frame().query("measure == 'specificity'")
    assert alone["p_adjusted"].isna().all()


@pytest.mark.parametrize(
    ("change", "error", "text"),
    [
        ({"decisions": [[1, 0], [0, 1]]}, ArgumentError, "must map names .* got list"),
        ({"decisions": {}}, ArgumentError, "`decisions` must map names"),
        ({"decisions": {"a": [1, 0, 1, 0]}}, ArgumentError, "`decisions` must hold two or more"),
        ({"decisions": {"a": [1, 0, 1, 0], "b": [1, 0]}}, PairingError, "`b` has 2"),
        (
            {"decisions": {"a": [1, 0, 1, 0], "b": [0.2, 0.4, 0.5, 0.1]}},
            ArgumentError,
            "`b` must be a decision .* Apply a threshold first",
        ),
        (
            {"decisions": {"a": [1, 0, 1, 0], "b": ["y", "n", "y", "n"]}},
            OutcomeError,
            "`b` holds labels",
        ),
        ({"y": [0, 1, 2, 0]}, OutcomeError, "`y` must be 0/1"),
        ({"contrasts": [("a", "c")]}, ArgumentError, "of 'a', 'b'; got .'a', 'c'."),
        ({"contrasts": ("a", "b")}, ArgumentError, "got 'a'"),
        ({"contrasts": [("a", "b"), ("b", "a")]}, ArgumentError, "names a pair twice"),
        ({"method": "yang"}, ArgumentError, "'yang' needs `cluster`"),
        ({"adjust": "sidak"}, ArgumentError, "`adjust` must be one of 'holm'"),
        ({"cluster": [1, 2]}, PairingError, "`cluster` has 2"),
        ({"conf_level": 95}, ArgumentError, "`conf_level` must lie inside"),
    ],
)
def test_messages(change, error, text):
    arguments = {"y": [0, 1, 1, 0], "decisions": {"a": [1, 0, 1, 0], "b": [0, 0, 1, 1]}} | change
    with pytest.raises(error, match=text):
        compare_decisions(arguments.pop("y"), arguments.pop("decisions"), **arguments)
