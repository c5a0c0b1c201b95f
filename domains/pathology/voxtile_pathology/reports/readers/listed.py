"""Polarity by structure: labels that say how their whole list is meant, and diagnoses between which none is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterable

from voxtile_pathology.reports.fact import Polarity

# "Absent: A, B", "Differential diagnosis: A, B".
_LABEL_WORDS: tuple[tuple[Polarity, str], ...] = (
    (
        "absent",
        r"(?:(?:findings|features|structures|changes|not\s+present|none)\s+)?(?:negative(?:\s+for)?|absent|not\s+"
        r"(?:identified|seen|present|found|detected|observed|involved)|no(?:\s+(?:evidence"
        r"|sign)s?(?:\s+of)?)?|excluded"
        r"|ruled\s+out|free\s+of|without|nil|lacking|denied)(?:\s+(?:findings|features|are|were))?",
    ),
    (
        "uncertain",
        r"(?:the\s+|main\s+|other\s+|broad\s+|my\s+|our\s+|further\s+)*(?:differential(?:\s+diagnos[ie]s"
        r"|\s+considerations?)?(?:\s+includ\w+)?|d\.?\s?d\.?(?:x\.?)?|d/d|ddx|diff\.?\s?dx"
        r"|possib(?:le|ilit(?:y|ies)"
        r"|ly)(?:\s+diagnos[ie]s)?|probabl[ey](?:\s+diagnosis)?|considerations?|consider|query|queries|suspected"
        r"|suspicio(?:n|us)(?:\s+(?:of|for))?|favou?r(?:s|ed|ing)?|rule[\s-]?out|r/o"
        r"|cannot\s+(?:exclude|rule\s+out)"
        r"|not\s+excluded|working\s+diagnosis|provisional\s+diagnosis|tentative(?:\s+diagnosis)?|\?+|question)",
    ),
    ("present", r"(?:present|identified|found|seen|detected|positive\s+for)(?:\s+(?:findings|features))?"),
)
_LABELS = tuple((polarity, re.compile(rf"\W*(?:{pattern})\W*", re.IGNORECASE)) for polarity, pattern in _LABEL_WORDS)
# "The differential lies between A and B", "whether this is A or B", "hard to tell A from B".
_UNDECIDED = re.compile(
    r"\b(?:(?:lies?|lying|choice|choose|differential|hover\w*|sits?|fall\w*|somewhere|intermediate"
    r"|undecided|distinction"
    r"|borderline|overlap\w*|discriminat\w+|distinguish\w*|differentiat\w+|decide|decision|toss[\s-]?up"
    r"|halfway|midway"
    r"|separat\w+|dilemma|waver\w*|in)\b[^;.]{0,25}?\bbetween\b|whether\b|straddl\w+"
    r"|(?:separate|distinguish|differentiate|discriminate|tell)\b(?=[^;.]{3,60}\bfrom\b)"
    r"|(?:either)\b(?=[^;.]{3,60}\bor\b))",
    re.IGNORECASE,
)


def polarity_of_list(label: str) -> Polarity | None:
    """What a label says of each thing in the list behind it: "Not identified", "Spindle cell lesion, DDx"."""
    last = label.rsplit(",", 1)[-1]
    return next((polarity for polarity, pattern in _LABELS if pattern.fullmatch(last)), None) if label else None


def undecided_from(text: str) -> int | None:
    """The character from which a text names things between which it does not choose; None where it does not."""
    match = _UNDECIDED.search(text)
    return match.end() if match is not None else None


def is_list(gaps: Iterable[str]) -> bool:
    """Whether nothing but commas and the like stands between the things of a list."""
    return all(re.fullmatch(r"\s*(?:,|/|&|and|or|nor|,\s*(?:and|or))\s*", gap, re.IGNORECASE) for gap in gaps)
