"""Sentences of a report with the facts that they state, and how patterns and lists become sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.wordings import fill
from voxtile_medical.reports.compose.wording import Choice
from voxtile_medical.reports.extract import ReportFact
from voxtile_medical.reports.quantities.measures import Measurement


@dataclass(frozen=True)
class Said:
    """A sentence, and the facts that it states."""

    text: str
    facts: tuple[ReportFact, ...] = ()
    measurements: tuple[Measurement, ...] = ()


def sentence(patterns: str | Sequence[str], fields: Mapping[str, str], choice: Choice) -> str:
    """One of the patterns whose fields are known, filled in, with a capital."""
    offered = [patterns] if isinstance(patterns, str) else patterns
    return capital(choice.of([filled for pattern in offered if (filled := fill(pattern, fields))]))


def capital(text: str) -> str:
    """The text with a capital first letter."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], *, separator: str, last: str, pair: str) -> str:
    """An enumeration of names."""
    if len(names) < 3:
        return pair.join(names)
    return f"{separator.join(names[:-1])}{last}{names[-1]}"
