"""Sections of a radiology or pathology report, and its sentences with the headings and labels that they stand under."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from voxtile_medical.reports.text.lines import DENIED, Span, blocks

# Sections by the ACR practice parameter for communication of diagnostic imaging findings; forms from RSNA RadReport
# templates and from the College of American Pathologists' protocols. German ones head English texts, too.
_HEADINGS = {
    "findings": """findings|finding|observations|result|results|report|chest|abdomen|pelvis|abdomen and pelvis|
        abdomen/pelvis|thorax|head|neck|chest, abdomen and pelvis|findings and impression|findings/impression|
        radiographic findings|radiological findings|radiology findings|imaging findings|ct findings|mri findings|
        us findings|ultrasound findings|sonographic findings|x-ray findings|additional findings|other findings|
        incidental findings|ct|mri|mr|us|uss|cxr|axr|xr|x-ray|x-rays|radiograph|radiographs|ultrasound|sonography|
        mammogram|mammography|tomosynthesis|pet|pet/ct|pet-ct|scan|cta|mra|mrcp|ctpa|echo|doppler|
        microscopy|microscopic description|microscopic findings|gross description|macroscopy|
        body of report|description|report text|report body|prelim|preliminary|preliminary report|preliminary read|
        wet read|interpretation and findings|fndgs|fdgs|befund|befunde""",
    "impression": """impression|impressions|conclusion|conclusions|opinion|summary|assessment|diagnosis|final diagnosis|
        imp|concl|interpretation|radiological diagnosis|final impression|overall impression|comment|comments|
        conclusion/opinion|key findings|bottom line|impression and plan|impression/plan|radiologic impression|
        summary of findings|beurteilung|judgement|judgment|
        diagnostic impression|final report|radiological impression|in summary|in conclusion""",
    "indication": """indication|indications|clinical indication|clinical indications|ci|reason for exam|
        reason for examination|reason for study|reason for the exam|reason for this examination|reason for visit|
        reason for scan|reason for referral|reason for request|reason for imaging|reason|referral|
        clinical information|clinical info|clinical details|clinical question|clinical data|clinical statement|
        clinical notes|clinical background|clinical problem|clinical concern|clinical context|clinical presentation|
        clinical diagnosis|provisional diagnosis|working diagnosis|clinical hx|clin info|clin hx|clinical|
        indication for exam|indications for exam|indication/history|history/indication|order diagnosis|
        preoperative diagnosis|pre-op diagnosis|question|query|request|requested|symptoms|signs and symptoms|
        clinical profile|clinical picture|clinical features|klinik|fragestellung|c/o|c/f|k/c/o|anamnesis and question|
        klinische angaben|indikation|chief complaint|presenting complaint|presentation|complaint|ind|indic|rfe|
        referring diagnosis""",
    "history": """history|clinical history|past history|medical history|past medical history|family history|pmh|pmhx|
        hx|fhx|fh|psh|pshx|surgical history|past surgical history|prior surgery|previous surgery|surgeries|
        social history|medications|history of present illness|hpi|anamnesis|background|oncologic history|
        oncological history|treatment history|relevant history|patient history|hx/indication|known diagnoses|
        past illness|past illnesses|risk factors|allergies""",
    "comparison": """comparison|comparisons|comparison study|comparison studies|comparison exam|comparison film|
        comparison films|prior|priors|prior study|prior studies|prior exam|previous|previous study|previous studies|
        prior imaging|previous imaging|compared with|compared to|comp|compare|correlation|relevant priors|
        previous examinations|prior examinations|previous exam|vergleich|voruntersuchung|voruntersuchungen""",
    "technique": """technique|techniques|procedure|procedures|protocol|exam|examination|exams|contrast|contrast media|
        exam type|type of exam|study|study type|examination technique|technical factors|scan technique|views|
        radiation dose|dose|ctdi|acquisition|modality|exam date|date of exam|procedure description|sequences|method|
        methods|methodology|limitations|study quality|image quality|technical quality|tech|scanner|technik""",
    "recommendation": """recommendation|recommendations|plan|follow-up|follow up|followup|advice|suggestion|
        suggestions|adv|advised|recommended follow-up|management|recs|rec|next steps|further management|empfehlung""",
    "signature": """signed|signed by|electronically signed by|electronically signed|dictated by|reported by|
        transcribed by|attending|radiologist|verified by|approved by|addendum by|read by|resident|
        communication|communicated to|notification|results communicated|critical result""",
    "addendum": """addendum|addenda|amendment|amended report|correction|corrected report|erratum|corrigendum|
        supplementary report|supplemental report|revised report|revised impression|revision|late entry|
        attending addendum|resident addendum|addendum report|addition|attending note|attending read|attending review|
        overread|over-read|update|post-review addendum""",
}
SECTION_OF = {" ".join(heading.split()): section for section, text in _HEADINGS.items() for heading in text.split("|")}
FINDINGS = frozenset({"findings", "impression", "addendum"})
_BEFORE_FINDINGS = frozenset({"indication", "history", "comparison", "technique"})

_NAMES = "|".join(sorted(map(re.escape, SECTION_OF), key=len, reverse=True))
_ADDENDA = "|".join(sorted((re.escape(n) for n, s in SECTION_OF.items() if s == "addendum"), key=len, reverse=True))
_MARKUP = r"[*_#=]{0,4}"
# A heading begins a line or a sentence and ends with a colon, a dash, or at the start of a line a semicolon; a line of
# its own needs none. An addendum's may say its number, date or author. Sections may be lettered or numbered.
_NUMBER = r"(?:\(?(?:[A-H]|\d{1,2}|I{1,3}|IV|V)[.)][ \t]+)?"
_HEADING = re.compile(
    rf"(?:^|(?<=[.?!\n]))[ \t]*{_NUMBER}{_MARKUP}(?:(?P<added>{_ADDENDA})\b[^:\n.]{{1,60}}:"
    rf"|(?P<named>{_ADDENDA})\.(?=[ \t])"
    rf"|(?P<name>{_NAMES})(?:\(s\))?{_MARKUP}[ \t]*(?::{_MARKUP}|[ \t][-–—=][ \t]))"
    rf"|[\[<{{](?P<boxed>{_NAMES})[\]>}}]|(?:^|//)[ \t]*(?P<slashed>{_NAMES})/(?=[ \t])"
    rf"|^[ \t]*{_NUMBER}{_MARKUP}(?P<opened>{_NAMES}){_MARKUP}[ \t]*;[ \t]"
    rf"|^[ \t]*{_NUMBER}[\[<({{]?{_MARKUP}(?P<line>{_NAMES}){_MARKUP}[\])>}}]?[.:]?[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_FEWEST_SIGNS = 2
_BLANK_LINE, _LINE_END = re.compile(r"\n[ \t]*\n"), re.compile(r"\n")
# "[ ] yes [x] no": a box of a form with what it stands for.
_UNTICKED = re.compile(r"(?:\[[ \xa0_]?\]|\([ \xa0_]\)|☐)[^\n\[(☐☑☒]*?(?=[ \t]{2,}|[\[(☐☑☒\n]|->|$)")
_HAS_BOX = re.compile(r"[\[☐☑☒]|\([ \xa0_xX✓✔]\)")
_TICKED = re.compile(r"\[[xX✓✔]\]|\([xX✓✔]\)|☑|☒")
# "Free fluid (-), haematoma (+)", "free fluid: -": signs for no and yes.
_SIGN = re.compile(r"(?P<open>[(\[])(?P<sign>[-−–+])(?P<close>[)\]])")
_MINUS = re.compile(r"(:[ \t]{0,3})[-−–](?=[ \t]*(?:$|[;,]))", re.MULTILINE)
# "Erosion +, sclerosis -": signs behind findings; one alone may be a dash, so that a line needs two of them.
_BEHIND = re.compile(r"(?<=[A-Za-z)])[ \t]+(?P<sign>[-−–]|\+{1,4})(?=[ \t]*(?:[,;.]|$))", re.MULTILINE)
# A line that is one box and what it stands for: what is not ticked there is not there.
_BOXED_LINE = re.compile(
    r"^([ \t]*(?:[-*•][ \t]+)?)(\[[ \xa0_]?\]|\([ \xa0_]\)|☐)(?=[ \t]*[A-Za-z][^\n\[(☐☑☒]*$)", re.MULTILINE
)
_TICKED_LINE = re.compile(
    r"^[ \t]*(?:[-*•][ \t]+)?(?:\[[xX✓✔]\]|\([xX✓✔]\)|☑|☒)[ \t]*[A-Za-z][^\n\[(☐☑☒]*$", re.MULTILINE
)
# "72M, ?pancreatic tumour.", "45-year-old woman with fever.": who is examined, and why; "8F" and "M1" are not.
_PATIENT = re.compile(
    r"\W{0,3}(?:(?:[Aa]n?|[Tt]his|[Tt]he|[Pp]leasant)\s+)*(?:\d{1,3}[\s-]{0,2}(?:(?i:y(?:ea)?rs?)[\s./-]{0,2}(?i:o(?:ld)?)?\b"
    r"|(?i:y[./]?o?\b|months?[\s-]old|days?[\s-]old))|\d{2,3}\s?/?[MF](?=[,.:;?]|\s+(?:with|for|c/o|p/w|h/o|s/p|w/))"
    r"|[MF]\s?/\s?\d{1,3}\b|[MF]\d{2,3}\b(?=[,\s]))"
)
_SHOWN = re.compile(
    r"\b(?:show|demonstrat|reveal|seen|noted|visible|present in|there (?:is|are)|CT|MRI?|ultrasound|radiograph|x-ray)",
    re.IGNORECASE,
)
# "? Effusion": a question of what follows, as "?effusion" is.
_ASKED = re.compile(r"(?:^|(?<=[.;:,(\n] )|(?<=[\n(]))\? (?=[A-Za-z])", re.MULTILINE)
# Marks that were dictated as words; of a text that ends with one.
_MARK_OF = {"period": ".", "full": ".", "comma": ",", "semicolon": ";", "new": "\n", "next": "\n"}
_SPOKEN = re.compile(r"[ \t](period|full stop|comma|semicolon|(?:new|next) (?:line|paragraph))(?=\s|$)", re.IGNORECASE)
_DICTATED = re.compile(r"\b(?:period|full stop)\s*$", re.IGNORECASE)
_STOP = re.compile(r"[.?!](?=\s)")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a report.

    Attributes:
        text: with single spaces.
        section: `findings` where the report has no headings.
        start, end: characters of the report, half-open.
        context: what it stands under, as (start, end) in the report: its line's label, the row and column of a table.
        is_carried: the context is that of an earlier sentence of the line, and no statement of its own.
        topic: words of the context.
    """

    text: str
    section: str
    start: int = 0
    end: int = 0
    context: tuple[Span, ...] = ()
    is_carried: bool = False
    topic: str = ""

    @property
    def whole(self) -> str:
        """The sentence with what it stands under, as it has to be understood."""
        return f"{self.topic}: {self.text}" if self.topic else self.text


def sections(report: str) -> Iterator[tuple[str, str]]:
    """Yield (section, text) in reading order; text before the first heading counts as findings."""
    yield from ((name, report[start:end]) for name, start, end in section_spans(report))


def section_spans(report: str) -> Iterator[tuple[str, int, int]]:
    """Yield (section, start, end): characters of the report without the headings, in reading order.

    Where no heading says where the findings begin, a section of another kind ("Indication: …") ends with its paragraph.
    """
    found = [(match.start(), match.end(), _section(match)) for match in _HEADING.finditer(report)]
    named = {name for _, _, name in found}
    start, name = 0, "findings"
    for heading_start, heading_end, following in (*found, (len(report), len(report), "")):
        end = heading_start
        if "findings" not in named and name in _BEFORE_FINDINGS:
            end = _paragraph_end(report, start, heading_start, is_sentence=not named & FINDINGS)
        yield from _unless_blank(report, name, start, end)
        yield from _unless_blank(report, "findings", end, heading_start)
        start, name = heading_end, following


def sentences(report: str) -> Iterator[Sentence]:
    """Yield the report's sentences with their sections, and what each stands under."""
    flat = flattened(report)
    is_first = True
    for section, start, end in section_spans(flat):
        for block in blocks(flat, start, end):
            is_why = is_first and section == "findings" and _introduces(flat[block.start : block.end])
            is_first = False
            text = " ".join(report[block.start : block.end].replace("\0", " ").split())
            topic = ", ".join(" ".join(report[a:b].split()).lower() for a, b in block.context)
            of = "indication" if is_why else section
            yield Sentence(text, of, block.start, block.end, block.context, block.is_carried, topic)


def _introduces(text: str) -> bool:
    """Whether a sentence says who is examined and why, and nothing that is seen."""
    return _PATIENT.match(text) is not None and _SHOWN.search(text) is None


def _section(match: re.Match[str]) -> str:
    if match["added"] or match["named"]:
        return "addendum"
    name = next(match[group] for group in ("name", "boxed", "slashed", "opened", "line") if match[group])
    return SECTION_OF[name.lower()]


def _unless_blank(report: str, name: str, start: int, end: int) -> Iterator[tuple[str, int, int]]:
    if report[start:end].strip():
        yield name, start, end


def _paragraph_end(report: str, start: int, limit: int, *, is_sentence: bool) -> int:
    """Where a section ends that nothing closes: at its line's end; if `is_sentence`, in one line after a sentence."""
    first = start
    while first < limit and report[first].isspace():
        first += 1
    gap = (_BLANK_LINE if "\n" in report[start:first] else _LINE_END).search(report, first, limit)
    if gap is not None and report[gap.end() : limit].strip():
        return gap.start()
    stop = _STOP.search(report, first, limit) if is_sentence else None
    return stop.end() if stop is not None else limit


def flattened(report: str) -> str:
    """The report with line feeds only, and only those boxes of a form that are ticked; no character moves."""
    flat = report.replace("\0", " ").replace("\r\n", " \n").replace("\r", "\n")
    flat = _ASKED.sub(" ?", flat)
    flat = _SIGN.sub(lambda m: m["open"] + ("n" if m["sign"] in "-−–" else "y") + m["close"], flat)
    flat = _MINUS.sub(lambda m: m[1] + "n", flat)
    flat = "\n".join(_signed(line) for line in flat.split("\n")) if "-" in flat or "+" in flat else flat
    if _DICTATED.search(flat):
        flat = _SPOKEN.sub(lambda m: _MARK_OF[m[1].lower().split()[0]].ljust(len(m.group())), flat)
    if not _HAS_BOX.search(flat):
        return flat
    if _TICKED_LINE.search(flat):
        flat = _BOXED_LINE.sub(lambda m: m[1] + DENIED.rjust(len(m[2])), flat)
    flat = _UNTICKED.sub(lambda match: "\xa0" * len(match.group()), flat)
    return _TICKED.sub(lambda match: _ticked(match, flat), flat)


def _ticked(box: re.Match[str], report: str) -> str:
    """What stands for a box that is ticked: a colon between a name and its value, where none is yet."""
    mark = "" if report[: box.start()].rstrip(" \t").endswith(":") else ":"
    return mark.rjust(len(box.group()), "\xa0")


def _signed(line: str) -> str:
    """A line with the signs behind its findings as the letters of no and yes."""
    if len(_BEHIND.findall(line)) < _FEWEST_SIGNS:
        return line
    return _BEHIND.sub(
        lambda m: m.group()[: -len(m["sign"])] + ("n" if m["sign"] in "-−–" else "y" * len(m["sign"])), line
    )
