"""Response to treatment and counts: regression grades, residual cancer burden, mitotic counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.text.clauses import Clause

_REGRESSION = re.compile(
    r"\b(?P<system>(?:modified\s++)?(?:Mandard|Dworak|Becker|Ryan|Rodel|R[oö]del|AJCC|CAP|NAR|Chevallier"
    r"|Sataloff|Miller[\s-]Payne|Evans)(?:'s)?|TRG)\s*+(?:scheme"
    r"|system)?\s*+[,(]?\s*+(?:tumou?r\s++)?(?:regression\s++)?(?:grade|score|TRG"
    r"|response)?\s*+[:=]?\s*+(?P<grade>[0-5][ab]?|I{1,3}[ab]?|IV)\b"
    r"|\b(?:tumou?r\s++)?(?:regression|(?:treatment|therapy|therapeutic)\s++response)\s*+(?:grade"
    r"|score)\s*+(?:\((?P<by>[^)]{1,40})\))?\s*+[:=,]?\s*+(?P<grade2>[0-5][ab]?|I{1,3}|IV)\b",
    re.IGNORECASE,
)
_BURDEN = re.compile(
    r"\b(?:RCB|residual cancer burden)(?:\s*+(?:class|category|index|score))?\s*+[-:=]?\s*+(?P<grade>0"
    r"|I{1,3}|[1-3])\b(?:\s*+\(?(?:RCB)?\s*+(?:index|score)?\s*+[:=]?\s*+(?P<index>\d\.\d+)\)?)?",
    re.IGNORECASE,
)
# Without one of these there is no response; the patterns cost more.
_GATE = re.compile(
    r"RCB|residual cancer|regress|response|mandard|dworak|becker|ryan|TRG|r[oö]del|chevallier|sataloff"
    r"|payne|evans|AJCC|CAP|NAR",
    re.IGNORECASE,
)
# METAVIR (Hepatology 24:289-293, 1996), Ishak (J Hepatol 22:696-699, 1995): activity and fibrosis of a liver.
_LIVER = re.compile(
    r"\bMETAVIR\b[^.;\d]{0,25}?A\s?(?P<activity>[0-3])[\s,/;+-]{0,3}F\s?(?P<fibrosis>[0-4])"
    r"|\b(?:METAVIR|Batts[\s-]Ludwig|Scheuer|Brunt|Kleiner|NASH[\s-]CRN)\b[^.;\d]{0,25}?(?:F|stage)\s?(?P<f2>[0-4])"
    r"|\b(?:modified\s++)?Ishak\b[^.;\d]{0,25}?(?P<f3>[0-6])(?:\s*+/\s*+6|\s++of\s++6)?\b",
    re.IGNORECASE,
)
_FIELDS = r"(?:HPFs?|high[\s-]power(?:ed)? fields?|mm\s?[2²]|sq(?:uare)?\.?\s*+mm|square millimet(?:er|re)s?)"
_MITOSES = re.compile(
    rf"\b(?:mitotic\s++(?:count|rate|index|activity|figures?|activity index)|mitos[ie]s"
    rf"|mitotic)\s*+(?:\([^)]*\))?\s*+(?:[:=,]|is|are|of|was|were|number|count"
    rf"|amounts? to)*\s*+(?:approximately|about|up to|ca\.?"
    rf"|~)?\s*+(?P<sign>[<>≤≥])?\s*+(?P<count>\d+(?:\.\d+)?)(?:\s*+[-–]\s*+\d+)?\s*+(?:mitos[ie]s"
    rf"|mitotic figures|figures)?\s*+(?:/|per|in|x)\s*+(?P<per>\d+(?:\.\d+)?)?\s*+(?P<unit>{_FIELDS})"
    rf"|(?P<sign2>[<>≤≥])?\s*+\b(?P<count2>\d+(?:\.\d+)?)(?:\s*+[-–]\s*+\d+)?\s*+(?:mitos[ie]s"
    rf"|mitotic figures|MF)\s*+(?:/|per|in)\s*+(?P<per2>\d+(?:\.\d+)?)?\s*+(?P<unit2>{_FIELDS})",
    re.IGNORECASE,
)
_COUNT_LABEL = re.compile(
    r"^\s*+(?P<sign>[<>≤≥])?\s*+(?P<count>\d+(?:\.\d+)?)\s*+(?:mitos[ie]s)?\s*+(?:/|per"
    r"|in)?\s*+(?P<per>\d+(?:\.\d+)?)?\s*+(?P<unit>" + _FIELDS + r")?",
    re.IGNORECASE,
)
_WORDED = re.compile(
    r"\bmitotic\s++(?:count|rate|index)\s*+(?:is|:)?\s*+(?P<level>low|high|brisk|moderate)\b", re.IGNORECASE
)


def responses(clause: Clause) -> Iterator[SlideFact]:
    """Regression grades and residual cancer burden; their words are then read."""
    text, offset = clause.with_label()
    if _GATE.search(text) is None:
        return
    for match in _BURDEN.finditer(text):
        index = float(match["index"]) if match["index"] else None
        yield _fact("residual_cancer_burden", clause, match, index, offset=offset).detailed(
            grade=f"RCB-{match['grade'].upper()}"
        )
    for match in _REGRESSION.finditer(text):
        grade = match["grade"] or match["grade2"]
        system = match["system"] or match["by"]
        yield _fact("tumor_regression_grade", clause, match, offset=offset).detailed(grade=grade.upper(), system=system)


def mitotic_counts(clause: Clause) -> Iterator[SlideFact]:
    """Counts of mitoses; their words are then read. A count of nought is a count."""
    if re.search(r"mito|\bMF\b", clause.rest + clause.label, re.IGNORECASE) is None:
        return
    for match in _MITOSES.finditer(clause.rest):
        suffix = "" if match["count"] is not None else "2"
        yield _count(clause, match, suffix)
    is_label = re.search(r"mitotic (?:count|rate|index)|mitos[ie]s", clause.label, re.IGNORECASE) is not None
    if is_label and (count := _COUNT_LABEL.match(clause.rest)) is not None:
        yield _count(clause, count, "")
    for match in _WORDED.finditer(clause.rest):
        yield _fact("mitotic_count", clause, match).detailed(score=match["level"].lower())


def liver_scores(clause: Clause) -> Iterator[SlideFact]:
    """Activity and fibrosis of a liver by their scores; their words are then read. A score of nought denies."""
    text, offset = clause.with_label()
    if re.search(r"metavir|ishak|batts|scheuer|brunt|kleiner|nash", text, re.IGNORECASE) is None:
        return
    for match in _LIVER.finditer(text):
        score = match["fibrosis"] or match["f2"] or match["f3"]
        fact = _fact("fibrosis", clause, match, offset=offset)
        yield replace(fact, polarity="present" if score != "0" else "absent").detailed(score=score)
        if match["activity"]:
            polarity: Polarity = "present" if match["activity"] != "0" else "absent"
            yield replace(fact, concept="active_inflammation", polarity=polarity).detailed(score=match["activity"])


def _count(clause: Clause, match: re.Match[str], suffix: str) -> SlideFact:
    unit = (match[f"unit{suffix}"] or "").lower()
    area = "mm2" if "mm" in unit or "mill" in unit else "HPF"
    per = match[f"per{suffix}"] or ("1" if area == "mm2" else "10")
    fact = _fact("mitotic_count", clause, match, float(match[f"count{suffix}"]), f"/{per} {area}" if unit else None)
    return fact.detailed(comparator=match[f"sign{suffix}"])


def _fact(
    concept: str,
    clause: Clause,
    match: re.Match[str],
    value: float | None = None,
    unit: str | None = None,
    *,
    offset: int = 0,
) -> SlideFact:
    clause.take(max(0, match.start() - offset), max(0, match.end() - offset))
    words, evidence = match.group().strip(), (clause.evidence,)
    return SlideFact(concept, "present", Attributes(), value, unit, words, evidence, addendum=clause.addendum)
