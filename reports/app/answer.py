"""A response before it is sent, and the headers that every response carries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reports.app.refusal import RefusedError

__all__ = ["HEADERS", "Answer", "json_answer", "refused"]

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response that has not been sent yet.

    Attributes
    ----------
    status : int
    kind : str
        The Content-Type.
    body : bytes
    headers : mapping of str to str
        Beside `HEADERS`.
    """

    status: int
    kind: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(content: Mapping[str, Any], status: int = 200, **headers: str) -> Answer:
    """Return plain values as a response.

    Examples
    --------
    >>> json_answer({"probability": 0.5}).body
    b'{"probability": 0.5}'
    """
    text = json.dumps(content, allow_nan=False, ensure_ascii=True)
    return Answer(status=status, kind=JSON_TYPE, body=text.encode("ascii"), headers=headers)


def refused(refusal: RefusedError, **headers: str) -> Answer:
    """Return a refusal as a response.

    Examples
    --------
    >>> refused(RefusedError(404, "There is no such page.")).status
    404
    """
    return json_answer(refusal.content, refusal.status, **headers)
