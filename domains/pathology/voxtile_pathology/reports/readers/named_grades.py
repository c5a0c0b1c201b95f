"""Grades without the word: a system and a number ("Fuhrman 3", "WHO/ISUP 2"), and high or low grade beside a name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.text.clauses import Clause

_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4"}
_SYSTEMS = (
    r"(?:f[uh]+rman(?:'?s)?|WHO\s*/\s*ISUP|ISUP\s*/\s*WHO|CNS\s*-?\s*WHO|WHO(?:\s*-?\s*CNS)?|ISUP"
    r"|m?nottingham|NHG|SBR|MSBR"
    r"|B(?:loom)?[\s&/-]*R(?:ichardson)?|BRE|elston(?:[\s-]*(?:and|&)?[\s-]*ellis)?|FNCLCC|french(?:\s+federation)?"
    r"|trojani|edmondson(?:[\s/-]*(?:and\s*)?steiner)?|brandwein|AFIP|ENETS|FIGO|silva|kernohan)"
)
# The year or edition of a classification is no grade; nor is a stage of FIGO or a subtype.
_NAMED = re.compile(
    rf"(?<![\w/])(?P<system>{_SYSTEMS})(?:\s+(?:nucle\w+|histolog\w+|combined|score|class))*\s*[:=,-]?\s*\(?"
    r"(?P<grade>[1-4](?:\s*(?:-|–|to)\s*[1-4])?|IV|I{1,3})\b\)?(?!\s*(?:[+.]\s*\d|/\s*9|\d|th\b|st\b"
    r"|nd\b|rd\b|%|mm|cm))",
    re.IGNORECASE,
)
_KIDNEY = re.compile(r"renal|kidney|nephr|RCC|papillary (?:type|RCC)|chromophobe", re.IGNORECASE)
# A stage of FIGO in Roman numbers is read by `staging`.
_FIGO_STAGE = re.compile(r"FIGO\W*(?:I{1,3}|IV)\b", re.IGNORECASE)
_NODAL = re.compile(
    r"\bfollicular\s+lymphoma\s*(?:,|\(|-|grade)?\s*(?P<grade>[12](?:\s?-\s?2)?|3\s?[AB]?)\b(?!\s*(?:cm"
    r"|mm|%|[./]\s?\d))",
    re.IGNORECASE,
)
_LEVEL = re.compile(
    r"\b(?P<grade>(?:low|high|intermediate)(?:[\s-]to[\s-](?:intermediate|high))?)[\s-]+(?:nuclear\s+"
    r"|cytologic(?:al)?\s+"
    r"|histologic(?:al)?\s+|morphologic(?:al)?\s+)?grade\b(?!\s*(?:[:=]|is\b|dysplas|squamous\s+intra"
    r"|SIL|PIN|CIN|lesion|IPMN|PanIN|"
    r"intraepith|appendic|component|progress|by\b|transform))",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(?:no|not|without|nor|non|lacks?|absence\s+of|excludes?)\b[^,;]*$", re.IGNORECASE)
_UNGRADED = re.compile(
    r"\b(?:cannot|can\s+not|could\s+not|can['’]t)\s+be\s+(?:reliably\s+)?graded\b|\bnot\s+gradable\b|\bungradable\b",
    re.I,
)
_DIFFERENTIATION = re.compile(
    r"\bdifferentiation\s*(?:is|:|=|-)?\s*(?P<after>well|moderate|poor)\b|\b(?P<before>good|well"
    r"|moderate|poor)\s+differentiation\b",
    re.IGNORECASE,
)

Graded = Callable[[str], bool]


def named_grades(clause: Clause) -> Iterator[SlideFact]:
    """Grades of a clause by a system's name, and that there is none; their words are then read."""
    for match in _NAMED.finditer(clause.rest):
        if _FIGO_STAGE.match(match.group()):
            continue
        system, grade = " ".join(match["system"].split()), match["grade"]
        is_prostate = system.upper() == "ISUP" and _KIDNEY.search(clause.whole) is None
        fact = _fact("grade_group" if is_prostate else "histologic_grade", clause, match.group())
        clause.take(match.start(), match.end())
        value = _ROMAN.get(grade.upper(), grade)
        yield fact.detailed(grade=value) if is_prostate else fact.detailed(grade=value, system=system)
    for match in _NODAL.finditer(clause.rest):
        yield _fact("histologic_grade", clause, match["grade"]).detailed(grade=match["grade"].upper())
    for match in _UNGRADED.finditer(clause.rest):
        fact = _fact("histologic_grade", clause, match.group())
        yield SlideFact(fact.concept, "uncertain", words=fact.words, evidence=fact.evidence, addendum=fact.addendum)
        clause.take(match.start(), match.end())


def worded_grades(
    clause: Clause, is_part_of_name: Callable[[int, int], bool], is_tumour_named: Graded
) -> Iterator[SlideFact]:
    """Words of a grade beside a tumour whose name does not hold them: "papillary urothelial carcinoma, high grade".

    Args:
        clause: the clause.
        is_part_of_name: whether characters are part of the name of a finding.
        is_tumour_named: whether a text names a tumour that is graded.
    """
    for match in _LEVEL.finditer(clause.rest):
        denied = _DENIED.search(clause.rest, 0, match.start())
        if denied or is_part_of_name(*match.span()) or not is_tumour_named(clause.rest):
            continue
        yield _fact("histologic_grade", clause, match.group()).detailed(grade=match["grade"].lower())
    for match in _DIFFERENTIATION.finditer(clause.rest):
        if is_tumour_named(f"{clause.label} {clause.rest}"):
            said = (match["after"] or match["before"]).lower()
            word = {"good": "well", "moderate": "moderately", "poor": "poorly"}.get(said, said)
            yield _fact("histologic_grade", clause, match.group()).detailed(grade=f"{word} differentiated")


def _fact(concept: str, clause: Clause, words: str) -> SlideFact:
    return SlideFact(concept, "present", words=words.strip(), evidence=(clause.evidence,), addendum=clause.addendum)
