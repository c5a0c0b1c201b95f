"""Grades: Gleason and the ISUP grade group, Nottingham, WHO, FIGO, FNCLCC, Fuhrman, and words of differentiation.

ISUP grade groups: Epstein et al., Am J Surg Pathol 40:244-252 (2016). Nottingham: Elston and Ellis, Histopathology
19:403-410 (1991).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_pathology.reports.fact import Polarity, SlideFact
from voxtile_pathology.reports.text.clauses import Clause

# Without one of these there is no grade; the patterns below cost more.
_GATE = re.compile(
    r"grad|gleason|\bG\s?[1-4X]\b|FIGO|ISUP|\bGG|\bNHG|nottingham|differentiat|[1-5]\s*+\+\s*+[1-5]|pattern"
    r"|tubul",
    re.IGNORECASE,
)
_ROMAN = {"I": "1", "II": "2", "III": "3", "IV": "4"}
_GLEASON = re.compile(
    r"\bGleason(?:'s)?\s*+(?:combined\s++)?(?:score|sum|grade|patterns?)?\s*+(?:[:=(]|is"
    r"|of|(?:is\s++|of\s++|[:=]\s*+)?(?:10"
    r"|[6-9])\s*+[(=:]+)?\s*+(?P<a>[1-5])\s*+\+\s*+(?P<b>[1-5])(?:\s*+=\s*+\(?(?P<sum>\d{1,2})\)?"
    r"|\s*+\((?P<sum2>\d{1,2})\))?"
    r"|\b(?P<a2>[3-5])\s*+\+\s*+(?P<b2>[3-5])\b(?!\s*+\+)(?:\s*+=\s*+(?P<sum3>\d{1,2})\b)?",
    re.IGNORECASE,
)
_GLEASON_SUM = re.compile(
    r"\bGleason(?:'s)?\s*+(?:combined\s++|total\s++)?(?:score|sum|grade)?\s*+[:=]?\s*+(?P<sum>10"
    r"|[6-9])\b(?:\s*+\((?P<a>[1-5])\s*+\+\s*+(?P<b>[1-5])\))?",
    re.IGNORECASE,
)
_PATTERN = re.compile(
    r"\b(?:(?:tertiary|secondary|primary|percent(?:age)?(?: of)?)\s++)?(?:Gleason\s++pattern|(?:tertiary"
    r"|secondary|primary)\s++pattern"
    r"|Gleason\s++grade)\s*+[:=]?\s*+(?P<pattern>[1-5])\b(?:\s*+[:,(=]?\s*+(?P<percent>\d{1,3})\s*+%\)?)?",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"\b(?:(?:ISUP\s*+/?\s*+)?(?:WHO\s*+/?\s*+)?(?:prognostic\s++)?grade\s++group|GG"
    r"|(?<![/])(?<!WHO )ISUP(?!\s*+/\s*+WHO)(?:\s*+(?:grade|group|GG"
    r"|score)){0,2})\s*+(?:\(ISUP\))?\s*+[:=]?\s*+(?P<group>[1-5])\b(?:\s*+(?:of|/)\s*+5)?",
    re.IGNORECASE,
)
_GROUP_LABEL = re.compile(r"\bgrade\s++group\s*+$", re.IGNORECASE)
_BARE_GROUP = re.compile(r"\s*+(?P<group>[1-5])\b(?!\s*+(?:\+|\.\d))(?:\s*+(?:of|/)\s*+5)?")
_SYSTEM = (
    r"(?:(?:CNS|WHO|ISUP|Nottingham|Fuhrman|FNCLCC|FIGO|SBR|Bloom|Richardson|Elston|Ellis|modified"
    r"|combined|overall|histologic(?:al)?|nuclear|nucleolar|tumou?r|cytologic(?:al)?|final|architectural"
    r"|Edmondson|Steiner|Scarff|French|Federation)\b[\s/–-]*(?:'s\s*+)?)*"
)
_GRADE = re.compile(
    rf"(?P<system>{_SYSTEM})\bgrade\b\s*+(?:\(?(?:ISUP|WHO|FIGO|Nottingham|FNCLCC|Fuhrman|AJCC"
    rf"|CNS WHO)[^):]{{0,20}}\)?)?\s*+(?:is|was|of|[:=–-])?\s*+"
    r"(?:G\s?)?(?P<grade>[0-4](?:\s*+(?:-|–|to)\s*+[1-4])?|IV|I{1,3}|X|(?:low|high"
    r"|intermediate)\b(?![\s-]*grade)(?!\s*+power)|(?:well|moderate(?:ly)?"
    r"|poor(?:ly)?)[\s-]*(?:to[\s-]*(?:moderately|poorly)[\s-]*)?differentiated|cannot be (?:assessed"
    r"|determined)|not (?:applicable|assessed|graded))(?![\w+]|\.\d)"
    r"(?:\s*+(?:of|/|out of)\s*+(?P<of>[34])\b)?",
    re.IGNORECASE,
)
_G = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<system>FIGO|WHO|ENETS|UICC)\s*+)?(?:(?<=FIGO )|(?<=FIGO)"
    r"|\b)G\s?(?P<grade>[1-4](?:\s?[-–]\s?G?[1-4])?|X)\b(?![\s-]*(?:protein|banding|phase))"
)
_FIGO = re.compile(r"\bFIGO\s*+(?:grade\s*+)?(?P<grade>[1-3])\b", re.IGNORECASE)
_NOTTINGHAM = re.compile(
    r"\b(?:m?Nottingham|NHG|SBR|BRE?)\s*+(?:histologic\s*+|combined\s*+)?(?:score"
    r"|grade)?\s*+[:=]?\s*+(?P<score>[3-9])\s*+(?:/|of"
    r"|out of)\s*+9|\b(?:total|overall"
    r"|combined)\s*+(?:Nottingham\s*+)?score\s*+[:=]?\s*+(?P<score2>[3-9])(?:\s*+/\s*+9)?\b"
    r"|\btotal\s*+[:=]?\s*+(?P<score3>[3-9])(?:\s*+/\s*+9)?\b"
    r"|\b(?P<a>[1-3])\s*+\+\s*+(?P<b>[1-3])\s*+\+\s*+(?P<c>[1-3])(?:\s*+=\s*+(?P<score4>[3-9]))?(?:\s*+/\s*+9)?",
    re.IGNORECASE,
)
_COMPONENTS = re.compile(
    r"\b(?P<name>tub(?:ule|ular)s?(?:\s*+(?:formation|differentiation))?|acinar/tubular differentiation"
    r"|glandular\s*+(?:\([^)]*\)\s*+)?(?:/\s*+tubular\s*+)?differentiation|(?:tumou?r\s++)?differentiation"
    r"|(?:tumou?r\s++)?necrosis"
    r"|nucle(?:i|ar)(?:\s*+(?:pleomorphism|grade|score))?|pleomorphism|mitos[ie]s|mitotic\s*+(?:rate|count"
    r"|score|activity))"
    r"\s*+(?:score)?\s*+[:=]?\s*+(?P<score>[0-3])(?:\s*+/\s*+3)?(?=\s*+(?:[,;.)/+]|and|$))",
    re.IGNORECASE,
)
_DIFFERENTIATED = re.compile(
    r"\b(?P<words>(?:well|moderately|poorly)(?:[\s-]+(?:to|and)[\s-]+(?:moderately"
    r"|poorly))?[\s-]+differentiated|(?:well|moderate"
    r"|poor)\s++differentiation)\b(?P<after>[\s,(:]*(?:\w+[\s-]+){0,3}\w*)",
    re.IGNORECASE,
)
_NAMES_OF_ENTITIES = re.compile(
    r"neuroendocrine|\bNET\b|liposarcoma|thyroid|papillary mesothelioma|sertoli", re.IGNORECASE
)
_GRADED = re.compile(r"carcinoma|cancer|\bSCC\b|\bca\b|malignan", re.IGNORECASE)
_UNGRADED = re.compile(
    r"\b(?:ungraded|un-graded|not graded|no grade (?:is )?(?:given|assigned)|grad(?:e"
    r"|ing) (?:is )?not (?:possible|assigned|applicable))\b",
    re.IGNORECASE,
)
_UNGRADABLE = re.compile(
    r"\bgrad(?:e|ing)\s*+:?\s*+(?:cannot|could not) be (?:assessed|determined|assigned|given)\b", re.IGNORECASE
)


_NO_GRADE: tuple[tuple[re.Pattern[str], Polarity, str], ...] = (
    (_UNGRADABLE, "uncertain", "cannot be assessed"),
    (_UNGRADED, "absent", "ungraded"),
)


def grades(clause: Clause, graded_otherwise: list[tuple[int, int]]) -> Iterator[SlideFact]:
    """The grades of a clause; their words are then read.

    Args:
        clause: the clause.
        graded_otherwise: characters, half-open, of names of findings that are no tumours ("acute cellular rejection");
            a grade right after one is its own.
    """
    if _GATE.search(clause.label) is None and _GATE.search(clause.rest) is None:
        return
    yield from _gleason(clause)
    scores = _scores(clause)
    for pattern, polarity, said in _NO_GRADE:
        for match in pattern.finditer(clause.rest):
            yield _fact("histologic_grade", polarity, clause, match).detailed(grade=said)
    found = False
    for pattern in (_GRADE, _FIGO, _G):
        for match in pattern.finditer(clause.rest):
            if any(_is_beside(match, start, end, clause.rest) for start, end in graded_otherwise):
                continue
            found = True
            fact = _graded(match, clause)
            yield fact.detailed(**scores) if scores else fact
    label = clause.label.lower()
    if not found and ("grade" in label or "differentiation" in label) and "group" not in label and not scores:
        yield from _of_label(clause)
    if not found and scores:
        yield SlideFact(
            "histologic_grade", "present", words=clause.text, evidence=(clause.evidence,), addendum=clause.addendum
        ).detailed(**scores)
    yield from _differentiation(clause, silent=found)


def _is_beside(match: re.Match[str], start: int, end: int, text: str) -> bool:
    """Whether a grade is right behind a name [start, end), or right before it without a comma."""
    if 0 <= match.start() - end <= 4:
        return True
    return -2 <= match.end() - start <= 0 and "," not in text[match.end() : start]


def _fact(concept: str, polarity: Polarity, clause: Clause, match: re.Match[str]) -> SlideFact:
    words = clause.take(match.start(), match.end())
    return SlideFact(concept, polarity, words=words, evidence=(clause.evidence,), addendum=clause.addendum)


def _gleason(clause: Clause) -> Iterator[SlideFact]:
    if _GROUP_LABEL.search(clause.label) and (match := _BARE_GROUP.match(clause.rest)):
        yield _fact("grade_group", "present", clause, match).detailed(grade=match["group"])
    for match in _GROUP.finditer(clause.rest):
        yield _fact("grade_group", "present", clause, match).detailed(grade=match["group"])
    for match in _GLEASON.finditer(clause.rest):
        first, second = match["a"] or match["a2"], match["b"] or match["b2"]
        total = match["sum"] or match["sum2"] or match["sum3"]
        if total is not None and int(first) + int(second) != int(total):
            continue  # the end of "3+2+1=6"
        if match["a"] is None and re.search(r"\+\s*+$", clause.rest[: match.start()]):
            continue
        score = int(first) + int(second)
        fact = _fact("gleason_score", "present", clause, match).detailed(grade=f"{first}+{second}={score}")
        yield SlideFact(
            fact.concept,
            fact.polarity,
            fact.attributes,
            float(score),
            None,
            fact.words,
            fact.evidence,
            addendum=fact.addendum,
        )
    for match in _PATTERN.finditer(clause.rest):
        percent = float(match["percent"]) if match["percent"] else None
        yield _fact("gleason_pattern", "present", clause, match).detailed(grade=match["pattern"], percent=percent)
    for match in _GLEASON_SUM.finditer(clause.rest):
        grade = f"{match['a']}+{match['b']}={match['sum']}" if match["a"] else match["sum"]
        fact = _fact("gleason_score", "present", clause, match).detailed(grade=grade)
        yield SlideFact(
            fact.concept,
            fact.polarity,
            fact.attributes,
            float(match["sum"]),
            None,
            fact.words,
            fact.evidence,
            addendum=fact.addendum,
        )


def _scores(clause: Clause) -> dict[str, str | float | None]:
    """The scores of the Nottingham grade by the names of attributes; empty where there is no total and only one."""
    found: dict[str, str | float | None] = {}
    components = list(_COMPONENTS.finditer(clause.rest))
    names = [_component(match["name"]) for match in components]
    if len(set(names)) >= 2 or re.search(r"nottingham|tubule|glandular", clause.label, re.IGNORECASE):
        for name, match in zip(names, components, strict=True):
            found[name] = float(match["score"])
            clause.take(match.start(), match.end())
    for match in _NOTTINGHAM.finditer(clause.rest):
        score = match["score"] or match["score2"] or match["score4"] or (match["score3"] if found else None)
        parts = [match[name] for name in "abc"]
        if score is None and all(parts):
            score = str(sum(int(part) for part in parts if part))
        if score is None:
            continue
        if all(parts):
            found |= {"tubules": float(parts[0]), "nuclei": float(parts[1]), "mitoses": float(parts[2])}
        found["nottingham_score"] = float(score)
        clause.take(match.start(), match.end())
    return found


def _component(name: str) -> str:
    lower = name.lower()
    if lower.startswith(("tub", "gland", "acinar")):
        return "tubules"
    if lower.endswith(("differentiation", "necrosis")):
        return lower.split()[-1]
    return "nuclei" if lower.startswith(("nucle", "pleo")) else "mitoses"


def _graded(match: re.Match[str], clause: Clause) -> SlideFact:
    grade = " ".join(match["grade"].split())
    system = " ".join((match.groupdict().get("system") or "").replace("/ ", "/").split()).strip(" /-–") or None
    lower = grade.lower()
    if lower.startswith("cannot") or lower == "x":
        return _fact("histologic_grade", "uncertain", clause, match).detailed(grade="cannot be assessed", system=system)
    if lower in ("0", "not graded", "not applicable", "not assessed"):
        return _fact("histologic_grade", "absent", clause, match).detailed(grade=lower, system=system)
    value = _ROMAN.get(grade.upper(), grade if not grade.isalpha() else lower)
    return _fact("histologic_grade", "present", clause, match).detailed(grade=value, system=system)


def _of_label(clause: Clause) -> Iterator[SlideFact]:
    """Grades whose label is cut off: "Histologic grade: 2"."""
    match = re.match(
        r"\s*+(?:G\s?)?(?P<grade>[0-4](?:\s*+[-–]\s*+[1-4])?|IV|I{1,3}|low|high|intermediate|X|not applicable"
        r"|not graded|cannot be (?:assessed|determined))(?![\w+]|\.\d)(?:\s*+(?:of|/|out of)\s*+[1-5])?",
        clause.rest,
        re.IGNORECASE,
    )
    worded = re.match(
        r"\s*+(?P<words>well|moderate(?:ly)?|poor(?:ly)?)\b(?![\s-]*(?:to|differ))", clause.rest, re.IGNORECASE
    )
    if match is None and worded is not None and "differentiation" in clause.label.lower():
        words = worded["words"].lower().removesuffix("ly")
        grade = {"well": "well", "moderate": "moderately", "poor": "poorly"}[words]
        yield _fact("histologic_grade", "present", clause, worded).detailed(grade=f"{grade} differentiated")
    if match is not None:
        system = re.sub(r"(?i)\b(?:histologic(?:al)?|tumou?r|overall|grade)\b", "", clause.label).strip(" /") or None
        yield _graded(match, clause).detailed(system=system)


def _differentiation(clause: Clause, *, silent: bool) -> Iterator[SlideFact]:
    for match in _DIFFERENTIATED.finditer(clause.rest):
        near = clause.text[max(0, match.start() - 60) : match.end("after") + 30]
        is_label = "differentiation" in clause.label.lower() or "grade" in clause.label.lower()
        if silent or _NAMES_OF_ENTITIES.search(near) or not (is_label or _GRADED.search(near)):
            continue
        words = clause.take(match.start("words"), match.end("words"))
        fact = SlideFact(
            "histologic_grade", "present", words=words, evidence=(clause.evidence,), addendum=clause.addendum
        )
        yield fact.detailed(grade=" ".join(words.lower().replace("-", " ").split()))
