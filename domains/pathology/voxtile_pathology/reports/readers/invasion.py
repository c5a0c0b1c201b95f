"""What a tumour invades or spares: "the serosa is not breached", "cervical stroma: not involved"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile.words.phrases import Match
from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, words_in
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.language import Statement
from voxtile_pathology.reports.text.status import status_of

_VERBS = (
    r"invad(?:e|es|ed|ing)|infiltrat(?:e|es|ed|ing)|penetrat(?:e|es|ed|ing)|breach(?:es|ed|ing)?"
    r"|perforat(?:e|es|ed|ing)|involv(?:e|es|ed|ing)|extend(?:s|ed|ing)?\s+(?:in)?to|extend(?:s|ed"
    r"|ing)?\s+(?:through|beyond|across)|(?:invasion|extension|infiltration|growth|spread)\s+(?:in)?to"
    r"|(?:invasion|involvement|infiltration|penetration)\s+of|reach(?:es|ed|ing)?|grow(?:s"
    r"|ing)?\s+(?:in)?to|spread(?:s|ing)?\s+to|replac(?:es|ed|ing)|erod(?:es|ed|ing)|(?:\w+(?:s|ed"
    r"|ing)\s+)?(?:in|on)to"
    r"|travers(?:es|ed|ing)|transgress(?:es|ed|ing)|dissect(?:s|ed|ing)|permeat(?:es|ed|ing)|pierc(?:es"
    r"|ed|ing)|cross(?:es|ed|ing)"
    r"|break(?:s|ing)?\s+through|broken\s+through|encroach(?:es|ing)?\s+(?:up)?on|destroy(?:s|ed|ing)"
    r"|rupture?(?:s|d|ing)"
)
_BEFORE = re.compile(
    rf"\b(?:{_VERBS})\s*,?\s*(?:(?:up to|focally|the|a|an|into|through|its|of|both|adjacent|overlying"
    rf"|surrounding|left|right|inner|outer|half|superficial|deep|full thickness|on|of|more than"
    rf"|less than|[<>]?\s?\d{{1,3}}\s?%|a third|one third|two thirds|thickness|wall)\s+)*$",
    re.IGNORECASE,
)
_SPARED = re.compile(
    r"\b(?:uninvolved|free|clear|spared|intact|unremarkable|not\s+(?:involved|invaded|breached"
    r"|infiltrated|penetrated|reached|ruptured|affected|perforated|seen to be involved)|(?:does|do"
    r"|did)\s+not\s+(?:appear\s+)?(?:show\s+involvement|contain)|no\s+involvement"
    r"|without\s+(?:involvement|invasion|tumou?r)|no tumou?r|negative)\b",
    re.IGNORECASE,
)
_INVOLVED = re.compile(
    r"\b(?:involved|invaded|breached|infiltrated|penetrated|replaced|eroded|perforated|ruptured|positive)\b",
    re.IGNORECASE,
)
_TUMOUR_WORDS = re.compile(
    r"\b(?:tumou?r|carcinoma|cancer|malignan\w+|melanoma|neoplas\w+|disease|adenocarcinoma|invasion"
    r"|involve\w*|breach\w*|invad\w+|infiltrat\w+|penetrat\w+)\b",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\b(?:not|no|without|nor|neither|never|nowhere|fails? to|does not|do not|did not|rather than|short"
    r" of|but not)\b",
    re.IGNORECASE,
)
_LIST = re.compile(r"^(?:\s*(?:,|and|or|nor|/|&|the|both|left|right|\(|,\s*and)\s*)+$", re.IGNORECASE)
_ON = re.compile(r"\s*,?\s*(?:and\s+)?(?:into|to|through|reaching|beyond)\s+(?:the\s+)?$", re.IGNORECASE)
_BUT_NOT = re.compile(
    r"\s*,?\s*but\s+(?:not|nowhere|never)\s+(?:in)?(?:to\s+|through\s+|beyond\s+)?(?:the\s+)?$", re.IGNORECASE
)
# Cells in vessels and nerves: "tumour is seen within lymphatic channels".
_IN_VESSELS = frozenset(["lymphatic_invasion", "venous_invasion", "lymphovascular_invasion", "perineural_invasion"])
_INSIDE = re.compile(
    r"\b(?:cells|tumou?r|carcinoma|cancer|emboli|melanoma|nests)\s+(?:(?:is|are|was|were)\s+)?(?:(?:seen"
    r"|present|identified|found|noted)\s+)?"
    r"(?P<where>(?:with)?in(?:side)?|around|surrounding|encircling|invad\w+|along)\s+(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
_DENIED_IN_FRONT = re.compile(
    r"\s*(?:at|in|on|under|within)\s+(?:no|none|neither)\b|\s*(?:nowhere|neither|none|never|not)\b", re.IGNORECASE
)
_NON_INVASIVE = re.compile(r"\b(?:non|not)[\s-]?invasive\b", re.IGNORECASE)
_FAR = 60  # characters between a structure and what is said of it


def invasions(clause: Clause, statement: Statement, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Structures that are said to be invaded or spared; their words are then read, but for what stands before."""
    yield from _of_label(clause, lexicon)
    yield from _of_specimen(clause, lexicon)
    for denial in _NON_INVASIVE.finditer(clause.rest):
        yield SlideFact(
            "tumour_invasion", "absent", words=denial.group(), evidence=(clause.evidence,), addendum=clause.addendum
        )
    words = words_in(clause.rest)
    found = [match for match in lexicon.structures.find(words.words)]
    groups: list[list[Match[str]]] = []
    for match in found:
        between = clause.rest[words.ends[groups[-1][-1].end - 1] : words.starts[match.start]] if groups else ""
        if groups and _LIST.match(between):
            groups[-1].append(match)
        else:
            groups.append([match])
    further: Polarity | None = None
    for index, group in enumerate(groups):
        start, end = words.starts[group[0].start], words.ends[group[-1].end - 1]
        limit = words.starts[groups[index + 1][0].start] if index + 1 < len(groups) else len(clause.rest)
        floor = words.ends[groups[index - 1][-1].end - 1] if index else 0
        judged = _judged(clause.rest, floor, start, end, limit)
        if judged is None and further is not None and _ON.match(clause.text[floor:start]):
            judged = further, floor, end  # "through the muscularis propria into fat"
        elif judged is None and further == "present" and _BUT_NOT.match(clause.text[floor:start]):
            judged = "absent", floor, end
        elif judged is None and group[0].payload in _IN_VESSELS and (lead := _INSIDE.search(clause.rest[floor:start])):
            judged = (
                ("absent" if _NOT.search(clause.rest[floor:start]) else "present"),
                floor + lead.start("where"),
                end,
            )
        further = judged[0] if judged is not None else None
        if judged is None:
            continue
        polarity, first, last = judged
        said = statement.polarity(group[0].start, group[0].end)
        if said == "uncertain" or (said == "absent" and _DENIED_IN_FRONT.match(clause.text)):
            polarity = said
        for match in group:
            name = clause.text[words.starts[match.start] : words.ends[match.end - 1]].lower()
            yield from _facts(match.payload, polarity, name, clause, clause.text[min(first, start) : last])
        clause.take(min(first, start), last)


def _of_label(clause: Clause, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Structures and specimens that are labels: "cervical stroma: not involved", "washings: negative"."""
    words = words_in(clause.label).words
    answer = "present" if re.match(r"(?i)\s*(?:ruptured|disrupted)", clause.rest) else status_of(clause.rest)
    if not clause.label or answer is None:
        return
    if lexicon.findings_in(words_in(clause.label)) or "margin" in clause.label.lower():
        return  # "large vessel invasion: present" is a finding
    for phrases in (lexicon.structures, lexicon.specimens):
        whole = [match for match in phrases.find(words) if match.end >= len(words) - 1 and match.start <= 1]
        for match in whole:
            if answer == "unknown":
                clause.take(0, len(clause.text))
                return
            if phrases is lexicon.specimens:
                yield SlideFact(
                    match.payload,
                    answer,
                    words=f"{clause.label}: {clause.text}",
                    evidence=(clause.evidence,),
                    addendum=clause.addendum,
                )
            else:
                yield from _facts(match.payload, answer, clause.label.lower(), clause, f"{clause.label}: {clause.text}")
            clause.take(0, len(clause.text))
            return


_CELLS = re.compile(
    r"\s*(?:is|are|was|were|[:,–-])?\s*(?P<said>positive|negative|clear|free|malignant|(?:contains?"
    r"|shows?)(?P<no>\s+no)?\s+(?:malignant|tumou?r|carcinoma))"
    r"(?:\s+(?:for|of)\s+(?:malignant|tumou?r|carcinoma|neoplastic)(?:\s+cells)?|\s+cells)?",
    re.IGNORECASE,
)


def _of_specimen(clause: Clause, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Cells that are looked for in a fluid: "peritoneal washings positive for malignant cells"."""
    words = words_in(clause.rest)
    for match in lexicon.specimens.find(words.words):
        said = _CELLS.match(clause.rest, words.ends[match.end - 1])
        if said is not None:
            is_free = said["no"] or said["said"].lower() in ("negative", "clear", "free")
            taken = clause.take(words.starts[match.start], said.end())
            polarity: Polarity = "absent" if is_free else "present"
            yield SlideFact(match.payload, polarity, words=taken, evidence=(clause.evidence,), addendum=clause.addendum)
            return


def _judged(text: str, floor: int, start: int, end: int, limit: int) -> tuple[Polarity, int, int] | None:
    """Polarity, and the characters that say it, of the structures [start, end)."""
    before = text[floor:start]
    verb = _BEFORE.search(before)
    if verb is not None:
        lead = text[max(0, floor + verb.start() - 25) : floor + verb.start()]
        negation = _NOT.search(before[max(0, verb.start() - 25) : verb.start()])
        first = floor + (max(0, verb.start() - 25) + negation.start() if negation is not None else verb.start())
        return ("absent" if negation is not None or re.search(r"(?i)\bnot\s*$", lead) else "present"), first, end
    after = text[end : min(limit, end + _FAR)]
    after = re.split(r"[,;](?!\s*(?:and|or|but|not|uninvolved|free|clear|negative)\b)|\bbut\b|\bwhile\b", after)[0]
    spared, involved = _SPARED.search(after), _INVOLVED.search(after)
    if spared is not None and (
        _TUMOUR_WORDS.search(spared.group() + after[spared.end() :])
        or re.search(r"(?i)uninvolved|spared|intact|not|(?:free|clear)$", spared.group())
    ):
        tail = re.match(
            r"\s*(?:of|by|for|from)\s+(?:\w+\s+)?(?:tumou?r|carcinoma|disease|malignancy|adenocarcinoma|melanoma"
            r"|cancer|neoplasm)?",
            after[spared.end() :],
            re.IGNORECASE,
        )
        return "absent", start, end + spared.end() + (tail.end() if tail is not None else 0)
    if involved is not None:
        negated = _NOT.search(after[: involved.start()])
        tail = re.match(r"\s*by\s+(?:\w+\s+)?(?:tumou?r|carcinoma)", after[involved.end() :], re.IGNORECASE)
        return (
            ("absent" if negated is not None else "present"),
            start,
            end + involved.end() + (tail.end() if tail is not None else 0),
        )
    return None


def _facts(concept: str, polarity: Polarity, structure: str, clause: Clause, words: str) -> Iterator[SlideFact]:
    fact = SlideFact(
        concept,
        polarity,
        Attributes(location=structure),
        words=words,
        evidence=(clause.evidence,),
        addendum=clause.addendum,
    )
    if re.search(r"(?i)ruptur|disrupt|intact", words) and concept == "capsular_invasion":
        yield replace(fact, concept="capsule_rupture")
        return
    yield fact
    if polarity == "absent":
        yield replace(fact, concept="tumour", implied_by=concept)
    if concept != "tumour_invasion":
        yield replace(fact, concept="tumour_invasion", implied_by=concept)
