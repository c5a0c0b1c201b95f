"""Sides by context, levels one by one, sizes of today, addenda that correct, denials elsewhere, what is not read."""

import json
from pathlib import Path

import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.writer import append_rows, new_corpus
from voxtile.words.tokens import words_of
from voxtile_medical.reports.command import facts_from_reports
from voxtile_medical.reports.extract import ReportFact, read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.quantities.levels import levels
from voxtile_medical.reports.quantities.sizes import current, sizes


def facts(report: str, concept: str, polarity: str = "present") -> list[ReportFact]:
    reading = read_report(report, load_lexicon())
    return [f for f in (*reading.facts, *reading.elsewhere) if f.concept == concept and f.polarity == polarity]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("T9, T10 and L3", ["T9", "T10", "L3"]),
        ("T4-T7", ["T4", "T5", "T6", "T7"]),
        ("T11 through L2", ["T11", "T12", "L1", "L2"]),
        ("L3-4", ["L3", "L4", "L3-L4"]),
        ("L4/5", ["L4", "L5", "L4-L5"]),
        ("L5-S1", ["L5", "L5-S1"]),
        ("L2/3 to L4/5", ["L2", "L3", "L4", "L5", "L2-L3", "L3-L4", "L4-L5"]),
        ("ribs 4 through 7", ["rib 4", "rib 5", "rib 6", "rib 7"]),
        ("the 3rd, 4th and 6th ribs", ["rib 3", "rib 4", "rib 6"]),
        ("fifth to seventh ribs", ["rib 5", "rib 6", "rib 7"]),
        ("rib 5, 8 mm nodule", ["rib 5"]),
        ("T2 weighted, 12 mm", []),
        ("the 5th metatarsal", []),
        ("T15", []),
    ],
)
def test_vertebrae_and_ribs_are_named_one_by_one(text: str, places: list[str]):
    assert [match.payload[1] for match in levels(words_of(text))] == places


def test_a_label_says_where_all_of_its_line_is():
    (fact,) = facts("Left side: no effusion, but a pneumothorax.", "pneumothorax")
    assert fact.attributes.laterality == "left"
    (fact,) = facts("T5: collapse with a compression fracture.", "vertebral_fracture")
    assert fact.attributes.location == "T5"
    (fact,) = facts("Effusion and pneumothorax, all on the right.", "pleural_effusion")
    assert fact.attributes.laterality == "right"


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        (
            "Both kidneys are well seen and in neither of them, whatever the window, any calculus.",
            "renal_stone",
            "absent",
        ),
        ("Kidneys: normal size; on the left, a stone.", "renal_stone", "present"),
        ("Ovaries: left, a cyst of 3 cm; right, no cyst.", "ovarian_cyst", "absent"),
    ],
)
def test_an_organ_that_opens_a_sentence_is_that_of_all_of_it(text: str, concept: str, polarity: str):
    assert facts(text, concept, polarity)


def test_another_name_of_a_thing_has_its_side_and_size():
    (fact,) = facts("Left kidney lesion of 14 mm, most likely a renal cyst.", "renal_cyst", "uncertain")
    assert (fact.attributes.laterality, fact.attributes.size_mm) == ("left", (14.0,))
    (fact,) = facts("Opacity in the right lower lobe, consistent with pneumonia.", "pneumonia")
    assert (fact.attributes.laterality, fact.attributes.location) == ("right", "lower lobe")
    (fact,) = facts("Left effusion. Pneumonia.", "pneumonia")
    assert fact.attributes.laterality is None


def test_discs_lie_between_vertebrae():
    found = facts("Disc bulges at L3-4 and L5-S1.", "disc_bulge")
    assert sorted(str(fact.attributes.location) for fact in found) == ["L3-L4", "L5-S1"]


def test_each_level_is_a_fact():
    found = facts("Compression fractures of T5, T6 and L2.", "vertebral_fracture")
    assert sorted(str(fact.attributes.location) for fact in found) == ["L2", "T5", "T6"]
    found = facts("Acute fractures of the left ribs 6 through 8.", "rib_fracture")
    assert [(f.attributes.laterality, f.attributes.location) for f in found] == [
        ("left", "rib 6"), ("left", "rib 7"), ("left", "rib 8"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "mm"),
    [
        ("Nodule now 9 mm, previously 6 mm.", [(9.0,)]),
        ("Nodule of 9 mm (prior 6 mm).", [(9.0,)]),
        ("Nodule, 9 mm, formerly 6 x 5 mm.", [(9.0,)]),
        ("Nodule, 6 mm in 2019, 9 mm today.", [(9.0,)]),
        ("Increased from 6 mm to 9 mm.", [(9.0,)]),
        ("Decreased from 9 to 6 mm.", [(6.0,)]),
        ("Shrunk to 6 mm from 9 mm.", [(6.0,)]),
        ("It was 4 x 3 cm; currently 5 x 3 cm.", [(50.0, 30.0)]),
        ("The nodule was 12 mm.", [(12.0,)]),
        ("The cyst is now 10 mm, then 7 mm.", [(10.0,)]),
        ("Nodules ranging from 3 to 9 mm.", [(9.0,)]),
        ("1.2 cm, earlier 9 mm", [(12.0,)]),
        ("cyst 8 mm two years ago", []),
        ("2 cm from the carina", []),
        ("nodule, 20 ± 5 mm", [(20.0,)]),
        ("nodule of 20 mm (+/- 5 mm), cyst 12 mm", [(20.0,), (12.0,)]),
        ("nodule of 2 plus or minus 0.5 cm", [(20.0,)]),
        ("nodule of 20 mm ± 10 %", [(20.0,)]),
    ],
)
def test_sizes_are_those_of_today(text: str, mm: list[tuple[float, ...]]):
    assert [size.mm for size in current(sizes(text))] == mm


def test_a_size_that_follows_belongs_to_what_was_named():
    (fact,) = facts("There is a nodule in the left lower lobe. It measures 14 mm.", "pulmonary_nodule")
    assert (fact.attributes.size_mm, len(fact.evidence)) == ((14.0,), 2)
    (fact,) = facts("Pulmonary nodule, was 8 mm; currently 11 mm.", "pulmonary_nodule")
    assert fact.attributes.size_mm == (11.0,)
    (fact,) = facts("Nodule in the left lung.\nSpleen: largest extent 277 mm.", "pulmonary_nodule")
    assert fact.attributes.size_mm == ()  # of an organ


@pytest.mark.parametrize(
    ("text", "concept", "side"),
    [
        ("Right chest tube. Ipsilateral effusion.", "pleural_effusion", "right"),
        ("Left pneumonectomy. Effusion on the opposite side.", "pleural_effusion", "right"),
        ("Left effusion with adjacent atelectasis.", "atelectasis", "left"),
        ("Effusion on the right, not on the left.", "pleural_effusion", "right"),
        ("The effusion described on the left is in fact on the right.", "pleural_effusion", "right"),
        ("EXAM: MRI of the left shoulder\nFINDINGS: Fracture.", "fracture", "left"),
        ("Small effusion. Atelectasis.", "atelectasis", None),
        ("Lungs (right): clear. Pleura: effusion on the left.", "pleural_effusion", "left"),
    ],
)
def test_sides_by_context(text: str, concept: str, side: str | None):
    (fact,) = facts(text, concept)
    assert fact.attributes.laterality == side


def test_some_of_them_have_a_side_and_a_size_of_their_own():
    found = facts(
        "Cysts in both kidneys, the larger on the left at 3 cm, the smaller on the right at 1 cm.", "renal_cyst"
    )
    assert {(f.attributes.laterality, f.attributes.size_mm) for f in found} >= {("left", (30.0,)), ("right", (10.0,))}


@pytest.mark.parametrize(
    "text",
    [
        "Effusion on the left, none on the right.",
        "Left: small effusion. Right: no effusion.",
        "Moderate left effusion; right, no effusion.",
        "| | Left | Right |\n|---|---|---|\n| Pleura | effusion | no effusion |",
    ],
)
def test_denied_elsewhere(text: str):
    (present,), (absent,) = facts(text, "pleural_effusion"), facts(text, "pleural_effusion", "absent")
    assert (present.attributes.laterality, absent.attributes.laterality) == ("left", "right")


def test_a_denial_of_the_same_side_is_nothing_apart():
    reading = read_report("Left effusion. No left effusion now. No new effusion.", load_lexicon())
    assert reading.elsewhere == ()


@pytest.mark.parametrize(
    ("text", "concept", "expected"),
    [
        ("Small left effusion.\nADDENDUM: No effusion.", "pleural_effusion", ("absent", None)),
        ("Left effusion.\nADDENDUM: The effusion is on the right.", "pleural_effusion", ("present", "right")),
        ("No effusion.\nAddendum #2: There is a left effusion.", "pleural_effusion", ("present", "left")),
        ("Left effusion.\nADDENDUM: No right effusion.", "pleural_effusion", ("present", "left")),
    ],
)
def test_an_addendum_corrects(text: str, concept: str, expected: tuple[str, str | None]):
    found = [fact for fact in read_report(text, load_lexicon()).facts if fact.concept == concept]
    assert [(fact.polarity, fact.attributes.laterality) for fact in found] == [expected]


def test_facts_point_to_their_words():
    report = "FINDINGS:\nLungs: no consolidation.\nThere is a small L eff, and  pneumothorax."
    reading = read_report(report, load_lexicon())
    words = {fact.concept: [report[slice(*span)] for span in fact.spans] for fact in reading.facts}
    assert words["consolidation"] == ["consolidation"]
    assert words["pleural_effusion"] == ["eff"]
    assert words["pneumothorax"] == ["pneumothorax"]


def test_what_is_not_read_is_counted_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    report = "FINDINGS: Small left effusion, none on the right. The quibble is frobnicated. Heart is normal."
    reading = read_report(report, load_lexicon())
    assert [report[slice(*span)] for span in reading.unread] == ["The quibble is frobnicated."]
    corpus = tmp_path / "corpus"
    new_corpus(corpus)
    append_rows(corpus, "captions", "test", [{"caption_id": "a", "uid": "a", "text": report, "kind": "raw"}])
    facts_from_reports(corpus, vocabulary="general", engine="inline")
    assert "not read: 1 sentences of findings and impressions, in 1 reports" in " ".join(
        capsys.readouterr().out.split()
    )
    assert "sentence-not-read" in [row["reason"] for row in Corpus(corpus).ledger().to_pylist()]
    rows = {row["concept"]: json.loads(row["attributes"]) for row in Corpus(corpus).table("facts").to_pylist()}
    assert rows["pleural_effusion"]["absent_at"] == [{"laterality": "right"}]
    assert [report[slice(*span)] for span in rows["pleural_effusion"]["spans"]] == ["effusion"]


@pytest.mark.parametrize("denied", ["pneumonia", "pulmonary_edema", "pneumothorax", "consolidation"])
def test_no_acute_disease_denies_what_would_be_one(denied: str):
    (fact,) = facts("No acute cardiopulmonary disease.", denied, "absent")
    assert fact.evidence == ("No acute cardiopulmonary disease.",)
    assert not facts("There is acute cardiopulmonary disease.", denied)
