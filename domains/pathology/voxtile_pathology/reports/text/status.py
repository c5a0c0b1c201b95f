"""What the value of a label says: not identified, present, indeterminate, or nothing (not applicable, pending)."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Status: TypeAlias = Literal["present", "absent", "uncertain", "unknown"]
# The answers of the College of American Pathologists' protocols and of everyday reports, in the order in which they
# are tried.
_NOT = (
    r"(?:identified|seen|present|involved|detected|found|evident|appreciated|demonstrated|visuali[sz]ed"
    r"|observed|noted|increased|breached|ruptured|met|extending|invaded)"
)
_ANSWERS: tuple[tuple[Status, str], ...] = (
    (
        "unknown",
        r"no (?:known )?(?:presurgical|preoperative|neoadjuvant|prior|previous) (?:therapy|treatment)"
        r"|not (?:applicable|performed|assessed|assessable|tested|reported|submitted|evaluated|done|specified"
        r"|provided|known|available|determined|required|sampled)|"
        r"n\s?/\s?a\b|n\.a\.|pending|to follow|deferred|see\b|unknown|awaited|ordered|in progress|will be"
        r"|unavailable|-+$",
    ),
    (
        "uncertain",
        r"indeterminate|equivocal|inconclusive|(?:cannot|can ?not|could not) be (?:\w+ )?(?:determined"
        r"|excluded|ruled out|assessed|evaluated)|cannot exclude|"
        r"suspicious|suspected|possibl[ey]|probabl[ey]|questionable|borderline|uncertain|doubtful|\?|favou?r"
        r"|likely|not excluded|unclear",
    ),
    (
        "absent",
        rf"not (?:definitely |clearly |convincingly )?{_NOT}|none\b|absent|no(?=\s*(?:$|[.,;:(]))"
        rf"|negative(?! for)|neg\b(?! for)|nil\b|uninvolved|free\b|clear\b|without\b|intact\b|0(?:\.0)?\s*%|"
        r"(?:(?:grade|score)\s*)?0(?![\d/+%]|[.,]\d|\s?[-–]\s?\d)|lacking|excluded|\(-\)|[-–−](?=\s*(?:$"
        r"|[,)]))|preserved|not\b|never|zero\b",
    ),
    (
        "present",
        r"(?:grade|score|stage)\s*\d|present|identified|yes\b|positive|pos\b|involved|seen|detected|found"
        r"|extensive|focal(?:ly)?\b"
        r"|multifocal|minimal|mild|moderate|marked|severe|prominent|brisk|"
        r"\(?\++\)?|[1-4]\+|confirmed|ruptured|breached|invaded|occasional|rare|scattered|numerous|few\b"
        r"|abundant|diffuse|patchy|noted|low\b|high\b|intermediate",
    ),
)
_PATTERNS = tuple(
    (
        status,
        re.compile(
            rf"(?:(?:is|are|was|were)\s*)?(?:(?:all|both|each|uniformly|consistently|likewise)\s+)?(?:{pattern})",
            re.IGNORECASE,
        ),
    )
    for status, pattern in _ANSWERS
)


def status_of(value: str) -> Status | None:
    """What a value begins by saying; None where it is no answer but a text."""
    said = value.lstrip()  # of what other readers took, spaces are left, thousands in a hostile text
    return next((status for status, pattern in _PATTERNS if pattern.match(said)), None)
