"""One jinja2 environment for every page: text from a table can never become markup."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined

from reports.files import json_text
from reports.markup import italic_runs

__all__ = ["csp_hash", "inert_json", "page_environment", "template_text"]

#: Characters that mean something to a page's parser, and those that UTF-8 cannot hold.
_ACTIVE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


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


def inert_json(content: Mapping[str, Any]) -> str:
    r"""Return JSON that cannot end its script element, whatever a column is called.

    Examples
    --------
    >>> inert_json({"label": "</script>"})
    '{"label": "\\u003c/script\\u003e"}'
    """
    return _ACTIVE.sub(lambda found: f"\\u{ord(found[0]):04x}", json_text(content, indent=None))


def csp_hash(text: str) -> str:
    """Return a style or script as a Content-Security-Policy names it.

    Examples
    --------
    >>> csp_hash("")
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
