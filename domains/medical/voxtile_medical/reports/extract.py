"""Facts from one report: the firmest statement about each concept, with the sentences that make it."""

from __future__ import annotations

from dataclasses import dataclass

from voxtile_medical.reports.lexicon import Lexicon
from voxtile_medical.reports.sections import sentences

# A question ("rule out effusion") or an earlier state is not a finding of this examination.
_NOT_FINDINGS = frozenset({"indication", "comparison", "technique"})
_FIRMEST_FIRST = ("present", "uncertain", "absent")


@dataclass(frozen=True)
class ReportFact:
    """What a report says about one concept, and the sentences that say it."""

    concept: str
    polarity: str
    laterality: str | None
    evidence: tuple[str, ...]


def facts_of_report(report: str, lexicon: Lexicon) -> list[ReportFact]:
    """Read a report.

    A concept that is affirmed anywhere is present (a later "no other nodules" does not undo the nodule); else a hedge
    makes it uncertain; else it is absent. Concepts that are not mentioned yield nothing.

    Args:
        report: free text, with or without section headings.
        lexicon: which concepts to look for.
    """
    found: dict[str, dict[str, list[tuple[str, str | None]]]] = {}
    for sentence in sentences(report):
        if sentence.section in _NOT_FINDINGS:
            continue
        for mention in lexicon.mentions(sentence.text):
            held = found.setdefault(mention.concept, {})
            held.setdefault(mention.polarity, []).append((sentence.text, mention.laterality))
    facts = []
    for concept, by_polarity in sorted(found.items()):
        polarity = next(p for p in _FIRMEST_FIRST if p in by_polarity)
        statements = by_polarity[polarity]
        side = next((s for _, s in statements if s), None)
        facts.append(ReportFact(concept, polarity, side, tuple(dict.fromkeys(t for t, _ in statements))))
    return facts
