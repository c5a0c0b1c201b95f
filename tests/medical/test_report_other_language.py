"""Reports in another language, of a few words too: told and not read."""

import pytest

from voxtile_medical.reports.extract import polarity_at, read_report
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


@pytest.mark.parametrize(
    "sentence",
    [
        "Pneumothorax ausgeschlossen.",
        "Pneumothorax: nein",
        "Pas de pneumothorax.",
        "Sem pneumotorax.",
        "Geen pneumothorax of pleuravocht.",
        "Pneumothorax yok.",
        "未见 pneumothorax.",
        "لا يوجد pneumothorax",
        "Nu se evidentiaza pneumothorax.",
    ],
)
def test_a_denial_in_another_language_is_no_finding_alone_or_beside_english(sentence: str) -> None:
    for report in (sentence, f"The lungs are clear. {sentence}\nThere is no pleural effusion. The heart is enlarged."):
        reading = read_report(report, load_lexicon())
        known = {fact.concept: fact.polarity for fact in reading.facts}
        assert "pneumothorax" not in known
        assert any(report[start:end] in sentence for start, end in reading.unread)
        assert report == sentence or (known["cardiomegaly"], known["pleural_effusion"]) == ("present", "absent")
        at = report.index(sentence) + sentence.lower().index("pneumo")
        assert polarity_at(report, at, at + 12) is None


@pytest.mark.parametrize("sentence", ["A pneumothorax at the µ-level.", "Sin. PAS D positive. SEM pneumothorax, 5 mm."])
def test_english_with_such_letters_is_read(sentence: str) -> None:
    assert "pneumothorax" in {fact.concept for fact in read_report(sentence, load_lexicon()).facts}
