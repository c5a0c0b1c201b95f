"""What identifies somebody in a text."""

from __future__ import annotations

from itertools import chain

from voxtile_datasets.deidentification.dates import ages_over_89, dates
from voxtile_datasets.deidentification.identifier import Identifier, without_overlaps
from voxtile_datasets.deidentification.numbers import contacts, numbers
from voxtile_datasets.deidentification.people import people
from voxtile_datasets.deidentification.places import addresses, institutions


def identifiers(text: str, vocabulary: frozenset[str] = frozenset()) -> list[Identifier]:
    """Names, dates, ages over 89, telephone and other numbers, and places, in the order of the text.

    Args:
        text: of a report; no header is needed.
        vocabulary: words of the reports' domain, in small letters.
    """
    taken = list(chain(dates(text), ages_over_89(text), institutions(text)))
    numbered = any(character.isdigit() for character in text)
    if numbered or "@" in text or "www." in text or "://" in text:
        taken += contacts(text)
    if numbered:
        taken += chain(numbers(text), addresses(text))
    return without_overlaps([*taken, *people(text, vocabulary, taken)])
