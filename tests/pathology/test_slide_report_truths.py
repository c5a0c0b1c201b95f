"""What reports of slides say of tumours that are none, and of scores of zero, by sentences written for this test."""

import pytest

from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_pathology.reports.command import LEXICON


def said(text, lexicon=LEXICON):
    return {fact.concept: fact.polarity for fact in read_report(text, load_lexicon(lexicon)).facts}


@pytest.mark.parametrize(
    "text",
    [
        "Fibroadenoma.",
        "Benign neoplasm, consistent with fibroadenoma.",
        "Leiomyoma, a benign tumour of smooth muscle.",
        "Benign smooth muscle neoplasm.",
        "Schwannoma, a benign nerve sheath tumor.",
        "Pleomorphic adenoma (benign mixed tumour).",
        "Tubular adenoma.",
    ],
)
def test_benign_tumours_are_no_carcinoma(text):
    assert said(text) == {"benign_tumour": "present"}


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Diffuse large B-cell lymphoma.", {"malignancy": "present"}),
        ("Giant cell tumor of bone.", {"tumour": "present"}),
        ("Invasive ductal carcinoma.", {"carcinoma": "present"}),
        ("No tumour is seen.", {"tumour": "absent", "malignancy": "absent", "carcinoma": "absent"}),
        ("No evidence of malignancy.", {"malignancy": "absent", "carcinoma": "absent"}),
        ("Negative for carcinoma.", {"carcinoma": "absent"}),
        # What is said of margins and nodes is not said of the section.
        ("The margins are free of tumour.", {}),
        ("Lymph nodes negative for metastatic carcinoma.", {}),
        ("Tumor necrosis: not identified.", {"extensive_necrosis": "absent"}),
    ],
)
def test_each_word_says_what_it_means(text, facts):
    assert said(text) == facts


@pytest.mark.parametrize(
    "text",
    [
        "Necrosis: grade 0.",
        "Necrosis (grade 0).",
        "Necrosis: 0.",
        "Necrosis 0%.",
        "Necrosis score 0",
        "Necrosis 0/3; mucin 2+.",
        "Grade 0 necrosis.",
        "0% necrosis.",
    ],
)
def test_a_score_of_zero_is_a_denial(text):
    assert said(text)["extensive_necrosis"] == "absent"
    assert said(text).get("mucin_pools", "present") == "present"


@pytest.mark.parametrize("text", ["Necrosis: grade 1.", "Necrosis 10%.", "Necrosis 0.8 cm.", "Necrosis: grade 0-1."])
def test_another_score_is_none(text):
    assert said(text)["extensive_necrosis"] == "present"


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("Hydronephrosis grade 0.", "hydronephrosis", "absent"),
        ("Coronary artery calcification, Agatston score 0.", "coronary_calcification", "absent"),
        ("Coronary artery calcification, Agatston score 240.", "coronary_calcification", "present"),
        ("0/12 vertebral fractures.", "vertebral_fracture", "absent"),
        ("Emphysema 0%, pleural effusion.", "pleural_effusion", "present"),
    ],
)
def test_radiology_scores_read_alike(text, concept, polarity):
    from voxtile_medical.reports.lexicon import LEXICON as RADIOLOGY

    assert said(text, RADIOLOGY)[concept] == polarity
