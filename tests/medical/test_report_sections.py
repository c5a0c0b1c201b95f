"""Sections by headings in many forms, organ headings, enumerations, and what is history."""

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.text.sections import sections, sentences


def concepts(report: str) -> dict[str, str]:
    return {fact.concept: fact.polarity for fact in facts_of_report(report, load_lexicon())}


@pytest.mark.parametrize(
    "report",
    [
        "INDICATION: pneumothorax?\nFINDINGS: Cardiomegaly.",
        "Indication: pneumothorax? Findings: Cardiomegaly.",
        "CLINICAL HISTORY:\nRule out pneumothorax\n\nFINDINGS:\nCardiomegaly.",
        "Reason for exam: pneumothorax. Impression: Cardiomegaly.",
        "**INDICATION:** pneumothorax\n**FINDINGS:** Cardiomegaly.",
        "INDICATION\nEffusion and pneumothorax.\nFINDINGS\nCardiomegaly.",
        "Indication - pneumothorax\nFindings - Cardiomegaly.",
        "EXAM: CT for pneumothorax.\nCOMPARISON: Effusion last year.\nFINDINGS: Cardiomegaly.",
        "FAMILY HISTORY: aortic aneurysm.\nCONCLUSION: Cardiomegaly.",
        "FINDINGS: Cardiomegaly.\nRECOMMENDATION: CT to look for a nodule.\n",
        "Fragestellung: pneumothorax?\nVoruntersuchung: effusion.\nBefund: Cardiomegaly.\nEmpfehlung: a nodule?",
        "Cardiomegaly.\nElectronically signed by: Dr. A. Nodule",
        "Cardiomegaly.",
        "Cardiomegaly. History of pneumonia. Family history of aortic aneurysm.",
    ],
)
def test_only_findings_and_impression_are_read(report: str):
    assert concepts(report) == {"cardiomegaly": "present"}


def test_section_names_and_texts():
    report = "HISTORY: a.\r\nTechnique: b.\nComparison: None.\nFINDINGS: c.\nIMPRESSION: d."
    assert [name for name, _ in sections(report)] == ["history", "technique", "comparison", "findings", "impression"]


def test_a_line_that_opens_with_an_organ_is_about_it():
    report = "FINDINGS:\nHEART: Normal in size.\nSPLEEN: Enlarged.\nLUNGS AND PLEURA: Clear. No effusion.\nNo fracture."
    found = concepts(report)
    assert found["cardiomegaly"] == "absent"
    assert found["splenomegaly"] == "present"
    assert found["consolidation"] == "absent"
    assert found["pleural_effusion"] == "absent"
    assert found["fracture"] == "absent"
    (heart,) = (f for f in facts_of_report(report, load_lexicon()) if f.concept == "cardiomegaly")
    assert heart.evidence == ("heart: Normal in size.",)


def test_abbreviations_numbers_and_enumerations_do_not_split_sentences():
    report = "IMPRESSION:\n1. Nodule of 4.5 mm, approx. unchanged vs. prior.\n2) No effusion.\n- Dr. Roe informed."
    assert [s.text for s in sentences(report)] == [
        "Nodule of 4.5 mm, approx. unchanged vs. prior.",
        "No effusion.",
        "Dr. Roe informed.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("History of pneumonia.", {}),
        ("If pneumonia is suspected, repeat the film.", {}),
        ("Status post sternotomy.", {"sternotomy_wires": "present"}),
        ("Please note that fractures may not be visible.", {}),
        ("Known emphysema.", {"emphysema": "present"}),
    ],
)
def test_history_and_conditions_are_no_findings_but_traces_of_surgery_are(text: str, expected: dict[str, str]):
    assert concepts(text) == expected
