"""Fonts a label can be drawn with, and what is drawn where no font has the character."""

from __future__ import annotations

from functools import cache

from usstats.plots.style import plain

#: Fonts with Chinese, Japanese and Korean characters, used where one is installed.
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "SimHei",
    "Arial Unicode MS",
)
#: Drawn for a character that no installed font has.
NO_GLYPH = "\N{WHITE SQUARE}"


def with_cjk(families: list[str]) -> list[str]:
    """The families, then a font for East Asian characters where there is one."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return [*families, *(name for name in CJK_FONTS if name in installed)]


def drawable(text: object, families: list[str]) -> str:
    """A label that every character of can be drawn; others become an empty square."""
    known = _characters(tuple(families))
    return "".join(
        c if c.isspace() or ord(c) in known else NO_GLYPH for c in plain(text, width=999)
    )


@cache
def _characters(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    paths = [findfont(FontProperties(family=[name])) for name in families]
    return frozenset(code for path in paths for code in get_font(path).get_charmap())
