"""What lies beside images in other forms: marked-up reports, tables and workbooks, vocabularies, requests, places."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

from target import Target, as_text, file_of, texts

from voxtile.errors import InputError
from voxtile.serve.assisting.chat_request import asked, read_request
from voxtile.serve.assisting.refusals import RefusedError
from voxtile.words.other_languages import is_of_another
from voxtile.words.question_language import require_language
from voxtile_datasets.captions.label_table import read_labels
from voxtile_datasets.deidentification.replace import deidentified
from voxtile_datasets.intake.deidentify import parse_date
from voxtile_datasets.intake.reports_file import read_reports
from voxtile_datasets.intake.tables import _sheet, read_side_table
from voxtile_datasets.plain_text import plain_text
from voxtile_datasets.report_reading.judge import read_judgement
from voxtile_medical.concept_tags.vocabulary import read_vocabulary
from voxtile_medical.mentions.sentences import mentions_of
from voxtile_medical.recipes.volumes.lidc_readings import read_nodules, series_of
from voxtile_remote_sensing.footprints.layer import read_layer
from voxtile_remote_sensing.metadata.gazetteer import load_gazetteer
from voxtile_remote_sensing.metadata.sun import parse_moment

_RTF = (
    r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0\fcharset238 Arial;}}\f0 M\'fcller\par \u252 ?\uc0\u8211{\*\x y}\tab No "
    r"effusion.\line{\pict 00}}"
)
_HTML = (
    "<!DOCTYPE html><html><head><style>p {a}</style></head><body><!-- x --><p class='a > b'>M&uuml;ller &#252;<br/>"
    "<table><tr><td>Lung</td><td>5 &lt; 6</td></tr></table></body></html>"
)
_DATES = "Seen 12 marzo 2020, 2020年3月12日, 12 Mart 2020, 3.4.2019 and on May 3rd; Dr. Müller, M. D., Tel. 030 12345."
_MENTION = "FINDINGS: A nodule in the left lung (series 3, image 41-43) with SUVmax 5.1 and 12 x 8 mm."
_REPORTS = 'study;text\r\n1;"No ""effusion"", <b>none</b>"\r\n2;a\\nb\r\n'
_LIDC = (
    '<LidcReadMessage xmlns="http://www.nih.gov"><ResponseHeader><CTSeriesInstanceUid>1.2.3</CTSeriesInstanceUid>'
    "</ResponseHeader><readingSession><unblindedReadNodule><noduleID>a</noduleID><characteristics><subtlety>5</subtlety>"
    "</characteristics><roi><imageZposition>-1.5</imageZposition><imageSOP_UID>1.2</imageSOP_UID><inclusion>TRUE"
    "</inclusion><edgeMap><xCoord>1</xCoord><yCoord>2</yCoord></edgeMap><edgeMap><xCoord>3</xCoord><yCoord>2</yCoord>"
    "</edgeMap></roi></unblindedReadNodule></readingSession></LidcReadMessage>"
)
_RRF = "C1|ENG|P|L1|PF|S1|Y|A1||||SNOMEDCT_US|PT|1|Nodule|0|N|256|\n" * 2
_CHAT = {
    "model": "voxtile", "max_tokens": 9, "temperature": 0.5, "stop": ["a"], "stream": False, "messages": [
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "voxtile:" + "0" * 32}},
                                     {"type": "text", "text": "Is there an effusion?"}]},
        {"role": "assistant", "content": "No."}, {"role": "user", "content": "And a nodule?"}],
}  # fmt: skip
_PLACES = json.dumps({"type": "FeatureCollection", "features": [{
    "type": "Feature", "properties": {"class": "['water', 'forest']", "text": "a lake"}, "geometry": {
        "type": "Polygon", "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0]]]}}]})  # fmt: skip
_JUDGED = '[{"kind": "false_prediction", "words": "an effusion", "significant": true}]'
_TRAINED = ("Is there a pleural effusion?", "Where is the nodule?")


def _chat(data: bytes) -> None:
    asked(read_request(data))


def _nodules(data: bytes) -> None:
    path = file_of(data, "lidc/a.xml")
    if series_of(path) is not None:
        read_nodules(path)


def _workbook(data: bytes) -> None:
    """A supervised process reads it, and whatever it raises is told as one sentence."""
    try:
        _sheet(file_of(data, "side/a.xlsx"))
    except Exception as error:
        raise InputError("reading the workbook fails") from error


def _workbooks() -> Iterator[bytes]:
    import openpyxl

    book = openpyxl.Workbook()
    book.active.append(["study", "text"])
    book.active.append([7, "No effusion"])
    book.active["A2"].number_format = "000"
    stream = io.BytesIO()
    book.save(stream)
    yield stream.getvalue()


def _labels(data: bytes) -> None:
    table = read_side_table(file_of(data, "side/labels.tsv"))
    read_labels(table)


def _dates(data: bytes) -> None:
    text = as_text(data)
    parse_date(text)
    parse_moment(text)


TARGETS = (
    Target("marked-up report", lambda data: plain_text(as_text(data)), texts(_RTF, _HTML, "a\\nb \\.br\\ &amp;")),
    Target("de-identified report", lambda data: deidentified(as_text(data), ["Müller^J"]), texts(_DATES, _RTF, _HTML)),
    Target("sentence with an SUV", lambda data: list(mentions_of(as_text(data))), texts(_MENTION)),
    Target(
        "another language", lambda data: is_of_another(as_text(data)), texts("Kein Erguss. Sin derrame.", "无 effusion")
    ),
    Target(
        "language of a question",
        lambda data: require_language(as_text(data)[:4000], _TRAINED),
        texts("Gibt es einen Erguss?", "¿Hay derrame?", "Sjögren?"),
    ),
    Target(
        "table of reports",
        lambda data: read_reports(file_of(data, "side/reports.csv")),
        lambda: [_REPORTS.encode(), _REPORTS.encode("utf-16"), _REPORTS.replace(";", "\t").encode("utf-16-le")],
    ),
    Target(
        "table of labels",
        _labels,
        lambda: [
            b"uid\tclass\nx\tCT|MR\ny\tNA\n",
            b"study\ta\tb\n1\t1,0\t\n2\t0\t-1\n",
            "uid,Ärger\r\nx,ja\r\n".encode("utf-16"),
        ],
    ),
    Target("workbook", _workbook, _workbooks),
    Target("vocabulary of concepts", lambda data: read_vocabulary(file_of(data, "side/a.rrf")), texts(_RRF)),
    Target(
        "table of concepts", lambda data: read_vocabulary(file_of(data, "side/c.csv")), texts("term,code\nnodule,1\n")
    ),
    Target("readings of LIDC", _nodules, texts(_LIDC)),
    Target(
        "gazetteer",
        lambda data: load_gazetteer(file_of(data, "side/g.csv")),
        texts("name,lat,lon,country\nBern,46.9,7.4,CH\n"),
    ),
    Target("labelled places", lambda data: read_layer(file_of(data, "side/p.geojson")), texts(_PLACES)),
    Target("moments", _dates, texts("2020-01-01T10:00:00Z", "20200101", "2020.01.01")),
    Target("chat", _chat, texts(json.dumps(_CHAT)), (RefusedError,)),
    Target(
        "judgement of a draft",
        lambda data: read_judgement(as_text(data), "No effusion.", "An effusion."),
        texts(_JUDGED),
    ),
)
