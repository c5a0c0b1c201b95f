"""A long report takes time in proportion to its length."""

import time

import pytest

from voxtile_pathology.reports.lexicon import load_lexicon
from voxtile_pathology.reports.read import read_slide_report

PART = (
    "Prostate, left base: adenocarcinoma, Gleason 3+4=7, 35% of core. Margins negative. ER positive (90%). "
    "pT2 pN0. Lymph nodes: 0/12. There is no necrosis, and the stroma shows chronic inflammation.\n"
)
LONG = 200_000


@pytest.mark.sweep(ci=True)
def test_a_report_of_two_hundred_thousand_characters_is_read_in_time() -> None:
    read_slide_report(PART, load_lexicon())
    start = time.process_time()
    few = read_slide_report(PART * 20, load_lexicon()).facts
    least = time.process_time() - start
    start = time.process_time()
    many = read_slide_report(PART * (LONG // len(PART)), load_lexicon()).facts
    assert {fact.concept for fact in many} == {fact.concept for fact in few}
    assert time.process_time() - start < 4 * LONG / (20 * len(PART)) * max(least, 0.05)  # in proportion, and no square


def test_a_line_without_a_mark_ends() -> None:
    words = "carcinoma with necrosis and " * (LONG // 200)
    start = time.process_time()
    assert any(fact.concept == "carcinoma" for fact in read_slide_report(words, load_lexicon()).facts)
    assert time.process_time() - start < 60
