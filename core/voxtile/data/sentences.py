"""Reports to sentences: section titles dropped, decimals and abbreviations kept whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

# After these a full stop never ends a sentence.
_TITLES = frozenset(
    ["dr", "mr", "mrs", "ms", "prof", "st", "vs", "e.g", "i.e", "cf", "approx", "aprox", "ca", "fig", "figs", "resp",
     "bzw", "evtl", "ggf", "inkl", "insb", "vgl", "sra", "dhr", "v.a", "z.n", "z.b"]
)  # fmt: skip
_NUMBERED = frozenset(["no", "nr", "min", "max", "avg", "ver", "vol"])  # abbreviations only before a number
# Abbreviations only before a lower-case letter.
_SHORTENED = re.compile(
    "ant|post|lat|med|sup|inf|bilat|temp|ext|int|incl|excl|dept|min|max|avg|pts?|yrs?|hrs?|mo|wk|mm|cm|ml"
)
_TITLE = re.compile(r"^[ \t]*(?:[A-Z][A-Z0-9 /&,()\-]{2,60}|[A-Z][A-Za-z/&\- ]{2,40}):[ \t]*(?=\n|$)", re.MULTILINE)
_INLINE_TITLE = re.compile(r"^[ \t]*[A-Z][A-Z0-9 /&,()\-]{2,60}:[ \t]*", re.MULTILINE)
# Titles that reports also write in mixed case before the text on the same line.
_KNOWN_TITLE = re.compile(
    r"(?:^|(?<=[.!?])[ \t])[ \t]*(?:findings?|impressions?|conclusions?|indications?|history|comparisons?|techniques?|"
    r"clinical (?:history|information|indication)|procedure|examination|exam|opinion|summary|results?|report|"
    r"(?:final )?diagnosis|(?:microscopic|gross) (?:description|findings)|microscopy|macroscopy)"
    r"[ \t]*:[ \t]*",
    re.MULTILINE | re.IGNORECASE,
)
_BULLET = re.compile(r"^[ \t]*(?:[-*•·–]|\(?\d{1,2}[.)])[ \t]+", re.MULTILINE)
# Stops of Arabic, Urdu and Hindi; those of Chinese and Japanese need no space behind them.
_STOP = re.compile(r"(?<![.!?؟۔।])([.!?؟۔।]++)([\"')\]]*+)(\s+|$)|[。！？｡]+[」』”’）]*\s*|\n[ \t]*\n|;\s*\n")
_GERMAN_MONTH = re.compile(r"(?:Jan|Feb|Mär|Apr|Mai\b|Jun|Jul|Aug|Sep|Okt|Nov|Dez)\w*\b")  # "am 3. März 2020"
_LONGEST = 3000  # characters; what is longer is no sentence, and readers compare the words of one with each other
_LETTER = re.compile(r"[^\W\d_]")


def split_sentences(text: str) -> list[str]:
    """Split a caption or a report into sentences.

    A line break inside a paragraph is a space; a blank line, a section title and a bullet end a sentence. A full stop
    ends one unless it belongs to a number, an abbreviation or an initial.

    Args:
        text: any text.

    Returns:
        Sentences with single spaces, in order; never an empty one or one without a letter.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", " ")
    for pattern in (_TITLE, _KNOWN_TITLE, _INLINE_TITLE, _BULLET):
        text = pattern.sub("\n\n", text)
    return [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]


def sentence_spans(text: str) -> Iterator[tuple[int, int]]:
    """Where the sentences of a text without titles and bullets stand: characters, half-open, without outer space."""
    start = 0
    for stop in _STOP.finditer(text):
        if stop.group(1) == "." and not _ends_sentence(text, stop):
            continue
        yield from _stripped(text, start, stop.end())
        start = stop.end()
    yield from _stripped(text, start, len(text))


def _stripped(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > _LONGEST:
        space = text.rfind(" ", start + 1, start + _LONGEST)
        cut = space if space > 0 else start + _LONGEST
        yield from _stripped(text, start, cut)
        start = cut
    sentence = text[start:end]
    if _LETTER.search(sentence):
        yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())


def _ends_sentence(text: str, stop: re.Match[str]) -> bool:
    """Whether a single full stop, followed by space or the end, closes a sentence."""
    following = text[stop.end() : stop.end() + 1]
    if not following:
        return True
    if "\n\n" in stop.group(3):
        return True
    words = text[max(0, stop.start() - 40) : stop.start()].split()
    word = words[-1].lstrip("([\"'").lower() if words else ""
    if word in _TITLES or (word in _NUMBERED and following.isdigit()) or _is_initial(words):
        return False
    if word.isdecimal() and _GERMAN_MONTH.match(text, stop.end()):
        return False
    if len(word) == 1 and word.isalpha() and _is_of_letters(words, text[stop.end() : stop.end() + 2]):
        return False
    return not (following.islower() and _SHORTENED.fullmatch(word))


def _is_of_letters(words: list[str], following: str) -> bool:
    """Whether a letter is of an abbreviation of several, as German has them: "V. a.", "Z. n.", "z. B."."""
    before = words[-2] if len(words) > 1 else ""
    pair = len(before) == 2 and before[0].isalpha() and before[1] == "."
    return pair or (following[:1].isalpha() and following[1:] == ".")


def _is_initial(words: list[str]) -> bool:
    """Whether the last word is a name's initial: a capital that opens the text or follows a title or an initial."""
    if not words or len(words[-1]) != 1 or not words[-1].isupper():
        return False
    before = words[-2] if len(words) > 1 else ""
    return not before or before.rstrip(".").lower() in _TITLES or (len(before) == 2 and before.endswith("."))
