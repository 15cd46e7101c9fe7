"""The curve is what the logs say, and the picture shows the curve."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from dl.curves import save_training_figure, training_curve
from usstats.errors import SchemaError
from usstats.plots.training import plot_training, training_figure


def test_one_row_an_epoch_and_one_chosen_epoch_a_fold(finished):
    table = training_curve(finished.run_dir)
    assert list(table.columns) == [
        "fold",
        "epoch",
        "train_loss",
        "tuning_loss",
        "tuning_auc",
        "tuning_dice",
        "seconds",
        "chosen",
    ]
    assert len(table) == 3 * finished.config.epochs
    assert table["tuning_dice"].isna().all()
    for fold, rows in table.groupby("fold"):
        record = json.loads((finished.run_dir / f"folds/{fold}/fold.json").read_text())
        assert rows.loc[rows["chosen"], "epoch"].tolist() == [record["best_epoch"]]
        assert rows["tuning_loss"].tolist() == [r["tuning_loss"] for r in record["history"]]
        assert record["stopped_epoch"] is None


def test_the_log_has_one_json_line_an_epoch(finished):
    lines = (finished.run_dir / "folds/0/log.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["epoch"] for record in records] == list(range(1, finished.config.epochs + 1))
    assert {record["device"] for record in records} == {"cpu"}


def test_lines_hold_the_table(finished):
    table = training_curve(finished.run_dir)
    one = table[table["fold"] == 1]
    lines = plot_training(one).get_lines()
    np.testing.assert_array_equal(lines[0].get_ydata(), one["train_loss"])
    np.testing.assert_array_equal(lines[2].get_ydata(), one["tuning_loss"])
    chosen = one.loc[one["chosen"], "epoch"].iloc[0]
    assert set(lines[-1].get_xdata()) == {chosen}
    measure = plot_training(one, quantity="measure")
    assert [text.get_text() for text in measure.get_legend().get_texts()] == [
        "Tuning AUC",
        "Chosen epoch",
    ]
    assert len(training_figure(table).axes) == 6


def test_the_figure_is_written(run_copy):
    path = save_training_figure(run_copy.run_dir)
    assert path == run_copy.run_dir / "training.png"
    with Image.open(path) as picture:
        assert picture.width > picture.height


def test_a_folder_without_logs_is_refused(tmp_path):
    with pytest.raises(SchemaError, match=r'holds no log of training .* route "frozen"'):
        training_curve(tmp_path)
