"""Bootstrap of whole patients: R boot 1.3.28.1 values, and laws of the draws."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from tests.reference import load_case, read_reference_table
from usstats._resampling.limits import jackknife_acceleration
from usstats.errors import (
    ArgumentError,
    FailedResamplesWarning,
    OutcomeError,
    PairingError,
    ResampleError,
    SmallSampleWarning,
)
from usstats.resample import Resamples, as_resamples, bootstrap, check_failures, replicate


def pairwise_auc(y, s):
    """The definition, with an n x m comparison."""
    events, others = s[y == 1][:, None], s[y == 0][None, :]
    return float((events > others).mean() + (events == others).mean() / 2)


def asah():
    table = read_reference_table("asah.csv")
    return (table["outcome"] == "Poor").to_numpy(int), table


def draws(name):
    return read_reference_table(name).to_numpy() - 1


CONVENTIONS = [
    ("percentile", "percentile_type7"),
    ("percentile_boot", "percentile"),
    ("bca", "bca_jackknife"),
]


@pytest.mark.parametrize(("ci", "path"), CONVENTIONS)
@pytest.mark.parametrize("declared", [True, False])
def test_stratified_auc_equals_boot(ci, path, declared):
    # boot(d, f, R = 499, strata = d$outcome); boot.ci(b, type = c("perc", "bca"))
    case = load_case("boot_auc_asah_stratified")
    y, table = asah()
    got = bootstrap(
        pairwise_auc,
        y,
        table["s100b"].to_numpy(),
        resamples=draws("idx_boot_asah_strat.csv"),
        stratify=y if declared else None,
        ci=ci,
    )
    case.check(got.estimate, "t0")
    case.check(got.std_error, "sd_t")
    case.check([got.conf_low, got.conf_high], path)
    assert (got.n, got.n_event, got.n_boot, got.n_failed) == (113, 41, 499, 0)


@pytest.mark.parametrize(("ci", "path"), CONVENTIONS)
def test_auc_difference_equals_boot(ci, path):
    case = load_case("boot_aucdiff_asah")
    y, table = asah()
    got = bootstrap(
        lambda y, a, b: pairwise_auc(y, a) - pairwise_auc(y, b),
        y,
        table["wfns"].to_numpy(),
        table["s100b"].to_numpy(),
        resamples=draws("idx_boot_asah_plain.csv"),
        ci=ci,
        conf_level=0.90,
    )
    case.check([got.conf_low, got.conf_high], path)
    case.check(got.estimate, "t0")
    case.check(got.std_error, "sd_t")


def test_replicates_of_a_difference_equal_boot():
    case = load_case("boot_aucdiff_asah")
    y, table = asah()
    arrays = (y, table["wfns"].to_numpy(), table["s100b"].to_numpy())

    def gap(y, a, b):
        return pairwise_auc(y, a) - pairwise_auc(y, b)

    values = replicate(gap, arrays, Resamples.from_indices(draws("idx_boot_asah_plain.csv")))
    case.check(values, "t")
    case.check(values.mean(), "mean_t")
    left_out = np.array([gap(*(np.delete(a, i) for a in arrays)) for i in range(len(y))])
    acceleration = jackknife_acceleration(gap(*arrays), left_out, (np.arange(len(y)),))
    case.check(acceleration, "a_jackknife")


def test_acceleration_equals_boot():
    case = load_case("boot_auc_asah_stratified")
    y, table = asah()
    s = table["s100b"].to_numpy()
    left_out = np.array([pairwise_auc(np.delete(y, i), np.delete(s, i)) for i in range(len(y))])
    strata = (np.flatnonzero(y == 0), np.flatnonzero(y == 1))
    case.check(jackknife_acceleration(pairwise_auc(y, s), left_out, strata), "a_jackknife")


def test_replicates_equal_the_reference_one_by_one():
    case = load_case("boot_auc_asah_stratified")
    y, table = asah()
    resamples = Resamples.from_indices(draws("idx_boot_asah_strat.csv"))
    values = replicate(pairwise_auc, (y, table["s100b"].to_numpy()), resamples)
    case.check(values, "t")
    case.check(values.mean(), "mean_t")


def test_visible_strata_are_the_outcome():
    y, _ = asah()
    resamples = Resamples.from_indices(draws("idx_boot_asah_strat.csv"))
    assert {tuple(s) for s in resamples.strata} == {
        tuple(np.flatnonzero(y == 0)),
        tuple(np.flatnonzero(y == 1)),
    }
    plain = Resamples.from_indices(draws("idx_boot_asah_plain.csv"))
    assert len(plain.strata) == 1


def test_bca_of_a_mean_agrees_with_scipy():
    rng = np.random.default_rng(3)
    x = rng.exponential(size=60)
    ours = bootstrap(np.mean, x, n_boot=9999, seed=1, ci="bca")
    theirs = stats.bootstrap((x,), np.mean, n_resamples=9999, method="BCa", rng=rng)
    interval = theirs.confidence_interval
    assert_allclose([ours.conf_low, ours.conf_high], [interval.low, interval.high], atol=0.015)


def test_replicate_i_comes_from_child_i_of_the_seed():
    resamples = Resamples.draw(20, n_boot=5, seed=11)
    children = np.random.SeedSequence(11).spawn(5)
    for i, child in enumerate(children):
        expected = np.random.Generator(np.random.PCG64(child)).integers(20, size=20)
        assert_array_equal(resamples[i], expected)


def test_digits_do_not_depend_on_workers_or_on_the_number_of_resamples():
    y, table = np.arange(40) % 2, np.linspace(0, 1, 40) ** 2
    one, two = (
        bootstrap(pairwise_auc, y, table, n_boot=60, seed=5, n_jobs=jobs) for jobs in (1, 2)
    )
    assert one == two
    few, many = (Resamples.draw(40, n_boot=n, seed=5) for n in (10, 60))
    assert_array_equal(few[7], many[7])


def test_patients_are_drawn_whole():
    cluster = np.array(["c", "a", "c", "b", "a", "c", "d"])
    resamples = Resamples.draw(7, n_boot=200, seed=2, cluster=cluster)
    sizes = {"a": 2, "b": 1, "c": 3, "d": 1}
    for rows in resamples:
        labels, counts = np.unique(cluster[rows], return_counts=True)
        drawn = [count / sizes[label] for label, count in zip(labels, counts, strict=True)]
        assert sum(drawn) == 4
        assert all(float(d).is_integer() for d in drawn)
        per_row = np.bincount(rows, minlength=7)
        assert all(len(set(per_row[cluster == label])) == 1 for label in sizes)


def test_strata_keep_their_size_with_and_without_clusters():
    y = np.array([0, 0, 0, 1, 1, 1, 1, 0])
    for rows in Resamples.draw(8, n_boot=50, seed=1, stratify=y):
        assert y[rows].sum() == 4
    cluster = np.array([0, 0, 1, 2, 2, 3, 4, 5])
    by_patient = Resamples.draw(8, n_boot=50, seed=1, cluster=cluster, stratify=y)
    patients = np.array([0, 0, 1, 1, 1, 0])
    assert {patients[by_patient.units(i)].sum() for i in range(50)} == {3}


@pytest.mark.parametrize("cluster", [None, [0, 0, 1, 2, 2, 2, 3, 1]])
def test_counts_are_the_tally_of_the_rows(cluster):
    resamples = Resamples.draw(8, n_boot=30, seed=4, cluster=cluster)
    expected = [np.bincount(rows, minlength=8) for rows in resamples]
    assert_array_equal(resamples.counts(), expected)
    pieces = [resamples.counts(a, b) for a, b in resamples.chunks(chunk_bytes=8 * 8 * 7)]
    assert [len(p) for p in pieces] == [7, 7, 7, 7, 2]
    assert_array_equal(np.concatenate(pieces), expected)


def test_explicit_cluster_numbers_bring_all_rows():
    cluster = ["p", "q", "p", "r"]
    resamples = Resamples.from_indices([[0, 0, 2], [1, 2, 1]], cluster=cluster)
    assert_array_equal(resamples[0], [0, 2, 0, 2, 3])
    assert_array_equal(resamples[1], [1, 3, 1])
    assert resamples.clustered


def test_frames_are_resampled_by_position():
    frame = pd.DataFrame({"x": [1.0, 2.0, 3.0, 4.0]}, index=[9, 9, 7, 7])
    got = bootstrap(lambda d: d["x"].mean(), frame, n_boot=200, seed=1, measure="mean")
    same = bootstrap(np.mean, frame["x"].to_numpy(), n_boot=200, seed=1)
    assert (got.conf_low, got.conf_high) == (same.conf_low, same.conf_high)
    assert got.n_event is None
    assert "events" not in repr(got)


def test_failed_resamples_are_counted_warned_of_and_refused():
    ok, some, many = np.zeros(100), np.zeros(100), np.zeros(100)
    ok[:5], some[:6], many[:21] = np.nan, np.nan, np.nan
    assert check_failures(ok) == 5
    with pytest.warns(FailedResamplesWarning, match=r"6 of 100 resamples \(6.0%\)"):
        assert check_failures(some) == 6
    with pytest.raises(ResampleError, match=r"21 of 100 .* above 20%"):
        check_failures(many)


def test_one_class_resamples_are_failures_not_crashes():
    y, s = np.r_[np.zeros(30), 1, 1].astype(int), np.linspace(0, 1, 32)

    def strict(y, s):
        if y.sum() == 0:
            msg = "no events"
            raise OutcomeError(msg)
        return pairwise_auc(y, s)

    with pytest.warns(FailedResamplesWarning):
        got = bootstrap(strict, y, s, n_boot=400, seed=1)
    assert 0 < got.n_failed < 80
    assert np.isfinite([got.conf_low, got.conf_high]).all()


def test_errors_of_the_statistic_itself_are_not_hidden():
    def broken(x):
        msg = "a bug"
        raise TypeError(msg)

    with pytest.raises(TypeError, match="a bug"):
        bootstrap(broken, np.arange(5.0), n_boot=20, seed=1)


def test_constant_statistic_has_no_bca_limits():
    with pytest.warns(SmallSampleWarning, match="bias correction is undefined"):
        got = bootstrap(lambda x: 1.0, np.arange(5.0), n_boot=100, seed=1, ci="bca")
    assert np.isnan([got.conf_low, got.conf_high]).all()


def test_too_few_resamples_for_an_order_statistic_are_said_so():
    with pytest.warns(SmallSampleWarning, match="20 resamples are too few"):
        bootstrap(np.mean, np.arange(9.0), n_boot=20, seed=1, ci="percentile_boot")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"seed": "one"}, ArgumentError, "`seed` must be a whole number"),
        ({"seed": -1}, ArgumentError, "got -1"),
        ({"seed": 1, "n_boot": 0}, ArgumentError, "`n_boot` must be a whole number from 2"),
        ({"seed": 1, "n_boot": 10**9}, ArgumentError, "got 1000000000"),
        ({"seed": 1, "ci": "t"}, ArgumentError, "`ci` must be one of 'percentile'"),
        ({"seed": 1, "cluster": [1, 2]}, PairingError, "`cluster` has 2"),
        ({"resamples": [[1, 2, 3, 4]]}, ResampleError, "from 0 to 3.*first: 4.*Subtract 1"),
        ({"resamples": [0, 1, 2, 3]}, ResampleError, r"shape \(4,\)"),
        ({"resamples": [[0.5, 1, 2, 3]]}, ResampleError, "whole row numbers"),
        ({"resamples": [[0, 1, 2, 3], [0]]}, ResampleError, "its rows differ in length"),
        ({"seed": 1, "stratify": [[0, 1], [1, 0]]}, PairingError, r"`stratify` .* shape \(2, 2\)"),
        ({"seed": 1, "stratify": "abcd"}, PairingError, "`stratify` must be one-dimensional"),
        ({"seed": 1, "ci": np.array([0.1, 0.2])}, ArgumentError, "`ci` must be one of"),
        ({"seed": 10**400}, ArgumentError, "`seed` must be a whole number"),
        (
            {"seed": 1, "cluster": list("aabb"), "stratify": [0, 1, 1, 1]},
            PairingError,
            "differs between rows of the same patient .1 patients.",
        ),
    ],
)
def test_messages(options, error, text):
    with pytest.raises(error, match=text):
        bootstrap(np.mean, np.arange(4.0), **options)


@pytest.mark.parametrize(
    ("statistic", "array", "text"),
    [
        ("mean", [1, 2, 3], "`statistic` must be a function of the arrays; got str"),
        (np.mean, 7, "Array 1 must hold one value or row a case; got int"),
        (np.mean, [[1, 2], [3]], "Array 1 must hold one value or row a case; got list"),
    ],
)
def test_what_cannot_be_resampled_is_refused(statistic, array, text):
    with pytest.raises(ArgumentError, match=text):
        bootstrap(statistic, array, n_boot=20, seed=1)


def test_undefined_statistic_is_refused():
    with pytest.raises(ResampleError, match="is nan"):
        bootstrap(lambda x: np.nan, np.arange(4.0), n_boot=10, seed=1)


def test_resamples_of_other_data_are_refused():
    with pytest.raises(PairingError, match="drawn for 5 rows; the data have 4"):
        as_resamples(Resamples.draw(5, n_boot=3, seed=1), 4, n_boot=3, seed=1)


def test_resamples_can_be_pickled_for_workers():
    import pickle

    resamples = Resamples.draw(6, n_boot=4, seed=3, cluster=[0, 0, 1, 1, 2, 2])
    again = pickle.loads(pickle.dumps(resamples))  # noqa: S301
    assert_array_equal(again[3], resamples[3])


def test_explicit_resamples_have_no_generator():
    with pytest.raises(ResampleError, match="no seed"):
        Resamples.from_indices([[0, 1]]).rng(0)
    with pytest.raises(IndexError, match="number 1 does not exist"):
        Resamples.from_indices([[0, 1]]).units(1)


def test_a_statistic_of_several_numbers_is_refused():
    with pytest.raises(ArgumentError, match=r"must return one number; it returned ndarray of sha"):
        bootstrap(lambda x: x, np.arange(9.0), n_boot=20, seed=1)
    with pytest.raises(ArgumentError, match="it returned str"):
        bootstrap(lambda x: "high", np.arange(9.0), n_boot=20, seed=1)
