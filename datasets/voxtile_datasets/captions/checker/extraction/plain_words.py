"""Words of a sentence with contractions and short forms written out ("isn't", "NE of"), signs for what marks say."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

from voxtile.words.tokens import Words, words_of
from voxtile_datasets.captions.checker.extraction.statements import ANSWER, DOUBT, MINUS, NONE

_NOT = {"won": "will", "can": "can", "shan": "shall", "ain": "is"}  # "won't"
_COMPASS = {
    "NE": "northeast", "NW": "northwest", "SE": "southeast", "SW": "southwest", "NNE": "northeast",
    "ENE": "northeast", "NNW": "northwest", "WNW": "northwest", "SSE": "southeast", "ESE": "southeast",
    "SSW": "southwest", "WSW": "southwest",
}  # fmt: skip
_ONE_LETTER = {"N": "north", "S": "south", "E": "east", "W": "west"}
_AFTER_LETTER = frozenset(
    ["of", "edge", "corner", "part", "side", "half", "third", "end", "margin", "quarter", "sector", "quadrant", "zone",
     "bank", "shore", ")"]
)  # fmt: skip
_BEFORE_LETTER = frozenset(["the", "to", "lies", "due", "km", "m", "("])

# "Tumour cells? None.", "Maize? Not a plant of it."
_ANSWERED = re.compile(
    r"\?(?=\s+(?:(?:it|they|there|i|we|one|you|that|this|he|she)\s+(?:(?:is|are|was|were|do|does|did|has|have|can|could"
    r"|would|will)\s+not|cannot|\w+n['’]t)\b"
    r"|(?:(?:forget it|sorry|sadly|alas|nope|well|unfortunately|hardly|far from it|think again|not here)"
    r"[,!;:]?\s+)?"
    r"(?:in vain|none|absent|nil|negative|nowhere|nothing|nope|never"
    r"|not (?:a|an|one|any|here|there|in|on|so|seen)"
    r"|neither(?!\s+of)|not at all|there (?:is|are) none|no(?=\s*[.,;!]|\s+(?:sign|trace|such|hint)))\b))",
    re.IGNORECASE,
)
# "?vascular calcification", "(?) nodule"
_DOUBTED = re.compile(r"(?<![^\s;,(\[:/|])\?(?=\s?[A-Za-z)\]])")
# "stone (9 mm; right)" is one sentence
_BRACKETS = re.compile(r"\([^()\n]{1,80}\)")
# "HER2-", "ER−/PR−"
_NEGATIVE = re.compile(r"(?<=[A-Z][A-Z0-9])[-−–](?=$|[\s,;.)/|])")
# "Mucin –" at the end of a line
_NONE = re.compile(r"(?<=[a-z] )[-−–](?=[ \t]*(?:$|[\n,;|]))")
_ABBREVIATED = re.compile(r"\b(vs|approx|ca|cf|fig|incl|resp)\.", re.IGNORECASE)


def with_signs(text: str, *, about_patients: bool) -> str:
    """A text, as long as before, with one sign each for answers, doubts and denials that marks alone tell.

    Args:
        text: a caption.
        about_patients: "HER2-" denies, and is no hyphen.
    """
    text = _ABBREVIATED.sub(r"\1 ", _ANSWERED.sub(ANSWER, text))
    text = _NONE.sub(NONE, _DOUBTED.sub(DOUBT, text.replace(NONE, "ø")))
    text = _BRACKETS.sub(lambda match: match[0].replace(";", ","), text)
    return _NEGATIVE.sub(MINUS, text) if about_patients else text


@lru_cache(maxsize=50_000)
def plain_words(sentence: str, *, has_compass: bool) -> Words:
    """Split a sentence into words; places in the text stay what they are.

    Args:
        sentence: a sentence of a caption.
        has_compass: "NE" is north-east; in bodies it is not.
    """
    words = words_of(sentence)
    found = list(words.words)
    for position in range(1, len(found)):
        gap = sentence[words.ends[position - 1] : words.starts[position]]
        before = found[position - 1]
        if found[position] == "t" and gap in ("'", "’") and before.endswith("n"):
            found[position - 1 : position + 1] = [_NOT.get(before, before[:-1]), "not"]
    if has_compass:
        for position in range(len(found)):
            written = sentence[words.starts[position] : words.ends[position]]
            if written in _COMPASS:
                found[position] = _COMPASS[written]
            elif written in _ONE_LETTER and _is_direction(found, position):
                found[position] = _ONE_LETTER[written]
    return replace(words, words=tuple(found)) if tuple(found) != words.words else words


def _is_direction(words: list[str], position: int) -> bool:
    before, after = words[max(0, position - 1) : position], words[position + 1 : position + 2]
    return bool(_BEFORE_LETTER.intersection(before)) or after == ["of"] or bool(_AFTER_LETTER.intersection(after))
