"""A headless Chromium for tests of the pages we write; absent, those tests are skipped.

`rendered` dumps a page once. `browsing` keeps one browser for a group of tests and drives it as a
person would: mouse, finger, keyboard, phone screen, paper.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import html
import json
import os
import re
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
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
ANSWER_SECONDS = 60
LEFT_BUTTON = {"button": "left", "clickCount": 1}
#: Code and virtual key of the keys tests press.
KEYS = {
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
    "PageUp": 33,
    "PageDown": 34,
    "Home": 36,
    "End": 35,
    "Tab": 9,
    "Enter": 13,
}


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


@contextlib.contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """One browser, spoken to through two pipes, gone afterwards; `folder` holds its profile."""
    to_read, to_write = os.pipe()
    from_read, from_write = os.pipe()
    ends = [_high(end) for end in (to_read, from_write)]
    command = [
        chromium(),
        *FLAGS,
        f"--user-data-dir={folder / 'profile'}",
        "--remote-debugging-pipe",
        "about:blank",
    ]
    pid = os.posix_spawn(
        command[0],
        command,
        {**os.environ, "LC_ALL": "C.UTF-8"},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, ends[0], 3),
            (os.POSIX_SPAWN_DUP2, ends[1], 4),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0o600),
        ],
        setpgroup=0,
    )
    for end in ends:
        os.close(end)
    try:
        yield Browser(Wire(from_read, to_write))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(from_read)
        os.close(to_write)


def _high(end: int) -> int:
    """The same pipe under a number that cannot be 3 or 4."""
    moved = fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20)
    os.close(end)
    return moved


@dataclass
class Wire:
    """JSON messages, each ended by a zero byte, in both directions."""

    reads: int
    writes: int
    last: int = 0
    unread: bytes = b""
    events: list[dict[str, Any]] = field(default_factory=list)

    def call(self, method: str, session: str | None, params: dict[str, Any]) -> dict[str, Any]:
        """Send a command and wait for its answer; events on the way are kept."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        text = json.dumps(message if session is None else {**message, "sessionId": session})
        data = text.encode() + b"\0"
        while data:
            data = data[os.write(self.writes, data) :]
        while True:
            answer = self.next_message(ANSWER_SECONDS)
            assert answer is not None, f"the browser did not answer {method}"
            if answer.get("id") == self.last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)

    def next_message(self, seconds: float) -> dict[str, Any] | None:
        """The next message, or None where none came in time."""
        until = time.monotonic() + seconds
        while b"\0" not in self.unread:
            ready, _, _ = select.select([self.reads], [], [], max(0, until - time.monotonic()))
            if not ready:
                return None
            chunk = os.read(self.reads, 1 << 20)
            assert chunk, "the browser has gone"
            self.unread += chunk
        line, _, self.unread = self.unread.partition(b"\0")
        return dict(json.loads(line))


@dataclass
class Browser:
    """A running browser."""

    wire: Wire

    def open(
        self,
        page: Path | str,
        *,
        width: int = 1200,
        height: int = 900,
        phone: bool = False,
        calm: bool = True,
    ) -> Tab:
        """A page in a window of some size; a phone has a touch screen and a mobile viewport.

        `calm` asks for reduced motion, so that what is looked at has arrived.
        """
        target = self.wire.call("Target.createTarget", None, {"url": "about:blank"})["targetId"]
        session = self.wire.call(
            "Target.attachToTarget", None, {"targetId": target, "flatten": True}
        )["sessionId"]
        tab = Tab(self.wire, target, session)
        for domain in ("Page", "Runtime", "Network", "Log"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height, phone=phone)
        motion = "reduce" if calm else "no-preference"
        features = [{"name": "prefers-reduced-motion", "value": motion}]
        tab.call("Emulation.setEmulatedMedia", features=features)
        tab.go(page if isinstance(page, str) else page.as_uri())
        return tab


@dataclass
class Tab:
    """One page, and what a person can do with it."""

    wire: Wire
    target: str
    session: str

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the Chrome DevTools Protocol."""
        return self.wire.call(method, self.session, params)

    def close(self) -> None:
        """Close the page."""
        self.wire.call("Target.closeTarget", None, {"targetId": self.target})

    def go(self, url: str) -> None:
        """Load a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete' && location.href !== 'about:blank'")

    def resize(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the size of the screen."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, as JSON; an exception there fails the test."""
        done = self.call(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait_for(self, condition: str, seconds: float = 20) -> None:
        """Wait until a JavaScript expression is true."""
        until = time.monotonic() + seconds
        while not self.evaluate(condition):
            assert time.monotonic() < until, f"not true after {seconds} s: {condition}"
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """Text of the first element that matches."""
        return str(self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent"))

    def centre(self, selector: str) -> tuple[float, float]:
        """Where an element stands on the screen, scrolled into view."""
        box = self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({ block: 'center', behavior: 'instant' });"
            "const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return float(box[0]), float(box[1])

    def press(self, key: str, times: int = 1) -> None:
        """Press a key on whatever has the focus."""
        for _ in range(times):
            for kind in ("keyDown", "keyUp"):
                self.call(
                    "Input.dispatchKeyEvent",
                    type=kind,
                    key=key,
                    code=key,
                    windowsVirtualKeyCode=KEYS[key],
                )

    def write(self, text: str) -> None:
        """Type text into whatever has the focus."""
        self.call("Input.insertText", text=text)

    def click(self, x: float, y: float) -> None:
        """Click with the mouse."""
        self.drag([(x, y)])

    def drag(self, way: list[tuple[float, float]]) -> None:
        """Press the mouse at the first point, move over the others, let go."""
        self._mouse("mouseMoved", way[0])
        self._mouse("mousePressed", way[0], **LEFT_BUTTON)
        for point in way[1:]:
            self._mouse("mouseMoved", point, buttons=1, **LEFT_BUTTON)
        self._mouse("mouseReleased", way[-1], **LEFT_BUTTON)

    def _mouse(self, kind: str, at: tuple[float, float], **more: Any) -> None:
        self.call("Input.dispatchMouseEvent", type=kind, x=at[0], y=at[1], **more)

    def swipe(self, way: list[tuple[float, float]]) -> None:
        """Put a finger down at the first point, move over the others, lift it."""
        for i, (x, y) in enumerate(way):
            kind = "touchMove" if i else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def screenshot(self, path: Path, *, whole: bool = True) -> Path:
        """The page as a PNG; `whole` reaches beyond the screen."""
        done = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(done["data"]))
        return path

    def pdf(self, path: Path) -> Path:
        """The page printed on A4."""
        done = self.call(
            "Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True
        )
        path.write_bytes(base64.b64decode(done["data"]))
        return path

    def happened(self, *methods: str) -> list[dict[str, Any]]:
        """Parameters of the events of some kinds so far."""
        self.evaluate("new Promise((done) => setTimeout(done, 50))")
        mine = [event for event in self.wire.events if event.get("sessionId") == self.session]
        return [event["params"] for event in mine if event["method"] in methods]

    def requests(self) -> list[str]:
        """Addresses the page asked for, itself included."""
        return [seen["request"]["url"] for seen in self.happened("Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Uncaught errors, and what the browser logged: refused scripts, requests and styles."""
        thrown = self.happened("Runtime.exceptionThrown")
        logged = self.happened("Log.entryAdded")
        return [
            *(str(seen["exceptionDetails"]["text"]) for seen in thrown),
            *(str(seen["entry"]["text"]) for seen in logged),
        ]
