"""Sections of a radiology or pathology report, and its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile.data.sentences import split_sentences

# Headings as they stand in ordinary reports (RSNA RadReport templates; the ACR practice parameter for
# communication names the sections). A heading begins a line or follows a full stop, and ends with a colon.
_HEADINGS = {
    "findings": (
        "findings",
        "finding",
        "observations",
        "chest",
        "abdomen",
        "abdomen and pelvis",
        "thorax",
        "microscopy",
        "microscopic description",
        "microscopic findings",
        "gross description",
        "macroscopy",
    ),
    "impression": (
        "impression",
        "impressions",
        "conclusion",
        "opinion",
        "summary",
        "assessment",
        "diagnosis",
        "final diagnosis",
    ),
    "indication": (
        "indication",
        "indications",
        "clinical history",
        "history",
        "clinical information",
        "reason for exam",
    ),
    "comparison": ("comparison", "comparisons", "prior", "prior studies"),
    "technique": ("technique", "procedure", "protocol", "exam", "examination", "contrast"),
}
_SECTION_OF = {heading: section for section, headings in _HEADINGS.items() for heading in headings}
_HEADING = re.compile(
    r"(?:^|(?<=[.\n]))\s*(" + "|".join(sorted(map(re.escape, _SECTION_OF), key=len, reverse=True)) + r")\s*:",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Sentence:
    """A sentence and the section that it stands in (`findings` where the report has no headings)."""

    text: str
    section: str


def sections(report: str) -> Iterator[tuple[str, str]]:
    """Yield (section, text) in reading order; text before the first heading counts as findings."""
    start, name = 0, "findings"
    for match in _HEADING.finditer(report):
        if report[start : match.start()].strip():
            yield name, report[start : match.start()]
        start, name = match.end(), _SECTION_OF[match.group(1).lower()]
    if report[start:].strip():
        yield name, report[start:]


def sentences(report: str) -> Iterator[Sentence]:
    """Yield the report's sentences with their sections, split as training splits them."""
    for section, text in sections(report):
        for sentence in split_sentences(text):
            yield Sentence(sentence, section)
