"""Sections of a radiology or pathology report, its organ headings, and its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile.data.sentences import split_sentences

# Sections by the ACR practice parameter for communication of diagnostic imaging findings; forms from RSNA RadReport
# templates and from the College of American Pathologists' protocols.
_HEADINGS = {
    "findings": """findings|finding|observations|result|results|report|chest|abdomen|pelvis|abdomen and pelvis|
        abdomen/pelvis|thorax|head|neck|chest, abdomen and pelvis|findings and impression|findings/impression|
        radiographic findings|imaging findings|ct findings|additional findings|other findings|microscopy|
        microscopic description|microscopic findings|gross description|macroscopy|body of report""",
    "impression": """impression|impressions|conclusion|conclusions|opinion|summary|assessment|diagnosis|final diagnosis|
        imp|interpretation|radiological diagnosis|final impression|overall impression|comment|conclusion/opinion""",
    "indication": """indication|indications|clinical indication|clinical indications|reason for exam|
        reason for examination|reason for study|reason for the exam|reason for this examination|reason for visit|
        clinical information|clinical details|clinical question|clinical data|clinical statement|clinical notes|
        indication for exam|indications for exam|indication/history|history/indication|order diagnosis|
        preoperative diagnosis|pre-op diagnosis|question|request|symptoms|signs and symptoms|chief complaint""",
    "history": """history|clinical history|past history|medical history|past medical history|family history|pmh|
        surgical history|past surgical history|social history|medications|history of present illness|hpi|anamnesis""",
    "comparison": """comparison|comparisons|comparison study|comparison studies|comparison exam|prior|prior study|
        prior studies|prior exam|previous|previous study|previous studies|prior imaging|compared with|compared to""",
    "technique": """technique|techniques|procedure|procedures|protocol|exam|examination|exams|contrast|contrast media|
        exam type|type of exam|study|study type|examination technique|technical factors|scan technique|views|
        radiation dose|dose|ctdi|acquisition|modality|exam date|date of exam|procedure description""",
    "recommendation": """recommendation|recommendations|plan|follow-up|follow up|followup|advice|suggestion|
        suggestions|recommended follow-up""",
    "signature": """signed|signed by|electronically signed by|electronically signed|dictated by|reported by|
        transcribed by|attending|radiologist|verified by|approved by|addendum by""",
}
SECTION_OF = {" ".join(heading.split()): section for section, text in _HEADINGS.items() for heading in text.split("|")}

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
