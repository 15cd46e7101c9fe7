"""Acute scrotum: flow tells as often as the law says, outlines and skin what they should not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dl.data import ImageStudy
from dl.doppler import is_doppler
from dl.errors import ImageError
from dl.images import read_image, read_mask
from dl.prepare import prepare
from reports.synthetic.acute_scrotum import (
    ACUTE_SCROTUM,
    AcuteScrotumLaw,
    gray_for_doppler,
    without_colour,
)
from reports.synthetic.as_published import put_aside, train_as_published
from reports.synthetic.pair_recipe import LAYOUT, PairRecipe
from reports.synthetic.scenes import SyntheticImages
from reports.synthetic.small_network import SMALL
from usstats import auc
from usstats.errors import ArgumentError

RECIPE = PairRecipe(
    architecture="dual_aspp",
    classes=("0", "1"),
    options={"encoder": SMALL, "dim": 16, "heads": 2, "depth": 1},
    epochs=2,
    input_size=32,
)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> SyntheticImages:
    return ACUTE_SCROTUM.draw(tmp_path_factory.mktemp("scrotum"), n_patients=40, seed=3)


# --- the law ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_planes", [1, 2, 3])
def test_the_best_auc_is_that_of_many_boys(n_planes):
    law = AcuteScrotumLaw(missing_doppler=0.2)
    rng, n = np.random.default_rng(1), 200_000
    label = rng.random(n) < 0.5
    ischaemia = law.separation * label + rng.normal(size=n)
    planes = ischaemia[:, None] + law.plane_sd * rng.normal(size=(n, n_planes))
    kept = rng.random((n, n_planes)) >= law.missing_doppler
    none = (kept & (planes > law.separation / 2)).sum(axis=1)
    evidence = pd.Series(list(zip(none, kept.sum(axis=1), strict=True))).astype(str)
    share = pd.Series(label).groupby(evidence).transform("mean")
    assert auc(label, share).estimate == pytest.approx(law.best_auc(n_planes), abs=0.003)


def test_without_doppler_nobody_can_tell():
    assert AcuteScrotumLaw(missing_doppler=1.0).best_auc(2) == pytest.approx(0.5)


def test_with_all_planes_and_no_error_the_best_auc_is_that_of_the_sign():
    law = AcuteScrotumLaw(plane_sd=1e-9, missing_doppler=0.0)
    found = 0.9452007083004420  # Phi(1.6)
    assert law.best_auc(1) == pytest.approx(found, abs=0.01)


# --- the pictures ----------------------------------------------------------------------------


def test_flow_is_seen_inside_where_the_truth_says_so(drawn):
    seen = drawn.study.has_doppler
    assert 0 < (~seen).sum() < len(seen) / 4
    assert drawn.truth["flow"].corr(drawn.truth["label"] == 0) > 0.6


@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_outlines_of_torsions_are_wider_and_gray_levels_tell_nothing(drawn):
    study, y = drawn.study, drawn.study.labels()
    masks = [read_mask(study.file(row, "mask")) for row in range(len(study))]
    size = auc(y, [mask.mean() for mask in masks], cluster=study.patients)
    assert size.conf_low > 0.5
    fair = AcuteScrotumLaw(wider=0.0)
    assert fair.best_auc() == ACUTE_SCROTUM.best_auc()
    level = [read_image(study.file(row)).mean() for row in range(len(study))]
    found = auc(y, level, cluster=study.patients)
    assert found.conf_low < 0.5 < found.conf_high


def test_a_boys_two_gray_images_have_his_skin(drawn):
    rows = drawn.study.images.groupby("patient_id").indices.values()
    skin = [[read_image(drawn.study.file(r))[:14].mean(axis=1) for r in two] for two in rows]
    first, second = (np.array([pair[i] for pair in skin]) for i in (0, 1))
    alike = np.corrcoef(first, second)[: len(first), len(first) :]
    assert np.diag(alike).mean() > alike[~np.eye(len(first), dtype=bool)].mean() + 0.3


def test_a_seed_draws_the_same_study_and_another_seed_another(tmp_path):
    one, two, other = (
        ACUTE_SCROTUM.draw(tmp_path / name, n_patients=6, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    pd.testing.assert_frame_equal(one.truth, two.truth)
    pictures = [read_image(each.study.file(0)) for each in (one, two, other)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()
    assert set(one.study.images["synthetic"]) == {True}


def test_too_few_boys_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="3 patients are too few"):
        ACUTE_SCROTUM.draw(tmp_path, n_patients=3, seed=1)


# --- the defects of the published pairs ------------------------------------------------------


def test_the_gray_image_as_its_own_doppler_image_is_refused_and_a_copy_is_not(drawn, tmp_path):
    study = drawn.study
    itself = study.images.assign(doppler_path=study.images["path"])
    with pytest.raises(ImageError, match="`doppler_path` is the gray image itself"):
        prepare(ImageStudy(images=itself, root=study.root), RECIPE.preparation, cache_dir=tmp_path)
    views = prepare(gray_for_doppler(study, "copies"), RECIPE.preparation, cache_dir=tmp_path).views
    np.testing.assert_array_equal(LAYOUT.take(views, "gray"), LAYOUT.take(views, "doppler"))


def test_colour_goes_and_missing_images_stay_missing(drawn):
    gray = without_colour(drawn.study, "colourless")
    np.testing.assert_array_equal(gray.has_doppler, drawn.study.has_doppler)
    for row in np.flatnonzero(gray.has_doppler)[:5]:
        assert is_doppler(read_image(drawn.study.file(row, "doppler_path")))
        assert not is_doppler(read_image(gray.file(row, "doppler_path")))


def test_the_published_network_takes_pairs_in_gray_and_their_outlines(drawn, tmp_path):
    table = drawn.study.images.assign(gate=drawn.study.images["mask"])
    study = ImageStudy(images=table, root=drawn.study.root)
    train, aside = put_aside(study, share=0.2, seed=1, by="image")
    training = train_as_published(train, {"list": aside}, RECIPE, cache_dir=tmp_path)
    assert RECIPE.preparation.shape == (1, 3, 32, 32)
    assert len(training.predictions["list"]) == len(aside)


# --- the readers -----------------------------------------------------------------------------


def test_readers_see_the_boys_ischaemia_and_lean_on_the_network(drawn):
    truth = drawn.truth
    told = truth.drop_duplicates("patient_id").set_index("patient_id")["label"]
    readings = ACUTE_SCROTUM.readings(truth, 0.1 + 0.8 * told + 0.001 * np.arange(40), seed=1)
    assert readings["case"].nunique() == 40
    assert readings["reader"].nunique() == 8
    mean = readings.groupby(["condition", "case"])["rating"].mean()
    hidden = truth.drop_duplicates("patient_id").set_index("patient_id")["ischaemia"]
    assert mean["unaided"].corr(hidden) > 0.8
    aided, unaided = (auc(told, mean[c].loc[told.index]).estimate for c in ("aided", "unaided"))
    assert aided > unaided
