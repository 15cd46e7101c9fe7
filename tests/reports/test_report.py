"""The report is one closed page in which every number names its result."""

from __future__ import annotations

import base64
import re

import pytest
from matplotlib.figure import Figure

from reports.figures import save_figure
from reports.report import (
    Bullets,
    KeyResult,
    ReportContent,
    ReportFigure,
    Section,
    render_report,
    report_html,
)
from reports.tables import Table
from reports.text import Value, paragraph
from tests.reports.browser import REPORT, rendered
from usstats.errors import ArgumentError

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">{{ 7*7 }}"


@pytest.fixture(scope="module")
def figure(tmp_path_factory) -> ReportFigure:
    drawing = Figure(figsize=(3, 2))
    drawing.subplots().plot([0, 1], [0, 1])
    files = save_figure(drawing, tmp_path_factory.mktemp("figure"), "roc", kind="halftone")
    return ReportFigure.from_file(
        files["svg"], id="roc", title="ROC curve", alt="A curve", label="Figure 1", width_mm=84.0
    )


def example(figure: ReportFigure, text: str = "A study", **changes) -> ReportContent:
    auc = Value("validate/nomogram.csv[measure=auc].corrected", "0.84 (0.78–0.90)")
    table = Table(id="t", label="Table 1", title=text, columns=("A", text), rows=((text, "1.5"),))
    values = {
        "title": text,
        "synthetic": True,
        "key_results": (KeyResult(label=text, value=auc, detail=paragraph("Patients")),),
        "sections": (
            Section(
                heading="Internal validation",
                blocks=(
                    paragraph("The AUC was {auc}.", auc=auc),
                    Bullets(items=(paragraph("First"), paragraph("{x}", x=Value("r", text)))),
                    table,
                    figure,
                ),
            ),
        ),
        "summary": (paragraph("One sentence."),),
        "provenance": (("Seed", Value("study.yaml:seed", "7")),),
        "source": text,
    }
    return ReportContent(**(values | changes))


def test_every_number_names_its_result(figure):
    page = report_html(example(figure))
    body = page[page.index("<main>") :]
    values = re.findall(r'data-result="([^"]+)">([^<]+)<', body)
    assert ("validate/nomogram.csv[measure=auc].corrected", "0.84 (0.78–0.90)") in values
    assert ("study.yaml:seed", "7") in values
    prose = re.sub(r'<(span|dd)[^>]*data-result="[^>]*>[^<]*</\1>', "", body)
    prose = re.sub(r"<figure.*?</figure>", "", prose, flags=re.S)
    assert not re.findall(r"\d", re.sub(r"<[^>]+>", "", prose))


def test_the_page_is_closed(figure):
    page = report_html(example(figure))
    assert "<script" not in page
    assert "default-src 'none'" in page
    outside = re.findall(r"(?:src|href)=\"(?!data:|#)([^\"]*)", page)
    assert outside == []
    assert not re.findall(r"https?://", re.sub(r"data:[^\"]+", "", page))


def test_pictures_are_inside_unchanged(figure):
    page = report_html(example(figure))
    encoded = re.search(r"data:image/svg\+xml;base64,([^\"]+)", page)[1]
    assert base64.b64decode(encoded) == figure.image
    assert 'alt="A curve"' in page


def test_the_banner_stands_only_where_data_are_synthetic(figure):
    assert "SYNTHETIC DATA" in report_html(example(figure))
    assert "SYNTHETIC" not in report_html(example(figure, synthetic=False))


def test_an_empty_report_has_no_empty_headings():
    page = report_html(ReportContent(title="t", synthetic=False))
    assert page.count("<h2>") == 0


def test_two_pages_of_the_same_content_are_equal(figure, tmp_path):
    one = render_report(example(figure), tmp_path / "a.html").read_bytes()
    assert one == render_report(example(figure), tmp_path / "b.html").read_bytes()


def test_hostile_text_is_shown_and_not_run(figure, tmp_path):
    path = render_report(example(figure, text=HOSTILE), tmp_path / "report.html")
    document = rendered(path)
    assert re.search(r"<title>([^<]*)</title>", document)[1].startswith("&lt;/script&gt;")
    assert document.count("<img ") == 1
    assert "onerror=&quot;" in document or 'onerror="document' in document
    assert "{{ 7*7 }}" in document
    assert "49" not in re.sub(r"data:[^\"]+", "", document)


def test_a_script_put_into_the_page_does_not_run(figure, tmp_path):
    path = render_report(example(figure), tmp_path / "report.html")
    page = path.read_text("utf-8")
    script = f"<script>{REPORT}driverReport(1)</script>"
    path.write_text(page.replace("</body>", f"{script}</body>"), "utf-8")
    assert '<pre id="driver-report">' not in rendered(path)


def test_nothing_is_wider_than_a_phone(figure, tmp_path):
    wide = Table(
        id="wide",
        title="Wide",
        columns=tuple(f"A long header {i}" for i in range(12)),
        rows=(("0.91 (0.86–0.95)",) * 12,),
    )
    content = example(figure, sections=(Section(heading="Wide", blocks=(wide, figure)),))
    path = render_report(content, tmp_path / "report.html")
    script = REPORT + "driverReport(document.documentElement.scrollWidth - window.innerWidth)"
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", path.read_text("utf-8"))
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), "utf-8")
    overhang = re.search(r'driver-report">(-?\d+)<', rendered(path, width=500))[1]
    assert int(overhang) <= 0


def test_a_picture_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    with pytest.raises(ArgumentError, match=r"must be a \.png or \.svg file; got 'a\.gif'"):
        ReportFigure.from_file(tmp_path / "a.gif", id="a", title="t", alt="a")
    with pytest.raises(ArgumentError, match="`media_type` must be one of image/png"):
        ReportFigure(id="a", title="t", alt="a", image=b"", media_type="image/gif")
