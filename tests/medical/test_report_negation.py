"""Polarity on three hundred sentences that were written, and committed, before the rules that read them."""

import csv
from pathlib import Path

import pytest

from voxtile_medical.reports.extract import facts_of_report
from voxtile_medical.reports.lexicon import load_lexicon

SENTENCES = Path(__file__).with_name("negation_sentences.csv")
POLARITIES = ("present", "absent", "uncertain")


def judged() -> list[tuple[str, str, str, str]]:
    """Sentence, concept, polarity as written, polarity as read (`none` where it was not read)."""
    lexicon, rows = load_lexicon(), []
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="|"):
            read = {fact.concept: fact.polarity for fact in facts_of_report(row["text"], lexicon)}
            rows += [
                (row["text"], concept, polarity, read.get(concept, "none"))
                for polarity in POLARITIES
                for concept in row[polarity].split()
            ]
    return rows


def f1(rows: list[tuple[str, str, str, str]], polarity: str) -> float:
    both = sum(written == read == polarity for _, _, written, read in rows)
    either = sum((written == polarity) + (read == polarity) for _, _, written, read in rows)
    return 2 * both / either


def test_there_are_three_hundred_sentences_with_all_polarities():
    rows = judged()
    assert len({text for text, *_ in rows}) == 300
    assert all(sum(written == polarity for _, _, written, _ in rows) >= 50 for polarity in POLARITIES)


@pytest.mark.parametrize(("polarity", "least"), [("absent", 0.95), ("present", 0.95), ("uncertain", 0.95)])
def test_polarity_is_read_as_it_was_written(polarity: str, least: float):
    rows = judged()
    wrong = [row for row in rows if row[2] != row[3]]
    assert f1(rows, polarity) >= least, wrong
