"""An app without a trained network, where brightness is the evidence; and raw HTTP to ask it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit

from dl.onnx_network import OnnxPrediction
from reports.app.band import AbstentionBand
from reports.app.server import AppServer
from reports.app.source import AppRun

HOSTILE = "</script><img src=x onerror=\"document.title='owned'\">"
MEMBERS = (-0.6, 0.0, 0.6)


class BrightnessNetwork:
    """Logit of the event: how much brighter than middle gray the region is, in steps of 32."""

    def predict(self, image: NDArray[np.uint8], *, roi: Any = None) -> OnnxPrediction:
        height, width = image.shape[:2]
        left, top, right, bottom = roi or (0, 0, width, height)
        seen = image[top:bottom, left:right]
        logit = (float(seen.mean()) - 128) / 32
        return OnnxPrediction(
            classes=("event",),
            logit=np.array([logit]),
            probability=expit([logit]),
            probability_calibrated=expit([logit]),
            members=expit(np.array([[logit + shift] for shift in MEMBERS])),
            evidence=np.array([[[1.0, 0.5], [0.0, -1.0]]], dtype=np.float32),
            box=(left, top, right, bottom),
            shape=(height, width),
            input_size=32,
            model="brightness",
            model_hash="0123456789abcdef",
        )


class BrokenNetwork(BrightnessNetwork):
    """A bug that names a patient."""

    def predict(self, image: NDArray[np.uint8], *, roi: Any = None) -> OnnxPrediction:
        msg = "patient Maria Canary"
        raise RuntimeError(msg)


def brightness_run(**changes: Any) -> AppRun:
    """Cut-off 0.5, unsure from 0.4 to 0.6, three networks."""
    band = AbstentionBand(
        cutoff=0.5,
        criterion="youden",
        low=0.4,
        high=0.6,
        coverage=0.8,
        retained=0.8,
        n=50,
        n_event=25,
        accuracy=(0.8, 0.7, 0.9),
        accuracy_retained=(0.9, 0.8, 0.95),
    )
    values = {
        "network": BrightnessNetwork(),
        "looks_at_region": True,
        "n_networks": len(MEMBERS),
        "aggregate": "mean_logit",
        "band": band,
        "title": "A study",
        "event": "event",
        "synthetic": False,
        "card": {"Networks (hash)": "0123456789abcdef", "Population": "development"},
        "development_files": frozenset(),
    }
    return AppRun(**(values | changes))


@contextlib.contextmanager
def serving(run: AppRun) -> Iterator[AppServer]:
    """The app on a free port."""
    with AppServer(run, port=0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def gray(level: int, *, width: int = 80, height: int = 60) -> NDArray[np.uint8]:
    """An even picture."""
    return np.full((height, width), level, dtype=np.uint8)


def encoded(picture: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    file = BytesIO()
    Image.fromarray(picture).save(file, kind, **options)
    return file.getvalue()


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def sentence(self) -> str:
        return str(self.json["error"]["message"])


def raw(server: AppServer, request: bytes, *, wait: float = 12.0, close: bool = False) -> Reply:
    """Send bytes and read all that is answered; `close` says that no more will be sent."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=wait) as link:
        with contextlib.suppress(ConnectionError):
            link.sendall(request)
            if close:
                link.shutdown(socket.SHUT_WR)
        return _reply(b"".join(_received(link)))


def _received(link: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            chunk = link.recv(1 << 16)
        except ConnectionResetError:
            return
        if not chunk:
            return
        yield chunk


def _reply(answer: bytes) -> Reply:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Reply(int(first.split()[1]) if first else 0, headers, body)


def request(
    server: AppServer, method: str, path: str, body: bytes = b"", **headers: str | None
) -> bytes:
    """A well-formed request of the page; headers given as `Content_Type`, None leaves one out."""
    host = f"127.0.0.1:{server.server_port}"
    lines: dict[str, str | None] = {"Host": host}
    if method == "POST":
        lines |= {
            "Origin": f"http://{host}",
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(body)),
        }
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"{method} {path} HTTP/1.1\r\n{text}\r\n".encode("latin-1") + body


def ask(
    server: AppServer, method: str, path: str, body: bytes = b"", **headers: str | None
) -> Reply:
    """A request and its answer."""
    return raw(server, request(server, method, path, body, **headers))


def read(server: AppServer, picture: bytes, box: str) -> Reply:
    """One image read."""
    return ask(server, "POST", f"/read?box={box}", picture)


def combine(server: AppServer, *readings: Mapping[str, Any]) -> Reply:
    """Several readings of one patient."""
    images = [{name: one[name] for name in ("probability", "members")} for one in readings]
    body = json.dumps({"images": images}).encode()
    return ask(server, "POST", "/combine", body, Content_Type="application/json")
