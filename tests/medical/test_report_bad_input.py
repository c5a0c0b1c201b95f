"""Reports that are none: another language, no text, far too much text, impossible sizes. The others are not harmed."""

import json
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, append_rows, new_corpus
from voxtile_datasets.captions.checker.command import check_captions
from voxtile_datasets.captions.command import caption_by_template
from voxtile_medical.reports.command import facts_from_reports
from voxtile_medical.reports.compose.command import describe_with_report
from voxtile_medical.reports.extract import facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.text.language import other_language

GERMAN = (
    "Kein Nachweis eines Pneumothorax. Das Herz ist nicht vergrößert. Die Lunge ist frei, kein Erguss auf der Seite."
)
FRENCH = (
    "Pas de pneumothorax. Le coeur est de taille normale. Il n'y a pas d'épanchement dans la plèvre du côté gauche."
)
SPANISH = (
    "No se observa neumotórax. El corazón es de tamaño normal. Los pulmones están sin derrame en el lado izquierdo."
)
RUSSIAN = "Пневмоторакс не определяется. Сердце не увеличено. Легкие прозрачны."
TELEGRAPHIC = "Heart size normal. Lungs clear. Small left effusion, unchanged. Degenerative spine."


@pytest.mark.parametrize("text", [GERMAN, FRENCH, SPANISH, RUSSIAN])
def test_other_languages_are_recognised(text: str):
    assert other_language(text, load_lexicon().words()) is not None


@pytest.mark.parametrize("text", [TELEGRAPHIC, "", "...", "Effusion.", "No change. XXXX XXXX."])
def test_english_is_not_taken_for_another_language(text: str):
    assert other_language(text, load_lexicon().words()) is None


def test_bad_reports_are_rows_of_the_ledger_and_the_rest_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    texts = {
        "german": GERMAN,
        "endless": "There is a nodule. " * 60_000,
        "absurd": "FINDINGS: 4 km nodule.",
        "unit": "FINDINGS: Nodule measuring 4.",
        "empty": "",
        "bare": "small left effusion",
        "nul": "FINDINGS: Large\0right pleural effusion.\0",
        "good": "FINDINGS: Cardiomegaly.",
    }
    rows = [{"caption_id": uid, "uid": uid, "text": text, "kind": "raw"} for uid, text in texts.items()]
    append_rows(corpus, "captions", "test", rows)
    start = time.process_time()
    facts_from_reports(corpus, engine="inline")
    assert time.process_time() - start < 10
    assert "the reports of 1 sample are in another language than English, and nothing" in capsys.readouterr().err
    facts = Corpus(corpus).table("facts").to_pylist()
    assert {(f["uid"], f["concept"], f["value"]) for f in facts} == {
        ("absurd", "pulmonary_nodule", None),
        ("unit", "pulmonary_nodule", None),
        ("bare", "pleural_effusion", None),
        ("nul", "pleural_effusion", None),
        ("good", "cardiomegaly", None),
    }
    ledger = [row for path in (corpus / "ledger").glob("*.parquet") for row in pq.read_table(path).to_pylist()]
    reasons = {row["uid"]: row["reason"] for row in ledger if row["uid"]}
    assert reasons["german"].startswith("report-not-english")
    assert reasons["endless"].startswith("report-too-long")
    assert reasons["absurd"].startswith("absurd-size")
    assert reasons["unit"].startswith("size-without-unit")
    assert not {"good", "nul", "bare", "empty"} & reasons.keys()
    scopes = {row["uid"] for row in Corpus(corpus).table("scopes").to_pylist()}
    assert not scopes & {"german", "endless"}


@pytest.mark.sweep(ci=True)
@pytest.mark.parametrize(
    "text",
    [
        "nodule " * 28_000,
        "no effusion, " * 15_000,
        "0 x " * 50_000,
        "FINDINGS " * 22_000,
        "(" * 200_000,
        "a" * 200_000,
        "A: " * 60_000,
    ],
    ids=["one word", "no full stop", "numbers", "headings", "brackets", "one letter", "organ headings"],
)
def test_the_longest_text_that_is_read_takes_bounded_time(text: str):
    start = time.process_time()
    facts_of_report(text, load_lexicon())
    assert time.process_time() - start < 20


def test_nothing_is_read_from_nothing():
    reading = read_report(" \n\0", load_lexicon())
    assert (reading.facts, reading.closed, reading.problems) == ((), (), ())


def test_of_facts_that_contradict_each_other_one_is_said(tmp_path: Path):
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    writer = JobWriter(corpus, "images")
    sample = {"uid": "u", "subject": "u", "kind": "volume", "modality": "CT", "axes": "ZYX"}
    writer.add(Sample(sample, np.zeros((2, 2, 2), np.int16)))
    writer.publish()
    told = [
        ("pneumothorax", "present", {"laterality": "left"}),
        ("pneumothorax", "absent", {}),
        ("cardiomegaly", "uncertain", {}),
        ("cardiomegaly", "absent", {}),
        ("pulmonary_nodule", "present", {"laterality": "left", "size_mm": [8.0]}),
        ("pulmonary_nodule", "present", {"laterality": "right", "size_mm": [8.0]}),
    ]
    rows = [
        {"uid": "u", "concept": concept, "polarity": polarity, "source": "reports@3"}
        | {"attributes": json.dumps(attributes)}
        for concept, polarity, attributes in told
    ]
    append_rows(corpus, "facts", "test", rows)
    describe_with_report(corpus, style="structured", engine="inline")
    describe_with_report(corpus, style="narrative", engine="inline")
    caption_by_template(corpus, absent=99, engine="inline")
    texts = [row["text"] for row in Corpus(corpus).table("captions").to_pylist()]
    assert len(texts) == 3
    lexicon = load_lexicon()
    for text in texts:
        assert {
            (fact.concept, fact.polarity, fact.attributes.laterality) for fact in facts_of_report(text, lexicon)
        } == {
            ("pneumothorax", "present", "left"),
            ("cardiomegaly", "uncertain", None),
            ("pulmonary_nodule", "present", "left"),
            ("pulmonary_nodule", "present", "right"),
        }, text
    check_captions(corpus, engine="inline")
    assert {row["verdict"] for row in Corpus(corpus).table("verdicts").to_pylist()} == {"supported"}
