"""A whole study from images to manuscript, small enough for every run of the tests."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from docx import Document
from openpyxl import load_workbook
from rich.console import Console

from dl.predictions import COLUMNS
from reports.manifest import verify
from reports.pipeline import read_records, record_path
from reports.run import run_study
from reports.synthetic import make_noa_study

pytest.importorskip("torch", reason="the image part is not installed: pip install 'usstats[dl]'")


def _shrink(folder: Path) -> None:
    path = folder / "study.yaml"
    config = yaml.safe_load(path.read_text("utf-8"))
    config["networks"]["roi"] |= {"route": "frozen", "input_size": 64, "folds": 3}
    config["imputation"] = {"m": 2, "method": "pmm"}
    config["validation"] = {"n_boot": 50}
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a small synthetic study."""
    folder = tmp_path_factory.mktemp("run") / "noa"
    make_noa_study(folder, seed=3, n_development=80, n_external=40)
    _shrink(folder)
    run_study(folder, console=Console(quiet=True))
    return folder


@pytest.fixture(scope="module")
def report(study: Path) -> str:
    return (study / "run" / "report" / "report.html").read_text("utf-8")


def test_everything_a_manuscript_needs_is_there(study):
    out = study / "run" / "report"
    names = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"report.html", "report.docx", "calculator.html", "manifest.json"} <= names
    for figure in ("nomogram", "roc", "calibration", "decision", "flow", "external_prospective"):
        assert {f"figures/{figure}.{kind}" for kind in ("pdf", "svg", "png")} <= names
    for table in ("flow", "patients", "model", "performance", "nested", "accuracy", "external"):
        kinds = ("docx", "xlsx", "html", "tex", "csv")
        assert {f"tables/{table}.{kind}" for kind in kinds} <= names


def test_synthetic_is_said_everywhere(study, report):
    assert "SYNTHETIC" in report
    assert "SYNTHETIC" in (study / "run" / "report" / "calculator.html").read_text("utf-8")


def test_numbers_of_the_text_carry_their_source(study, report):
    """Follow an address back to its file and find the number printed."""
    found = re.findall(
        r'data-result="validate/nomogram\.csv\[measure=auc\]\.apparent"[^>]*>([^<]+)<', report
    )
    table = pd.read_csv(study / "run" / "validate" / "nomogram.csv").set_index("measure")
    assert found
    assert float(found[0]) == pytest.approx(table.loc["auc", "apparent"], abs=5e-4)


def test_word_tables_hold_the_cells_of_the_csv(study):
    folder = study / "run" / "report" / "tables"
    for path in sorted(folder.glob("*.csv")):
        expected = pd.read_csv(path, dtype=str, keep_default_na=False)
        table = Document(str(path.with_suffix(".docx"))).tables[0]
        rows = [[cell.text.strip() for cell in row.cells] for row in table.rows]
        assert rows[0] == list(expected.columns)
        assert rows[1:] == expected.map(str.strip).to_numpy().tolist(), path.stem


def test_the_word_report_holds_every_table_of_its_text(study):
    """What stands in the document is what stands in the CSV files, caption and cells."""
    out = study / "run" / "report"
    document = Document(str(out / "report.docx"))
    found = [
        [[cell.text.strip() for cell in row.cells] for row in table.rows]
        for table in document.tables
    ]
    in_the_page = re.findall(
        r'<figure class="table" id="([^"]+)"', (out / "report.html").read_text("utf-8")
    )
    assert len(found) == len(in_the_page)
    for name, rows in zip(in_the_page, found, strict=True):
        path = out / "tables" / f"{name}.csv"
        if path.is_file():
            table = pd.read_csv(path, dtype=str, keep_default_na=False, header=None)
            assert rows == table.map(str.strip).to_numpy().tolist(), name


def test_one_workbook_holds_every_table(study):
    out = study / "run" / "report"
    book = load_workbook(out / "tables.xlsx")
    for path in sorted((out / "tables").glob("*.csv")):
        expected = pd.read_csv(path, dtype=str, keep_default_na=False, header=None)
        rows = [[cell or "" for cell in row] for row in book[path.stem].iter_rows(values_only=True)]
        assert rows == expected.to_numpy().tolist(), path.stem


def test_the_manifest_says_which_fonts_are_in_the_figures(study):
    details = json.loads((study / "run" / "report" / "manifest.json").read_text("utf-8"))["details"]
    assert details["figures"]["roc"]["fonts"]
    assert details["figures"]["roc"]["width_mm"] == 84.0


def test_manifest_describes_the_report(study):
    assert verify(study / "run" / "report") == []


def test_development_probabilities_are_out_of_fold(study):
    table = pd.read_csv(study / "run" / "predict" / "predictions.csv")
    patients = pd.read_csv(study / "patients.csv").set_index("patient_id")["cohort"]
    roles = (
        table.assign(cohort=table["patient_id"].map(patients)).groupby("cohort")["role"].unique()
    )
    assert list(roles["development"]) == ["out_of_fold"]
    assert list(roles["prospective"]) == ["external"]


def test_second_run_changes_nothing(study):
    before = {p: p.stat().st_mtime_ns for p in (study / "run").rglob("*.csv")}
    lines: list[str] = []
    console = Console(
        file=type("Sink", (), {"write": lambda _, s: lines.append(s), "flush": lambda _: None})()
    )
    run_study(study, console=console)
    assert {p: p.stat().st_mtime_ns for p in (study / "run").rglob("*.csv")} == before
    said = "".join(lines)
    assert "unchanged" in said
    assert "..." not in said


def test_killed_run_ends_with_the_same_numbers(study):
    """Take away what a killed process would not have written, and go on."""
    before = {record.name: record.outputs for record in read_records(study / "run")}
    for stage in ("fit", "validate"):
        record_path(study / "run", stage).unlink()
    (study / "run" / "validate" / "nomogram.csv").unlink()
    run_study(study, console=Console(quiet=True))
    assert {record.name: record.outputs for record in read_records(study / "run")} == before


def test_report_is_readable_json_behind_the_scenes(study):
    for path in (study / "run").rglob("*.json"):
        json.loads(path.read_text("utf-8"))


def test_no_place_on_this_machine_is_told(study):
    """Neither the folder nor the user's name may leave with the report."""
    for path in (study / "run" / "report").rglob("*"):
        if path.suffix in {".html", ".json", ".csv", ".svg"}:
            assert str(study.parent) not in path.read_text("utf-8"), path.name


def test_one_model_and_somebody_elses_predictions_are_enough(tmp_path):
    folder = tmp_path / "noa"
    truth = make_noa_study(folder, seed=5, n_development=80, n_external=40)
    severity = truth.patients.set_index("patient_id")["severity"]
    images = pd.read_csv(folder / "images.csv").assign(model="roi", fold=0, model_hash="theirs")
    images["probability"] = images["patient_id"].map(1 / (1 + (-severity).map(math.exp)))
    is_ours = images["patient_id"].str.startswith("D")
    images.assign(
        role=is_ours.map({True: "out_of_fold", False: "external"}),
        probability_calibrated=images["probability"],
        logit=images["patient_id"].map(severity),
        n_images=1,
    ).assign(**{"class": "NOA"})[list(COLUMNS)].to_csv(folder / "predictions.csv", index=False)
    config = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    config |= {"networks": {}, "models": config["models"][:1], "validation": {"n_boot": 50}}
    (folder / "study.yaml").write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    (folder / "truth.json").unlink()
    text = run_study(folder, console=Console(quiet=True)).read_text("utf-8")
    assert "likelihood-ratio" not in text
    assert "AUC of the nomogram" in text


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda folder: (folder / "study.yaml").unlink(), "No study.yaml"),
        (lambda folder: (folder / "patients.csv").write_text(""), "patients.csv"),
        (
            lambda folder: (folder / "study.yaml").write_text("colour: red\nname: x\n"),
            "colour",
        ),
        (
            lambda folder: (folder / "images" / "D0001_1.png").write_bytes(b"not an image"),
            "images.csv",
        ),
    ],
    ids=["no study.yaml", "empty table", "unknown key", "broken image"],
)
def test_bad_study_exits_2_with_one_message(tmp_path, break_it, message):
    folder = tmp_path / "noa"
    make_noa_study(folder, seed=4, n_development=12, n_external=6)
    break_it(folder)
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "reports.cli", "run", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "run" / "report").exists()
