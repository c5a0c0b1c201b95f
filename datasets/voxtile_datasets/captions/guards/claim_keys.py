"""What claims say, whatever their words: to find a statement of one text in another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.extraction.claims import Claim


def claim_key(claim: Claim) -> tuple[object, ...]:
    """What a claim says, whatever its words and their place."""
    said = (claim.kind, claim.concepts, claim.polarity, claim.laterality, claim.value, claim.unit, claim.count)
    return (*said, claim.place, claim.attribute, claim.relation, claim.others, claim.text)


def is_said_by(claim: Claim, others: Iterable[Claim]) -> bool:
    """Whether one of other claims says as much as a claim, or more: "a large harbour" says "a harbour"."""
    key, details = claim_key(claim), _details(claim)
    return any(
        claim_key(other) == key
        or (
            claim.kind == other.kind == "concept"
            and (claim.concepts, claim.polarity) == (other.concepts, other.polarity)
            and details <= _details(other)
        )
        for other in others
    )


def _details(claim: Claim) -> frozenset[tuple[object, ...]]:
    return frozenset((detail.kind, detail.value, detail.bounds) for detail in claim.details)


def claims_at(claims: Iterable[Claim], start: int, end: int) -> list[Claim]:
    """The claims of which a part, or a detail, stands at a place of their text.

    Args:
        claims: of the text.
        start: of the place, in characters.
        end: of the place, exclusive.
    """
    return [claim for claim in claims if any(start < last and first < end for first, last in spans_of(claim))]


def spans_of(claim: Claim) -> list[tuple[int, int]]:
    """Where a claim and its details stand in their text, half-open in characters."""
    return [(claim.start, claim.end), *((detail.start, detail.end) for detail in claim.details)]


def statements(claims: Iterable[Claim]) -> frozenset[tuple[str, str]]:
    """The findings that claims affirm, deny or doubt: concept and polarity, without their details."""
    found = {(name, claim.polarity) for claim in claims if claim.kind == "concept" for name in claim.concepts}
    return frozenset(found | {(name, "absent") for claim in claims for name in claim.denies})
