"""Several classes through the training loop: one logit, one row and one softmax share a class."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit, logsumexp, softmax

from dl._training.objective import Objective
from dl.calibrate import fit_calibrators, fit_temperature
from dl.config import TrainConfig
from dl.crossval import cross_validate
from dl.data import ImageStudy
from dl.errors import ConfigError
from dl.inference import logits, steady_torch
from dl.losses import balanced_weights, remove_prior_shift
from dl.predict import predict, predict_in_sample
from dl.predictions import COLUMNS, predictions_frame
from dl.prepare import Preparation, prepare
from dl.run_folder import open_run
from tests.dl.worlds import CLASSES, altered, tiny_config, write_classes, write_world
from usstats import patient_probability
from usstats.errors import OutcomeError

N = 24


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> SimpleNamespace:
    root = tmp_path_factory.mktemp("classes")
    study = write_classes(root / "images", n=N)
    config = tiny_config(classes=CLASSES, epochs=10)
    table = cross_validate(study, config, run_dir=root / "run", n_jobs=1)
    return SimpleNamespace(study=study, config=config, run_dir=root / "run", table=table)


def wide(table: pd.DataFrame, column: str) -> np.ndarray:
    """(n, K) in the order of images and of CLASSES, from the long table."""
    found = table.pivot_table(index="image_id", columns="class", values=column, sort=False)
    return found[list(CLASSES)].to_numpy()


# --- the table -------------------------------------------------------------------------------


def test_one_row_an_image_and_class(run):
    assert tuple(run.table.columns) == COLUMNS
    ids = run.study.images["image_id"]
    assert run.table["image_id"].tolist() == ids.repeat(3).tolist()
    assert run.table["class"].tolist() == list(CLASSES) * len(ids)
    held_out = run.table.groupby("patient_id")["fold"].nunique()
    assert (held_out == 1).all()


def test_probabilities_are_one_softmax_and_logits_their_log_odds(run):
    p, odds = wide(run.table, "probability"), wide(run.table, "logit")
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(expit(odds), p, rtol=1e-10)
    fold = run.table["fold"].to_numpy()[::3]
    by_fold = open_run(run.run_dir).calibration.by_fold
    temperature = np.array([by_fold[k].temperature for k in fold])[:, None]
    np.testing.assert_allclose(
        wide(run.table, "probability_calibrated"), softmax(np.log(p) / temperature, axis=1)
    )


def test_rows_hold_what_the_folds_network_answers(run):
    opened = open_run(run.run_dir)
    views = prepare(run.study, Preparation.of(run.config), cache_dir=run.run_dir / "cache").views
    p, fold = wide(run.table, "probability"), run.table["fold"].to_numpy()[::3]
    for k in range(3):
        rows = np.flatnonzero(fold == k)
        with steady_torch(0):
            answer = logits(opened.network(k), views, rows, flip=True)
        assert answer.shape == (len(rows), 3)
        np.testing.assert_allclose(softmax(answer, axis=1), p[rows], atol=1e-6)


def test_textures_are_told_apart_out_of_fold(run):
    y = run.study.labels(CLASSES)
    assert (wide(run.table, "probability").argmax(axis=1) == y).mean() > 0.8


def test_textures_that_are_not_the_label_are_not_found(run, tmp_path):
    names = dict.fromkeys(run.study.patients)
    shuffled = np.random.default_rng(3).permutation([CLASSES[i % 3] for i in range(N)])
    of_patient = dict(zip(names, shuffled, strict=True))
    study = altered(run.study, label=[of_patient[p] for p in run.study.patients])
    table = cross_validate(study, run.config, run_dir=tmp_path / "run", n_jobs=1)
    assert (wide(table, "probability").argmax(axis=1) == study.labels(CLASSES)).mean() < 0.7


def test_statistics_take_the_table(run):
    patients = patient_probability(run.table, positive="layered")
    assert len(patients) == N
    own = run.table[run.table["class"] == "layered"].groupby("patient_id")
    one_image = own["probability_calibrated"].first()[own.size() == 1]
    got = patients.set_index("patient_id")["dl_prob"][one_image.index]
    np.testing.assert_allclose(got, one_image, atol=2e-7)


def test_other_cohorts_are_predicted(run, tmp_path):
    other = write_classes(tmp_path / "images", n=9, seed=8, prefix="R")
    table = predict(run.run_dir, other)
    assert (wide(table, "probability").argmax(axis=1) == other.labels(CLASSES)).mean() > 0.8
    without = ImageStudy(images=other.images.drop(columns="label"), root=other.root)
    pd.testing.assert_frame_equal(predict(run.run_dir, without), table)
    inside = predict_in_sample(run.run_dir, run.study)
    assert len(inside) == len(run.table)
    assert set(inside["role"]) == {"in_sample"}


def test_folds_and_tuning_hold_every_class(run):
    opened = open_run(run.run_dir)
    counts = opened.folds.fold_frame().filter(like="n_class_").to_numpy()
    assert counts.shape == (3, 3)
    assert np.ptp(counts, axis=0).max() <= 1
    y = run.study.labels(CLASSES)
    for fold in range(3):
        rows = opened.fold_record(fold)["rows"]
        patients = [set(run.study.patients[rows[part]]) for part in ("train", "tuning")]
        assert not patients[0] & patients[1]
        assert all(set(y[rows[part]]) == {0, 1, 2} for part in ("train", "tuning", "held_out"))


# --- labels ----------------------------------------------------------------------------------


def test_names_and_codes_are_the_same_labels(run):
    codes = run.study.labels(CLASSES)
    assert codes.tolist()[:3] == [0, 1, 1]
    for given in (codes, codes.astype(float), codes.astype(str), pd.Categorical(codes)):
        assert altered(run.study, label=given).labels(CLASSES).tolist() == codes.tolist()


def test_numbers_that_are_names_are_names(run):
    codes = run.study.labels(CLASSES)
    assert (altered(run.study, label=codes + 1).labels(("1", "2", "3")) == codes).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda y: np.where(np.arange(len(y)) == 4, "odd", y), r"1 of 36 .* \(first: row 4, 'odd'"),
        (lambda y: [None, *y[1:]], r"1 of 36 images .* row 0"),
        (lambda y: np.where(y == "plain", "columnar", y), r"of the class\(es\) plain"),
        (lambda y: np.arange(len(y)) % 4, r"none of the classes .* code from 0 to 2"),
    ],
)
def test_labels_outside_the_classes_are_refused(run, change, message):
    label = run.study.images["label"].to_numpy(dtype=object)
    with pytest.raises(OutcomeError, match=message):
        altered(run.study, label=change(label)).labels(CLASSES)


# --- losses ----------------------------------------------------------------------------------


def test_class_weights_are_taken_out_as_a_prior_shift():
    config = tiny_config(classes=CLASSES, class_weights="balanced")
    labels = np.array([0, 0, 0, 0, 1, 1, 2])
    z = torch.randn(5, 3, dtype=torch.double)
    weights = balanced_weights(labels, n_classes=3)
    expected = remove_prior_shift(z, weights)
    torch.testing.assert_close(
        z - torch.from_numpy(Objective.of(config, labels).log_weights), expected
    )
    assert tuple(Objective.of(tiny_config(classes=CLASSES), labels).log_weights) == (0, 0, 0)


def test_weighted_training_answers_at_the_prevalence(tmp_path):
    """Labels apart from the texture; balanced weights, left in, would answer thirds."""
    study = write_classes(tmp_path / "images", n=24)
    of_patient = {f"Q{i:02d}": CLASSES[max(i // 4 - 3, 0)] for i in range(24)}
    study = altered(study, label=[of_patient[p] for p in study.patients])
    config = tiny_config(
        classes=CLASSES, class_weights="balanced", folds=2, epochs=6, lr=0.0, head_lr=0.03
    )
    table = cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    mean = wide(table, "probability").mean(axis=0)
    prevalence = np.bincount(study.labels(CLASSES)) / len(study)
    np.testing.assert_allclose(mean, prevalence, atol=0.15)


@pytest.mark.parametrize(
    "values",
    [
        {"loss": "focal", "gamma": 1.0, "alpha": (1.0, 1.0, 2.0)},
        {"label_smoothing": 0.1, "class_weights": "balanced"},
    ],
)
def test_other_losses_learn_too(run, tmp_path, values):
    config = run.config.changed(**values)
    table = cross_validate(run.study, config, run_dir=tmp_path / "run", n_jobs=1)
    p = wide(table, "probability")
    assert (p.argmax(axis=1) == run.study.labels(CLASSES)).mean() > 0.7
    assert np.abs(p - wide(run.table, "probability")).max() > 1e-3


def test_focal_loss_of_a_single_logit(tmp_path):
    study = write_world(tmp_path / "images", n=12)
    config = tiny_config(loss="focal", alpha=(1.0, 1.0), gamma=0.0, folds=2)
    focal = cross_validate(study, config, run_dir=tmp_path / "focal", n_jobs=1)
    plain = cross_validate(study, tiny_config(folds=2), run_dir=tmp_path / "plain", n_jobs=1)
    np.testing.assert_allclose(focal["logit"], plain["logit"], atol=1e-3)  # gamma 0 is the same


# --- temperature -----------------------------------------------------------------------------


def test_temperature_of_classes_undoes_a_factor():
    rng = np.random.default_rng(2)
    z = rng.normal(0, 1.5, (4000, 4))
    y = (softmax(z, axis=1).cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert fit_temperature(2.5 * z, y) == pytest.approx(2.5, rel=0.1)
    grid = np.exp(np.linspace(-1, 2, 3001))
    few = z[:200]
    losses = [
        sum(logsumexp(row / t) - row[k] / t for row, k in zip(few, y[:200], strict=True))
        for t in grid[::10]
    ]
    best = grid[::10][int(np.argmin(losses))]
    assert fit_temperature(few, y[:200]) == pytest.approx(best, rel=0.011)


def test_two_classes_have_the_temperature_of_their_difference():
    rng = np.random.default_rng(5)
    z, y = rng.normal(0, 2, (300, 2)), rng.integers(0, 2, 300)
    args = y, np.arange(300) % 3, np.arange(300) // 2
    two, one = fit_calibrators(z, *args), fit_calibrators(z[:, 1] - z[:, 0], *args)
    assert two.overall.temperature == pytest.approx(one.overall.temperature, rel=1e-5)
    for k in range(3):
        assert two.by_fold[k].temperature == pytest.approx(one.by_fold[k].temperature, rel=1e-5)


def test_log_odds_stay_exact_far_out():
    images = pd.DataFrame({"image_id": ["a"], "patient_id": ["p"], "path": ["a.png"]})
    table = predictions_frame(
        ImageStudy(images=images, root="."),
        np.array([[800.0, 0.0, 0.0]]),
        np.array([[1.0, 0.0, 0.0]]),
        model="m",
        positive="1",
        classes=CLASSES,
        role="external",
        fold=None,
        model_hash="x",
    )
    assert table["logit"].tolist() == pytest.approx([800 - np.log(2), -800, -800])


# --- configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": ["a"]}, "`classes` must be two or more different names"),
        ({"classes": ["a", "a"]}, "two or more different names"),
        ({"classes": ["a", 1]}, "`classes` must be"),
        ({"alpha": [1, 2]}, '`alpha` belongs to loss="focal"'),
        ({"loss": "focal", "alpha": [1, 2, 3]}, "must be 2 positive weights"),
        ({"loss": "focal", "alpha": [0, 2]}, "must be 2 positive weights"),
        ({"loss": "focal", "label_smoothing": 0.1}, "neither `class_weights` nor"),
        ({"loss": "focal", "class_weights": "balanced"}, "neither `class_weights` nor"),
        ({"loss": "focal", "route": "frozen"}, "fits by cross-entropy"),
        ({"gamma": -1}, "`gamma` must lie from 0"),
        ({"options": ["deep_supervision"]}, "`options` must be"),
        ({"options": {"a": float("nan")}}, "`options` must be"),
    ],
)
def test_impossible_configurations_are_refused(values, message):
    with pytest.raises(ConfigError) as caught:
        TrainConfig.from_dict({"seed": 1} | values)
    assert message in str(caught.value)


def test_classes_survive_json():
    config = TrainConfig(
        seed=1, classes=CLASSES, loss="focal", alpha=(1, 2, 3), options={"border": "slim"}
    )
    assert TrainConfig.from_json(config.to_json()) == config
    assert (config.n_logits, config.n_classes) == (3, 3)
    assert (TrainConfig(seed=1).n_logits, TrainConfig(seed=1).n_classes) == (1, 2)
