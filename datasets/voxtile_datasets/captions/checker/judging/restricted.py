"""Denials in reports of patients that deny less than their noun, and sizes of earlier days.

"No new nodule" leaves the old ones, "none larger than 5 mm" all of them; "the kidney is surgically absent" affirms its
removal; "LVI present, satellites absent" denies the satellites alone. What a finding measured before no fact knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from voxtile_datasets.captions.checker.extraction.claims import Claim
from voxtile_datasets.captions.checker.judging.fact_lookup import Facts
from voxtile_datasets.captions.checker.verdict import Fault

_DENIED = re.compile(r"\b(?:no|not any|without|nor|or|and)\s+(?P<which>(?:[\w-]+\s+|or\s+|,\s*){0,4})$", re.IGNORECASE)
_MORE = frozenset(
    ["new", "additional", "further", "enlarging", "growing", "progressive", "worsening", "increasing", "newly"]
)
_SOME = frozenset(["acute", "recent", "suspicious", "aggressive", "displaced"])
_REMOVED = re.compile(r"\b(?:absent|removed)\b", re.IGNORECASE)
_NONE_LARGER = re.compile(
    r"[^.;]{0,60}\bnone\s+(?:of\s+(?:them|which|these)\s+)?(?:(?:is|are|being|was|were)\s+)?"
    r"(?:larger|bigger|greater|over|above|exceed\w*|more|measur\w+|suspicious|new|enlarg\w+|growing)\b",
    re.IGNORECASE,
)
_PRESENT_BETWEEN = re.compile(
    r"(?:[^.;\n]*,)?[^.;\n,]*\b(?:present|identified|seen|noted|positive)\s*,[^.;\n]*\b(?:absent|negative)\b",
    re.IGNORECASE,
)
_DENIAL = re.compile(r"\b(?:no|not|without|never|neither|nor|free of|negative for)\b[^.;\n]*$", re.IGNORECASE)
_EARLIER = re.compile(
    r"\b(?:previous(?:ly)?|prior|formerly|earlier|was|were|before|then|from|vs\.?|versus|baseline)[\s:(]*"
    r"(?:(?:measur\w+|size|of|at|up to|about|approximately)\s+){0,3}$",
    re.IGNORECASE,
)


def of_what_is_denied(faults: Sequence[Fault], text: str, claims: Sequence[Claim], facts: Facts) -> list[Fault]:
    """The faults without those of denials that deny less than their noun; earlier sizes as what no fact states."""
    return [kept for fault in faults if (kept := _judged(fault, text, claims, facts)) is not None]


def _judged(fault: Fault, text: str, claims: Sequence[Claim], facts: Facts) -> Fault | None:
    if fault.judgement != "contradicted":
        return fault
    if fault.kind == "number" and _EARLIER.search(text, max(0, fault.start - 40), fault.start):
        why = f"'{fault.words}' is not in the facts: they state no size of an earlier day."
        return Fault(fault.kind, "unsupported", fault.words, fault.start, fault.end, why)
    claim = next((c for c in claims if (c.start, c.end) == (fault.start, fault.end) and c.polarity == "absent"), None)
    if fault.kind != "polarity" or claim is None:
        return fault
    if _NONE_LARGER.match(text, fault.end):
        return None
    is_told = _REMOVED.search(fault.words) or _PRESENT_BETWEEN.match(text, fault.end)
    if is_told and not _DENIAL.search(text, max(0, fault.start - 80), fault.start):
        return None
    before = _DENIED.search(text, max(0, fault.start - 60), fault.start)
    which = frozenset(re.findall(r"[\w-]+", before["which"].lower())) if before is not None else frozenset()
    is_new = any("new" in row.changes for concept in claim.concepts for row in facts.rows(concept))
    if which & _MORE and not is_new:
        return None
    if which & _SOME:
        why = f"Whether there is '{fault.words}' of that kind is not known."
        return Fault("concept", "unknown", fault.words, fault.start, fault.end, why)
    return fault
