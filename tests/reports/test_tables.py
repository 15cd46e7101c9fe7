"""One table, three files, identical cells."""

from __future__ import annotations

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

from reports.files import sha256_file
from reports.tables import Table, docx_bytes, footnote_mark, write_table
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
    csv = pd.read_csv(paths["csv"], header=None, dtype=str, keep_default_na=False)
    assert [text.removeprefix("'") for text in csv.to_numpy().ravel()] == [
        text.removeprefix("'") for text in expected
    ]


def test_the_three_files_hold_the_same_cells(tmp_path):
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
    for name in ("docx", "html", "csv"):
        assert sha256_file(first[name]) == sha256_file(second[name])
    properties = Document(first["docx"]).core_properties
    assert (properties.author, properties.last_modified_by, properties.comments) == ("", "", "")
    with zipfile.ZipFile(first["docx"]) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


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
    with pytest.raises(ArgumentError, match="`formats` must be one of 'docx', 'html', 'csv'"):
        write_table(example_table(), tmp_path, formats=["xls"])


def test_footnote_marks_run_out_with_a_message():
    assert footnote_mark(0) == "ᵃ"
    with pytest.raises(ArgumentError, match="`position` must lie between 0 and"):
        footnote_mark(99)
