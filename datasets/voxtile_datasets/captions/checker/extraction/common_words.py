"""Details beside a content word of no closed class and no vocabulary: they may be said of what that names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from voxtile_datasets.captions.checker.extraction.details import Found
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.naming.closed_classes import COMMON, SHORTEST, is_content
from voxtile_datasets.captions.checker.extraction.naming.mention import Mention
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

_SHORTEST_ADVERB = 5


def _has_unknown(statement: Statement, vocabulary: Vocabulary, start: int, end: int) -> bool:
    """Whether words [start, end) hold one that names something of which no vocabulary knows.

    Args:
        statement: the sentence.
        vocabulary: of its domain.
        start: first of the words.
        end: the word after the last of them.
    """
    known = _known(vocabulary)
    return any(
        len(word) >= SHORTEST and word.isalpha() and word not in known and not _is_adverb(word)
        for word in statement.words.words[start:end]
    )


def is_of_unknown(statement: Statement, item: Found, mentions: Sequence[Mention], vocabulary: Vocabulary) -> bool:
    """Whether the part of an enumeration that a detail stands in is of a thing that no vocabulary knows.

    Args:
        statement: the sentence.
        item: the detail.
        mentions: the concepts that the sentence names.
        vocabulary: of its domain.
    """
    if item.detail.kind not in ("position", "side", "place", "colour", "count") and item.detail.dimension != SHARE:
        return False
    first, last = statement.item_around(item.start)
    if any(m.start < last and first < m.end for m in mentions):
        return False
    if item.detail.dimension == SHARE and _is_named_before(statement, item):
        return True
    if not first:
        return False
    return _has_unknown(statement, vocabulary, first, item.start) or (
        item.detail.kind == "count" and _has_unknown(statement, vocabulary, item.end, last)
    )


def _is_named_before(statement: Statement, item: Found) -> bool:
    """Whether a share in figures follows a word of its own that names something: "rice .68, broadleaf .25"."""
    words, first = statement.words.words, statement.item_around(item.start)[0]
    named = words[item.start - 1] if item.start > first else ""
    return words[item.start][0].isdecimal() and item.start - first == 1 and is_content(named)


def _is_adverb(word: str) -> bool:
    return word.endswith("ly") and len(word) > _SHORTEST_ADVERB


@lru_cache(maxsize=16)
def _known(vocabulary: Vocabulary) -> frozenset[str]:
    from_grammar = load_grammar().known_words
    return COMMON | from_grammar | vocabulary.known_words
