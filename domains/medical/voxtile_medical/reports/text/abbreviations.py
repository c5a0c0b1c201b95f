"""Abbreviations of reports and what they stand for, as far as the words beside them leave no doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_yaml
from voxtile.words.tokens import Words, normal_form, words_of

TABLE = Path(__file__).with_name("abbreviations.yaml")
_APOSTROPHES = ("'", "’", "‘", "`")
_STEMS = {"can": "can", "won": "will", "shan": "shall", "ain": "is"}
_LONGEST = 5  # words and marks of the longest abbreviation ("i/k/o")


@dataclass(frozen=True)
class Meaning:
    """What an abbreviation stands for, and where.

    Attributes:
        words: in their normal form.
        beside: one of these stands in the sentence, if any are given.
        unless: none of these does.
        not_next: none of these follows at once.
        not_next_number, not_after_number: no number follows at once ("#2"), or stands before ("3 CM").
        is_alone: no sign joins it to another letter or number.
    """

    words: tuple[str, ...]
    beside: frozenset[str] = frozenset()
    unless: frozenset[str] = frozenset()
    not_next: frozenset[str] = frozenset()
    not_next_number: bool = False
    not_after_number: bool = False
    is_alone: bool = False


@dataclass(frozen=True)
class Abbreviations:
    """A compiled table: pieces of an abbreviation → meanings; of `exact` in their letters, of `plain` in lower case."""

    plain: Mapping[tuple[str, ...], tuple[Meaning, ...]]
    exact: Mapping[tuple[str, ...], tuple[Meaning, ...]]
    first: frozenset[str]


@cache
def load_abbreviations(path: Path = TABLE) -> Abbreviations:
    """Read and compile a table of abbreviations."""
    data = load_yaml(path.read_text(encoding="utf-8"))
    plain: dict[tuple[str, ...], tuple[Meaning, ...]] = {}
    plain |= {_pieces(name): (_meaning({"means": means}),) for name, means in data["plain"].items()}
    plain |= {_pieces(name): tuple(_meaning(entry) for entry in some) for name, some in data["several"].items()}
    exact: dict[tuple[str, ...], tuple[Meaning, ...]] = {}
    exact |= {_pieces(name): (_meaning(entry),) for name, entry in data["exact"].items()}
    return Abbreviations(plain, exact, frozenset(pieces[0] for pieces in (*plain, *exact)))


def expanded(words: Words, table: Abbreviations) -> Words:
    """The words with abbreviations written out; each new word stands where the abbreviation stands in the text."""
    words = _uncontracted(words) if "t" in words.words else words
    pieces = [words.text[a:b] for a, b in zip(words.starts, words.ends, strict=True)]
    lowered = [piece.lower() for piece in pieces]
    if not table.first.intersection(pieces) and not table.first.intersection(lowered) and "?" not in pieces:
        return words
    found: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    beside = {*words.words, *lowered}
    position = 0
    while position < len(pieces):
        end, meaning = _at(words, pieces, lowered, position, table, beside)
        made = meaning.words if meaning is not None else words.words[position:end]
        found += made
        places = range(position, end) if meaning is None else [position] * len(made)
        starts += [words.starts[i] for i in places]
        ends += [words.ends[end - 1 if meaning is not None else i] for i in places]
        position = end
    return Words(words.text, tuple(found), tuple(starts), tuple(ends))


def _uncontracted(words: Words) -> Words:
    """The words with "can't", "isn't" and "won't" as "can not", "is not", "will not"."""
    found = list(words.words)
    for i in range(1, len(found)):
        gap = words.text[words.ends[i - 1] : words.starts[i]]
        if found[i] != "t" or gap not in _APOSTROPHES or not found[i - 1].endswith("n"):
            continue
        stem = found[i - 1]
        found[i - 1] = _STEMS.get(stem, stem[:-1])
        found[i] = "not"
    return Words(words.text, tuple(found), words.starts, words.ends)


def _at(
    words: Words,
    pieces: Sequence[str],
    lowered: Sequence[str],
    position: int,
    table: Abbreviations,
    beside: set[str],
) -> tuple[int, Meaning | None]:
    """Where the abbreviation at a word ends, and what it stands for; the word itself and None where there is none."""
    if pieces[position] == "?" and _is_joined(words, position):
        return position + 1, Meaning(("query",))
    if pieces[position] in table.first or lowered[position] in table.first:
        for end in range(min(position + _LONGEST, len(pieces)), position, -1):
            exact, plain = (_spaced(words, some, position, end) for some in (pieces, lowered))
            meanings = table.exact.get(exact) or table.plain.get(plain, ())
            for meaning in meanings:
                if _fits(meaning, words, pieces, position, end, beside):
                    return end, meaning
    return position + 1, None


def _fits(meaning: Meaning, words: Words, pieces: Sequence[str], position: int, end: int, beside: set[str]) -> bool:
    following = pieces[end] if end < len(pieces) else ""
    before = pieces[position - 1] if position else ""
    if (meaning.beside and not meaning.beside & beside) or meaning.unless & beside:
        return False
    if following.lower() in meaning.not_next:
        return False
    if meaning.not_next_number and following[:1].isdecimal():
        return False
    if meaning.not_after_number and before[-1:].isdecimal():
        return False
    is_tied = position > 0 and words.ends[position - 1] == words.starts[position] and before.isalnum()
    is_tied |= end < len(pieces) and words.ends[end - 1] == words.starts[end] and following.isalnum()
    is_hyphened = meaning.is_alone and (
        words.text[words.ends[end - 1] : words.ends[end - 1] + 1] == "-"
        or words.text[max(words.starts[position] - 1, 0) : words.starts[position]] == "-"
    )
    return not is_tied and not is_hyphened


def _is_joined(words: Words, position: int) -> bool:
    """Whether the next word stands right after a word, without a space."""
    return position + 1 < len(words) and words.ends[position] == words.starts[position + 1]


def _spaced(words: Words, pieces: Sequence[str], start: int, end: int) -> tuple[str, ...]:
    """Pieces with what stands between those that are not joined: "w/o" is not "w / o", and "knee cap" has a space."""
    gaps = (words.text[words.ends[i] : words.starts[i + 1]] for i in range(start, end - 1))
    return tuple(part for pair in zip(pieces[start:end], (*gaps, ""), strict=True) for part in pair)


def _pieces(name: str) -> tuple[str, ...]:
    words = words_of(name)
    pieces = [name[a:b] for a, b in zip(words.starts, words.ends, strict=True)]
    return _spaced(words, pieces, 0, len(pieces))


def _meaning(entry: Mapping[str, Any]) -> Meaning:
    return Meaning(
        words_of(entry["means"]).words,
        beside=_forms(entry.get("beside", ())),
        unless=_forms(entry.get("unless", ())),
        not_next=_forms(entry.get("not_next", ())),
        not_next_number=bool(entry.get("not_next_number")),
        not_after_number=bool(entry.get("not_after_number")),
        is_alone=bool(entry.get("is_alone")),
    )


def _forms(words: Sequence[str]) -> frozenset[str]:
    return frozenset(form for word in words for form in (word.lower(), normal_form(word)))
