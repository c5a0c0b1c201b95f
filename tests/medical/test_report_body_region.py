"""Words that name another finding in another part of the body, and what "no other abnormality" closes there."""

import pytest

from voxtile_medical.reports.extract import facts_of_report, read_report
from voxtile_medical.reports.lexicon import load_lexicon


def read(text: str) -> dict[str, str]:
    return {fact.concept: fact.polarity for fact in facts_of_report(text, load_lexicon())}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("Large effusion.", "pleural_effusion", "present"),
        ("MRI left knee. Menisci are intact. Large effusion.", "joint_effusion", "present"),
        ("Intact cruciate ligaments, no effusion.", "joint_effusion", "absent"),
        ("There is a mass.", "lung_mass", "present"),
        ("MAMMOGRAM. There is an irregular mass.", "breast_mass", "present"),
        ("Kidneys: no hydronephrosis, no mass.", "renal_mass", "absent"),
        ("The lungs and the liver are normal. There is no mass.", "lung_mass", "absent"),
        ("Thyroid: the isthmus is thin. A nodule of 9 mm is seen on the left.", "thyroid_nodule", "present"),
        ("CT HEAD. No hemorrhage.", "intracranial_haemorrhage", "absent"),
        ("MAMMOGRAM. Stable scar, no new mass.", "breast_mass", "absent"),
        ("The isthmus is normal. Punctate microcalcification of a nodule.", "thyroid_nodule", "present"),
        ("MRA circle of Willis: no aneurysm.", "intracranial_aneurysm", "absent"),
        ("The aorta is normal. No aneurysm.", "aortic_aneurysm", "absent"),
        ("Liver abscess. Another abscess beside the gallbladder.", "liver_abscess", "present"),
        ("Fracture of the head of the femur. No mass in either lung.", "lung_mass", "absent"),
    ],
)
def test_a_word_is_read_as_what_it_means_in_the_region(text: str, concept: str, polarity: str):
    assert read(text).get(concept) == polarity


def test_what_a_word_means_in_the_chest_is_not_read_elsewhere():
    assert not read("Adrenal nodule, density 34 HU.").keys() & {"lung_opacity", "pulmonary_nodule"}
    assert "pulmonary_edema" not in read("Ankle: oedema of the talus.")


def test_no_other_abnormality_closes_what_the_examination_shows():
    lexicon = load_lexicon()
    closed = set(read_report("MRI of the knee: joint effusion. No other abnormality.", lexicon).closed)
    assert {"meniscal_tear", "joint_effusion"} <= closed
    assert not closed & {"meningioma", "pneumothorax", "liver_lesion"}
    closed = set(read_report("Unremarkable examination.", lexicon).closed)
    assert {"pneumothorax", "liver_lesion"} <= closed
    assert not closed & {"meningioma", "meniscal_tear", "breast_mass"}


def test_readings_elsewhere_are_concepts():
    lexicon = load_lexicon()
    for concept, phrases in lexicon.elsewhere.items():
        for words in phrases.first_words():
            found = phrases.longest_at([words], 0)
            for region, other in dict(found[1][0]).items() if found else ():
                assert other is None or other in lexicon.concepts, (concept, region, other)
                assert region == "other" or any(c.region == region for c in lexicon.concepts.values()), region
