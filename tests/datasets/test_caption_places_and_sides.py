"""Places, sides, exceptions and comparisons in captions, with their neighbours, by sentences written for this test."""

import pytest
from caption_sentences import fact

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
CLAVICLE = [fact("clavicle_fracture", laterality="right")]
HUMERUS = [fact("fracture", laterality="right", location="humerus")]
ABSCESS = [fact("abscess", location="liver")]
CYSTS = [fact("renal_cyst", laterality="right", count=2, number="multiple")]
EFFUSIONS = [
    fact("pleural_effusion", laterality="left", severity="small"),
    fact("pleural_effusion", laterality="right", severity="large"),
]
NODULES = [
    fact("pulmonary_nodule", laterality="left", size_mm=[4.0]),
    fact("pulmonary_nodule", laterality="right", size_mm=[9.0]),
]
TWELVE = [fact("pulmonary_nodule", count=12, number="multiple")]
UPPER = [fact("pulmonary_nodule", laterality="left", location="upper lobe")]


@pytest.mark.parametrize(
    ("facts", "text", "verdict"),
    [
        # another bone, another organ
        (CLAVICLE, "A fracture of the right clavicle.", "supported"),
        (CLAVICLE, "A fracture on the right.", "supported"),
        (CLAVICLE, "Fracture of the right humerus.", "contradicted"),
        (HUMERUS, "Fracture of the proximal right humerus.", "supported"),
        (HUMERUS, "Fracture of the right femur.", "contradicted"),
        ([fact("left_femur")], "The left femur is shown.", "supported"),
        (ABSCESS, "An abscess in the liver.", "supported"),
        (ABSCESS, "An abscess of the spleen.", "contradicted"),
        ([fact("abscess")], "An abscess of the spleen.", "supported"),
        # what a statement of normality leaves out
        (CYSTS, "The kidneys are unremarkable apart from two cysts.", "supported"),
        (CYSTS, "Kidneys unremarkable except for two cysts on the right.", "supported"),
        (CYSTS, "The kidneys are unremarkable apart from three cysts.", "contradicted"),
        (CYSTS, "The kidneys are unremarkable.", "contradicted"),
        (CYSTS, "The kidneys are unremarkable apart from a stone.", "contradicted"),
        # which side has more
        (EFFUSIONS, "Bilateral pleural effusions, larger on the right than on the left.", "supported"),
        (EFFUSIONS, "Bilateral pleural effusions, larger on the left than on the right.", "contradicted"),
        (EFFUSIONS, "Bilateral pleural effusions, smaller on the left than on the right.", "supported"),
        (EFFUSIONS, "Pleural effusions, L > R.", "contradicted"),
        (NODULES, "The right nodule is larger than the left one.", "supported"),
        (NODULES, "The left nodule is larger than the right one.", "contradicted"),
        ([fact("pleural_effusion", laterality="bilateral")], "Effusions, left greater than right.", "supported"),
        # a count beside a word for many
        (TWELVE, "10 or more pulmonary nodules.", "supported"),
        (TWELVE, "20 or more pulmonary nodules.", "contradicted"),
        (TWELVE, "10 or fewer pulmonary nodules.", "contradicted"),
        # the vertebra on which another slips, and a sequence that is none
        ([fact("spondylolisthesis", location="L5")], "Anterolisthesis of L5 on S1.", "supported"),
        ([fact("spondylolisthesis", location="L5")], "Anterolisthesis of L4 on L5.", "contradicted"),
        ([fact("white_matter_lesions", location="periventricular")], "T2/FLAIR hyperintense lesions.", "supported"),
        # everywhere but there
        (UPPER, "A nodule in the left upper lobe; no nodules outside the left upper lobe.", "supported"),
        (UPPER, "A nodule in the left upper lobe. No nodules elsewhere.", "supported"),
        (UPPER, "No nodules outside the right lower lobe.", "contradicted"),
        (UPPER, "Nodules outside the left upper lobe.", "contradicted"),
        (UPPER, "No nodules in the left upper lobe.", "contradicted"),
    ],
)
def test_places_and_sides_are_compared(facts, text, verdict):
    assert check(text, Known(facts, []), VOCABULARIES["medical"]).verdict == verdict


@pytest.mark.parametrize(
    ("text", "if_free", "if_involved"),
    [
        ("No margin is involved.", "supported", "contradicted"),
        ("None of the margins is involved.", "supported", "contradicted"),
        ("The margins are free.", "supported", "contradicted"),
        ("A margin is involved.", "contradicted", "supported"),
    ],
)
def test_a_text_of_margins_alone_is_judged(text, if_free, if_involved):
    for polarity, verdict in (("absent", if_free), ("present", if_involved), ("uncertain", "unknown")):
        facts = [fact("margin_involvement", polarity)]
        assert check(text, Known(facts, []), VOCABULARIES["pathology"]).verdict == verdict


@pytest.mark.parametrize(
    ("domain", "concept", "text", "verdict"),
    [
        ("pathology", "dysplasia", "Indefinite for dysplasia.", "supported"),
        ("pathology", "dysplasia", "Dysplasia is seen.", "unsupported"),
        ("pathology", "follicular_lymphoma", "Features favor a follicular lymphoma.", "supported"),
        ("medical", "pneumonia", "An opacity is felt to represent pneumonia.", "supported"),
    ],
)
def test_a_doubt_is_not_said_too_firmly(domain, concept, text, verdict):
    facts = [fact(concept, "uncertain"), fact("lung_opacity")]
    assert check(text, Known(facts, []), VOCABULARIES[domain]).verdict == verdict


def test_a_diagnosis_is_not_denied_with_the_marker_that_supports_it():
    facts = [fact("p40", "absent", status="negative"), fact("lung_adenocarcinoma")]
    text = "Negative for p40, supporting lung adenocarcinoma."
    assert check(text, Known(facts, []), VOCABULARIES["pathology"]).verdict == "supported"


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("Melanoma, Breslow thickness 1.2 mm, ulceration absent.", "supported"),
        ("Melanoma and ulceration absent.", "contradicted"),
        ("Melanoma, ulceration are absent.", "contradicted"),
    ],
)
def test_absent_alone_is_said_of_its_own_part(text, verdict):
    facts = [fact("melanoma"), fact("ulceration", "absent"), fact("breslow_thickness", value=1.2, unit="mm")]
    assert check(text, Known(facts, []), VOCABULARIES["pathology"]).verdict == verdict
