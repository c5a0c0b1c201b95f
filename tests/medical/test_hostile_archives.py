"""An archive that answers as no DICOMweb server does is named in one sentence; what it left out is missed."""

import gzip
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests

from voxtile.errors import RunFailedError
from voxtile_medical.dicomweb import address, session
from voxtile_medical.dicomweb import fetch as fetch_module
from voxtile_medical.dicomweb.address import Address, Server, ServerError
from voxtile_medical.dicomweb.fetch import RemoteSeries, fetch, list_series
from voxtile_medical.dicomweb.send import export_dicomweb

DEEP = b"[" * 100_000
FILE = bytes(128) + b"DICM"


@pytest.fixture
def archive(monkeypatch):
    """Gives the address of a server that answers each question with a type and a body."""
    monkeypatch.setattr(address, "PAUSE_S", 0.0)
    for name in (address.TOKEN, address.LOGIN):
        monkeypatch.delenv(name, raising=False)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kind, body = self.server.answers["series" if "/series" in self.path else "studies"]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.answers = {}
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def answering(studies, series=b"", kind="application/dicom+json"):
            server.answers = {"studies": (kind, studies), "series": (kind, series)}
            return f"http://127.0.0.1:{server.server_port}/dicom-web"

        yield answering
        server.shutdown()


@pytest.mark.parametrize("body", [DEEP, b"[NaN]", b'[{"0020000D": ' + DEEP, b'[{"0020000D": {"Value": {}}}]'])
def test_a_list_of_studies_that_is_none_is_one_sentence(archive, body):
    with pytest.raises(ServerError, match=r"something else than DICOMweb|no list|without a UID"):
        list_series(Server(Address.of(archive(body))), ())


@pytest.mark.parametrize("count", ["1e999", "[]", '"many"', "{}"])
def test_a_number_of_instances_that_is_none_is_not_known(archive, count):
    row = '[{"0020000D": {"Value": ["1.2"]}, "0020000E": {"Value": ["1.2.3"]}, "00201209": {"Value": [COUNT]}}]'
    row = row.replace("COUNT", count)
    [series] = list_series(Server(Address.of(archive(row.encode(), row.encode()))), ())
    assert series == RemoteSeries("1.2", "1.2.3", None)


def test_an_instance_that_comes_twice_stands_for_no_other(archive, tmp_path):
    body = b"--b\r\n\r\n" + FILE + b"\r\n--b\r\n\r\n" + FILE + b"\r\n--b--"
    url = archive(b"", body, 'multipart/related; type="application/dicom"; boundary=b')
    found = fetch(Server(Address.of(url)), [RemoteSeries("1.2", "1.2.3", 2)], tmp_path / "files")
    assert [lost.detail for lost in found.lost] == ["the server sent 1 of the 2 instances that it lists of a series"]
    assert not list((tmp_path / "files").rglob("*.dcm"))


@pytest.mark.parametrize(
    "body",
    [
        DEEP,
        b"[1]",
        json.dumps({"00081198": [1]}).encode(),
        json.dumps({"00081198": {"Value": [5]}}).encode(),
        json.dumps({"00081198": {"Value": [{"00081197": {"Value": {}}}]}}).encode(),
        json.dumps({"00081198": {"Value": [{"00081197": {"Value": ["x"]}}]}}).encode(),
        b'{"00081198": {"Value": [{"00081197": {"Value": [1e999]}}]}}',
    ],
)
def test_an_answer_to_a_storage_that_is_none_does_not_count_as_stored(archive, tmp_path, body):
    (tmp_path / "a.dcm").write_bytes(FILE)
    with pytest.raises(RunFailedError, match=r"1 of 1 objects were not stored: .* something else than DICOMweb does"):
        export_dicomweb(tmp_path / "a.dcm", Path(archive(body)))


@pytest.fixture
def dripping(monkeypatch):
    """Gives the address of a server that sends a beginning at once, and a byte now and then after it."""
    monkeypatch.setattr(session, "PATIENCE_S", 0.15)
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            self.wfile.write(self.server.beginning)
            while not over.wait(0.02):
                try:
                    self.wfile.write(b" ")
                except OSError:
                    return
            self.close_connection = True

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.asked = 0
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()

        def answering(beginning):
            server.beginning = beginning
            return server, f"http://127.0.0.1:{server.server_port}/dicom-web"

        yield answering
        over.set()
        server.shutdown()


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n["], ids=["head", "body"])
def test_an_answer_that_drips_ends(dripping, beginning):
    server, url = dripping(beginning)
    began = time.monotonic()
    with pytest.raises(ServerError, match=r"asked for its studies, sent less than 64 KiB in 0 minutes; ask its admin"):
        list_series(Server(Address.of(url)), ())
    assert time.monotonic() - began < 5
    assert server.asked == 1


def test_a_series_that_drips_is_one_row(dripping, tmp_path):
    kind = b'Content-Type: multipart/related; type="application/dicom"; boundary=b'
    _, url = dripping(b"HTTP/1.1 200 OK\r\n" + kind + b"\r\n\r\n--b\r\n\r\n" + FILE)
    found = fetch(Server(Address.of(url)), [RemoteSeries("1.2", "1.2.3", 1)], tmp_path / "files")
    assert "asked for series 1 of 1, sent less than 64 KiB" in found.lost[0].detail
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("name", "bound", "match"),
    [("_SMALL", 1 << 20, "50 times its packed size; have its admin"), ("_MOST_BYTES", 1 << 21, "2 MiB; ask its admin")],
)
def test_a_series_that_unpacks_without_end_is_refused(archive, tmp_path, monkeypatch, name, bound, match):
    monkeypatch.setattr(session if name == "_SMALL" else fetch_module, name, bound)
    body = gzip.compress(b"--b\r\n\r\n" + FILE + bytes(8 << 20) + b"\r\n--b--")
    kind = 'multipart/related; type="application/dicom"; boundary=b\r\nContent-Encoding: gzip'
    found = fetch(Server(Address.of(archive(b"", body, kind))), [RemoteSeries("1.2", "1.2.3", 1)], tmp_path / "files")
    assert f"sent more than {match}" in found.lost[0].detail
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("what", "match"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] self-signed",
            "no certificate that this machine trusts; set REQUESTS_CA_BUNDLE",
        ),
        ("[SSL: UNEXPECTED_EOF_WHILE_READING]", "broke or was refused"),
    ],
)
def test_a_certificate_that_nobody_vouches_for_is_said(what, match):
    server = Server(Address.of("https://127.0.0.1/dicom-web"))
    with pytest.raises(ServerError, match=match), server.said("its studies"):
        raise requests.exceptions.SSLError(what)


def test_a_series_that_is_packed_though_nobody_asked_comes_whole(archive, tmp_path):
    body = gzip.compress(b"--b\r\n\r\n" + FILE + bytes(1 << 20) + b"\r\n--b--")
    kind = 'multipart/related; type="application/dicom"; boundary=b\r\nContent-Encoding: gzip'
    found = fetch(Server(Address.of(archive(b"", body, kind))), [RemoteSeries("1.2", "1.2.3", 1)], tmp_path / "files")
    assert (found.lost, found.fresh) == ((), 1)
    assert [path.stat().st_size for path in (tmp_path / "files").rglob("*.dcm")] == [len(FILE) + (1 << 20)]
