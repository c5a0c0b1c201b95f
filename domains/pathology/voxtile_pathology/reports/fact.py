"""What a report says of one finding: the fact, its attributes, and the words that say it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
FIRMEST_FIRST: tuple[Polarity, ...] = ("present", "uncertain", "absent")


@dataclass(frozen=True)
class Attributes:
    """Attributes of a finding, each None or empty where nothing is said.

    Attributes:
        laterality: left, right or bilateral.
        location: organ, structure or margin as the report names it, in lower case.
        size_mm: one to three dimensions in millimetres, as said.
        details: (name, value) of what only some findings have: grade, stage, margin, distance_mm, status, percent,
            score, positive, examined, …; docs/pathology.md lists them.
    """

    laterality: str | None = None
    location: str | None = None
    size_mm: tuple[float, ...] = ()
    details: tuple[tuple[str, str | float], ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Those that are known, as the facts table has them."""
        known = {"laterality": self.laterality, "location": self.location, "size_mm": list(self.size_mm)}
        return {name: value for name, value in known.items() if value} | dict(self.details)

    def completed(self, other: Attributes) -> Attributes:
        """These, and those of another statement where these say nothing."""
        return Attributes(
            self.laterality or other.laterality,
            self.location or other.location,
            self.size_mm or other.size_mm,
            tuple(sorted({**dict(other.details), **dict(self.details)}.items())),
        )


class Percent(NamedTuple):
    """A percentage as it is said: a number, a range, or a bound, of which one end is not known.

    Attributes:
        low, high: 0 to 100; None where a bound leaves it open.
        said: the words.
    """

    low: float | None
    high: float | None
    said: str

    @property
    def value(self) -> float | None:
        """The number, where one is said."""
        return self.low if self.low == self.high else None

    @property
    def is_none(self) -> bool:
        """Whether nothing of it is there: "0 %"."""
        return self.high == 0

    def details(self) -> dict[str, float | None]:
        """`percent` of a number; of a range or a bound `percent_min` and `percent_max`, as far as they are known."""
        if self.value is not None:
            return {"percent": self.value}
        return {"percent_min": self.low, "percent_max": self.high}


@dataclass(frozen=True)
class SlideFact:
    """What a report says of one finding.

    Attributes:
        concept: of the lexicon.
        polarity: as said.
        attributes: beside the finding.
        value, unit: a number that is the finding's own (a percentage, a count, a length), see docs/pathology.md.
        words: the words that name it, as the report writes them.
        evidence: the sentences that say it.
        implied_by: the concept that makes it true, where the report does not say it itself.
        addendum: 0 in the report itself, else the number of the addendum.
    """

    concept: str
    polarity: Polarity
    attributes: Attributes = field(default_factory=Attributes)
    value: float | None = None
    unit: str | None = None
    words: str = ""
    evidence: tuple[str, ...] = ()
    implied_by: str | None = None
    addendum: int = 0

    def detailed(self, **details: str | float | None) -> SlideFact:
        """The fact with further details; those that are None are left out."""
        known = {name: value for name, value in details.items() if value is not None}
        merged = tuple(sorted({**dict(self.attributes.details), **known}.items()))
        return replace(self, attributes=replace(self.attributes, details=merged))

    def with_percent(self, percent: Percent) -> SlideFact:
        """The fact with a percentage, which is its value where it is one number and neither range nor bound."""
        fact = self if percent.value is None else replace(self, value=percent.value, unit="%")
        return fact.detailed(**percent.details())


@dataclass(frozen=True)
class Problem:
    """Something in a report that is not read: a short name and a sentence for people."""

    reason: str
    detail: str
