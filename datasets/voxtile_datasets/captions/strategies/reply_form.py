"""What a reply must be before anybody looks at what it says: sentences of a sensible length, in the right language.

Marks of Markdown are taken off; lists, tables and pieces of JSON are no caption.
"""

from __future__ import annotations

import re

from voxtile_datasets.captions.language import is_other_language

FEWEST_WORDS = 2
MOST_WORDS = 300  # the longest published synthetic captions (PathGen, MedTrinity) have about 200
_SPACE = re.compile(r"\s+")
_QUOTES = "\"'`“”‘’«»*"
_EMPHASIS = re.compile(r"\*\*|__|`|(?<!\w)([*_])(?=\S)([^*_]*[^\s*_])\1(?!\w)")
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_RULE = re.compile(r"\s*(?:-{3,}|\*{3,}|_{3,}|={3,})\s*")
_TABLE_ROW = re.compile(r"\s*\|.*\|\s*")
_HEADING = re.compile(r"#{1,6}\s+(?P<title>\S.*)|(?P<mark>\*\*|__)(?P<bold>[^*_]+)(?P=mark):?")
_QUOTED = re.compile(r"^[ \t]*>+[ \t]*", re.M)
_MARKED = re.compile(r"^\s*(?:[-*•+]|\d+[.)])\s+")
_SENTENCE_END = tuple('.!?"”。！？')
_LEFT_OVER = re.compile(r'[{}|]|</?[A-Za-z]+>|\]\(|```|^#|"\s*:')
_UNSPACED = frozenset({"zh", "ja", "th"})  # written without spaces between words


class MalformedReplyError(ValueError):
    """A reply does not hold what was asked for; the message can be told to the model."""


def clean(text: str) -> str:
    """One line without the quotation marks, list marks and emphasis that models put round a sentence or its words."""
    line = _MARKED.sub("", _SPACE.sub(" ", text).strip())
    line = _EMPHASIS.sub(lambda found: found[2] or "", _LINK.sub(r"\1", line))
    if len(line) > 1 and line[0] in _QUOTES and line[-1] in _QUOTES:
        line = line[1:-1].strip()
    return line


def prose(text: str) -> str:
    """The lines of a text in Markdown without headings, rules and the marks of quotes and of lists of sentences.

    Raises:
        MalformedReplyError: it is a table, or a list of what are no sentences.
    """
    lines = [line for line in _QUOTED.sub("", text).splitlines() if not _RULE.fullmatch(line)]
    if sum(bool(_TABLE_ROW.fullmatch(line)) for line in lines) > 1:
        raise MalformedReplyError("The reply is a table; write sentences.")
    titles = [_title(line) for line in lines]
    if any(line.strip() and title is None for line, title in zip(lines, titles, strict=True)):
        lines = [line for line, title in zip(lines, titles, strict=True) if title is None]
    else:
        lines = [title or line for line, title in zip(lines, titles, strict=True)]
    items = [line for line in lines if _MARKED.match(line)]
    if len(items) > 1:
        if not all(line.rstrip().endswith(_SENTENCE_END) for line in items):
            raise MalformedReplyError("The reply is a list; write sentences.")
        lines = [_MARKED.sub("", line) for line in lines if line.strip()]
    return "\n".join(re.sub(r"^\s*#{1,6}\s+", "", line) for line in lines)


def _title(line: str) -> str | None:
    """The words of a heading; None for any other line, and for a sentence in a heading's marks."""
    found = _HEADING.fullmatch(line.strip())
    words = (found["title"] or found["bold"]).strip() if found else ""
    return words if words and not words.endswith(_SENTENCE_END) else None


def form_fault(text: str, lang: str = "en") -> str | None:
    """Why a text cannot be a caption whatever it says, as a sentence; None where it can.

    Args:
        text: cleaned.
        lang: what it must be written in, ISO 639-1.
    """
    if not text:
        return "the reply is empty."
    if left := _LEFT_OVER.search(text):
        return f"the reply holds '{left[0]}', which is no part of a sentence; write plain sentences."
    words = len(text) // 2 if lang in _UNSPACED else len(text.split())
    if words < FEWEST_WORDS:
        return f"the reply has {words} word; write a sentence."
    if words > MOST_WORDS:
        return f"the reply has {words} words; write at most {MOST_WORDS}."
    if other := is_other_language(text, lang):
        return f"the reply is written in '{other}'; write in '{lang}'."
    return None
