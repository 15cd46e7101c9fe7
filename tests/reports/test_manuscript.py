"""The files of a finished run, read as their author would: figures, tables, text and links."""

from __future__ import annotations

import html
import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from docx import Document
from openpyxl import load_workbook
from PIL import Image
from rich.console import Console

from reports.checklists import GUIDELINES
from reports.figures import figure_preset, save_figure
from reports.pipeline import Workspace
from reports.run import run_study
from reports.stages import STAGES
from reports.stages.draw import figures
from reports.study import Journal, Network, load_study
from reports.training import train_config
from reports.verify import verify_run
from tests.reports.conftest import coarse_figures, copy_study
from tests.reports.latex import latex_cells
from tests.reports.test_tables import html_cells
from usstats.plots.style import journal_style

#: What no cell and no sentence may hold, whatever the numbers were.
FORBIDDEN = re.compile(
    r"(?<![\w.])(nan|NaN|inf|None)(?![\w-])|[−-]0[.·]0+(?!\d)|[pP] ?= ?0?[.·]0+(?!\d)"
)


@pytest.fixture(scope="module")
def report(small_run) -> Path:
    return small_run / "run" / "report"


@pytest.fixture(scope="module")
def page(report) -> str:
    text = (report / "report.html").read_text("utf-8")
    return re.sub(r'src="data:[^"]+"', 'src=""', text)


@pytest.fixture(scope="module")
def prose(page) -> str:
    body = re.sub(r"<style.*?</style>", "", page, flags=re.S)
    return html.unescape(re.sub(r"<[^>]+>", " ", body))


def test_every_chart_of_the_study_is_drawn_and_shown(report, page):
    names = set(json.loads((report / "figures" / "figures.json").read_text("utf-8")))
    assert {
        "flow",
        "nomogram",
        "roc",
        "calibration",
        "decision",
        "forest",
        "instability",
        "confusion",
        "external_prospective",
    } <= names
    assert all(f'id="{name}"' in page for name in names)
    labels = re.findall(r"<b>(Figure \d+)\.</b>", page)
    assert labels == [f"Figure {i + 1}" for i in range(len(names))]


def pdf_width_mm(path: Path) -> float:
    return float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", path.read_bytes())[1]) / 72 * 25.4


def svg_sizes(path: Path) -> tuple[float, list[float]]:
    """Width in millimetres and the size of every text in points."""
    text = path.read_text("utf-8")
    width = float(re.search(r'<svg[^>]* width="([\d.]+)pt"', text)[1]) / 72 * 25.4
    return width, [float(size) for size in re.findall(r"font(?:-size)?:[^;\"]*?([\d.]+)px", text)]


def test_figures_have_the_journals_width_and_legible_text(report):
    rules = figure_preset("european_radiology")
    records = json.loads((report / "figures" / "figures.json").read_text("utf-8"))
    for name, record in records.items():
        wanted = record["width_mm"]
        assert wanted in (rules.width_single_mm, rules.width_double_mm), name
        svg, sizes = svg_sizes(report / "figures" / f"{name}.svg")
        found = [svg, pdf_width_mm(report / "figures" / f"{name}.pdf")]
        for kind in ("png", "tiff"):
            path = report / "figures" / f"{name}.{kind}"
            if path.is_file():
                with Image.open(path) as image:
                    found.append(image.width / record["dpi"] * 25.4)
                    assert kind == "png" or image.mode == "RGB"
        assert found == pytest.approx([wanted] * len(found), abs=0.2), name
        assert sizes, name
        assert min(sizes) >= rules.least_font_pt, name


def test_fonts_are_embedded_as_truetype_and_recorded(report):
    records = json.loads((report / "figures" / "figures.json").read_text("utf-8"))
    for name, record in records.items():
        content = (report / "figures" / f"{name}.pdf").read_bytes()
        assert b"/Type3" not in content, name
        assert b"/FontFile2" in content, name
        assert record["fonts"], name
        assert all(font.encode() in content for font in record["fonts"]), name


def test_every_table_has_the_same_cells_in_five_formats(report):
    folder = report / "tables"
    names = sorted(path.stem for path in folder.glob("*.csv"))
    assert len(names) > 10
    for name in names:
        table = pd.read_csv(folder / f"{name}.csv", header=None, dtype=str, keep_default_na=False)
        cells = [text.removeprefix("'") for text in table.to_numpy().ravel()]
        word = Document(folder / f"{name}.docx").tables[0]
        assert [cell.text for row in word.rows for cell in row.cells] == cells, name
        assert html_cells(folder / f"{name}.html").cells == cells, name
        sheet = load_workbook(folder / f"{name}.xlsx").worksheets[0]
        assert [cell.value or "" for row in sheet.iter_rows() for cell in row] == cells, name
        assert latex_cells((folder / f"{name}.tex").read_text("utf-8")) == cells, name


def test_the_tables_inside_the_report_are_those_beside_it(report):
    files = {
        tuple(
            text.removeprefix("'")
            for text in pd.read_csv(path, header=None, dtype=str, keep_default_na=False)
            .to_numpy()
            .ravel()
        )
        for path in (report / "tables").glob("*.csv")
    }
    for grid in Document(report / "report.docx").tables:
        cells = tuple(cell.text for row in grid.rows for cell in row.cells)
        assert cells in files or cells[0] == "Guideline"


def test_no_cell_and_no_sentence_holds_what_is_no_number(report, prose):
    assert not FORBIDDEN.search(prose), FORBIDDEN.search(prose)
    for path in (report / "tables").glob("*.csv"):
        text = path.read_text("utf-8")
        assert not FORBIDDEN.search(text), (path.name, FORBIDDEN.search(text))


def test_the_page_leads_to_what_lies_beside_it(report, page):
    links = set(re.findall(r'href="([^"#]+)"', page))
    needed = {"calculator.html", "model.json", "manifest.json", "tables.xlsx"}
    assert links >= needed | {f"checklists/{name}.docx" for name in GUIDELINES}
    assert all((report / unquote(link)).exists() for link in links)
    parts = Document(report / "report.docx").part.rels.values()
    outside = {part.target_ref for part in parts if part.is_external}
    assert outside == links


def has_key(content: object, path: str) -> bool:
    """Whether JSON holds this path of keys; an empty one is the whole."""
    for part in filter(None, path.split(".")):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


def resolves(key: str, *, run: Path) -> bool:
    """Whether a number's address is a file of the run, with the row and the column it names."""
    file = re.match(r"[\w./+-]+?\.(?:csv|json|yaml)", key)
    if file is None:
        return key.startswith("rule R")
    places = (run / file[0], run.parent / file[0], run / "report" / file[0], run.parent / file[0])
    path = next((place for place in places if place.is_file()), None)
    path = path or (run / file[0].removeprefix("run/"))
    if not path.is_file():
        return False
    rest = key[file.end() :]
    if path.suffix == ".json":
        return has_key(json.loads(path.read_text("utf-8")), rest.strip(".:"))
    if path.suffix != ".csv" or not rest:
        return True
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    where, _, column = rest.rpartition("].") if rest.startswith("[") else ("", "", rest[1:])
    for name, value in re.findall(r"(\w+)=([^=]*?)(?=,\w+=|$)", where.removeprefix("[")):
        table = table[table[name] == value]
    return len(table) > 0 and column in table


def test_every_number_resolves_to_its_result(report, page):
    keys = {html.unescape(key) for key in re.findall(r'data-result="([^"]+)"', page)}
    assert len(keys) > 60
    lost = sorted(key for key in keys if not resolves(key, run=report.parent))
    assert lost == []
    assert not resolves("fit/threshold.json.nothing", run=report.parent)
    assert not resolves("validate/nomogram.csv[measure=nothing].corrected", run=report.parent)
    assert not resolves("validate/nomogram.csv[measure=auc].nothing", run=report.parent)


def test_what_came_with_the_study_is_not_called_our_doing(prose):
    """The small study has a table of probabilities and no network of ours."""
    text = " ".join(prose.split())
    assert "came with the study as a table" in text
    assert "temperature" not in text
    assert "was trained for" not in text


def test_sentences_say_which_cohort_and_model(prose):
    text = " ".join(prose.split())
    assert "In the development cohort, 40 patients were enrolled" in text
    assert "in the prospective cohort" in text
    assert "the model “clinical”" in text
    assert "In the cohort" not in text


def test_methods_name_level_software_and_tests(prose):
    text = " ".join(prose.split())
    assert "95% confidence intervals; p values are two-sided" in text
    assert re.search(r"done with usstats [\d.]+ under Python 3", text)
    assert "Inside each resample the covariates were completed 5 times" in text


def test_the_target_of_the_third_criterion_is_a_margin(report):
    table = pd.read_csv(report / "tables" / "sample_size.csv", dtype=str)
    rows = table.set_index("Purpose and criterion")["Target"]
    assert rows["Precise overall risk"] == "margin 0.05"
    assert rows["Little overfitting: expected shrinkage"] == "shrinkage 0.90"


def test_a_variable_is_summarised_alike_in_both_tables(report):
    one, two = (
        set(pd.read_csv(report / "tables" / f"{name}.csv", dtype=str)["Characteristic"])
        for name in ("patients", "cohorts")
    )
    kinds = {row for row in one if row.endswith(("(SD)", "(IQR)"))}
    assert kinds
    assert kinds <= two


def test_what_only_the_author_knows_is_marked(report, page):
    notes = re.findall(r'<p class="for-author">(Author to state: [^<]+)</p>', page)
    assert len(notes) >= 5
    document = Document(report / "report.docx")
    marked = {
        paragraph.text
        for paragraph in document.paragraphs
        if paragraph.runs and all(run.font.highlight_color is not None for run in paragraph.runs)
    }
    assert {html.unescape(note) for note in notes} <= marked


def test_messages_of_the_software_stand_apart_from_the_limits(page):
    limits = re.search(r'<section id="limits".*?</section>', page, flags=re.S)[0]
    assert "min_events" not in limits
    assert (
        "min_events" in re.search(r'<section id="warnings-of-the-run".*?</section>', page, re.S)[0]
    )


def test_png_says_its_resolution(report):
    for path in (report / "figures").glob("*.png"):
        content = path.read_bytes()
        at = content.index(b"pHYs")
        a_metre, _ = struct.unpack(">II", content[at + 4 : at + 12])
        assert a_metre * 0.0254 == pytest.approx(300, abs=0.1), "halftone, as the tests draw"


@pytest.mark.parametrize("journal", ["lancet", "elsevier"])
def test_every_figure_fits_another_journal(small_run, tmp_path, journal):
    study = load_study(small_run)
    chosen = Journal(figures=journal, numbers="lancet")
    other = replace(study, config=study.config.model_copy(update={"journal": chosen}))
    work = Workspace(study=other, folder=tmp_path, say=lambda line: None)
    rules = figure_preset(journal)
    for name, (make, options) in figures(other).items():
        with journal_style():
            fig = make(work)
            files = save_figure(fig, tmp_path, name, journal, **{**options, "formats": ("svg",)})
        width, sizes = svg_sizes(files["svg"])
        assert width == pytest.approx(rules.width_mm(options["width"]), abs=0.2), name
        assert min(sizes) >= rules.least_font_pt, name
        if name == "forest":
            assert "·" in files["svg"].read_text("utf-8")


def test_a_training_stage_knows_the_whole_configuration(small_study):
    """A default of the software that changed is another training."""
    study = load_study(small_study)
    config = study.config.model_copy(update={"networks": {"roi": Network()}})
    (train,) = (stage for stage in STAGES if stage.name == "train")
    settings = train.settings(replace(study, config=config))
    assert (
        settings["networks"]["roi"] == train_config(replace(study, config=config), "roi").to_json()
    )


def hostile(folder: Path) -> Path:
    """The study with grades, cohorts and columns that are no file names and look like formulas."""
    patients = pd.read_csv(folder / "patients.csv", dtype=str)
    config = yaml.safe_load((folder / "study.yaml").read_text("utf-8"))
    grade = ["+" if i % 3 else "=1+1" for i in range(len(patients))]
    patients[FORMULA] = grade
    patients["cohort"] = patients["cohort"].replace({"prospective": COHORT})
    config["cohorts"]["external"] = [COHORT]
    config["columns"] = {FORMULA: {"type": "string", "levels": ["=1+1", "+"]}}
    terms = config["models"][0]["terms"]
    config["models"] = [
        {"name": "nomogram", "terms": [*terms[:2], {"name": FORMULA, "type": "factor"}]}
    ]
    config["intended_use"] = "To plan a biopsy."
    patients.to_csv(folder / "patients.csv", index=False)
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True)
    (folder / "study.yaml").write_text(text, "utf-8")
    return folder


FORMULA = '=HYPERLINK("http://x.y","k")'
COHORT = "../\u524d\u77bb <i>$_x</i> A/B"


def test_names_that_are_no_file_names_and_no_formulas_pass_through_a_run(small_study, tmp_path):
    folder = hostile(copy_study(small_study, tmp_path / "study"))
    patch = coarse_figures()
    try:
        run_study(folder, console=Console(quiet=True))
    finally:
        patch.undo()
    assert verify_run(folder).holds
    assert {path.name for path in tmp_path.iterdir()} == {"study"}
    report = folder / "run" / "report"
    model = json.loads((report / "model.json").read_text("utf-8"))
    assert "'=1+1" not in json.dumps(model)
    page = (report / "report.html").read_text("utf-8")
    assert "<i>$_x" not in page
    assert "&#39;=1+1" not in page
    assert "HYPERLINK(&#34;http \u00d7" not in page
    sheets = load_workbook(report / "tables.xlsx")
    cells = [cell for sheet in sheets for row in sheet.iter_rows() for cell in row]
    assert not [cell.value for cell in cells if cell.data_type == "f"]
    assert "To plan a biopsy. Research use only" in (report / "calculator.html").read_text("utf-8")
