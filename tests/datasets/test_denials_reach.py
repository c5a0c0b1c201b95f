"""How far a statement reaches: what denies one finding denies no other, and one that says more still does."""

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

MEDICAL = installed_vocabularies()["medical"]


def verdict(text, *facts):
    rows = [{"concept": concept, "polarity": polarity, "attributes": None} for concept, polarity in facts]
    return check(text, Known(rows, ()), MEDICAL).verdict


@pytest.mark.parametrize(
    ("text", "fact", "is_wrong"),
    [
        # the size of an organ is not all of it
        ("Heart size is within normal limits.", "pericardial_effusion", False),
        ("The size of the heart is normal.", "pericardial_effusion", False),
        ("The heart is not enlarged.", "pericardial_effusion", False),
        ("Heart size is within normal limits.", "cardiomegaly", True),
        ("The heart is not enlarged.", "cardiomegaly", True),
        ("The heart is normal.", "pericardial_effusion", True),
        ("Normal spleen size.", "splenic_lesion", False),
        ("Normal spleen size.", "splenomegaly", True),
        # clear of one thing
        ("The lungs are clear of consolidation.", "atelectasis", False),
        ("The lungs are clear of consolidation.", "consolidation", True),
        ("The lungs are free of nodules.", "ground_glass_opacity", False),
        ("The lungs are free of nodules.", "pulmonary_nodule", True),
        ("The lungs are clear.", "atelectasis", True),
        ("The kidneys are free of stones.", "renal_cyst", False),
        ("The kidneys are free of stones.", "renal_stone", True),
    ],
)
def test_what_is_normal_in_one_respect_may_have_something_else(text, fact, is_wrong):
    assert (verdict(text, (fact, "present")) == "contradicted") is is_wrong


def test_a_finding_of_one_kind_is_there_where_another_kind_is_denied():
    for text in ("Calcified plaque along the aorta.", "Calcified plaque of the right renal artery."):
        assert verdict(text, ("coronary_calcification", "absent")) != "contradicted"
        assert verdict(text, ("vascular_calcification", "absent")) == "contradicted"
    assert verdict("The sigmoid diverticula are acutely inflamed.", ("diverticulitis", "absent")) == "contradicted"


def test_a_healed_granuloma_is_no_nodule_of_those_that_are_denied():
    for text in ("Small calcified granuloma at the hilum.", "Old granulomatous calcification in the mediastinum."):
        assert verdict(text, ("pulmonary_nodule", "absent")) != "contradicted"
        assert verdict(text, ("granuloma", "absent")) == "contradicted"


def test_solid_lung_nodules_are_nodules_and_no_solid_lung():
    text = "Several solid lung nodules."
    assert verdict(text, ("consolidation", "absent"), ("pulmonary_nodule", "present")) == "supported"
    assert verdict("Solid lung in the right lower lobe.", ("consolidation", "absent")) == "contradicted"
