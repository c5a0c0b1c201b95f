"""What reports of slides say of tumours that are none, and of scores of zero, by sentences written for this test."""

import pytest

from voxtile_medical.reports.assertion.scores import is_scored_zero
from voxtile_medical.reports.extract import read_report
from voxtile_medical.reports.lexicon import load_lexicon as load_radiology
from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report


def said(text):
    """What a report says itself: concept → polarity."""
    facts = read_slide_report(text, load_lexicon()).facts
    return {fact.concept: fact.polarity for fact in facts if fact.implied_by is None}


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("Fibroadenoma.", "fibroadenoma"),
        ("Benign neoplasm, consistent with fibroadenoma.", "fibroadenoma"),
        ("Leiomyoma, a benign tumour of smooth muscle.", "leiomyoma"),
        ("Benign smooth muscle neoplasm.", "benign_tumour"),
        ("Schwannoma, a benign nerve sheath tumor.", "schwannoma"),
        ("Pleomorphic adenoma (benign mixed tumour).", "pleomorphic_adenoma"),
        ("Tubular adenoma.", "tubular_adenoma"),
    ],
)
def test_benign_tumours_are_no_carcinoma(text, concept):
    assert said(text) == {concept: "present"}
    facts = {fact.concept: fact.polarity for fact in read_slide_report(text, load_lexicon()).facts}
    assert facts["benign_tumour"] == "present"
    assert not {"malignancy", "carcinoma"} & facts.keys()


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("Diffuse large B-cell lymphoma.", {"diffuse_large_b_cell_lymphoma": "present"}),
        ("Giant cell tumor of bone.", {"giant_cell_tumour": "present"}),
        ("Invasive ductal carcinoma.", {"invasive_ductal_carcinoma": "present"}),
        ("No tumour is seen.", {"tumour": "absent"}),
        ("No evidence of malignancy.", {"malignancy": "absent"}),
        ("Negative for carcinoma.", {"carcinoma": "absent"}),
        # What is said of margins and nodes is not said of the section.
        ("The margins are free of tumour.", {"margin_involvement": "absent"}),
        ("Lymph nodes negative for metastatic carcinoma.", {"lymph_node_metastasis": "absent"}),
        ("Tumor necrosis: not identified.", {"tissue_necrosis": "absent"}),
    ],
)
def test_each_word_says_what_it_means(text, facts):
    assert said(text) == facts


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("No tumour is seen.", {"tumour", "malignancy", "carcinoma"}),
        ("No evidence of malignancy.", {"malignancy", "carcinoma"}),
        ("Negative for carcinoma.", {"carcinoma"}),
        ("No necrosis.", {"tissue_necrosis", "extensive_necrosis"}),
    ],
)
def test_a_denial_of_the_whole_denies_its_parts(text, denied):
    facts = read_slide_report(text, load_lexicon()).facts
    assert {fact.concept for fact in facts} == denied
    assert {fact.polarity for fact in facts} == {"absent"}


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
    assert said(text)["tissue_necrosis"] == "absent"
    assert said(text).get("mucin_pools", "present") == "present"


@pytest.mark.parametrize("text", ["Necrosis: grade 1.", "Necrosis 10%.", "Necrosis 0.8 cm.", "Necrosis: grade 0-1."])
def test_another_score_is_none(text):
    assert said(text)["tissue_necrosis"] == "present"


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
    facts = {fact.concept: fact.polarity for fact in read_report(text, load_radiology()).facts}
    assert facts[concept] == polarity


@pytest.mark.parametrize(
    ("text", "is_zero"),
    [("necrosis : 0", True), ("necrosis : 0 mm", True), ("necrosis : 0 5", False), ("necrosis : 0 of 3", True)],
)
def test_a_zero_before_further_digits_is_no_score(text, is_zero):
    """A number that was torn apart ("0 5") is not 0."""
    assert is_scored_zero(text.split(), 0, 1) == is_zero


@pytest.mark.parametrize(
    ("text", "polarity"),
    [
        ("Negative for CK20 and p40, supporting lung adenocarcinoma.", "present"),
        ("Tumor cells are negative for CK20, consistent with lung adenocarcinoma.", "present"),
        ("Negative for CK20, arguing against lung adenocarcinoma.", "absent"),
        ("Negative for lung adenocarcinoma.", "absent"),
    ],
)
def test_a_diagnosis_is_not_denied_with_the_marker_that_supports_it(text, polarity):
    assert said(text)["lung_adenocarcinoma"] == polarity
