"""A reporting guideline as data: its items in our own short words, read strictly."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data_schema import load_strict_yaml
from usstats._check import check_option
from usstats.errors import SchemaError

__all__ = ["GUIDELINES", "Guideline", "Item", "load_guideline", "read_guideline"]

GUIDELINES = ("tripod_ai", "claim_2024", "stard_ai")

Short = Annotated[str, Field(min_length=3, max_length=160)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Item(_Strict):
    """One thing a reader must be told.

    Attributes
    ----------
    item : str
        Its number in the guideline, for example `12a`.
    section, topic, asks : str
        Where it belongs, its name, and what it asks for; our words, not the guideline's.
    answer : str or None
        Name of the answer a run may give, see `reports.checklists.answers`.
    author : str or None
        What the author must state, in any case or where the run has no answer.
    """

    item: Annotated[str, Field(pattern=r"^\d{1,2}[a-z]?$")]
    section: Short
    topic: Short
    asks: Short
    answer: Annotated[str, Field(pattern=r"^[a-z_]+$")] | None = None
    author: Short | None = None

    @model_validator(mode="after")
    def _someone_answers(self) -> Item:
        if self.answer is None and self.author is None:
            msg = f"item {self.item} has neither an answer nor something for the author"
            raise ValueError(msg)
        return self


class Guideline(_Strict):
    """A published checklist: where it is published, and its items in order."""

    id: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]+$")]
    name: str
    title: str
    source: str
    doi: Annotated[str, Field(pattern=r"^10\.\d{4,}/\S+$")]
    checked: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$")]
    items: Annotated[list[Item], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> Guideline:
        numbers = [item.item for item in self.items]
        twice = sorted({number for number in numbers if numbers.count(number) > 1})
        if twice:
            msg = f"items that occur twice: {', '.join(twice)}"
            raise ValueError(msg)
        return self


@cache
def load_guideline(name: str) -> Guideline:
    """One of `GUIDELINES`.

    Raises
    ------
    ArgumentError
        Another name.

    Examples
    --------
    >>> load_guideline("claim_2024").items[38].topic
    'Failures'
    """
    check_option(name, GUIDELINES, name="name")
    return read_guideline(Path(__file__).with_name(f"{name}.yaml"))


def read_guideline(path: Path) -> Guideline:
    """A guideline's file.

    Raises
    ------
    SchemaError
        Unknown keys, an item without an answer, a number that occurs twice; with its place.
    """
    try:
        return Guideline.model_validate(load_strict_yaml(path))
    except ValidationError as error:
        faults = [
            f"{'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_input=False)
        ]
        msg = f"{path.name}: {'; '.join(faults)}"
        raise SchemaError(msg) from None
