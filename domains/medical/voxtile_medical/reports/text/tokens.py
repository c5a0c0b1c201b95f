"""Words of a report's sentence: what it stands under before it, abbreviations expanded, slips of the pen corrected.

All positions are characters of the report, so that every fact can point to its words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voxtile.words.tokens import Words, words_of
from voxtile_medical.reports.text.abbreviations import expanded, load_abbreviations
from voxtile_medical.reports.text.sections import Sentence
from voxtile_medical.reports.text.spelling import Speller

# No sentence of a report is longer; more words at once are read in pieces, so that time stays bounded.
_MAX_SENTENCE = 1000


@dataclass(frozen=True)
class Piece:
    """Words of a sentence, or of a part of a very long one.

    Attributes:
        words: those that it stands under, then its own; their positions are characters of the report.
        under: how many it stands under.
        start, end: characters of the report, half-open, without what it stands under.
    """

    words: Words
    under: int
    start: int
    end: int


def pieces(report: str, sentence: Sentence, speller: Speller | None = None) -> Iterator[Piece]:
    """The words of a sentence, in pieces of bounded length.

    Args:
        report: the text that the sentence is of, see `sections.flattened`.
        sentence: one of its sentences.
        speller: corrects slips of the pen; None leaves them.
    """
    start = sentence.start
    while start < sentence.end:
        end = sentence.end
        if end - start > _MAX_SENTENCE:
            end = report.rfind(" ", start, start + _MAX_SENTENCE)
            end = end if end > start else start + _MAX_SENTENCE
        yield _piece(report, sentence, start, end, speller)
        start = end


def _piece(report: str, sentence: Sentence, start: int, end: int, speller: Speller | None) -> Piece:
    words: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    under = 0
    for first, last in (*sentence.context, (start, end)):
        if words:
            words.append("," if first != start else ":")
            starts.append(ends[-1])
            ends.append(ends[-1])
            under = len(words)
        part = words_of(report[first:last])
        words += ("," if word == "|" else word for word in part.words)
        starts += [first + position for position in part.starts]
        ends += [first + position for position in part.ends]
    plain = Words(report, tuple(words), tuple(starts), tuple(ends))
    full = expanded(plain, load_abbreviations())
    if speller is not None:
        full = speller.corrected(full)
    body = starts[under] if under < len(starts) else end
    return Piece(full, sum(1 for at in full.starts if at < body) if under else 0, start, end)
