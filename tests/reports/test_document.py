"""The Word report says what the page says, and every number leads to its result."""

from __future__ import annotations

import html
import re
import zipfile
from dataclasses import replace
from io import BytesIO

import pytest
from docx import Document
from docx.enum.section import WD_ORIENT
from docx.oxml.ns import qn
from docx.shared import Mm
from matplotlib.figure import Figure

from reports.document import SOURCES_HEADING, render_document, report_docx
from reports.figures import save_figure
from reports.report import (
    Bullets,
    KeyResult,
    ReportContent,
    ReportFigure,
    Section,
    report_html,
)
from reports.tables import Table, write_table
from reports.text import Value, paragraph
from usstats.errors import ArgumentError

HOSTILE = "</w:t><w:br/>\x00\ud800 =1+1 {{ 7*7 }}"
AUC = Value("validate/nomogram.csv[measure=auc].corrected", "0.84 (0.78–0.90)")
P = Value("compare/nested.csv.p_value", "p < 0.001")


@pytest.fixture(scope="module")
def figure(tmp_path_factory) -> ReportFigure:
    drawing = Figure(figsize=(3, 2))
    drawing.subplots().plot([0, 1], [0, 1])
    files = save_figure(drawing, tmp_path_factory.mktemp("figure"), "roc", kind="halftone")
    return ReportFigure.from_file(
        files["svg"], id="roc", title="ROC curve", alt="A curve", label="Figure 1", width_mm=84.0
    )


def a_table(**changes) -> Table:
    values = {
        "id": "auc",
        "label": "Table 1",
        "title": "Areas",
        "columns": ("Model", "AUC (95% CI)", "p value"),
        "rows": (("Nomogram", "0.91 (0.86–0.95)", "< 0.001"), ("Network", "0.80", "–")),
        "footnotes": ("Corrected.",),
        "abbreviations": (("CI", "confidence interval"),),
        "italics": ("p",),
    }
    return Table(**(values | changes))


def example(figure: ReportFigure, text: str = "A study", **changes) -> ReportContent:
    values = {
        "title": text,
        "synthetic": True,
        "key_results": (KeyResult(label="AUC", value=AUC, detail=paragraph("Patients")),),
        "sections": (
            Section(
                heading="Results",
                blocks=(
                    paragraph("The AUC was {auc} ({p}).", auc=AUC, p=P),
                    Bullets(items=(paragraph("First"), paragraph("{x}", x=Value("r", text)))),
                    a_table(),
                    figure,
                ),
            ),
            Section(
                heading="Author to state",
                blocks=(Bullets(items=(paragraph("Ethics approval."),)),),
                for_author=True,
            ),
        ),
        "summary": (paragraph("One sentence."),),
        "provenance": (("Seed", Value("study.yaml:seed", "7")),),
        "source": text,
        "italics": ("p",),
    }
    return ReportContent(**(values | changes))


def opened(content: ReportContent):
    return Document(BytesIO(report_docx(content)))


def test_the_document_says_what_the_page_says(figure):
    content = example(figure)
    texts = [p.text for p in opened(content).paragraphs]
    page = html.unescape(re.sub(r"<[^>]+>", "", report_html(content)))
    for text in (
        "The AUC was 0.84 (0.78–0.90) (p < 0.001).",
        "Table 1. Areas",
        "Figure 1. ROC curve",
        "ᵃ Corrected.",
        "Abbreviations: CI, confidence interval.",
        "First",
        "One sentence.",
        "Ethics approval.",
    ):
        assert text in texts
        assert text in page
    assert "AUC: 0.84 (0.78–0.90); Patients" in texts
    assert "Seed: 7" in texts


def test_headings_are_headings_and_captions_captions(figure):
    styles = {p.text: p.style.name for p in opened(example(figure)).paragraphs}
    assert styles["Results"] == styles["Author to state"] == styles["Provenance"] == "Heading 1"
    assert styles["Table 1. Areas"] == styles["Figure 1. ROC curve"] == "Caption"
    assert styles["First"] == "List Bullet"


def test_its_tables_hold_the_cells_of_the_csv(figure, tmp_path):
    table = opened(example(figure)).tables[0]
    lines = write_table(a_table(), tmp_path, formats=["csv"])["csv"].read_text("utf-8").splitlines()
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        line.split(",") for line in lines
    ]


def test_blocks_stand_in_reading_order(figure):
    body = opened(example(figure)).element.body
    kinds = []
    for element in body:
        text = "".join(node.text or "" for node in element.iter(qn("w:t")))
        if element.tag == qn("w:tbl"):
            kinds.append("table")
        elif element.find(f".//{qn('w:drawing')}") is not None:
            kinds.append("picture")
        elif text in ("Results", "Author to state", "Figure 1. ROC curve"):
            kinds.append(text)
    assert kinds == ["Results", "table", "picture", "Figure 1. ROC curve", "Author to state"]


def test_every_number_leads_to_its_result(figure):
    document = opened(example(figure))
    links = {
        link.get(qn("w:tooltip")): link.get(qn("w:anchor"))
        for link in document.element.iter(qn("w:hyperlink"))
    }
    assert {AUC.result, P.result, "study.yaml:seed", "r"} == set(links)
    at = {}
    for p in document.paragraphs:
        for mark in p._p.iter(qn("w:bookmarkStart")):
            at[mark.get(qn("w:name"))] = p.text
    assert {tip: at[anchor] for tip, anchor in links.items()} == {tip: tip for tip in links}
    outside = []
    texts = [p for p in document.paragraphs if p.style.name != "Caption"]
    for p in texts[: [q.text for q in texts].index(SOURCES_HEADING)]:
        outside += [run.text for run in p.runs if re.search(r"\d", run.text)]
    assert outside == []


def test_the_symbol_of_a_p_value_is_italic(figure):
    document = opened(example(figure))
    runs = [r for p in document.paragraphs for r in p._p.iter(qn("w:r"))]
    italic = [
        "".join(t.text for t in r.iter(qn("w:t")))
        for r in runs
        if r.find(f".//{qn('w:i')}") is not None
    ]
    assert "p" in italic
    assert not [text for text in italic if re.search(r"\d", text)]


def test_what_the_author_must_state_is_marked(figure):
    by_text = {p.text: p for p in opened(example(figure)).paragraphs}
    assert by_text["Ethics approval."].runs[0].font.highlight_color is not None
    assert by_text["First"].runs[0].font.highlight_color is None
    assert 'class="for-author"' in report_html(example(figure))


def test_the_picture_has_its_printed_width_and_words(figure):
    shape = opened(example(figure)).inline_shapes[0]
    assert shape.width == Mm(84)
    assert shape._inline.docPr.get("descr") == "A curve"
    with zipfile.ZipFile(BytesIO(report_docx(example(figure)))) as archive:
        picture = next(n for n in archive.namelist() if n.startswith("word/media/"))
        assert archive.read(picture) == figure.raster


def test_a_wide_table_gets_a_page_of_its_own_on_its_side(figure):
    wide = a_table(columns=tuple("abcdefgh"), rows=(("1",) * 8,), footnotes=(), italics=())
    blocks = (paragraph("Before."), wide, paragraph("After."))
    sections = opened(example(figure, sections=(Section(heading="S", blocks=blocks),))).sections
    assert [s.orientation for s in sections] == [
        WD_ORIENT.PORTRAIT,
        WD_ORIENT.LANDSCAPE,
        WD_ORIENT.PORTRAIT,
    ]
    assert all(s.page_width - s.left_margin - s.right_margin > 0 for s in sections)


def test_the_banner_stands_on_every_page_where_data_are_synthetic(figure):
    document = opened(example(figure))
    assert document.paragraphs[0].text.startswith("SYNTHETIC DATA.")
    assert document.sections[0].header.paragraphs[0].text == "SYNTHETIC DATA"
    plain = opened(example(figure, synthetic=False))
    assert "SYNTHETIC" not in plain.element.xml
    assert plain.sections[0].header.paragraphs[0].text == ""
    assert "not a medical device" in plain.sections[0].footer.paragraphs[0].text


def test_two_documents_of_the_same_content_are_equal_and_name_nobody(figure, tmp_path):
    one = render_document(example(figure), tmp_path / "a.docx").read_bytes()
    assert one == report_docx(example(figure))
    with zipfile.ZipFile(BytesIO(one)) as archive:
        assert {info.date_time[0] for info in archive.infolist()} == {1980}
    properties = Document(BytesIO(one)).core_properties
    assert (properties.author, properties.last_modified_by, properties.comments) == ("", "", "")


def test_hostile_text_is_text(figure):
    document = opened(
        example(figure, title="T", source="S", summary=(paragraph("{x}", x=Value("r", HOSTILE)),))
    )
    shown = [p.text for p in document.paragraphs if "7*7" in p.text]
    clean = HOSTILE.replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
    assert shown == [clean]
    section = Section(heading=HOSTILE, blocks=(replace(figure, alt=HOSTILE, title=HOSTILE),))
    everywhere = opened(example(figure, text=HOSTILE, sections=(section,)))
    texts = [p.text for p in everywhere.paragraphs]
    assert texts.count(clean) == 3, "title, source and heading"
    assert f"Figure 1. {clean}" in texts


def test_a_drawing_word_cannot_show_is_refused():
    svg = ReportFigure(id="f", title="t", alt="a", image=b"<svg/>", media_type="image/svg+xml")
    content = ReportContent(
        title="T", synthetic=False, sections=(Section(heading="S", blocks=(svg,)),)
    )
    with pytest.raises(ArgumentError, match="Figure 'f' is an SVG, which Word does not show"):
        report_docx(content)


def test_a_table_without_notes_is_apart_from_what_follows():
    bare = a_table(footnotes=(), abbreviations=())
    sections = (Section(heading="Results", blocks=(bare, bare.labelled("Table 2"))),)
    document = Document(
        BytesIO(report_docx(ReportContent(title="T", synthetic=False, sections=sections)))
    )
    kinds = [child.tag.rpartition("}")[2] for child in document.element.body]
    first = kinds.index("tbl")
    assert kinds[first + 1 : first + 3] == ["p", "p"]
    assert document.paragraphs[-3].text == ""
