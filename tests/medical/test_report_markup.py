"""Reports as word processors and web pages write them: plain text, and no name left in a code of letters."""

from __future__ import annotations

import base64
import csv
import json
import time

import pytest
from tests.medical.test_report_cda import document

from voxtile.corpus.reader import Corpus
from voxtile_datasets.intake.reports_file import read_reports
from voxtile_datasets.plain_text import plain_text
from voxtile_medical.convert.dicom import convert_dicom
from voxtile_medical.report_files.cda_documents import cda_report
from voxtile_medical.report_files.fhir_resources import fhir_reports
from voxtile_medical.report_files.hl7_messages import hl7_reports

LETTER = (
    r"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}{\*\generator Riched20;}{\info{\author Kaputnik}}"
    r"\f0\fs20 FINDINGS:\par No effusion.\line 5\~mm nodule.\par Seen by Dr. M\'fcller-Hern\'e1ndez.\par}"
)
PLAIN = "FINDINGS:\nNo effusion.\n5\xa0mm nodule.\nSeen by Dr. Müller-Hernández."
PAGE = "<p>FINDINGS:<br>No effusion.<br>5&nbsp;mm nodule.</p><p>Seen by Dr. M&uuml;ller-Hern&#225;ndez.</p>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LETTER, PLAIN),
        (PAGE, PLAIN.replace("\xa0", " ")),
        (f"Findings:\n{LETTER}\n\nImpression:\nNone.", f"Findings:\n{PLAIN}\n\nImpression:\nNone."),
        (
            r"{\rtf1\ansi\ansicpg1251{\fonttbl{\f0\fcharset204 A;}{\f1\fcharset0 B;}}\f0\'cf\'f0\'e8 \f1 caf\'e9}",
            "При café",
        ),
        (r"{\rtf1\ansi\ansicpg932{\fonttbl{\f0\fcharset128 M;}}\f0 \'8e\'52\'93\'63}", "山田"),  # two bytes a letter
        (
            r"{\rtf1\uc1 \u1055?\u1088?\u1080? \u-10179?\u-8704? {\uc2\u8211\'96\'96}x \{y\} \emdash }",
            "При 😀 –x {y} —",
        ),
        (r"{\rtf1 a{\pict\pngblip 89504e47}b{\header St. Elsewhere}\cell c\row d}", "ab\tc\nd"),
        (r"{\rtf1 broken {\b off", "broken off"),
        ("FINDINGS:\nNo effusion.<br>IMPRESSION:\nNone, <5 mm.", "FINDINGS:\nNo effusion.\nIMPRESSION:\nNone, <5 mm."),
        ("<table><tr><td>Lung</td><td>clear</td></tr></table>", "Lung clear"),
        ("M&uuml;ller, &lt;5 mm", "Müller, <5 mm"),
        (r"No effusion.\r\nKaputnik was told.\nNone.", "No effusion.\nKaputnik was told.\nNone."),
        (r"No effusion.\.br\No mass.", "No effusion.\nNo mass."),
    ],
)
def test_markup_becomes_plain_text(text, expected):
    assert plain_text(text) == expected


@pytest.mark.parametrize(
    "text", ["p<0.05, 3>2; a<b and c>d", "R & D; AT&T", "{not rtf}", "size < p > 5", "a\n\n  b", "1\n\\not a break"]
)
def test_other_texts_stay_as_they_are(text):
    assert plain_text(text) == text


@pytest.mark.parametrize("part", ["{\\rtf1 {", "\\'", "{\\rtf1\\u1", "<p ", "&", "<b\n", "&#1"])
def test_long_texts_of_one_thing_take_little_time(part):
    start = time.process_time()
    plain_text("{\\rtf1 " + part * 30_000)
    plain_text(part * 30_000 + ">")
    assert time.process_time() - start < 3


def message(observation):
    segments = [
        "MSH|^~\\&|R|H|||20200203||ORU^R01|1|P|2.3",
        "PID|1||P1",
        "OBR|1|A1|A1|CT" + "|" * 21 + "F",
        observation,
    ]
    return "\r".join(segments).encode()


def test_every_way_of_delivery_gives_the_same_text(tmp_path):
    packed = base64.b64encode(LETTER.encode()).decode()
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["study", "findings", "impression"], ["1.2.3.4", LETTER, PAGE]])
    (report,) = read_reports(tmp_path / "t.csv").of(("1.2.3.4",), "")
    assert report.text == f"{PLAIN}\n{PLAIN}".replace("\xa0", " ", 2).replace(" mm", "\xa0mm", 1)
    escaped = LETTER.replace("\\", "\\E\\").replace("~", "\\R\\")
    for observation in (f"OBX|1|FT|&GDT||{escaped}||||||F", f"OBX|1|ED|&GDT||^TEXT^RTF^Base64^{packed}||||||F"):
        (found,) = hl7_reports(message(observation))
        assert found.text == f"Findings:\n{PLAIN}"
    body = f"<nonXMLBody><text mediaType='application/rtf' representation='B64'>{packed}</text></nonXMLBody>"
    assert PLAIN in cda_report(document(body=body).encode()).text
    form = {"contentType": "application/rtf", "data": packed}
    resource = {"resourceType": "DiagnosticReport", "status": "final", "presentedForm": [form]}
    (found,) = fhir_reports(json.dumps(resource).encode())
    assert found.text == PLAIN


@pytest.mark.parametrize("text", [LETTER, PAGE])
def test_names_in_markup_leave_the_corpus(tmp_path, dicom, noise, text):
    dicom.write(tmp_path / "in", noise(4, 5, 4), StudyInstanceUID="1.2.3.4", PatientName="Kaputnik^Alma")
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["study", "text"], ["1.2.3.4", text]])
    convert_dicom(tmp_path / "in", tmp_path / "corpus", reports=tmp_path / "t.csv", workers=1)
    (caption,) = Corpus(tmp_path / "corpus").table("captions")["text"].to_pylist()
    assert caption.replace("\xa0", " ") == "FINDINGS:\nNo effusion.\n5 mm nodule.\nSeen by Dr. ___."
