"""A notebook is its source: the .ipynb holds the cells of the .py beside it, and its outputs."""

from __future__ import annotations

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
