"""DICOMweb: what a server gives is what its files give; whatever it does instead is one sentence and can be resumed."""

import gzip
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from dicomweb_servers import FaultyServer, find_orthanc, orthanc
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError, InputError, RunFailedError
from voxtile_datasets.forgetting.command import forget_subject
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicomweb import address, fetch, multipart, session
from voxtile_medical.dicomweb.address import Address, ServerError
from voxtile_medical.dicomweb.send import export_dicomweb

PLAIN = {"engine": "inline", "deidentify": False}


@pytest.fixture
def archive(tmp_path, dicom, noise):
    """A folder of two patients: two CT series, one of them compressed, and an MR one."""
    folder = tmp_path / "archive"
    dicom.write(folder / "a", noise(4, 8, 8), SeriesInstanceUID="1.1.1", StudyInstanceUID="1.1")
    (folder / "b").mkdir()
    for k in range(3):
        values = {"SeriesInstanceUID": "1.1.2", "StudyInstanceUID": "1.1", "ImagePositionPatient": [0, 0, k]}
        values["InstanceNumber"] = k + 1
        dataset = dicom.make(noise(64, 64, seed=k), **values)
        dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        dataset.save_as(folder / "b" / f"IM{k}", enforce_file_format=True)
    values = {"Modality": "MR", "PatientID": "patient-2", "RescaleIntercept": None, "RescaleSlope": None}
    dicom.write(folder / "c", noise(5, 8, 8, seed=9), SeriesInstanceUID="1.2.1", StudyInstanceUID="1.2", **values)
    return folder


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(address, "PAUSE_S", 0.0)
    for name in (address.TOKEN, address.LOGIN):
        monkeypatch.delenv(name, raising=False)


def stored(corpus):
    """What a corpus holds, apart from the paths that it came from."""
    opened = Corpus(corpus)
    left_out = ("source", "shard", "offset")
    return {
        row["uid"]: (
            {key: row[key] for key in row if key not in left_out},
            np.asarray(opened.source(row).array()).tobytes(),
        )
        for row in opened.table("samples").to_pylist()
    }


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A real archive, empty at first."""
    if find_orthanc() is None:
        pytest.skip("no Orthanc: apt-get install orthanc orthanc-dicomweb")
    with orthanc(tmp_path_factory.mktemp("orthanc")) as running:
        yield running


def test_what_orthanc_gives_is_what_the_folder_gives(tmp_path, archive, server):
    from dicomweb_client.web import DICOMwebClient

    DICOMwebClient(server).store_instances([dcmread(path) for path in archive.rglob("*") if path.is_file()])
    convert_dicom(archive, tmp_path / "one", **PLAIN)
    convert_dicom(Path(server), tmp_path / "two", **PLAIN)
    assert len(stored(tmp_path / "one")) == 3
    assert stored(tmp_path / "two") == stored(tmp_path / "one")
    downloads = tmp_path / "two.dicomweb"
    assert stat.S_IMODE(downloads.stat().st_mode) == 0o700
    assert len(list(downloads.rglob("*.dcm"))) == 12
    convert_dicom(Path(server), tmp_path / "mr", query=("Modality=MR",), **PLAIN)
    assert {row["modality"] for row, _ in stored(tmp_path / "mr").values()} == {"MR"}
    convert_dicom(Path(server), tmp_path / "patient", query=("PatientID=patient-1",), **PLAIN)
    assert {row["modality"] for row, _ in stored(tmp_path / "patient").values()} == {"CT"}
    convert_dicom(Path(f"{server}/studies/1.1/series/1.1.2"), tmp_path / "series", **PLAIN)
    assert [row["shape"] for row, _ in stored(tmp_path / "series").values()] == [[3, 64, 64]]
    with pytest.raises(InputError, match="lists no such series; check the address and --query"):
        convert_dicom(Path(server), tmp_path / "none", query=("PatientID=nobody",), **PLAIN)


@pytest.mark.parametrize(
    "faults",
    [
        {"studies": ["drop"], "series": [503], "wado": ["half", "cut", "drop"]},
        {"studies": [500, 500], "wado": ["half", 500]},
    ],
)
def test_failures_that_pass_are_tried_again(tmp_path, archive, faults):
    with FaultyServer(archive) as server:
        server.faults |= faults
        convert_dicom(Path(server.address), tmp_path / "two", **PLAIN)
    convert_dicom(archive, tmp_path / "one", **PLAIN)
    assert stored(tmp_path / "two") == stored(tmp_path / "one")


@pytest.mark.parametrize(
    ("kind", "fault", "said"),
    [
        ("studies", "drop", "the connection to .* broke or was refused when asked for its studies"),
        ("studies", 500, "answered the question for its studies with status 500; wait"),
        ("studies", 401, "with status 401; it wants other credentials: set VOXTILE_DICOMWEB_TOKEN"),
        ("studies", 404, "with status 404; check the address"),
        ("studies", "html", "something else than DICOMweb does; check that the address"),
        ("series", "broken", "answered the question for the series of a study with something else"),
    ],
)
def test_a_search_that_fails_is_one_sentence(tmp_path, archive, kind, fault, said):
    with FaultyServer(archive) as server:
        server.faults[kind] = [fault] * address.ATTEMPTS
        with pytest.raises(ServerError, match=said):
            convert_dicom(Path(server.address), tmp_path / "corpus", **PLAIN)
    assert not (tmp_path / "corpus").exists()


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("drop", "the connection to .* broke"),
        ("half", "the server's answer broke off in the middle"),
        ("cut", "the connection to .* broke"),
        (500, "status 500"),
        ("html", "the server sent 'text/html' in place of DICOM files"),
    ],
)
def test_a_series_that_does_not_come_is_named_and_the_next_run_fetches_it_alone(tmp_path, archive, fault, said):
    corpus = tmp_path / "corpus"
    with FaultyServer(archive) as server:
        server.faults["wado"] = [fault] * address.ATTEMPTS
        if fault == "html":  # no other attempt would help
            server.faults["wado"] = [fault]
        with pytest.raises(RunFailedError, match=rf"1 of 3 series did not come from the server \(.*{said}.*go on"):
            convert_dicom(Path(server.address), corpus, **PLAIN)
        assert "not-retrieved" in Corpus(corpus).ledger()["reason"].to_pylist()
        assert len(stored(corpus)) == 2
        assert not list((tmp_path / "corpus.dicomweb").rglob(".*"))
        before = server.retrieved()
        convert_dicom(Path(server.address), corpus, **PLAIN)
        assert server.retrieved() == before + 1
    convert_dicom(archive, tmp_path / "one", **PLAIN)
    assert stored(corpus) == stored(tmp_path / "one")


def test_two_conversions_that_fetch_one_series_at_once_do_not_mix_its_files(tmp_path, archive, monkeypatch):
    together, real, seen = tmp_path / "downloads", fetch.save_parts, {}

    def while_another_fetches(pieces, boundary, folder, most):
        monkeypatch.undo()
        convert_dicom(Path(server.address), tmp_path / "faster", downloads=together, **PLAIN)
        seen.update({path: path.stat().st_ino for path in together.rglob("*.dcm")})
        return real(pieces, boundary, folder, most=most)

    with FaultyServer(archive) as server:
        monkeypatch.setattr(fetch, "save_parts", while_another_fetches)
        convert_dicom(Path(server.address), tmp_path / "slower", downloads=together, **PLAIN)
    assert len(seen) == 4 + 3 + 5
    assert {path: path.stat().st_ino for path in together.rglob("*.dcm")} == seen, "who reads them may go on"
    assert not list(together.rglob(".*"))
    assert stored(tmp_path / "slower") == stored(tmp_path / "faster")


def test_a_server_that_is_gone_is_not_asked_for_every_series(tmp_path, archive, dicom, noise):
    for number in range(6):
        dicom.write(archive / f"m{number}", noise(3, 8, 8, seed=number), SeriesInstanceUID=f"1.1.{number + 9}")
    with FaultyServer(archive) as server:
        server.faults["wado"] = [500] * 1000
        with pytest.raises(RunFailedError, match="9 of 9 series did not come"):
            convert_dicom(Path(server.address), tmp_path / "corpus", **PLAIN)
        assert server.retrieved() == 3 * address.ATTEMPTS


def test_a_token_goes_to_the_server_and_into_no_file(tmp_path, archive, monkeypatch, capsys):
    monkeypatch.setenv(address.TOKEN, "the-secret-token")
    with FaultyServer(archive) as server:
        server.faults["wado"] = ["html"]
        words = [
            "convert",
            "dicom",
            server.address,
            str(tmp_path / "corpus"),
            "--engine",
            "inline",
            "--query",
            "Modality=CT",
        ]
        assert main(words) == 1
        assert {headers.get("Authorization") for _, headers in server.asked} == {"Bearer the-secret-token"}
    said = capsys.readouterr()
    assert "the-secret-token" not in said.out + said.err
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"the-secret-token" not in path.read_bytes()
    with pytest.raises(ConfigError, match=r"VOXTILE_DICOMWEB_TOKEN would travel in the clear; use https"):
        convert_dicom(Path("http://pacs.example/dicom-web"), tmp_path / "other", **PLAIN)


def test_a_forgotten_patient_leaves_the_downloads(tmp_path, archive):
    corpus = tmp_path / "corpus"
    with FaultyServer(archive) as server:
        convert_dicom(Path(server.address), corpus, engine="inline")
        forget_subject(corpus, subject=("patient-1",))
        left = [path for path in (tmp_path / "corpus.dicomweb").rglob("*") if path.is_file()]
        assert len(left) == 5
        assert not any(b"patient-1" in path.read_bytes() for path in left)
        convert_dicom(Path(server.address), corpus, engine="inline")
    assert len(stored(corpus)) == 1


def test_addresses():
    assert Address.of(Path("scans/https")) is None
    assert Address.of(Path("https://h/dicom-web/")) == Address("https://h/dicom-web")
    assert Address.of("https://h/d/studies/1.2/series/3.4") == Address("https://h/d", "1.2", "3.4")
    for wrong in (
        "https://me:pw@h/d",
        "https://h/d/studies/..",
        "https://h/d/studies/1/instances/2",
        "https://h/d?x=1",
    ):
        with pytest.raises(ConfigError):
            Address.of(wrong)


def test_a_server_chooses_no_path(tmp_path, archive):
    with FaultyServer(archive) as server:
        [key] = [key for key in server.files if key[1] == "1.2.1"]
        server.files["1.2", "../../../evil"] = server.files.pop(key)
        with pytest.raises(ServerError, match="without a UID that can be used"):
            convert_dicom(Path(server.address), tmp_path / "corpus", **PLAIN)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16])
def test_parts_are_the_same_however_the_bytes_arrive(tmp_path, size):
    rng = np.random.default_rng(0)
    contents = [bytes(128) + b"DICM" + rng.bytes(50) + b"\r\n--xy" + bytes([number]) for number in range(3)]
    body = b"preamble\r\n--xyz\r\nA: b\r\n\r\n" + b"\r\n--xyz\r\n\r\n".join(contents) + b"\r\n--xyz--\r\nepilogue"
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert multipart.save_parts(pieces, b"xyz", tmp_path, most=3) == 3
    assert sorted(path.read_bytes() for path in tmp_path.iterdir()) == sorted(contents)


def test_more_parts_than_listed_and_parts_that_are_no_dicom_are_refused(tmp_path):
    body = [b"--xyz\r\n\r\n<html>no</html>\r\n--xyz--"]
    with pytest.raises(ServerError, match="no DICOM file"):
        multipart.save_parts(body, b"xyz", tmp_path, most=1)
    with pytest.raises(ServerError, match="more than the 0 instances"):
        multipart.save_parts(body, b"xyz", tmp_path, most=0)


def test_a_server_sends_nobody_elsewhere_and_ends_within_the_bound(tmp_path, archive, monkeypatch):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_bomb = self.path.startswith("/bomb")
            body = gzip.compress(bytes(1 << 20)) if is_bomb else b""
            self.send_response(200 if is_bomb else 307)
            for name, value in (
                ("Location", f"http://localhost:{self.server.server_port}/other"),
                ("Content-Encoding", "gzip"),
                ("Content-Length", str(len(body))),
            )[0 if not is_bomb else 1 :]:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_):
            pass

    monkeypatch.setattr(session, "MOST_BYTES", 1 << 16)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        base = f"http://127.0.0.1:{running.server_port}"
        with pytest.raises(ServerError, match=r"sends it on to http://localhost:\d+; where that is right"):
            convert_dicom(Path(f"{base}/dicom-web"), tmp_path / "corpus", **PLAIN)
        with pytest.raises(RunFailedError, match="sends it on to"):
            export_dicomweb(archive / "a", Path(f"{base}/dicom-web"))
        with pytest.raises(ServerError, match="sent more than 0 MiB"):
            convert_dicom(Path(f"{base}/bomb"), tmp_path / "corpus", **PLAIN)
        running.shutdown()
    assert asked
    assert "/other" not in asked
