"""DICOMweb servers for tests: a real Orthanc, and one that fails in the ways that servers do."""

import json
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pydicom

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
START_S = 60


def find_orthanc():
    """Program and plugin of the Debian packages `orthanc` and `orthanc-dicomweb`, or None."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin:/usr/local/sbin")
    return program if program and PLUGIN.exists() else None


@contextmanager
def orthanc(folder):
    """A running Orthanc on 127.0.0.1 with an empty archive; its DICOMweb address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"), "HttpPort": port,
        "DicomServerEnabled": False, "RemoteAccessAllowed": False, "AuthenticationEnabled": False,
        "HttpServerEnabled": True, "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([find_orthanc(), str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(START_S * 10):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/dicom-web/studies?limit=1", timeout=5).read()
                break
            except OSError:
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class FaultyServer:
    """Serves the DICOM files of a folder, and does what `faults` says in place of the next answers.

    Attributes:
        faults: what becomes of the next answers of a kind (`studies`, `series`, `wado`, `stow`): drop, half (a
            multipart without its end), cut (fewer bytes than announced), html, broken (no JSON), or a status.
        asked: paths that were asked for, with their headers.
        stored: bodies that were sent.
    """

    def __init__(self, folder):
        self.faults = {"studies": [], "series": [], "wado": [], "stow": []}
        self.asked, self.stored = [], []
        self.files = {}
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            header = pydicom.dcmread(path, stop_before_pixels=True)
            key = str(header.StudyInstanceUID), str(header.SeriesInstanceUID)
            self.files.setdefault(key, []).append(path.read_bytes())
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.asked.append((self.path, dict(self.headers)))
                words = self.path.partition("?")[0].strip("/").split("/")[1:]
                if words == ["studies"]:
                    studies = sorted({study for study, _ in outer.files})
                    self.answer("studies", [{"0020000D": {"vr": "UI", "Value": [one]}} for one in studies])
                elif words[-1] == "series":
                    rows = [
                        {
                            "0020000E": {"vr": "UI", "Value": [series]},
                            "00201209": {"vr": "IS", "Value": [len(files)]},
                        }
                        for (study, series), files in outer.files.items()
                        if study == words[1]
                    ]
                    self.answer("series", rows)
                else:
                    self.answer("wado", outer.files[words[1], words[3]])

            def do_POST(self):
                outer.stored.append(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, dict(self.headers)))
                failed = outer.faults["stow"].pop(0) if outer.faults["stow"] else None
                if isinstance(failed, int):
                    self.send(failed, "text/plain", b"no")
                else:
                    body = {"00081198": {"vr": "SQ", "Value": [{}]}} if failed == "refused" else {}
                    self.send(202 if failed else 200, "application/dicom+json", json.dumps(body).encode())

            def answer(self, kind, content):
                fault = outer.faults[kind].pop(0) if outer.faults[kind] else None
                if fault == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                elif fault == "html":
                    self.send(200, "text/html", b"<html>Please log in</html>")
                elif fault == "broken":
                    self.send(200, "application/dicom+json", b"[{")
                elif isinstance(fault, int):
                    self.send(fault, "text/plain", b"no")
                elif kind != "wado":
                    page = content if "offset=0" in self.path or "offset" not in self.path else []
                    self.send(200, "application/dicom+json", json.dumps(page).encode())
                else:
                    parts = [b"--xyz\r\nContent-Type: application/dicom\r\n\r\n" + one + b"\r\n" for one in content]
                    body = b"".join(parts) + b"--xyz--"
                    body = body[: len(body) // 2] if fault in ("half", "cut") else body
                    extra = 100 if fault == "cut" else 0
                    self.send(200, 'multipart/related; type="application/dicom"; boundary=xyz', body, extra)
                    self.close_connection = bool(fault)

            def send(self, status, kind, body, extra=0):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body) + extra))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}/dicom-web"

    def retrieved(self):
        """How many series were asked for."""
        return sum("/series/" in path for path, _ in self.asked)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
