"""Captions against what reports yield: results of stains, margins, nodes; sizes of before; "no new nodule"."""

from __future__ import annotations

from typing import Any

import pytest

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARIES = installed_vocabularies()
WRONG = ("contradicted", "unsupported")


def _verdict(domain: str, facts: list[tuple[str, str, dict[str, Any]]], text: str) -> str:
    rows = [
        {"uid": "u", "concept": c, "polarity": p, "value": a.pop("value", None), "unit": a.pop("unit", None),
         "region_id": None, "code": None, "source": "reports@1", "attributes": a}
        for c, p, a in ((c, p, dict(a)) for c, p, a in facts)
    ]  # fmt: skip
    metadata = {"modality": "H&E" if domain == "pathology" else "CT"}
    return check(text, Known(facts=rows, scopes=(), metadata=metadata), VOCABULARIES[domain]).verdict


BREAST: list[tuple[str, str, dict[str, Any]]] = [
    ("invasive_ductal_carcinoma", "present", {}),
    ("estrogen_receptor", "present", {"status": "positive", "percent": 95.0, "value": 95.0}),
    ("progesterone_receptor", "absent", {"status": "negative"}),
    ("her2", "absent", {"status": "negative", "score": "1+"}),
    ("ki67", "present", {"percent": 18.0, "value": 18.0}),
]
STAINED: list[tuple[str, str, dict[str, Any]]] = [
    ("cd30", "present", {"status": "positive"}),
    ("cd20", "absent", {"status": "negative"}),
    ("idh1_mutation", "absent", {"status": "wild type"}),
    ("helicobacter_pylori", "present", {}),
]
RESECTED: list[tuple[str, str, dict[str, Any]]] = [
    ("squamous_cell_carcinoma", "present", {}),
    ("margin_involvement", "present", {"margin": "positive", "location": "deep margin"}),
    ("margin_involvement", "absent", {"margin": "negative", "location": "peripheral margin"}),
    ("lymph_node_metastasis", "present", {"positive": 2.0, "examined": 14.0}),
]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (BREAST, "Invasive ductal carcinoma, ER positive, PR negative, HER2 negative."),
        (BREAST, "HER2-negative breast cancer, ER 95 %, no necrosis, Ki-67 18 %."),
        (STAINED, "CD30+, CD20-."),
        (STAINED, "Positive for CD30, negative for CD20."),
        (STAINED, "IDH-wildtype glioma."),
        (STAINED, "H. pylori positive gastritis."),
        (RESECTED, "Squamous cell carcinoma with positive deep margin."),
        (RESECTED, "The peripheral margins are clear."),
        (RESECTED, "Metastasis in 2 of 14 lymph nodes."),
    ],
)
def test_a_result_that_the_facts_hold_is_no_fault(facts: list[tuple[str, str, dict[str, Any]]], text: str) -> None:
    assert _verdict("pathology", facts, text) not in WRONG


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (BREAST, "ER negative carcinoma."),
        (BREAST, "HER2 3+ carcinoma."),
        (BREAST, "Triple-negative breast cancer."),
        (BREAST, "Ki-67 of 60 %."),
        (STAINED, "CD30 negative lymphoma."),
        (STAINED, "ER and CD20 are positive."),
        (STAINED, "IDH-mutant glioma."),
        (STAINED, "Gastritis, Helicobacter negative."),
        (RESECTED, "Squamous cell carcinoma, completely excised."),
        (RESECTED, "Deep margin negative."),
        (RESECTED, "Peripheral margin positive."),
        (RESECTED, "Four of 14 nodes positive."),
    ],
)
def test_another_result_is_found(facts: list[tuple[str, str, dict[str, Any]]], text: str) -> None:
    assert _verdict("pathology", facts, text) in WRONG


FREE: list[tuple[str, str, dict[str, Any]]] = [
    ("adenocarcinoma", "present", {}),
    ("lymph_node_metastasis", "absent", {}),
    ("margin_involvement", "absent", {"margin": "negative"}),
    ("lymphovascular_invasion", "absent", {}),
    ("perineural_invasion", "present", {}),
]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("The margins are free of tumour.", "supported"),
        ("There is no positive margin.", "supported"),
        ("No evidence of a positive margin.", "supported"),
        ("There is a positive margin.", "contradicted"),
        ("Lymph nodes are free of tumour.", "supported"),
        ("All lymph nodes are negative for carcinoma.", "supported"),
        ("No tumour is seen in the lymph nodes.", "supported"),
        ("Vessels are free of tumour.", "supported"),
        ("No invasion of vascular spaces.", "supported"),
        ("The tumour tracks along nerves.", "supported"),
        ("The nerves contain no tumour.", "contradicted"),
        ("There is no invasion of nerves.", "contradicted"),
        ("There is invasion of vessels.", "contradicted"),
        ("Tumour lies within lymphatic channels.", "contradicted"),
        ("Tumour is present at the margin.", "contradicted"),
        ("The tissue is free of tumour.", "contradicted"),
    ],
)
def test_what_lies_beside_a_tumour_is_free_of_it(text: str, verdict: str) -> None:
    assert _verdict("pathology", FREE, text) == verdict


TISSUE: list[tuple[str, str, dict[str, Any]]] = [
    ("tumour", "present", {"value": 0.7, "unit": "fraction"}),
    ("stroma", "present", {"value": 0.2, "unit": "fraction"}),
    ("necrosis", "present", {"value": 0.1, "unit": "fraction"}),
]


@pytest.mark.parametrize(
    ("domain", "facts", "text", "verdict"),
    [
        ("medical", [("endotracheal_tube", "present", {})], "The patient has not been intubated.", "contradicted"),
        ("medical", [("pleural_effusion", "present", {}), ("metastasis", "absent", {})], "Secondary signs of effusion.",
         "supported"),
        ("medical", [("metastasis", "absent", {})], "Multiple secondaries are seen.", "contradicted"),
        ("medical", [("metastasis", "present", {})], "No secondaries are seen.", "contradicted"),
        ("pathology", [("metastasis", "absent", {}), ("inflammation", "present", {})], "Secondary inflammation.",
         "supported"),
        ("medical", [("fracture", "absent", {})], "The bone has not been fractured.", "supported"),
        ("medical", [("pleural_effusion", "present", {})], "Free fluid is present in the abdomen.", "unknown"),
        ("pathology", TISSUE, "Tumour and stroma are equally represented.", "contradicted"),
        ("pathology", TISSUE, "Equal parts of tumour and necrosis.", "contradicted"),
        ("pathology", [*TISSUE[1:], ("tumour", "present", {"value": 0.22, "unit": "fraction"})],
         "Tumour and stroma share the field equally.", "supported"),
        ("pathology", TISSUE, "Completely necrotic tissue.", "contradicted"),
        ("pathology", [("necrosis", "present", {"value": 0.95, "unit": "fraction"})], "Completely necrotic tissue.",
         "supported"),
    ],
)  # fmt: skip
def test_how_much_and_whether_at_all(
    domain: str, facts: list[tuple[str, str, dict[str, Any]]], text: str, verdict: str
) -> None:
    assert _verdict(domain, facts, text) == verdict


@pytest.mark.parametrize("text", ["Midline structures are central.", "The midline structures are undisplaced."])
def test_the_midline_is_no_shift_of_it(text: str) -> None:
    assert _verdict("medical", [("midline_shift", "absent", {})], text) not in WRONG


NODULE: list[tuple[str, str, dict[str, Any]]] = [
    ("pulmonary_nodule", "present", {"size_mm": [5], "value": 5.0, "unit": "mm", "change": "stable"}),
    ("nephrectomy", "present", {"laterality": "right"}),
    ("aortic_aneurysm", "present", {"size_mm": [54], "change": "increased"}),
    ("spinal_stenosis", "present", {"location": "L4-L5"}),
    ("disc_herniation", "present", {"location": "L5-S1", "laterality": "left"}),
]


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("No new nodules.", "supported"),
        ("No additional or enlarging nodule.", "supported"),
        ("No suspicious nodule.", "unknown"),
        ("Nodules, none larger than 5 mm.", "supported"),
        ("No nodules.", "contradicted"),
        ("Nodule 5 mm, previously 8 mm.", "unsupported"),
        ("Nodule of 8 mm.", "contradicted"),
        ("Right kidney surgically absent.", "supported"),
        ("AAA 5.4 cm, larger than before, no nodule over 6 mm.", "supported"),
        ("AAA 5.4 cm, smaller than before, no nodule over 6 mm.", "contradicted"),
        ("Spinal stenosis L4-L5, left disc herniation L5-S1.", "supported"),
        ("Spinal stenosis L4/5, left disc herniation.", "supported"),
        ("Spinal stenosis L3-L4, left disc herniation L5-S1.", "contradicted"),
    ],
)
def test_a_denial_reaches_as_far_as_it_says(text: str, verdict: str) -> None:
    assert _verdict("medical", NODULE, text) == verdict


@pytest.mark.parametrize("text", ["Mitoses 11/mm2.", "1p/19q-codeleted.", "HER2/CEP17 ratio 1.2."])
def test_a_test_is_no_record(text: str) -> None:
    known = Known(facts=(), scopes=(), metadata={"modality": "H&E"})
    assert all(fault.kind != "identity" for fault in check(text, known, VOCABULARIES["pathology"]).faults)
