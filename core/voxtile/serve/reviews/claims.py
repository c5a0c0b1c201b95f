"""What a caption claims, as the tables can tell: its sentences, and the words that a checker objects to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

LONGEST = 2000  # characters of a claim
_SENTENCE = re.compile(r"\S(?:.*?[.!?;](?=\s|$)|.*)", re.MULTILINE)


def claims_of(text: str, details: Iterable[str | None]) -> list[str]:
    """Parts of a caption that can be judged for themselves, in the order of the text.

    Readers are not told which of them a checker objects to. A caption of one sentence to which none objects in part has
    none: it is judged as a whole.

    Args:
        text: of the caption.
        details: the column `detail` of its verdicts.
    """
    sentences = [(found.start(), found.group()) for found in _SENTENCE.finditer(text)]
    spots = {(start, words) for start, words in sentences} | set(_spots(text, details))
    words = list(dict.fromkeys(words for _, words in sorted(spots, key=lambda spot: (spot[0], len(spot[1])))))
    return [one for one in words if len(one) <= LONGEST] if len(words) > 1 else []


def objected_words(text: str, details: Iterable[str | None]) -> frozenset[str]:
    """Parts of a caption that a checker objects to.

    Args:
        text: of the caption.
        details: the column `detail` of its verdicts, where our checker writes its faults as JSON; what others write
            there is passed over.
    """
    return frozenset(words for _, words in _spots(text, details))


def _spots(text: str, details: Iterable[str | None]) -> Iterable[tuple[int, str]]:
    for detail in details:
        try:
            faults = json.loads(detail or "[]")
        except ValueError:
            continue
        for fault in faults if isinstance(faults, list) else ():
            start, end = (fault.get("start"), fault.get("end")) if isinstance(fault, dict) else (None, None)
            whole = type(start) is int and type(end) is int and 0 <= start < end <= len(text)
            if whole and (words := text[start:end].strip()):
                yield text.index(words, start), words
