"""Questions and their answers as statements: "Q: Is there a town? A: None.", "Where is the pier? In the east."."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.extraction.plain_words import plain_words

_MARKED = re.compile(r"(?<![\w.])(?:(?P<asks>Q|Question)|(?P<answers>A|Answer|Reply)) ?\d?:(?=\s)")
_POLAR = re.compile(
    r"\s*(?:so,?\s+)?(?:is|are|was|were|do|does|did|has|have|can|could|would|will|may|might|any|should)\b", re.I
)
_YES = re.compile(
    r"\s*(?:yes|yep|yeah|indeed|correct|right|certainly|definitely|absolutely|affirmative|"
    r"(?:it|they|there|he|she)\s+(?:is|are|was|were|does|do|has|have)(?=\s*[.,;!]|\s*$))\b",
    re.IGNORECASE,
)
_MOST_WORDS = 8  # of an answer that is no statement of its own
_MEASURES = ("suv", "size", "diameter", "volume", "density", "uptake", "spacing", "magnification", "resolution")
# What a question opens with and asks for, beside the thing itself.
_ASKING = frozenset(
    ["what", "which", "where", "how", "who", "when", "why", "many", "much", "is", "are", "was", "were", "do", "does",
     "did", "the", "of", "a", "an", "state", "name", "give", "count", "list", "describe", "classify", "locate", "on",
     "in", "at", "this", "that", "here", "there", "you", "see", "please", "tell", "me", "find", "lie", "lies", "?",
     "number", "position", "kind", "type", "specify", "measured", "identify", "report", "any", "it", "show", "shown"]
)  # fmt: skip
_WHERE = frozenset(["relative", "respect", "from", "regard", "position", "relation", "side", "compared", "versus"])


def spans_of_questions(text: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """A text without the marks of questions and answers, as long as before, and where what was so marked is asked.

    Args:
        text: a caption.
    """
    marks = list(_MARKED.finditer(text))
    if not any(m["asks"] for m in marks):
        return text, ()
    spans = []
    letters = list(text)
    for index, mark in enumerate(marks):
        letters[mark.start() : mark.end()] = " " * (mark.end() - mark.start())
        following = marks[index + 1] if index + 1 < len(marks) else None
        if mark["asks"] and following is not None and following["answers"]:
            end = following.start()
            last = max((i for i in range(mark.end(), end) if not text[i].isspace()), default=end)
            letters[last if text[last] in ".:?!" else following.start()] = "?"
            spans.append((mark.end(), following.start() + 1))
    return "".join(letters), tuple(spans)


def affirmed(question: str, answer: str) -> bool:
    """Whether an answer says yes to what is asked.

    Args:
        question: with its mark.
        answer: what follows it.
    """
    return bool(_POLAR.match(question) and _YES.match(answer))


def statement_of(question: str, asked: Sequence[Claim], answer: str) -> str | None:
    """A question that asks for a word, and a short answer, as one statement; None where the answer is one by itself.

    Args:
        question: with its mark.
        asked: what its words name.
        answer: what follows it.
    """
    words = plain_words(answer, has_compass=True).words
    said = " ".join(answer.strip(" .!;,\n").split())
    grammar = load_grammar()
    if not said or _POLAR.match(question) or len(words) > _MOST_WORDS or grammar.verbs & set(words):
        return None
    asks = plain_words(question, has_compass=True).words
    named = [claim.words for claim in asked if claim.kind in ("concept", "normal")]
    measure = next((word for word in asks if word in _MEASURES), None)
    if measure is not None and any(word[0].isdecimal() or word in grammar.numbers for word in words):
        rest = " ".join(word for word in asks if word not in _ASKING and word.isalnum())
        return " ".join(f"{rest.replace(measure, '')} {measure} {said}".split())
    direction = next((i for i, word in enumerate(words) if grammar.directions.longest_at(words, i)), None)
    if direction is not None and len(named) > 1 and _WHERE & set(asks):
        first, second = (1, 0) if _is_other_first(asks, named[0]) else (0, 1)
        return f"{named[first]} lies {words[direction]} of {named[second]}"
    if not named:
        rest = " ".join(word for word in asks if word not in _ASKING and word.isalnum())
        return f"{rest} {said}"
    is_count = "many" in asks or "number" in asks or (bool(asks) and asks[0] == "count")
    if is_count or not _opens_with_place(words):
        return f"{said} {named[0]}"
    is_bare = bool(grammar.directions.longest_at(words, 0))
    return f"{named[0]} in the {said}" if is_bare else f"{named[0]} {said}"


def _is_other_first(asks: tuple[str, ...], named: str) -> bool:
    """Whether what a question names first is that beside which the other lies: "on which side of A is B?"."""
    first = plain_words(named, has_compass=True).words[:1]
    before = asks[: asks.index(first[0])] if first and first[0] in asks else ()
    is_of = bool({"of", "from", "to"} & set(before[-2:]))
    return is_of and not {"relative", "respect", "regard", "relation", "compared", "versus"} & set(asks)


def _opens_with_place(words: tuple[str, ...]) -> bool:
    grammar = load_grammar()
    opens = words[0] in grammar.prepositions or words[0] in ("to", "near", "by", "the", "along", "from")
    return opens or bool(grammar.directions.longest_at(words, 0))


def at_answer(claims: Sequence[Claim], start: int, end: int, words: str) -> Iterator[Claim]:
    """Claims of a statement that was made of a question and its answer, placed where the answer stands.

    Args:
        claims: of the statement.
        start: of the answer, in characters.
        end: of the answer.
        words: of the answer.
    """
    for claim in claims:
        details = tuple(replace(detail, start=start, end=end) for detail in claim.details)
        yield replace(claim, start=start, end=end, words=words, details=details)
