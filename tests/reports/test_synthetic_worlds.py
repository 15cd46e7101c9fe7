"""Small synthetic worlds: what is true of them can be read off the pictures."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.special import ndtri

import usstats
from reports.synthetic.fetal_heart import FETAL_HEART, PREVALENCE, REGIONS, FetalHeartLaw
from reports.synthetic.scenes import SIDE, Ellipse, compress, deal, smooth_field, speckle
from reports.synthetic.skin import SHARES, SKIN, SKIN_CLASSES, SkinLaw
from usstats.errors import ArgumentError


def pictures(world, kind: str) -> np.ndarray:
    root, names = world.study.root, world.study.images["image_id"]
    return np.stack([np.asarray(Image.open(root / kind / f"{name}.png")) for name in names])


def opened(drawn) -> SimpleNamespace:
    return SimpleNamespace(
        world=drawn, gray=pictures(drawn, "images").astype(float), regions=pictures(drawn, "masks")
    )


@pytest.fixture(scope="module")
def hearts(tmp_path_factory) -> SimpleNamespace:
    return opened(FETAL_HEART.draw(tmp_path_factory.mktemp("hearts"), n_patients=80, seed=3))


@pytest.fixture(scope="module")
def tumours(tmp_path_factory) -> SimpleNamespace:
    return opened(SKIN.draw(tmp_path_factory.mktemp("tumours"), n_patients=80, seed=3))


@pytest.fixture(scope="module", params=["hearts", "tumours"])
def any_world(request) -> SimpleNamespace:
    return request.getfixturevalue(request.param)


# --- what holds of every world ---------------------------------------------------------------


@pytest.mark.parametrize("law", [FETAL_HEART, SKIN], ids=["hearts", "tumours"])
def test_the_seed_decides_every_pixel(law, tmp_path):
    one, same, other = (
        law.draw(tmp_path / name, n_patients=8, seed=seed)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    )
    pd.testing.assert_frame_equal(one.truth, same.truth)
    pd.testing.assert_frame_equal(one.study.images, same.study.images)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.png"))
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "same" / file).read_bytes()
    shared = set(one.truth["image_id"]) & set(other.truth["image_id"])
    name = f"images/{min(shared)}.png"
    assert (tmp_path / "one" / name).read_bytes() != (tmp_path / "other" / name).read_bytes()


def test_nothing_passes_for_real(any_world):
    study = any_world.world.study
    assert study.images["synthetic"].all()
    picture = Image.open(study.root / study.images["path"][0])
    assert picture.text["Source"].startswith("SYNTHETIC")


def test_tables_fit_the_pictures(any_world):
    world = any_world.world
    assert world.truth["image_id"].tolist() == world.study.images["image_id"].tolist()
    assert any_world.gray.shape == any_world.regions.shape == (len(world.study), SIDE, SIDE)
    per_patient = world.study.images["patient_id"].value_counts()
    assert per_patient.between(2, 4).all()
    assert per_patient.nunique() == 3
    assert world.truth.groupby("patient_id")["label"].nunique().max() == 1


def test_regions_lie_inside_the_picture(any_world):
    border = np.ones((SIDE, SIDE), dtype=bool)
    border[1:-1, 1:-1] = False
    assert not any_world.regions[:, border].any()
    assert (any_world.regions > 0).sum(axis=(1, 2)).min() > 100


def test_pictures_use_their_range_and_differ(any_world):
    assert any_world.gray.min() < 30
    assert any_world.gray.max() > 220
    assert 50 < any_world.gray.mean() < 150
    flat = any_world.gray.reshape(len(any_world.gray), -1)
    assert len(np.unique(flat, axis=0)) == len(flat)


def test_images_of_a_patient_are_alike(any_world):
    """What a network may recognise a patient by."""
    patient = any_world.world.truth["patient_id"].to_numpy()
    flat = any_world.gray.reshape(len(patient), -1)
    alike = np.corrcoef(flat)
    same = patient[:, None] == patient[None, :]
    apart = ~np.eye(len(patient), dtype=bool)
    assert alike[same & apart].mean() > alike[~same].mean() + 0.1


# --- fetal hearts ----------------------------------------------------------------------------


def test_labels_and_outlines_are_missing_as_the_law_says(hearts):
    images = hearts.world.study.images
    known = images.groupby("patient_id")["label"].agg(lambda cells: cells.notna().mean())
    assert set(known) == {0.0, 1.0}
    assert (known == 0).mean() == pytest.approx(FETAL_HEART.unlabelled, abs=0.08)
    assert images["mask"].isna().mean() == pytest.approx(FETAL_HEART.unmasked, abs=0.08)
    there = images["label"].notna()
    assert (images["label"][there] == hearts.world.truth["label"][there]).all()


def test_ventricles_are_dark_and_there_are_two(hearts):
    for level in REGIONS:
        inside = hearts.regions == level
        assert inside.any(axis=(1, 2)).all()
        assert hearts.gray[inside].mean() < hearts.gray[~inside].mean() - 30
    columns = np.arange(SIDE)
    left, right = (
        ((hearts.regions == k) * columns).sum() / (hearts.regions == k).sum() for k in REGIONS
    )
    assert left < right


def test_shares_of_the_outcome(hearts):
    label = hearts.world.truth.drop_duplicates("patient_id")["label"]
    assert label.sum() == round(PREVALENCE * 80)


def test_the_picture_shows_the_opening(hearts):
    """Between the ventricles it is the darker, the more open the septum is."""
    between = []
    for gray, regions in zip(hearts.gray, hearts.regions, strict=True):
        rows, columns = (np.indices(regions.shape)[axis] for axis in (0, 1))
        centres = [(rows[regions == k].mean(), columns[regions == k].mean()) for k in REGIONS]
        middle = np.mean(centres, axis=0)
        near = np.hypot(rows - middle[0], columns - middle[1]) < 3
        between.append(gray[near].mean())
    shown = hearts.world.truth["shown"]
    assert pd.Series(between).corr(shown, method="spearman") < -0.75


def test_the_best_auc_is_that_of_what_is_shown(tmp_path):
    truth = FETAL_HEART.draw(tmp_path, n_patients=160, seed=11).truth
    found = usstats.auc(truth["label"], truth["shown"], cluster=truth["patient_id"])
    assert abs(found.estimate - FETAL_HEART.best_auc()) < 3 * found.std_error
    assert FETAL_HEART.best_auc(4) > FETAL_HEART.best_auc(1)
    blind = FetalHeartLaw(image_sd=100.0)
    assert blind.best_auc() == pytest.approx(0.5, abs=0.01)
    exact = FetalHeartLaw(separation=np.sqrt(2) * ndtri(0.8), image_sd=0.0)
    assert exact.best_auc() == pytest.approx(0.8)


def test_experts_read_as_well_as_their_law_says():
    rng = np.random.default_rng(1)
    label = np.repeat([0, 1], 1500)
    truth = pd.DataFrame(
        {
            "patient_id": [f"P{i}" for i in range(3000)],
            "label": label,
            "opening": FETAL_HEART.separation * label + rng.normal(size=3000),
        }
    )
    readings = FETAL_HEART.readings(truth, seed=1)
    assert readings["rating"].between(0, 100).all()
    assert not readings.duplicated(["reader", "case"]).any()
    for name, part in readings.groupby("reader"):
        found = usstats.auc(part["truth"], part["rating"]).estimate
        assert found == pytest.approx(FETAL_HEART.expert_auc()[name], abs=0.02)


# --- skin tumours ----------------------------------------------------------------------------


def test_classes_and_looks_follow_the_law(tumours):
    patients = tumours.world.truth.drop_duplicates("patient_id")
    counts = patients["label"].value_counts()
    assert [counts[name] for name in SKIN_CLASSES] == [round(share * 80) for share in SHARES]
    assert (patients["label"] == patients["look"]).mean() == pytest.approx(SKIN.typical, abs=0.12)


def test_the_look_is_in_the_picture(tumours):
    """By the level inside, its spread, and the level below, as compared with the same depth."""
    features = []
    for gray, inside in zip(tumours.gray, tumours.regions > 0, strict=True):
        rows, columns = np.nonzero(inside)
        below = gray[
            rows.max() + 1 : rows.max() + 9, int(columns.mean()) - 4 : int(columns.mean()) + 5
        ]
        features.append([gray[inside].mean(), gray[inside].std(), below.mean(), np.ptp(columns)])
    table = pd.DataFrame(features).apply(lambda column: (column - column.mean()) / column.std())
    look = tumours.world.truth["look"]
    half = np.arange(len(look)) % 2 == 0
    centres = table[half].groupby(look[half]).mean()
    away = [((table[~half] - centres.loc[name]) ** 2).sum(axis=1) for name in SKIN_CLASSES]
    found = np.array(SKIN_CLASSES)[np.argmin(away, axis=0)]
    assert (found == look[~half]).mean() > 0.9


def test_the_mark_says_nothing(tumours):
    truth = tumours.world.truth
    by_class = truth.groupby("label")["mark"].mean()
    assert by_class.between(0.25, 0.55).all()
    bright = (tumours.gray[:, SIDE - 8 : SIDE - 3] == 255).sum(axis=(1, 2))
    assert (bright[truth["mark"]] >= 9).all()
    assert (bright[~truth["mark"]] < 9).mean() > 0.98


@pytest.mark.parametrize("typical", [0.6, 0.8, 1.0])
def test_the_best_auc_is_that_of_the_looks(typical):
    law = SkinLaw(typical=typical)
    rng = np.random.default_rng(2)
    kind = rng.choice(3, 6000, p=SHARES)
    look = np.array([rng.choice(3, p=law.looks()[k]) for k in kind])
    joint = np.array(SHARES)[:, None] * law.looks()
    posterior = (joint / joint.sum(axis=0)).T[look]
    found = usstats.multiclass_auc(kind, posterior, classes=[0, 1, 2], average="macro")
    assert found.estimate == pytest.approx(law.best_auc()["macro"], abs=0.012)


# --- parts -----------------------------------------------------------------------------------


def test_dealing_needs_two_patients_a_class(tmp_path):
    with pytest.raises(ArgumentError, match="5 patients are too few for 3 classes; draw 6 or more"):
        SKIN.draw(tmp_path, n_patients=5, seed=1)
    assert sorted(deal(np.random.default_rng(1), 6, (0.5, 0.5))) == [0, 0, 0, 1, 1, 1]


def test_an_ellipse_has_its_half_axes():
    radius = Ellipse(centre=(30.0, 20.0), half_axes=(10.0, 5.0)).radius()
    assert radius[30, 20] == 0
    assert radius[40, 20] == pytest.approx(1)
    assert radius[30, 25] == pytest.approx(1)
    turned = Ellipse(centre=(30.0, 20.0), half_axes=(10.0, 5.0)).turned(np.pi / 2).radius()
    assert turned[30, 30] == pytest.approx(1)
    assert turned[35, 20] == pytest.approx(1)


def test_speckle_and_fields_have_the_moments_they_promise():
    rng = np.random.default_rng(4)
    assert 10 ** (speckle(rng) / 10).mean() > 0
    assert np.mean(10 ** (speckle(rng) / 10)) == pytest.approx(1.02, abs=0.01)
    assert smooth_field(rng, 4).std() == pytest.approx(1)
    assert compress(np.array([-200.0, -55.0, 0.0, 10.0])).tolist() == [0, 0, 255, 255]
