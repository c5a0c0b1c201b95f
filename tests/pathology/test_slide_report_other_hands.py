"""Ways in which other people's pathology reports say it: relatives behind a finding, doubted results, organs."""

from __future__ import annotations

import pytest

from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report


def _read(text: str) -> set[tuple[str, str]]:
    return {(fact.concept, fact.polarity) for fact in read_slide_report(text, load_lexicon()).facts}


@pytest.mark.parametrize(
    ("text", "concept", "polarity"),
    [
        ("Juvenile polyposis in a young man whose sister has FAP.", "polyposis", "present"),
        ("Lynch syndrome is doubted; MSI-high status is unlikely.", "microsatellite_instability", "uncertain"),
        ("Endometrium, curettings: proliferative phase, no hyperplasia.", "endometrial_hyperplasia", "absent"),
        ("Treatment effect: score 0.", "treatment_effect", "present"),
        ("C/F: neck swelling, ?lymphoma\nFNAC: caseous necrosis.", "caseous_necrosis", "present"),
        ("PTEN is lost in the tumor cells.", "pten_loss", "present"),
        ("The glands lie back to back.", "gland_crowding", "present"),
        ("The stroma is markedly desmoplastic.", "desmoplasia", "present"),
        ("No gland formation or keratin is seen.", "keratinisation", "absent"),
        ("Keratin positive tumour cells.", "cytokeratin", "present"),
        ("Dysplasia is indefinite.", "dysplasia", "uncertain"),
    ],
)
def test_it_is_read_as_it_is_meant(text: str, concept: str, polarity: str) -> None:
    assert (concept, polarity) in _read(text)


@pytest.mark.parametrize("text", ["No gland formation or keratin is seen.", "Keratin pearls are present."])
def test_keratin_that_is_seen_is_no_stain(text: str) -> None:
    assert "cytokeratin" not in {name for name, _ in _read(text)}


def test_the_stage_of_a_fibrosis_is_no_stage_of_a_tumour() -> None:
    assert "stage_group" not in {name for name, _ in _read("Fibrosis has gone from stage 1 to septal (stage 2).")}


def test_glands_back_to_back_are_not_of_the_back() -> None:
    facts = read_slide_report("Glands stand back to back with atypia.", load_lexicon()).facts
    assert all(fact.attributes.location is None for fact in facts)
