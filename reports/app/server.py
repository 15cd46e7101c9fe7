"""The app's HTTP: a few fixed routes on the standard library's server.

Everything that arrives is checked before it is used: host and origin, then size and type, then the
bytes. Nothing is kept between two requests, nothing is written, and no line is logged about a
request.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from reports.app.answer import HEADERS, Answer, json_answer, refused
from reports.app.page import Asset, assets
from reports.app.reading import combined, parsed_box, parsed_images, read_upload
from reports.app.refusal import RefusedError
from reports.app.source import AppRun
from reports.app.uploads import MAX_BYTES, decoded, preview
from reports.exit_codes import explained
from usstats.errors import ArgumentError

__all__ = ["AppServer", "is_loopback"]

MAX_JSON_BYTES = 64_000
MAX_CONNECTIONS = 256
#: Uploads held in memory at one time.
MAX_UPLOADS = 16
#: Seconds: of silence on a connection, of one upload, in the queue, and of a whole connection.
SILENCE, UPLOAD, QUEUE, CONNECTION = 5.0, 30.0, 8.0, 60.0
_CHUNK = 1 << 16

#: What the standard library found wrong with a request before it reached a route.
_SENTENCES = {
    400: "The request is not HTTP that this server understands.",
    414: "The address is too long.",
    431: "The request's headers are too large.",
    505: "This version of HTTP is not supported.",
}
METHODS = ("GET", "HEAD", "POST")


class AppServer(ThreadingHTTPServer):
    """The app on one address; `serve_forever` answers until it is interrupted.

    Parameters
    ----------
    run : AppRun
    host : str
        Name or address to listen on.
    port : int
        0 for any that is free.

    Raises
    ------
    ArgumentError
        Nothing can listen there.
    """

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, run: AppRun, *, host: str = "127.0.0.1", port: int = 8000) -> None:
        self.run = run
        self.assets: Mapping[str, Asset] = assets(run)
        self.host = host
        #: Pictures are decoded and read one after the other, so that memory stays bounded.
        self.work = threading.Lock()
        self.uploads = threading.BoundedSemaphore(MAX_UPLOADS)
        self._since: dict[socket.socket, float] = {}
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except OverflowError:
            msg = f"`port` must lie from 0 to 65535; got {port}."
            raise ArgumentError(msg) from None
        except OSError as error:
            msg = (
                f"Nothing can listen on {host}, port {port} ({error.strerror or error}). Choose "
                "another port with --port, or stop what is running there."
            )
            raise ArgumentError(msg) from None

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the app."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)  # noqa: S104
        return f"http://{f'[{host}]' if ':' in host else host}:{self.server_port}/"

    def hosts(self, local_address: str) -> set[str]:
        """Values of the header Host that mean this server.

        Its own names and the address the connection came in on: a name that some other site made
        point here (DNS rebinding) is not among them.
        """
        names = {self.host, local_address.removeprefix("::ffff:")}
        if is_loopback(local_address):
            names |= {"localhost", "127.0.0.1", "::1"}
        written = {f"[{name}]" if ":" in name else name for name in names if name}
        plain = written if self.server_port == 80 else set()
        return {f"{name}:{self.server_port}" for name in written} | plain

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Refuse a connection when there are too many."""
        return len(self._since) < MAX_CONNECTIONS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember since when a connection is open."""
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off connections that last too long, whatever they are doing."""
        limit = time.monotonic() - CONNECTION
        for request, since in list(self._since.items()):
            if since < limit:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is nobody's fault; anything else is ours, and is said once."""
        error = sys.exception() if sys.version_info >= (3, 12) else sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, OSError):
            sys.stderr.write(explained(error)[0] + "\n")


class _Handler(BaseHTTPRequestHandler):
    """One request, one answer, then the connection is closed."""

    server: AppServer
    timeout = SILENCE
    server_version = "usstats"
    sys_version = ""

    def do_GET(self) -> None:
        self._reply()

    def do_HEAD(self) -> None:
        self._reply()

    def do_POST(self) -> None:
        self._reply()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is logged about a request."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the standard library refuses, in our words."""
        self.close_connection = True
        if code == 501:
            self._send(refused(_not_allowed(METHODS), Allow=", ".join(METHODS)))
        else:
            self._send(refused(RefusedError(code, _SENTENCES.get(code, _SENTENCES[400]))))
        self._drain()

    def _reply(self) -> None:
        """Answer; whatever went wrong becomes a status and a sentence."""
        self.read_to_end = self.command != "POST"
        try:
            answer = self._answer()
        except RefusedError as refusal:
            headers = {"Retry-After": "5"} if refusal.status == 503 else {}
            if refusal.status == 405:
                headers = {"Allow": "POST" if self._path in _ACTIONS else "GET, HEAD"}
            answer = refused(refusal, **headers)
        except OSError:
            raise
        except Exception as error:  # the outermost boundary: a bug of ours is answered, and said
            sys.stderr.write(explained(error)[0] + "\n")
            answer = refused(
                RefusedError(500, "The image could not be read because of a bug of ours.")
            )
        self._send(answer)
        if not self.read_to_end:
            self._drain()

    def _answer(self) -> Answer:
        self._check_host()
        address = self._address()
        self._path = address.path
        if self.command == "POST":
            action = _ACTIONS.get(address.path)
            if action is None:
                raise (
                    _not_allowed(("GET", "HEAD")) if address.path in self.server.assets else _lost()
                )
            self._check_origin()
            return action(self, address)
        if address.path in _ACTIONS:
            raise _not_allowed(("POST",))
        asset = self.server.assets.get(address.path)
        if asset is None:
            raise _lost()
        return Answer(status=200, kind=asset.kind, body=asset.body)

    def _address(self) -> SplitResult:
        try:
            return urlsplit(self.path)
        except ValueError:
            raise RefusedError(400, _SENTENCES[400]) from None

    # ---- who asks ----

    def _check_host(self) -> None:
        given = self.headers.get_all("Host") or []
        allowed = self.server.hosts(str(self.connection.getsockname()[0]))
        if len(given) != 1 or given[0].strip().lower() not in allowed:
            msg = "This server does not answer to that name. Open the address it printed."
            raise RefusedError(403, msg)

    def _check_origin(self) -> None:
        origin = self.headers.get("Origin", "")
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if origin.lower() != f"http://{self.headers['Host'].strip().lower()}" or (
            site != "same-origin"
        ):
            msg = "Images are taken from this server's own page only."
            raise RefusedError(403, msg)

    # ---- what is sent ----

    def _body(self, *, kind: str, limit: int) -> bytes:
        """The request's body, its size and type checked before a byte of it is read."""
        length = self._length()
        if length > limit:
            msg = f"The upload has {length / 1e6:.1f} MB; at most {limit / 1e6:g} MB are taken."
            raise RefusedError(413, msg)
        if self.headers.get_content_type() != kind:
            raise RefusedError(415, f"The request's Content-Type must be {kind}.")
        return self._read(length)

    def _length(self) -> int:
        if "Transfer-Encoding" in self.headers:
            raise RefusedError(
                411, "Say the size of the upload (Content-Length); no chunks are taken."
            )
        values = self.headers.get_all("Content-Length") or []
        if not values:
            raise RefusedError(411, "Say the size of the upload (Content-Length).")
        text = values[0].strip()
        if len(values) > 1 or not (text.isascii() and text.isdigit() and len(text) <= 15):
            raise RefusedError(400, "Content-Length must be one whole number.")
        return int(text)

    def _read(self, length: int) -> bytes:
        until, content = time.monotonic() + UPLOAD, bytearray()
        while len(content) < length:
            chunk = self._chunk(length - len(content))
            if chunk is None or time.monotonic() > until:
                raise RefusedError(408, "The upload stopped, or takes too long. Try again.")
            if not chunk:
                raise RefusedError(400, "The upload broke off: it is shorter than announced.")
            content += chunk
        self.read_to_end = True
        return bytes(content)

    def _chunk(self, most: int) -> bytes | None:
        """What has arrived; empty at the end, None when nothing comes any more."""
        try:
            return self.rfile.read1(min(_CHUNK, most))
        except TimeoutError:
            return None

    def _drain(self) -> None:
        """Take a little of what was not read, so that the answer is not lost with a reset."""
        with contextlib.suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(0.5)
            for _ in range(64):
                if not self.connection.recv(_CHUNK):
                    break

    # ---- what is done ----

    def _look(self, address: SplitResult) -> Answer:
        """An image as the networks will see it, for the page to crop."""
        with self._upload() as content, self._work():
            picture = decoded(content)
            body = preview(picture)
        height, width = picture.shape[:2]
        size = {"X-Image-Width": str(width), "X-Image-Height": str(height)}
        return Answer(status=200, kind="image/jpeg", body=body, headers=size)

    def _read_image(self, address: SplitResult) -> Answer:
        box = parsed_box(_query(address).get("box", ""))
        with self._upload() as content, self._work():
            return json_answer(read_upload(self.server.run, content, box))

    def _combine(self, address: SplitResult) -> Answer:
        content = self._body(kind="application/json", limit=MAX_JSON_BYTES)
        return json_answer(combined(self.server.run, parsed_images(content)))

    @contextlib.contextmanager
    def _upload(self) -> Iterator[bytes]:
        with _within(self.server.uploads):
            yield self._body(kind="application/octet-stream", limit=MAX_BYTES)

    @contextlib.contextmanager
    def _work(self) -> Iterator[None]:
        with _within(self.server.work):
            yield

    # ---- what is answered ----

    def _send(self, answer: Answer) -> None:
        self.close_connection = True
        self.request_version = "HTTP/1.0"  # whatever was asked, the answer has its headers
        self.send_response(answer.status)
        for name, value in {**HEADERS, **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)


_ACTIONS = {
    "/look": _Handler._look,
    "/read": _Handler._read_image,
    "/combine": _Handler._combine,
}


@contextlib.contextmanager
def _within(lock: threading.Lock | threading.BoundedSemaphore) -> Iterator[None]:
    """Hold a lock, or say that the server is busy."""
    if not lock.acquire(timeout=QUEUE):
        raise RefusedError(503, "The server is busy with other images. Try again in a few seconds.")
    try:
        yield
    finally:
        lock.release()


def _query(address: SplitResult) -> dict[str, str]:
    try:
        found = parse_qs(address.query, max_num_fields=4)
    except ValueError:
        raise RefusedError(400, _SENTENCES[400]) from None
    return {name: values[0] for name, values in found.items()}


def _lost() -> RefusedError:
    return RefusedError(404, "There is no such page.")


def _not_allowed(methods: tuple[str, ...]) -> RefusedError:
    return RefusedError(405, f"Only {', '.join(methods)} is possible here.")


def is_loopback(host: str) -> bool:
    """Whether an address or name means this machine alone.

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return host == "localhost"
