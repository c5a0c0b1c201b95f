"""De-identification: identifiers planted in every place are in no byte of the corpus; reports and splits by study."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from datetime import date

import blosc2
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage, UltrasoundImageStorage

from voxtile.cli.main import main
from voxtile.corpus.identity import KeyMap
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.deidentification.scrub import scrub
from voxtile_datasets.intake.deidentify import HashedNames, parse_date
from voxtile_datasets.intake.reports_file import MAX_TEXT, read_reports
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.dicom_header.attributes import age_band

# Elements that the reader needs as they are; every other text element of the dictionary gets a planted value.
NEEDED = {
    "SOPClassUID",
    "SpecificCharacterSet",
    "Modality",
    "PhotometricInterpretation",
    "BurnedInAnnotation",
    "ConversionType",
    "ImageType",
    "LossyImageCompression",
}
TEXT = {"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UT", "UR"}
PLANTED_DATE = "19870423"


def plant(dataset: Dataset) -> list[str]:
    """Fill every element of text, name, UID, date and age with a value that can be found again."""
    planted: list[str] = []
    for tag, (vr, _, _, retired, keyword) in DicomDictionary.items():
        if not keyword or retired or keyword in NEEDED or tag < 0x00080000 or tag >> 16 in (0xFFFE, 0x0000):
            continue
        number = f"{tag:08X}"
        if vr in TEXT:
            value = f"Zq{number}^Qz{number}" if vr == "PN" else f"ZQ{number}"
        elif vr == "UI":
            value = f"1.2.777.{tag}"
        elif vr == "DA":
            value = PLANTED_DATE
        elif vr == "DT":
            value = PLANTED_DATE + "091500"
        else:
            continue
        try:
            dataset.add_new(tag, vr, value)
        except (ValueError, TypeError):
            continue
        planted += value.split("^")
    return planted


def every_byte(corpus) -> bytes:
    """Names and contents of all files of a corpus; Parquet as JSON too, arrays unpacked too."""
    stream = io.BytesIO()
    for path in sorted(corpus.rglob("*")):
        stream.write(str(path.relative_to(corpus)).encode() + b"\n")
        if path.is_dir():
            continue
        stream.write(path.read_bytes())
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            stream.write(json.dumps(table.to_pylist(), default=repr).encode())
            stream.write(repr(table.schema.metadata).encode())
        if path.suffix == ".tar":
            with tarfile.open(path) as archive:
                for member in archive.getmembers():
                    stream.write(member.name.encode())
                    data = archive.extractfile(member).read()
                    if member.name.endswith(".b2nd"):
                        stream.write(blosc2.ndarray_from_cframe(data)[...].tobytes())
    return stream.getvalue()


def table(corpus, name):
    return ds.dataset(corpus / "tables" / name).to_table().to_pylist()


def test_planted_identifiers_reach_no_byte_of_the_corpus(tmp_path, dicom, noise):
    source, corpus = tmp_path / "ZQFOLDER Qzname", tmp_path / "corpus"
    source.mkdir()
    planted = ["ZQFOLDER", "Qzname", "ZQFILE"]
    for k, plane in enumerate(noise(4, 8, 8)):
        dataset = dicom.make(plane, ImagePositionPatient=[0, 0, 2.0 * k])
        planted += plant(dataset)
        dataset.SOPInstanceUID = f"1.2.777.1.{k}"
        dataset.PatientAge = "063Y"
        dataset.save_as(source / f"ZQFILE{k}", enforce_file_format=True)
    names = dict.fromkeys(planted)
    person = next(name for name in names if name.startswith("Zq00100010"))
    given_name, study, accession, patient = "Qz00100010", f"1.2.777.{0x0020000D}", "ZQ00080050", "ZQ00100020"
    report = (
        f"Patient {person.upper()} {given_name}, MRN {patient}, accession {accession}, "
        "born 23.04.1987 (April 23, 1987; 1987-04-23), "
        f"study {study}. Referred by Dr. Qz00080090. No pleural effusion. Nodule of 12 mm."
    )
    reports = tmp_path / "reports.csv"
    reports.write_text(f'study,text\n{study},"{report}"\n')
    convert_dicom(source, corpus, reports=reports, engine="inline")

    data = every_byte(corpus)
    assert len(names) > 1000
    leaked = [name for name in names if name.encode() in data or name.lower().encode() in data]
    assert leaked == []
    for form in (PLANTED_DATE, "1987-04-23", "23.04.1987", "April 23"):
        assert form.encode() not in data
    (caption,) = table(corpus, "captions")
    assert "No pleural effusion. Nodule of 12 mm." in caption["text"]
    (sample,) = table(corpus, "samples")
    assert json.loads(sample["attributes"])["age_band"] == "60-69"
    # The key map, outside the corpus, does lead back.
    key_map = KeyMap.for_corpus(corpus)
    assert key_map.path_of(sample["source"]) == "ZQFILE0"
    assert sample["subject"] == key_map.hash("subject", patient)
    assert sample["study"] == key_map.hash("study", study)


def test_the_search_for_identifiers_finds_them_where_nothing_is_hidden(tmp_path, dicom, noise):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    dicom.write(source, noise(4, 8, 8), PatientID="ZQPATIENT")
    convert_dicom(source, corpus, deidentify=False, engine="inline")
    assert b"ZQPATIENT" in every_byte(corpus)
    (sample,) = table(corpus, "samples")
    assert (sample["source"], sample["datetime"]) == ("slice-000.dcm", "2020-03-12")
    assert not corpus.with_name("corpus.sources.parquet").exists()


def test_dates_move_by_the_same_days_for_a_subject_and_intervals_stay(tmp_path, dicom, noise):
    source = tmp_path / "source"
    for k, day in enumerate(["20200101", "20200331", "20200101"]):
        values = {"StudyInstanceUID": f"1.2.{k}", "SeriesInstanceUID": f"1.3.{k}", "PatientID": "a" if k < 2 else "b"}
        dicom.write(source / str(k), noise(3, 8, 8), StudyDate=day, **values)
    corpora = [tmp_path / "one", tmp_path / "two"]
    key = tmp_path / "key.parquet"
    for corpus in corpora:
        convert_dicom(source, corpus, key_file=key, engine="inline")
    rows = table(corpora[0], "samples")
    days = {row["study"]: date.fromisoformat(row["datetime"]) for row in rows}
    first, second, other = (days[KeyMap(key).hash("study", f"1.2.{k}")] for k in range(3))
    assert (second - first).days == 90
    assert first != date(2020, 1, 1)
    assert first != other
    # The same key gives the same bytes.
    shards = [sorted(corpus.glob("shards/*.tar")) for corpus in corpora]
    assert [p.name for p in shards[0]] == [p.name for p in shards[1]]
    assert [p.read_bytes() for p in shards[0]] == [p.read_bytes() for p in shards[1]]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ({"Modality": "US", "SOPClassUID": UltrasoundImageStorage}, "burned-in-risk"),
        ({"Modality": "OT", "SOPClassUID": SecondaryCaptureImageStorage}, "burned-in-risk"),
        ({"Modality": "CT", "SOPClassUID": SecondaryCaptureImageStorage}, "burned-in-risk"),
        ({"Modality": "CT", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "burned-in-risk"),
        ({"Modality": "DX", "BurnedInAnnotation": "YES"}, "burned-in"),
    ],
)
def test_pictures_that_may_show_a_name_are_dropped_unless_allowed(tmp_path, dicom, noise, values, verdict):
    dicom.make(noise(8, 8, dtype="uint8", high=256), **values).save_as(tmp_path / "x", enforce_file_format=True)
    assert dicom.convert(tmp_path, deidentify=True).verdicts == [verdict]
    assert dicom.convert(tmp_path, deidentify=True, allow_burned_in=True).verdicts == ["used"]
    assert dicom.convert(tmp_path, deidentify=False).verdicts == ["used"]


def test_reports_are_matched_by_study_accession_or_subject(tmp_path, dicom, noise):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    for k in range(3):
        values = {"StudyInstanceUID": f"1.2.{k}", "SeriesInstanceUID": f"1.3.{k}", "PatientID": f"p{k}"}
        dicom.write(source / str(k), noise(3, 8, 8), AccessionNumber=f"ACC{k}", **values)
    reports = tmp_path / "reports.parquet"
    rows = [
        {"Study": "1.2.0", "Subject": None, "Report": "by study\0"},
        {"Study": "ACC1", "Subject": None, "Report": "by accession"},
        {"Study": None, "Subject": "p2", "Report": "by subject"},
        {"Study": None, "Subject": "p2", "Report": "a second text"},
        {"Study": "9.9.9", "Subject": None, "Report": "of another hospital"},
        {"Study": "1.2.0", "Subject": None, "Report": "x" * (MAX_TEXT + 1)},
    ]
    pq.write_table(pa.Table.from_pylist(rows), reports)
    convert_dicom(source, corpus, reports=reports, deidentify=False, engine="inline")
    study = {row["uid"]: row["study"] for row in table(corpus, "samples")}
    found = sorted((study[row["uid"]], row["text"], row["kind"]) for row in table(corpus, "captions"))
    assert found == [
        ("1.2.0", "by study", "raw"),
        ("1.2.1", "by accession", "raw"),
        ("1.2.2", "a second text", "raw"),
        ("1.2.2", "by subject", "raw"),
    ]
    ledger = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert {row["source"]: row["reason"] for row in ledger if row["status"] == "dropped"} == {
        "report row 5": "no-study",
        "report row 6": "text-too-long",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "study"),
        ("study,b\n1,2\n", "text"),
        ("", "is empty; its first line must name the columns"),
        ('study,text\n"1', "line 2: a quotation mark there opens a cell and is never closed"),
    ],
)
def test_report_files_that_cannot_be_used_are_one_sentence(tmp_path, content, message):
    path = tmp_path / "reports.csv"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as raised:
        read_reports(path)
    assert "\n" not in str(raised.value)


def test_splits_come_from_the_file_or_from_the_subject(tmp_path, dicom, noise):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    for k in range(6):
        values = {"StudyInstanceUID": f"1.2.{k}", "SeriesInstanceUID": f"1.3.{k}", "PatientID": f"p{k // 2}"}
        dicom.write(source / str(k), noise(3, 8, 8), **values)
    splits = tmp_path / "splits.csv"
    splits.write_text("subject,split\np0,test\np1,val\n")
    convert_dicom(source, corpus, splits=splits, split_fractions="1,0,0", engine="inline")
    names = KeyMap.for_corpus(corpus)
    rows = {(row["scheme"], row["subject"], row["split"]) for row in table(corpus, "splits")}
    assert rows == {
        ("default", names.hash("subject", f"p{k}"), split) for k, split in enumerate(["test", "val", "train"])
    }


def test_people_that_the_split_file_and_the_source_do_not_share_are_counted(tmp_path, dicom, noise, capsys):
    for k in range(3):
        values = {"StudyInstanceUID": f"1.2.{k}", "SeriesInstanceUID": f"1.3.{k}", "PatientID": f"person-{k}"}
        dicom.write(tmp_path / "source" / str(k), noise(3, 8, 8, seed=k), **values)
    splits = tmp_path / "splits.csv"
    splits.write_text("subject,split\nperson-0,test\nPERSON-1,val\nPERSON-2,val\n")
    convert_dicom(tmp_path / "source", tmp_path / "corpus", splits=splits, engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert (
        f"'{splits}' names 2 subjects or files of whom nothing is converted (row 2 is the first) and does not name 2 "
        "of the 3 that are, whose splits come from --split-fractions"
    ) in said
    assert "person" not in said.lower()
    splits.write_text("subject,split\nperson-0,test\nperson-1,val\nperson-2,val\n")
    convert_dicom(tmp_path / "source", tmp_path / "again", splits=splits, engine="inline")
    assert "names" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "content", ["subject,split\na,train\na,test\n", "subject,split\na,elsewhere\n", "subject\na\n"]
)
def test_split_files_that_cannot_be_used_are_refused(tmp_path, dicom, noise, content):
    dicom.write(tmp_path / "source", noise(3, 8, 8))
    path = tmp_path / "splits.csv"
    path.write_text(content)
    with pytest.raises(InputError):
        convert_dicom(tmp_path / "source", tmp_path / "corpus", splits=path, engine="inline")
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mr. John Smith's CT of 12/03/2020.", "___ CT of ___."),
        ("Compared with 3 March 2019 and Jan 4, 2018 and 20190405.", "Compared with ___ and ___ and ___."),
        ("Seen by Dr. Müller-Lüdenscheidt, call 555-123-4567 or a.b@c.org.", "Seen by ___, call ___ or ___."),
        ("SMITH, JOHN: no change; Li and Ann too", "___, ___: no change; ___ and ___ too"),
        ("Muller and Müller", "___ and ___"),
        ("Electronically signed by Jane A. Doe, MD on 12/03/2020.", "Electronically signed by ___ on ___."),
        ("Dictated by: DOE, JANE\nFindings: clear.", "Dictated by: ___\nFindings: clear."),
        ("Attending: Robert O'Neill\nImpression: Normal.", "Attending: ___\nImpression: Normal."),
        ("Radiologist: K. Lang-Gut MD PhD. Heart normal.", "Radiologist: ___. Heart normal."),
        ("Results called to Emily Blunt, RN at 14:00.", "Results called to ___ at 14:00."),
        ("Reviewed by Doe. The Heart is normal.", "Reviewed by ___. The Heart is normal."),
        ("Anna Ivanova, M.D.", "___"),
        ("Reported by the radiologist on call; the attending physician was notified. Patient: 54-year-old.", None),
        ("A 12 mm nodule, T11-12, 3.5 x 2.1 cm, image 5/120, 1-2 days; no list, no annular tear.", None),
        ("2 decreased 15 mm lesions; may 12 mm be seen", None),
    ],
)
def test_scrubbing_removes_identifiers_and_leaves_findings(text, expected):
    people = ("Smith^John^Ann", "Li", "Müller")
    assert scrub(text, people) == (text if expected is None else expected)


def test_words_of_real_reports_are_left_alone(test_data):
    """Of real reports, whose names are blanked as XXXX, next to nothing is taken for a name."""
    with (test_data / "medical" / "iu_cxr_reports" / "indiana_reports.csv").open(encoding="utf-8", newline="") as file:
        texts = [row[part] for row in csv.DictReader(file) for part in ("findings", "impression") if row[part]]
    changed = [text for text in texts if scrub(text) != text.strip()]
    assert len(texts) > 6000
    assert len(changed) < 15  # and those say "Dr. XXXX"
    assert all("XXXX" in text for text in changed)


@given(st.text(alphabet="abcdefghij ABC.,12", max_size=60))
def test_no_known_identifier_survives_whatever_surrounds_it(context):
    text = scrub(f"{context} HUBERT-47 {context}", ("Hubert",), ("47119",))
    assert "hubert" not in text.lower()


def test_ages_above_89_are_one_group():
    assert [age_band(text) for text in ("089Y", "090Y", "104Y", "011M", "", "Y")] == [
        "80-89",
        "90+",
        "90+",
        "0-9",
        None,
        None,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("20200229", date(2020, 2, 29)), ("2020.02.29", date(2020, 2, 29)), ("20210229", None), ("", None)],
)
def test_dates_that_are_not_dates_are_left_out(text, expected):
    assert parse_date(text) == expected


def test_a_date_that_would_leave_the_calendar_is_left_out(tmp_path):
    names = HashedNames(KeyMap(tmp_path / "key").hasher)
    assert names.date("00010101", "a") is None
    assert np.abs((date.fromisoformat(names.date("20200101", "a")) - date(2020, 1, 1)).days) >= 1


REPORT = (
    "Dear Dr Osei, Kwabena was seen on 23.09.2017 with his wife Annelie. Nodule of 12 mm, Bosniak IIF. "
    "Dictated by: Ingrid Lindqvist, bleep 2231."
)


@pytest.mark.parametrize("surrogates", [False, True])
def test_names_that_no_header_holds_are_in_no_byte_of_the_corpus(tmp_path, dicom, noise, surrogates):
    source, corpus = tmp_path / "source", tmp_path / "corpus"
    dicom.write(source, noise(4, 8, 8), PatientID="p1", StudyDate="20170923", StudyInstanceUID="1.2.3")
    reports = tmp_path / "reports.csv"
    reports.write_text(f'study,text\n1.2.3,"{REPORT}"\n')
    convert_dicom(source, corpus, reports=reports, surrogates=surrogates, engine="inline")
    data = every_byte(corpus)
    for name in ("Osei", "Kwabena", "Annelie", "Lindqvist", "Ingrid", "23.09.2017", "2231"):
        assert name.encode() not in data
    (caption,) = table(corpus, "captions")
    assert "Nodule of 12 mm, Bosniak IIF." in caption["text"]
    (sample,) = table(corpus, "samples")
    day = date.fromisoformat(sample["datetime"])
    said = caption["text"].split("seen on ")[1].split(" with")[0]
    assert said == (f"{day.day:02d}.{day.month:02d}.{day.year}" if surrogates else "___")


def test_surrogates_without_deidentification_are_refused_in_a_sentence(tmp_path, dicom, noise):
    dicom.write(tmp_path / "source", noise(3, 8, 8))
    with pytest.raises(ConfigError, match="--surrogates"):
        convert_dicom(tmp_path / "source", tmp_path / "corpus", deidentify=False, surrogates=True, engine="inline")


@pytest.mark.parametrize(
    ("person", "text", "expected"),
    [
        ("Wang^XiaoDong=王^小东", "患者王小东，男，63岁。王小东先生", "患者___，男，63岁。___先生"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "山田太郎様、やまだ たろう (Yamada)", "___様、___ ___ (___)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "환자 홍길동님은", "환자 ___님은"),
        ("ประเสริฐ^สมชาย", "ผู้ป่วยประเสริฐ สมชายมา", "ผู้ป่วย___ ___มา"),
        ("Zhang^XiaoDong=\x1b$)A张三^\x1b$)A小东先生", "张三小东先生 was seen; 小东先生 too", "___ was seen; ___ too"),
        ("MÃ¼ller-LÃ¶w^JÃ¼rgen", "Müller-Löw, Jürgen", "___, ___"),  # UTF-8 without a character set
        ("ÕÅÈýÏÈ^Ð¡¶«", "张三先，小东", "___，___"),  # GB 2312 without its escape
        ("Müller^Jörg", "Müllerian duct; Jörg", "Müllerian duct; ___"),
        ("Люксембург^Роза", "Роза Люксембург, розацеа", "___ ___, розацеа"),
    ],
)
def test_names_of_headers_in_every_script_are_found_in_texts(person, text, expected):
    assert scrub(text, (person,)) == expected


@pytest.mark.parametrize("words", [[], ["--reports", "nowhere.csv"], ["--dry-run"]])
def test_a_command_that_makes_no_corpus_leaves_no_key(tmp_path, words):
    """An empty key beside nothing would be taken for that of a corpus that is made there later."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/notes.txt").write_text("no scan")
    assert main(["convert", "dicom", str(tmp_path / "in"), str(tmp_path / "corpus"), *words]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
