"""How far a word of denial, doubt or history reaches, by sentences written for this test."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon


def said(text):
    return {fact.concept: fact.polarity for fact in read_report(text, load_lexicon()).facts}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("History of pneumonia.", {}),
        ("History of pneumothorax, now with pleural effusion.", {"pleural_effusion": "present"}),
    ],
)
def test_what_was_is_no_finding(text, facts):
    assert said(text) == facts


@pytest.mark.parametrize(
    ("text", "denied", "stated"),
    [
        ("No pneumothorax, the heart is enlarged.", "pneumothorax", "cardiomegaly"),
        ("No pneumothorax, pleural effusion persists.", "pneumothorax", "pleural_effusion"),
        ("No pneumothorax, pleural effusion or pneumonia remains unchanged.", "pneumothorax", "pneumonia"),
        ("No effusion and the aorta is calcified.", "pleural_effusion", "vascular_calcification"),
    ],
)
def test_a_denial_ends_where_another_statement_has_its_own_verb(text, denied, stated):
    assert (said(text)[denied], said(text)[stated]) == ("absent", "present")


def test_versus_doubts_its_neighbours_alone():
    assert said("Pneumonia versus atelectasis.") == {"pneumonia": "uncertain", "atelectasis": "uncertain"}
    far = said("Pneumonia of the right lower lobe with volume loss at the left base versus atelectasis.")
    assert far == {"pneumonia": "present", "volume_loss": "present", "atelectasis": "uncertain"}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        # a relative clause between a finding and what is said of it
        ("A fistula of the rectum, which had worried the surgeons, is not depictable.", "fistula", "absent"),
        # what an earlier examination, or a record, says
        ("Outside CT (3 May) described a splenic infarct.", "splenic_infarct", None),
        ("The chart mentions a clavicle fracture.", "clavicle_fracture", None),
        # a participle that only describes its noun
        ("Clips at the hiatus of the removed ureter.", "surgical_clips", "present"),
        ("Clips have been removed.", "surgical_clips", "absent"),
        # gone, by other verbs; changed is not gone
        ("The pneumothorax did not persist.", "pneumothorax", "absent"),
        ("The effusion has receded.", "pleural_effusion", "absent"),
        ("The nodule has not altered since May.", "pulmonary_nodule", "present"),
        ("The heart is not enlarged.", "cardiomegaly", "absent"),
        # doubts
        ("? effusion", "pleural_effusion", "uncertain"),
        ("Pneumonia would be my second choice.", "pneumonia", "uncertain"),
        ("Absence of an effusion by no means excludes pneumonia.", "pneumonia", "uncertain"),
        ("Biopsy unless a mass or a pleural effusion appears.", "pleural_effusion", None),
        # a list that is denied ends where "just" begins what is there
        ("Neither effusion nor pneumothorax, just bulky axillary nodes.", "lymphadenopathy", "present"),
        ("Gallbladder: stones, negative Murphy sign.", "gallstones", "present"),
        ("PTX: [x] none", "pneumothorax", "absent"),
        ("Hx: cough. Pneumonia? CXR: pleural effusion.", "pneumonia", None),
    ],
)
def test_what_is_beside_a_statement_is_not_said_of_it(text, concept, polarity):
    assert said(text).get(concept) == polarity
