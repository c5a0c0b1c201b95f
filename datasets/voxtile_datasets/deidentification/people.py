"""Names of people, by what stands around them and by what kind of words they are.

A title, a role with a colon, an act ("reviewed by"), a degree, a relative, a preposition, a given name beside: each
says how likely the word behind it is a name, and the kind of the word decides. Where both are unsure, a word with a
capital inside a sentence is taken for a name, unless it is what findings are called after ("Baker cyst", "circle of
Willis", "Bosniak IIF").
"""

from __future__ import annotations

from collections.abc import Iterator

from voxtile_datasets.deidentification.identifier import Identifier
from voxtile_datasets.deidentification.initials import initials
from voxtile_datasets.deidentification.name_cues import mark_told
from voxtile_datasets.deidentification.name_rows import NamedWords
from voxtile_datasets.deidentification.name_shapes import mark_joined, mark_shaped
from voxtile_datasets.deidentification.tokens import tokens


def people(text: str, vocabulary: frozenset[str], taken: list[Identifier]) -> Iterator[Identifier]:
    """Where a text names people.

    Args:
        text: of a report.
        vocabulary: words of the domain, in small letters, which are no names unless something says so.
        taken: what was found before: dates, numbers, places.
    """
    names = NamedWords(text, tokens(text, vocabulary), [(item.start, item.end) for item in taken])
    mark_told(names)
    mark_shaped(names)
    mark_joined(names)
    yield from (Identifier(start, end, "name") for start, end in names.spans())
    yield from initials(text)
