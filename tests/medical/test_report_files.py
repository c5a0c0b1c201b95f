"""Reports as hospitals send them: DICOM SR, PDF in DICOM, HL7 v2 and FHIR, joined to their studies."""

from __future__ import annotations

import base64
import json
import zipfile

import pyarrow.dataset as ds
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxtile.engine.parallel import PlanReader
from voxtile.errors import InputError, RunFailedError
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.report_files.read import read_report_files

STUDY = "1.2.826.0.1.3680043.8.498.1"
READER = PlanReader(0)


def code(value, meaning, scheme="DCM"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def content(kind, name, value=None, children=(), relation="CONTAINS"):
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence = relation, kind, code("1", name)
    if kind == "TEXT":
        item.TextValue = value
    elif kind == "CODE":
        item.ConceptCodeSequence = code("2", value)
    elif kind == "PNAME":
        item.PersonName = value
    elif kind == "NUM":
        measured = Dataset()
        measured.NumericValue, measured.MeasurementUnitsCodeSequence = value, code("mm", "millimetre", "UCUM")
        item.MeasuredValueSequence = Sequence([measured])
    if children:
        item.ContentSequence = Sequence(children)
    return item


REPORT = (
    content("PNAME", "Person Observer Name", "Observer^Olga", relation="HAS OBS CONTEXT"),
    content("CODE", "Language", "English", relation="HAS CONCEPT MOD"),
    content("CONTAINER", "Findings", children=[
        content("TEXT", "Finding", "A nodule in the right upper lobe.", [content("NUM", "Diameter", "12")]),
        content("TEXT", "Finding", "No pleural effusion."),
        content("CODE", "Severity", "Mild"),
    ]),
    content("CONTAINER", "Conclusions", children=[content("TEXT", "Conclusion", "Nodule, shown to kaputnik.")]),
)  # fmt: skip
REPORT_TEXT = (
    "Findings:\nA nodule in the right upper lobe.\nDiameter: 12 mm\nNo pleural effusion.\nSeverity: Mild\n\n"
    "Conclusions:\nNodule, shown to kaputnik."
)


def structured(path, children=REPORT, storage="1.2.840.10008.5.1.4.1.1.88.11", **values):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = storage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = STUDY, generate_uid(), "SR"
    dataset.PatientID, dataset.PatientName, dataset.ReferringPhysicianName = "patient-1", "Doe^Jane", "Kaputnik^Rita"
    dataset.CompletionFlag, dataset.VerificationFlag = "COMPLETE", "VERIFIED"
    dataset.ContentDate, dataset.ContentTime = "20200313", "101500"
    dataset.ValueType, dataset.ConceptNameCodeSequence = "CONTAINER", code("11528-7", "Radiology Report", "LN")
    if children:
        dataset.ContentSequence = Sequence(children)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = storage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def pdf(text="", *, picture=False):
    """A page of Helvetica, or of a scan."""
    shown = "".join(f"({line}) Tj T* " for line in text.split("\n")) if text else ""
    draw = f"BT /F1 12 Tf 14 TL 72 700 Td {shown}ET" + (" /Im Do" if picture else "")
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >>"
        + (" /XObject << /Im 6 0 R >>" if picture else "") + " >> >>",
        f"<< /Length {len(draw)} >>\nstream\n{draw}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        "<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 /Length 1 >>"
        "\nstream\n0\nendstream",
    ]  # fmt: skip
    body, places = b"%PDF-1.4\n", []
    for number, item in enumerate(objects, start=1):
        places.append(len(body))
        body += f"{number} 0 obj\n{item}\nendobj\n".encode()
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 7\n0000000000 65535 f \n{table}trailer\n<< /Size 7 /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF"
    return body + end.encode()


def in_dicom(path, document, **values):
    more = {"EncapsulatedDocument": document + b"\0" * (len(document) % 2), "Modality": "DOC"}
    return structured(path, (), "1.2.840.10008.5.1.4.1.1.104.1", **more, **values)


def message(*observations, accession="ACC1", patient="patient-1", status="F", filler="F1", **more):
    when, charset = more.get("when", "20200313101500"), more.get("charset", "")
    request = ["OBR", "1", "", filler, "71250^CT", *[""] * 13, accession, *[""] * 3, when, *[""] * 2, status]
    request += [""] * 6 + ["77&Reader&Rolf"]
    lines = [
        f"MSH|^~\\&|RIS|Hospital|||{when}||ORU^R01|1|P|2.4||||||{charset}",
        f"PID|1||{patient}^^^H^MR~999^^^X||Doe^Jane||19600101",
        "|".join(request),
        *observations,
    ]
    return "\r".join(lines) + "\r"


def observed(text, name="71250^CT", kind="TX"):
    return f"OBX|1|{kind}|{name}||{text}||||||F"


def of(path, studies=(STUDY, "ACC1"), subject="patient-1"):
    """Texts that a study gets, and what else the ledger says."""
    reports = read_report_files(path, READER)
    texts = [report.text for report in reports.of(studies, subject)]
    return texts, {note.name.removeprefix("report "): note.reason for note in reports.notes()}


@pytest.mark.parametrize("number", [11, 22, 33])
def test_a_structured_report_is_its_sections_and_no_context(tmp_path, number):
    structured(tmp_path / "r" / "a", storage=f"1.2.840.10008.5.1.4.1.1.88.{number}")
    assert of(tmp_path / "r") == ([REPORT_TEXT], {})
    assert of(tmp_path / "r" / "a") == ([REPORT_TEXT], {})


def test_a_report_written_by_highdicom(tmp_path):
    from highdicom.sr import CodedConcept, ComprehensiveSR, ContainerContentItem, TextContentItem

    concept = CodedConcept("121070", "DCM", "Findings")
    root = ContainerContentItem(CodedConcept("126000", "DCM", "Imaging Report"))
    root.ContentSequence = [TextContentItem(concept, "Überall unauffällig.", relationship_type="CONTAINS")]
    evidence = structured(tmp_path / "evidence")
    evidence.PatientBirthDate = evidence.PatientSex = evidence.AccessionNumber = evidence.StudyID = ""
    evidence.StudyDate, evidence.StudyTime = "20200312", "100000"
    report = ComprehensiveSR(
        evidence=[evidence], content=root, series_instance_uid=generate_uid(), series_number=1,
        sop_instance_uid=generate_uid(), instance_number=1, manufacturer="x", is_complete=True, is_final=True,
    )  # fmt: skip
    report.save_as(tmp_path / "report.dcm", enforce_file_format=True)
    assert of(tmp_path / "report.dcm") == (["Findings:\nÜberall unauffällig."], {})


def test_documents_that_are_no_text_are_named_and_images_passed_over(tmp_path, dicom, noise):
    folder = tmp_path / "r"
    structured(folder / "measurements", [content("NUM", "Length", "12")])
    structured(folder / "dose", storage="1.2.840.10008.5.1.4.1.1.88.67")
    in_dicom(folder / "scan.dcm", pdf(picture=True))
    in_dicom(folder / "page.dcm", pdf("Findings: clear.\nImpression: normal chest."), AccessionNumber="ACC1")
    in_dicom(folder / "damaged.dcm", b"%PDF-1.4 damaged")
    (folder / "alone.pdf").write_bytes(pdf("text"))
    (folder / "notes.txt").write_text("A nodule.")
    (folder / "reports.csv").write_text("study,text\n1,A nodule.\n")
    dicom.write(folder / "images", noise(3, 4, 4))
    assert of(folder) == (
        ["Findings: clear.\nImpression: normal chest."],
        {
            "measurements": "no-text",
            "dose": "not-a-report",
            "scan.dcm": "scanned-report",
            "damaged.dcm": "unreadable-report",
            "alone.pdf": "no-study-id",
            "notes.txt": "not-a-report",
            "reports.csv": "not-a-report",
        },
    )


def test_hl7_sections_escapes_and_documents(tmp_path):
    path = tmp_path / "a.hl7"
    text = [observed("FINDINGS: clear\\.br\\lungs \\T\\ pleura", "71250&GDT^CT"), observed("one~two", "71250&GDT^CT")]
    path.write_text(message(*text, observed("Normal.", "71250&IMP^CT")), newline="")
    assert of(path) == (["Findings:\nFINDINGS: clear\nlungs & pleura\none\ntwo\n\nImpression:\nNormal."], {})
    document = base64.b64encode(pdf("All is clear in this report.")).decode()
    path.write_text(message(observed(f"^application^pdf^Base64^{document}", kind="ED")).replace("\r", "\n"))
    assert of(path) == (["All is clear in this report."], {})
    path.write_text(
        message(observed("1.2.3.4.5", "113014^DICOM Study^DCM", "ST"), observed("Clear."), accession="other")
    )
    assert of(path, studies=("1.2.3.4.5",)) == (["Clear."], {})
    path.write_text("\x0b" + message(observed("A line.\nAnother line.")) + "\x1c\r")
    assert of(path) == (["A line.\nAnother line."], {})


@pytest.mark.parametrize(
    ("stated", "encoding", "text"),
    [
        ("UNICODE UTF-8", "utf-8", "Größe 患者"),
        ("8859/1", "latin-1", "Größe"),
        ("8859/5", "iso8859-5", "Узел"),
        ("", "utf-8", "Größe"),
        ("", "cp1252", "Größe – “x”"),
    ],
)
def test_hl7_character_sets(tmp_path, stated, encoding, text):
    (tmp_path / "a").write_bytes(message(observed(text), charset=stated).encode(encoding))
    assert of(tmp_path / "a") == ([text], {})


def test_hl7_that_is_not_read_is_named_without_a_word_of_it(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    secret = "Secretword"
    told = {
        "charset": (message(observed(secret), charset="KOI-7"), "unsupported-charset"),
        "other": (message(observed(secret)).replace("ORU^R01", "ADT^A01"), "not-a-report"),
        "separators": (message(observed(secret)).replace("|^~\\&", "|$%*@"), "unsupported-form"),
        "address": (message(observed(secret, kind="RP")), "unsupported-form"),
        "empty": (message(), "no-text"),
        "damaged": (message(observed("^application^pdf^Base64^AAA", kind="ED")), "unreadable-report"),
        "nameless": (message(observed(secret), accession="", filler=""), "no-study-id"),
        "stranger": (message(observed(secret), accession="ACC9"), "no-study"),
        "patient": (message(observed(secret), patient="patient-2"), "other-patient"),
    }
    for name, (content, _) in told.items():
        (folder / name).write_text(content, newline="")
    reports = read_report_files(folder, READER)
    assert not reports.of((STUDY, "ACC1"), "patient-1")
    notes = list(reports.notes())
    assert {note.name.removeprefix("report "): note.reason for note in notes} == {n: r for n, (_, r) in told.items()}
    assert not any(secret in note.detail for note in notes)


def diagnostic(text="Clear.", **values):
    form = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    resource = {
        "resourceType": "DiagnosticReport", "id": "r1", "status": "final", "presentedForm": [form],
        "subject": {"reference": "Patient/p"}, "imagingStudy": [{"reference": "ImagingStudy/s"}],
    }  # fmt: skip
    return {key: value for key, value in (resource | values).items() if value is not None}


PATIENT = {
    "resourceType": "Patient", "id": "p", "identifier": [{"value": "patient-1"}],
    "name": [{"family": "Doe", "given": ["Jane"]}], "birthDate": "1960-01-01",
}  # fmt: skip
IMAGING = {
    "resourceType": "ImagingStudy",
    "id": "s",
    "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{STUDY}"}],
}


def bundle(*resources):
    return {
        "resourceType": "Bundle",
        "entry": [{"fullUrl": f"urn:uuid:{k}", "resource": r} for k, r in enumerate(resources)],
    }


def test_fhir_bundles_lines_and_forms(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(bundle(PATIENT, IMAGING, diagnostic())))
    assert of(path) == (["Clear."], {})
    path.write_text("\n".join(map(json.dumps, (PATIENT, IMAGING, diagnostic(conclusion="Normal chest.")))))
    assert of(path) == (["Clear.\n\nImpression:\nNormal chest."], {})
    page = base64.b64encode(
        b"<html><head><style>x{}</style></head><h1>Findings</h1><p>Clear &amp; well</p></html>"
    ).decode()
    forms = {
        "Findings\nClear & well": {"contentType": "text/html", "data": page},
        "A long line of text in a PDF.": {
            "contentType": "application/pdf",
            "data": base64.b64encode(pdf("A long line of text in a PDF.")).decode(),
        },
    }
    for text, form in forms.items():
        path.write_text(json.dumps(bundle(PATIENT, IMAGING, diagnostic(presentedForm=[form]))))
        assert of(path) == ([text], {})
    order = {"resourceType": "ServiceRequest", "id": "o", "identifier": [{"value": "ACC1"}]}
    alone = diagnostic(
        imagingStudy=None, subject={"identifier": {"value": "patient-1"}}, contained=[order],
        basedOn=[{"reference": "#o"}], presentedForm=None, conclusion="Normal.",
    )  # fmt: skip
    path.write_text(json.dumps(alone))
    assert of(path) == (["Impression:\nNormal."], {})
    away = diagnostic(presentedForm=[{"contentType": "application/pdf", "url": "http://x/y"}], conclusion="Normal.")
    rows = [{"resourceType": "DiagnosticReport", "status": "final", "presentedForm": 5}, away]
    path.write_text("\n".join([*map(json.dumps, rows), '{"torn": ', json.dumps(PATIENT)]))
    texts, told = of(path)
    assert not texts
    assert list(told.values()) == ["unreadable-report", "unsupported-form", "unreadable-report"]


def test_the_last_final_version_and_its_addenda_in_order(tmp_path):
    folder = tmp_path / "r"
    folder.mkdir()
    versions = [
        message(observed("Draft."), status="P", when="20200313090000"),
        message(observed("Second addendum.", "71250&ADT^CT"), when="20200315100000"),
        message(observed("First addendum.", "71250&ADT^CT"), when="20200314100000"),
        message(observed("First final."), when="20200313100000"),
        message(observed("Corrected."), status="C", when="20200313120000"),
        message(observed("Cancelled."), status="F", when="20200313100000", filler="F2"),
        message(observed("Cancelled."), status="X", when="20200313110000", filler="F2"),
        message(observed("Other draft."), status="R", accession="ACC2"),
    ]
    (folder / "all.hl7").write_text("".join(versions), newline="")
    reports = read_report_files(folder, READER)
    assert [r.text for r in reports.of((STUDY, "ACC1"), "patient-1")] == [
        "Corrected.\n\nAddendum:\nFirst addendum.\n\nAddendum:\nSecond addendum."
    ]
    assert not reports.of(("ACC2",), "patient-1")
    assert [(note.name, note.reason) for note in reports.notes()] == [
        ("report all.hl7 number 1", "superseded-report"),
        ("report all.hl7 number 4", "superseded-report"),
        ("report all.hl7 number 6", "withdrawn-report"),
        ("report all.hl7 number 7", "withdrawn-report"),
        ("report all.hl7 number 8", "not-final"),
    ]


def test_structured_reports_that_follow_each_other(tmp_path):
    first = structured(tmp_path / "a", [content("TEXT", "Finding", "First.")])
    reference = Dataset()
    reference.ReferencedSOPInstanceUID = first.SOPInstanceUID
    series, study = Dataset(), Dataset()
    series.ReferencedSOPSequence = Sequence([reference])
    study.ReferencedSeriesSequence = Sequence([series])
    after = {"PredecessorDocumentsSequence": Sequence([study]), "ContentTime": "120000"}
    structured(tmp_path / "b", [content("TEXT", "Finding", "Second.")], **after)
    assert of(tmp_path) == (["Finding:\nSecond."], {"a": "superseded-report"})
    addendum = {**after, "ConceptNameCodeSequence": code("55107-7", "Addendum Document", "LN")}
    structured(tmp_path / "b", [content("TEXT", "Finding", "Added.")], **addendum)
    assert of(tmp_path) == (["Finding:\nFirst.\n\nAddendum:\nFinding:\nAdded."], {})
    structured(tmp_path / "b", [content("TEXT", "Finding", "Draft.")], PreliminaryFlag="PRELIMINARY")
    assert of(tmp_path) == (["Finding:\nFirst."], {"b": "superseded-report"})
    structured(tmp_path / "b", [content("TEXT", "Finding", "Other.")], SOPInstanceUID=first.SOPInstanceUID)
    assert of(tmp_path) == ([], {"a": "ambiguous-version", "b": "ambiguous-version"})
    structured(tmp_path / "b", [content("TEXT", "Finding", "First.")])
    assert of(tmp_path) == (["Finding:\nFirst."], {"b": "duplicate-report"})


def test_a_report_by_a_number_of_two_patients_goes_to_the_one_it_names(tmp_path):
    structured(tmp_path / "a")
    for patients, expected in (("patient-1", [REPORT_TEXT]), ("patient-2", [])):
        reports = read_report_files(tmp_path / "a", READER)
        reports.share(frozenset({STUDY}))
        assert [r.text for r in reports.of((STUDY,), patients)] == expected
    assert [note.reason for note in reports.notes()] == ["ambiguous-study"]


def test_the_command_joins_and_deidentifies_reports_of_an_archive(tmp_path, dicom, noise):
    source, corpus = tmp_path / "scans", tmp_path / "corpus"
    dicom.write(source, noise(4, 8, 8), AccessionNumber="ACC1")
    structured(tmp_path / "sr")
    with zipfile.ZipFile(tmp_path / "reports.zip", "w") as packed:
        packed.write(tmp_path / "sr", "sr/0001")
        packed.writestr("late.hl7", message(observed("Read by Rolf Reader, for H-77812."), accession="ACC9"))
        packed.writestr("torn.json", '{"resourceType": "DiagnosticReport", "text": "Secretword')
    with pytest.raises(RunFailedError) as raised:
        convert_dicom(source, corpus, reports=tmp_path / "reports.zip", workers=1)
    assert "Secretword" not in str(raised.value)
    texts = ds.dataset(corpus / "tables" / "captions").to_table().column("text").to_pylist()
    assert texts == [REPORT_TEXT.replace("kaputnik", "___")]
    rows = ds.dataset(corpus / "ledger").to_table().to_pylist()
    assert sorted(str(row["reason"]) for row in rows) == ["None", "no-study", "unreadable-report"]
    assert b"Secretword" not in b"".join(path.read_bytes() for path in corpus.rglob("*") if path.is_file())


def test_a_folder_without_reports_and_none_at_all(tmp_path, dicom, noise):
    dicom.write(tmp_path / "scans", noise(3, 4, 4))
    with pytest.raises(InputError, match="holds no report"):
        read_report_files(tmp_path / "scans", READER)
    with pytest.raises(InputError, match="do not exist"):
        read_report_files(tmp_path / "nowhere", READER)


def test_a_report_in_rtf_is_named_for_what_it_is(tmp_path):
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "letter.rtf").write_bytes(rb"{\rtf1\ansi Kaputnik saw no effusion.}")
    (note,) = read_report_files(tmp_path / "reports", READER).notes()
    assert note.reason == "unsupported-form"
    assert "in RTF" in note.detail
    assert "Kaputnik" not in note.detail


def test_reports_among_the_images_are_told_of_where_none_are_asked_for(tmp_path, dicom, noise, capsys):
    dicom.write(tmp_path / "export", noise(3, 8, 8), StudyInstanceUID=STUDY, PatientID="patient-1")
    structured(tmp_path / "export" / "report.dcm")
    structured(tmp_path / "export" / "dose.dcm", storage="1.2.840.10008.5.1.4.1.1.88.67")
    convert_dicom(tmp_path / "export", tmp_path / "corpus", engine="inline")
    said = " ".join(capsys.readouterr().out.split())
    assert f"1 files are reports (DICOM SR, PDF or CDA) and were not read; --reports '{tmp_path / 'export'}'" in said
    convert_dicom(tmp_path / "export", tmp_path / "again", reports=tmp_path / "export", engine="inline")
    assert "are reports" not in capsys.readouterr().out
    (caption,) = ds.dataset(tmp_path / "again" / "tables" / "captions").to_table()["text"].to_pylist()
    assert caption.startswith("Findings:")
