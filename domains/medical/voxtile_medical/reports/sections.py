"""Sections of a radiology or pathology report, its organ headings, and its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile.data.sentences import split_sentences
from voxtile_medical.reports.headings import SECTION_OF

_NAMES = "|".join(sorted(map(re.escape, SECTION_OF), key=len, reverse=True))
_MARKUP = r"[*_#=]{0,4}"
# A heading begins a line or a sentence and ends with a colon or a dash; a line of its own needs neither.
_HEADING = re.compile(
    rf"(?:^|(?<=[.?!\n]))[ \t]*{_MARKUP}(?P<name>{_NAMES})(?:\(s\))?{_MARKUP}[ \t]*(?::{_MARKUP}|[ \t][-–][ \t])"
    rf"|^[ \t]*{_MARKUP}(?P<line>{_NAMES}){_MARKUP}\.?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
# "LUNGS: Clear." names the organ that the line is about.
_TOPIC = re.compile(r"^[ \t]*(?P<topic>[A-Z][A-Z0-9 /&,()\-]{2,60}):[ \t]*(?=\S)", re.MULTILINE)


@dataclass(frozen=True)
class Sentence:
    """A sentence, its section (`findings` where the report has no headings), and the organ that its line is about."""

    text: str
    section: str
    topic: str = ""

    @property
    def whole(self) -> str:
        """The sentence with the organ, as it has to be understood."""
        return f"{self.topic}: {self.text}" if self.topic else self.text


def sections(report: str) -> Iterator[tuple[str, str]]:
    """Yield (section, text) in reading order; text before the first heading counts as findings."""
    start, name = 0, "findings"
    for match in _HEADING.finditer(report):
        if report[start : match.start()].strip():
            yield name, report[start : match.start()]
        start, name = match.end(), SECTION_OF[(match["name"] or match["line"]).lower()]
    if report[start:].strip():
        yield name, report[start:]


def sentences(report: str) -> Iterator[Sentence]:
    """Yield the report's sentences with their sections, split as training splits them."""
    for section, text in sections(report.replace("\0", " ")):
        for topic, block in _topics(text):
            for sentence in split_sentences(block):
                yield Sentence(sentence, section, topic)


def _topics(text: str) -> Iterator[tuple[str, str]]:
    """Lines that open with an organ in capitals, with it, and what stands between them."""
    start = 0
    for match in _TOPIC.finditer(text):
        if match.start() < start:
            continue
        if text[start : match.start()].strip():
            yield "", text[start : match.start()]
        end = text.find("\n", match.end())
        end = len(text) if end < 0 else end
        yield match["topic"].lower(), text[match.end() : end]
        start = end
    if text[start:].strip():
        yield "", text[start:]
