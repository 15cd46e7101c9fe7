"""Gallbladders follow their law, photos are of the same screens, readers see the same infants."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import expit
from scipy.stats import norm

from dl.images import read_image, read_mask
from reports.synthetic.as_published import SensitiveRecipe
from reports.synthetic.gallbladder import (
    GALLBLADDER,
    HOME,
    READERS,
    SECOND,
    draw_abdomen,
    photographed,
)
from reports.synthetic.scenes import SIDE, SyntheticImages
from usstats import auc
from usstats.errors import ArgumentError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> SyntheticImages:
    return GALLBLADDER.draw(tmp_path_factory.mktemp("home"), n_patients=40, seed=3)


@pytest.fixture(scope="module")
def photos(drawn, tmp_path_factory) -> SyntheticImages:
    return photographed(drawn, tmp_path_factory.mktemp("phone"), seed=3)


def pixels(study) -> list[np.ndarray]:
    return [read_image(study.file(row)) for row in range(len(study))]


# --- the infants -----------------------------------------------------------------------------


def test_infants_have_several_images_and_the_hospitals_prevalence(drawn):
    counts = drawn.study.images["patient_id"].value_counts()
    assert len(counts) == 40
    assert set(counts) == {2, 3, 4}
    infants = drawn.truth.drop_duplicates("patient_id")
    assert infants["label"].mean() == pytest.approx(HOME.prevalence)
    assert drawn.study.images["synthetic"].all()
    assert not {"severity", "shown"} & set(drawn.study.images)


def test_every_file_says_that_it_is_synthetic(drawn, photos):
    for study in (drawn.study, photos.study):
        with Image.open(study.file(0)) as picture:
            assert picture.info["Source"].startswith("SYNTHETIC")


def test_severity_has_the_auc_of_the_law():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], 20000)
    severity = GALLBLADDER.separation * y + rng.normal(size=y.size)
    for n in (1, 3):
        errors = GALLBLADDER.image_sd * rng.normal(size=(n, y.size))
        found = auc(y, severity + errors.mean(axis=0)).estimate
        assert found == pytest.approx(GALLBLADDER.best_auc(n), abs=0.005)
    clear = replace(GALLBLADDER, image_sd=0.0)
    assert clear.best_auc() == pytest.approx(norm.cdf(GALLBLADDER.separation / np.sqrt(2)))


def test_images_of_an_infant_share_its_severity(drawn):
    within = (drawn.truth["shown"] - drawn.truth["severity"]).std()
    assert within == pytest.approx(GALLBLADDER.image_sd, rel=0.25)
    assert (drawn.truth.groupby("patient_id")["severity"].std() == 0).all()


def test_a_sick_gallbladder_is_short_and_has_no_lining():
    pictures = []
    for seed in range(20):
        abdomen = draw_abdomen(np.random.default_rng(seed))
        scenes = [abdomen.image(x, HOME, np.random.default_rng(seed)) for x in (0.0, 0.95)]
        lining = [abdomen._radius(x, 0.0) for x in (0.0, 0.95)]
        bright = [s.gray[abs(r - 1.05) < 0.08].mean() for s, r in zip(scenes, lining, strict=True)]
        pictures.append((*bright, *(scene.regions.mean() for scene in scenes)))
    healthy, sick, large, small = np.array(pictures).mean(axis=0)
    assert healthy > sick + 30
    assert small < 0.85 * large


@pytest.mark.filterwarnings("ignore::usstats.errors.DirectionWarning")
def test_the_surroundings_do_not_tell(drawn):
    y = drawn.study.labels()
    outside = [
        (gray[~mask].mean(), gray[~mask].std())
        for gray, mask in (
            (gray, read_mask(drawn.study.file(row, "mask")))
            for row, gray in enumerate(pixels(drawn.study))
        )
    ]
    for values in zip(*outside, strict=True):
        found = auc(y, np.array(values), cluster=drawn.study.patients)
        assert found.conf_low < 0.5 < found.conf_high


def test_gallbladders_lie_inside_the_picture(drawn):
    for row in range(len(drawn.study)):
        mask = read_mask(drawn.study.file(row, "mask"))
        assert mask.any()
        assert not mask[[0, 1, 2, -3, -2, -1]].any()


def test_a_seed_draws_the_same_and_another_one_another(tmp_path):
    one, two, other = (
        GALLBLADDER.draw(tmp_path / name, n_patients=6, seed=seed)
        for name, seed in (("one", 1), ("two", 1), ("other", 2))
    )
    pd.testing.assert_frame_equal(one.study.images, two.study.images)
    assert all((a == b).all() for a, b in zip(pixels(one.study), pixels(two.study), strict=True))
    assert not one.truth["severity"].equals(other.truth["severity"])


def test_the_second_hospital_is_brighter_and_sends_more_of_the_sick(tmp_path):
    home, second = (
        GALLBLADDER.draw(tmp_path / name, n_patients=40, seed=5, hospital=hospital)
        for name, hospital in (("home", HOME), ("second", SECOND))
    )
    infants = second.truth.drop_duplicates("patient_id")
    assert infants["label"].mean() == pytest.approx(SECOND.prevalence)
    assert np.mean(pixels(second.study)) > np.mean(pixels(home.study)) + 10


def test_too_few_infants_are_refused(tmp_path):
    with pytest.raises(ArgumentError, match="3 patients are too few for 2 classes; draw 4 or more"):
        GALLBLADDER.draw(tmp_path, n_patients=3, seed=1)


# --- photos ----------------------------------------------------------------------------------


def test_photos_are_coloured_and_of_the_same_screens(drawn, photos):
    assert photos.study.images["image_id"].equals(drawn.study.images["image_id"])
    assert photos.truth.equals(drawn.truth)
    assert "mask" not in photos.study.images
    likeness = []
    for screen, photo in zip(pixels(drawn.study), pixels(photos.study), strict=True):
        assert photo.shape == (SIDE, SIDE, 3)
        middle = slice(8, -8), slice(8, -8)
        likeness.append(np.corrcoef(screen[middle].ravel(), photo[middle].mean(2).ravel())[0, 1])
    assert 0.5 < np.median(likeness) < 0.98


def test_a_photo_of_no_strength_is_the_screen(drawn, tmp_path):
    same = photographed(drawn, tmp_path, seed=1, strength=0.0)
    for screen, photo in zip(pixels(drawn.study), pixels(same.study), strict=True):
        assert (np.atleast_3d(photo) == screen[..., None]).all()


def test_photos_follow_their_seed(drawn, photos, tmp_path):
    again = photographed(drawn, tmp_path / "again", seed=3)
    other = photographed(drawn, tmp_path / "other", seed=4)
    assert (read_image(again.study.file(0)) == read_image(photos.study.file(0))).all()
    assert (read_image(other.study.file(0)) != read_image(photos.study.file(0))).any()


# --- readers ---------------------------------------------------------------------------------


def network_of(truth: pd.DataFrame, *, sd: float = 0.5) -> pd.Series:
    infants = truth.drop_duplicates("patient_id").set_index("patient_id")
    noise = sd * np.random.default_rng(8).normal(size=len(infants))
    return expit(infants["severity"] + noise - 3.0)


def test_fourteen_readers_read_every_infant_twice(drawn):
    network = network_of(drawn.truth)
    readings = GALLBLADDER.readings(drawn.truth, network, seed=1)
    assert readings.groupby("experience")["reader"].nunique().to_dict() == {
        "expert": 6,
        "junior": 8,
    }
    assert len(readings) == 14 * 40 * 2
    assert not readings.duplicated(["reader", "case", "condition"]).any()
    assert readings["network"].equals(readings["case"].map(network))
    assert readings["synthetic"].all()
    again = GALLBLADDER.readings(drawn.truth, network, seed=1)
    pd.testing.assert_frame_equal(readings, again)


def crowd(n: int = 3000) -> tuple[pd.DataFrame, np.ndarray]:
    """Infants nobody has drawn pictures of, and what everybody sees in them beyond the truth."""
    rng = np.random.default_rng(2)
    truth = np.repeat([0, 1], n // 2)
    common = rng.normal(size=n)
    severity = GALLBLADDER.separation * truth + common
    cases = pd.DataFrame({"case": np.arange(n), "truth": truth, "network": expit(severity - 2)})
    return cases, common


def test_unaided_readers_have_the_aucs_of_their_law():
    groups = {name: replace(group, size=12) for name, group in READERS.groups.items()}
    cases, common = crowd()
    readings = replace(READERS, groups=groups).read(cases, common=common, seed=4, aided=False)
    truth = READERS.true_auc().set_index("experience")["unaided"]
    each = readings.groupby(["experience", "reader"])[["truth", "rating"]].apply(
        lambda part: auc(part["truth"], part["rating"]).estimate
    )
    for experience, found in each.groupby(level="experience").mean().items():
        assert found == pytest.approx(truth[experience], abs=0.025)


def test_readers_who_trust_the_network_blindly_rank_as_it_does():
    groups = {name: replace(group, trust=1.0) for name, group in READERS.groups.items()}
    law = replace(READERS, groups=groups, trust_sd=0.0)
    cases, common = crowd(400)
    aided = law.read(cases, common=common, seed=4).query("condition == 'aided'")
    network = auc(cases["truth"], cases["network"]).estimate
    for _, part in aided.groupby("reader"):
        assert auc(part["truth"], part["rating"]).estimate == pytest.approx(network, abs=0.005)


def test_another_scale_of_the_network_changes_nothing():
    cases, common = crowd(200)
    odds = np.log(cases["network"] / (1 - cases["network"]))
    other = cases.assign(network=expit(0.5 * odds + 1))
    one, two = (READERS.read(table, common=common, seed=4) for table in (cases, other))
    assert (one["rating"] - two["rating"]).abs().max() <= 1


# --- the recipe as published -----------------------------------------------------------------


def judged(p: list[float], y: list[int]) -> pd.DataFrame:
    """One infant a value, with two images whose mean it is."""
    p, patients = np.repeat(p, 2), np.repeat(np.arange(len(p)), 2)
    p = p + np.tile([-0.1, 0.1], len(y))
    return pd.DataFrame({"patient_id": patients, "label": np.repeat(y, 2), "0": 1 - p, "1": p})


def test_the_published_choice_counts_patients_and_wants_specificity():
    recipe = SensitiveRecipe(architecture="small_cnn", classes=("0", "1"), specificity=0.75)
    y = [1, 1, 1, 0, 0, 0, 0]
    enough = judged([0.8, 0.55, 0.2, 0.6, 0.1, 0.1, 0.1], y)
    assert recipe.merit(enough) == pytest.approx(2 / 3)
    too_many = judged([0.8, 0.55, 0.52, 0.6, 0.7, 0.1, 0.1], y)
    assert recipe.merit(too_many) == 0
    assert recipe.merit(enough) > recipe.merit(too_many)
