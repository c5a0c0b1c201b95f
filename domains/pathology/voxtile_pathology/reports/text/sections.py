"""Sections of a pathology report: what is found, what was asked, what was received, what an addendum changes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtile.bounded_text import load_yaml

HEADINGS = Path(__file__).with_name("headings.yaml")
_TABLE: dict[str, str] = {
    kind: "|".join(names) for kind, names in load_yaml(HEADINGS.read_text(encoding="utf-8")).items()
}
SECTION_OF = {kind: re.compile(rf"(?:{names})\Z", re.IGNORECASE) for kind, names in _TABLE.items()}
_NAMES = "|".join(_TABLE.values())
_BEGIN = r"(?:^|(?<=[.?!]\s)|(?<=[.?!]\s\s))[ \t\-–—*#=_>•]*"
# A heading begins a line or a sentence and ends with a colon or a dash; a line of its own needs neither. A number, a
# date or a place in brackets may follow its name.
_HEADING = re.compile(
    rf"{_BEGIN}(?P<name>{_NAMES})(?P<more>(?:\s?[#(,]|\s\d|\s?no\.?\s?\d)[^:\n.]{{0,50}})?\**\s?(?::"
    rf"|[ \t][-–—][ \t]|[ \t]?[-–—]{{2,}})"
    rf"|^[ \t\-–—*#=_>•]*(?P<line>{_NAMES})(?P<lineno>\s?[#(,]?\s?\d[^:\n.]{{0,40}})?[ \t\-–—*#=_]*$",
    re.IGNORECASE | re.MULTILINE,
)


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        kind: findings, gross, history, superseded or ignored.
        text: without its heading.
        addendum: 0 in the report itself, else the number of the addendum.
        heading: what stands in the heading beside its name ("R bronchial stump").
    """

    kind: str
    text: str
    addendum: int = 0
    heading: str = ""


def sections(report: str) -> Iterator[Section]:
    """Yield the sections in reading order; text before the first heading counts as findings.

    An initial diagnosis counts as findings unless an addendum or a final diagnosis follows it.
    """
    found = list(_HEADING.finditer(report))
    kinds = [_kind(match) for match in found]
    if not found or report[: found[0].start()].strip():
        yield Section("findings", report[: found[0].start()] if found else report)
    addendum = 0
    for index, (match, kind) in enumerate(zip(found, kinds, strict=True)):
        end = found[index + 1].start() if index + 1 < len(found) else len(report)
        if kind == "addendum":
            addendum += 1
        if kind == "superseded" and not any(
            _replaces(other, later) for other, later in zip(found[index + 1 :], kinds[index + 1 :], strict=True)
        ):
            kind = "findings"
        if _is_diagnosis(match) and any(_amends(other) for other in found[index + 1 :]):
            kind = "superseded"
        heading = (match["more"] or "").strip(" ,(-)#")
        text = report[match.end() : end]
        if kind == "ignored" and len(found) == 1 and not report[: found[0].start()].strip():
            kind = "gross"  # the one heading of a text is that of what it tells
        if kind == "ignored":
            # Of a heading with a text behind it the line, else the list below it.
            stop = re.search(
                r"\S[^\n]*?(?:\n|\s[/;|]\s*(?=[^:\n/;|]{2,40}:)"
                r"|$)"
                if re.match(r"[ \t]*\S", text)
                else r"\S[^\0]*?(?:\n[ \t]*\n|$)",
                text,
            )
            inner = stop.end() if stop is not None else len(text)
            yield Section(kind, text[:inner], addendum, heading)
            kind, text = "findings", text[inner:]
        if text.strip():
            yield Section("findings" if kind == "addendum" else kind, text, addendum, heading)


def _kind(match: re.Match[str]) -> str:
    name = " ".join((match["name"] or match["line"]).split())
    return next(kind for kind, pattern in SECTION_OF.items() if pattern.match(name))


def _is_diagnosis(match: re.Match[str]) -> bool:
    return "diagnos" in (match["name"] or match["line"]).lower() and not _amends(match)


def _amends(match: re.Match[str]) -> bool:
    """Whether a whole new diagnosis follows."""
    return (
        re.match(
            r"(?i)(?:amended|corrected|revised) (?:report"
            r"|diagnosis)",
            match["name"] or match["line"],
        )
        is not None
    )


def _replaces(match: re.Match[str], kind: str) -> bool:
    name = (match["name"] or match["line"]).lower()
    return kind == "addendum" or name.startswith(("final", "revised", "current"))
