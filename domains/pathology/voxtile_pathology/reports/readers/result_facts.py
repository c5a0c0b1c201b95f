"""What the result of a stain or test says of a case: polarity by the kind of marker, percentage, score, amplification.

What counts as positive: ER and PR from 1 % (ASCO/CAP 2020), HER2 3+ or amplified, 2+ equivocal, 0 and 1+ negative
(ASCO/CAP 2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile_pathology.reports.fact import Attributes, Percent, Polarity, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon
from voxtile_pathology.reports.readers.result_words import Result
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.quantities import percent_in

_NEGATIVE = frozenset(["negative", "lost", "wild type", "not detected", "not amplified"])
_POSITIVE = frozenset(["positive", "retained", "mutated", "amplified"])
_RATIO = re.compile(r"ratio\s*(?:of|is|[:=])?\s*(?P<ratio>\d+(?:\.\d+)?)", re.IGNORECASE)
_ISH = re.compile(r"\b(?:FISH|[DS]?ISH|CISH|amplif\w+|in situ hybridi[sz]ation)\b", re.IGNORECASE)
_SCORE = re.compile(
    r"(?<![\d.])(?P<score>[0-3])\+|score\s*[:=]?\s*(?P<score2>[0-3])\+?|^\s*[:=]?\s*(?P<score3>[0-3])\s*(?:$|[,;.()])",
    re.IGNORECASE,
)
_INTENSITY = re.compile(r"\b(strong|moderate|weak|intense)(?:ly)?\b", re.IGNORECASE)
_REPAIR = frozenset(["mlh1", "pms2", "msh2", "msh6"])
_ISH_RESULT = re.compile(
    r"\b(?:FISH|[DS]?ISH|CISH)\b[^;]{0,60}?\b(?P<said>not amplified|non-?amplified|unamplified|negative"
    r"|amplified|positive)\b"
    r"|\b(?:FISH|[DS]?ISH|CISH)\s?(?P<sign>[-−–+])(?=\W|$)",
    re.IGNORECASE,
)
_HER2 = {"0": "absent", "1": "absent", "2": "uncertain", "3": "present"}


def repair(facts: list[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
    """Whether mismatch repair is deficient, by its proteins: by one that is lost, or by two that are not."""
    proteins = [fact for fact in facts if fact.concept in _REPAIR]
    whole = "mismatch_repair_deficiency"
    if whole not in lexicon.concepts or any(fact.concept == whole for fact in facts):
        return
    lost = next((fact for fact in proteins if fact.polarity == "absent"), None)
    if lost is not None:
        yield replace(lost, concept=whole, polarity="present", implied_by=lost.concept)
    elif len(proteins) > 1:
        yield replace(proteins[0], concept=whole, polarity="absent", implied_by=proteins[0].concept)


def facts_of(
    concept: str, said: str, result: Result, clause: Clause, lexicon: Lexicon, text: str
) -> Iterator[SlideFact]:
    """What the result of a marker says.

    Args:
        concept: of the marker.
        said: its name as the report writes it.
        result: what is said of it.
        clause: where.
        lexicon: for the kind of the marker.
        text: the clause as the markers were looked for in it.
    """
    kind = lexicon.concepts[concept].kind
    if kind in ("her2", "her2_amplification"):
        yield from _her2(said, result, clause, text, concept)
        return
    polarity = _polarity(kind, result)
    if polarity is None:
        return
    percent = percent_in(result.around) if result.name != "score" else None
    fact = SlideFact(
        concept,
        polarity,
        Attributes(),
        words=f"{said}{'' if result.said.startswith(('+', '-', '(')) else ' '}{result.said.strip()}",
        evidence=(clause.evidence,),
        addendum=clause.addendum,
    )
    fact = fact.detailed(status=_status(kind, polarity, result), intensity=_intensity(result))
    if percent is not None:
        fact = fact.with_percent(percent)
    yield fact
    if kind == "mmr":
        yield from _loss(fact, concept, lexicon)
    if kind == "mmr_status" and "mismatch_repair_proficiency" in lexicon.concepts:
        yield replace(
            fact,
            concept="mismatch_repair_proficiency",
            polarity="absent" if polarity == "present" else "present",
            implied_by=concept,
        )


def _loss(fact: SlideFact, concept: str, lexicon: Lexicon) -> Iterator[SlideFact]:
    """The loss of a protein is a finding of its own."""
    loss = f"{concept}_loss"
    if loss in lexicon.concepts:
        yield replace(fact, concept=loss, polarity="absent" if fact.polarity == "present" else "present")


def _polarity(kind: str, result: Result) -> Polarity | None:
    name = result.name
    percent = percent_in(result.around) if result.around else None
    if kind in ("gene", "fusion") and name in ("retained", "lost"):
        return "absent" if name == "retained" else "present"
    if name == "equivocal":
        return "uncertain"
    if kind == "mmr_status":
        # "Mismatch repair: loss of MLH1", "MMR deficient" affirm the deficiency, "intact" and "no loss" deny it.
        return {
            "lost": "present",
            "negative": "absent",
            "retained": "absent",
            "not detected": "absent",
            "positive": "present",
        }.get(name)  # type: ignore[return-value]
    if kind == "msi":
        lower = result.said.lower()
        return (
            "absent"
            if name in ("retained", "negative", "not detected", "wild type")
            or "stable" in lower.replace("unstable", "")
            else "present"
        )
    if kind == "p53" and name == "wild type":
        return "absent"
    if name in ("percent", "score"):
        if kind == "score" or (name == "score" and percent is None):
            digits = re.search(r"\d+", result.said)
            return "absent" if digits is not None and digits.group() == "0" else "present"
        if percent is None:
            digits = re.search(r"(?P<below>[<≤]?)\s?(?P<number>\d+(?:\.\d+)?)", result.said)
            number = float(digits["number"]) if digits is not None else 0.0
            percent = Percent(None if digits is not None and digits["below"] else number, number, result.said)
        return _of_share(kind, percent)
    if name == "strength":
        return "present"
    if name in _NEGATIVE:
        return "absent"
    return "present" if name in _POSITIVE else None


def _of_share(kind: str, share: Percent) -> Polarity:
    """What a share of cells says: positive from 1 %, whose bounds may leave it open; any share is an index."""
    least, most = share.low or 0.0, 100.0 if share.high is None else share.high
    if kind == "index":
        return "absent" if share.is_none else "present"
    is_below = share.low is None and most <= 1
    if is_below or share.is_none or (most < 1 and kind == "receptor"):
        return "absent"
    return "uncertain" if least < 1 <= most and least != most else "present"


def _status(kind: str, polarity: Polarity, result: Result) -> str | None:
    if result.name in ("percent", "score"):
        return (
            None
            if kind == "index"
            else {"present": "positive", "absent": "negative", "uncertain": "equivocal"}[polarity]
        )
    return result.name


def _intensity(result: Result) -> str | None:
    match = _INTENSITY.search(result.around)
    return match.group(1).lower() if match is not None else None


def _her2(said: str, result: Result, clause: Clause, text: str, concept: str) -> Iterator[SlideFact]:
    """HER2 by its score or as said, and the gene's amplification where it was looked for."""
    ratio = _RATIO.search(text)
    around = f"{result.said} {result.around}"
    score = _SCORE.search(result.around) or _SCORE.search(result.said)
    digit = (
        next((score[name] for name in ("score", "score2", "score3") if score[name]), None)
        if score is not None
        else None
    )
    polarity: Polarity | None = None
    if re.search(r"(?i)equivocal", around):
        polarity = "uncertain"
    elif result.name in _NEGATIVE:
        polarity = "absent"
    elif result.name in ("positive", "amplified", "mutated") and not re.fullmatch(r"\s*[0-2]\+\s*", result.said):
        polarity = "present"
    elif digit is not None:
        polarity = _HER2[digit]  # type: ignore[assignment]
    is_gene = (
        concept == "her2_amplification"
        or result.name in ("amplified", "not amplified")
        or (
            _ISH.search(text) is not None
            and digit is None
            and not re.search(r"(?i)\bordered|reflex|pending|recommend", text)
        )
    )
    if is_gene and ratio is not None and polarity is None:
        polarity = "present" if float(ratio["ratio"]) >= 2.0 else "absent"
    if polarity is None:
        return
    status = {"present": "positive", "absent": "negative", "uncertain": "equivocal"}[polarity]
    fact = SlideFact(
        "her2",
        polarity,
        Attributes(),
        words=f"{said} {result.said.strip()}",
        evidence=(clause.evidence,),
        addendum=clause.addendum,
    )
    if is_gene:
        gene = {"present": "amplified", "absent": "not amplified", "uncertain": "equivocal"}[polarity]
        amplified = replace(fact, concept="her2_amplification").detailed(status=gene)
        yield (
            replace(amplified, value=float(ratio["ratio"]), unit="ratio").detailed(ratio=float(ratio["ratio"]))
            if ratio is not None
            else amplified
        )
        yield replace(fact, implied_by="her2_amplification").detailed(status=status)
    else:
        further = _ISH_RESULT.search(text)
        if further is not None and concept != "her2_amplification":
            is_amplified = (further["said"] or further["sign"]).lower() in ("amplified", "positive", "+")
            looked_for = replace(fact, concept="her2_amplification", polarity="present" if is_amplified else "absent")
            yield replace(looked_for, words=further.group()).detailed(
                status="amplified" if is_amplified else "not amplified"
            )
        yield fact.detailed(status=status, score=f"{digit}+" if digit not in (None, "0") else digit)
