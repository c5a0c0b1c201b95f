"""Reports to facts: sentences that radiologists write, judged by hand."""

import json
from pathlib import Path

import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile_medical.reports.command import facts_from_reports
from voxtile_medical.reports.extract import ReportFact, facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.text.sections import sentences
from voxtile_medical.reports.vocabulary import load_vocabulary

CASES = [
    (
        "No pleural effusion, pneumothorax, or focal consolidation.",
        {"pleural_effusion": "absent", "pneumothorax": "absent", "consolidation": "absent"},
    ),
    ("Heart size is normal.", {"cardiomegaly": "absent"}),
    ("The heart is not enlarged.", {"cardiomegaly": "absent"}),
    ("The cardiac silhouette is mildly enlarged.", {"cardiomegaly": "present"}),
    ("Small left pleural effusion without pneumothorax.", {"pleural_effusion": "present", "pneumothorax": "absent"}),
    ("A pneumothorax cannot be excluded.", {"pneumothorax": "uncertain"}),
    ("Possible small hiatal hernia.", {"hiatal_hernia": "uncertain"}),
    ("There is no change in the 8 mm nodule of the right lower lobe.", {"pulmonary_nodule": "present"}),
    ("Ascites is not seen.", {"ascites": "absent"}),
    (
        "No effusion, but there is a consolidation in the right base.",
        {"pleural_effusion": "absent", "consolidation": "present"},
    ),
    ("Pericardial effusion is present.", {"pericardial_effusion": "present"}),
    (
        "4 mm calculus in the lower pole of the left kidney without hydronephrosis.",
        {"renal_stone": "present", "hydronephrosis": "absent"},
    ),
    ("Vertebral body heights are maintained.", {"vertebral_fracture": "absent"}),
    ("Wedge deformity of T8 with loss of height.", {"vertebral_fracture": "present"}),
    ("The spleen is enlarged.", {"splenomegaly": "present"}),
    ("Hypodense lesion in the right hepatic lobe.", {"liver_lesion": "present"}),
    ("The abdominal aorta is normal in calibre.", {"aortic_aneurysm": "absent"}),
]


def ct_findings(text: str) -> list[ReportFact]:
    lexicon = load_lexicon()
    return load_vocabulary("ct-findings", lexicon).facts(read_report(text, lexicon))


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[c[0][:40] for c in CASES])
def test_sentences_judged_by_hand(text: str, expected: dict[str, str]) -> None:
    assert {f.concept: f.polarity for f in ct_findings(text)} == expected


def test_indication_and_comparison_are_not_findings() -> None:
    report = "INDICATION: rule out pneumothorax.\nCOMPARISON: pleural effusion last year.\nFINDINGS: Cardiomegaly."
    assert {f.concept for f in facts_of_report(report, load_lexicon())} == {"cardiomegaly"}


def test_an_affirmed_finding_survives_a_later_denial_of_others() -> None:
    (fact,) = facts_of_report("Nodule in the left upper lobe. No other nodules.", load_lexicon())
    assert (fact.polarity, fact.attributes.laterality) == ("present", "left")
    assert fact.evidence == ("Nodule in the left upper lobe.",)


def test_decimals_and_lists_do_not_split_sentences() -> None:
    found = [s.text for s in sentences("IMPRESSION:\n1. Nodule of 4.5 mm.\n2. No effusion.")]
    assert found == ["Nodule of 4.5 mm.", "No effusion."]


def test_the_command_writes_facts_with_evidence_and_an_open_scope(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    report = "FINDINGS: Large right pleural effusion. No nodule. IMPRESSION: Right pleural effusion."
    row = {"caption_id": "c", "uid": "u", "text": report, "kind": "raw"}
    append_rows(corpus, "captions", "test", [row, {**row, "caption_id": "d", "text": "A caption.", "kind": "template"}])
    facts_from_reports(corpus, engine="inline")
    tables = Corpus(corpus)
    facts = {f["concept"]: f for f in tables.table("facts").to_pylist()}
    assert {c: f["polarity"] for c, f in facts.items()} == {"pleural_effusion": "present", "pulmonary_nodule": "absent"}
    assert json.loads(facts["pleural_effusion"]["attributes"]) == {
        "evidence": ["Large right pleural effusion.", "Right pleural effusion."],
        "laterality": "right",
        "severity": "large",
        "spans": [[22, 38], [69, 85]],
    }
    (scope,) = tables.table("scopes").to_pylist()
    assert not scope["closed"]
    assert "pneumothorax" in scope["concepts"]


def test_a_lexicon_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no lexicon 'dental'; give .*radiology"):
        facts_from_reports(tmp_path, lexicon=Path("dental"))


def test_a_vocabulary_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'chexpert-14'"):
        facts_from_reports(tmp_path, vocabulary="chexpert14")


def test_a_corpus_without_reports_is_refused(tmp_path: Path) -> None:
    new_corpus(tmp_path / "corpus")
    with pytest.raises(InputError, match="--reports"):
        facts_from_reports(tmp_path / "corpus", engine="inline")


def test_a_file_that_is_no_lexicon_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("version: 1")
    with pytest.raises(InputError, match="concepts with terms"):
        facts_from_reports(tmp_path, lexicon=tmp_path / "words.yaml")
