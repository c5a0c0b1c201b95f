"""Replies that repeat the facts word for word: they are no captions of the model.

A text is such a repetition where it is nothing but facts as they were told, one after another: their words in their
order, with or without the word that says whether they hold (present, absent, uncertain) and the names of their details
(laterality, number). Commas, brackets, list marks and "and" between them make no caption of it, nor does a heading.
The name of one fact alone ("Pleural effusion", "No pleural effusion") is a phrase and may be a short caption.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

REPEATS = "repeats-facts"  # reason in counts and ledgers
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|%")
_BETWEEN = frozenset({"and", "also", "fact", "facts", "finding", "findings"})
_LABELS = frozenset({"present", "absent", "uncertain"})


class NamedFault(str):
    """What is wrong with a text, in a sentence for the model, with a reason of its own for counts.

    Attributes:
        reason: short name.
    """

    reason: str

    def __new__(cls, reason: str, why: str) -> NamedFault:
        """Make one."""
        fault = super().__new__(cls, why)
        fault.reason = reason
        return fault


def is_repetition(text: str, facts: Iterable[str]) -> bool:
    """Whether a text only repeats the facts.

    Args:
        text: of the model.
        facts: the lines that it was told, such as `present: nodule (12 mm; laterality: left)`.
    """
    facts, words = tuple(facts), _tokens(text)
    if len(words) < 2 or not _is_made_of(words, [form for line in facts for form in _forms(line)]):
        return False
    names = [_tokens(line.partition(":")[2].partition("(")[0]) for line in facts]
    return words not in {(*front, *name) for name in names for front in ((), ("no",), ("possible",))}


def _is_made_of(words: Sequence[str], forms: Sequence[tuple[str, ...]]) -> bool:
    """Whether forms, one after another and at least one of them, make up a text; words between them do not count."""
    reached = {0: False}  # place in the text → whether a form ended there or before
    for place in range(len(words)):
        if place not in reached:
            continue
        if words[place] in _BETWEEN:
            reached[place + 1] = reached.get(place + 1, False) or reached[place]
        for form in forms:
            if tuple(words[place : place + len(form)]) == form:
                reached[place + len(form)] = True
    return reached.get(len(words), False)


def _forms(line: str) -> list[tuple[str, ...]]:
    """The orders of words in which a line repeats itself: whole, without its label, or the names of its details."""
    label, _, said = line.partition(":") if line.partition(":")[0] in _LABELS else ("", "", line)
    name, _, details = said.partition("(")
    values = "; ".join(part.rpartition(":")[2] for part in details.rstrip(") ").split(";"))
    bodies = {_tokens(said), _tokens(f"{name} {values}")}
    bodies |= set() if details else {_tokens(name)}
    negated = {"absent": "no", "uncertain": "possible"}.get(label)
    fronts = [(), _tokens(label), *([(negated,)] if negated else [])]
    return [(*front, *body) for body in bodies if body for front in fronts]


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(token.casefold() for token in _TOKEN.findall(text))
