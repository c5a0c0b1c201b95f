"""Which of several findings a statement is of: two of one size are two where the report counts them apart."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.vocabulary import load_vocabulary

# Two findings of one size, of which one is said without a place.
APART = [
    "Bone lesion 1: 8 x 7 x 6 mm, at T12. Bone lesion 2: 8 x 7 x 6 mm.",
    "Lesion 1: 12 mm liver lesion in segment 4. Lesion 2: 12 mm liver lesion.",
    "Target lesion 1: liver metastasis, segment 7, 2.1 cm. Target lesion 2: liver metastasis, 2.1 cm.",
    "Liver lesion #1 measures 14 mm in segment 4. Liver lesion #2 measures 14 mm.",
    "Hepatic cyst A: 10 mm, segment 2. Hepatic cyst B: 10 mm.",
    "There is a 5 mm nodule in the right upper lobe. A second 5 mm nodule is seen.",
    "A 6 mm renal stone lies in the lower pole. Another 6 mm renal stone is present.",
    "8 mm pulmonary nodule in the left lower lobe. Additional 8 mm pulmonary nodule.",
    "One 3 mm renal stone in the lower pole and another 3 mm renal stone.",
    "First pulmonary nodule: 7 mm, left lower lobe. Second pulmonary nodule: 7 mm.",
    "The first nodule is 4 mm, in the right upper lobe. The second nodule is 4 mm.",
    "Renal cyst in the upper pole measuring 22 mm. A further renal cyst measuring 22 mm.",
    "Splenic lesion (9 mm). An additional splenic lesion (9 mm).",
    "Two bone lesions at T12 measure 8 x 8 x 6 mm each. Two further bone lesions measure 8 x 8 x 6 mm each.",
    "Thyroid nodule 1 (12 mm). Thyroid nodule 2 (12 mm).",
    "Nodule number 1 is 9 mm, left upper lobe. Nodule number 2 is 9 mm.",
]
# One finding, said twice, or with a number that counts something else.
ONE = [
    "8 mm nodule in the right upper lobe. IMPRESSION: 8 mm nodule.",
    "8 mm nodule in the right upper lobe. The nodule measures 8 mm.",
    "FINDINGS: A second 5 mm nodule in the right upper lobe. IMPRESSION: 5 mm nodule.",
    "Fracture of the second rib. Second rib fracture.",
    "5 mm nodule in the left lower lobe. Further evaluation of the 5 mm nodule is advised.",
    "Liver lesion 12 mm in segment 4. Liver lesion (series 4, image 52).",
    "Pulmonary nodule 1 cm. Pulmonary nodule in the right lower lobe, 1 cm.",
    "Grade 1 spondylolisthesis at L4. Spondylolisthesis, grade 2 previously, now grade 1.",
    "Lesion 1: 12 mm liver lesion. Lesion 1 is in segment 4: liver lesion, unchanged.",
    "Segment 4: 12 mm liver lesion. Liver lesion of 12 mm.",
    "Pulmonary nodule 3 months ago, now 5 mm. Pulmonary nodule of 5 mm.",
    "FINDINGS: Liver lesion 2: 12 mm, segment 4. IMPRESSION: 1. Liver lesion 1 of 12 mm.",
    "Pulmonary nodule 10 mm in the right lower lobe. Pulmonary nodule 1 cm in the right lower lobe.",
]


def present(report: str) -> list[tuple[str, object]]:
    facts = load_vocabulary("general", load_lexicon()).facts(read_report(report, load_lexicon()))
    return [(fact.concept, fact.attributes) for fact in facts if fact.polarity == "present"]


@pytest.mark.parametrize("report", APART)
def test_findings_that_a_report_counts_apart_are_two(report: str):
    found = present(report)
    assert len(found) == 2, found
    assert len({concept for concept, _ in found}) == 1


@pytest.mark.parametrize("report", ONE)
def test_a_finding_that_is_said_twice_is_one(report: str):
    assert len(present(report)) == 1, present(report)


def test_another_counts_from_those_before_it():
    report = "4 mm nodule in the left lower lobe. Another 4 mm nodule. Another 4 mm nodule in the right upper lobe."
    assert len(present(report)) == 3


def test_the_size_of_the_largest_is_that_of_those_that_are_counted():
    report = (
        "There are five bladder masses, the largest measuring 31 mm. Two bladder masses measure 31 x 20 x 22 mm each."
    )
    assert {(a.count, a.size_mm) for _, a in present(report)} == {(5, (31.0,)), (2, (31.0, 20.0, 22.0))}
