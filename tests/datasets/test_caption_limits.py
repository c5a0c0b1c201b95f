"""What bounds a claim: sizes from above and below, sides and grades that are denied, places that a denial excepts."""

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

MEDICAL, GROUND = (installed_vocabularies()[name] for name in ("medical", "remote_sensing"))


def fact(concept, polarity="present", **rest):
    return {"concept": concept, "polarity": polarity, "value": None, "unit": None, "attributes": None} | rest


FACTS = [
    fact("pulmonary_nodule", value=8.0, unit="mm", attributes={"laterality": "left", "location": "upper lobe"}),
    fact("pleural_effusion", attributes={"laterality": "right", "severity": "small"}),
    fact("pneumothorax", "absent"),
]


def verdict(text):
    return check(text, Known(FACTS, ()), MEDICAL).verdict


@pytest.mark.parametrize(
    ("limit", "truth"),
    [
        ("at most {}", lambda mm: mm >= 8),
        ("no more than {}", lambda mm: mm >= 8),
        ("no larger than {}", lambda mm: mm >= 8),
        ("no bigger than {}", lambda mm: mm >= 8),
        ("not larger than {}", lambda mm: mm >= 8),
        ("not exceeding {}", lambda mm: mm >= 8),
        ("that does not exceed {}", lambda mm: mm >= 8),
        ("{} or smaller", lambda mm: mm >= 8),
        ("≤ {}", lambda mm: mm >= 8),
        ("<= {}", lambda mm: mm >= 8),
        ("at least {}", lambda mm: mm <= 8),
        ("no smaller than {}", lambda mm: mm <= 8),
        ("not smaller than {}", lambda mm: mm <= 8),
        ("{} or larger", lambda mm: mm <= 8),
        ("{} or more", lambda mm: mm <= 8),
        ("≥ {}", lambda mm: mm <= 8),
        (">= {}", lambda mm: mm <= 8),
        ("up to {}", lambda mm: mm == 8),  # of a size it names the largest
    ],
)
def test_a_size_is_bounded_from_the_side_that_the_words_say(limit, truth):
    for size, written in ((4, "4 mm"), (8, "8 mm"), (16, "16 mm"), (4, "0.4 cm"), (16, "1.6 cm")):
        text = f"A left upper lobe nodule, {limit.format(written)}."
        assert verdict(text) == ("supported" if truth(size) else "contradicted"), text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The nodule is not on the left.", "contradicted"),
        ("The nodule is not on the right.", "supported"),
        ("The nodule lies not in the left upper lobe.", "contradicted"),
        ("The nodule lies not in the left lower lobe.", "supported"),
        ("The nodule lies not only in the left upper lobe.", "supported"),
        ("Nodule in the left, not the right, upper lobe.", "supported"),
        ("The effusion is not small.", "contradicted"),
        ("The effusion is not very small.", "contradicted"),
        ("The effusion is not large.", "supported"),
        ("A left nodule without necrosis in the upper lobe.", "supported"),  # the place is the nodule's
    ],
)
def test_a_side_place_or_grade_that_is_denied_is_not_taken_for_said(text, wanted):
    assert verdict(text) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("No pleural effusion except on the right.", "supported"),
        ("No pleural effusion except on the left.", "contradicted"),
        ("No pleural effusion, other than a small one on the right.", "supported"),
        ("No pleural effusion apart from a small one on the left.", "contradicted"),
        ("No nodule other than the one in the left upper lobe.", "supported"),
        ("No pneumothorax except for the effusion.", "supported"),
        ("No pleural effusion except for the nodule.", "contradicted"),
        ("Right-sided effusion, none on the left.", "supported"),
        ("Left-sided effusion, none on the right.", "contradicted"),
        ("Nodule in the left upper lobe and none on the right.", "supported"),
        ("Pleural effusion, none.", "contradicted"),
        ("Absence of pneumothorax and presence of a nodule.", "supported"),
        ("Absence of a nodule and presence of an effusion.", "contradicted"),
        ("No presence of pneumothorax.", "supported"),
        ("Pneumothorax has not developed.", "supported"),
        ("A nodule has not developed.", "contradicted"),
        ("Pneumothorax - absent.", "supported"),
        ("Nodule - absent.", "contradicted"),
        ("Nodule – negative.", "contradicted"),
    ],
)
def test_what_a_denial_leaves_out_is_there(text, wanted):
    assert verdict(text) == wanted


@pytest.mark.parametrize(
    ("side", "text", "wanted"),
    [
        ("right", "Effusion on the right, none on the left.", "supported"),
        ("right", "Right effusion but none on the left.", "supported"),
        ("bilateral", "Effusion on the right, none on the left.", "contradicted"),
        ("left", "Effusion on the right and none on the left.", "contradicted"),
    ],
)
def test_none_on_a_side_denies_that_side_alone(side, text, wanted):
    known = Known([fact("pleural_effusion", attributes={"laterality": side})], ())
    assert check(text, known, MEDICAL).verdict == wanted


@pytest.mark.parametrize(
    ("domain", "row", "text", "wanted"),
    [
        ("medical", ("pancreatic_mass", {"location": "head"}), "A tail of pancreas mass.", "contradicted"),
        ("medical", ("pancreatic_mass", {"location": "head"}), "A head of pancreas mass.", "supported"),
        ("medical", ("intracranial_haemorrhage", {"location": "thalamus"}), "Bleed in the putamen.", "contradicted"),
        ("pathology", ("lymph_node_metastasis", None), "Lymph node metastasis.", "contradicted"),
        ("pathology", ("nodal_metastasis", None), "Metastatic carcinoma in a lymph node.", "contradicted"),
        ("pathology", ("lymph_node_metastasis", None), "No metastasis in this lymph node.", "supported"),
        ("pathology", ("steatosis", 0.4), "Fatty change in 80% of hepatocytes.", "contradicted"),
        ("pathology", ("steatosis", 0.4), "Fatty change in 40% of hepatocytes.", "supported"),
    ],
)
def test_a_place_a_node_and_a_share_are_known_by_further_names(domain, row, text, wanted):
    concept, said = row
    share = {"value": said, "unit": "1"} if isinstance(said, float) else {"attributes": said}
    known = Known([fact(concept, "present" if said else "absent", **share)], ())
    assert check(text, known, installed_vocabularies()[domain]).verdict == wanted


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("Fewer than {} buildings.", lambda n: n > 12),
        ("At most {} buildings.", lambda n: n >= 12),
        ("No more than {} buildings.", lambda n: n >= 12),
        ("At least {} buildings.", lambda n: n <= 12),
        ("{} or more buildings.", lambda n: n <= 12),
    ],
)
@pytest.mark.parametrize("number", [5, 30])
def test_a_count_is_bounded_likewise(text, truth, number):
    known = Known([fact("building", value=12.0, unit="count")], ())
    found = check(text.format(number), known, GROUND)
    assert found.verdict == ("supported" if truth(number) else "contradicted"), found.faults
