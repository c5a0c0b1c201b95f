"""The English of reports, which the domain of radiology reads, with the cues of pathology."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Protocol

from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.words.tokens import Words
from voxtile_pathology.reports.fact import Polarity

CUES = Path(__file__).with_name("cues.yaml")


class Statement(Protocol):
    """A part of a sentence, and how it affirms, denies or doubts what it names."""

    words: Words

    def polarity(self, start: int, end: int) -> Polarity | None:
        """That of the words [start, end); None where they are history or a condition."""


class Language(Protocol):
    """What a domain that reads reports offers as `report_language`."""

    def statement(self, text: str) -> Statement:
        """Parse a part of a sentence."""

    def other_language(self, text: str, known: frozenset[str]) -> str | None:
        """Name of the language of a text that is not English."""


@cache
def language() -> Language:
    """The language of reports.

    Raises:
        ConfigError: no installed domain reads reports.
    """
    domains, _ = discover()
    command = next((domain.report_language for domain in domains.values() if domain.report_language is not None), None)
    if command is None:
        raise ConfigError("no installed domain reads reports; install voxtile with the medical domain")
    made: Language = command.load()(CUES)
    return made
