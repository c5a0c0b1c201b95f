"""An archive that answers as no DICOMweb server does is named in one sentence; what it left out is missed."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from voxtile.errors import RunFailedError
from voxtile_medical.dicomweb import address
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
