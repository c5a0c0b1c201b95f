"""An alarm needs evidence: what a row holds in any words is known, and what is not understood is left open."""

import json

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.judging.countries import words_for_country
from voxtile_datasets.captions.checker.parts import are_apart, named_parts
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()


def known(facts, *, closed=(), metadata=None):
    rows = [
        {"concept": name, "polarity": polarity, "value": value, "unit": unit, "attributes": json.dumps(attributes)}
        for name, polarity, value, unit, attributes in facts
    ]
    scopes = [{"vocabulary": "v", "closed": bool(closed), "concepts": list(closed) or [row["concept"] for row in rows]}]
    return Known(rows, scopes, metadata=metadata or {"modality": "CT"})


def fact(name, value=None, unit=None, /, polarity="present", **attributes):
    return name, polarity, value, unit, attributes


PANCREAS = [fact("pancreatic_lesion", 18, "mm", location="head"), fact("biliary_dilatation", severity="moderate")]
KNEE = [fact("arthritis", laterality="left", severity="severe", location="medial compartment")]
NODULES = [
    fact("pulmonary_nodule", 2, "count"),
    fact("pulmonary_nodule", 6, "mm", laterality="right", location="right upper lobe"),
    fact("pulmonary_nodule", 4, "mm", laterality="left", location="left lower lobe"),
]
SPREAD = [
    fact("bone_metastasis", location="T8"),
    fact("bone_metastasis", location="L3"),
    fact("bone_metastasis", laterality="right", location="ilium"),
    fact("bone_metastasis", laterality="left", location="sixth rib"),
]
BLEED = [fact("intracranial_haemorrhage", 32, "mm", laterality="left"), fact("midline_shift", 6, "mm")]
STONES = [fact("renal_stone", 7, "mm", laterality="right"), fact("hydronephrosis", polarity="absent")]
ADENOMA = [fact("adrenal_adenoma", 21, "mm", laterality="left")]
EFFUSION = [fact("pleural_effusion", laterality="bilateral")]
TEAR = [fact("meniscal_tear", laterality="right", location="posterior horn, medial meniscus")]
DEPOSITS = [
    fact("nodal_metastasis", 6.4, "SUVbw", laterality="left", location="left hilum"),
    fact("lung_mass", laterality="left", location="left upper lobe"),
]
GENERAL = ["pulmonary_nodule", "lung_mass", "pleural_effusion"]
HEALTHY = [fact("normal"), fact("pneumonia", polarity="absent")]
PNEUMONIA = [fact("normal", polarity="absent"), fact("pneumonia")]
LEFT_AND_RIGHT = [fact("adrenal_mass", 31, "mm", laterality="left"), fact("renal_stone", 9, "mm", laterality="right")]
BODIES = [
    # What stands in brackets behind a name is of it, whatever parts it there.
    (LEFT_AND_RIGHT, (), "CT: adrenal mass (31 mm; left), renal stone (9 mm; right).", "supported"),
    (LEFT_AND_RIGHT, (), "A renal stone (9 mm, left).", "contradicted"),
    (LEFT_AND_RIGHT, (), "A renal stone (9 mm; left).", "contradicted"),
    # A place by words that mean one only beside others.
    (PANCREAS, (), "An 18 mm lesion of the pancreatic head.", "supported"),
    (PANCREAS, (), "An 18 mm lesion in the tail of the pancreas.", "contradicted"),
    (KNEE, (), "Severe arthritis of the medial compartment.", "supported"),
    (KNEE, (), "Severe arthritis of the lateral compartment.", "contradicted"),
    # Several rows of one finding, each with its own place.
    (SPREAD, (), "Skeletal metastases: T8, L3, right ilium, left sixth rib.", "supported"),
    (NODULES, (), "Nodules: RUL 6 mm, LLL 4 mm.", "supported"),
    (NODULES, (), "Nodules: RUL 4 mm, LLL 6 mm.", "contradicted"),
    (NODULES, (), "One nodule in each lung.", "supported"),
    # A measurement of what the text names in other words.
    (BLEED, (), "A left-sided intracranial haemorrhage that has nudged everything across by 6 mm.", "supported"),
    (BLEED, (), "A left-sided intracranial haemorrhage of 9 mm.", "contradicted"),
    (BLEED, (), "Intracranial haemorrhage of three point two centimetres.", "supported"),
    (TEAR, (), "Tear of the lateral meniscus.", "contradicted"),
    (TEAR, (), "Tear of the posterior horn of the medial meniscus.", "supported"),
    (DEPOSITS, (), "A lung mass of the left side with spread to a hilar gland.", "supported"),
    (DEPOSITS, (), "A left lung mass of the lower lobe.", "contradicted"),
    # Advice, and not a time that has passed.
    (NODULES, (), "Two lung nodules, unchanged in two years.", "unknown"),
    (NODULES, (), "Two lung nodules. Repeat in twelve months.", "unsupported"),
    # Denials of something narrower than what is there.
    (NODULES, GENERAL, "Two lung nodules; no mass.", "supported"),
    (ADENOMA, (), "The left adrenal gland holds an adenoma, not a metastasis.", "unknown"),
    (STONES, (), "A stone in the right kidney; the collecting system is not dilated.", "supported"),
    (STONES, (), "There is no sign that urine is backing up.", "supported"),
    (PANCREAS, ["pancreatic_lesion", "biliary_dilatation", "liver_lesion"], "The liver is normal.", "supported"),
    # A size denies a goitre, of which these facts say nothing, and no nodule.
    ([fact("thyroid_nodule", 16, "mm")], (), "The thyroid is of ordinary size, with a nodule of 16 mm.", "unknown"),
    (
        [fact("thyroid_nodule", 16, "mm"), fact("goiter", polarity="absent")],
        (),
        "The thyroid is of ordinary size, with a nodule of 16 mm.",
        "supported",
    ),
    (STONES, ["renal_stone", "bladder_stone"], "A right renal stone; the bladder holds no stone.", "supported"),
    (STONES, ["renal_stone", "bladder_stone"], "The kidneys hold no stone.", "contradicted"),
    (EFFUSION, (), "Pleural fluid on one side only.", "contradicted"),
    ([fact("cardiomegaly")], (), "This scan is far from normal.", "supported"),
    # A denial whose verb is part of it says the whole, once.
    (HEALTHY, ["normal", "pneumonia"], "The image shows no abnormality.", "supported"),
    (HEALTHY, ["normal", "pneumonia"], "The image shows an abnormality.", "contradicted"),
    (PNEUMONIA, ["normal", "pneumonia"], "The image shows no abnormality.", "contradicted"),
    # A general word with the size of the fact is no other thing.
    ([fact("liver_cyst", 23, "mm")], ["liver_cyst"], "A simple cyst of 23 mm.", "unknown"),
    ([fact("lung_mass", 31, "mm")], ["lung_mass"], "A sliver of a lung mass, 31 mm.", "unknown"),
]
DATES = {"modality": "CT", "prior": "2022-10-11", "datetime": "2024-11-20"}
SAND = [fact("beach", position="centre"), fact("groyne", 5, "count")]
ICE = [fact("sea_ice", 0.7, "1", position="north"), fact("sea", 0.3, "1", position="south")]
MANGROVES = [fact("mangroves", 0.4, "1", position="south"), fact("river")]
HOUSES = [fact("house", 25, "count")]
SCENES = [
    (SAND, ["beach", "groyne", "pier"], {}, "No pier, not a soul on the sand.", "supported"),
    (SAND, ["beach", "groyne", "pier"], {}, "No beach.", "contradicted"),
    (HOUSES, ["house"], {}, "Families are having breakfast in the twenty-five houses.", "unsupported"),
    (HOUSES, ["house"], {}, "Twenty-five houses, to the neighbours' delight.", "unknown"),
    (HOUSES, ["house"], {"country": "Egypt"}, "Twenty-five houses of an Egyptian village.", "unknown"),
    (HOUSES, ["house"], {"country": "Egypt"}, "Twenty-five houses in an Italian landscape.", "unsupported"),
    (HOUSES, ["house"], {"datetime": "2021-06-10", "prior": "2016-06-04"}, "In June 2016: 25 houses.", "supported"),
    (HOUSES, ["house"], {"datetime": "2016-09-03", "season": "autumn"}, "25 houses at the end of summer.", "supported"),
    (
        HOUSES,
        ["house"],
        {"datetime": "2016-10-23", "season": "autumn"},
        "25 houses at the end of summer.",
        "contradicted",
    ),
    (ICE, (), {}, "Seven tenths of the sea is frozen.", "supported"),
    (ICE, (), {}, "The sea covers seven tenths.", "contradicted"),
    (MANGROVES, (), {}, "Rice paddies make up 40 % of the tile.", "unsupported"),
    (MANGROVES, (), {}, "Mangroves make up 40 % of the tile, broadleaf .25, rice 0.", "unknown"),
    (HOUSES, ["house"], {}, "Between 2014 and 2020 25 houses.", "unsupported"),
    (
        [fact("moss and lichen", 0.3, "1", position="north")],
        (),
        {},
        "Spruce forest along the southern edge.",
        "unknown",
    ),
]


@pytest.mark.parametrize(("facts", "closed", "text", "wanted"), BODIES)
def test_an_alarm_on_a_body_needs_evidence(facts, closed, text, wanted):
    verdict = check(text, known(facts, closed=closed), VOCABULARIES["medical"])
    assert verdict.verdict == wanted, verdict.faults


@pytest.mark.parametrize(("facts", "closed", "row", "text", "wanted"), SCENES)
def test_an_alarm_on_a_scene_needs_evidence(facts, closed, row, text, wanted):
    verdict = check(text, known(facts, closed=closed, metadata={"gsd_m": 10} | row), VOCABULARIES["remote_sensing"])
    assert verdict.verdict == wanted, verdict.faults


def test_a_date_is_known_under_whatever_name_a_row_holds_it():
    sample = known([fact("pulmonary_fibrosis", change="progressed")], metadata=DATES)
    assert check("Fibrosis that has progressed since October 2022.", sample, VOCABULARIES["medical"]).verdict != (
        "unsupported"
    )
    assert check("Fibrosis, compared with June 2019.", sample, VOCABULARIES["medical"]).verdict == "unsupported"


def test_an_attribute_names_the_kind_of_a_tumour():
    sample = known(
        [fact("benign_tumour", 45, "mm", kind="leiomyoma")], closed=["benign_tumour"], metadata={"organ": "uterus"}
    )
    assert check("A leiomyoma of 45 mm.", sample, VOCABULARIES["pathology"]).verdict == "supported"
    assert check("A lipoma of 45 mm.", sample, VOCABULARIES["pathology"]).verdict != "supported"


def test_words_for_a_part_contradict_only_on_their_own_axis():
    assert are_apart(("tail",), ("head",)) is True
    assert are_apart(("tail",), ("body", "and", "tail")) is False
    assert are_apart(("lateral",), ("upper",)) is None
    assert list(named_parts(("the", "head", "of", "the", "gland"))) == [(1, 2)]
    assert list(named_parts(("the", "humeral", "head", "of", "a", "man"))) == []


def test_a_country_lends_its_adjectives_and_regions():
    assert {"egyptian", "african"} <= words_for_country("Egypt")
    assert words_for_country("Italian") >= {"italian", "european", "mediterranean"}
    assert not words_for_country("Atlantis")
