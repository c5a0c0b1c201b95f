"""How much of what the facts state a text says: each finding that is there, its sides, its size, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.vocabulary import NORMAL

_SIZES = ("length", "area", "volume", "share", "uptake")


@dataclass(frozen=True)
class Completeness:
    """What a text says of what the facts state.

    Attributes:
        said: how many of the stated things the text says.
        stated: how many there are: findings that are there, and of each its side, its size and its number.
        left_out: those that it does not say, in words: `pleural effusion`, `side of pleural effusion`.
    """

    said: int
    stated: int
    left_out: tuple[str, ...]

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where the facts state nothing that is there."""
        return self.said / self.stated if self.stated else None


def completeness(claims: Sequence[Claim], facts: Facts) -> Completeness:
    """Compare what a text claims with everything that the facts state.

    A more general word says a finding ("mass" of a lung mass); a detail counts where it is that of a fact.

    Args:
        claims: of the text.
        facts: of the sample.
    """
    said = stated = 0
    left_out: list[str] = []
    for name in sorted(facts.present()):
        ours = [claim for claim in claims if _says(claim, name, facts)]
        for what, is_said in _parts(name, ours, facts.rows_of(name), facts):
            stated += 1
            said += is_said
            left_out += [] if is_said else [what]
    return Completeness(said, stated, tuple(left_out))


def _says(claim: Claim, name: str, facts: Facts) -> bool:
    if claim.kind not in ("concept", "normal") or claim.polarity == "absent":
        return False
    if claim.kind == "normal":
        return name == NORMAL and claim.concepts == (NORMAL,)
    vocabulary = facts.vocabulary
    return any(concept in vocabulary.below(name) or concept in vocabulary.above(name) for concept in claim.concepts)


def _parts(name: str, ours: Sequence[Claim], rows: Sequence[Fact], facts: Facts) -> Iterator[tuple[str, bool]]:
    """The finding, its side, its size and its number as far as facts state them, each with whether it is said."""
    words = name.replace("_", " ")
    yield words, bool(ours)
    details = [detail for claim in ours for detail in claim.details]
    if any(row.sides for row in rows) and facts.vocabulary.has_sides:
        yield f"side of {words}", _is_any("side", details, rows, facts)
    if any(row.numbers.get(dimension) for row in rows for dimension in _SIZES):
        yield f"size of {words}", _is_any("number", details, rows, facts)
    if any(row.counts for row in rows):
        yield f"number of {words}", _is_any("count", details, rows, facts)


def _is_any(kind: str, details: Sequence[Detail], rows: Sequence[Fact], facts: Facts) -> bool:
    return any(detail.kind == kind and agrees_with_any(detail, rows, facts.vocabulary) for detail in details)
