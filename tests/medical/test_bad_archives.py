"""What archives send that is wrong, by the command as a user types it: each ends in a sentence or a row, never a crash.

The details of each are tested where they belong; this list says that the command takes all of them.
"""

from __future__ import annotations

import re
import zipfile

import numpy as np
import pytest
from dicomweb_servers import FaultyServer
from pydicom.fileset import FileSet

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_medical.archives import entries
from voxtile_medical.dicomweb import address


@pytest.fixture
def convert(tmp_path, capsys):
    """`convert(source, *words)`: exit status, what was said, reasons of the ledger, number of samples."""

    def run(source, *words):
        corpus = tmp_path / "corpus"
        status = main(["convert", "dicom", str(source), str(corpus), "--engine", "inline", *map(str, words)])
        said = " ".join("".join(capsys.readouterr()).split())
        assert "Traceback" not in said
        made = Corpus(corpus) if (corpus / "ledger").exists() else None
        rows = made.ledger().to_pylist() if made else []
        reasons = sorted(row["reason"] for row in rows if row["reason"])
        return status, said, reasons, len(made.table("samples")) if made else 0

    return run


def test_a_server_that_drops_the_connection(tmp_path, dicom, noise, convert, monkeypatch):
    monkeypatch.setattr(address, "PAUSE_S", 0.0)
    for number in range(2):
        dicom.write(tmp_path / "archive" / str(number), noise(3, 4, 4, seed=number), SeriesInstanceUID=f"1.2.{number}")
    with FaultyServer(tmp_path / "archive") as server:
        server.faults["wado"] = ["drop"] * address.ATTEMPTS
        status, said, reasons, samples = convert(server.address)
        assert (status, reasons, samples) == (1, ["not-retrieved"], 1)
        assert re.search("1 of 2 series did not come from the server .*the same command", said)
        assert convert(server.address)[::3] == (0, 2)


def test_a_dicomdir_with_missing_files(tmp_path, dicom, noise, convert):
    paths = dicom.write(tmp_path / "in", noise(3, 4, 4), StudyID="1", StudyTime="1", SeriesNumber=1, AccessionNumber="")
    medium = FileSet()
    for path in paths:
        medium.add(path)
    medium.write(tmp_path / "medium")
    lost = next(path for path in sorted((tmp_path / "medium").rglob("*")) if path.is_file() and path.name != "DICOMDIR")
    lost.unlink()
    status, _, reasons, samples = convert(tmp_path / "medium" / "DICOMDIR")
    assert (status, samples) == (1, 0)
    assert reasons == ["dicomdir", "incomplete-series", "missing-file"]


def test_a_zip_bomb(tmp_path, dicom, noise, convert, monkeypatch):
    monkeypatch.setattr(entries, "HARMLESS_BYTES", 1 << 20)
    dicom.write(tmp_path / "in", noise(3, 4, 4))
    with zipfile.ZipFile(tmp_path / "in" / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("CT/1", bytes(8 << 20))
    status, _, reasons, samples = convert(tmp_path / "in")
    assert (status, reasons, samples) == (1, ["too-large"], 1)


def test_a_zip_with_names_that_lead_out_of_it(tmp_path, dicom, noise, convert):
    (plane,) = dicom.write(tmp_path / "one", noise(1, 4, 4), SeriesInstanceUID="1.9")
    dicom.write(tmp_path / "in", noise(3, 4, 4))
    with zipfile.ZipFile(tmp_path / "in" / "out.zip", "w") as packed:
        packed.write(plane, "../../escaped.dcm")
    _, _, reasons, samples = convert(tmp_path / "in")
    assert (reasons, samples) == (["unsafe-name"], 1)
    assert not list(tmp_path.parent.glob("escaped*")) + list(tmp_path.glob("escaped*"))


def test_two_patients_under_one_uid(tmp_path, dicom, noise, convert):
    for number, patient in enumerate("AB"):
        dicom.write(
            tmp_path / "in" / patient, noise(3, 4, 4, seed=number), PatientID=patient, PatientName=f"N{patient}"
        )
    status, _, reasons, samples = convert(tmp_path / "in")
    assert (status, reasons, samples) == (0, [], 2)
    assert len(set(Corpus(tmp_path / "corpus").table("samples")["subject"].to_pylist())) == 2


def test_one_uid_for_two_different_files(tmp_path, dicom, noise, convert):
    uids = [f"1.2.3.{k}" for k in range(3)]
    for number in range(2):
        volume = noise(3, 4, 4)
        volume[1] += number
        dicom.write(tmp_path / "in" / str(number), volume, SOPInstanceUID=dicom.each(uids))
    _, _, reasons, samples = convert(tmp_path / "in")
    assert (set(reasons), samples) == ({"conflicting-copies", "duplicate-file"}, 0)


@pytest.mark.parametrize("day", ["18991231", "00010101", "15820101"])
def test_dates_before_1900(tmp_path, dicom, noise, convert, day):
    dicom.write(tmp_path / "in", noise(3, 4, 4), StudyDate=day, PatientBirthDate=day, SeriesDate=day)
    assert convert(tmp_path / "in")[::2] == (0, [])


CHARSETS = {
    "ISO_IR 100": "Äneas^Jürgen", "ISO_IR 101": "Wałęsa^Lech", "ISO_IR 109": "Ġorġ^Ħ", "ISO_IR 110": "Šņē^Ā",
    "ISO_IR 144": "Люкceмбypг", "ISO_IR 126": "Διονυσιος", "ISO_IR 127": "قباني^لنزار", "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 148": "Çavuşoğlu^Çağla", "ISO_IR 166": "สมชาย", "ISO_IR 13": "ﾔﾏﾀﾞ^ﾀﾛｳ", "ISO_IR 192": "Ωmega^🙂",
    "GB18030": "王^小东", "GBK": "王^小东", "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동", "\\ISO 2022 IR 58": "Zhang^XiaoDong=张^小东",
    "NO SUCH SET": "Müller",
}  # fmt: skip


def test_names_in_every_character_set(tmp_path, dicom, noise, convert):
    for number, (charset, name) in enumerate(CHARSETS.items()):
        for k in range(3):
            made = dicom.make(
                noise(4, 4, seed=10 * number + k), ImagePositionPatient=[0, 0, k], PatientID=f"p{number}",
                StudyInstanceUID=f"1.2.{number}", SeriesInstanceUID=f"1.2.{number}.1", PatientName=None,
                SpecificCharacterSet="ISO_IR 192" if charset == "NO SUCH SET" else charset.split("\\"),
            )  # fmt: skip
            made.PatientName = name
            (tmp_path / "in").mkdir(exist_ok=True)
            path = tmp_path / "in" / f"{number}-{k}"
            made.save_as(path, enforce_file_format=True)
            if charset == "NO SUCH SET":
                path.write_bytes(path.read_bytes().replace(b"ISO_IR 192", b"ISO_IR 999"))
    status, said, reasons, samples = convert(tmp_path / "in")
    assert (status, reasons, samples) == (0, [], len(CHARSETS))
    assert not any(part in said for name in CHARSETS.values() for part in re.split(r"[\^=]", name) if len(part) > 1)


def test_a_report_table_with_nuls(tmp_path, dicom, noise, convert):
    dicom.write(tmp_path / "in", noise(3, 4, 4), AccessionNumber="A1")
    (tmp_path / "r.csv").write_bytes(b"study,text\nA\x001,Clear \x00lungs.\nA1,No \x00effusion.\nB\x00,\x00\n")
    status, _, reasons, samples = convert(tmp_path / "in", "--reports", tmp_path / "r.csv")
    assert (status, reasons, samples) == (0, ["no-study"], 1)


@pytest.mark.sweep(ci=True)
def test_a_study_with_a_thousand_series(tmp_path, dicom, noise, convert):
    pixels = noise(1, 2, 2)
    for number in range(1000):  # single planes, so that the test is short
        values = {"SeriesInstanceUID": f"1.2.{number + 1}", "SeriesNumber": number}
        dicom.write(tmp_path / "in" / f"{number}", pixels + np.uint16(number), **values)
    status, _, reasons, samples = convert(tmp_path / "in", "--min-slices", 1)
    assert (status, reasons, samples) == (0, [], 1000)


def test_a_series_with_a_thousand_localizers(tmp_path, dicom, noise, convert):
    dicom.write(tmp_path / "in" / "ct", noise(3, 4, 4))
    dicom.write(tmp_path / "in" / "scouts", noise(1000, 2, 2), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert convert(tmp_path / "in")[::3] == (0, 1)
    assert "localizer" in set(Corpus(tmp_path / "corpus").ledger()["reason"].to_pylist())
