"""Paths from tables stay inside the study folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.paths import resolve_inside
from usstats.errors import SchemaError

HOSTILE = {
    "../secret.png": "climbs out",
    "images/../../secret.png": "climbs out",
    "images\\..\\..\\secret.png": "climbs out",
    "/etc/passwd": "absolute",
    "~/a.png": "absolute",
    "C:\\scans\\a.png": "absolute",
    "C:a.png": "absolute",
    "\\\\server\\share\\a.png": "absolute",
    "file:///etc/passwd": "URL",
    "http://example.org/a.png": "URL",
    "images\\a.png": "backslashes",
    "images/a\0.png": "character no file name has",
    "images/con.png": "device",
    "NUL": "device",
    "images/a.png.": "dot or a space",
    "images /a.png": "dot or a space",
    "": "empty",
    "  ": "empty",
    "a/" * 600 + "a.png": "1,000 characters",
}


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_paths_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SchemaError, match=HOSTILE[text]) as caught:
        resolve_inside(tmp_path, text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["a.png", "images/a.png", "./images/ä b.png", "a..png"])
def test_plain_paths_pass(tmp_path: Path, text: str) -> None:
    assert resolve_inside(tmp_path, text).is_relative_to(tmp_path.resolve())


def test_links_may_not_lead_out(tmp_path: Path) -> None:
    (tmp_path / "out.png").write_bytes(b"")
    study = tmp_path / "study"
    study.mkdir()
    (study / "link.png").symlink_to(tmp_path / "out.png")
    (study / "folder").symlink_to(tmp_path)
    for text in ("link.png", "folder/out.png"):
        with pytest.raises(SchemaError, match="link that leads out"):
            resolve_inside(study, text)
    (study / "real.png").write_bytes(b"")
    (study / "inner.png").symlink_to(study / "real.png")
    assert resolve_inside(study, "inner.png").name == "real.png"
