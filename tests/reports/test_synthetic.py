"""The synthetic NOA study: its truth is exact, its files are reproducible, its pictures tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import mannwhitneyu, multivariate_normal

from reports.check import check_study
from reports.study import load_study
from reports.synthetic import Truth, ensure_noa_study, make_noa_study
from reports.synthetic import study as synthetic_study
from reports.synthetic.covariates import LAW, SEVERITY, draw_covariates, hide_values
from reports.synthetic.overlay import LABEL_BOX, annotate
from reports.synthetic.texture import SCANNERS, draw_anatomy, render
from usstats.errors import ArgumentError, SchemaError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    folder = tmp_path_factory.mktemp("synthetic") / "noa"
    return folder, make_noa_study(folder, seed=7, n_development=24, n_external=12)


def _contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def _rank_auc(y: np.ndarray, s: np.ndarray) -> float:
    return mannwhitneyu(s[y == 1], s[y == 0]).statistic / (y.sum() * (1 - y).sum())


# --- the law


@pytest.mark.parametrize("names", [None, [SEVERITY], ["fsh", "testicular_volume", "edv"]])
def test_true_risk_is_bayes_rule_on_the_two_densities(names: list[str] | None) -> None:
    _, coordinates = LAW.draw(200, np.random.default_rng(1))
    keep = [LAW.names.index(name) for name in names or LAW.names]
    x = coordinates.to_numpy()[:, keep]
    covariance = LAW.covariance()[np.ix_(keep, keep)]
    event = LAW.prevalence * multivariate_normal(LAW.mean(1)[keep], covariance).pdf(x)
    other = (1 - LAW.prevalence) * multivariate_normal(LAW.mean(0)[keep], covariance).pdf(x)
    np.testing.assert_allclose(LAW.risk(coordinates, names), event / (event + other), rtol=1e-8)


@pytest.mark.parametrize("names", [None, [SEVERITY], ["fsh"]])
def test_best_auc_is_reached_by_the_true_risk(names: list[str] | None) -> None:
    outcome, coordinates = LAW.draw(40_000, np.random.default_rng(2))
    assert _rank_auc(outcome, LAW.risk(coordinates, names)) == pytest.approx(
        LAW.auc(names), abs=0.006
    )


def test_true_risk_is_calibrated() -> None:
    outcome, coordinates = LAW.draw(60_000, np.random.default_rng(3))
    risk = LAW.risk(coordinates)
    tenth = np.digitize(risk, np.linspace(0.1, 0.9, 9))
    for k in range(10):
        mine = tenth == k
        spread = np.sqrt(risk[mine].mean() * (1 - risk[mine].mean()) / mine.sum())
        assert abs(outcome[mine].mean() - risk[mine].mean()) < 4 * spread


def test_more_covariates_never_make_the_best_auc_worse() -> None:
    names: list[str] = []
    aucs = []
    for name in LAW.names:
        names.append(name)
        aucs.append(LAW.auc(names))
    assert np.all(np.diff(aucs) >= -1e-12)
    assert 0.87 < aucs[0] < 0.89
    assert 0.91 < aucs[-1] < 0.93


@pytest.mark.parametrize("names", [["fhs"], []])
def test_unknown_coordinates_are_refused(names: list[str]) -> None:
    with pytest.raises(ArgumentError, match="`names` must be among severity, fsh"):
        LAW.auc(names)


def test_hormones_move_as_in_spermatogenic_failure() -> None:
    patients = draw_covariates(4000, np.random.default_rng(4))
    by = patients.groupby("outcome").median(numeric_only=True)
    assert (by.loc["NOA", ["fsh", "lh", "ri"]] > by.loc["OA", ["fsh", "lh", "ri"]]).all()
    lower = ["inhibin_b", "testicular_volume", "testosterone", "edv", "psv"]
    assert (by.loc["NOA", lower] < by.loc["OA", lower]).all()
    assert (patients["edv"] < patients["psv"]).all()
    ri = (patients["psv"] - patients["edv"]) / patients["psv"]
    np.testing.assert_allclose(patients["ri"], ri, atol=0.0051)


def test_values_are_missing_by_what_is_observed_and_not_by_the_outcome() -> None:
    patients = draw_covariates(40_000, np.random.default_rng(5))
    shown = hide_values(patients, np.random.default_rng(6))
    west = patients["centre"] == "west"
    missing = shown["inhibin_b"].isna()
    assert missing[west].mean() > 2 * missing[~west].mean()
    assert (shown["ri"].isna() == shown["edv"].isna()).all()
    alike = west & patients["fsh"].between(7, 8)
    noa = patients["outcome"] == "NOA"
    assert missing[alike & noa].mean() == pytest.approx(missing[alike & ~noa].mean(), abs=0.06)
    assert shown[["fsh", "testicular_volume", "psv", "lh"]].notna().all(axis=None)


# --- the pictures


def _roughness(picture_gray: np.ndarray, mask: np.ndarray) -> float:
    inside = gaussian_filter(mask.astype(float), 5) > 0.99
    return float(np.log(gaussian_filter(picture_gray.astype(float), 2)[inside].std()))


def test_texture_follows_severity() -> None:
    severities = np.linspace(-1.5, 4, 60)
    rough = []
    for i, severity in enumerate(severities):
        rng = np.random.default_rng([8, i])
        picture = render(severity, draw_anatomy(13, rng), SCANNERS["north"], rng)
        rough.append(_roughness(picture.gray, picture.mask))
    assert np.corrcoef(severities, rough)[0, 1] > 0.75


def test_the_prospective_scanner_is_brighter() -> None:
    def mean_gray(scanner: str) -> float:
        grays = []
        for i in range(12):
            rng = np.random.default_rng([9, i])
            picture = render(1.0, draw_anatomy(13, rng), SCANNERS[scanner], rng)
            grays.append(picture.gray[picture.mask].mean())
        return float(np.mean(grays))

    assert mean_gray("prospective") > max(mean_gray(c) for c in ("north", "south", "west")) + 5


@pytest.mark.parametrize("volume", [2.0, 13.0, 45.0])
def test_mask_has_the_size_of_the_testis(volume: float) -> None:
    areas, expected = [], []
    for i in range(20):
        rng = np.random.default_rng([10, i])
        anatomy = draw_anatomy(volume, rng)
        picture = render(0.5, anatomy, SCANNERS["north"], rng)
        areas.append(picture.mask.sum() * anatomy.pixel_spacing_mm**2)
        length = (1000 * volume / (0.71 * 0.66 * 0.58)) ** (1 / 3)
        expected.append(np.pi / 4 * 0.58 * length**2)
    assert np.mean(areas) == pytest.approx(np.mean(expected), rel=0.1)


def test_every_image_says_synthetic_outside_its_mask(made: tuple[Path, Truth]) -> None:
    folder, _ = made
    left, top, right, bottom = LABEL_BOX
    label = annotate(np.zeros((256, 256), np.uint8), pixel_spacing_mm=0.2)[top:bottom, left:right]
    assert (label > 150).sum() > 100
    for path in (folder / "images").iterdir():
        shown = np.asarray(Image.open(path))[top:bottom, left:right]
        np.testing.assert_array_equal(shown, label)
        mask = np.asarray(Image.open(folder / "masks" / path.name))
        assert not mask[:bottom].any()
        assert 0.08 < mask.mean() < 0.35


def test_annotate_leaves_the_picture_alone() -> None:
    gray = np.full((256, 256), 90, np.uint8)
    shown = annotate(gray, pixel_spacing_mm=0.2, calipers=((120, 60), (130, 190)))
    assert (gray == 90).all()
    assert shown[120, 60] == shown[130, 190] == 215
    assert (shown[145:240, 12:238] == 90).all()


# --- the study


def test_study_can_be_read_and_is_sound(made: tuple[Path, Truth]) -> None:
    folder, truth = made
    study = load_study(folder)
    assert study.config.synthetic
    assert study.config.seed == 7
    assert [term.name for term in study.config.nomogram.terms] == [
        "dl_prob",
        "fsh",
        "testicular_volume",
        "edv",
    ]
    assert [p for p in check_study(folder) if p.severity == "error"] == []
    assert study.patients["cohort"].value_counts().to_dict() == {
        "development": 24,
        "prospective": 12,
    }
    per_patient = study.images["patient_id"].value_counts()
    assert set(per_patient.index) == set(truth.patients["patient_id"])
    assert per_patient.between(1, 3).all()


def test_what_no_investigator_sees_is_in_no_table(made: tuple[Path, Truth]) -> None:
    folder, _ = made
    for name in ("patients.csv", "images.csv"):
        header = (folder / name).read_text("utf-8").splitlines()[0]
        assert "severity" not in header
        assert "risk" not in header


def test_same_seed_same_bytes(made: tuple[Path, Truth], tmp_path: Path) -> None:
    folder, _ = made
    make_noa_study(tmp_path / "again", seed=7, n_development=24, n_external=12)
    assert _contents(tmp_path / "again") == _contents(folder)
    make_noa_study(tmp_path / "other", seed=8, n_development=24, n_external=12)
    assert _contents(tmp_path / "other")["patients.csv"] != _contents(folder)["patients.csv"]


def test_truth_survives_its_file(made: tuple[Path, Truth]) -> None:
    folder, truth = made
    read = Truth.from_json(folder / "truth.json")
    pd.testing.assert_frame_equal(read.patients, truth.patients)
    assert (read.seed, read.auc()) == (truth.seed, truth.auc())
    assert "n = 36" in repr(read)


def test_truth_of_another_generator_is_refused(made: tuple[Path, Truth], tmp_path: Path) -> None:
    text = (made[0] / "truth.json").read_text("utf-8")
    path = tmp_path / "truth.json"
    path.write_text(text.replace('"generator_version": 1', '"generator_version": 99'), "utf-8")
    with pytest.raises(SchemaError, match="generator version 99"):
        Truth.from_json(path)


def test_fresh_patients_come_from_the_same_law(made: tuple[Path, Truth], tmp_path: Path) -> None:
    _, truth = made
    fresh = truth.draw_patients(6000, seed=11, missing=False)
    y = (fresh["outcome"] == "NOA").to_numpy().astype(int)
    assert _rank_auc(y, fresh["true_risk"].to_numpy()) == pytest.approx(truth.auc(), abs=0.015)
    assert not set(fresh["patient_id"]) & set(truth.patients["patient_id"])
    assert fresh.drop(columns=["patient_id"]).notna().all(axis=None)
    few = truth.draw_patients(3, seed=12, cohort="prospective")
    images = truth.draw_images(few, tmp_path, seed=13)
    assert all((tmp_path / path).is_file() for path in [*images["path"], *images["mask"]])
    assert set(images["patient_id"]) == set(few["patient_id"])


@pytest.mark.parametrize(("n", "cohort"), [(0, "development"), (5, "busi")])
def test_impossible_draws_are_refused(made: tuple[Path, Truth], n: int, cohort: str) -> None:
    with pytest.raises(ArgumentError, match="must be one of development, prospective"):
        made[1].draw_patients(n, seed=1, cohort=cohort)


def test_a_taken_target_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(SchemaError, match="a folder that is not empty; nothing was written"):
        make_noa_study(tmp_path, n_development=2, n_external=1)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_nothing_is_left_of_a_failed_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        msg = "disk full"
        raise OSError(msg)

    monkeypatch.setattr(synthetic_study, "write_study", fail)
    with pytest.raises(OSError, match="disk full"):
        make_noa_study(tmp_path / "noa", n_development=2, n_external=1)
    assert list(tmp_path.iterdir()) == []


def test_ensure_keeps_the_study_that_is_there(made: tuple[Path, Truth]) -> None:
    before = _contents(made[0])
    assert ensure_noa_study(made[0]).seed == 7
    assert _contents(made[0]) == before


@pytest.mark.slow
def test_texture_tells_as_much_as_a_network_should_find(tmp_path: Path) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    make_noa_study(tmp_path / "noa", seed=5)
    study = load_study(tmp_path / "noa")
    rough = [
        _roughness(
            np.asarray(Image.open(study.root / row.path)),
            np.asarray(Image.open(study.root / row.mask)),
        )
        for row in study.images.itertuples()
    ]
    by_patient = study.images.assign(rough=rough).groupby("patient_id")["rough"].mean()
    development = study.development
    x = development["patient_id"].map(by_patient).to_numpy()[:, None]
    y = development["event"].to_numpy()
    lp = cross_val_predict(LogisticRegression(), x, y, method="decision_function")
    assert 0.78 < _rank_auc(y, lp) < 0.90
