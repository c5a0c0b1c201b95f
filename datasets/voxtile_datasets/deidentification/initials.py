"""Initials of who wrote, typed or checked a report."""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_datasets.deidentification.identifier import Identifier
from voxtile_datasets.deidentification.word_classes import closed

_BEHIND_ACT = re.compile(
    r"\b(?:typed|prepared|checked|transcribed|dictated|performed|read|written|entered|initials?|description|tech"
    r"|technologist|technician|radiographer|typist|author|signed)\b[^.\n]{0,40}?(?:\bby"
    r"|:)\s*([A-Z]{2,3})(?=\s*(?:[/,.;|]|$|\n|and\b|on\b))",
    re.IGNORECASE,
)
_AT_END = re.compile(r"(?:[.?!]\s+|(?:19|20)\d{2},?\s+|/\d{2},?\s+)([A-Z]{2,3})\s*$", re.MULTILINE)
_PAIR = re.compile(r"(?<![\w/])([A-Z]{2,3})\s?/\s?([A-Z]{2,3})(?=\s*(?:$|\n))", re.MULTILINE)


def initials(text: str) -> Iterator[Identifier]:
    """Where a text ends in, or labels, two or three capitals that stand for somebody."""
    for pattern in (_BEHIND_ACT, _AT_END, _PAIR):
        for match in pattern.finditer(text):
            for group in range(1, pattern.groups + 1):
                if match.group(group).isupper() and match.group(group).lower() not in closed("abbreviations"):
                    yield Identifier(*match.span(group), "name")
