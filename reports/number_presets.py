"""How journals want their numbers: frozen presets that say whose rule they are."""

from __future__ import annotations

from dataclasses import dataclass

from usstats._check import check_option

__all__ = ["PRESETS", "NumberPreset", "number_preset"]


@dataclass(frozen=True, kw_only=True)
class NumberPreset:
    """How a journal wants its numbers.

    Attributes
    ----------
    name : str
    decimal_mark : str
    p_symbol : str
        `P` or `p`.
    p_italic : bool
        Whether documents that know italics set the symbol so.
    p_leading_zero : bool
        `0.04` rather than `.04`.
    operator_space : bool
        `p = 0.04` rather than `p=0.04`.
    p_floor : float
        Smaller p values print as `<` this one.
    between_limits : str
        What stands between two confidence limits.
    between_quartiles : str
    missing : str
        A value that is not there.
    source, date : str
        Whose rule this is, and when it was noted: rules change.
    """

    name: str
    decimal_mark: str = "."
    p_symbol: str = "P"
    p_italic: bool = False
    p_leading_zero: bool = True
    operator_space: bool = False
    p_floor: float = 0.001
    between_limits: str = " to "
    between_quartiles: str = " to "
    missing: str = "–"
    source: str = ""
    date: str = ""

    @property
    def italics(self) -> tuple[str, ...]:
        """The symbols a document sets in italics."""
        return (self.p_symbol,) if self.p_italic else ()


_NOTED = "2026-11"

PRESETS = {
    preset.name: preset
    for preset in (
        NumberPreset(
            name="ama",
            p_italic=True,
            p_leading_zero=False,
            between_limits="-",
            between_quartiles="-",
            source="AMA Manual of Style, 11th edition",
            date=_NOTED,
        ),
        NumberPreset(
            name="esr",
            p_symbol="p",
            p_italic=True,
            operator_space=True,
            between_limits="–",
            between_quartiles="–",
            source="European Radiology, instructions for authors",
            date=_NOTED,
        ),
        NumberPreset(
            name="lancet",
            decimal_mark="·",
            p_symbol="p",
            p_floor=0.0001,
            between_quartiles="–",
            source="Lancet, information for authors: limits joined by 'to', mid-line point",
            date=_NOTED,
        ),
        NumberPreset(name="nejm", source="NEJM, statistical reporting guidelines", date=_NOTED),
        NumberPreset(
            name="plain", p_symbol="p", operator_space=True, source="this software", date=_NOTED
        ),
    )
}


def number_preset(preset: str | NumberPreset) -> NumberPreset:
    """Return a preset by its name; one of your own passes through.

    Raises
    ------
    ArgumentError
    """
    if isinstance(preset, NumberPreset):
        return preset
    check_option(preset, PRESETS, name="preset")
    return PRESETS[preset]
