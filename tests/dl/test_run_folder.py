"""A run folder says what it was made from, and nobody can change that unnoticed."""

from __future__ import annotations

import json
import shutil

import pytest

from dl.errors import CheckpointError, ResumeError
from dl.run_folder import open_run

FIXED = ("run.json", "config.json", "splits.json", "images.csv")


def test_open_run_gives_back_what_was_fixed(finished):
    run = open_run(finished.run_dir)
    assert run.config.to_json() == finished.config.to_json()
    assert run.images["image_id"].tolist() == finished.study.images["image_id"].tolist()
    assert run.images["fold"].tolist() == finished.table["fold"].tolist()
    assert {run.model_hash(k) for k in range(3)} == set(finished.table["model_hash"])


@pytest.mark.parametrize("name", FIXED)
def test_an_absent_file_is_a_resume_error(run_copy, name):
    (run_copy.run_dir / name).unlink()
    with pytest.raises(ResumeError, match=name):
        open_run(run_copy.run_dir)


@pytest.mark.parametrize("name", FIXED)
def test_a_truncated_file_is_a_resume_error(run_copy, name):
    file = run_copy.run_dir / name
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(ResumeError, match=name):
        open_run(run_copy.run_dir)


def test_hand_edited_settings_are_refused(run_copy):
    file = run_copy.run_dir / "config.json"
    content = json.loads(file.read_text())
    content["flip_views"] = not content["flip_views"]
    file.write_text(json.dumps(content))
    with pytest.raises(ResumeError, match=r"config\.json"):
        open_run(run_copy.run_dir)


def test_hand_edited_images_are_refused(run_copy):
    file = run_copy.run_dir / "images.csv"
    file.write_text(file.read_text().replace("P05", "Q05"))
    with pytest.raises(ResumeError, match=r"images\.csv"):
        open_run(run_copy.run_dir)


def test_weights_of_another_fold_are_refused(run_copy):
    folds = run_copy.run_dir / "folds"
    for name in ("weights.safetensors", "weights.json"):
        shutil.copy(folds / "1" / name, folds / "0" / name)
    run = open_run(run_copy.run_dir)
    run.network(1)
    with pytest.raises(CheckpointError, match=r"folds/0.*fold was finished with"):
        run.network(0)


def test_a_fold_of_another_run_is_refused(run_copy):
    file = run_copy.run_dir / "folds/0/fold.json"
    record = json.loads(file.read_text())
    record["identity"]["config"] = "0" * 64
    file.write_text(json.dumps(record))
    with pytest.raises(ResumeError, match="belongs to other settings"):
        open_run(run_copy.run_dir).fold_record(0)


@pytest.mark.parametrize("content", ["{}", "[]", "null", '{"identity": 1}'])
def test_a_fold_record_of_another_shape_is_damaged(run_copy, content):
    (run_copy.run_dir / "folds/1/fold.json").write_text(content)
    run = open_run(run_copy.run_dir)
    with pytest.raises(ResumeError, match=r"fold\.json is damaged\. Remove it and run cross_val"):
        run.fold_record(1)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "null", '{"by_fold": [], "overall": {}}', '{"by_fold": {"x": {}}, "overall": {}}'],
)
def test_a_calibration_of_another_shape_is_damaged(run_copy, content):
    (run_copy.run_dir / "calibration.json").write_text(content)
    with pytest.raises(ResumeError, match=r"calibration\.json is damaged"):
        _ = open_run(run_copy.run_dir).calibration
