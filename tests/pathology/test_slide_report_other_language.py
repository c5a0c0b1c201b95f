"""Sentences in another language in reports of slides that are English otherwise: not read, and listed as unread."""

import pytest

from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report


@pytest.mark.parametrize(
    "sentence", ["Carcinoma ausgeschlossen.", "Sin carcinoma.", "未见 carcinoma.", "Carcinoma: nein"]
)
def test_a_denial_in_another_language_is_no_finding(sentence: str) -> None:
    reading = read_slide_report(f"Tubular adenoma with low grade dysplasia.\n{sentence}", load_lexicon())
    found = {fact.concept: fact.polarity for fact in reading.facts}
    assert "carcinoma" not in found
    assert found["adenoma"] == "present"
    assert reading.unread == (sentence,)
