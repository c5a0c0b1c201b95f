"""Sentences of pathology departments: what is a margin's distance, whose nodes are counted, whose result follows."""

from __future__ import annotations

from typing import Any

import pytest

from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report


def _read(text: str) -> dict[str, SlideFact]:
    return {fact.concept: fact for fact in read_slide_report(text, load_lexicon()).facts if fact.implied_by is None}


@pytest.mark.parametrize(
    ("text", "concept", "polarity", "details"),
    [
        ("Clear cell RCC, 3.4 cm, margins negative.", "clear_cell_renal_cell_carcinoma", "present", {}),
        ("Clear cell carcinoma, margin positive.", "margin_involvement", "present", {"margin": "positive"}),
        ("HER2 equivocal (2+); FISH: not amplified, ratio 1.2.", "her2_amplification", "absent", {"ratio": 1.2}),
        ("Grade Group: 3 (4+3=7)", "grade_group", "present", {"grade": "3"}),
        ("Steatohepatitis, fibrosis stage 2 of 4.", "fibrosis", "present", {"grade": "2"}),
        (
            "Lymph nodes: 14 examined, 3 positive.",
            "lymph_node_metastasis",
            "present",
            {"positive": 3.0, "examined": 14.0},
        ),
        (
            "3 nodes positive, 14 nodes examined.",
            "lymph_node_metastasis",
            "present",
            {"positive": 3.0, "examined": 14.0},
        ),
        ("Lymph nodes: 14 examined, none positive.", "lymph_node_metastasis", "absent", {"examined": 14.0}),
        ("Nodes examined: 14. Nodes positive: 3.", "lymph_node_metastasis", "present", {"positive": 3.0}),
        ("Nodes involved: 0. Nodes examined: 11.", "lymph_node_metastasis", "absent", {"positive": 0.0}),
        ("3 pelvic nodes of 15 positive.", "lymph_node_metastasis", "present", {"positive": 3.0, "examined": 15.0}),
        (
            "Hepatocellular carcinoma, moderately differentiated.",
            "histologic_grade",
            "present",
            {"grade": "moderately differentiated"},
        ),
        ("SMA and pancreatic neck margins negative.", "margin_involvement", "absent", {"margin": "negative"}),
        ("Follicular variant PTC, 2.5 cm.", "follicular_variant_papillary_carcinoma", "present", {}),
    ],
)
def test_a_sentence_is_read_as_its_department_means_it(
    text: str, concept: str, polarity: str, details: dict[str, Any]
) -> None:
    fact = _read(text)[concept]
    assert fact.polarity == polarity
    assert details.items() <= dict(fact.attributes.details).items()


@pytest.mark.parametrize(
    ("text", "concept"),
    [
        ("SMA and pancreatic neck margins negative.", "smooth_muscle_actin"),
        ("Whipple: ampullary adenocarcinoma.", "whipple_disease"),
    ],
)
def test_what_the_words_do_not_name_is_not_read(text: str, concept: str) -> None:
    assert concept not in _read(text)


def test_the_size_of_a_tumour_is_no_distance_of_its_margins() -> None:
    found = _read("Invasive ductal carcinoma, 2.3 cm, margins negative.")
    assert found["invasive_ductal_carcinoma"].attributes.size_mm == (23.0,)
    assert found["margin_involvement"].value is None
    assert _read("Invasive ductal carcinoma, 2.3 cm, margins clear by 4 mm.")["margin_involvement"].value == 4.0


def test_a_size_before_the_type_is_the_tumours() -> None:
    report = "Tumor Size: 3.8 cm\nHistologic Type: Adenocarcinoma\nMargins: Negative"
    assert _read(report)["adenocarcinoma"].attributes.size_mm == (38.0,)


def test_nodes_free_on_one_side_and_not_on_the_other_are_told_apart() -> None:
    reading = read_slide_report(
        "Left obturator nodes free of tumor, right obturator nodes with metastasis.", load_lexicon()
    )
    nodes = [fact for fact in reading.facts if fact.concept == "lymph_node_metastasis"]
    assert {(fact.polarity, fact.attributes.laterality) for fact in nodes} == {("present", "right"), ("absent", "left")}
