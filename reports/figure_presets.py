"""How publishers want their artwork: frozen presets that say whose rule they are."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from data_schema import load_strict_yaml
from usstats._check import check_option
from usstats.errors import SchemaError

__all__ = ["FIGURE_PRESETS", "FigurePreset", "figure_preset"]

MM_PER_INCH = 25.4
_FONTS = ("Arial", "Helvetica", "Liberation Sans", "DejaVu Sans")


@dataclass(frozen=True, kw_only=True)
class FigurePreset:
    """A publisher's rules for artwork, with where and when they were read.

    Attributes
    ----------
    name : str
    width_single_mm, width_double_mm : float
        One column; both columns.
    dpi_line, dpi_combination, dpi_halftone : int
        Raster resolution for line art, line art with pictures, and pictures.
    fonts : tuple of str
        In order of preference; the first one installed is used.
    least_font_pt : float
    panel_case : {"lower", "upper"}
    source, date : str
        Whose rule this is, and when it was noted: rules change, look before you submit.
    verified : bool
        False where only second-hand notes were found.
    """

    name: str
    width_single_mm: float
    width_double_mm: float
    dpi_line: int
    dpi_combination: int
    dpi_halftone: int
    fonts: tuple[str, ...] = _FONTS
    least_font_pt: float = 6.0
    panel_case: str = "lower"
    source: str
    date: str
    verified: bool = True

    @classmethod
    def from_file(cls, path: str | Path) -> FigurePreset:
        """Read a preset of your own from a YAML file with the fields above.

        Raises
        ------
        SchemaError
            The file is no mapping, or has an unknown or missing field.
        """
        content = load_strict_yaml(path)
        known = {field.name: field for field in fields(cls)}
        needed = {name for name, field in known.items() if field.default is MISSING}
        if not isinstance(content, dict) or not needed <= content.keys() <= known.keys():
            msg = (
                f"{Path(path).name} is no figure preset; it needs {', '.join(sorted(needed))} and "
                f"may have {', '.join(sorted(known.keys() - needed))}."
            )
            raise SchemaError(msg)
        given = dict(content)
        if "fonts" in given:
            given["fonts"] = tuple(given["fonts"])
        return cls(**given)

    def width_mm(self, width: str | float) -> float:
        """Millimetres of `single`, `double`, or of a number as it is."""
        if isinstance(width, str):
            check_option(width, ("single", "double"), name="width")
            return self.width_single_mm if width == "single" else self.width_double_mm
        return float(width)

    def dpi(self, kind: str) -> int:
        """Raster resolution for `line`, `combination` or `halftone`."""
        check_option(kind, ("line", "combination", "halftone"), name="kind")
        return int(getattr(self, f"dpi_{kind}"))


_NOTED = "2026-11"
_SPRINGER: dict[str, Any] = {
    "width_single_mm": 84.0,
    "width_double_mm": 174.0,
    "dpi_line": 1200,
    "dpi_combination": 600,
    "dpi_halftone": 300,
    "date": _NOTED,
}

FIGURE_PRESETS = {
    preset.name: preset
    for preset in (
        FigurePreset(name="springer", source="Springer artwork guidelines", **_SPRINGER),
        FigurePreset(
            name="european_radiology",
            source="European Radiology, instructions for authors (Springer artwork)",
            **_SPRINGER,
        ),
        FigurePreset(
            name="elsevier",
            width_single_mm=90.0,
            width_double_mm=190.0,
            dpi_line=1000,
            dpi_combination=500,
            dpi_halftone=300,
            source="Elsevier artwork sizing",
            date=_NOTED,
        ),
        FigurePreset(
            name="radiology",
            width_single_mm=3.5 * MM_PER_INCH,
            width_double_mm=7 * MM_PER_INCH,
            dpi_line=1200,
            dpi_combination=600,
            dpi_halftone=300,
            panel_case="upper",
            source="RSNA, figure guidelines for Radiology",
            date=_NOTED,
            verified=False,
        ),
        FigurePreset(
            name="lancet",
            width_single_mm=75.0,
            width_double_mm=154.0,
            dpi_line=1000,
            dpi_combination=500,
            dpi_halftone=300,
            source="Lancet family, artwork guidelines (widths from third-party notes; the journal "
            "redraws figures and wants the editable SVG)",
            date=_NOTED,
            verified=False,
        ),
        FigurePreset(
            name="jama",
            width_single_mm=127.0,
            width_double_mm=177.8,
            dpi_line=1000,
            dpi_combination=600,
            dpi_halftone=350,
            panel_case="upper",
            source="JAMA Network, figure creation guidelines (canvas of at least 5 in, 350 ppi)",
            date=_NOTED,
            verified=False,
        ),
        FigurePreset(
            name="plain",
            width_single_mm=84.0,
            width_double_mm=174.0,
            dpi_line=300,
            dpi_combination=300,
            dpi_halftone=300,
            source="this software: for the screen",
            date=_NOTED,
        ),
    )
}


def figure_preset(preset: str | FigurePreset) -> FigurePreset:
    """Return a preset by its name; one of your own passes through.

    >>> figure_preset("elsevier").width_single_mm
    90.0
    """
    if isinstance(preset, FigurePreset):
        return preset
    check_option(preset, FIGURE_PRESETS, name="preset")
    return FIGURE_PRESETS[preset]
