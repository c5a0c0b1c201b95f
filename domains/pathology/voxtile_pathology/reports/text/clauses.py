"""The clauses of a section: sentences and lines, parted at semicolons and slashes, each with its specimen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_BULLET = re.compile(r"^[ \t]*(?:[-*•·–>]+|\(?\d{1,2}[.)])[ \t]+")
_PART = re.compile(
    r"^[ \t]*(?:(?:part|specimen|jar|pot)[ \t]+)?\(?(?P<part>[A-Z]|\d{1,2}|[IVX]{1,4})(?:[.):]"
    r"|[ \t]?[-–—][ \t])(?=[ \t]*\S)(?![ \t]*(?:pylori|heilmannii|coli|histolytica|influenzae|vaginalis|israelii)\b)",
    re.IGNORECASE,
)
_STOP = re.compile(r"[.?!](?:[\"')\]]*)\s+(?=[A-Z0-9(\"?*])")
# After these a full stop ends no sentence: abbreviations, and the initial of a genus ("H. pylori").
_ABBREVIATED = re.compile(
    r"(?:\b(?:vs|e\.g|i\.e|cf|approx|dr|fig|resp|incl|st|spp|sp)|(?-i:\b[A-Z])|^\s*\d{1,2})$", re.IGNORECASE
)
_ABBREVIATED_NUMBER = re.compile(r"\b(?:no|nr|ca|max|min)$", re.IGNORECASE)  # only before a number
_LABEL = re.compile(
    r"^(?P<label>[^:;|\n]{2,90}?)\s*(?::(?!\d)|\||\.{2,}|(?<=\w)\s\.\s|\t)\s*(?P<value>\S.*)$", re.DOTALL
)
_DASH_LABEL = re.compile(r"^(?P<label>[^:;]{2,70}?)\s+[-–—]\s+(?P<value>\S.*)$", re.DOTALL)
_WRAPPED = re.compile(r"(?<![.:;!?])[ \t]*\n[ \t]*(?=[a-z(])")
# "[x] Present", "☐ Absent"; a box with text in it is none.
_BOX = re.compile(
    r"(?P<before>^|[\s,;:])(?:[\[(]\s?(?:(?P<ticked>[xX✓✔])|\s|_)\s?[\])]|(?P<mark>[☒☑✓✔])|[☐❏])[ \t]*(?=\S)"
)
# Labels under which others stand; what stands under a specimen or a section is about it anyway.
_PARENT = re.compile(
    r"(?:[\w/&'’-]+\s+){0,4}(?:margins?(?:\s+status)?|invasion|involvement|extension|lymph\s+nodes?"
    r"|nodes?|grade|necrosis"
    r"|DCIS|LCIS|receptors?|features|negative\s+for|positive\s+for|absent|present|not\s+(?:identified|seen))\s*:?",
    re.IGNORECASE,
)
_EPONYM = re.compile(
    r"\((?:Laur[eé]n|WHO|AJCC|UICC|Bloom[^)]*|Vienna|Bosniak)\)", re.IGNORECASE
)  # tells whose classification, within a name
_SHORT = re.compile(
    r"\b(?:vs|approx|incl|ca|cf|resp|(?-i:[A-Z])(?=\.\s[a-z]))\.", re.IGNORECASE
)  # their stop ends nothing
# Between a verb and what it says these change nothing: "were all excluded", "is strongly suspected".
_ADVERB = re.compile(
    r"\b(?P<verb>is|are|was|were|been)\s+(?:all|both|each|strongly|highly|likewise|also|clearly"
    r"|definitely|now|again|thus|therefore"
    r"|similarly|equally|further|specifically)\b(?!\s+(?:positive|negative|express|reactive|immuno|\+|stain|weak))",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"\s*(?:;|\s/\s(?!\d)|\ssemicolon\s|\|\|)\s*", re.IGNORECASE)


@dataclass
class Clause:
    """A clause, and what of it is not read yet.

    Attributes:
        text: as written.
        evidence: the sentence or line that it is from.
        label: what stands before its colon, or an empty text.
        header: the specimen that it is about, as the last heading of a specimen says.
        section: kind of the section.
        addendum: number of the addendum.
        rest: the text in which what was read is blank; same length as `text`.
    """

    text: str
    evidence: str
    label: str = ""
    header: str = ""
    section: str = "findings"
    addendum: int = 0
    rest: str = field(default="")

    def __post_init__(self) -> None:
        self.rest = self.rest or _SHORT.sub(lambda match: f"{match.group()[:-1]} ", self.text)
        self.rest = _ADVERB.sub(
            lambda match: match["verb"] + " " * (len(match.group()) - len(match["verb"])), self.rest
        )
        self.rest = _EPONYM.sub(lambda match: " " * len(match.group()), self.rest)

    def take(self, start: int, end: int) -> str:
        """Mark the characters [start, end) as read; returns them as written."""
        self.rest = self.rest[:start] + " " * (end - start) + self.rest[end:]
        return self.text[start:end].strip()

    def with_label(self) -> tuple[str, int]:
        """What is not read yet, behind its label, and the characters that the label takes."""
        return (f"{self.label}: {self.rest}", len(self.label) + 2) if self.label else (self.rest, 0)

    @property
    def whole(self) -> str:
        """The clause with its label and its specimen."""
        return " ".join(part for part in (self.header, self.label, self.text) if part)


def lines(text: str) -> Iterator[tuple[str, str]]:
    """Yield (part, line): lines without bullets, wrapped ones joined, with the specimen's letter or number."""
    text = _checked(text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " "))
    for line in _unfolded(_WRAPPED.sub(" ", text)):
        part = _PART.match(line)
        if part is not None:
            yield part["part"].upper(), line[part.end() :].strip()
            continue
        bare = _BULLET.sub("", line).strip(" \t*#=_")
        if bare:
            yield "", bare


def _checked(text: str) -> str:
    """A form without its boxes: what is ticked stands alone, what is not is denied."""
    if _BOX.search(text) is None:
        return text
    return _BOX.sub(lambda match: f"{match['before']}{'' if match['ticked'] or match['mark'] else 'No '}", text)


def _unfolded(text: str) -> Iterator[str]:
    """The lines of a text; a label that is a line is put before each line that is indented under it ("Margins:")."""
    parent, waiting, indent = "", "", 0
    for line in text.split("\n"):
        bare = _BULLET.sub("", line).strip()
        depth = len(line) - len(line.lstrip(" \t")) + 2 * (_BULLET.match(line) is not None)
        if parent and bare and depth > indent:
            waiting = ""
            yield f"{parent}, {bare}" if _LABEL.match(bare) else f"{parent}: {bare}"
            continue
        if waiting:
            yield waiting  # nothing stands under it
        waiting = line if _PARENT.fullmatch(bare) else ""
        parent, indent = bare.rstrip(": \t") if waiting else "", depth
        if not waiting:
            yield line
    if waiting:
        yield waiting


def sentences(line: str) -> Iterator[str]:
    """Yield the sentences of a line."""
    start = 0
    for stop in _STOP.finditer(line):
        before, after = line[start : stop.start()], line[stop.end() : stop.end() + 1]
        if line[stop.start()] == "." and (
            _ABBREVIATED.search(before) or (after.isdecimal() and _ABBREVIATED_NUMBER.search(before))
        ):
            continue
        yield line[start : stop.end()].strip()
        start = stop.end()
    if line[start:].strip():
        yield line[start:].strip()


def clauses(sentence: str) -> Iterator[str]:
    """Yield the clauses of a sentence; what stands in brackets stays together."""
    start = 0
    for match in _SPLIT.finditer(sentence):
        before = sentence[: match.start()]
        if before.count("(") > before.count(")"):
            continue
        if sentence[start : match.start()].strip():
            yield sentence[start : match.start()].strip()
        start = match.end()
    if sentence[start:].strip():
        yield sentence[start:].strip()


def labelled(clause: str) -> tuple[str, str] | None:
    """Label and value of "label: value", or None."""
    match = _LABEL.match(clause)
    if match is None or match["label"].count("(") != match["label"].count(")"):
        return None
    return match["label"].strip(" -–*"), match["value"].strip()


def dashed(clause: str) -> tuple[str, str] | None:
    """What stands before and after the first dash between spaces, or None."""
    match = _DASH_LABEL.match(clause)
    return (match["label"].strip(), match["value"].strip()) if match is not None else None
