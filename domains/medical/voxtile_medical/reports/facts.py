"""Facts from statements: the firmest about each concept, those about one finding joined, addenda above the rest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from voxtile_medical.reports.assertion.statements import Polarity
from voxtile_medical.reports.attributes import NONE, Attributes
from voxtile_medical.reports.quantities.numbered import Which
from voxtile_medical.reports.text.lines import Span

_FIRMEST_FIRST = ("present", "uncertain", "absent")


@dataclass(frozen=True)
class ReportFact:
    """What a report says about one finding, and the sentences that say it.

    Attributes:
        concept: name.
        polarity: present, absent or uncertain.
        attributes: side, place, size and the like.
        evidence: the sentences.
        spans: where the words that name it stand, as characters (start, end) of the report, half-open.
        which: its place where the report counts several.
    """

    concept: str
    polarity: Polarity
    attributes: Attributes = NONE
    evidence: tuple[str, ...] = ()
    spans: tuple[Span, ...] = field(default=(), compare=False)
    which: Which | None = field(default=None, compare=False)


def firmest(found: Iterable[ReportFact]) -> Iterator[ReportFact]:
    """The firmest statements about each concept, those about one finding joined."""
    for _, group in groupby(sorted(found, key=lambda fact: fact.concept), key=lambda fact: fact.concept):
        facts = list(group)
        polarity = next(p for p in _FIRMEST_FIRST if any(fact.polarity == p for fact in facts))
        yield from _merged([fact for fact in facts if fact.polarity == polarity])


def elsewhere(found: Sequence[ReportFact]) -> Iterator[ReportFact]:
    """Less firm statements of another side or place than that of the firmest: "effusion left, none right"."""
    by_concept: dict[str, list[ReportFact]] = defaultdict(list)
    for fact in found:
        by_concept[fact.concept].append(fact)
    for concept in sorted(by_concept):
        said = by_concept[concept]
        firm = next(p for p in _FIRMEST_FIRST if any(fact.polarity == p for fact in said))
        there = [fact for fact in said if fact.polarity == firm]
        other = [fact for fact in said if fact.polarity != firm]
        yield from dict.fromkeys(
            fact for fact in other if all(fact.attributes.is_elsewhere(one.attributes) for one in there)
        )


def corrected(found: Sequence[ReportFact], added: Sequence[ReportFact]) -> list[ReportFact]:
    """Statements of a report and of its addenda; what an addendum says otherwise takes the place of what it corrects.

    Args:
        found: of the report.
        added: of its addenda, in order.
    """
    kept = list(found)
    for fact in added:
        same = [other for other in kept if other.concept == fact.concept]
        denied = [o for o in same if o.polarity != fact.polarity and not fact.attributes.is_elsewhere(o.attributes)]
        kept = [other for other in kept if other not in denied]
        alike = [other for other in same if other.polarity == fact.polarity]
        moved = [other for other in alike if fact.attributes.is_elsewhere(other.attributes)]
        if len(alike) == len(moved) == 1 and fact.polarity != "absent":
            kept.remove(moved[0])
            fact = replace(fact, attributes=fact.attributes.completed(moved[0].attributes))
        kept.append(fact)
    return kept


def counted(found: Sequence[ReportFact]) -> list[ReportFact]:
    """The statements in their order, of which "another nodule" gets the number after those before it."""
    numbered = list(found)
    highest: dict[tuple[str, str], int] = defaultdict(int)
    last: dict[tuple[str, str], int] = {}  # place of the last statement without a number
    for place, fact in enumerate(found):
        if fact.which is None:
            continue
        key = (fact.which.section, fact.concept)
        if fact.which.is_next:
            if key in last:
                highest[key] += 1
                before = last.pop(key)
                numbered[before] = replace(numbered[before], which=replace(fact.which, number=highest[key]))
            highest[key] += 1
            numbered[place] = replace(fact, which=replace(fact.which, number=highest[key]))
        elif fact.which.number is None:
            last[key] = place
        else:
            highest[key] = max(highest[key], fact.which.number)
            last.pop(key, None)
    return numbered


def _merged(facts: Sequence[ReportFact]) -> list[ReportFact]:
    """Statements about the same finding become one; a denial holds as far as the widest statement of it."""
    merged: list[ReportFact] = []
    sources: list[list[ReportFact]] = []
    for fact in sorted(facts, key=lambda f: -_count(f.attributes)):
        place = next((i for i, other in enumerate(merged) if _agree(fact, other, sources[i])), None)
        if place is None:
            merged.append(fact)
            sources.append([fact])
        else:
            merged[place] = replace(merged[place], attributes=_joined(merged[place], fact))
            sources[place].append(fact)
    joined = [_with_sources(fact, some) for fact, some in zip(merged, sources, strict=True)]
    return sorted(joined, key=lambda f: repr(f.attributes))


def _agree(fact: ReportFact, other: ReportFact, sources: Sequence[ReportFact]) -> bool:
    """Whether two statements can be about one finding: nothing contradicts, and they are not counted apart."""
    if fact.polarity == "absent":
        return True
    if not fact.attributes.agrees(other.attributes):
        return False
    if fact.which is None or fact.which.number is None:
        return True  # it excludes none
    return not any(one.which and fact.which.excludes(one.which) for one in sources)


def _joined(one: ReportFact, two: ReportFact) -> Attributes:
    if one.polarity == "absent":
        return one.attributes.common(two.attributes)
    return one.attributes.completed(two.attributes)


def _with_sources(fact: ReportFact, sources: Sequence[ReportFact]) -> ReportFact:
    evidence = dict.fromkeys(sentence for source in sources for sentence in source.evidence)
    spans = dict.fromkeys(span for source in sources for span in source.spans)
    which = next((one.which for one in sources if one.which and one.which.number is not None), None)
    return replace(fact, evidence=tuple(evidence), spans=tuple(spans), which=which)


def _count(attributes: Attributes) -> int:
    return sum(1 for value in attributes.values() if value)
