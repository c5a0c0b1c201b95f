"""What a text claims about a picture: concepts with their details, relations, and whom it names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
ClaimKind: TypeAlias = Literal[
    "concept", "normal", "relation", "loose", "date", "identity", "imaging", "beyond", "change", "foreign"
]
DetailKind: TypeAlias = Literal[
    "side", "place", "number", "count", "colour", "severity", "change", "position", "shape", "rank"
]


AGENT = "by"  # relation of what is said to have been done by somebody or something
LOCAL = "local"  # text of what is denied of one thing alone
ELSEWHERE = "elsewhere"  # text of what is denied of all places but those that were named
PART = "part"  # dimension of a place that is told by words of position alone: "the lateral compartment"


@dataclass(frozen=True)
class Detail:
    """Something said of a concept.

    Attributes:
        kind: what it is.
        value: side, place, colour, grade, change or position by its name in the grammar or vocabulary; of a number its
            unit as the grammar names it.
        bounds: (lowest, highest) of each number in the unit's base (mm, mm², ml, HU, …; a count as it is).
        dimension: of the unit: length, area, volume, share, …; None for what is no number.
        is_vague: a word such as `several`, of which facts may say nothing.
        is_exact: a colour beside which facts state others that are like it.
        is_apart: it stands in another part of the enumeration than the name that it is taken to be said of.
        is_outside: what is said is not there: "outside the left upper lobe".
        words, start, end: where the text says it, half-open in characters.
    """

    kind: DetailKind
    value: str
    words: str
    start: int
    end: int
    bounds: tuple[tuple[float, float], ...] = ()
    dimension: str | None = None
    is_vague: bool = False
    is_exact: bool = False
    is_apart: bool = False
    is_outside: bool = False


@dataclass(frozen=True)
class Claim:
    """One claim.

    Attributes:
        kind: `concept`; `normal` (something is as it should be, which denies `denies`); `relation` of two concepts;
            `loose` (details of which the text does not say what they belong to; with the `text` "stray" none points
            back to what was named before); `date`; `identity`; `imaging` (how and of what the
            picture was made: modality, part of the body, magnification, age of the patient); `beyond` (what no picture
            shows: cause, advice, prognosis, change, history); `change` (what became of a concept between two dates,
            its kind in `relation`).
        concepts: what the words can mean, each a name in the vocabulary; of `imaging` values of its aspect.
        polarity: present, absent or uncertain.
        details: what is said of it.
        denies: concepts that a statement of normality denies.
        relation, others: of a relation its kind (`north`, `beside`, `in`, `crossing`, …) and the second concept; of a
            cause the concepts that its words name; of what no picture shows AGENT where it tells who did it.
        text: of `imaging` the aspect, of `beyond` the kind; of a `concept` that is denied "past" where the denial is of
            an earlier date, "change" where it is of a change, LOCAL and ELSEWHERE where a denial is limited; of a date
            in ISO 8601 as far as it is said (`2023-04`), of an identity what kind of one it is.
        words, start, end: where the text says it, half-open in characters.
    """

    kind: ClaimKind
    words: str
    start: int
    end: int
    concepts: tuple[str, ...] = ()
    polarity: Polarity = "present"
    details: tuple[Detail, ...] = ()
    denies: tuple[str, ...] = ()
    relation: str | None = None
    others: tuple[str, ...] = ()
    text: str | None = None

    @property
    def concept(self) -> str | None:
        """The first meaning of its words."""
        return self.concepts[0] if self.concepts else None

    @property
    def laterality(self) -> str | None:
        """Left, right or bilateral."""
        return self._first("side")

    @property
    def place(self) -> str | None:
        """Part of an organ or of the picture."""
        return self._first("place") or self._first("position")

    @property
    def attribute(self) -> str | None:
        """Its colour, grade or change."""
        return self._first("colour") or self._first("severity") or self._first("change")

    @property
    def value(self) -> float | None:
        """The middle of its first number's bounds, in the base of its unit."""
        number = next((d for d in self.details if d.kind == "number"), None)
        return sum(number.bounds[0]) / 2 if number else None

    @property
    def unit(self) -> str | None:
        """Unit of its first number as written."""
        return self._first("number")

    @property
    def count(self) -> float | None:
        """How many there are, where a number says so."""
        count = next((d for d in self.details if d.kind == "count" and not d.is_vague), None)
        return count.bounds[0][0] if count else None

    @property
    def date(self) -> str | None:
        """ISO 8601, as far as it is said."""
        return self.text if self.kind == "date" else None

    def _first(self, kind: DetailKind) -> str | None:
        return next((detail.value for detail in self.details if detail.kind == kind), None)

    def moved(self, by: int) -> Claim:
        """The same claim in a text that begins `by` characters earlier."""
        details = tuple(replace(d, start=d.start + by, end=d.end + by) for d in self.details)
        return replace(self, start=self.start + by, end=self.end + by, details=details)
