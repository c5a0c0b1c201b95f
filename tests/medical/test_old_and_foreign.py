"""Dates before 1900, names in every character set, tables with NULs: read as they are, or refused by name."""

from __future__ import annotations

import os
import warnings
from datetime import date

import pyarrow.dataset as ds
import pydicom
import pytest
from pydicom.data import get_charset_files

from voxtile.corpus.identity import KeyedHash
from voxtile_datasets.intake.deidentify import HashedNames
from voxtile_datasets.intake.planner import Planner
from voxtile_datasets.intake.reports_file import read_reports
from voxtile_datasets.intake.splits_file import Splits
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom.task import DicomTask
from voxtile_medical.dicom_header.element_values import interpret
from voxtile_medical.dicom_header.headers import FileHeader, read_header

# SpecificCharacterSet → a name of three component groups or fewer (PS3.5 annexes H to K and PS3.3 C.12.1.1.2).
NAMES = {
    "ISO_IR 100": "Äneas^Rüdiger",
    "ISO_IR 101": "Wałęsa^Łukasz",
    "ISO_IR 109": "Ħaż-Żebbuġ^Ġorġ",
    "ISO_IR 110": "Ķēniņš^Jānis",
    "ISO_IR 144": "Люксембург^Роза",
    "ISO_IR 127": "قباني^نزار",
    "ISO_IR 126": "Διονυσιος^Νικος",
    "ISO_IR 138": "שרון^דבורה",
    "ISO_IR 148": "Çavuşoğlu^İbrahim",
    "ISO_IR 166": "สมชาย^ใจดี",
    "ISO_IR 192": "王^小东",
    "GB18030": "王^小东",
    "GBK": "王^小东",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "ISO 2022 IR 13\\ISO 2022 IR 87": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "ISO 2022 IR 100\\ISO 2022 IR 126": "Buc^Jérôme",
}


@pytest.mark.parametrize("charset", NAMES)
def test_names_of_headers_leave_reports_in_every_character_set(tmp_path, dicom, noise, charset):
    name = NAMES[charset]
    for k in range(3):
        dataset = dicom.make(
            noise(4, 4, seed=k), ImagePositionPatient=[0, 0, k], SpecificCharacterSet=charset.split("\\")
        )
        dataset.PatientName, dataset.PatientID = name, "1"
        dataset.save_as(tmp_path / str(k), enforce_file_format=True)
    header = read_header(tmp_path, "0")
    assert isinstance(header, FileHeader)
    assert header.text("PatientName") == str(pydicom.dcmread(tmp_path / "0").PatientName) == name
    words = [part for group in name.split("=") for part in group.split("^") if len(part) > 1]
    table = tmp_path.with_name(f"{tmp_path.name}.csv")
    text = "Findings: " + " and ".join(words) + " were here. No effusion."
    table.write_text(f"subject,text\n1,{text}\n", encoding="utf-8")
    names = HashedNames(KeyedHash(b"k" * 32))
    planner = Planner(names, Splits(names, "0.8,0.1,0.1", None), reports=read_reports(table))
    task = DicomTask(tmp_path, planner=planner)
    (outcome,) = [task.process(item) for item in task.items()]
    written = outcome.tables["captions"][0]["text"]
    assert not [word for word in words if word in written]
    assert written.endswith("were here. No effusion.")


def test_the_character_sets_of_pydicoms_own_files(tmp_path):
    paths = get_charset_files("*.dcm")
    assert len(paths) > 15
    for path in paths:
        folder, name = os.path.split(path)
        header = read_header(folder, name)
        said = str(pydicom.dcmread(path).get("PatientName", ""))
        assert isinstance(header, FileHeader)
        assert header.text("PatientName").rstrip("=") == said, name
    raw = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab="  # pydicom writes it without its escapes
    assert interpret("PatientName", raw, b"\\ISO 2022 IR 58") == ("Zhang^XiaoDong=张^小东=",)


@pytest.mark.parametrize(
    ("day", "earlier"),
    [("18991231", 1), ("1899.12.31", 1), ("15820101", 116147), ("00010101", None), ("18990230", None), ("0", None)],
)
def test_dates_before_1900_keep_their_distance_or_are_none(tmp_path, dicom, noise, day, earlier):
    source, corpus = tmp_path / "in", tmp_path / "corpus"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, of what is no date
        for series, stated in (("1.1", day), ("1.2", "19000101")):
            dicom.write(
                source / series, noise(3, 4, 4), SeriesInstanceUID=series, StudyDate=stated, PatientBirthDate=day
            )
    convert_dicom(source, corpus, engine="inline")
    rows = ds.dataset(corpus / "tables" / "samples").to_table().to_pylist()
    days = sorted(str(row["datetime"])[:10] for row in rows if row["datetime"] is not None)
    if earlier is None:
        assert len(days) == 1 or days[0] < "0003"  # the first days of the calendar may be shifted to no day at all
    else:
        assert (date.fromisoformat(days[1]) - date.fromisoformat(days[0])).days == earlier


def test_a_report_table_with_nuls(tmp_path, dicom, noise):
    dicom.write(tmp_path / "in", noise(3, 4, 4), AccessionNumber="A1")
    (tmp_path / "r.csv").write_bytes(b"study,text\nA\x001,Clear \x00lungs.\nA1,No \x00effusion.\nB\x00,\x00\n")
    convert_dicom(tmp_path / "in", tmp_path / "corpus", reports=tmp_path / "r.csv", engine="inline")
    captions = ds.dataset(tmp_path / "corpus" / "tables" / "captions").to_table().column("text").to_pylist()
    assert captions == ["No effusion."]
    ledger = ds.dataset(tmp_path / "corpus" / "ledger").to_table().column("reason").to_pylist()
    assert sorted(map(str, ledger)) == ["None", "no-study"]
