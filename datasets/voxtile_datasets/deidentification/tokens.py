"""Words of a text as candidates of names: how they are written, what kind of words they are, and what stands around."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxtile_datasets.deidentification.word_classes import WordClass, closed, word_class

_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_MOSTLY_CAPITALS = 0.7  # of the letters of a line: its capitals tell nothing
_SENTENCE_START = re.compile(r"(?:^|[.!?;]\s+|\n\s*|[|\t]\s*|^\W+)[\"'“(\[*•-]*\s*$")
_AFTER_COLON = re.compile(r"[:=]\s*[\"'“(\[]*$")


@dataclass(frozen=True)
class Token:
    """A word of letters.

    Attributes:
        text: as written.
        low: in small letters, without 's.
        capital: it begins with a capital.
        start, end: characters in the text.
        kind: what kind of word it is.
        gap: what stands between it and the word before.
        opens: it opens a sentence or a line.
        labelled: it stands right behind a colon.
        shouted: its line is written in capitals.
        whispered: no word of its line begins with a capital and goes on in small letters.
    """

    text: str
    low: str
    capital: bool
    start: int
    end: int
    kind: WordClass
    gap: str
    opens: bool
    labelled: bool
    shouted: bool
    whispered: bool

    @property
    def capitals(self) -> bool:
        """All of its letters are capitals, and there are two or more."""
        return len(self.text) > 1 and self.text.isupper()

    @property
    def initial(self) -> bool:
        """A capital letter alone, or two ("JA")."""
        return len(self.text) == 1 and self.capital

    @property
    def camel(self) -> bool:
        """A capital inside, as in abbreviations and brands (SpO, DaTscan, MIPs), and not as in McDonald or O'Brien."""
        plain = re.sub(r"^(?:Mc|Mac|De|Di|La|Le|Van|Fitz|Du|St)(?=[A-Z])", "", self.text)
        return bool(re.search(r"[a-zß-ÿ][A-ZÀ-Þ]|[A-ZÀ-Þ]{2}[a-zß-ÿ]{1,3}$", plain))


def tokens(text: str, vocabulary: frozenset[str]) -> list[Token]:
    """The words of a text."""
    found: list[Token] = []
    end = 0
    line_end, shouted, whispered = -1, False, False
    for match in _WORD.finditer(text):
        if match.start() >= line_end:
            line_start = text.rfind("\n", 0, match.start()) + 1
            line_end = text.find("\n", match.start())
            line_end = len(text) if line_end < 0 else line_end
            shouted, whispered = _case(text[line_start:line_end])
        before = text[max(0, match.start() - 12) : match.start()]
        start_of_text = match.start() <= 12
        found.append(
            Token(
                match.group(),
                _plain(match.group()),
                match.group()[0].isupper(),
                *match.span(),
                word_class(match.group(), vocabulary),
                text[end : match.start()],
                bool(_SENTENCE_START.search(before if start_of_text else f"x{before}"))
                and not _abbreviated(found, before),
                bool(_AFTER_COLON.search(before)),
                shouted,
                whispered,
            )
        )
        end = match.end()
    return found


def _plain(word: str) -> str:
    low = word.lower().replace("’", "'")
    return low[:-2] if low.endswith("'s") else low


def _abbreviated(found: list[Token], before: str) -> bool:
    """The full stop before a word is that of a title or an initial."""
    if not found or (not before.startswith(".") and "." not in before[-3:]):
        return False
    last = found[-1]
    return before.strip() == "." and (last.low in closed("titles") or last.low in closed("title_parts") or last.initial)


def _case(line: str) -> tuple[bool, bool]:
    letters = [c for c in line if c.isalpha()]
    capitals = sum(c.isupper() for c in letters)
    return (len(letters) >= 12 and capitals / max(len(letters), 1) > _MOSTLY_CAPITALS), not re.search(
        r"\b[^\W\d_a-zß-ÿ][a-zß-ÿ]", line
    )
