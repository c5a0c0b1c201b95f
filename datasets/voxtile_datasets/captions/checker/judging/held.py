"""What the rows of a sample hold wherever it stands: a word or a number of any of them is known."""

from __future__ import annotations

from collections.abc import Iterator

from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.extraction.claims import Claim, Detail
from voxtile_datasets.captions.checker.extraction.numbers.amount import COUNT, SHARE
from voxtile_datasets.captions.checker.fact import Fact
from voxtile_datasets.captions.checker.judging.agreement import agrees_with_any
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts

# Words that name nothing.
_GLUE = frozenset(
    ["a", "an", "the", "of", "in", "on", "at", "with", "and", "or", "is", "are", "was", "were", "to", "from", "by",
     "for", "its", "this", "that", "some", "there", "within", "into", "has", "have", "be", "been", "as", "it", ",",
     "(", ")", "side", "sided", "seen", "present", "shows", "show", "contains", "contain", "lies", "left",
     "right", "both", "change", "disease", "process", "tissue", "area", "lesion", "finding", "abnormality"]
)  # fmt: skip


def row_that_names(claim: Claim, facts: Facts) -> Fact | None:
    """The row that holds all words of what is claimed: "L3 haemangioma" of a haemangioma with the location L3."""
    said = frozenset(words_of(claim.words).words) - _GLUE
    if not said:
        return None
    known = facts.metadata.words
    for row in facts.all_rows():
        own = _words_of(row)
        if row.polarity == "present" and said & own and said <= own | known:
            return row
    return None


def row_that_is_denied(claim: Claim, facts: Facts) -> Fact | None:
    """The row whose finding a denial names by the last word of its name, and by no word that it lacks."""
    said = frozenset(words_of(claim.words).words) - _GLUE
    for row in facts.all_rows():
        name = words_of(row.name.replace("_", " ")).words
        if said and row.polarity == "present" and name and name[-1] in said and said <= frozenset(name):
            return row
    return None


def is_held(detail: Detail, concept: str, facts: Facts) -> bool:
    """Whether something more general or more special, or for a measurement any row or column at all, has a detail."""
    if agrees_with_any(detail, list(_related(concept, facts)), facts.vocabulary):
        return True
    if detail.kind == "side":
        return facts.metadata.has(detail)
    if detail.kind not in ("number", "count") or detail.dimension == SHARE:
        return False
    rows = facts.all_rows()
    if any(low <= value <= high for row in rows for value in row.bare for low, high in detail.bounds):
        return True
    if detail.dimension == COUNT:
        return False
    return agrees_with_any(detail, rows, facts.vocabulary) or facts.metadata.has(detail)


def _related(concept: str, facts: Facts) -> Iterator[Fact]:
    vocabulary = facts.vocabulary
    for name in vocabulary.above(concept) | vocabulary.below(concept) | vocabulary.kin(concept):
        yield from facts.rows_of(name)


def _words_of(row: Fact) -> frozenset[str]:
    return frozenset(words_of(row.name.replace("_", " ")).words) | row.words
