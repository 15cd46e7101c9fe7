"""One jinja2 environment for every page: text from a table can never become markup."""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from reports.markup import italic_runs

__all__ = ["page_environment", "template_text"]


def template_text(name: str) -> str:
    """The text of a file that travels with the package."""
    return files("reports").joinpath("templates", name).read_text("utf-8")


@lru_cache(maxsize=1)
def page_environment() -> Environment:
    """Autoescape on for every template, whatever its name; an unknown variable is an error."""
    folder = files("reports").joinpath("templates")
    sources = {item.name: item.read_text("utf-8") for item in folder.iterdir() if item.is_file()}
    environment = Environment(
        loader=DictLoader(sources),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["italic_runs"] = italic_runs
    return environment
