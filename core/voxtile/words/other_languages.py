"""Words by which one sentence shows that it is not in English: rules that know no "kein" read the finding behind it.

A report is refused by its language where that is plain from the whole of it. Short ones, forms, and reports of which a
half is in another language are English by their names of findings, which are Latin everywhere; there one such word in
a sentence tells that it denies, or may.
"""

from __future__ import annotations

import re
import unicodedata

# Denials, doubts and joining words that no English sentence has, without accents. `sans` is English to some, and
# "Befund:" a heading over English.
_WORDS = r"""
    kein(?:e[mnrs]?|erlei)? ohne nicht nein nachweis ausgeschlossen\w* ausgeschl ausschluss\w* fraglich\w* verdacht
    unauffa(?:e)?llig\w* und eine[mnrs]? sind zustand\snach
    aucune? (?:pas|absence)\sd(?:e|es|u|(?=['’])) non(?=\s*(?:[.;,)]|$)) exclue?s? avec
    sin(?=\s+[a-z]) ninguna? descarta\w* ausencia
    senza nessun[ao]? assenza esclus[aoei]
    nenhuma? nao sem(?=\s+[a-z])
    geen zonder niet afwezig\w* uitgesloten een
    yok yoktur saptanmadi saptanmamistir izlenmedi izlenmemistir gorulmedi gorulmemistir degil\w*
    ingen inga inget inte (?<!orang\s)utan ikke intet uden uten
    bez brak nie nejsou neni nezjisten\w* nincs nincsen nema nisu ne\svidi
    fara nu\sse tidak tanpa khong
"""
_ANY = re.compile(rf"(?<![\w'’-])(?:{'|'.join(_WORDS.split())})(?![\w-])")
# Letters of Cyrillic, Hebrew, Arabic, India, Thai, …, of Japanese, Chinese and Korean; Greek ones are signs of English.
_SCRIPT = re.compile(r"[\u0400-\u1cff\u3040-\u312f\u3400-\u9fff\uac00-\ud7af\U00020000-\U0003ffff]")


def is_of_another(sentence: str) -> bool:
    """Whether a sentence has a word or a letter that only another language has.

    Examples:
        >>> [is_of_another(said) for said in ("No pneumothorax.", "Kein Pneumothorax.", "Pneumothorax: 无")]
        [False, True, True]
    """
    return _SCRIPT.search(sentence) is not None or _ANY.search(_folded(sentence)) is not None


def _folded(text: str) -> str:
    """Small letters without accents, but "SEM" and "SIN" as they are, which are no words of Spanish and Portuguese."""
    kept = re.sub(r"\b(?:SEM|SIN)\b", "_", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", kept.casefold()) if not unicodedata.combining(c))
    return plain.replace("ı", "i").replace("\n", " ")
