"""Lesions in reports: of any organ, how many, and which statements are of the same one."""

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon


def read(text: str) -> list[tuple[str, str]]:
    return [(fact.concept, fact.polarity) for fact in facts_of_report(text, load_lexicon())]


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("There is a lesion of the gallbladder.", "gallbladder_lesion"),
        ("Gallbladder: 12 x 9 mm polypoid mass.", "gallbladder_lesion"),
        ("Hypoattenuating mass in the wall of the urinary bladder.", "bladder_lesion"),
        ("A 30 mm gastric mass is seen.", "gastric_lesion"),
        ("Circumferential tumour of the oesophagus.", "esophageal_lesion"),
        ("Mass in the sigmoid colon with upstream dilatation.", "bowel_lesion"),
        ("Duodenal polyp.", "duodenal_lesion"),
        ("Lesion in the prostate.", "prostatic_lesion"),
        ("Uterine mass, 6 cm.", "uterine_lesion"),
        ("Splenic lesion.", "splenic_lesion"),
        ("There is a cystic lesion in the spleen.", "splenic_lesion"),
        ("Rectal mass.", "rectal_lesion"),
    ],
)
def test_a_lesion_of_any_organ_is_read_by_its_organ(text: str, concept: str):
    assert (concept, "present") in read(text)


def test_a_lesion_is_one_finding_however_many_nouns_name_it():
    (fact,) = facts_of_report("A 12 x 9 mm hypoattenuating gallbladder mass in the fundus.", load_lexicon())
    assert fact.attributes.size_mm == (12.0, 9.0)
    assert read("No focal lesion of the pancreas, spleen or gallbladder.") == [
        ("gallbladder_lesion", "absent"),
        ("pancreatic_lesion", "absent"),
        ("splenic_lesion", "absent"),
    ]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Three hypoattenuating liver lesions are seen.", 3),
        ("Two 8 x 6 x 7 mm lesions in the gallbladder.", 2),
        ("12 liver lesions.", 12),
        ("There are nine pulmonary nodules in both lungs.", 9),
        ("One liver lesion.", None),
        ("Liver lesions.", None),
        ("A 12 mm liver lesion.", None),
        ("Segment 4 liver lesions.", None),
        ("Grade 2 renal lesions.", None),
        ("Liver lesions measuring 4 x 5 mm.", None),
        ("2 cm liver lesions.", None),
        ("Two cysts and liver lesions.", None),
        ("No two liver lesions.", None),
    ],
)
def test_how_many_there_are_is_read_in_the_noun_phrase_of_a_plural(text: str, count: int | None):
    found = [f for f in facts_of_report(text, load_lexicon()) if f.concept not in ("renal_cyst",)]
    assert {fact.attributes.count for fact in found} == {count}


def test_the_number_of_lesions_is_not_said_of_one_of_them():
    text = "Two liver lesions. A 42 x 31 mm liver lesion in segment 6. A 12 x 9 mm liver lesion in segment 2."
    found = {
        (f.attributes.count, f.attributes.size_mm, f.attributes.location) for f in facts_of_report(text, load_lexicon())
    }
    assert found == {
        (2, (), None),
        (None, (42.0, 31.0), "liver segment 6"),
        (None, (12.0, 9.0), "liver segment 2"),
    }


def test_the_largest_dimension_is_of_the_lesion_that_has_it():
    text = "42 x 31 x 38 mm liver lesion in segment 6. Impression: 4.2 cm liver lesion in segment 6."
    (fact,) = facts_of_report(text, load_lexicon())
    assert fact.attributes.size_mm == (42.0, 31.0, 38.0)
    other = "42 x 31 x 38 mm liver lesion in segment 6. 3.1 cm liver lesion in segment 6."
    assert len(facts_of_report(other, load_lexicon())) == 2


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("The spleen is normal in size.", {"splenomegaly"}),
        ("The spleen is normal.", {"splenomegaly", "splenic_lesion"}),
        ("Liver and kidneys of normal size.", {"hepatomegaly", "nephromegaly", "small_kidneys"}),
        ("The pancreas is normal in size.", set()),
        ("The heart is normal in size.", {"cardiomegaly"}),
    ],
)
def test_a_normal_size_denies_only_what_is_a_size(text: str, absent: set[str]):
    assert {concept for concept, polarity in read(text) if polarity == "absent"} == absent
