"""Captions of compound figures taken apart by the letters of their panels, where the letters leave no doubt."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

BOLD = ("\ue000", "\ue001")
"""Private characters round the letters of panels that a caption has in bold."""

_JOIN = r"\s*(?:,|&|–|—|-|‐|−|and|to|,\s*and)\s*"
_LETTERS = rf"[A-Za-z](?:{_JOIN}[A-Za-z])*"
_PARENTHESISED = re.compile(rf"[(\[]\s*{BOLD[0]}?({_LETTERS}){BOLD[1]}?\s*[)\]]:?")
_IN_BOLD = re.compile(rf"[(\[]?{BOLD[0]}\s*[(\[]?({_LETTERS})[)\]]?\s*[.:,;|]?\s*{BOLD[1]}[)\]]?[.:,;|]?")
_AT_START = re.compile(rf"(?:^|(?<=[.;:]\s))({_LETTERS})(?:\)|:(?=\s)|\.(?=\s+[A-Z0-9]))")  # no A. fumigatus
_WHERE = re.compile(
    r"(?:^|(?<=[.;,:]\s))((?:(?:upper|lower|top|bottom)[- ])?(?:left|right|middle|cent(?:er|re)|top|bottom|upper|lower)"
    r"(?:[- ](?:panel|image|column|row|picture)s?)?)\s*:",
    re.IGNORECASE,
)
_WHOLE_LETTERS = re.compile(rf"\s*[(\[]?\s*{_LETTERS}\s*[)\]]?\s*[.:,;|]?\s*")
_RANGE = re.compile(r"\s*(?:–|—|-|‐|−|to)\s*")
_LETTER = re.compile(r"(?<![A-Za-z])[A-Za-z](?![A-Za-z])")
_BEFORE = re.compile(r"(?:^|[.;:!?…]\W*|\bfigure\W*|\bpanels?\W*)$", re.IGNORECASE)  # a part of its own begins
_BETWEEN = re.compile(r"(?:^|[.;:,!?…]\W*|\b(?:and|or|while|whereas)\s*)$", re.IGNORECASE)
_EDGES = " \t,;:|–-"
_TRAILING_AND = re.compile(r"[\s,;]*\b(?:and|or)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Panel:
    """A panel of a figure and its part of the caption.

    Attributes:
        labels: letters (`A`), or where it is (`left`); several where one text is of several panels.
        text: its part of the caption; empty where the caption does not come apart.
    """

    labels: tuple[str, ...]
    text: str


@dataclass(frozen=True)
class Parts:
    """A caption as a whole and in parts.

    Attributes:
        whole: the caption.
        common: what stands before the first part.
        panels: in the order of the caption; empty where it names none.
    """

    whole: str
    common: str
    panels: tuple[Panel, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Of all panels."""
        return tuple(label for panel in self.panels for label in panel.labels)

    def of(self, label: str) -> str:
        """What the caption says of a panel, the common part first; empty where it does not come apart there."""
        text = next((panel.text for panel in self.panels if label.upper() in panel.labels), "")
        return " ".join(part for part in (self.common, text) if part) if text else ""


@dataclass(frozen=True)
class _Marker:
    start: int
    end: int
    labels: tuple[str, ...]


def is_panel_letters(text: str) -> bool:
    """The text is nothing but letters of panels: `a`, `(A–C)`, `a, b`."""
    return len(text) < 24 and _WHOLE_LETTERS.fullmatch(text) is not None


def without_marks(text: str) -> str:
    """A text as it is printed."""
    return text.replace(BOLD[0], "").replace(BOLD[1], "")


def take_apart(caption: str) -> Parts:
    """Find the parts of a caption.

    Letters are markers if together they run from A on without a gap, each once. Where they stand before their texts,
    the texts are parts; where they stand behind or within (`CT (A) and MR (B)`), the panels are known and the caption
    stays whole.

    Args:
        caption: as `jats_text.caption_text` gives it.
    """
    whole = without_marks(caption)
    for pattern in (_PARENTHESISED, _IN_BOLD, _AT_START):
        markers = _in_sequence(list(_markers(pattern, caption)))
        if markers:
            return _parted(caption, whole, markers)
    places = [_Marker(m.start(), m.end(), (m[1].lower(),)) for m in _WHERE.finditer(caption)]
    if len(places) > 1 and len({place.labels for place in places}) == len(places):
        return _parted(caption, whole, places)
    return Parts(whole, "", ())


def letters_of(text: str) -> tuple[str, ...]:
    """Letters that a list or range of them names, in capitals: `A–C` is A, B, C."""
    found: list[str] = []
    end = 0
    for match in _LETTER.finditer(text):
        letter = match[0].upper()
        if found and _RANGE.fullmatch(text[end : match.start()]) and found[-1] < letter:
            found += [chr(code) for code in range(ord(found[-1]) + 1, ord(letter))]
        found.append(letter)
        end = match.end()
    return tuple(found)


def _markers(pattern: re.Pattern[str], caption: str) -> Iterator[_Marker]:
    for match in pattern.finditer(caption):
        letters = match[1].replace("and", "&").replace("to", "–")
        names = letters_of(letters)
        if names and (letters.replace(" ", "").isupper() or letters.replace(" ", "").islower()):
            yield _Marker(match.start(), match.end(), names)


def _in_sequence(markers: Sequence[_Marker]) -> list[_Marker]:
    """Those that name letters for the first time, if they are all letters from A on, in order."""
    kept: list[_Marker] = []
    seen: set[str] = set()
    for marker in markers:
        if seen.isdisjoint(marker.labels) and (not kept or marker.labels[0] > kept[-1].labels[0]):
            kept.append(marker)
            seen.update(marker.labels)
    wanted = {chr(ord("A") + index) for index in range(len(seen))}
    return kept if len(seen) > 1 and seen == wanted else []


def _parted(caption: str, whole: str, markers: list[_Marker]) -> Parts:
    leads = len(markers) > 1 and _BEFORE.search(without_marks(caption[: markers[0].start])) is not None
    leads = leads and all(_BETWEEN.search(without_marks(caption[: marker.start])) for marker in markers[1:])
    ends = [marker.start for marker in markers[1:]] + [len(caption)]
    texts = [_trimmed(caption[marker.end : end]) for marker, end in zip(markers, ends, strict=True)]
    if not leads or not all(texts):
        return Parts(whole, "", tuple(Panel(marker.labels, "") for marker in markers))
    common = without_marks(caption[: markers[0].start]).strip()
    panels = tuple(Panel(marker.labels, text) for marker, text in zip(markers, texts, strict=True))
    return Parts(whole, common, panels)


def _trimmed(text: str) -> str:
    text = without_marks(text).lstrip(_EDGES + ".)")
    return _TRAILING_AND.sub("", text).rstrip(_EDGES)
