"""Side, place, size, severity, change and number of findings, judged by hand."""

import pytest

from voxtile_medical.reports.extract import facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.quantities.sizes import sizes
from voxtile_medical.reports.rows import attribute_values

CASES = [
    ("Unchanged 4 mm nodule.", "pulmonary_nodule", {"size_mm": [4.0], "change": "stable"}),
    ("There is no change in the 8 mm nodule.", "pulmonary_nodule", {"size_mm": [8.0], "change": "stable"}),
    (
        "1.2 x 0.8 cm nodule in the right upper lobe.",
        "pulmonary_nodule",
        {"size_mm": [12.0, 8.0], "laterality": "right", "location": "upper lobe"},
    ),
    ("RLL nodule, 5 mm.", "pulmonary_nodule", {"size_mm": [5.0], "laterality": "right", "location": "lower lobe"}),
    (
        "Nodule measuring 7 x 6 x 5 mm in the lingula.",
        "pulmonary_nodule",
        {"size_mm": [7, 6, 5], "laterality": "left", "location": "lingula"},
    ),
    ("Several nodules of up to 3-5 mm.", "pulmonary_nodule", {"size_mm": [5.0], "number": "multiple"}),
    (
        "Small bilateral effusions, right greater than left.",
        "pleural_effusion",
        {"laterality": "bilateral", "severity": "small"},
    ),
    ("Effusions on the right and on the left.", "pleural_effusion", {"laterality": "bilateral"}),
    ("The left effusion has increased.", "pleural_effusion", {"laterality": "left", "change": "increased"}),
    (
        "New consolidation at the left base.",
        "consolidation",
        {"laterality": "left", "location": "base", "change": "new"},
    ),
    ("Severe scoliosis.", "scoliosis", {"severity": "severe"}),
    ("The heart is mildly enlarged.", "cardiomegaly", {"severity": "mild"}),
    ("Borderline cardiomegaly.", "cardiomegaly", {"severity": "borderline"}),
    ("Compression fracture of T8.", "vertebral_fracture", {"location": "T8"}),
    (
        "Hypodense lesion in segment VII of the liver, 2 cm.",
        "liver_lesion",
        {"location": "liver segment 7", "size_mm": [20]},
    ),
    (
        "4 mm calculus in the lower pole of the left kidney.",
        "renal_stone",
        {"size_mm": [4.0], "laterality": "left", "location": "lower pole"},
    ),
    ("Right pneumothorax and left effusion.", "pneumothorax", {"laterality": "right"}),
    ("Right pneumothorax and left effusion.", "pleural_effusion", {"laterality": "left"}),
    ("Endotracheal tube tip 5 cm above the carina.", "endotracheal_tube", {}),
    ("No effusion on either side.", "pleural_effusion", {}),
    ("No effusion on the left.", "pleural_effusion", {"laterality": "left"}),
    ("No large effusion.", "pleural_effusion", {"severity": "large"}),
    ("The edema has resolved.", "pulmonary_edema", {"change": "resolved"}),
]


@pytest.mark.parametrize(("text", "concept", "expected"), CASES, ids=[f"{c[1]}: {c[0]}" for c in CASES])
def test_attributes_judged_by_hand(text: str, concept: str, expected: dict[str, object]):
    (fact,) = (fact for fact in facts_of_report(text, load_lexicon()) if fact.concept == concept)
    assert attribute_values(fact.attributes) == expected


def test_two_findings_of_one_kind_stay_two_and_repetitions_join_them():
    report = (
        "FINDINGS: 4 mm nodule in the right upper lobe. 9 mm nodule in the left lower lobe.\n"
        "IMPRESSION: 1. Nodule in the left lower lobe. 2. Right upper lobe nodule, unchanged."
    )
    facts = [fact for fact in facts_of_report(report, load_lexicon()) if fact.concept == "pulmonary_nodule"]
    assert [attribute_values(fact.attributes) for fact in facts] == [
        {"laterality": "left", "location": "lower lobe", "size_mm": [9.0]},
        {"laterality": "right", "location": "upper lobe", "size_mm": [4.0], "change": "stable"},
    ]
    assert [len(fact.evidence) for fact in facts] == [2, 2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5mm", [(5.0,)]),
        ("5-mm", [(5.0,)]),
        ("2.5 cm", [(25.0,)]),
        ("2,5 cm", [(25.0,)]),
        ("1 inch", [(25.4,)]),
        ("3 by 4 centimeters", [(30.0, 40.0)]),
        ("12 mm × 8 mm", [(12.0, 8.0)]),
        ("5 to 7 mm", [(7.0,)]),
        ("4 mm and 1 cm", [(4.0,), (10.0,)]),
        ("slice thickness 5 mm slices", []),
        ("2 cm from the carina", []),
        ("in 2019", []),
        ("T8 and L1", []),
        ("250 mm2", []),
    ],
)
def test_sizes_are_in_millimetres(text: str, expected: list[tuple[float, ...]]):
    assert [size.mm for size in sizes(text) if not size.problem] == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("A 4 km nodule.", "absurd-size"),
        ("A nodule of 900 mm.", "absurd-size"),
        ("A nodule of 0.001 mm.", "absurd-size"),
        ("A nodule measuring 4.", "size-without-unit"),
        ("A 4 x 5 nodule.", "size-without-unit"),
    ],
)
def test_impossible_sizes_are_named_and_not_taken(text: str, reason: str):
    reading = read_report(text, load_lexicon())
    (problem,) = reading.problems
    assert (problem.reason, text in problem.detail) == (reason, True)
    (fact,) = reading.facts
    assert (fact.concept, fact.attributes.size_mm) == ("pulmonary_nodule", ())


def test_organs_are_measured_but_the_size_of_a_finding_is_its_own():
    report = (
        "Volume of the left kidney 152.5 mL. Spleen: mean attenuation -4 HU. "
        "The longest diameter of the nodule is 9 mm."
    )
    reading = read_report(report, load_lexicon())
    assert [(m.concept, m.region, m.value, m.unit, m.laterality) for m in reading.measurements] == [
        ("volume", "left kidney", 152.5, "ml", "left"),
        ("mean attenuation", "spleen", -4.0, "HU", None),
    ]
    (fact,) = reading.facts
    assert fact.attributes.size_mm == (9.0,)


@pytest.mark.parametrize(
    ("sentence", "side"),
    [
        ("Nodule in the middle lobe.", "right"),
        ("Left nodule in the middle lobe.", "left"),
        ("Nodules in the left upper lobe and the middle lobe.", "bilateral"),
    ],
)
def test_a_side_that_is_written_counts_before_that_of_the_only_lobe(sentence: str, side: str):
    [fact] = facts_of_report(sentence, load_lexicon())
    assert fact.attributes.laterality == side


@pytest.mark.parametrize(
    ("report", "concept", "polarity"),
    [
        ("No shift of midline structures.", "midline_shift", "absent"),
        ("No displacement of the trachea.", "mediastinal_shift", "absent"),
        ("There is no shift of the mediastinum.", "mediastinal_shift", "absent"),
        ("No displacement of the fracture of the distal radius.", "fracture", "present"),
        ("No angulation of the fracture.", "fracture", "present"),
    ],
)
def test_a_shift_is_denied_and_the_fracture_that_is_not_displaced_is_there(report: str, concept: str, polarity: str):
    assert {fact.concept: fact.polarity for fact in facts_of_report(report, load_lexicon())}[concept] == polarity
