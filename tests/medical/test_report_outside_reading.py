"""Sentences of an outside reader: what is weighed, almost gone, measured now, ends somewhere, is not enlarged."""

from __future__ import annotations

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.facts import ReportFact
from voxtile_medical.reports.lexicon import load_lexicon


def _facts(text: str) -> dict[str, ReportFact]:
    return {fact.concept: fact for fact in facts_of_report(f"FINDINGS: {text}", load_lexicon())}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Pulmonary edema is less likely than infection.", {"pulmonary_edema": "uncertain", "pneumonia": "uncertain"}),
        ("Atelectasis is more likely than pneumonia.", {"atelectasis": "uncertain", "pneumonia": "uncertain"}),
        ("More consistent with atelectasis than pneumonia.", {"atelectasis": "present", "pneumonia": "uncertain"}),
        ("The nodes are denser than the calcified granuloma.", {"granuloma": "present"}),
        ("Atelectasis rather than pneumonia.", {"atelectasis": "present", "pneumonia": "absent"}),
        ("Pneumothorax completely resolved.", {"pneumothorax": "absent"}),
        ("The effusion has almost resolved.", {"pleural_effusion": "present"}),
        ("Interval resection of the right upper lobe nodule.", {"pulmonary_nodule": "absent"}),
        ("Status post resection of the renal mass.", {"renal_mass": "absent"}),
        ("Subtotal resection of the meningioma.", {"meningioma": "present"}),
        ("Right renal mass, planned for resection of the mass.", {"renal_mass": "present"}),
        ("The effusion is almost completely resolved.", {"pleural_effusion": "present"}),
    ],
)
def test_what_is_compared_is_not_denied_and_what_is_almost_gone_is_there(text: str, expected: dict[str, str]) -> None:
    found = _facts(text)
    assert {concept: found[concept].polarity for concept in expected} == expected


@pytest.mark.parametrize(
    ("text", "concept", "change"),
    [
        ("Interval increase in size of the bilateral pleural effusions.", "pleural_effusion", "increased"),
        ("Increased size of the nodule in the left lower lobe.", "pulmonary_nodule", "increased"),
        ("The pneumothorax has nearly completely resolved.", "pneumothorax", "decreased"),
        ("Near complete resolution of the effusion.", "pleural_effusion", "decreased"),
    ],
)
def test_a_change_is_that_of_the_finding_and_no_finding_by_itself(text: str, concept: str, change: str) -> None:
    (fact,) = _facts(text).values()
    assert (fact.concept, fact.polarity, fact.attributes.change) == (concept, "present", change)


@pytest.mark.parametrize(
    ("text", "size_mm"),
    [
        ("The previously noted 8 mm RUL nodule now measures 1.1 cm.", (11.0,)),
        ("A 5 mm nodule in the right upper lobe, now measuring 8 mm.", (8.0,)),
        ("The 12 x 10 mm pulmonary nodule is now 9 x 8 mm.", (9.0, 8.0)),
    ],
)
def test_the_size_is_that_of_now(text: str, size_mm: tuple[float, ...]) -> None:
    assert _facts(text)["pulmonary_nodule"].attributes.size_mm == size_mm


def test_two_nodules_of_one_sentence_keep_their_sizes() -> None:
    text = "There is a 5 mm nodule in the right upper lobe and the left lower lobe nodule now measures 8 mm."
    found = facts_of_report(text, load_lexicon())
    assert {(f.attributes.laterality, f.attributes.size_mm) for f in found} == {("right", (5.0,)), ("left", (8.0,))}


@pytest.mark.parametrize(
    ("text", "concept", "side"),
    [
        ("Left-sided pacemaker with leads in the right atrium and right ventricle.", "pacemaker", "left"),
        ("Left PICC with its tip in the right brachiocephalic vein.", "central_line", "left"),
        ("Right and left chest tubes end at the right and left apex.", "chest_tube", "bilateral"),
    ],
)
def test_where_a_device_ends_is_not_its_side(text: str, concept: str, side: str) -> None:
    assert _facts(text)[concept].attributes.laterality == side


def test_two_tubes_of_one_sentence_keep_their_sides() -> None:
    text = "Left chest tube terminates at the left apex, right chest tube terminates at the base."
    assert {f.attributes.laterality for f in facts_of_report(text, load_lexicon())} == {"left", "right"}


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("The spleen is not enlarged.", {"splenomegaly"}),
        ("The gallbladder is decompressed.", set()),
        ("Aorta is of normal caliber.", {"aortic_aneurysm"}),
        ("Bowel loops are nondilated.", {"bowel_obstruction"}),
    ],
)
def test_an_organ_that_is_not_enlarged_may_hold_a_lesion(text: str, denied: set[str]) -> None:
    found = _facts(text)
    assert set(found) == denied
    assert all(fact.polarity == "absent" for fact in found.values())


@pytest.mark.parametrize(
    ("text", "grades"),
    [
        ("Moderate central canal stenosis at L3-L4 and mild at L4-L5.", {"L3-L4": "moderate", "L4-L5": "mild"}),
        ("Spinal stenosis, severe at L4-L5 and mild at L3-L4.", {"L3-L4": "mild", "L4-L5": "severe"}),
        ("Moderate spinal stenosis at L2-L3 and L3-L4.", {"L2-L3": "moderate", "L3-L4": "moderate"}),
    ],
)
def test_each_level_has_the_grade_that_is_said_of_it(text: str, grades: dict[str, str]) -> None:
    found = facts_of_report(text, load_lexicon())
    assert {f.attributes.location: f.attributes.severity for f in found if f.concept == "spinal_stenosis"} == grades


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("The kidneys are nondilated.", {"hydronephrosis"}),
        ("The collecting systems are decompressed.", {"hydronephrosis"}),
        ("The aorta is undilated.", {"aortic_aneurysm"}),
        ("Bowel loops are decompressed.", {"bowel_obstruction"}),
        ("The kidneys are of normal size.", {"nephromegaly", "small_kidneys"}),
    ],
)
def test_what_is_not_dilated_denies_its_dilatation_alone(text: str, denied: set[str]) -> None:
    assert {fact.concept for fact in _facts(text).values() if fact.polarity == "absent"} == denied
