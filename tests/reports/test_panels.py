"""The report's figures, made from the tables of a run."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from reports.figures import save_figure
from reports.panels import (
    cam_panel,
    confusion_counts,
    confusion_panels,
    flow_diagram,
    forest_plot,
)
from usstats.errors import SchemaError


def odds_ratios() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": ["age", "side"],
            "term": ["age", "side - left:both"],
            "contrast": ["58.15 vs 41.52", "left:both"],
            "low": [41.52, 1],
            "high": [58.15, 2],
            "estimate": [2.447, 1.03],
            "conf_low": [1.69, 0.56],
            "conf_high": [3.54, 1.87],
            "conf_level": 0.95,
            "p_value": [0.0001, 0.9],
        }
    )


def cases(folder, n: int = 3) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    for i in range(n):
        np.savez(folder / f"cam_{i}.npz", image=rng.random((16, 16)), cam=rng.random((4, 4)))
    return pd.DataFrame(
        {
            "file": [f"cam_{i}.npz" for i in range(n)],
            "kind": "event, missed",
            "dl_prob": [0.034, 0.999, 0.5][:n],
        }
    )


def test_a_forest_says_values_and_numbers_in_the_journals_style():
    figure = forest_plot(odds_ratios(), labels={"age": "Age, y"}, preset="esr")
    ax = figure.axes[0]
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [
        "Age, y: 58.2 vs 41.5",
        "side: left vs both",
    ]
    assert [text.get_text() for text in ax.texts] == ["2.45 (1.69–3.54)", "1.03 (0.56–1.87)"]
    assert ax.get_xlabel() == "Odds ratio (95% CI)"


def test_maps_are_captioned_with_kind_and_risk(tmp_path):
    figure = cam_panel(cases(tmp_path), tmp_path, columns=3)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.get_title(loc="left")]
    assert [" ".join(title.split()) for title in titles] == [
        "Event, missed: predicted risk 3%",
        "Event, missed: predicted risk >99%",
        "Event, missed: predicted risk 50%",
    ]
    assert save_figure(figure, tmp_path, "cam", width="double", kind="halftone").fonts


@pytest.mark.parametrize(("preset", "letters"), [("springer", "abc"), ("radiology", "ABC")])
def test_maps_are_lettered_inside_their_images(tmp_path, preset, letters):
    figure = cam_panel(cases(tmp_path), tmp_path, preset, columns=3)
    shown = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert shown == list(letters)
    alone = cam_panel(cases(tmp_path, 1), tmp_path, preset)
    assert not [text for ax in alone.axes for text in ax.texts]


def test_a_map_is_only_read_from_its_own_folder(tmp_path):
    table = cases(tmp_path, 1)
    (tmp_path / "inner").mkdir()
    with pytest.raises(SchemaError, match="is not a file of its folder"):
        cam_panel(table.assign(file="../cam_0.npz"), tmp_path / "inner")
    with pytest.raises(SchemaError, match="is not a file of its folder"):
        cam_panel(table.assign(file="absent.npz"), tmp_path)


class Payload:
    """Would leave a trace if anybody unpickled it."""

    def __reduce__(self):
        return (open, ("ran.txt", "w"))


def test_a_pickled_map_is_refused_and_does_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "cam_0.npz", image=np.array([Payload()], dtype=object), cam=np.ones((2, 2)))
    table = pd.DataFrame({"file": ["cam_0.npz"]})
    with pytest.raises(SchemaError, match="cannot be read"):
        cam_panel(table, tmp_path)
    (tmp_path / "cam_0.npz").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(SchemaError, match="cannot be read"):
        cam_panel(table, tmp_path)
    assert not (tmp_path / "ran.txt").exists()


def test_a_map_without_its_arrays_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", image=np.ones((2, 2)))
    with pytest.raises(SchemaError, match="must hold `image` and `cam`; it holds image"):
        cam_panel(pd.DataFrame({"file": ["a.npz"]}), tmp_path)


def test_a_flow_fits_both_columns():
    flow = pd.DataFrame(
        {"step": ["enrolled", "analysed"], "n_patients": 5, "n_images": 6, "n_event": 2}
    )
    width, _ = flow_diagram(flow).get_size_inches()
    assert width * 25.4 == pytest.approx(174)


def accuracy(hit: int = 8, events: int = 10, right: int = 6, others: int = 9) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "measure": ["sensitivity", "specificity"],
            "numerator": [hit, right],
            "denominator": [events, others],
        }
    )


def test_the_confusion_matrix_has_every_patient_once():
    counts = confusion_counts(accuracy(), "malignant", "benign")
    assert counts.loc["malignant", "malignant"] == 8
    assert counts.loc["benign", "benign"] == 6
    assert counts.loc["benign", "malignant"] == 2
    assert counts.loc["malignant", "benign"] == 3
    assert counts["malignant"].sum() == 10
    assert counts["benign"].sum() == 9


def test_confusion_matrices_stand_side_by_side_with_letters(tmp_path):
    counts = {
        name: confusion_counts(accuracy(hit=i), "$yes_", "no")
        for i, name in enumerate(("Development", "North", "South", "West"))
    }
    figure = confusion_panels(counts, "radiology")
    drawn = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title() for ax in drawn] == list(counts)
    letters = [text.get_text() for ax in drawn for text in ax.texts if text.get_weight() == "bold"]
    assert letters == ["A", "B", "C", "D"]
    saved = save_figure(figure, tmp_path, "c", "radiology", width="double", kind="halftone")
    assert saved.width_mm == pytest.approx(177.8, abs=0.2)
    one = confusion_panels({"Development": counts["North"]})
    assert not [t for ax in one.axes for t in ax.texts if t.get_weight() == "bold"]
