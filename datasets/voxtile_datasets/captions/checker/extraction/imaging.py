"""How and of what a text says that a picture was made: modality, part of the body, contrast, stain.

What words mean is the vocabulary's (`imaging`: aspect → value → phrases).
"""

from __future__ import annotations

from collections.abc import Iterator

from voxtile.words.phrases import Match
from voxtile_datasets.captions.checker.aspects import Aspect
from voxtile_datasets.captions.checker.extraction.claims import Claim, Polarity
from voxtile_datasets.captions.checker.extraction.statements import Statement
from voxtile_datasets.captions.checker.vocabulary import Vocabulary

# A denial of what a picture shows does not deny the picture ("no mass on CT"); one that stands right before it does.
_DENIALS = frozenset(["not", "than", "isn", "t"])
_GLUE = frozenset(
    ["of", "the", "a", "an", "from", "through", "at", "both", "left", "right", "upper", "lower", "entire", "whole",
     "his", "her", "this", "patient", "s", "slice", "image", "scan", "section", "level", "view", "adult", "and"]
)  # fmt: skip
_TITLES = ("Mr ", "Mr.", "Mr,")  # of a man, and no magnetic resonance
_FURTHEST = 4  # words between a value and the aspect beside which alone it counts


def mentions_of_imaging(statement: Statement, vocabulary: Vocabulary) -> Iterator[Claim]:
    """What a sentence says of how the picture was made, by the vocabulary's aspects."""
    words = statement.words
    found = {name: aspect.terms.find(words.words) for name, aspect in vocabulary.imaging.items()}
    taken_over = {aspect.instead for aspect in vocabulary.imaging.values()}
    for name, aspect in vocabulary.imaging.items():
        if not aspect.columns or name in taken_over:
            continue  # words for the picture, beside which others count; an aspect that has its words from another
        for start, end, values in _by_place(found[name]):
            if words.words[start] == "cc" and words.words[start - 1 : start] and words.words[start - 1][0].isdecimal():
                continue  # "22 cc" is a volume and no view
            is_of_another = _is_of_another(statement, aspect, start, end)
            if (is_of_another and aspect.instead is None) or words.text[words.starts[start] :][:3] in _TITLES:
                continue
            is_denied = _is_denied(words.words, start)
            if aspect.beside and not any(
                _stands_beside(words.words, start, end, m, statement) for b in aspect.beside for m in found[b]
            ):
                continue
            first, last = words.starts[start], words.ends[end - 1]
            said_of = aspect.instead if is_of_another else name
            polarity: Polarity = "absent" if is_denied else "present"
            yield Claim("imaging", words.text[first:last], first, last, values, polarity, text=said_of)


def _is_denied(words: tuple[str, ...], start: int) -> bool:
    """Whether a denial stands right before a word, an article between: "not a CT", "rather than an MRI"."""
    first = start - 1 if start and words[start - 1] in ("a", "an", "the", "of") else start
    return first > 0 and (words[first - 1] in _DENIALS or words[first - 1] == "instead")


def _by_place(matches: list[Match[str]]) -> list[tuple[int, int, tuple[str, ...]]]:
    places: dict[tuple[int, int], tuple[str, ...]] = {}
    for match in matches:
        places[match.start, match.end] = (*places.get((match.start, match.end), ()), match.payload)
    return [(start, end, values) for (start, end), values in places.items()]


def _is_of_another(statement: Statement, aspect: Aspect, start: int, end: int) -> bool:
    """Whether words beside say that another picture is meant: the last CT, a CT-guided biopsy."""
    words = statement.words.words
    beside = words[max(0, start - _FURTHEST) : end + 2]
    return any(match.end + max(0, start - _FURTHEST) <= end + 2 for match in aspect.unless.find(beside))


def _stands_beside(words: tuple[str, ...], start: int, end: int, other: Match[str], statement: Statement) -> bool:
    """Whether a value is named in one phrase with another: "CT of the neck", "chest radiograph", "spine MRI"."""
    if statement.clause_of(start) != statement.clause_of(other.start) and other.end != start and other.start != end:
        return False
    if start <= other.start and other.end <= end:
        return True
    if other.end <= start:
        gap = words[other.end : start]
        opens = not gap or gap[0] in ("of", "from", "through", "at")
        return len(gap) <= _FURTHEST and opens and set(gap) <= _GLUE
    gap = words[end : other.start]
    if (
        words[end - 1] == "side"
        and gap
        and gap[0] == "of"
        and set(gap) <= {"of", "a", "an", "the", "this", "his", "her"}
    ):
        return True  # "right side of a prostate"
    joined = not any(
        word in statement.grammar.verbs or word in statement.grammar.prepositions or word == "," for word in gap
    )
    return len(gap) <= 2 and joined
