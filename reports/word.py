"""What every Word document of ours shares: page, fonts, properties, equal bytes."""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING

from docx import Document
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Mm, Pt, RGBColor

from reports.files import clean_text

if TYPE_CHECKING:
    from docx.document import Document as DocumentObject
    from docx.section import Section as WordSection
    from docx.styles.style import ParagraphStyle
    from docx.text.paragraph import Paragraph

__all__ = [
    "BODY_PT",
    "TABLE_STYLE",
    "TABLE_STYLE_ID",
    "add_field",
    "document_bytes",
    "new_document",
    "page_room",
    "set_heading",
    "set_orientation",
    "start_section",
]

FONT, BODY_PT = "Arial", 9
#: Paragraphs in the cells of a table and below it.
TABLE_STYLE, TABLE_STYLE_ID = "Table Text", "TableText"
#: A little air above and below a cell's text.
ROW_PT = 2
#: A4 leaves 174 mm between these margins: both columns of a journal.
PAGE_MM, MARGIN_MM = (210, 297), 18
_BLACK = RGBColor(0, 0, 0)
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)


def new_document(title: str, *, body_pt: float = BODY_PT) -> DocumentObject:
    """An empty A4 document that names no person and no machine."""
    document = Document()
    properties = document.core_properties
    properties.title, properties.author, properties.comments = clean_text(title)[:250], "", ""
    properties.last_modified_by = ""
    normal = document.styles["Normal"]
    _set_font(normal, body_pt)
    normal.paragraph_format.space_after = Pt(0)
    _set_font(document.styles["Caption"], BODY_PT + 1)
    table_text = document.styles.add_style(TABLE_STYLE, WD_STYLE_TYPE.PARAGRAPH)
    table_text.base_style = normal
    _set_font(table_text, BODY_PT)
    layout = table_text.paragraph_format
    layout.space_before = layout.space_after = Pt(ROW_PT)
    set_orientation(document.sections[-1], landscape=False)
    return document


def set_orientation(section: WordSection, *, landscape: bool) -> None:
    """Turn a section's page, margins and all."""
    short, long = (Mm(side) for side in PAGE_MM)
    section.orientation = WD_ORIENT.LANDSCAPE if landscape else WD_ORIENT.PORTRAIT
    section.page_width, section.page_height = (long, short) if landscape else (short, long)
    for side in ("left", "right", "top", "bottom"):
        setattr(section, f"{side}_margin", Mm(MARGIN_MM))


def start_section(document: DocumentObject, *, landscape: bool) -> None:
    """A new page in this orientation."""
    set_orientation(document.add_section(WD_SECTION.NEW_PAGE), landscape=landscape)


def page_room(document: DocumentObject) -> int:
    """EMU between the margins of the document's last section."""
    page = document.sections[-1]
    return int(page.page_width - page.left_margin - page.right_margin)


def set_heading(style: ParagraphStyle, points: float) -> None:
    """A black heading in the body's font."""
    _set_font(style, points)
    style.font.bold = True
    style.paragraph_format.keep_with_next = True


def add_field(paragraph: Paragraph, instruction: str, *, points: float) -> None:
    """A field that Word computes, such as `PAGE`."""
    for kind in ("begin", "", "end"):
        run = paragraph.add_run()
        run.font.size = Pt(points)
        if kind:
            mark = OxmlElement("w:fldChar")
            mark.set(qn("w:fldCharType"), kind)
        else:
            mark = OxmlElement("w:instrText")
            mark.text = instruction
        run._r.append(mark)


def document_bytes(document: DocumentObject) -> bytes:
    """The document as a file; one date on every member makes equal documents equal files."""
    buffer = BytesIO()
    document.save(buffer)
    return _without_times(buffer.getvalue())


def _set_font(style: ParagraphStyle, points: float) -> None:
    """One font for every script; the template's theme would override it."""
    style.font.name, style.font.size, style.font.color.rgb = FONT, Pt(points), _BLACK
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    for name in list(fonts.attrib):
        if name.endswith("Theme"):
            del fonts.attrib[name]
    for script in ("ascii", "hAnsi", "cs", "eastAsia"):
        fonts.set(qn(f"w:{script}"), FONT)


def _without_times(archive: bytes) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            info = zipfile.ZipInfo(name, date_time=_ZIP_EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(info, old.read(name))
    return buffer.getvalue()
