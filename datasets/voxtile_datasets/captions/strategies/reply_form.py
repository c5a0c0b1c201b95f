"""What a reply must be before anybody looks at what it says: one text, of a sensible length, in the right language."""

from __future__ import annotations

import re

from voxtile_datasets.captions.language import is_other_language

FEWEST_WORDS = 2
MOST_WORDS = 300  # the longest published synthetic captions (PathGen, MedTrinity) have about 200
_SPACE = re.compile(r"\s+")
_QUOTES = "\"'`“”‘’«»*"
_UNSPACED = frozenset({"zh", "ja", "th"})  # written without spaces between words


class MalformedReplyError(ValueError):
    """A reply does not hold what was asked for; the message can be told to the model."""


def clean(text: str) -> str:
    """One line without the quotation marks and list marks that models put round a sentence."""
    line = _SPACE.sub(" ", text).strip()
    line = re.sub(r"^(?:[-*•]|\d+[.)])\s+", "", line)
    if len(line) > 1 and line[0] in _QUOTES and line[-1] in _QUOTES:
        line = line[1:-1].strip()
    return line


def form_fault(text: str, lang: str = "en") -> str | None:
    """Why a text cannot be a caption whatever it says, as a sentence; None where it can.

    Args:
        text: cleaned.
        lang: what it must be written in, ISO 639-1.
    """
    if not text:
        return "the reply is empty."
    words = len(text) // 2 if lang in _UNSPACED else len(text.split())
    if words < FEWEST_WORDS:
        return f"the reply has {words} word; write a sentence."
    if words > MOST_WORDS:
        return f"the reply has {words} words; write at most {MOST_WORDS}."
    if other := is_other_language(text, lang):
        return f"the reply is written in '{other}'; write in '{lang}'."
    return None
