"""Which of several findings a statement is of: "lesion 2", "a second nodule", "another cyst".

Two statements that contradict each other in nothing are of one finding, unless a report counts them apart.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from voxtile.words.tokens import Words

_FURTHEST = 12  # words before the name
_DIGITS = 3
_NEXT = frozenset({"another", "additional", "further"})
_ORDINALS = {word: number for number, word in enumerate(("first", "second", "third", "fourth", "fifth", "sixth"), 1)}
_SIGNS = frozenset({"#", "number", "nr", "№"})
_LONGEST_LABEL = 5  # words: "target lesion number 2: …"
_COUNTED = frozenset(
    {"lesion", "nodule", "mass", "cyst", "finding", "tumor", "focus", "metastasis", "node", "stone", "deposit", "area"}
) | {"collection", "opacity", "polyp", "calculus", "aneurysm", "fracture", "abnormality"}
_LETTERS = "abcdefgh"
# What may follow a number that names a finding: "lesion 2: …", "lesion 2 (9 mm)", "lesion 2 measures …".
_FOLLOWS = frozenset({":", "(", ")", ",", ".", "-", "–", "—", "=", "in", "at", "is", "measure"})
_PARTING = frozenset(
    {",", ";", ":", "(", ")", ".", "and", "or", "in", "on", "of", "at", "within", "near", "with", "to", "for", "from"}
)
# "A third rib fracture" counts ribs, "a second trimester bleed" weeks.
_NUMBERED_PARTS = frozenset(
    {"rib", "toe", "finger", "digit", "ray", "metacarpal", "metatarsal", "phalanx", "ventricle", "trimester", "molar"}
) | {"degree", "portion", "part", "segment", "order", "cervical", "thoracic", "lumbar", "sacral", "nerve", "half"}


@dataclass(frozen=True)
class Which:
    """A place in a count.

    Attributes:
        section: of the report; each counts for itself.
        number: that is written, 1 for the first; None where none is.
        is_next: it is one more than those before it.
    """

    section: str
    number: int | None = None
    is_next: bool = False

    def excludes(self, other: Which) -> bool:
        """Whether these are two findings."""
        return self.section == other.section and None not in (self.number, other.number) and self.number != other.number


def which_of_several(words: Words, start: int, end: int, section: str, verbs: Collection[str]) -> Which:
    """The place in a count that a statement gives to the finding that is named at words [start, end).

    Args:
        words: of the sentence.
        start: first word that names the finding.
        end: word after them.
        section: of the report.
        verbs: words at which what stands before a name ends.
    """
    number = _number_after(words.words, end) or _number_of_label(words.words)
    if number is not None:
        return Which(section, number)
    between: list[str] = []
    for position in range(start - 1, max(-1, start - _FURTHEST), -1):
        word = words.words[position]
        if word in _PARTING or word in verbs:
            break
        if word in _NEXT:
            return Which(section, is_next=True)
        if word in _ORDINALS and not _NUMBERED_PARTS.intersection((*between, *words.words[start:end])):
            is_new = _ORDINALS[word] > 1 and (position == 0 or words.words[position - 1] != "the")
            return Which(section, is_next=True) if is_new else Which(section, _ORDINALS[word])
        between.append(word)
    return Which(section)


def _number_of_label(words: tuple[str, ...]) -> int | None:
    """The number of what a sentence stands under: "Lesion 2: 9 mm metastasis"."""
    colon = next((i for i, word in enumerate(words[: _LONGEST_LABEL + 1]) if word == ":"), 0)
    place = next((i for i, word in enumerate(words[:colon]) if word in _COUNTED), colon)
    return _number_after(words, place + 1) if place < colon else None


def _number_after(words: tuple[str, ...], at: int) -> int | None:
    """The number or letter directly after a name: "lesion 2: …", "lesion #2 (…)", "lesion B: …"."""
    is_signed = False
    while at < len(words) and (words[at] in _SIGNS or (is_signed and words[at] == ".")):
        is_signed, at = True, at + 1
    if at >= len(words):
        return None
    word, following = words[at], words[at + 1] if at + 1 < len(words) else "."
    if word.isdecimal() and len(word) <= _DIGITS and (is_signed or following in _FOLLOWS):
        return int(word)
    return _LETTERS.index(word) + 1 if word in tuple(_LETTERS) and following in (":", "(") else None
