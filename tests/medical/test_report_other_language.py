"""Reports in another language, of a few words too: told and not read."""

import pytest

from voxtile_medical.reports.lexicon import load_lexicon
from voxtile_medical.reports.text.language import other_language


@pytest.mark.parametrize(
    "text",
    [
        "Kein Pneumothorax.",
        "Herz normal groß. Keine Infiltrate, kein Erguss. Rundherd im rechten Oberlappen, 6 mm.",
        "Pneumothorax rechts, Erguss links.",
        "Pas d'épanchement pleural. Nodule du lobe supérieur droit de 6 mm.",
        "Geen pneumothorax. Nodus rechter bovenkwab.",
        "Pneumothorax nincs. Szív normális.",
        "Carcinoma duttale infiltrante G2. Margini indenni. Assenza di metastasi.",
        "Invasives duktales Karzinom, NST, G3. ER negativ, PR negativ. Kein Nachweis von Metastasen.",
    ],
)
def test_a_short_report_in_another_language_is_told(text: str) -> None:
    known = load_lexicon().words() | frozenset({"carcinoma"})
    assert other_language(text, known) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Rigth plueral effsuion is moderate. No penumothorax.",  # slips are no other language
        "Sm acute SDH L convexity, 5mm. No MLS. Chr microvasc isch dz unchgd.",
        "ER Allred 8/8. PR Allred 0/8. HER2 IHC 2+, ISH not amplified.",
        "PAS stain positive.",
        "No PE.",
    ],
)
def test_a_short_english_report_is_none(text: str) -> None:
    assert other_language(text, load_lexicon().words() | frozenset({"ish", "her2"})) is None
