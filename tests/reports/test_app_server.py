"""The app's server: every request gets the right code in time, and the server lives on."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit, logit

from reports.app import server as server_module
from reports.app.server import AppServer, is_loopback
from reports.app.uploads import MAX_BYTES
from tests.reports.app_world import (
    HOSTILE,
    BrokenNetwork,
    Reply,
    ask,
    brightness_run,
    combine,
    encoded,
    gray,
    raw,
    read,
    request,
    serving,
)
from usstats.errors import ArgumentError

TIME_LIMIT = 10.0
BOX = "0,0,80,60"


@pytest.fixture(scope="module")
def server() -> Iterator[AppServer]:
    with serving(brightness_run()) as running:
        yield running


def assert_alive(server: AppServer) -> None:
    assert ask(server, "GET", "/").status == 200


# ---- what is answered ----


def test_an_image_is_looked_at_and_read(server):
    picture = encoded(gray(160))
    looked = ask(server, "POST", "/look", picture)
    assert (looked.status, looked.headers["Content-Type"]) == (200, "image/jpeg")
    assert (looked.headers["X-Image-Width"], looked.headers["X-Image-Height"]) == ("80", "60")
    assert Image.open(io.BytesIO(looked.body)).size == (80, 60)
    found = read(server, picture, "8,6,72,54").json
    assert found["probability"] == pytest.approx(expit(1.0), abs=1e-15)
    assert found["members"] == pytest.approx(expit([0.4, 1.0, 1.6]), abs=1e-15)
    assert found["seen"] == [8, 6, 72, 54]
    assert not found["known"]
    assert set(found["map"]) == {"width", "height", "levels"}
    levels = np.frombuffer(base64.b64decode(found["map"]["levels"]), dtype=np.uint8)
    levels = levels.reshape(found["map"]["height"], found["map"]["width"])
    assert levels[0, 0] == levels.max() == 255
    assert levels[-1].max() == 0


def dicom(picture: np.ndarray) -> bytes:
    pydicom = pytest.importorskip("pydicom")
    file = io.BytesIO()
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = pydicom.uid.UltrasoundImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.PatientName = "CANARY^MARIA"
    data.Rows, data.Columns = picture.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.PixelData = picture.tobytes()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "DICOM"])
def test_every_kind_that_is_accepted_gives_the_same_number(server, kind):
    content = dicom(gray(160)) if kind == "DICOM" else encoded(gray(160), kind)
    assert read(server, content, BOX).json["probability"] == pytest.approx(expit(1.0), abs=1e-3)
    looked = ask(server, "POST", "/look", content)
    assert looked.status == 200
    assert b"CANARY" not in looked.body


def test_a_network_of_whole_images_sees_the_box_as_its_image():
    picture = np.hstack([gray(0, width=40), gray(192, width=40)])
    with serving(brightness_run(looks_at_region=False)) as server:
        found = read(server, encoded(picture), "40,0,80,60").json
    assert found["probability"] == pytest.approx(expit(2.0))
    assert found["seen"] == [40, 0, 80, 60]


def test_a_file_of_the_development_images_is_recognised():
    picture = encoded(gray(99))
    known = frozenset({hashlib.sha256(picture).hexdigest()})
    with serving(brightness_run(development_files=known)) as server:
        assert read(server, picture, BOX).json["known"]
        assert not read(server, encoded(gray(98)), BOX).json["known"]


@pytest.mark.parametrize(
    ("aggregate", "expected"),
    [("mean_logit", expit(0.0)), ("mean_probability", 0.5), ("max", expit(2.0))],
)
def test_images_of_a_patient_become_one_probability_by_the_rule_of_the_run(aggregate, expected):
    with serving(brightness_run(aggregate=aggregate)) as server:
        readings = [read(server, encoded(gray(level)), BOX).json for level in (64, 192)]
        patient = combine(server, *readings).json
    assert patient["probability"] == pytest.approx(expected)
    assert patient["n_images"] == 2
    assert (patient["low"], patient["high"]) == (min(patient["members"]), max(patient["members"]))
    if aggregate == "mean_logit":
        assert logit(patient["members"]) == pytest.approx([-0.6, 0.0, 0.6])


@pytest.mark.parametrize(("level", "verdict"), [(64, "below"), (130, "unsure"), (192, "above")])
def test_inside_the_band_the_networks_are_unsure(server, level, verdict):
    assert combine(server, read(server, encoded(gray(level)), BOX).json).json["verdict"] == verdict


def test_an_upright_photo_without_its_metadata(server):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "CANARY maker"
    photo = encoded(np.hstack([gray(255, width=40), gray(0, width=40)]), "JPEG", exif=exif)
    looked = ask(server, "POST", "/look", photo)
    assert (looked.headers["X-Image-Width"], looked.headers["X-Image-Height"]) == ("60", "80")
    assert b"CANARY" not in looked.body
    shown = np.asarray(Image.open(io.BytesIO(looked.body)))
    assert shown[:20].mean() > 240 > 15 > shown[-20:].mean()


# ---- what is not an image ----


def chunk(kind: bytes, content: bytes) -> bytes:
    whole = kind + content
    return struct.pack(">I", len(content)) + whole + struct.pack(">I", zlib.crc32(whole))


def bomb(side: int) -> bytes:
    """A PNG whose header announces side x side pixels, and little behind it."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    )


def text_bomb() -> bytes:
    """A small picture with a text that unpacks to 500 MB."""
    whole = encoded(gray(10))
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(500_000_000 // 10), 9))
    return whole[:33] + text * 10 + whole[33:]


def several_frames() -> bytes:
    pages = [Image.fromarray(gray(level)) for level in (10, 20)]
    file = io.BytesIO()
    pages[0].save(file, "TIFF", save_all=True, append_images=pages[1:])
    return file.getvalue()


def deflated_dicom() -> bytes:
    return bytes(128) + b"DICM" + b"\x02\x00\x10\x00UI\x16\x001.2.840.10008.1.2.1.99"


def gif() -> bytes:
    return encoded(gray(1), "GIF")


UPLOADS: dict[str, tuple[Callable[[], bytes], int]] = {
    "nothing": (bytes, 400),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", 415),
    "html": (lambda: f"<!doctype html>{HOSTILE}".encode(), 415),
    "text": (lambda: b"left,top\n1,2\n" * 50, 415),
    "pdf": (lambda: b"%PDF-1.7\n" + bytes(400), 415),
    "zip": (lambda: b"PK\x03\x04" + bytes(400), 415),
    "pickle": (lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.", 415),
    "gif": (gif, 415),
    "webp": (lambda: encoded(gray(1), "WEBP"), 415),
    "png signature alone": (lambda: b"\x89PNG\r\n\x1a\n", 422),
    "jpeg signature alone": (lambda: b"\xff\xd8\xff", 422),
    "truncated png": (lambda: encoded(gray(1))[:-30], 422),
    "truncated jpeg": (lambda: encoded(gray(1, width=900), "JPEG")[:400], 422),
    "noise behind a signature": (
        lambda: b"BM" + np.random.default_rng(1).bytes(5000),
        422,
    ),
    "96 megapixels": (lambda: bomb(9_800), 413),
    "400 megapixels": (lambda: bomb(20_000), 413),
    "4 billion squared": (lambda: bomb(2**31 - 1), 413),
    "text bomb": (text_bomb, 422),
    "two frames": (several_frames, 422),
    "deflated dicom": (deflated_dicom, 415),
    "four pixels": (lambda: encoded(gray(1, width=2, height=2)), 422),
}


@pytest.mark.parametrize("path", ["/look", f"/read?box={BOX}"])
@pytest.mark.parametrize("kind", UPLOADS)
def test_what_is_no_image_is_refused_in_a_sentence(server, kind, path):
    build, status = UPLOADS[kind]
    content = build()
    began = time.monotonic()
    reply = ask(server, "POST", path, content)
    assert time.monotonic() - began < TIME_LIMIT
    assert reply.status == status, reply.body
    assert reply.sentence.endswith(".")
    assert "onerror" not in reply.body.decode()
    assert_alive(server)


def test_of_a_picture_that_is_also_an_archive_only_the_picture_comes_back(server):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("CANARY.txt", "payload")
    photo = encoded(gray(160), "JPEG") + archive.getvalue()
    looked = ask(server, "POST", "/look", photo)
    assert looked.status == 200
    assert b"CANARY" not in looked.body
    assert b"PK\x03\x04" not in looked.body
    assert read(server, photo, BOX).json["probability"] == pytest.approx(expit(1.0), abs=1e-3)


@pytest.mark.parametrize(
    ("box", "status"),
    [
        ("", 400),
        ("1,2,3", 400),
        ("0,0,80,60,1", 400),
        ("-1,0,80,60", 400),
        ("0,0,8e1,60", 400),
        ("0,0,²0,60", 400),
        ("0,0,99999999999999999999,60", 400),
        ("0,0,81,60", 422),
        ("40,0,40,60", 422),
        ("70,0,10,60", 422),
        ("0,0,15,60", 422),
    ],
)
def test_a_box_that_is_none(server, box, status):
    assert read(server, encoded(gray(1)), quote(box)).status == status


COMBINED: dict[str, bytes] = {
    "no json": b"{",
    "another shape": b"[]",
    "no images": b'{"images": []}',
    "nan": b'{"images": [{"probability": NaN, "members": [0.1, 0.1, 0.1]}]}',
    "out of range": b'{"images": [{"probability": 2, "members": [0.1, 0.1, 0.1]}]}',
    "text": b'{"images": [{"probability": "0.5", "members": [0.1, 0.1, 0.1]}]}',
    "further keys": b'{"images": [{"probability": 0.5, "members": [0.1], "name": "CANARY"}]}',
    "deep": b'{"images": ' + b"[" * 30_000 + b"]" * 30_000 + b"}",
    "bytes": b"\xff\xfe\x00",
    "too many": json.dumps(
        {"images": [{"probability": 0.5, "members": [0.1, 0.1, 0.1]}] * 21}
    ).encode(),
}


@pytest.mark.parametrize("kind", COMBINED)
def test_readings_that_are_none(server, kind):
    reply = ask(server, "POST", "/combine", COMBINED[kind], Content_Type="application/json")
    assert reply.status == 400
    assert "CANARY" not in reply.body.decode()
    assert_alive(server)


def test_readings_of_other_networks(server):
    reply = combine(server, {"probability": 0.5, "members": [0.5, 0.5]})
    assert (reply.status, "3 networks" in reply.sentence) == (422, True)


# ---- requests ----


def lines(*texts: str) -> bytes:
    return ("\r\n".join(texts) + "\r\n\r\n").encode("latin-1")


Request = Callable[[AppServer], bytes]


def here(server: AppServer) -> str:
    return f"127.0.0.1:{server.server_port}"


REQUESTS: dict[str, tuple[Request, int]] = {
    "unknown path": (lambda s: request(s, "GET", "/nothing"), 404),
    "climbing out": (lambda s: request(s, "GET", "/../../../../etc/passwd"), 404),
    "climbing out, encoded": (lambda s: request(s, "GET", "/%2e%2e/%2e%2e/etc/passwd"), 404),
    "climbing out, backslashes": (lambda s: request(s, "GET", "/..\\..\\windows\\win.ini"), 404),
    "a second host in the path": (lambda s: request(s, "GET", "//evil.example/"), 404),
    "a broken address": (lambda s: request(s, "GET", "http://[/"), 400),
    "post to a page": (lambda s: request(s, "POST", "/", b"x"), 405),
    "post to nothing": (lambda s: request(s, "POST", "/../read", b"x"), 404),
    "get an action": (lambda s: request(s, "GET", "/read"), 405),
    "head an action": (lambda s: request(s, "HEAD", "/look"), 405),
    "put": (lambda s: request(s, "PUT", "/look"), 405),
    "delete": (lambda s: request(s, "DELETE", "/"), 405),
    "options": (lambda s: request(s, "OPTIONS", "/read"), 405),
    "a made-up method": (lambda s: request(s, "BREW", "/"), 405),
    "no host": (lambda s: lines("GET / HTTP/1.1"), 403),
    "a foreign host": (lambda s: request(s, "GET", "/", Host="evil.example"), 403),
    "another port": (lambda s: request(s, "GET", "/", Host="127.0.0.1:1"), 403),
    "two hosts": (
        lambda s: lines("GET / HTTP/1.1", f"Host: {here(s)}", "Host: evil.example"),
        403,
    ),
    "no origin": (lambda s: request(s, "POST", "/look", b"x", Origin=None), 403),
    "a foreign origin": (
        lambda s: request(s, "POST", "/look", b"x", Origin="https://evil.example"),
        403,
    ),
    "the origin of a file": (lambda s: request(s, "POST", "/look", b"x", Origin="null"), 403),
    "another site": (
        lambda s: request(s, "POST", "/look", b"x", Sec_Fetch_Site="cross-site"),
        403,
    ),
    "no length": (lambda s: request(s, "POST", "/look", b"", Content_Length=None), 411),
    "chunks": (
        lambda s: request(
            s,
            "POST",
            "/look",
            b"5\r\nhello\r\n0\r\n\r\n",
            Content_Length=None,
            Transfer_Encoding="chunked",
        ),
        411,
    ),
    "chunks and a length": (
        lambda s: request(s, "POST", "/look", b"hello", Transfer_Encoding="chunked"),
        411,
    ),
    "a negative length": (lambda s: request(s, "POST", "/look", b"", Content_Length="-1"), 400),
    "a length in words": (lambda s: request(s, "POST", "/look", b"", Content_Length="ten"), 400),
    "two lengths": (lambda s: request(s, "POST", "/look", b"", Content_Length="1, 1"), 400),
    "a form": (
        lambda s: request(s, "POST", "/look", b"x", Content_Type="multipart/form-data"),
        415,
    ),
    "json as an image": (
        lambda s: request(s, "POST", "/look", b"{}", Content_Type="application/json"),
        415,
    ),
    "an image as json": (lambda s: request(s, "POST", "/combine", b"{}"), 415),
    "20 MB and one byte": (
        lambda s: request(s, "POST", "/look", b"", Content_Length=str(MAX_BYTES + 1)),
        413,
    ),
    "a petabyte": (
        lambda s: request(s, "POST", "/look", b"", Content_Length="999999999999999"),
        413,
    ),
    "much json": (
        lambda s: request(
            s, "POST", "/combine", b"", Content_Type="application/json", Content_Length="64001"
        ),
        413,
    ),
    "a header of 70 kB": (lambda s: request(s, "GET", "/", X="a" * 70_000), 431),
    "200 headers": (
        lambda s: request(s, "GET", "/", **{f"X-{i}": "a" for i in range(200)}),
        431,
    ),
    "an address of 70 kB": (lambda s: request(s, "GET", "/" + "a" * 70_000), 414),
    "no http": (lambda s: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a b c\r\n\r\n", 400),
    "http 9": (lambda s: lines("GET / HTTP/9.9", f"Host: {here(s)}"), 505),
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_hostile_request_gets_its_code_and_a_sentence(server, kind):
    build, status = REQUESTS[kind]
    began = time.monotonic()
    reply = raw(server, build(server))
    assert time.monotonic() - began < TIME_LIMIT
    assert reply.status == status, (reply.headers, reply.body)
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    if kind != "head an action":
        assert reply.sentence.endswith(".")
    if status == 405:
        assert reply.headers["Allow"]
    assert_alive(server)


def test_an_upload_that_breaks_off_or_stops(server, monkeypatch):
    monkeypatch.setattr(server_module._Handler, "timeout", 0.3)
    short = request(server, "POST", "/look", b"x" * 10, Content_Length="1000")
    assert raw(server, short, close=True).status == 400
    assert raw(server, short).status == 408
    assert_alive(server)


def test_a_connection_that_trickles_is_cut(server, monkeypatch):
    monkeypatch.setattr(server_module, "CONNECTION", 0.3)
    began = time.monotonic()
    assert raw(server, b"GET / HTTP/1.1\r\nHost:").status == 0
    assert time.monotonic() - began < 3
    assert_alive(server)


def test_a_busy_server_says_so(server, monkeypatch):
    monkeypatch.setattr(server_module, "QUEUE", 0.05)
    with server.work:
        reply = read(server, encoded(gray(1)), BOX)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "5")
    assert read(server, encoded(gray(1)), BOX).status == 200


def test_a_hundred_requests_at_once(server):
    picture, nonsense = encoded(gray(160)), b"<svg/>"

    def one(i: int) -> Reply:
        return read(server, nonsense if i % 3 == 0 else picture, BOX)

    began = time.monotonic()
    with ThreadPoolExecutor(100) as pool:
        replies = list(pool.map(one, range(100)))
    assert time.monotonic() - began < TIME_LIMIT
    assert [reply.status for reply in replies] == [415 if i % 3 == 0 else 200 for i in range(100)]
    answers = {reply.body for reply in replies if reply.status == 200}
    assert len(answers) == 1
    assert_alive(server)


def test_a_bug_of_ours_is_answered_and_names_nobody(capsys):
    with serving(brightness_run(network=BrokenNetwork())) as server:
        reply = read(server, encoded(gray(1)), BOX)
        assert reply.status == 500
        assert_alive(server)
    said = capsys.readouterr()
    assert "RuntimeError" in said.err
    assert "Canary" not in said.err + said.out + reply.body.decode()


def test_nothing_is_logged_and_nothing_written(server, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    read(server, encoded(gray(160)), BOX)
    ask(server, "GET", "/CANARY")
    assert capsys.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_every_answer_forbids_what_the_page_does_not_need(server):
    for path in ("/", "/app.js", "/nothing"):
        headers = ask(server, "GET", path).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in policy
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Frame-Options"] == "DENY"
        assert "Python" not in headers["Server"]


def test_head_is_the_page_without_its_body(server):
    whole, head = (ask(server, method, "/") for method in ("GET", "HEAD"))
    assert head.headers["Content-Length"] == str(len(whole.body))
    assert (head.status, head.body) == (200, b"")


def test_the_page_asks_nobody_else(server):
    for path in ("/", "/app.js", "/app.css"):
        text = ask(server, "GET", path).body.decode()
        foreign = text.replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in foreign
        assert "https://" not in foreign


def test_names_that_are_code_stay_text():
    run = brightness_run(title=HOSTILE, event=HOSTILE, card={HOSTILE: HOSTILE})
    with serving(run) as server:
        page = ask(server, "GET", "/").body.decode()
    assert "<img" not in page
    assert page.count("&lt;/script&gt;") >= 4


# ---- where it listens ----


def test_a_taken_port_is_named(server):
    with pytest.raises(ArgumentError, match=f"port {server.server_port} .*--port"):
        AppServer(brightness_run(), port=server.server_port)
    with pytest.raises(ArgumentError, match="0 to 65535"):
        AppServer(brightness_run(), port=70_000)


def test_hosts_are_the_servers_own(server):
    port = server.server_port
    assert f"localhost:{port}" in server.hosts("127.0.0.1")
    assert f"localhost:{port}" not in server.hosts("192.168.1.7") - server.hosts("127.0.0.1")
    assert f"192.168.1.7:{port}" in server.hosts("192.168.1.7")


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104
        ("192.168.1.7", False),
        ("example.org", False),
    ],
)
def test_which_addresses_mean_this_machine_alone(host, alone):
    assert is_loopback(host) is alone
