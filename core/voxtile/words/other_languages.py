"""Words by which one sentence shows that it is not in English: rules that know no "kein" read the finding behind it.

A report is refused by its language where that is plain from the whole of it. Short ones, forms, and reports of which a
half is in another language are English by their names of findings, which are Latin everywhere; there one such word in
a sentence tells that it denies, or may.
"""

from __future__ import annotations

import re
import unicodedata

# Denials, doubts, sides and joining words that no English sentence has, without accents. `sans` is English to some, and
# "Befund:" a heading over English.
_WORDS = r"""
    v\.\s?a\.(?=\s?[a-z]) z\.\s?n\.(?=\s?[a-z]) mo(?:e)?glich(?:e[nrs]?|erweise)? wahrscheinlich\w* vereinbar
    verdachtig\w* rechts(?:seit\w*)? linksseit\w* beidseit\w*
    kein(?:e[mnrs]?|erlei)? ohne nicht nein nachweis ausgeschlossen\w* ausgeschl ausschluss\w* fraglich\w* verdacht
    unauffa(?:e)?llig\w* und eine[mnrs]? sind zustand\snach
    aucune? (?:pas|absence)\sd(?:e|es|u|(?=['’])) non(?=\s*(?:[.;,)]|$)) exclue?s? avec
    droite? gauche evocat(?:eur|rice)s? suspicion\sd(?:e|u|es)
    sin(?=\s+[a-z]) ninguna? descarta\w* ausencia derech[oa]s? izquierd[oa]s? posibles? sospecha
    senza nessun[ao]? assenza esclus[aoei] destr[aoe] sinistr[aoei] possibil[ei] probabil[ei] sospett[aoi]
    nenhuma? nao sem(?=\s+[a-z]) direit[oa]s? esquerd[oa]s? possivel provavel\w* suspeit[oa]s?
    geen zonder niet afwezig\w* uitgesloten een rechter mogelijke? waarschijnlijk\w* verdenking
    yok yoktur saptanmadi saptanmamistir izlenmedi izlenmemistir gorulmedi gorulmemistir degil\w* sagda solda supheli\w*
    ingen inga inget inte (?<!orang\s)utan ikke intet uden uten misstankt\w* mistanke hoger vanster sannolikt muligt?
    bez brak nie podejrzenie praw(?:y|ej|ego|ym) lew(?:y|ej|ego|ym) mozliw[aey]
    nejsou neni nezjisten\w* nincs nincsen nema nisu ne\svidi
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
    """Small letters without accents, but "SEM", "SIN" and "V.A." as they are, which are words of English."""
    kept = re.sub(r"\b(?:SEM|SIN|[VZ]\. ?[AN](?=\.))\b", "_", text)
    plain = "".join(c for c in unicodedata.normalize("NFKD", kept.casefold()) if not unicodedata.combining(c))
    return plain.replace("ı", "i").replace("\n", " ")
