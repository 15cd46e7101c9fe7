"""The audit finds what stands on two sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from usstats.errors import ArgumentError, LeakageError, PairingError, SchemaError
from usstats.leakage import audit_leakage, near_pairs
from usstats.splits import make_folds

#: Hashes that are far from each other, but for the second and third.
FAR = (0, 2**20 - 1, 2**20 - 2, 2**64 - 2**32)


def images(**columns) -> pd.DataFrame:
    base = {"image_id": ["i1", "i2", "i3", "i4"], "patient_id": ["p1", "p1", "p2", "p3"]}
    return pd.DataFrame(base | columns)


def kinds(audit) -> list[str]:
    return audit.frame()["kind"].tolist()


def test_near_pairs_agree_with_a_slow_count():
    rng = np.random.default_rng(4)
    hashes = rng.integers(0, 2**63, 60, dtype=np.uint64)
    hashes[30:] = hashes[:30] ^ rng.integers(0, 2**9, 30, dtype=np.uint64)
    slow = [
        (i, j, int(hashes[i] ^ hashes[j]).bit_count())
        for i in range(60)
        for j in range(i + 1, 60)
        if int(hashes[i] ^ hashes[j]).bit_count() <= 5
    ]
    assert slow
    assert sorted(near_pairs(hashes, max_distance=5)) == slow


def test_near_pairs_do_not_depend_on_the_block(monkeypatch):
    hashes = np.random.default_rng(1).integers(0, 2**10, 50, dtype=np.uint64)
    whole = sorted(near_pairs(hashes, max_distance=2))
    monkeypatch.setattr("usstats.leakage._BLOCK", 150)
    assert sorted(near_pairs(hashes, max_distance=2)) == whole


def test_a_clean_table():
    audit = audit_leakage(
        images(label=[0, 0, 1, 0]), [0, 0, 1, 2], hashes=[0, 1, 2**30 - 1, 2**64 - 2**32]
    )
    assert audit.is_clean
    audit.raise_if_leaking()
    assert "nothing found" in repr(audit)
    assert "patient across folds" in audit.summary()


def test_a_patient_in_two_folds():
    audit = audit_leakage(images(), [0, 1, 1, 2])
    found = audit.frame().iloc[0]
    assert (found["rule"], found["kind"]) == ("R03", "patient across folds")
    assert (found["patient_1"], found["image_1"], found["image_2"]) == ("p1", "i1", "i2")
    assert (found["side_1"], found["side_2"]) == (0, 1)
    with pytest.raises(LeakageError, match=r"R03: 1 x patient across folds\. Split by patient"):
        audit.raise_if_leaking()


def test_the_column_fold_serves_where_no_folds_are_given():
    assert kinds(audit_leakage(images(fold=[0, 1, 1, 2]))) == ["patient across folds"]


def test_a_patient_in_two_cohorts():
    audit = audit_leakage(images(cohort=["development", "external", "external", "external"]))
    assert kinds(audit) == ["patient across cohorts"]


def test_one_file_under_two_patients():
    audit = audit_leakage(images(sha256=["a", "b", "b", "c"]))
    assert kinds(audit) == ["identical image under two patients"]
    assert audit.pairs == (("p1", "p2"),)


def test_one_image_id_under_two_patients():
    table = images(image_id=["i1", "i2", "i2", "i4"])
    assert kinds(audit_leakage(table)) == ["identical image under two patients"]


def test_an_exact_duplicate_is_not_listed_again_as_near():
    audit = audit_leakage(images(), hashes=FAR, digests=["a", "b", "b", "c"])
    assert kinds(audit) == ["identical image under two patients"]


def test_near_duplicates_count_only_across_sides_once_sides_are_known():
    assert kinds(audit_leakage(images(), hashes=FAR)) == ["near-duplicate"]
    assert audit_leakage(images(), [0, 0, 0, 1], hashes=FAR).is_clean
    across = audit_leakage(images(), [0, 0, 1, 1], hashes=FAR)
    assert kinds(across) == ["near-duplicate"]
    assert across.frame()["distance"].tolist() == [1]


def test_pairs_of_the_audit_keep_folds_clean():
    rng = np.random.default_rng(2)
    n = 60
    hashes = rng.integers(0, 2**63, n, dtype=np.uint64)
    hashes[40:] = hashes[:20] ^ np.uint64(1)
    table = pd.DataFrame(
        {"image_id": [f"i{i}" for i in range(n)], "patient_id": [f"p{i}" for i in range(n)]}
    )
    y = rng.integers(0, 2, n)
    audit = audit_leakage(table, hashes=hashes)
    assert len(audit.pairs) == 20
    apart = make_folds(y, table["patient_id"], seed=1)
    assert not audit_leakage(table, apart, hashes=hashes).is_clean
    together = make_folds(y, table["patient_id"], seed=1, keep_together=audit.pairs)
    audit_leakage(table, together, hashes=hashes).raise_if_leaking()


def test_hashes_by_image_and_pairs_found_elsewhere():
    hashes = dict(zip(["i1", "i2", "i3", "i4"], FAR, strict=True))
    assert kinds(audit_leakage(images(), hashes=hashes)) == ["near-duplicate"]
    assert kinds(audit_leakage(images(), duplicates=[(1, 2, 3)])) == ["near-duplicate"]
    assert audit_leakage(images(), duplicates=np.empty((0, 3), dtype=int)).is_clean


def test_one_picture_with_two_labels_is_a_conflict_but_no_leak_within_a_fold():
    audit = audit_leakage(
        images(label=["benign", "benign", "malignant", "benign"]),
        [0, 0, 0, 1],
        duplicates=[(1, 2)],
    )
    assert kinds(audit) == ["label conflict"]
    assert not audit.is_clean
    audit.raise_if_leaking()


def test_a_patient_whose_images_disagree_is_a_conflict():
    audit = audit_leakage(images(label=[0, 1, 1, 0]))
    found = audit.frame().iloc[0]
    assert (found["kind"], found["side_1"], found["side_2"]) == ("label conflict", 0, 1)


def test_messages_name_no_patient():
    audit = audit_leakage(images(patient_id=["CANARY"] * 2 + ["p2", "p3"]), [0, 1, 1, 2])
    assert "CANARY" not in audit.summary()
    with pytest.raises(LeakageError) as caught:
        audit.raise_if_leaking()
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: audit_leakage(pd.DataFrame({"image_id": [1]})), SchemaError, "patient_id"),
        (lambda: audit_leakage(images(), [0, 1]), PairingError, "`folds` has 2"),
        (lambda: audit_leakage(images(), hashes=[1]), PairingError, "`hashes` has 1"),
        (lambda: audit_leakage(images(), hashes={"i1": 1}), PairingError, "lacks 3 of 4"),
        (lambda: audit_leakage(images(), digests=["a"]), PairingError, "`digests` has 1"),
        (lambda: audit_leakage(images(), duplicates=[(0, 9)]), PairingError, "row numbers"),
        (lambda: audit_leakage(images(), max_distance=64), ArgumentError, "from 0 to 63"),
    ],
)
def test_bad_arguments(call, error, text):
    with pytest.raises(error, match=text):
        call()
