"""Forms and tables in which each finding has its answer: rows of unequal columns, a row a joint, answers in a line."""

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon


def _read(text: str) -> set[tuple[str, str, str | None]]:
    facts = facts_of_report(text, load_lexicon())
    return {(fact.concept, fact.polarity, fact.attributes.laterality) for fact in facts}


@pytest.mark.parametrize(
    "text",
    [
        "Pneumothorax no / Nodule yes 6 mm",
        "Pneumothorax no Nodule yes 6 mm",
        "Pneumothorax  no\nNodule  yes  6 mm",
        "Finding  Present  Size\nPneumothorax  no\nNodule  yes  6 mm",
        "Finding | Present | Size\nPneumothorax | no\nNodule | yes | 6 mm",
        "Pneumothorax\tno\nNodule\tyes\t6 mm\tnew",
    ],
)
def test_each_row_has_its_own_answer(text: str) -> None:
    facts = facts_of_report(text, load_lexicon())
    assert [(fact.concept, fact.polarity) for fact in facts] == [
        ("pneumothorax", "absent"),
        ("pulmonary_nodule", "present"),
    ]
    assert facts[1].attributes.size_mm == (6.0,)


def test_a_row_a_joint_is_of_its_joint() -> None:
    table = "Joint | Effusion | Erosion\nRight knee | yes | no\nLeft knee | no | no\nRight wrist | no"
    read = _read(table)
    assert ("joint_effusion", "present", "right") in read
    assert ("joint_effusion", "present", "left") not in read
    assert ("bone_erosion", "absent", None) in read


def test_a_denial_before_a_slash_denies_what_follows() -> None:
    assert _read("There is no / minimal effusion.") == {("pleural_effusion", "absent", None)}


def test_sentences_with_two_spaces_between_them_are_no_table() -> None:
    read = _read("The heart is enlarged.  No effusion\nThe lungs are clear.  No nodule.  No mass")
    assert {("cardiomegaly", "present", None), ("pleural_effusion", "absent", None)} <= read


def test_what_an_old_inflammation_left_is_a_scar_and_no_pneumonia() -> None:
    band = _read("Fibrotic band in the right lung, unchanged in character from old inflammation.")
    assert {(concept, polarity) for concept, polarity, _ in band} == {("scar", "present")}
    assert {concept for concept, _, _ in _read("Inflammation of the right lung.")} == {"pneumonia"}
