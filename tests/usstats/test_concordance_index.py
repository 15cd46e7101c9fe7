"""Harrell's and Uno's C against R, pairs counted one by one, and differences in weights."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.reference import load_case
from tests.usstats.survival_data import cohort, tied_table
from usstats._survival.censoring import FollowUp, censoring_curve
from usstats._survival.dominance import DominanceSums
from usstats.concordance_index import concordance, harrell_c, uno_c
from usstats.errors import (
    ArgumentError,
    DirectionWarning,
    OutcomeError,
    PairingError,
    RiskError,
    SmallSampleWarning,
)
from usstats.roc import auc
from usstats.survival import fit_cox


@pytest.fixture(scope="module")
def tied() -> pd.DataFrame:
    table = tied_table()
    return table.assign(s=table["x"].round(1))


def test_reference() -> None:
    case = load_case("surv_cox_lung")
    table = case.table().dropna(subset="ph.ecog")
    table["dead"] = table["status"] == 2
    lp = fit_cox("Surv(time, dead) ~ age + sex + ph.ecog", table).linear_predictor(table)
    C = concordance(table["time"], table["dead"], lp)
    case.check(C.estimate, "concordance")
    case.check(C.std_error, "concordance_se")


def weighted_c(
    time: np.ndarray, event: np.ndarray, s: np.ndarray, W: np.ndarray, row_weight: np.ndarray
) -> float:
    """Every ordered pair of rows, with weights of rows and of events."""
    usable = concordant = 0.0
    for i in np.flatnonzero(event):
        for j in range(time.size):
            if time[j] > time[i] or (time[j] == time[i] and not event[j]):
                pair = W[i] * row_weight[i] * row_weight[j]
                usable += pair
                concordant += pair * ((s[i] > s[j]) + 0.5 * (s[i] == s[j]))
    return concordant / usable


def event_weights(table: pd.DataFrame, method: str) -> np.ndarray:
    follow_up = FollowUp(table["days"].to_numpy(), table["dead"].to_numpy())
    if method == "harrell":
        return np.ones(follow_up.n)
    return 1 / censoring_curve(follow_up).before(follow_up.time) ** 2


@pytest.mark.parametrize("method", ["harrell", "uno"])
class TestAgainstPairs:
    def arrays(self, tied: pd.DataFrame) -> list[np.ndarray]:
        return [tied[name].to_numpy() for name in ("days", "dead", "s")]

    def test_estimate(self, tied: pd.DataFrame, method: str) -> None:
        time, event, s = self.arrays(tied)
        expected = weighted_c(time, event, s, event_weights(tied, method), np.ones(len(tied)))
        assert concordance(time, event, s, method=method).estimate == pytest.approx(expected)

    def test_horizon(self, tied: pd.DataFrame, method: str) -> None:
        """Events after it neither fail nor order; those at it do."""
        time, event, s = self.arrays(tied)
        W = event_weights(tied, method) * (time <= 5)
        expected = weighted_c(time, event, s, W, np.ones(len(tied)))
        found = concordance(time, event, s, method=method, horizon=5)
        assert found.estimate == pytest.approx(expected)
        assert found.n_event == ((time <= 5) & (event == 1)).sum()

    def test_standard_error_is_the_infinitesimal_jackknife(
        self, tied: pd.DataFrame, method: str
    ) -> None:
        time, event, s = self.arrays(tied)
        W, n, step = event_weights(tied, method), len(tied), 1e-6
        base = weighted_c(time, event, s, W, np.ones(n))
        moved = [weighted_c(time, event, s, W, np.ones(n) + step * e) for e in np.eye(n)]
        slopes = (np.array(moved) - base) / step
        found = concordance(time, event, s, method=method)
        assert found.std_error == pytest.approx(np.sqrt((slopes**2).sum()), rel=1e-4)
        who = tied["patient_id"].to_numpy()
        sums = pd.Series(slopes).groupby(who).sum()
        clustered = concordance(time, event, s, method=method, cluster=who)
        assert clustered.std_error == pytest.approx(np.sqrt((sums**2).sum()), rel=1e-4)
        assert clustered.n_cluster == len(sums)


class TestLaws:
    def test_unit_of_time_and_monotone_scores(self, tied: pd.DataFrame) -> None:
        C = harrell_c(tied["days"], tied["dead"], tied["s"])
        assert harrell_c(tied["days"] * 24, tied["dead"], np.exp(tied["s"])) == C

    def test_a_turned_score_mirrors(self, tied: pd.DataFrame) -> None:
        for method in (harrell_c, uno_c):
            C = method(tied["days"], tied["dead"], tied["s"])
            with pytest.warns(DirectionWarning, match="not a survival probability"):
                turned = method(tied["days"], tied["dead"], -tied["s"])
            assert turned.estimate == pytest.approx(1 - C.estimate)
            assert turned.std_error == pytest.approx(C.std_error)

    def test_uno_without_censoring_is_harrell(self) -> None:
        data = cohort(100, 3, censoring=1e9)
        assert uno_c(data["time"], data["event"], data["x"]).estimate == pytest.approx(
            harrell_c(data["time"], data["event"], data["x"]).estimate
        )

    def test_two_times_give_the_auc(self) -> None:
        """Events all at 1, survivors all at 2: C is the AUC, its variance all but DeLong's."""
        rng = np.random.default_rng(6)
        y = rng.integers(0, 2, 200)
        s = np.round(y + rng.normal(size=200), 1)
        C, A = harrell_c(2 - y, y, s), auc(y, s)
        assert C.estimate == pytest.approx(A.estimate)
        assert C.std_error == pytest.approx(A.std_error, rel=0.02)

    def test_order_of_rows(self, tied: pd.DataFrame) -> None:
        mixed = tied.sample(frac=1, random_state=2)
        first = uno_c(tied["days"], tied["dead"], tied["s"])
        second = uno_c(mixed["days"], mixed["dead"], mixed["s"])
        assert second.estimate == pytest.approx(first.estimate)
        assert second.std_error == pytest.approx(first.std_error)

    @pytest.mark.slow
    def test_uno_does_not_depend_on_censoring(self) -> None:
        """Its mean stays where it is without censoring; Harrell's C moves up."""
        found = {}
        for censoring in (1e9, 0.7):
            values = [
                (f(d["time"], d["event"], d["x"], horizon=0.7).estimate)
                for seed in range(150)
                for d in [cohort(400, seed, censoring=censoring)]
                for f in (uno_c, harrell_c)
            ]
            found[censoring] = np.mean(np.reshape(values, (-1, 2)), axis=0)
        uno, harrell = found[0.7] - found[1e9]
        assert abs(uno) < 0.003
        assert harrell > 0.005

    @pytest.mark.slow
    def test_coverage(self) -> None:
        """95 % intervals hold the C of a million pairs in 93 to 97 % of cohorts."""
        big = cohort(200_000, 1, effect=0.5, censoring=1e9)
        truth = uno_c(big["time"], big["event"], big["x"], horizon=1).estimate
        held = []
        for seed in range(1000):
            d = cohort(400, seed, effect=0.5)
            C = uno_c(d["time"], d["event"], d["x"], horizon=1)
            held.append(C.conf_low <= truth <= C.conf_high)
        assert 0.93 <= np.mean(held) <= 0.97


class TestBadInput:
    def test_nothing_to_order(self) -> None:
        with pytest.warns(SmallSampleWarning, match=r"undefined \(NaN\)"):
            C = harrell_c([3, 3, 3], [1, 1, 1], [1, 2, 3])
        assert np.isnan(C.estimate)
        assert np.isnan(C.std_error)

    def test_perfect_order_has_no_interval(self) -> None:
        with pytest.warns(SmallSampleWarning, match="has no variance"):
            C = harrell_c([1, 2, 3], [1, 1, 1], [3, 2, 1])
        assert C.estimate == 1
        assert np.isnan(C.conf_low)

    def test_refused(self) -> None:
        with pytest.raises(OutcomeError, match="`time` must not be negative; 1 of 3"):
            harrell_c([1, -2, 3], [1, 1, 0], [1, 2, 3])
        with pytest.raises(OutcomeError, match="`event` holds no event"):
            harrell_c([1, 2, 3], [0, 0, 0], [1, 2, 3])
        with pytest.raises(OutcomeError, match=r"`event == 2`"):
            harrell_c([1, 2, 3], [1, 2, 2], [1, 2, 3])
        with pytest.raises(RiskError, match="`s` must be finite"):
            harrell_c([1, 2, 3], [1, 1, 0], [1, np.nan, 3])
        with pytest.raises(PairingError, match="`time` has 3, `s` has 2"):
            harrell_c([1, 2, 3], [1, 1, 0], [1, 2])
        with pytest.raises(ArgumentError, match="`method` must be one of"):
            concordance([1, 2], [1, 0], [1, 2], method="gonen")
        with pytest.raises(ArgumentError, match="`horizon` must be positive and not after"):
            uno_c([1, 2], [1, 0], [1, 2], horizon=5)


def test_dominance_sums_against_masks() -> None:
    rng = np.random.default_rng(0)
    rank, weights = rng.integers(0, 13, 70), rng.random(70)
    before, below = rng.integers(0, 71, 200), rng.integers(0, 14, 200)
    found = DominanceSums(rank=rank, weights=weights).query(before=before, below=below)
    expected = [
        weights[(np.arange(70) < b) & (rank < r)].sum() for b, r in zip(before, below, strict=True)
    ]
    np.testing.assert_allclose(found, expected)
