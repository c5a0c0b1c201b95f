"""HL7 CDA documents as reports: text under its sections, the study that they are of, versions, and what is refused."""

from __future__ import annotations

import base64

import pytest

from voxtile.corpus.reader import Corpus
from voxtile.engine.parallel import PlanReader
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.report_files.read import read_report_files

STUDY = "1.2.826.0.1.3680043.8.498.1"  # of the slices that the fixture writes
SIGNED = "<legalAuthenticator><signatureCode code='S'/><assignedEntity><assignedPerson><name><given>Otto</given>"
SIGNED += "<family>Radtke</family></name></assignedPerson></assignedEntity></legalAuthenticator>"


def section(title, text, code="18782-3"):
    heading = f"<title>{title}</title>" if title else ""
    return f"<component><section><code code='{code}'/>{heading}<text>{text}</text></section></component>"


FINDINGS = section(
    "Findings",
    "<paragraph>No effusion, said Dr. <content>Radtke</content>.<br/>Liver is <content revised='delete'>not </content>"
    "normal.</paragraph><table><tbody><tr><td>Nodule</td><td>8 mm</td></tr></tbody></table>",
)
IMPRESSION = section("", "Nodule of Jane Doe, 8 mm.", "19005-8")


def document(
    *sections,
    signed=SIGNED,
    number="D1",
    set_id="S1",
    when="20200301",
    study=STUDY,
    accession="A1",
    related="",
    body=None,
):
    body = body or f"<structuredBody>{''.join(sections)}</structuredBody>"
    catalog = f"<documentationOf><serviceEvent><id root='{study}'/></serviceEvent></documentationOf>" if study else ""
    order = f"<inFulfillmentOf><order><id extension='{accession}' root='1.9'/></order></inFulfillmentOf>"
    return (
        "<?xml version='1.0' encoding='UTF-8'?><ClinicalDocument xmlns='urn:hl7-org:v3'>"
        f"<id root='1.8' extension='{number}'/><setId root='1.8' extension='{set_id}'/>"
        f"<effectiveTime value='{when}'/><recordTarget><patientRole><id root='1.7' extension='patient-1'/>"
        "<addr><city>Smallville</city></addr><patient><name><given>Jane</given><family>Doe</family></name>"
        f"</patient></patientRole></recordTarget>{signed}{order}{catalog}{related}"
        f"<component>{body}</component></ClinicalDocument>"
    )


def read(folder, **documents):
    folder.mkdir(exist_ok=True)
    for name, content in documents.items():
        (folder / f"{name}.xml").write_text(content, encoding="utf-8")
    reports = read_report_files(folder, PlanReader(0))
    found = [report.text for report in reports.of((STUDY, "A1"), "patient-1")]
    return found, {note.name.removeprefix("report ").removesuffix(".xml"): note.reason for note in reports.notes()}


def test_sections_become_text_under_their_titles(tmp_path):
    assert read(tmp_path / "r", one=document(FINDINGS, IMPRESSION, section("Images", "x", "121181"))) == (
        [
            "Findings:\nNo effusion, said Dr. Radtke.\nLiver is normal.\nNodule 8 mm\n\n"
            "Impression:\nNodule of Jane Doe, 8 mm."
        ],
        {},
    )


@pytest.mark.parametrize("study", [STUDY, None])
def test_by_the_commands_names_of_its_header_leave_the_text(tmp_path, dicom, noise, study):
    dicom.write(tmp_path / "in", noise(3, 4, 4), AccessionNumber="A1")
    (tmp_path / "r.xml").write_text(document(FINDINGS, IMPRESSION, study=study))
    convert_dicom(tmp_path / "in", tmp_path / "corpus", reports=tmp_path / "r.xml", engine="inline")
    (text,) = Corpus(tmp_path / "corpus").table("captions")["text"].to_pylist()
    assert "Nodule" in text
    assert not any(word in text for word in ("Radtke", "Jane", "Doe", "Smallville"))


def test_versions_and_addenda(tmp_path):
    parent = "<relatedDocument typeCode='{}'><parentDocument><setId root='1.8' extension='S1'/></parentDocument>"
    parent += "</relatedDocument>"
    later = document(section("Findings", "Corrected."), number="D2", when="20200302")
    added = document(section("", "More."), number="D3", set_id="S3", when="20200303", related=parent.format("APND"))
    found, notes = read(tmp_path / "r", first=document(FINDINGS), later=later, added=added)
    assert found == ["Findings:\nCorrected.\n\nAddendum:\nFindings:\nMore."]
    assert notes == {"first": "superseded-report"}
    other = document(section("", "New."), number="D4", set_id="S4", when="20200304", related=parent.format("RPLC"))
    found, notes = read(tmp_path / "s", first=document(FINDINGS), other=other)
    assert (found, notes) == (["Findings:\nNew."], {"first": "superseded-report"})


def test_what_is_not_read_is_named_without_a_word_of_it(tmp_path):
    secret = section("", "Secretword")
    word = "<nonXMLBody><text mediaType='application/msword' representation='B64'>0M8R4KGxGuE=</text></nonXMLBody>"
    bomb = "<?xml version='1.0'?><!DOCTYPE l [<!ENTITY a 'Secretword'>]><ClinicalDocument xmlns='urn:hl7-org:v3'>&a;"
    told = {
        "unsigned": (document(secret, signed=""), "not-final"),
        "cut": (document(secret)[:-40], "unreadable-report"),
        "bomb": (bomb + "</ClinicalDocument>", "unreadable-report"),
        "empty": (document(), "no-text"),
        "word": (document(body=word), "unsupported-form"),
        "stranger": (document(secret, study="1.2.3.4.5", accession="B7"), "no-study"),
        "other": ("<?xml version='1.0'?><ClinicalDocument><a/></ClinicalDocument>", "not-a-report"),
    }
    found, notes = read(tmp_path / "r", **{name: content for name, (content, _) in told.items()})
    assert found == []
    assert notes == {name: reason for name, (_, reason) in told.items()}


def test_a_body_of_plain_text(tmp_path):
    packed = base64.b64encode("Größe 8 mm.".encode()).decode()
    body = f"<nonXMLBody><text mediaType='text/plain' representation='B64'>{packed}</text></nonXMLBody>"
    assert read(tmp_path / "r", one=document(body=body)) == (["Größe 8 mm."], {})
