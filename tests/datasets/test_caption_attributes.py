"""Attributes of facts in whatever form they were written: what they measure, and what a caption of them may say."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile_datasets.captions.checker.attributes import leaves, measurements
from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
SCOPE = [{"vocabulary": "v", "closed": True, "concepts": ["carcinoma", "tumour", "necrosis", "lesion"]}]
FORMS = [
    {"size_mm": [31, 22]},
    {"size_mm": 31},
    {"size": "3.1 cm"},
    {"size": "31 x 22 mm"},
    {"diameter": {"value": 31, "unit": "mm"}},
    {"diameter_mm": {"value": 31}},
    {"measurements": {"longestAxis_mm": 31.0}},
    {"greatest_dimension_cm": 3.1},
    {"measured": 3.1, "measured_unit": "cm"},
]
WILD = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["size_mm", "count", "severity", "location", "laterality", "change", "position", "x", "unit"])


def known(concept, attributes, metadata=None):
    fact = {"concept": concept, "polarity": "present", "value": None, "unit": None, "attributes": attributes}
    return Known([fact], SCOPE, metadata=metadata or {})


@pytest.mark.parametrize("attributes", FORMS)
def test_a_measurement_is_read_in_each_form(attributes):
    found = [pair for leaf in leaves(attributes) for pair in measurements(leaf)]
    assert ("length", pytest.approx(31.0, rel=0.03)) in found


@pytest.mark.parametrize("attributes", FORMS)
@pytest.mark.parametrize(
    ("text", "wanted"), [("A carcinoma of 31 mm.", "supported"), ("A carcinoma of 8 cm.", "contradicted")]
)
def test_a_caption_is_held_against_each_form(attributes, text, wanted):
    assert check(text, known("carcinoma", attributes), VOCABULARIES["pathology"]).verdict == wanted


@pytest.mark.parametrize(
    ("text", "attributes", "metadata", "wanted"),
    [
        # A grade under any name is known, and another one is wrong.
        ("Carcinoma, grade 2.", {"severity": "grade 2"}, {"organ": "breast"}, "supported"),
        ("Moderately differentiated carcinoma.", {"grading": {"WHO": "grade 2"}}, {"organ": "skin"}, "supported"),
        ("Carcinoma, grade 3.", {"severity": "grade 2"}, {"organ": "breast"}, "contradicted"),
        # The primary site of a metastasis is no other organ of the picture.
        ("Colonic carcinoma in the liver.", {}, {"organ": "liver", "primary": "colon"}, "supported"),
        ("Gastric carcinoma in the liver.", {}, {"organ": "liver", "primary": "colon"}, "contradicted"),
        # A part of an organ is another than its neighbour.
        ("Carcinoma of the rectum.", {}, {"organ": "colon", "site": "ascending colon"}, "contradicted"),
        ("Carcinoma of the large bowel.", {}, {"organ": "colon", "site": "ascending colon"}, "supported"),
        # Antibodies and receptors.
        ("Carcinoma, CD20 immunostain.", {}, {"stain": "IHC CD8", "organ": "colon"}, "contradicted"),
        ("Carcinoma, CD8 immunostain.", {}, {"stain": "IHC CD8", "organ": "colon"}, "supported"),
        ("Carcinoma, ER+ HER2-.", {"receptors": {"ER": "positive", "HER2": "negative"}}, {"stain": "H&E"}, "supported"),
        ("Carcinoma, HER2 positive.", {"receptors": {"HER2": "negative"}}, {"stain": "H&E"}, "contradicted"),
        # Directions of a change.
        ("The carcinoma has grown since the last biopsy.", {"change": "larger now"}, {"organ": "skin"}, "supported"),
        ("The carcinoma has grown since the last biopsy.", {"change": "decreased"}, {"organ": "skin"}, "contradicted"),
        ("Progression since the last examination.", {"change": "decreased"}, {"organ": "skin"}, "contradicted"),
        ("Improvement since the last examination.", {"change": "decreased"}, {"organ": "skin"}, "supported"),
        # Counts, and doubts by a mark.
        ("Carcinomas ×5.", {"count": 5}, {"magnification": "40x"}, "supported"),
        ("?necrosis", {}, {"organ": "skin"}, "supported"),
    ],
)  # fmt: skip
def test_what_a_row_holds_under_any_name_is_known(text, attributes, metadata, wanted):
    facts = known("carcinoma", attributes, metadata)
    if text.startswith("?"):
        facts.facts[0].update(concept="necrosis", polarity="uncertain")
    verdict = check(text, facts, VOCABULARIES["pathology"])
    assert verdict.verdict == wanted, verdict.faults


@settings(max_examples=60, deadline=None)
@given(attributes=st.dictionaries(KEYS, WILD, max_size=4), metadata=st.dictionaries(KEYS, WILD, max_size=3))
def test_no_attribute_breaks_the_checker(attributes, metadata):
    for domain, concept in (("pathology", "carcinoma"), ("medical", "pulmonary_nodule")):
        facts = known(concept, attributes, metadata)
        assert check("A lesion of 8 mm on the left, grade 2, two of them.", facts, VOCABULARIES[domain]).verdict


@pytest.mark.parametrize("key", ["evidence", "midline"])
def test_where_the_midline_comes_from_is_no_place_of_what_was_measured(key):
    told = {"region": "esophageal tumour", "laterality": "midline", key: "both sides of lower lobe"}
    rows = [
        {
            "concept": "esophageal_tumour",
            "polarity": "present",
            "value": 21.0,
            "unit": "mm",
            "source": "masks/finding@1",
        }
        | {"attributes": {"region": "esophageal tumour", "size_mm": [21.0, 6.0, 14.0]}},
        {"concept": "laterality", "polarity": "present", "value": -4.9, "unit": "mm", "attributes": told}
        | {"source": "measurements/laterality@1"},
    ]
    scopes = [{"vocabulary": "masks", "closed": False, "concepts": []}]
    for text in ("Mediastinum: Esophageal tumor, 21 x 6 x 14 mm.", "An esophageal tumor of the mediastinum."):
        assert check(text, Known(rows, scopes), VOCABULARIES["medical"]).verdict != "contradicted"
