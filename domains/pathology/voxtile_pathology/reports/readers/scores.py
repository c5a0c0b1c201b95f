"""Scores of lesions by a letter each: Banff of kidneys, Oxford (MEST-C), ISHLT of hearts and lungs, liver rejection.

Banff: Loupy et al., Am J Transplant 20:2318-2331 (2020). Oxford: Trimarchi et al., Kidney Int 91:1014-1021 (2017).
ISHLT: Stewart et al., J Heart Lung Transplant 24:1710-1720 (2005) and 26:1229-1242 (2007).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.text.clauses import Clause

_BANFF = {
    "i": "interstitial_inflammation",
    "ti": "interstitial_inflammation",
    "i-ifta": "interstitial_inflammation",
    "t": "tubulitis",
    "t-ifta": "tubulitis",
    "v": "endotheliitis",
    "g": "glomerulitis",
    "ptc": "peritubular_capillaritis",
    "c4d": "c4d_staining",
    "cg": "transplant_glomerulopathy",
    "ci": "interstitial_fibrosis",
    "ct": "tubular_atrophy",
    "cv": "transplant_arteriopathy",
    "ah": "arteriolar_hyalinosis",
    "aah": "arteriolar_hyalinosis",
    "mm": "mesangial_expansion",
}
_OXFORD = {
    "m": "mesangial_hypercellularity",
    "e": "endocapillary_hypercellularity",
    "s": "segmental_sclerosis",
    "t": "tubular_atrophy",
    "c": "crescent",
}
_LUNG = {"a": "acute_cellular_rejection", "b": "airway_inflammation", "c": "bronchiolitis"}
_HEART = re.compile(
    r"\b(?:ISHLT\s*+(?:\(?(?:19|20)\d\d\)?)?\s*+(?:grade)?\s*+[:=]?\s*+(?P<grade>[0-3][AB]?R?)\b"
    r"|(?:grade\s*+)?(?P<grade2>[0-3]R)\b(?=\s*+(?:$|[,;.()])))|\bp?AMR\s*+[:=]?\s*+(?P<amr>[0-3])\b",
    re.IGNORECASE,
)
_LIVER = re.compile(
    r"\b(?:RAI|rejection\s++activity\s++index)\s*+(?:score|of|is)?\s*+[:=]?\s*+(?P<score>\d)(?:\s*+/\s*+9)?\b", re.I
)
_SEPARATOR = r"(?:\s*+[,;/+&]\s*+|\s++and\s++|\s++)"


def _series(names: list[str], *, least: int) -> re.Pattern[str]:
    """A series of scores, at least so many of them one after another."""
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    one = rf"(?:{name})\s?[:=]?\s?[0-3](?![\d.%])"
    return re.compile(
        rf"(?<![A-Za-z0-9-]){one}(?:{_SEPARATOR}{one}){{{least - 1},}}(?!\s*+(?:mm|cm|%|/))", re.IGNORECASE
    )


_SYSTEMS = (
    (
        _BANFF,
        _series(list(_BANFF), least=3),
        re.compile(
            r"banff|allograft|transplant|graft"
            r"|rejection",
            re.IGNORECASE,
        ),
    ),
    (_OXFORD, _series(list(_OXFORD), least=3), re.compile(r"oxford|MEST|IgA", re.IGNORECASE)),
    (_LUNG, _series(list(_LUNG), least=2), re.compile(r"lung|ISHLT|TBB|transbronchial|rejection", re.IGNORECASE)),
)
_GATE = re.compile(r"[a-z]\s?[:=]?\s?[0-3]\b|ISHLT|AMR|RAI|rejection activity|[0-3]R\b", re.IGNORECASE)


def lesion_scores(clause: Clause) -> Iterator[SlideFact]:
    """Lesions that are scored one after another; a score of nought denies. Their words are then read.

    A series of four stands for itself, a shorter one only beside the name of its system or a transplant.
    """
    if _GATE.search(clause.rest) is None:
        return
    for lesions, series, context in _SYSTEMS:
        match = series.search(clause.rest)
        if match is None:
            continue
        parts = list(re.finditer(r"(?P<name>[A-Za-z](?:4d|[A-Za-z-])*)\s?[:=]?\s?(?P<score>[0-3])", match.group()))
        named = context.search(f"{clause.whole} {clause.evidence}") is not None
        if not named and (lesions is not _BANFF or len({part["name"].lower() for part in parts}) < 4):
            continue
        for part in parts:
            concept = lesions.get(part["name"].lower())
            if concept is not None:
                yield _scored(concept, part.group(), part["score"], clause)
        clause.take(match.start(), match.end())
    yield from _of_heart(clause)
    for match in _LIVER.finditer(clause.rest):
        yield _scored("acute_cellular_rejection", match.group(), match["score"], clause)
        clause.take(match.start(), match.end())


def _of_heart(clause: Clause) -> Iterator[SlideFact]:
    for match in _HEART.finditer(clause.rest):
        score = match["grade"] or match["grade2"] or match["amr"]
        concept = "antibody_mediated_rejection" if match["amr"] else "acute_cellular_rejection"
        yield _scored(concept, match.group(), score, clause)
        clause.take(match.start(), match.end())


def _scored(concept: str, words: str, score: str, clause: Clause) -> SlideFact:
    fact = SlideFact(
        concept,
        "absent" if score.startswith("0") else "present",
        words=words.strip(),
        evidence=(clause.evidence,),
        addendum=clause.addendum,
    )
    return fact.detailed(score=score.upper())
