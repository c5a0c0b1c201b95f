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
