"""Fonts a label can be drawn with, and what is drawn where no font has the character."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache

from usstats.plots.style import plain

#: Fonts with Chinese, Japanese and Korean characters, used where one is installed.
CJK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans CJK KR",
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
_CJK_PACKAGE = "(Debian and Ubuntu: fonts-noto-cjk)"
#: A font for each script, by the first word of its characters' Unicode names.
_FONT_OF = {
    "CJK": f'"Noto Sans CJK SC" {_CJK_PACKAGE}',
    "FULLWIDTH": f'"Noto Sans CJK SC" {_CJK_PACKAGE}',
    "IDEOGRAPHIC": f'"Noto Sans CJK SC" {_CJK_PACKAGE}',
    "HIRAGANA": f'"Noto Sans CJK JP" {_CJK_PACKAGE}',
    "KATAKANA": f'"Noto Sans CJK JP" {_CJK_PACKAGE}',
    "HANGUL": f'"Noto Sans CJK KR" {_CJK_PACKAGE}',
}
_OTHER_FONT = "the Noto Sans font of their script (Debian and Ubuntu: fonts-noto)"
_MOST_SHOWN = 12
#: Drawn for a character that no installed font has.
NO_GLYPH = "\N{WHITE SQUARE}"


def with_cjk(families: list[str]) -> list[str]:
    """The families, then a font for East Asian characters where there is one."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    wanted = (*families, *(name for name in CJK_FONTS if name in installed))
    return list(dict.fromkeys(wanted))


def drawable(text: object, families: list[str], *, longest: int = 200) -> tuple[str, str]:
    """A label in which every character can be drawn, and those that became an empty square."""
    known = _characters(tuple(families))
    safe = plain(text, width=longest + 1, longest=longest)
    missing = [c for c in safe if not c.isspace() and ord(c) not in known]
    return "".join(NO_GLYPH if c in missing else c for c in safe), "".join(dict.fromkeys(missing))


def undrawable(texts: Iterable[str], families: list[str]) -> str:
    """The characters of some labels that none of the fonts has, each once."""
    known = _characters(tuple(families))
    every = dict.fromkeys(c for text in texts for c in text if not c.isspace())
    return "".join(c for c in every if ord(c) not in known)


@contextmanager
def quiet_about_glyphs() -> Iterator[None]:
    """Inside the block matplotlib does not warn of each missing character each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield


def advice(missing: str) -> str:
    """Which characters no installed font has, and what to install.

    >>> print(advice("正常"))
    No installed font has 2 characters of the labels (正常); they are drawn as empty squares.
    Install "Noto Sans CJK SC" (Debian and Ubuntu: fonts-noto-cjk) and start Python again.
    """
    script = unicodedata.name(missing[0], "").split(" ")[0].split("-")[0]
    font = _FONT_OF.get(script, _OTHER_FONT)
    shown = missing if len(missing) <= _MOST_SHOWN else f"{missing[:_MOST_SHOWN]}..."
    count = "1 character" if len(missing) == 1 else f"{len(missing)} characters"
    return (
        f"No installed font has {count} of the labels ({shown}); they are drawn as empty squares. "
        f"Install {font} and start Python again."
    )


@cache
def _characters(families: tuple[str, ...]) -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont, get_font

    paths = [findfont(FontProperties(family=[name])) for name in families]
    return frozenset(code for path in paths for code in get_font(path).get_charmap())
