"""A headless Chromium for tests of the pages we write; absent, those tests are skipped."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)


def chromium() -> str:
    """Path of the browser, or a skip that says what is missing."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on this machine (apt-get install chromium)")
    return found


def rendered(page: Path, *, width: int = 1200, height: int = 900) -> str:
    """The page's document after its scripts ran."""
    done = subprocess.run(  # noqa: S603 - our own page in a local browser
        [
            chromium(),
            *FLAGS,
            f"--user-data-dir={page.parent / 'profile'}",
            f"--window-size={width},{height}",
            "--virtual-time-budget=4000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout


def report_of(page: Path, **window: int) -> Any:
    """What a driver script left as JSON in the element `driver-report`."""
    document = rendered(page, **window)
    found = re.search(r'<pre id="driver-report">(.*?)</pre>', document, re.S)
    assert found, "the driver did not report; the page's script failed"
    return json.loads(html.unescape(found[1]))


REPORT = """
function driverReport(content) {
  const box = document.createElement("pre");
  box.id = "driver-report";
  box.textContent = JSON.stringify(content);
  document.body.append(box);
}
"""
