"""A notebook is its source: the .ipynb holds the cells of the .py beside it, and its outputs."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


@pytest.mark.parametrize("source", sorted(NOTEBOOKS.glob("*.py")), ids=lambda path: path.stem)
def test_notebook_follows_its_source(source):
    wanted = jupytext.read(source).cells
    shown = jupytext.read(source.with_suffix(".ipynb")).cells
    assert [(c.cell_type, c.source) for c in shown] == [(c.cell_type, c.source) for c in wanted]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebook_was_run_without_an_error(path):
    cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert outputs
    assert not [output for output in outputs if output.output_type == "error"]


def test_every_notebook_has_a_source():
    assert {p.stem for p in NOTEBOOKS.glob("*.ipynb")} == {p.stem for p in NOTEBOOKS.glob("*.py")}


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.json")), ids=lambda path: path.stem)
def test_key_numbers_are_those_the_last_cell_shows(path):
    last = jupytext.read(path.with_suffix(".ipynb")).cells[-1]
    shown = ast.literal_eval(last.outputs[-1].data["text/plain"])
    assert shown == json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("name", ["03_fetal_heart", "05_skin_tumours"])
def test_the_story_holds_in_the_numbers(name):
    """A leaking study promises more than anybody can keep; an honest one keeps what it promises."""
    found = json.loads((NOTEBOOKS / f"{name}.json").read_text("utf-8"))
    assert found["auc_promised_published"] > found["best_possible_auc"]
    assert found["auc_kept_published"] < found["auc_promised_published"] - 0.1
    assert abs(found["auc_kept_honest"] - found["auc_promised_honest"]) < 0.05
    assert found["auc_kept_honest"] < found["best_possible_auc"]
