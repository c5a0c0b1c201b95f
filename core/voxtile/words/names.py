"""Names of classes, concepts and phrases, told apart by what they name and not by how they are spelt."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from voxtile.words.tokens import words_of

_NEGATIVE = re.compile(r"(?<=\w) ?[-−]$")  # `HER2-` and `HER2+` are two classes, which words alone would make one
_MARKS = frozenset("()[]{},.;:'\"/")  # that set words apart; others (`+`, `<`, `>`) tell classes apart
# British to American, for names of things that people draw and map; `normal_form` does the same for words of texts.
_SPELLING = tuple(
    (re.compile(british), american)
    for british, american in (
        (r"aem", "em"),  # haemorrhage, anaemia, ischaemia
        (r"\boede", "ede"),
        (r"\boesoph", "esoph"),
        (r"\b(p|orthop)aed", r"\1ed"),
        (r"\bfoet", "fet"),
        (r"rrhoea", "rrhea"),
        (r"\b(tum|col|harb|neighb|lab|vap)our", r"\1or"),
        (r"\b(cent|goit)re", r"\1er"),
        (r"\b(cali|fi)bre", r"\1ber"),
        (r"\b(centi|milli|kilo|)metre", r"\1meter"),
        (r"\bgrey", "gray"),
        (r"\baeroplane", "airplane"),
        (r"\bplough", "plow"),
        (r"\bsulph", "sulf"),
    )
)


@lru_cache(maxsize=100_000)
def spelling_key(name: str) -> str:
    r"""What all spellings of a phrase have in common: case, British or American, spaces, `_`, hyphens, accents apart.

    >>> spelling_key("Normal  epithelium"), spelling_key("Tumour"), spelling_key("the Tumours")
    ('normal epithelium', 'tumor', 'the tumors')
    >>> spelling_key("Ba\u0308r") == spelling_key("B\xe4r")
    True
    """
    text = " ".join(re.sub(r"[_\-−]+", " ", unicodedata.normalize("NFC", name.casefold())).split())
    for british, american in _SPELLING:
        text = british.sub(american, text)
    return f"{text} -" if _NEGATIVE.search(name.strip()) else text


@lru_cache(maxsize=100_000)
def name_key(name: str) -> str:
    """The same for the name of a class or concept, where singular and plural are one too.

    >>> name_key("tumors"), name_key("Normal epithelium"), name_key("HER2-")
    ('tumor', 'normal_epithelium', 'her_2_-')
    """
    text = spelling_key(name)
    words = [word for word in words_of(text.removesuffix(" -")).words if word not in _MARKS]
    return "_".join([*words, "-"] if text.endswith(" -") else words) or text
