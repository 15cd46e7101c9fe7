"""Masks: definitions by counting, brute force and other packages; laws; whole studies."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage, stats

from usstats.agreement import bland_altman
from usstats.errors import (
    ArgumentError,
    EmptyMaskWarning,
    PairingError,
    ResampleError,
    RiskError,
    SmallSampleWarning,
)
from usstats.overlap import (
    cam_overlap,
    cam_report,
    dice,
    hd95,
    iou,
    overlap_report,
    surface_distances,
)


def blobs(seed=0, shape=(24, 30)):
    """Two rough shapes that overlap in part; never empty."""
    rng = np.random.default_rng(seed)
    one, two = (ndimage.gaussian_filter(rng.normal(size=shape), 2) for _ in range(2))
    return one > 0.05, 0.7 * one + 0.7 * two > 0.08


SHAPES = [(24, 30), (10, 12, 9)]
PAIRS = [(seed, shape) for seed in range(4) for shape in SHAPES]
EMPTY = np.zeros((6, 7), dtype=bool)
SQUARE = EMPTY.copy()
SQUARE[2:4, 2:5] = True


# ---------------------------------------------------------------------- second implementations


def neighbours_inside(mask, at):
    """Whether all neighbours that share an edge (or face) lie in the mask and in the image."""
    for axis in range(mask.ndim):
        for step in (-1, 1):
            other = list(at)
            other[axis] += step
            inside = 0 <= other[axis] < mask.shape[axis]
            if not inside or not mask[tuple(other)]:
                return False
    return True


def brute_force(a, b, spacing):
    """Distances between surface pixels by comparing every pair."""
    surfaces = [
        np.array([at for at in np.argwhere(m) if not neighbours_inside(m, at)]) * spacing
        for m in (a, b)
    ]
    apart = np.linalg.norm(surfaces[0][:, None] - surfaces[1][None], axis=2)
    return apart.min(axis=1), apart.min(axis=0)


@pytest.mark.parametrize(("seed", "shape"), PAIRS)
def test_distances_are_those_of_all_pairs_of_surface_pixels(seed, shape):
    a, b = blobs(seed, shape)
    spacing = np.random.default_rng(seed).uniform(0.1, 2, len(shape))
    expected = brute_force(a, b, spacing)
    found = surface_distances(a, b, spacing=spacing)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.sort(one), np.sort(two), rtol=1e-12)
    directed = max(np.quantile(d, 0.95) for d in expected)
    assert hd95(a, b, spacing=spacing) == pytest.approx(directed)
    together = np.quantile(np.concatenate(expected), 0.95)
    assert hd95(a, b, spacing=spacing, pooled=True) == pytest.approx(together)


@pytest.mark.parametrize(("seed", "shape"), PAIRS)
def test_overlap_by_sets_of_pixels(seed, shape):
    a, b = blobs(seed, shape)
    one, two = ({tuple(at) for at in np.argwhere(m)} for m in (a, b))
    assert dice(a, b) == pytest.approx(2 * len(one & two) / (len(one) + len(two)))
    assert iou(a, b) == pytest.approx(len(one & two) / len(one | two))


@pytest.mark.parametrize(("seed", "shape"), PAIRS)
def test_monai_gives_the_same(seed, shape):
    torch, metrics = pytest.importorskip("torch"), pytest.importorskip("monai.metrics")
    a, b = blobs(seed, shape)
    spacing = np.random.default_rng(seed).uniform(0.1, 2, len(shape)).tolist()
    one, two = (torch.tensor(m)[None, None] for m in (a, b))
    other = metrics.compute_hausdorff_distance(
        one, two, include_background=True, percentile=95, spacing=spacing
    )
    assert hd95(a, b, spacing=spacing) == pytest.approx(float(other), rel=1e-5)
    assert dice(a, b) == pytest.approx(float(metrics.compute_dice(one, two)), rel=1e-6)
    assert iou(a, b) == pytest.approx(float(metrics.compute_iou(one, two)), rel=1e-6)


@pytest.mark.parametrize(("seed", "shape"), PAIRS)
def test_medpy_gives_the_same_with_pooled_distances(seed, shape):
    binary = pytest.importorskip("medpy.metric.binary")
    a, b = blobs(seed, shape)
    spacing = tuple(np.random.default_rng(seed).uniform(0.1, 2, len(shape)))
    other = binary.hd95(a, b, voxelspacing=spacing)
    assert hd95(a, b, spacing=spacing, pooled=True) == pytest.approx(other)
    assert dice(a, b) == pytest.approx(binary.dc(a, b))
    assert iou(a, b) == pytest.approx(binary.jc(a, b))


def test_numbers_that_can_be_seen():
    a = np.zeros((20, 20), dtype=bool)
    a[5:10, 5:10] = True
    assert (dice(a, np.roll(a, 5, 1)), iou(a, np.roll(a, 5, 1))) == (0, 0)
    assert dice(a, np.roll(a, 1, 1)) == pytest.approx(2 * 20 / 50)
    assert iou(a, np.roll(a, 1, 1)) == pytest.approx(20 / 30)
    assert hd95(a, np.roll(a, 3, 1)) == 3
    assert hd95(a, np.roll(a, 3, 0), spacing=(0.2, 5)) == pytest.approx(0.6)
    assert hd95(a, np.roll(a, 3, 1), spacing=(0.2, 5)) == 15
    assert hd95(np.ones((4, 4)), np.ones((4, 4))) == 0


# -------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(("seed", "shape"), PAIRS)
def test_laws_of_overlap_and_distance(seed, shape):
    a, b = blobs(seed, shape)
    j = iou(a, b)
    assert dice(a, b) == pytest.approx(2 * j / (1 + j))
    for measure in (dice, iou, hd95):
        assert measure(a, b) == measure(b, a)
    assert (dice(a, a), iou(a, a), hd95(a, a)) == (1, 1, 0)
    assert hd95(a, b, spacing=0.37) == pytest.approx(0.37 * hd95(a, b))
    assert hd95(a, b, pooled=True) <= hd95(a, b) + 1e-12
    wide = [np.pad(m, 8) for m in (a, b)]
    moved = [np.roll(m, (3, -2), axis=(0, 1)) for m in wide]
    assert hd95(*moved) == pytest.approx(hd95(*wide))
    assert dice(*moved) == dice(a, b)
    assert hd95(a.swapaxes(0, 1), b.swapaxes(0, 1)) == pytest.approx(hd95(a, b))


FORMS = [
    lambda m: m.astype(np.uint8),
    lambda m: m.astype(float),
    lambda m: m.astype(np.uint8) * 255,
    lambda m: m.tolist(),
]


@pytest.mark.parametrize("form", FORMS)
def test_masks_may_be_bool_0_1_or_0_255(form):
    a, b = blobs()
    assert dice(form(a), b) == dice(a, b)
    assert hd95(a, form(b)) == hd95(a, b)


# -------------------------------------------------------------------------------- empty, bad


def test_two_empty_masks_have_no_value_unless_one_is_chosen():
    for measure in (dice, iou, hd95):
        with pytest.warns(EmptyMaskWarning, match="Both masks are empty"):
            assert np.isnan(measure(EMPTY, EMPTY))
    assert (dice(EMPTY, EMPTY, both_empty=1), iou(EMPTY, EMPTY, both_empty=1.0)) == (1, 1)


@pytest.mark.parametrize("swap", [False, True])
def test_a_missed_lesion_overlaps_by_0_and_has_no_distance(swap):
    pair = (SQUARE, EMPTY) if swap else (EMPTY, SQUARE)
    assert (dice(*pair), iou(*pair)) == (0, 0)
    with pytest.warns(EmptyMaskWarning, match=f"Mask `{'b' if swap else 'a'}` is empty: hd95"):
        assert np.isnan(hd95(*pair))
    assert hd95(*pair, empty="diagonal", spacing=(1, 2)) == pytest.approx(np.hypot(5, 12))
    assert hd95(*pair, empty=np.inf) == np.inf
    assert [len(part) for part in surface_distances(*pair)] == [0, 0]


@pytest.mark.parametrize(
    ("a", "error", "text"),
    [
        (SQUARE[:5], PairingError, r"`a` is \(5, 7\), `b` \(6, 7\)"),
        (SQUARE * 0.7, ArgumentError, "Threshold probabilities beforehand"),
        (SQUARE * np.nan, ArgumentError, "must hold 0 and 1"),
        (np.arange(42).reshape(6, 7) % 3, ArgumentError, "3 values.*label maps"),
        (np.full((6, 7), "x"), ArgumentError, "must be a mask of bool or 0/1"),
        (np.zeros((0, 7)), ArgumentError, r"no pixels; its shape is \(0, 7\)"),
        (True, ArgumentError, "no pixels"),
        (-1 * SQUARE, ArgumentError, "must hold 0 and 1"),
    ],
)
@pytest.mark.parametrize("measure", [dice, iou, hd95])
def test_bad_masks_are_refused_with_advice(measure, a, error, text):
    with pytest.raises(error, match=text):
        measure(a, SQUARE)


@pytest.mark.parametrize("spacing", [0, -1, np.nan, (1, 2, 3), "mm", (1, np.inf)])
def test_bad_spacing_is_refused(spacing):
    with pytest.raises(ArgumentError, match="`spacing` must be"):
        hd95(SQUARE, SQUARE, spacing=spacing)


# ------------------------------------------------------------------------------ whole studies


def study(n=30, seed=4):
    rng = np.random.default_rng(seed)
    a, b = zip(*(blobs(seed=100 + i) for i in range(n)), strict=True)
    return list(a), list(b), rng.integers(0, n // 3, n)


def test_one_image_a_patient_gives_students_interval():
    a, b, _ = study()
    report = overlap_report(a, b, patient_id=np.arange(30))
    for measure, row in report.frame().set_index("measure").iterrows():
        values = report.images()[measure]
        other = stats.ttest_1samp(values, 0).confidence_interval(0.95)
        assert row["estimate"] == pytest.approx(values.mean())
        assert (row["conf_low"], row["conf_high"]) == pytest.approx(tuple(other))
        assert row["std_error"] == pytest.approx(stats.sem(values))
    by_patient = overlap_report(a, b, patient_id=np.arange(30), average="patient").frame()
    pd.testing.assert_frame_equal(by_patient, report.frame())


def test_mean_of_patients_is_students_interval_of_their_means():
    a, b, patient = study()
    report = overlap_report(a, b, patient_id=patient, average="patient")
    means = report.patients()["dice"]
    row = report.frame().set_index("measure").loc["dice"]
    other = stats.ttest_1samp(means, 0).confidence_interval(0.95)
    assert (row["conf_low"], row["conf_high"]) == pytest.approx(tuple(other))
    assert row["n_cluster"] == len(means) == report.n_cluster


def test_clustered_error_of_an_image_mean_is_the_sandwich():
    sm = pytest.importorskip("statsmodels.api")
    a, b, patient = study()
    report = overlap_report(a, b, patient_id=patient)
    fit = sm.OLS(report.images()["dice"], np.ones(30)).fit(
        cov_type="cluster", cov_kwds={"groups": patient}
    )
    # statsmodels adds (n - 1) / (n - k) = 1 with one column: the factors are the same.
    assert report.frame()["std_error"].iloc[0] == pytest.approx(fit.bse.iloc[0])


def test_images_copied_within_patients_change_nothing():
    a, b, patient = study()
    once = overlap_report(a, b, patient_id=patient).frame()
    twice = overlap_report(a * 2, b * 2, patient_id=np.tile(patient, 2)).frame()
    for column in ("estimate", "std_error", "conf_low", "conf_high"):
        np.testing.assert_allclose(once[column], twice[column])


@pytest.mark.parametrize("average", ["image", "patient"])
def test_bootstrap_replicates_are_the_mean_of_the_drawn_patients(average):
    a, b, patient = study()
    n_patients = len(np.unique(patient))
    draws = np.random.default_rng(1).integers(0, n_patients, (40, n_patients))
    report = overlap_report(
        a, b, patient_id=patient, average=average, ci="bootstrap", resamples=draws
    )
    images = report.images()
    order = pd.unique(patient)
    by_hand = []
    for drawn in draws:
        parts = [images.loc[images["patient_id"] == order[u], "dice"] for u in drawn]
        by_hand.append(
            pd.concat(parts).mean() if average == "image" else np.mean([p.mean() for p in parts])
        )
    row = report.frame().iloc[0]
    assert row["std_error"] == pytest.approx(np.std(by_hand, ddof=1))
    assert row["conf_low"] == pytest.approx(np.quantile(by_hand, 0.025))
    assert (row["method"], row["n_boot"]) == ("bootstrap percentile", 40)


def test_bootstrap_from_a_seed_repeats():
    a, b, patient = study()
    options = {"patient_id": patient, "ci": "bootstrap", "n_boot": 100, "seed": 3}
    one, two = (overlap_report(a, b, **options).frame() for _ in range(2))
    pd.testing.assert_frame_equal(one, two)


def labelled(n=12, seed=3):
    """Label maps of a nodule (1) and a vessel (2)."""
    rng = np.random.default_rng(seed)
    maps = np.zeros((n, 20, 22), dtype=np.int64)
    maps[:, 3:9, 4:10], maps[:, 12:17, 12:18] = 1, 2
    moved = np.stack([np.roll(m, rng.integers(-2, 3), axis=rng.integers(2)) for m in maps])
    return maps, moved, np.arange(n) // 2


def test_classes_of_label_maps_are_scored_each_against_the_rest():
    a, b, patient = labelled()
    report = overlap_report(a, b, patient_id=patient, classes={1: "nodule", 2: "vessel"})
    rows = report.frame().set_index(["measure", "group"])
    for label, name in ((1, "nodule"), (2, "vessel")):
        alone = overlap_report(a == label, b == label, patient_id=patient).frame()
        for measure, estimate, error in alone[["measure", "estimate", "std_error"]].itertuples(
            index=False
        ):
            assert rows.loc[(measure, name), "estimate"] == pytest.approx(estimate)
            assert rows.loc[(measure, name), "std_error"] == pytest.approx(error)
    mean = rows.loc[("iou", "mean of classes")]
    assert mean["estimate"] == pytest.approx(rows.loc["iou"]["estimate"].iloc[1:].mean())
    each = report.images().groupby("image_id")["iou"].mean()
    by_image = stats.sem(each.to_numpy().reshape(-1, 2).mean(axis=1))
    assert mean["std_error"] == pytest.approx(by_image)


def test_the_background_counts_only_where_it_is_listed():
    a, b, patient = labelled()
    without = overlap_report(a, b, patient_id=patient, classes=[1, 2]).frame()
    within = overlap_report(a, b, patient_id=patient, classes=[0, 1, 2]).frame()
    assert without["group"].unique().tolist() == ["mean of classes", "1", "2"]
    assert within["group"].unique().tolist() == ["mean of classes", "0", "1", "2"]
    assert within["estimate"].iloc[0] > without["estimate"].iloc[0]
    with pytest.raises(
        ArgumentError, match=r"Image 0: The label maps hold \[2\], which are neither"
    ):
        overlap_report(a, b, patient_id=patient, classes=[1])


def test_relabelling_the_classes_permutes_the_rows():
    a, b, patient = labelled()
    one = overlap_report(a, b, patient_id=patient, classes=[1, 2]).frame()
    two = overlap_report(a, b, patient_id=patient, classes=[2, 1]).frame()
    keys = ["measure", "group"]
    pd.testing.assert_frame_equal(
        one.set_index(keys), two.set_index(keys).loc[pd.MultiIndex.from_frame(one[keys])]
    )


def failing():
    """A hit, a miss, a false alarm, nothing in either, two masks apart."""
    far = np.roll(SQUARE, 3, axis=0)
    return [SQUARE, EMPTY, SQUARE, EMPTY, SQUARE], [SQUARE, SQUARE, EMPTY, EMPTY, far]


def test_failures_are_counted_and_left_out_values_told():
    a, b = failing()
    with pytest.warns(
        EmptyMaskWarning, match=r"dice \(1\), iou \(1\), hd95 \(3\).*failures"
    ) as told:
        report = overlap_report(a, b, patient_id=list("vwxyz"))
    assert len(told) == 1
    assert report.failures().iloc[0].to_dict() == {
        "group": "all",
        "n": 5,
        "both_empty": 1,
        "only_a": 1,
        "only_b": 1,
        "disjoint": 1,
        "n_undefined_hd95": 3,
    }
    rows = report.frame().set_index("measure")
    assert rows.loc["dice", "estimate"] == pytest.approx(1 / 4)
    assert rows["n"].tolist() == [4, 4, 2]
    assert rows["n_undefined"].tolist() == [1, 1, 3]
    assert report.images()["empty"].tolist() == ["", "a", "b", "both", ""]


def test_misses_can_count_as_the_worst_and_absence_as_right():
    a, b = failing()
    with pytest.warns(EmptyMaskWarning, match=r": hd95 \(1\)\. "):
        report = overlap_report(a, b, patient_id=list("vwxyz"), both_empty=1, missed="diagonal")
    rows = report.frame().set_index("measure")["estimate"]
    assert rows["dice"] == pytest.approx(2 / 5)
    assert rows["hd95"] == pytest.approx((0 + 2 * np.hypot(5, 6) + hd95(a[4], b[4])) / 4)


def test_areas_are_compared_in_the_unit_of_the_spacing():
    a, b, patient = study()
    report = overlap_report(a, b, patient_id=patient, spacing=(0.5, 0.2))
    images = report.images()
    np.testing.assert_allclose(images["size_a"], [m.sum() * 0.1 for m in a])
    other = bland_altman(images["size_a"], images["size_b"], cluster=patient)
    pd.testing.assert_frame_equal(report.area_agreement().frame(), other.frame())
    icc = report.area_icc(n_boot=50, seed=1).form("ICC2")
    assert -1 < icc.conf_low < icc.estimate < icc.conf_high < 1
    with pytest.raises(ArgumentError, match="`group` must be one of"):
        report.area_agreement("nodule")


def test_spacing_may_differ_between_images():
    a, b, patient = study()
    spacing = np.linspace(0.1, 0.5, 30)[:, None]
    found = overlap_report(a, b, patient_id=patient, spacing=spacing).images()["hd95"]
    np.testing.assert_allclose(
        found, [hd95(x, y, spacing=float(s[0])) for x, y, s in zip(a, b, spacing, strict=True)]
    )
    with pytest.raises(PairingError, match=r"shape \(29, 1\); one row an image"):
        overlap_report(a, b, patient_id=patient, spacing=spacing[:-1])


def test_a_table_of_measures_gives_what_the_masks_give():
    a, b, patient = labelled()
    report = overlap_report(a, b, patient_id=patient, classes=[1, 2])
    table = report.images()[["patient_id", "image_id", "class", "dice", "iou", "hd95"]]
    pd.testing.assert_frame_equal(overlap_report(table).frame(), report.frame())
    renamed = table.rename(columns={"patient_id": "who", "image_id": "file"})
    again = overlap_report(renamed, patient_id="who", image_id="file")
    pd.testing.assert_frame_equal(again.frame(), report.frame())
    numbered = table.assign(**{"class": table["class"].astype(int)})
    assert overlap_report(numbered).images()["class"].tolist() == table["class"].tolist()
    single = pd.DataFrame({"dice": [0.8, 0.9, 0.7]})
    assert overlap_report(single, patient_id=["x", "y", "y"]).frame()["n_cluster"].iloc[0] == 2
    with pytest.raises(ArgumentError, match="does not say which masks were empty"):
        overlap_report(single, patient_id=["x", "y", "y"]).failures()


@pytest.mark.parametrize(
    ("table", "error", "text"),
    [
        ({"dice": [0.5, 1.2], "patient_id": [1, 2]}, RiskError, r"`dice`.*first: 1\.2, row 1"),
        ({"dice": [0.5, "x"], "patient_id": [1, 2]}, RiskError, r"`dice` must lie in \[0, 1\]"),
        ({"hd95": [-1, 2], "patient_id": [1, 2]}, RiskError, "`hd95` must lie in"),
        ({"dsc": [0.5], "patient_id": [1]}, ArgumentError, r"one of \['dice', 'iou', 'hd95'\]"),
        ({"dice": [0.5, 0.6]}, ArgumentError, "no column 'patient_id'"),
        ({"dice": [0.5, 0.6], "patient_id": [1, None]}, PairingError, "missing labels"),
        (
            {"dice": [0.5, 0.6], "patient_id": [1, 1], "class": ["a", None]},
            ArgumentError,
            "`class` has 1 missing",
        ),
        (
            {"dice": [0.5, 0.6], "patient_id": [1, 1], "image_id": [1, 1]},
            PairingError,
            "several rows for one image",
        ),
        (
            {"dice": [0.5, 0.6], "patient_id": [1, 1], "class": ["a", "b"]},
            ArgumentError,
            "needs `image_id`",
        ),
    ],
)
def test_bad_tables_are_refused_with_advice(table, error, text):
    with pytest.raises(error, match=text):
        overlap_report(pd.DataFrame(table))


def test_bad_studies_are_refused_with_advice():
    a, b, _ = study(6)
    patient = np.arange(6) // 2
    with pytest.raises(PairingError, match="6 images, `masks_b` 5; pair them first"):
        overlap_report(a, b[:-1], patient_id=patient)
    with pytest.raises(PairingError, match=r"Image 2: Both masks must have one shape"):
        overlap_report(a, [*b[:2], b[2][1:], *b[3:]], patient_id=patient)
    with pytest.raises(PairingError, match="`cases` has 6, `cluster` has 5"):
        overlap_report(a, b, patient_id=patient[:-1])
    with pytest.raises(ArgumentError, match="`patient_id` must hold the patient of each image"):
        overlap_report(a, b)
    with pytest.raises(ArgumentError, match="`masks_b` is missing"):
        overlap_report(a, patient_id=patient)
    with pytest.raises(PairingError, match="there are no images"):
        overlap_report([], [], patient_id=[])
    with pytest.raises(PairingError, match="`image_id` has 2 names for 6 images"):
        overlap_report(a, b, patient_id=patient, image_id=["x", "y"])
    with pytest.raises(ArgumentError, match="`average` must be one of"):
        overlap_report(a, b, patient_id=patient, average="median")
    with pytest.raises(ArgumentError, match="`seed`"):
        overlap_report(a, b, patient_id=patient, ci="bootstrap", seed=-1)
    with pytest.raises(ResampleError, match="one patient"):
        overlap_report(a, b, patient_id=[1] * 6, ci="bootstrap", seed=1)


def test_one_patient_has_a_mean_without_limits():
    a, b, _ = study(6)
    with pytest.warns(SmallSampleWarning, match="No limits.*dice of all, iou of all, hd95 of all"):
        report = overlap_report(a, b, patient_id=["P1"] * 6)
    rows = report.frame()
    assert rows["estimate"].notna().all()
    assert rows[["std_error", "conf_low", "conf_high"]].isna().all(axis=None)


def test_what_a_report_says_of_itself():
    a, b, patient = study()
    report = overlap_report(a, b, patient_id=patient, conf_level=0.9)
    assert repr(report).startswith("<overlap: mean dice 0.")
    assert f"n = 30 images, unit: patient ({report.n_cluster} clusters), 90 % intervals" in repr(
        report
    )
    assert len(report.summary().split("\n")) == 4
    assert report.unit == "pixel"
    assert report.patients()["n"].sum() == 30


# --------------------------------------------------------------------------- evidence and masks


def test_map_against_mask_by_hand():
    cam = np.zeros((10, 10))
    cam[2:4, 2:4], cam[8, 8] = 1.0, 2.0
    mask = np.zeros((10, 10), dtype=bool)
    mask[:4, :4] = True
    found = cam_overlap(cam, mask, area=0.05)
    assert found.energy_in_mask == pytest.approx(4 / 6)
    assert not found.pointing_hit
    assert found.chance == pytest.approx(0.16)
    assert found.iou == pytest.approx(4 / (5 + 16 - 4))
    chosen = stats.hypergeom(100, 16, 5)
    by_hand = sum(chosen.pmf(k) * k / (5 + 16 - k) for k in range(6))
    assert found.iou_chance == pytest.approx(by_hand)
    cam[3, 3] = 5
    assert cam_overlap(cam, mask).pointing_hit
    visible = np.zeros((10, 10), dtype=bool)
    visible[:4] = True
    assert cam_overlap(cam, mask, visible=visible).chance == pytest.approx(0.4)


def test_a_map_that_is_the_mask_scores_1_and_a_flat_one_what_chance_scores():
    mask = np.random.default_rng(1).random((20, 30)) < 0.3
    best = cam_overlap(mask.astype(float), mask)
    assert (best.energy_in_mask, best.pointing_hit, best.iou) == (1, True, 1)
    flat = cam_overlap(np.ones((20, 30)), mask)
    assert flat.energy_in_mask == pytest.approx(flat.chance)
    assert flat.iou == pytest.approx(flat.iou_chance)


def test_chance_is_the_mean_over_every_choice_of_pixels():
    """All subsets of a small image, one by one; and of ties, all ways of breaking them."""
    mask = np.array([[1, 1, 0], [0, 1, 0]], dtype=bool)
    inside = mask.ravel()
    for size in range(1, 7):
        values = []
        for chosen in itertools.combinations(range(6), size):
            common = inside[list(chosen)].sum()
            values.append(common / (size + 3 - common))
        found = cam_overlap(np.ones((2, 3)), mask, area=size / 6)
        assert found.iou_chance == pytest.approx(np.mean(values))
        assert found.iou == pytest.approx(np.mean(values))
    cam = np.array([[2.0, 1.0, 1.0], [3.0, 1.0, 0.0]])
    ways = [{0, 3, k} for k in (1, 2, 4)]
    values = [len({0, 1, 4} & way) / len({0, 1, 4} | way) for way in ways]
    assert cam_overlap(cam, mask).iou == pytest.approx(np.mean(values))


def test_chance_of_a_large_image_is_finite_and_near_the_ratio_of_expectations():
    mask = np.zeros((600, 800), dtype=bool)
    mask[:300, :300] = True
    found = cam_overlap(np.ones(mask.shape), mask)
    share = 90_000 / 480_000
    assert found.iou_chance == pytest.approx(share / (2 - share), rel=1e-4)
    assert found.iou == pytest.approx(found.iou_chance)


def test_random_maps_score_chance_on_average():
    rng = np.random.default_rng(2)
    mask = rng.random((30, 30)) < 0.2
    found = [cam_overlap(rng.random((30, 30)), mask) for _ in range(300)]
    assert np.mean([f.iou for f in found]) == pytest.approx(found[0].iou_chance, abs=0.01)
    assert np.mean([f.pointing_hit for f in found]) == pytest.approx(found[0].chance, abs=0.07)


def test_a_map_of_zeros_has_no_energy_and_hits_nothing():
    found = cam_overlap(np.zeros((4, 4)), np.ones((4, 4)))
    assert np.isnan([found.energy_in_mask, found.iou]).all()
    assert not found.pointing_hit


def test_bad_maps_are_refused():
    with pytest.raises(PairingError, match=r"map is \(4, 4\), the mask \(4, 5\)"):
        cam_overlap(np.zeros((4, 4)), np.zeros((4, 5)))
    with pytest.raises(RiskError, match="finite values of 0 or more"):
        cam_overlap([[-1.0, 2.0]], [[0, 1]])
    with pytest.raises(RiskError, match="finite values"):
        cam_overlap([[np.nan, 2.0]], [[0, 1]])
    with pytest.raises(ArgumentError, match="`area` must be a share"):
        cam_overlap([[1.0, 2.0]], [[0, 1]], area=5)


def test_maps_of_a_study_are_set_against_chance_by_patient():
    rng = np.random.default_rng(3)
    masks = [blobs(i)[0] for i in range(20)]
    cams = [rng.random(m.shape) + m for m in masks]
    patient = np.arange(20) // 2
    report = cam_report(cams, masks, patient_id=patient)
    rows = report.frame().set_index(["measure", "group"])
    images = report.images()
    gain = (images["energy_in_mask"] - images["chance"]).to_numpy().reshape(10, 2).mean(axis=1)
    row = rows.loc[("energy_in_mask", "gain")]
    assert row["estimate"] == pytest.approx(gain.mean())
    assert row["std_error"] == pytest.approx(stats.sem(gain))
    assert row["n_cluster"] == 10
    for measure in ("energy_in_mask", "pointing_hit", "iou"):
        parts = rows.loc[measure, "estimate"]
        assert parts["gain"] == pytest.approx(parts["map"] - parts["chance"])
    again = cam_report(images)
    pd.testing.assert_frame_equal(again.frame(), report.frame())
    boot = cam_report(images, ci="bootstrap", n_boot=50, seed=1).frame()
    assert boot["method"].unique().tolist() == ["bootstrap percentile"]
    assert "iou: " in report.summary()
    assert report.average == "image"
    with pytest.raises(PairingError, match="20 maps, 19 masks"):
        cam_report(cams, masks[1:], patient_id=patient)
    with pytest.raises(ArgumentError, match=r"lacks \['chance'\]"):
        cam_report(images.drop(columns="chance"))
    with pytest.raises(ArgumentError, match="Give `masks`"):
        cam_report(cams)


def test_of_patients_with_many_images_every_patient_counts_once_on_request():
    table = pd.DataFrame(
        {
            "patient_id": ["a", "a", "a", "b", "c"],
            "energy_in_mask": [0.2, 0.4, 0.6, 0.8, 0.1],
            "pointing_hit": [True, False, True, True, False],
            "chance": 0.1,
        }
    )
    rows = {}
    for average in ("image", "patient"):
        frame = cam_report(table, average=average).frame()
        rows[average] = frame.set_index(["measure", "group"]).loc[("energy_in_mask", "map")]
    assert rows["image"]["estimate"] == pytest.approx(2.1 / 5)
    by_patient = np.array([0.4, 0.8, 0.1])
    assert rows["patient"]["estimate"] == pytest.approx(by_patient.mean())
    assert rows["patient"]["std_error"] == pytest.approx(stats.sem(by_patient))
    with pytest.raises(ArgumentError, match="`average` must be one of 'image', 'patient'"):
        cam_report(table, average="fold")


def test_means_without_limits_are_named():
    table = pd.DataFrame({"patient_id": ["a", "a"], "energy_in_mask": [0.2, 0.4]})
    table = table.assign(pointing_hit=True, chance=0.1)
    with pytest.warns(SmallSampleWarning, match="No limits, .*: energy_in_mask of map, energy"):
        rows = cam_report(table).frame()
    assert rows["conf_low"].isna().all()
    table = table.assign(energy_in_mask=np.nan, pointing_hit=None, patient_id=["a", "b"])
    with pytest.warns(SmallSampleWarning, match="pointing_hit of gain"):
        assert cam_report(table).frame()["estimate"].isna().all()


def test_the_interval_of_unequal_patients_is_that_of_a_ratio_of_sums():
    """Means over images, patients of one to four images: Taylor's formula, patient by patient."""
    rng = np.random.default_rng(8)
    patient = np.repeat(np.arange(9), [1, 2, 3, 4, 1, 2, 3, 4, 2])
    table = pd.DataFrame({"patient_id": patient, "energy_in_mask": rng.random(22)})
    table = table.assign(pointing_hit=rng.random(22) < 0.5, chance=rng.random(22) / 5)
    row = cam_report(table).frame().set_index(["measure", "group"]).loc[("energy_in_mask", "gain")]
    gain = table["energy_in_mask"] - table["chance"]
    squares = 0.0
    for k in range(9):
        squares += sum(gain[i] - gain.mean() for i in range(22) if patient[i] == k) ** 2
    std_error = np.sqrt(9 / 8 * squares) / 22
    assert row["std_error"] == pytest.approx(std_error)
    half = stats.t.ppf(0.975, 8) * std_error
    assert row["conf_high"] - row["estimate"] == pytest.approx(half)


def test_chance_is_averaged_over_the_images_whose_map_says_something():
    masks = [SQUARE, EMPTY | True, SQUARE]
    cams = [SQUARE * 1.0, EMPTY * 1.0, SQUARE + 0.5]
    rows = cam_report(cams, masks, patient_id=[1, 2, 3]).frame().set_index(["measure", "group"])
    assert rows.loc[("energy_in_mask", "chance"), "estimate"] == pytest.approx(6 / 42)
    assert rows.loc[("energy_in_mask", "map"), "n"] == 2


@pytest.mark.slow
def test_clustered_intervals_cover_and_image_intervals_do_not():
    rng = np.random.default_rng(6)
    hits = {"patients": 0, "images": 0}
    for _ in range(500):
        size = rng.integers(1, 8, 30)
        patient = np.repeat(np.arange(30), size)
        values = 0.7 + rng.normal(0, 0.1, 30)[patient] + rng.normal(0, 0.05, len(patient))
        table = pd.DataFrame({"dice": np.clip(values, 0, 1)})
        for unit, labels in (("patients", patient), ("images", np.arange(len(patient)))):
            row = overlap_report(table, patient_id=labels).frame().iloc[0]
            hits[unit] += row["conf_low"] <= 0.7 <= row["conf_high"]
    assert 0.92 < hits["patients"] / 500 < 0.975
    assert hits["images"] / 500 < 0.8


def test_no_warning_where_all_is_well():
    a, b, patient = study()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        overlap_report(a, b, patient_id=patient)
