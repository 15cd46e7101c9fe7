"""Folds keep patients whole, balanced and reproducible."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from usstats.errors import (
    ArgumentError,
    OutcomeError,
    PairingError,
    ResampleError,
    SchemaError,
)
from usstats.splits import Folds, make_folds, tuning_split


def cohort(seed: int, n_patients: int, prevalence: float = 0.4):
    """Rows of patients with one to four images each, in random order."""
    rng = np.random.default_rng(seed)
    outcome = rng.random(n_patients) < prevalence
    patients = np.repeat(np.arange(n_patients), rng.integers(1, 5, n_patients))
    patients = rng.permutation(patients)
    return outcome[patients].astype(int), np.array([f"P{i:03d}" for i in patients])


@st.composite
def cohorts(draw):
    seed = draw(st.integers(0, 10_000))
    y, cluster = cohort(seed, draw(st.integers(8, 60)), draw(st.sampled_from([0.2, 0.5, 0.8])))
    n_folds = draw(st.integers(2, 5))
    by_patient = pd.Series(y).groupby(cluster).max()
    assume(min(by_patient.sum(), (1 - by_patient).sum()) >= n_folds)
    return y, cluster, n_folds, seed


@settings(max_examples=60, deadline=None)
@given(cohorts())
def test_every_row_is_in_one_fold_and_no_patient_in_two(case):
    y, cluster, n_folds, seed = case
    folds = make_folds(y, cluster, n_folds=n_folds, seed=seed)
    assert folds.assignment.shape == y.shape
    assert set(folds.assignment) == set(range(n_folds))
    assert len({*zip(cluster, folds.assignment, strict=True)}) == len(set(cluster))
    assert folds.frame()["n_images"].sum() == len(y)


@settings(max_examples=60, deadline=None)
@given(cohorts())
def test_classes_and_sizes_differ_by_one_patient_at_most(case):
    y, cluster, n_folds, seed = case
    table = make_folds(y, cluster, n_folds=n_folds, seed=seed).frame()
    for counts in (
        table.groupby("fold").size(),
        table.groupby("fold")["outcome"].sum(),
        (1 - table["outcome"]).groupby(table["fold"]).sum(),
    ):
        assert counts.max() - counts.min() <= 1


@settings(max_examples=40, deadline=None)
@given(cohorts())
def test_the_order_of_rows_does_not_matter(case):
    y, cluster, n_folds, seed = case
    order = np.random.default_rng(seed + 1).permutation(len(y))
    one = make_folds(y, cluster, n_folds=n_folds, seed=seed)
    two = make_folds(y[order], cluster[order], n_folds=n_folds, seed=seed)
    pd.testing.assert_frame_equal(one.frame(), two.frame())
    np.testing.assert_array_equal(one.assignment[order], two.assignment)


@settings(max_examples=40, deadline=None)
@given(cohorts(), st.data())
def test_tied_patients_share_a_fold(case, data):
    y, cluster, n_folds, seed = case
    patients = sorted(set(cluster))
    pairs = data.draw(st.lists(st.tuples(*[st.sampled_from(patients)] * 2), min_size=1, max_size=3))
    try:
        folds = make_folds(y, cluster, n_folds=n_folds, seed=seed, keep_together=pairs)
    except ResampleError:
        assume(False)
    fold = folds.frame().set_index("patient_id")["fold"]
    assert all(fold[one] == fold[two] for one, two in pairs)


def test_ties_are_transitive():
    y, cluster = cohort(1, 30)
    folds = make_folds(
        y, cluster, n_folds=3, seed=1, keep_together=[("P000", "P001"), ("P001", "P002")]
    )
    fold = folds.frame().set_index("patient_id")["fold"]
    assert fold["P000"] == fold["P001"] == fold["P002"]


def test_a_patient_with_both_labels_counts_as_event_and_stays_whole():
    folds = make_folds([0, 1, 0, 0, 1, 1], list("aabcde"), n_folds=2, seed=3)
    assert folds.frame().set_index("patient_id")["outcome"]["a"] == 1
    assert folds.assignment[0] == folds.assignment[1]


def test_the_seed_decides():
    y, cluster = cohort(5, 40)
    first, again, other = (make_folds(y, cluster, seed=seed) for seed in (7, 7, 8))
    assert first.hash == again.hash != other.hash
    assert (first.assignment != other.assignment).any()


def test_number_labels_are_kept_and_sorted_by_text():
    y, _ = cohort(2, 20)
    cluster = np.arange(len(y))
    frame = make_folds(y, cluster, n_folds=2, seed=1).frame()
    assert frame["patient_id"].dtype == np.int64
    assert frame["patient_id"].tolist() == sorted(range(len(y)), key=str)


def test_lookup_finds_the_fold_of_other_rows():
    y, cluster = cohort(2, 20)
    folds = make_folds(y, cluster, n_folds=2, seed=1)
    np.testing.assert_array_equal(folds.lookup(cluster[::-1]), folds.assignment[::-1])
    with pytest.raises(PairingError, match=r"1 of 1 rows belong to patients who are in no fold"):
        folds.lookup(["unknown"])


def test_splits_file_round_trip(tmp_path):
    y, cluster = cohort(3, 25)
    folds = make_folds(y, cluster, n_folds=3, seed=11)
    path = tmp_path / "splits.json"
    folds.to_json(path)
    back = Folds.from_json(path)
    assert back.hash == folds.hash
    np.testing.assert_array_equal(back.assignment, folds.assignment)
    pd.testing.assert_frame_equal(back.frame(), folds.frame())
    assert [file.name for file in tmp_path.iterdir()] == ["splits.json"]


@pytest.mark.parametrize("key", ["fold", "outcome", "row_patient", "patient_id", "seed"])
def test_a_changed_splits_file_is_refused(tmp_path, key):
    y, cluster = cohort(3, 25)
    path = tmp_path / "splits.json"
    make_folds(y, cluster, n_folds=3, seed=11).to_json(path)
    content = json.loads(path.read_text())
    if key == "seed":
        content[key] += 1
    else:
        content[key] = content[key][1:] + content[key][:1]
    path.write_text(json.dumps(content))
    with pytest.raises(SchemaError, match="was changed after it was written"):
        Folds.from_json(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other/9"}', "\x00"])
def test_a_file_that_is_no_splits_file_is_refused(tmp_path, text):
    path = tmp_path / "splits.json"
    path.write_text(text)
    with pytest.raises(SchemaError, match=r"splits\.json"):
        Folds.from_json(path)


def test_folds_are_frozen():
    folds = make_folds(*cohort(3, 25), n_folds=3, seed=11)
    with pytest.raises(AttributeError):
        folds.seed = 1
    with pytest.raises(ValueError, match="read-only"):
        folds.assignment[0] = 9


def test_repr_and_summary_say_what_was_split():
    folds = make_folds([0, 0, 1, 1, 0, 1], list("aabbcd"), n_folds=2, seed=1)
    assert repr(folds) == (
        "<2 folds of 4 patients, 6 rows, events = 2, unit: patient; stratified by outcome, seed 1>"
    )
    assert folds.summary().count("fold ") == 2


def test_too_few_patients_in_a_class_are_counted():
    with pytest.raises(ResampleError, match=r"3 with and 4 without the event .* at most 3"):
        make_folds([1, 1, 1, 0, 0, 0, 0], list("abcdefg"), n_folds=4, seed=1)


def test_ties_reduce_what_can_be_dealt():
    y, labels = [1, 1, 0, 0], list("abcd")
    with pytest.raises(ResampleError, match="1 with and 2 without"):
        make_folds(y, labels, n_folds=2, seed=1, keep_together=[("a", "b")])


@pytest.mark.parametrize(
    ("arguments", "options", "error", "text"),
    [
        (([1, 1], ["a", "b"]), {}, OutcomeError, "only events"),
        (([1, 2], ["a", "b"]), {}, OutcomeError, "must be 0/1"),
        (([1, 0], ["a", None]), {}, PairingError, "1 missing labels"),
        (([1, 0], ["a"]), {}, PairingError, "`cluster` has 1"),
        (([1, 0], ["a", "b"]), {"n_folds": 1}, ArgumentError, "at least 2"),
        (([1, 0], ["a", "b"]), {"n_folds": 2.5}, ArgumentError, "whole number"),
        (([1, 0, 1, 0], list("abcd")), {"seed": None}, ArgumentError, "`seed`"),
        (([1, 0], ["a", "b"]), {"keep_together": [("a", "z")]}, PairingError, "no row"),
        (
            ([1, 0], np.array(["1", 1], dtype=object)),
            {},
            PairingError,
            "as text and as a number",
        ),
    ],
)
def test_bad_arguments(arguments, options, error, text):
    with pytest.raises(error, match=text):
        make_folds(*arguments, **{"n_folds": 2, "seed": 1, **options})


@settings(max_examples=40, deadline=None)
@given(cohorts(), st.sampled_from([0.1, 0.2, 0.5, 0.9]))
def test_tuning_patients_are_whole_and_leave_both_classes_on_both_sides(case, fraction):
    y, cluster, _, seed = case
    tuning = tuning_split(y, cluster, fraction=fraction, seed=seed)
    assert len({*zip(cluster, tuning, strict=True)}) == len(set(cluster))
    outcome = pd.Series(y).groupby(cluster).max()
    chosen = pd.Series(tuning).groupby(cluster).first()
    for level in (0, 1):
        n = int((outcome == level).sum())
        assert chosen[outcome == level].sum() == np.clip(round(fraction * n), 1, n - 1)


def test_tuning_does_not_depend_on_the_order_of_rows():
    y, cluster = cohort(3, 40)
    order = np.random.default_rng(0).permutation(len(y))
    np.testing.assert_array_equal(
        tuning_split(y, cluster, seed=4)[order], tuning_split(y[order], cluster[order], seed=4)
    )


def test_tuning_needs_two_patients_of_a_class():
    with pytest.raises(ResampleError, match="1 with and 3 without"):
        tuning_split([1, 0, 0, 0], list("abcd"), seed=1)
    with pytest.raises(ArgumentError, match="`fraction`"):
        tuning_split([1, 0, 1, 0], list("abcd"), fraction=1.0, seed=1)


# --- more than two classes -------------------------------------------------------------------


def three_classes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    outcome = np.repeat([0, 1, 2], [30, 17, 9])
    n_rows = rng.integers(1, 5, outcome.size)
    return np.repeat(outcome, n_rows), np.repeat(np.arange(outcome.size), n_rows)


@pytest.mark.parametrize("seed", range(3))
def test_every_class_is_dealt_evenly(seed):
    y, patient = three_classes(seed)
    folds = make_folds(y, patient, n_folds=4, seed=seed, n_classes=3)
    counts = folds.fold_frame()[["n_class_0", "n_class_1", "n_class_2"]]
    assert counts.sum().tolist() == [30, 17, 9]
    assert (counts.max() - counts.min()).max() <= 1
    assert np.ptp(folds.fold_frame()["n_patients"]) <= 2
    assert pd.Series(folds.assignment).groupby(patient).nunique().eq(1).all()
    assert "classes = 30/17/9" in repr(folds)
    assert "rows" in folds.summary().splitlines()[1]


def test_tuning_takes_of_every_class():
    y, patient = three_classes(4)
    tuning = tuning_split(y, patient, fraction=0.2, seed=1, n_classes=3)
    taken = pd.Series(y[tuning]).groupby(patient[tuning]).first().value_counts()
    assert taken.sort_index().tolist() == [6, 3, 2]


def test_classes_survive_splits_json(tmp_path):
    y, patient = three_classes(5)
    folds = make_folds(y, patient, n_folds=3, seed=2, n_classes=3)
    folds.to_json(tmp_path / "splits.json")
    back = Folds.from_json(tmp_path / "splits.json")
    assert back.hash == folds.hash
    assert back.fold_frame().equals(folds.fold_frame())


@pytest.mark.parametrize("y", [[0, 1, 0, 1, 0, 1], [0, 1, 3, 0, 1, 3], [0.0, 1.5, 2, 0, 1, 2]])
def test_classes_must_be_codes_that_are_all_there(y):
    with pytest.raises(OutcomeError, match=r"each of the classes 0 to 2 as whole numbers"):
        make_folds(y, np.arange(6), n_folds=2, seed=1, n_classes=3)


def test_a_scarce_class_is_named_by_its_count():
    y = [0, 0, 0, 1, 1, 1, 2]
    with pytest.raises(ResampleError, match=r"3, 3, 1 of the classes 0 to 2 .* at most 1"):
        make_folds(y, np.arange(7), n_folds=2, seed=1, n_classes=3)
