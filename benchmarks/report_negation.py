"""Denials in report sentences: ours beside negspacy (NegEx on spaCy), on the concepts that a term names.

    pip install negspacy
    python benchmarks/report_negation.py

Both get the same words of the same 300 sentences (`tests/medical/negation_sentences.csv`), so that only the judgement
differs. negspacy knows affirmed and denied; a doubt counts as not denied. Our rules were corrected on these sentences.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from voxtile.words.tokens import Words, words_of
from voxtile_medical.reports.assertion.grammar import load_grammar
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.lexicon import load_lexicon

SENTENCES = Path(__file__).parents[1] / "tests" / "medical" / "negation_sentences.csv"
REPEATS = 20


@dataclass(frozen=True)
class Case:
    """A concept in a sentence: its words, half-open, and whether the sentence denies it."""

    words: Words
    start: int
    end: int
    is_denied: bool


def cases() -> list[Case]:
    """Every concept of the sentences that a term names."""
    terms, found = load_lexicon().terms, []
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="|"):
            words = words_of(row["text"])
            named = {match.payload: match for match in terms.find(words.words)}
            for polarity in ("present", "absent", "uncertain"):
                for concept in row[polarity].split():
                    if concept in named:
                        match = named[concept]
                        found.append(Case(words, match.start, match.end, polarity == "absent"))
    return found


def ours(found: list[Case]) -> list[bool]:
    """Whether each concept is denied, by the rules of voxtile."""
    grammar = load_grammar()
    return [Statement(case.words, grammar).polarity(case.start, case.end) == "absent" for case in found]


def theirs(found: list[Case]) -> list[bool]:
    """Whether each concept is denied, by negspacy with its clinical termset."""
    import spacy
    from negspacy.negation import Negex  # noqa: F401 - registers the component
    from negspacy.termsets import termset

    pipeline = spacy.blank("en")
    negex = pipeline.add_pipe("negex", config={"neg_termset": termset("en_clinical").get_patterns()})
    return list(_judged(pipeline, negex, found))


def _judged(pipeline: Any, negex: Any, found: list[Case]) -> Iterator[bool]:
    for case in found:
        document = pipeline.make_doc(case.words.text)
        first, last = case.words.starts[case.start], case.words.ends[case.end - 1]
        span = document.char_span(first, last, label="finding", alignment_mode="expand")
        for token in document:
            token.is_sent_start = token.i == 0
        document.set_ents([span])
        yield bool(negex(document).ents[0]._.negex)


def _scores(found: list[Case], denied: list[bool]) -> tuple[float, float, float]:
    both = sum(case.is_denied and is_denied for case, is_denied in zip(found, denied, strict=True))
    precision = both / max(1, sum(denied))
    recall = both / max(1, sum(case.is_denied for case in found))
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def main() -> None:
    """Judge, score and time both in turn."""
    found = cases()
    table = Table("reader", "precision", "recall", "F1", "ms a concept", title=f"denials, {len(found)} concepts")
    for name, judge in (("voxtile", ours), ("negspacy", theirs)):
        judge(found[:5])
        start = time.process_time()
        for _ in range(REPEATS):
            denied = judge(found)
        spent = (time.process_time() - start) * 1000 / REPEATS / len(found)
        table.add_row(name, *(f"{value:.3f}" for value in _scores(found, denied)), f"{spent:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
