"""One table, five files, identical cells."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from html.parser import HTMLParser
from io import BytesIO

import pandas as pd
import pytest
from docx import Document
from docx.enum.section import WD_ORIENT
from docx.oxml.ns import qn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook

from reports.files import sha256_file
from reports.tables import (
    Table,
    docx_bytes,
    footnote_mark,
    latex_text,
    write_table,
    write_workbook,
    xlsx_bytes,
)
from reports.tables.spreadsheet import NOTES_SHEET
from reports.tables.table import PORTRAIT_CHARACTERS
from reports.word import TABLE_STYLE, TABLE_STYLE_ID
from tests.reports.latex import latex_cells
from usstats.errors import ArgumentError

HOSTILE = (
    "</script><img src=x onerror=alert(1)>",
    '<b onmouseover="x">',
    "{{ 7 * 7 }}",
    "a\x00b\x1b",
    "\ud800",
    "=HYPERLINK(1)",
    "$\\frac{",
    "& &amp; <",
)


class Cells(HTMLParser):
    """Text of every th and td, and the name of every tag seen."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.tags: set[str] = set()
        self._open = False

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        if tag in ("td", "th"):
            self.cells.append("")
            self._open = True

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self._open = False

    def handle_data(self, data):
        if self._open:
            self.cells[-1] += data


def example_table(**changes) -> Table:
    values = {
        "id": "table_one",
        "label": "Table 1",
        "title": "Patients",
        "columns": ("Variable", "All", "P value"),
        "rows": (("Age, y", "52.3 (14.1)", "<.001"), ("Female", "34/75 (45%)", "not estimable")),
        "indent": (0, 1),
        "footnotes": ("Fisher exact test",),
        "abbreviations": {"AUC": "area under the curve"},
        "notes": ("n = 75.",),
    }
    return Table(**(values | changes))


def html_cells(path) -> Cells:
    parser = Cells()
    parser.feed(path.read_text("utf-8"))
    return parser


def assert_same_cells(table: Table, folder) -> None:
    paths = write_table(table, folder)
    expected = [*table.columns, *(cell for row in table.rows for cell in row)]
    word = Document(paths["docx"]).tables[0]
    assert [cell.text for row in word.rows for cell in row.cells] == expected
    assert html_cells(paths["html"]).cells == expected
    sheet = load_workbook(paths["xlsx"]).worksheets[0]
    found = [cell.value or "" for row in sheet.iter_rows() for cell in row]
    assert found == [_as_in_a_workbook(text) for text in expected]
    assert all(cell.data_type in "sn" for row in sheet.iter_rows() for cell in row)
    assert latex_cells(paths["tex"].read_text("utf-8")) == expected
    csv = pd.read_csv(paths["csv"], header=None, dtype=str, keep_default_na=False)
    assert [text.removeprefix("'") for text in csv.to_numpy().ravel()] == [
        text.removeprefix("'") for text in expected
    ]


def _as_in_a_workbook(text: str) -> str:
    """What the reader of the tests makes of `_x41_`: the file format's own escape."""
    return re.sub(r"_(x[0-9a-fA-F]{4}_)", r"_x005F_\1", text)


def test_the_five_files_hold_the_same_cells(tmp_path):
    assert_same_cells(example_table(), tmp_path)


def test_hostile_text_is_the_same_inert_text_everywhere(tmp_path):
    columns = tuple(f"{text} {i}" for i, text in enumerate(HOSTILE))
    table = Table(id="../x", title=HOSTILE[0], columns=columns, rows=(HOSTILE, HOSTILE))
    assert_same_cells(table, tmp_path)
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}
    seen = html_cells(next(tmp_path.glob("*.html"))).tags
    assert not seen & {"script", "img", "b"}


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(text=st.text(min_size=1, max_size=12))
def test_any_text_survives_in_every_format(tmp_path, text):
    table = Table(id="t", title=text, columns=("A", "B"), rows=(("x", f"a{text}b"),))
    assert_same_cells(table, tmp_path)


def test_word_table_is_one_an_editor_can_use(tmp_path):
    document = Document(write_table(example_table(), tmp_path)["docx"])
    texts = [paragraph.text for paragraph in document.paragraphs]
    assert texts[0] == "Table 1. Patients"
    assert document.paragraphs[0].style.name == "Caption"
    assert texts[1:] == [
        "ᵃ Fisher exact test",
        "n = 75.",
        "Abbreviations: AUC, area under the curve.",
    ]
    header = document.tables[0].rows[0]._tr
    assert header.find(f".//{qn('w:tblHeader')}") is not None
    xml = document.element.xml
    assert 'w:val="decimal"' in xml
    for edge in ("w:left", "w:right", "w:insideV"):
        assert f"<{edge} w:val" not in xml
    assert document.tables[0].rows[2].cells[0].paragraphs[0].paragraph_format.left_indent.pt == 10


def test_nothing_in_the_file_names_a_person_or_a_day(tmp_path):
    first = write_table(example_table(), tmp_path / "a")
    second = write_table(example_table(), tmp_path / "b")
    for name in ("docx", "xlsx", "html", "tex", "csv"):
        assert sha256_file(first[name]) == sha256_file(second[name])
    properties = Document(first["docx"]).core_properties
    assert (properties.author, properties.last_modified_by, properties.comments) == ("", "", "")
    for name in ("docx", "xlsx"):
        with zipfile.ZipFile(first[name]) as archive:
            assert {info.date_time[0] for info in archive.infolist()} == {1980}
    workbook = load_workbook(first["xlsx"]).properties
    assert (workbook.creator or "", workbook.lastModifiedBy or "") == ("", "")
    assert workbook.created.year == 1980


@pytest.mark.parametrize(
    ("n_columns", "expected"), [(7, WD_ORIENT.PORTRAIT), (8, WD_ORIENT.LANDSCAPE)]
)
def test_wide_tables_lie_on_their_side(n_columns, expected):
    table = Table(
        id="t", title="T", columns=tuple("abcdefgh"[:n_columns]), rows=(("1",) * n_columns,)
    )
    section = Document(BytesIO(docx_bytes(table))).sections[0]
    assert section.orientation == expected
    assert (section.page_width > section.page_height) == (expected == WD_ORIENT.LANDSCAPE)
    assert (r"\begin{landscape}" in latex_text(table)) == (expected == WD_ORIENT.LANDSCAPE)


def test_long_numbers_turn_the_page_before_they_break():
    cell = "123.45 (101.23 to 145.67)"
    narrow, wide = (
        Table(id="t", title="T", columns=tuple("abcdef"[:n]), rows=((cell,) * n,)) for n in (3, 6)
    )
    assert not narrow.is_wide
    assert wide.is_wide
    long_stub = "A variable with a very long name indeed, which may go on in the next line"
    table = Table(id="t", title="T", columns=("A", "B"), rows=((long_stub * 3, "0.91"),))
    assert not table.is_wide


def test_a_tables_columns_fit_its_page():
    for n in (2, 5, 7, 12):
        row = ("A stub", *("0.912 (0.861-0.949)",) * (n - 1))
        table = Table(id="t", title="T", columns=tuple("abcdefghijkl"[:n]), rows=(row,))
        document = Document(BytesIO(docx_bytes(table)))
        page = document.sections[0]
        room = page.page_width - page.left_margin - page.right_margin
        assert sum(column.width for column in document.tables[0].columns) <= room


def test_a_table_with_sections_keeps_its_empty_cells(tmp_path):
    rows = (("Development", "", ""), ("Enrolled", "256", "98/252 (38.9%)"), ("Last", "", ""))
    assert_same_cells(example_table(rows=rows, indent=(0, 1, 0)), tmp_path)


def test_several_tables_in_one_document():
    document = Document(BytesIO(docx_bytes(example_table(), example_table(label="Table 2"))))
    assert len(document.tables) == len(document.sections) == 2


def test_a_table_without_rows_is_written(tmp_path):
    assert_same_cells(Table(id="t", title="T", columns=("A", "B"), rows=()), tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rows": (("a", "b"),), "indent": ()},
            "Row 0 of table 'table_one' has 2 cells",
        ),
        ({"rows": (("a", "b", 1.5),), "indent": ()}, "A table cell must be text; got 1.5"),
        ({"align": ("left",)}, "`align` of table 'table_one' has 1 entries; expected 3"),
        ({"align": ("left", "right", "left")}, "`align` must be one of 'left'"),
        ({"indent": (1,)}, "`indent` of table 'table_one' has 1 entries; expected 2"),
    ],
)
def test_a_table_that_cannot_be_laid_out_is_refused(changes, message):
    with pytest.raises(ArgumentError, match=message):
        example_table(**changes)


def test_an_unknown_format_is_refused(tmp_path):
    known = "'docx', 'xlsx', 'html', 'tex', 'csv'"
    with pytest.raises(ArgumentError, match=f"`formats` must be one of {known}; got 'xls'"):
        write_table(example_table(), tmp_path, formats=["csv", "xls"])
    assert not list(tmp_path.iterdir())


def test_a_workbook_has_a_sheet_a_table_and_one_for_the_notes(tmp_path):
    tables = [example_table(), example_table(id="Table_One"), example_table(id="notes")]
    book = load_workbook(write_workbook(tables, tmp_path / "tables.xlsx"))
    *names, last = book.sheetnames
    assert len({name.lower() for name in book.sheetnames}) == len(book.sheetnames) == 4
    assert last == NOTES_SHEET
    assert [book[name].max_row for name in names] == [3, 3, 3]
    told = [row[1] for row in book[NOTES_SHEET].iter_rows(values_only=True)]
    assert told[:2] == ["Table 1. Patients", "ᵃ Fisher exact test"]
    assert book[names[0]].freeze_panes == "B2"
    assert book[names[0]].print_title_rows == "$1:$1"


def test_a_workbook_runs_nothing():
    texts = ("=1+1", "+1", "-1+2", "@SUM(A1)", "http://x.example", "1e5", "\t=1")
    table = Table(id="t", title="T", columns=texts, rows=(texts,))
    content = xlsx_bytes(table)
    with zipfile.ZipFile(BytesIO(content)) as archive:
        xml = "".join(archive.read(name).decode() for name in archive.namelist())
    assert "<f>" not in xml
    assert "<hyperlink " not in xml
    sheet = load_workbook(BytesIO(content)).worksheets[0]
    quoted = [cell.quotePrefix for cell in sheet[2]]
    assert quoted == [True, True, True, True, False, False, False]
    assert all(cell.data_type == "s" for cell in sheet[2])


def test_a_cell_no_spreadsheet_holds_is_refused():
    table = example_table(rows=(("x" * 40_000, "", ""),), indent=())
    with pytest.raises(ArgumentError, match="has 40000 characters; a spreadsheet holds 32767"):
        xlsx_bytes(table)


def test_symbols_are_italic_in_word_html_and_latex(tmp_path):
    table = example_table(columns=("Group P", "All", "P value"), italics=("P",))
    paths = write_table(table, tmp_path)
    runs = [
        (run.text, bool(run.italic))
        for cell in Document(paths["docx"]).tables[0].rows[0].cells
        for run in cell.paragraphs[0].runs
    ]
    assert runs == [("Group P", False), ("All", False), ("P", True), (" value", False)]
    assert '<th scope="col" class="decimal"><i>P</i> value</th>' in paths["html"].read_text("utf-8")
    assert r"\textit{P} value" in paths["tex"].read_text("utf-8")
    assert_same_cells(table, tmp_path)


def test_latex_escapes_what_would_end_a_row_or_begin_an_option():
    table = Table(
        id="a_b%",
        title="T_1",
        columns=("A", "B"),
        rows=(("[x]", "*"), ("a & b \\\\", "5%_#~^{}$|<>")),
    )
    text = latex_text(table)
    assert latex_cells(text) == ["A", "B", *table.rows[0], *table.rows[1]]
    assert "\n[" not in text
    assert r"\label{tab:a-b-}" in text
    assert text.count("\\\\") == 1 + 1 + len(table.rows), "caption, header, rows"


def test_numbers_align_in_latex_by_invisible_digits():
    table = Table(
        id="t", title="T", columns=("A", "B"), rows=(("a", "9.5 (1)"), ("b", "110.2 (3)"))
    )
    assert r"\phantom{00}9.5 (1)" in latex_text(table)
    assert "& 110.2" in latex_text(table)


def test_small_tables_stay_on_one_page_and_headers_come_again():
    document = Document(BytesIO(docx_bytes(example_table())))
    grid = document.tables[0]
    kept = [cell.paragraphs[0].paragraph_format.keep_with_next for cell in grid.rows[2].cells]
    assert kept == [True] * 3
    long = example_table(rows=(("a", "1", "2"),) * 60, indent=())
    grid = Document(BytesIO(docx_bytes(long))).tables[0]
    assert not grid.rows[5].cells[0].paragraphs[0].paragraph_format.keep_with_next
    assert [row._tr.find(f".//{qn('w:tblHeader')}") is not None for row in grid.rows[:2]] == [
        True,
        False,
    ]


def test_footnote_marks_run_out_with_a_message():
    assert footnote_mark(0) == "ᵃ"
    with pytest.raises(ArgumentError, match="`position` must lie between 0 and"):
        footnote_mark(99)


def test_greek_letters_and_units_are_printed_by_latex():
    table = Table(
        id="t", title="α → β", columns=("A", "κ"), rows=(("µmol", "≈ 3 ≠ 4"), ("Ω", "λ²"))
    )
    text = latex_text(table)
    assert latex_cells(text) == ["A", "κ", "µmol", "≈ 3 ≠ 4", "Ω", "λ²"]
    assert r"\ensuremath{\lambda}\textsuperscript{2}" in text


def test_no_number_of_a_latex_table_breaks():
    """Every column is given at least what its longest number needs."""
    cell = "110.0 (79.5–187.0)"
    table = Table(
        id="t",
        title="T",
        columns=("Characteristic", *(f"Group {i} (n = 171)" for i in range(3)), "SMD", "p value"),
        rows=(("Inhibin B of the serum (pg/mL), median (IQR)", *[cell] * 3, "0.77", "< 0.001"),)
        * 3,
    )
    assert not table.is_wide
    shares = [float(share) for share in re.findall(r"dimexpr([\d.]+)", latex_text(table))]
    assert sum(shares) <= 1.003
    needed = [0, *[len(cell)] * 3, 4, 7]
    assert all(s * PORTRAIT_CHARACTERS >= n for s, n in zip(shares, needed, strict=True))


PDFLATEX = shutil.which("pdflatex")


@pytest.mark.skipif(PDFLATEX is None, reason="needs pdflatex")
def test_latex_compiles_without_a_line_that_is_too_long(tmp_path):
    wide = example_table(
        id="wide",
        columns=tuple(f"Column {i}" for i in range(9)),
        rows=(("a & b_c", *["0.91 (0.86–0.95)"] * 8),),
        indent=(0,),
    )
    hostile = example_table(
        id="hostile", rows=(("[x] $ % # _ ^ ~ \\ {}", '"<>|"', "−1·5 α"),), indent=()
    )
    names = []
    for table in (example_table(), wide, hostile):
        names.append(table.id)
        (tmp_path / f"{table.id}.tex").write_text(latex_text(table.labelled("")), "utf-8")
    inputs = "\\clearpage".join(rf"\input{{{name}}}" for name in names)
    (tmp_path / "all.tex").write_text(
        r"\documentclass[a4paper]{article}\usepackage[T1]{fontenc}\usepackage[margin=25mm]{geometry}"
        r"\usepackage{array,booktabs,longtable,pdflscape}\begin{document}"
        f"{inputs}\\end{{document}}",
        "utf-8",
    )
    for _ in range(2):
        done = subprocess.run(  # noqa: S603
            [PDFLATEX, "-interaction=nonstopmode", "all.tex"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout


def test_cells_take_the_tables_style_by_its_identifier():
    document = Document(BytesIO(docx_bytes(example_table())))
    styles = {cell.paragraphs[0].style.name for cell in document.tables[0].rows[1].cells}
    assert styles == {TABLE_STYLE}
    assert document.styles[TABLE_STYLE].style_id == TABLE_STYLE_ID
    assert document.styles[TABLE_STYLE].paragraph_format.space_before.pt == 2
