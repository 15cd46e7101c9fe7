"""Nobody is predicted by a network that met him, and a stopped run ends with the same bits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

import dl._training.objective
import dl.train
from dl import train
from dl._training.training_state import TrainingState
from dl.crossval import cross_validate, plan_folds
from dl.data import ImageStudy
from dl.errors import CheckpointError, ImageError, ResumeError, RunLockedError, TrainingError
from dl.predictions import COLUMNS
from dl.run_folder import open_run
from dl.storage import run_lock
from tests.dl.worlds import altered, tiny_config, write_world
from usstats.errors import (
    ArgumentError,
    FitError,
    LeakageError,
    OutcomeError,
    ResampleError,
    SchemaError,
)
from usstats.splits import make_folds

REPOSITORY = Path(__file__).parents[2]


def weights_of(run_dir: Path) -> list[bytes]:
    files = sorted(run_dir.glob("folds/*/weights.safetensors"))
    return [file.read_bytes() for file in files]


def fold_record(run_dir: Path, fold: int) -> dict:
    return json.loads((run_dir / "folds" / str(fold) / "fold.json").read_text())


def logits_of(study: ImageStudy, config, run_dir: Path, **options) -> np.ndarray:
    return cross_validate(study, config, run_dir=run_dir, n_jobs=1, **options)["logit"].to_numpy()


@pytest.fixture
def world(tmp_path) -> ImageStudy:
    return write_world(tmp_path / "images")


@pytest.fixture
def stop_after(monkeypatch):
    """Interrupt training once so many checkpoints of all folds have been written."""

    def arm(n: int) -> None:
        original, seen = TrainingState.write, []

        def interrupted(self, *args):
            original(self, *args)
            seen.append(1)
            if len(seen) == n:
                raise KeyboardInterrupt

        monkeypatch.setattr(TrainingState, "write", interrupted)

    return arm


# --- the table -------------------------------------------------------------------------------


def test_table_has_exactly_the_agreed_columns_in_the_studys_order(finished):
    table = finished.table
    assert tuple(table.columns) == COLUMNS
    assert list(table.columns) == [
        "patient_id",
        "image_id",
        "model",
        "fold",
        "role",
        "class",
        "logit",
        "probability",
        "probability_calibrated",
        "n_images",
        "model_hash",
    ]
    assert table["image_id"].tolist() == finished.study.images["image_id"].tolist()
    assert set(table["role"]) == {"out_of_fold"}
    assert set(table["class"]) == {"1"}
    np.testing.assert_array_equal(
        table["n_images"], table.groupby("patient_id")["image_id"].transform("size")
    )


def test_probability_is_one_sigmoid_of_the_logit(finished):
    table = finished.table
    np.testing.assert_array_equal(table["probability"], expit(table["logit"]))
    by_fold = open_run(finished.run_dir).calibration.by_fold
    temperature = np.array([by_fold[k].temperature for k in table["fold"]])
    np.testing.assert_allclose(
        table["probability_calibrated"], expit(table["logit"] / temperature), rtol=1e-14
    )


def test_outcome_in_the_image_is_found_out_of_fold(finished):
    y = finished.study.labels()
    assert roc_auc_score(y, finished.table["logit"]) > 0.9


def test_outcome_that_is_not_in_the_image_is_not_found(world, tmp_path):
    rng = np.random.default_rng(5)
    by_patient = dict(zip(dict.fromkeys(world.patients), rng.permutation(24) % 2, strict=True))
    shuffled = altered(world, label=[by_patient[p] for p in world.patients])
    logit = logits_of(shuffled, tiny_config(), tmp_path / "run")
    assert 0.15 < roc_auc_score(shuffled.labels(), logit) < 0.85


def test_csv_holds_the_table(finished):
    read = pd.read_csv(
        finished.run_dir / "predictions.csv",
        dtype={"class": str, "fold": "Int64"},
        float_precision="round_trip",
    )
    pd.testing.assert_frame_equal(read, finished.table, check_dtype=False)


def test_model_hash_is_that_of_the_folds_weights_file(finished):
    for fold, rows in finished.table.groupby("fold"):
        written = fold_record(finished.run_dir, int(fold))["weights_sha256"]
        assert set(rows["model_hash"]) == {written[:16]}


# --- who meets whom --------------------------------------------------------------------------


def test_no_patient_is_on_both_sides(finished):
    patients = finished.study.patients
    held_out_anywhere: list[int] = []
    for fold in range(3):
        rows = fold_record(finished.run_dir, fold)["rows"]
        inside = set(patients[rows["train"]]), set(patients[rows["tuning"]])
        outside = set(patients[rows["held_out"]])
        assert not outside & (inside[0] | inside[1])
        assert not inside[0] & inside[1]
        assert sorted(chain(*rows.values())) == list(range(len(finished.study)))
        held_out_anywhere += rows["held_out"]
    assert sorted(held_out_anywhere) == list(range(len(finished.study)))


@pytest.mark.parametrize("route", ["finetune", "frozen"])
def test_held_out_labels_leave_the_folds_weights_alone(world, tmp_path, route):
    config = tiny_config(route=route, class_weights="balanced")
    splits = make_folds(world.labels(), world.patients, n_folds=3, seed=1)
    held_out = splits.assignment == 0
    turned = altered(world, label=np.where(held_out, 1 - world.labels(), world.labels()))
    for name, study in (("true", world), ("turned", turned)):
        cross_validate(study, config, run_dir=tmp_path / name, splits=splits, n_jobs=1)
    true, other = weights_of(tmp_path / "true"), weights_of(tmp_path / "turned")
    assert true[0] == other[0]
    assert true[1] != other[1], "labels of the training part must matter"
    assert (
        fold_record(tmp_path / "true", 0)["held_out_logit"]
        == fold_record(tmp_path / "turned", 0)["held_out_logit"]
    )


def test_patients_who_share_a_picture_share_a_fold_and_a_group(tmp_path, monkeypatch):
    study = write_world(tmp_path / "images")
    files = study.images.set_index("image_id")["path"]
    for here, there in (("P00-0", "P02-0"), ("P05-0", "P09-1"), ("P06-0", "P12-0")):
        shutil.copy(study.root / files[here], study.root / files[there])
    tasks = []
    original = train.train_fold
    monkeypatch.setattr("dl.crossval.train_fold", lambda t: tasks.append(t) or original(t))
    table = cross_validate(study, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)
    fold = table.drop_duplicates("patient_id").set_index("patient_id")["fold"]
    pairs = [("P00", "P02"), ("P05", "P09"), ("P06", "P12")]
    assert all(fold[one] == fold[two] for one, two in pairs)
    for task in tasks:
        group = dict(zip(study.patients[task.rows], task.groups, strict=True))
        tuning = dict(zip(study.patients[task.rows], task.is_tuning, strict=True))
        for one, two in pairs:
            if one in group:
                assert group[one] == group[two]
                assert tuning[one] == tuning[two]


def test_one_file_under_two_labels_is_refused(world, tmp_path):
    shutil.copy(world.root / "P00-0.png", world.root / "P01-1.png")
    with pytest.raises(SchemaError, match=r"Rows 0 and 2 .* same file under two labels"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)


def test_given_splits_that_part_a_shared_picture_are_refused(world, tmp_path):
    shutil.copy(world.root / "P00-0.png", world.root / "P02-0.png")
    splits = next(
        folds
        for folds in (
            make_folds(world.labels(), world.patients, n_folds=3, seed=s) for s in range(20)
        )
        if len(set(folds.lookup(np.array(["P00", "P02"])))) == 2
    )
    with pytest.raises(LeakageError, match="part 1 pairs of patients who share a picture"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", splits=splits, n_jobs=1)


def test_splits_of_another_number_of_folds_are_refused(world, tmp_path):
    splits = make_folds(world.labels(), world.patients, n_folds=4, seed=1)
    with pytest.raises(ArgumentError, match="has 4 folds and the configuration 3"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", splits=splits, n_jobs=1)


def test_splits_with_a_fold_nobody_is_in_are_refused(world, tmp_path):
    splits = make_folds(world.labels(), world.patients, n_folds=3, seed=1)
    kept = world.images[splits.assignment != 2]
    with pytest.raises(ArgumentError, match="fold 2"):
        cross_validate(
            ImageStudy(images=kept, root=world.root),
            tiny_config(),
            run_dir=tmp_path / "run",
            splits=splits,
            n_jobs=1,
        )


# --- stopping and going on -------------------------------------------------------------------


@pytest.mark.parametrize("epochs_before", [1, 2, 3, 5, 9])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, world, stop_after, epochs_before):
    config = tiny_config()
    whole = logits_of(world, config, tmp_path / "whole")
    stop_after(epochs_before)
    with pytest.raises(KeyboardInterrupt):
        logits_of(world, config, tmp_path / "parts")
    assert not (tmp_path / "parts/predictions.csv").exists()
    resumed = logits_of(world, config, tmp_path / "parts")
    np.testing.assert_array_equal(resumed, whole)
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")
    assert sorted(p.name for p in (tmp_path / "parts/folds/0").iterdir()) == sorted(
        p.name for p in (tmp_path / "whole/folds/0").iterdir()
    )


def test_a_resumed_run_trains_only_what_is_missing(tmp_path, world, stop_after, monkeypatch):
    stop_after(4)
    with pytest.raises(KeyboardInterrupt):
        logits_of(world, tiny_config(), tmp_path / "run")
    epochs = []
    original = dl.train._train_epoch
    monkeypatch.setattr(
        dl.train, "_train_epoch", lambda *a: epochs.append((a[2].fold, a[4])) or original(*a)
    )
    logits_of(world, tiny_config(), tmp_path / "run")
    assert epochs == [(1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]


KILLED = """
import sys
from pathlib import Path
from dl.crossval import cross_validate
from tests.dl.worlds import tiny_config, write_world
study = write_world(Path(sys.argv[1]))
cross_validate(study, tiny_config(epochs=15), run_dir=sys.argv[2], n_jobs=1)
"""


def test_a_killed_run_ends_with_the_same_bits(tmp_path, world):
    config, parts = tiny_config(epochs=15), tmp_path / "parts"
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", KILLED, str(world.root), str(parts)], cwd=REPOSITORY
    )
    limit = time.monotonic() + 60
    while not list(parts.glob("folds/1/log.jsonl")) and time.monotonic() < limit:
        time.sleep(0.01)
    with pytest.raises(RunLockedError, match=f"number {process.pid}"):
        cross_validate(world, config, run_dir=parts, n_jobs=1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (parts / "predictions.csv").exists()
    resumed = logits_of(world, config, parts)
    np.testing.assert_array_equal(resumed, logits_of(world, config, tmp_path / "whole"))
    assert weights_of(parts) == weights_of(tmp_path / "whole")


def test_a_finished_run_is_not_trained_again(run_copy, monkeypatch):
    monkeypatch.setattr("dl.crossval.train_fold", lambda task: pytest.fail("trained again"))
    again = cross_validate(run_copy.study, run_copy.config, run_dir=run_copy.run_dir, n_jobs=1)
    pd.testing.assert_frame_equal(again, run_copy.table)


def test_side_by_side_gives_the_same_predictions(tmp_path, world):
    one = cross_validate(world, tiny_config(), run_dir=tmp_path / "one", n_jobs=1)
    two = cross_validate(world, tiny_config(), run_dir=tmp_path / "two", n_jobs=2)
    pd.testing.assert_frame_equal(one, two)
    assert weights_of(tmp_path / "one") == weights_of(tmp_path / "two")


def test_the_seed_matters(tmp_path, world):
    splits = make_folds(world.labels(), world.patients, n_folds=3, seed=1)
    one, two = (
        logits_of(world, tiny_config(seed=seed), tmp_path / str(seed), splits=splits)
        for seed in (1, 2)
    )
    assert (one != two).any()


# --- what a run folder refuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "named"),
    [({"lr": 0.03}, "settings: lr"), ({"seed": 8, "epochs": 4}, "settings: epochs, seed")],
)
def test_changed_settings_are_refused_by_name(run_copy, change, named):
    config = run_copy.config.changed(**change)
    with pytest.raises(ResumeError, match=named):
        cross_validate(run_copy.study, config, run_dir=run_copy.run_dir, n_jobs=1)


def test_a_changed_label_is_refused_by_row(run_copy):
    label = run_copy.study.labels()
    label[5] = 1 - label[5]
    with pytest.raises(ResumeError, match=r"data: `label` of 1 rows \(first: row 5\)"):
        cross_validate(
            altered(run_copy.study, label=label),
            run_copy.config,
            run_dir=run_copy.run_dir,
            n_jobs=1,
        )


def test_a_changed_file_is_refused_by_row(tmp_path, world):
    logits_of(world, tiny_config(epochs=1), tmp_path / "run")
    shutil.copy(world.root / "P03-0.png", world.root / "P01-0.png")
    with pytest.raises(ResumeError, match=r"`sha256` of 1 rows \(first: row 1\)"):
        logits_of(world, tiny_config(epochs=1), tmp_path / "run")


def test_a_missing_row_is_refused(run_copy):
    study = ImageStudy(images=run_copy.study.images.iloc[:-1], root=run_copy.study.root)
    with pytest.raises(ResumeError, match="36 images then, 35 now"):
        cross_validate(study, run_copy.config, run_dir=run_copy.run_dir, n_jobs=1)


def test_other_folds_are_refused(run_copy):
    study = run_copy.study
    splits = make_folds(study.labels(), study.patients, n_folds=3, seed=99)
    with pytest.raises(ResumeError, match="folds: patients are dealt differently"):
        cross_validate(study, run_copy.config, run_dir=run_copy.run_dir, splits=splits, n_jobs=1)


def test_a_refused_resume_leaves_the_run_as_it_was(run_copy):
    before = {p: p.read_bytes() for p in run_copy.run_dir.rglob("*") if p.is_file()}
    with pytest.raises(ResumeError):
        cross_validate(
            run_copy.study, run_copy.config.changed(lr=0.5), run_dir=run_copy.run_dir, n_jobs=1
        )
    assert {p: p.read_bytes() for p in run_copy.run_dir.rglob("*") if p.is_file()} == before


def test_a_locked_run_folder_is_refused(run_copy):
    with run_lock(run_copy.run_dir), pytest.raises(RunLockedError, match=f"number {os.getpid()}"):
        cross_validate(run_copy.study, run_copy.config, run_dir=run_copy.run_dir, n_jobs=1)


def test_a_run_folder_that_is_a_file_is_refused(tmp_path, world):
    (tmp_path / "run").write_text("here")
    with pytest.raises(ArgumentError, match=r"`run_dir`.*cannot be written"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)


def test_a_finished_fold_with_damaged_weights_is_refused(run_copy):
    file = run_copy.run_dir / "folds/1/weights.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"folds/1/weights\.safetensors.*damaged"):
        cross_validate(run_copy.study, run_copy.config, run_dir=run_copy.run_dir, n_jobs=1)


@pytest.mark.parametrize("n_jobs", [0, -1, True, 1.5])
def test_n_jobs_must_be_a_count(world, tmp_path, n_jobs):
    with pytest.raises(ArgumentError, match="`n_jobs`"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", n_jobs=n_jobs)


# --- studies that cannot be trained on -------------------------------------------------------


def test_fewer_patients_than_folds_are_refused(tmp_path):
    study = write_world(tmp_path / "images", n=4)
    with pytest.raises(ResampleError, match="Use at most 2"):
        cross_validate(study, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)


def test_one_class_is_refused(tmp_path, world):
    with pytest.raises(OutcomeError, match="label"):
        cross_validate(altered(world, label=1), tiny_config(), run_dir=tmp_path / "run", n_jobs=1)


def test_an_unreadable_image_stops_the_run_before_training(tmp_path, world, monkeypatch):
    monkeypatch.setattr("dl.crossval.train_fold", lambda task: pytest.fail("trained"))
    (world.root / "P03-0.png").write_text("not a picture")
    (world.root / "P04-0.png").unlink()
    with pytest.raises(ImageError, match=r"1 of 36 images.*\n  row 6: .*P04-0.png"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)
    shutil.copy(world.root / "P02-0.png", world.root / "P04-0.png")
    with pytest.raises(ImageError, match=r"1 of 36 images.*\n  row 4: .*P03-0.png"):
        cross_validate(world, tiny_config(), run_dir=tmp_path / "run", n_jobs=1)
    assert not (tmp_path / "run/run.json").exists()


# --- a loss that is no number ----------------------------------------------------------------


def test_nan_loss_stops_with_the_rows_and_keeps_the_last_epoch(tmp_path, world, monkeypatch):
    original, seen = dl._training.objective.binary_cross_entropy, []

    def poisoned(logits, targets, **options):
        loss = original(logits, targets, **options)
        training = logits.requires_grad
        seen.append(training)
        return loss * float("nan") if training and sum(seen) == 4 else loss

    monkeypatch.setattr(dl._training.objective, "binary_cross_entropy", poisoned)
    with pytest.raises(FitError, match=r"Fold 0, epoch 2: .* image rows \d+(, \d+)+\.") as caught:
        logits_of(world, tiny_config(), tmp_path / "run")
    rows = [int(r) for r in str(caught.value).split("rows ")[1].split(".")[0].split(",")]
    record = json.loads((tmp_path / "run/folds/0/state.json").read_text())
    assert len(record["history"]) == 1
    held_out = np.flatnonzero(open_run(tmp_path / "run").folds.assignment == 0)
    assert not set(rows) & set(held_out)
    monkeypatch.undo()
    resumed = logits_of(world, tiny_config(), tmp_path / "run")
    np.testing.assert_array_equal(resumed, logits_of(world, tiny_config(), tmp_path / "whole"))


def test_weights_that_explode_in_the_last_step_are_named(tmp_path, world, monkeypatch):
    original = dl.train._train_epoch

    def explode(learner, *args):
        loss = original(learner, *args)
        learner.network.head.bias.data.fill_(float("inf"))
        return loss

    monkeypatch.setattr(dl.train, "_train_epoch", explode)
    with pytest.raises(TrainingError, match=r"Fold 0, epoch 1: .*tuning"):
        logits_of(world, tiny_config(), tmp_path / "run")
    assert not (tmp_path / "run/folds/0/state.json").exists()


# --- the frozen route ------------------------------------------------------------------------


def test_frozen_route_with_published_weights_finds_the_outcome(tmp_path, world):
    config = tiny_config(
        architecture="efficientnet_lite0",
        weights="imagenet",
        route="frozen",
        region="roi",
        frozen_margins=(0.3,),
    )
    table = cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    assert roc_auc_score(world.labels(), table["logit"]) > 0.9
    again = cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    pd.testing.assert_frame_equal(again, table)


def test_frozen_network_answers_what_its_table_says(tmp_path, world):
    """The head in the saved network gives the logits that were computed from the features."""
    from dl.inference import logits, steady_torch
    from dl.prepare import Preparation, prepare

    config = tiny_config(route="frozen", region="roi")
    table = cross_validate(world, config, run_dir=tmp_path / "run", n_jobs=1)
    run = open_run(tmp_path / "run")
    views = prepare(world, Preparation.of(config), cache_dir=tmp_path / "cache").views
    for fold in range(3):
        rows = np.flatnonzero(table["fold"] == fold)
        with steady_torch(0):
            again = logits(run.network(fold), views, rows, flip=config.flip_views)
        np.testing.assert_allclose(again, table["logit"].to_numpy()[rows], atol=2e-5)


def test_planned_folds_are_those_that_would_be_made(tmp_path):
    study, config = write_world(tmp_path / "images"), tiny_config(epochs=1)
    planned = plan_folds(study, config, cache_dir=tmp_path / "cache")
    cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    assert open_run(tmp_path / "run").folds.hash == planned.hash
    other = config.changed(input_size=48, seed=config.seed, epochs=1)
    cross_validate(study, other, run_dir=tmp_path / "other", splits=planned, n_jobs=1)
    assert open_run(tmp_path / "other").folds.hash == planned.hash


def test_a_run_has_a_folder_of_its_own_by_default(tmp_path):
    study, config = write_world(tmp_path / "images", n=12), tiny_config(epochs=1)
    table = cross_validate(study, config, n_jobs=1)
    run_dir = study.root / "runs" / config.digest[:16]
    assert len(pd.read_csv(run_dir / "predictions.csv")) == len(table)


@pytest.mark.parametrize("study", [None, pd.DataFrame({"path": ["a.png"]}), "study.yaml"])
def test_something_else_than_a_study_is_refused(tmp_path, study):
    with pytest.raises(ArgumentError, match="`study` must be an ImageStudy; got "):
        cross_validate(study, tiny_config(), run_dir=tmp_path / "run")


@pytest.mark.parametrize("config", [None, {"seed": 1}, "config.json"])
def test_something_else_than_a_configuration_is_refused(tmp_path, config):
    study = write_world(tmp_path / "images", n=2)
    with pytest.raises(ArgumentError, match="`config` must be a TrainConfig; got "):
        cross_validate(study, config, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"optimiser": "sgd", "lr": 1e6, "head_lr": 1e6, "grad_clip": 1e6}, "epoch 1 is kept"),
        ({"optimiser": "adam", "lr": 1e30, "head_lr": 1e30}, "no epoch was finished"),
    ],
)
def test_a_learning_rate_that_explodes_stops_training_by_name(tmp_path, settings, kept):
    study, config = write_world(tmp_path / "images"), tiny_config(**settings)
    with pytest.raises(TrainingError, match=rf"Fold 0, epoch \d: .* image rows \d+, .*; {kept}"):
        cross_validate(study, config, run_dir=tmp_path / "run", n_jobs=1)
    left = {path.name for path in (tmp_path / "run/folds").glob("0/*.safetensors")}
    assert left == ({"best-0001.safetensors", "last-0001.safetensors"} if "kept" in kept else set())
