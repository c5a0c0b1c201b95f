"""Whether one answer is right: closed ones by the choice that they name, open ones by their words.

Of what `voxtile instruct` asks openly, the number, size or place is read in the sentence that says it.

Words are compared as SQuAD does (Rajpurkar et al., EMNLP 2016): in small letters, without punctuation and articles;
F1 is that of the words that both have.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

CLOSED = frozenset(
    ["yes", "no", "left", "right", "bilateral", "new", "resolved", "larger", "smaller", "unchanged", "persistent"]
)
CHOICE = "choice"
"""Kind of a question that names its answers, each after a letter."""
IN_SENTENCES = frozenset(["count", "size", "place"])
"""Kinds of questions whose short answer stands in a sentence."""
_SIZE = re.compile(r"\d[\d.]*(?: x \d[\d.]*)* (?:[mckµ]?m2?|ha|%)(?!\w)")
_MILLIMETRES = {"mm": 1.0, "cm": 10.0, "m": 1000.0}
_LENGTH = re.compile(r"(?P<length>\d+(?:\.\d+)?) (?P<unit>mm|cm|m)")
_MARGIN = re.compile(
    r"(?P<length>\d+(?:\.\d+)?) (?P<length_unit>mm|cm|m) ± (?P<margin>\d+(?:\.\d+)?) (?P<margin_unit>mm|cm|m)"
)
_NUMBERS = {word: str(number) for number, word in enumerate(
    ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
)}  # fmt: skip
CANNOT_BE_TOLD = "cannot be told"
_REFUSAL = re.compile(
    r"\b(can(no|')t be (told|said|determined|answered|seen)|cannot (tell|say|determine|answer)|"
    r"can't (tell|say|determine)|"
    r"does not (tell|show) that|no image tells|not possible to (tell|say)|unable to|"
    r"(there is|is given) no (prior|earlier)|no (prior|earlier) \w+( \w+)* (is given|to compare))",
    re.I,
)
# Letters of options; "A mass" begins with an article.
_LETTER = re.compile(r"\s*\(?([a-j])\s*[).:]\s*", re.I)
_CHOSEN = re.compile(r"\b(?:answer|option|choice)(?: is)?:? *\(?([a-j])\b(?!\w|')", re.I)
_WORD = re.compile(r"[\w.,]*\w|\w")
_ARTICLES = frozenset(["a", "an", "the"])
# Words by which an answer names a choice; the first that stands in it counts.
_NAMED = {
    "bilateral": r"bilateral(ly)?|both", "left": r"left", "right": r"right", "new": r"new(ly)?",
    "resolved": r"resolved|gone|no longer|any more", "larger": r"larger|grown|increased|bigger",
    "smaller": r"smaller|shrunk|decreased", "unchanged": r"unchanged|stable|no change",
    "persistent": r"still there|persist(s|ent|ing)?|both show",
}  # fmt: skip


def is_refusal(text: str) -> bool:
    """Whether an answer says that the image does not tell."""
    return bool(_REFUSAL.search(text))


def choice_of(text: str, choices: Collection[str]) -> str | None:
    """Which choice an answer names; None where it names none, or refuses.

    Args:
        text: an answer: "Yes, there is one.", "On the left".
        choices: short answers of the questions of this kind.
    """
    low = text.casefold().strip()
    if is_refusal(low):
        return None
    if {"yes", "no"} & set(choices):
        first = re.match(r"\W*(yes|no)\b", low)
        return first[1] if first else None
    found = [
        (match.start(), choice)
        for choice in choices
        if (match := re.search(rf"\b({_NAMED.get(choice, re.escape(choice))})\b", low))
    ]
    return min(found)[1] if found else None


def is_option(said: str, true: str) -> bool:
    """Whether an answer chooses the option that is right: by its letter, else by its words.

    Args:
        said: "B", "(B)", "B) a mass", "The answer is B.", "a mass".
        true: the option after its letter: "b) a mass".
    """
    right = _LETTER.match(true)
    if right is None:
        return is_exact(said, true)
    first = _LETTER.match(said) or re.fullmatch(r"\W*([a-j])\W*", said, re.I) or _CHOSEN.search(said)
    if first is not None:
        return first[1].casefold() == right[1].casefold()
    return is_exact(said, true[right.end() :])


def is_told(said: str, true: str, kind: str, answers: Collection[str]) -> bool:
    """Whether the sentence of an answer says the number, size or place that is right.

    Args:
        said: "There are three tanks.", "Three.", "In the lower right part of the picture."
        true: the short answer: "3", "lower right".
        kind: of the question; of others than `IN_SENTENCES` the words are to be the same.
        answers: short answers of the questions of this kind: the longest that stands in the sentence is its place.
    """
    if kind not in IN_SENTENCES or is_exact(said, true):
        return is_exact(said, true)
    words = [_NUMBERS.get(word, word) for word in words_of_answer(said)]
    if kind == "count":
        return next((word for word in words if word.isdecimal()), None) == true
    if kind == "size":
        found = _SIZE.search(said.casefold())
        return found is not None and (is_exact(found[0], true) or _is_within(found[0], true))
    named = [own for own in map(words_of_answer, answers) if _stands_in(own, words)]
    return max(named, key=len, default=None) == words_of_answer(true)


def _is_within(size: str, true: str) -> bool:
    """Whether a length lies within the margin of the true one, "23 mm ± 5 mm"; its own margin, if any, says nothing."""
    margin = _MARGIN.fullmatch(true)
    said = _LENGTH.fullmatch(size)
    if margin is None or said is None:
        return False
    lengths = [float(margin[name]) * _MILLIMETRES[margin[f"{name}_unit"]] for name in ("length", "margin")]
    return abs(float(said["length"]) * _MILLIMETRES[said["unit"]] - lengths[0]) <= lengths[1]


def _stands_in(part: list[str], words: list[str]) -> bool:
    return any(words[start : start + len(part)] == part for start in range(len(words) - len(part) + 1))


def words_of_answer(text: str) -> list[str]:
    """The words of an answer in small letters, without punctuation and articles."""
    return [word for word in _WORD.findall(text.casefold()) if word not in _ARTICLES]


def is_exact(said: str, true: str) -> bool:
    """Whether two answers have the same words in the same order."""
    return words_of_answer(said) == words_of_answer(true)


def token_f1(said: str, true: str) -> float:
    """F1 of the words of two answers, from 0 to 1."""
    ours, theirs = Counter(words_of_answer(said)), Counter(words_of_answer(true))
    shared = sum((ours & theirs).values())
    return 2 * shared / (ours.total() + theirs.total()) if shared else 0.0
