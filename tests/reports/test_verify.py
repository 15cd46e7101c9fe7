"""Any changed byte of a run is found, every table is made again, and two runs are equal."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from reports.files import atomic_write_text, write_csv
from reports.pipeline import load_record, run_stages
from reports.run import run_study
from reports.study import load_study
from reports.verify import verify_run
from tests.reports.conftest import coarse_figures, copy_study
from usstats.errors import SchemaError

KINDS = {".csv", ".json", ".svg", ".png", ".pdf", ".html", ".docx", ".xlsx", ".tex"}


@pytest.fixture
def run(small_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished study that a test may spoil."""
    return copy_study(small_run, tmp_path / "study")


def flipped(path: Path, *, at: float = 0.5) -> bytes:
    """Change one bit of one byte, and return what was there before."""
    before = path.read_bytes()
    place = min(int(len(before) * at), len(before) - 1)
    path.unlink()
    path.write_bytes(before[:place] + bytes([before[place] ^ 1]) + before[place + 1 :])
    return before


def found(folder: Path) -> list[str]:
    return [finding.file for finding in verify_run(folder).findings]


def test_an_untouched_run_holds(small_run):
    checked = verify_run(small_run)
    assert checked.holds, checked.summary()
    assert checked.n_files > 100
    assert checked.n_tables >= 10
    assert checked.n_cells > 300
    assert checked.notes == ()
    assert checked.summary().endswith("all as it was.")


def test_study_run_and_report_folder_mean_the_same_run(small_run):
    results = {verify_run(small_run / part).n_files for part in ("", "run", "run/report")}
    assert len(results) == 1


def test_any_changed_byte_of_any_file_is_found(run):
    """First, middle or last byte of each file; records apart, whose files are then not compared."""
    from reports.verify import file_findings

    folder = run / "run"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.stat().st_size]
    files = [path for path in files if path.name != ".lock"]
    records = [path for path in files if path.parent.name == "stages"]
    others = [path for path in files if path not in records]
    assert len(others) > 100
    for changed in (others, records):
        before = {path: flipped(path, at=(i % 3) / 2) for i, path in enumerate(changed)}
        names = {finding.file for finding in file_findings(folder)}
        for path, content in before.items():
            path.write_bytes(content)
            assert path.relative_to(folder).as_posix() in names
    assert verify_run(run).holds


@pytest.mark.parametrize("at", [0.01, 0.3, 0.5, 0.7, 0.99])
def test_a_changed_manifest_is_found_wherever_it_was_changed(run, at):
    flipped(run / "run" / "report" / "manifest.json", at=at)
    assert "report/manifest.json" in found(run)


def test_a_reformatted_record_is_found(run):
    path = run / "run" / "stages" / "fit.json"
    path.write_text(json.dumps(json.loads(path.read_text("utf-8"))), "utf-8")
    assert load_record(path) is None
    assert found(run)[0] == "stages/fit.json"


def test_truncated_missing_and_extra_files_are_found(run):
    report = run / "run" / "report"
    (report / "report.html").write_bytes((report / "report.html").read_bytes()[:-1])
    (report / "calculator.html").unlink()
    (report / "notes.txt").write_text("by hand")
    (run / "run" / "fit" / "clinical.json").unlink()
    (run / "run" / "old").mkdir()
    states = {(finding.file, finding.what) for finding in verify_run(run).findings}
    assert {
        ("report/report.html", "changed"),
        ("report/calculator.html", "missing"),
        ("report/notes.txt", "extra"),
        ("fit/clinical.json", "missing"),
        ("old", "extra"),
    } <= states


def test_a_changed_input_is_found(run):
    flipped(run / "patients.csv", at=0.9)
    assert "../patients.csv" in found(run)


def test_a_changed_image_is_found(run):
    flipped(next((run / "images").glob("*.png")))
    stale = [f for f in verify_run(run).findings if f.what == "stale"]
    assert len(stale) == 1
    assert "other images" in stale[0].detail


def test_a_changed_cell_is_named_with_what_the_results_give(run):
    path = run / "run" / "report" / "tables" / "accuracy.csv"
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    expected, rows[1][-1] = rows[1][-1], "0.99 (0.98–1.00)"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    cells = [finding for finding in verify_run(run).findings if finding.what == "cell"]
    assert len(cells) == 1
    assert cells[0].file == "report/tables/accuracy.csv"
    assert f"row 1 ({rows[1][0]!r})" in cells[0].detail
    assert f"column {rows[0][-1]!r}" in cells[0].detail
    assert "the file says '0.99 (0.98–1.00)'" in cells[0].detail
    assert repr(expected) in cells[0].detail


def test_a_changed_result_shows_in_the_cells_made_from_it(run):
    path = run / "run" / "fit" / "accuracy.csv"
    table = pd.read_csv(path)
    table.loc[table["measure"] == "sensitivity", "estimate"] = 0.123
    write_csv(path, table)
    findings = verify_run(run).findings
    assert ("fit/accuracy.csv", "changed") in {(f.file, f.what) for f in findings}
    cells = [f for f in findings if f.what == "cell"]
    assert cells
    assert all("0.12" in f.detail for f in cells)


def test_results_that_cannot_be_read_are_a_finding_and_no_crash(run):
    (run / "run" / "fit" / "accuracy.csv").write_bytes(b"\xff\xfe\x00")
    (run / "run" / "fit" / "nomogram.json").write_text("{")
    (run / "run" / "report" / "tables" / "flow.csv").write_bytes(b"\xff,\x00\n")
    checked = verify_run(run)
    assert any(f.what == "cell" and "cannot be" in f.detail for f in checked.findings)


def test_a_study_file_that_cannot_be_read_is_noted(run):
    (run / "study.yaml").write_text("colour: red\n")
    checked = verify_run(run)
    assert "../study.yaml" in [finding.file for finding in checked.findings]
    assert checked.notes == ("study.yaml cannot be read: no table was made again.",)


def test_a_report_handed_on_alone_is_checked_by_its_hashes(run, tmp_path):
    report = tmp_path / "handed" / "on"
    shutil.copytree(run / "run" / "report", report)
    checked = verify_run(report)
    assert checked.holds
    assert "not here" in checked.notes[0]
    flipped(report / "tables" / "flow.docx")
    assert found(report) == ["tables/flow.docx"]


def test_no_run_is_no_verdict(tmp_path, small_study):
    with pytest.raises(SchemaError, match="holds no run"):
        verify_run(tmp_path)
    with pytest.raises(SchemaError, match="holds no run"):
        verify_run(small_study)


def test_a_verification_is_plain_values(run):
    flipped(run / "run" / "report" / "tables" / "flow.csv")
    content = json.loads(json.dumps(verify_run(run).to_dict()))
    assert content["holds"] is False
    assert content["findings"][0]["file"] == "report/tables/flow.csv"


# The same run again -----------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def test_results_and_figures_are_the_same_bytes_with_one_worker(
    small_study, small_run, tmp_path, monkeypatch
):
    from reports.stages import STAGES, draw, performance

    coarse = coarse_figures()
    all_figures = draw.figures
    coarse.undo()
    few = ("flow", "roc", "instability")
    monkeypatch.setattr(
        draw, "figures", lambda study: {k: v for k, v in all_figures(study).items() if k in few}
    )
    assert performance.WORKERS != 1
    monkeypatch.setattr(performance, "WORKERS", 1)
    study = load_study(copy_study(small_study, tmp_path / "again"))
    run_stages(study, [s for s in STAGES if s.name != "report"], say=lambda line: None)
    again, before = contents(study.run_dir), contents(small_run / "run")
    drawn = {f"draw/{name}.{kind}" for name in few for kind in ("pdf", "svg", "png")}
    assert drawn <= again.keys()
    own = {"draw/figures.json", "stages/draw.json"}
    assert [name for name in again if name not in own and again[name] != before[name]] == []
    results = {
        name for name in before if not name.startswith(("report/", "draw/", "stages/report"))
    }
    assert results <= again.keys()


@pytest.mark.slow
def test_two_runs_are_the_same_bytes(small_study, small_run, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder = copy_study(small_study, tmp_path / "elsewhere" / "again")
    coarse = coarse_figures()
    run_study(folder, console=Console(quiet=True))
    coarse.undo()
    again, before = contents(folder / "run"), contents(small_run / "run")
    assert {Path(name).suffix for name in before} >= KINDS
    assert again.keys() == before.keys()
    assert [name for name in before if again[name] != before[name]] == []


def test_a_record_of_an_older_kind_is_no_record(tmp_path):
    path = atomic_write_text(tmp_path / "a.json", '{"name": "a", "key": "k", "seconds": 1}')
    assert load_record(path) is None
