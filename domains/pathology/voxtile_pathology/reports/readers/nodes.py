"""Lymph nodes: how many hold a metastasis of how many examined, or that they are free."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.quantities import NUMBER_WORDS, number
from voxtile_pathology.reports.text.status import status_of

NODE = re.compile(
    r"\b(?:lymph[\s-]?nodes?|nodes?|glands?\s+(?:in|of|under)\s+(?:the|your|his|her)\s+(?:armpit|groin"
    r"|neck|axilla)|nodal|LNs?|SLNs?|SLNB|SNB|lymphadenectomy|lymph\s+node\s+dissection"
    r"|(?:obturator|iliac|inguinal|axillary|pelvic|cervical|para-?aortic|hilar)\s+(?:packet|basin"
    r"|contents|dissection|clearance)|(?:level|station)\s+(?:I{1,3}|IV|VI?"
    r"|\d{1,2})[abRL]?(?=\s*[:(,-]?\s*\d{1,2}\s*/\s*\d)|neck dissection|axillary (?:clearance"
    r"|dissection))\b(?!\s+(?:negative breast|of ranvier))",
    re.IGNORECASE,
)
_NODE_NEGATIVE = re.compile(
    r"\b(?:lymph[\s-]?)?nod(?:e|al)[\s-](?P<said>negative|positive)\b(?=\s+[A-Za-z])(?!\s+for\b)", re.IGNORECASE
)
_NUMBERS = "|".join(NUMBER_WORDS)
_FRACTION = re.compile(
    rf"(?<![\d./+-])\b(?P<a>\d{{1,3}}|{_NUMBERS}|none|no)\s*(?:\(?\+\)?\s*)?(?:(?P<slash>/)"
    rf"|(?:(?:(?:positive|involved|regional|pelvic|axillary|sentinel|lymph)\s+)*nodes?\s+)?"
    rf"(?:out\s+)?of(?:\s+the|\s+a total of)?(?:\s+(?P<adj>regional|sampled|examined"
    rf"|sentinel|pelvic|axillary))?)\s*(?P<b>\d{{1,3}}|{_NUMBERS})\b(?!\s*(?:[/%.]\d|HPF|mm|cm|%|/"
    rf"|o['’]?clock)|\d)(?!\s+(?:cores?|glomerul\w+|fragments?|slices?|blocks?|sections?|biops\w+"
    rf"|margins?|quadrants?|fields?|cells|points|slides?|specimens?|tissue|fingers|levels?|polyps?))",
    re.IGNORECASE,
)
# "Of 31 pelvic nodes none is invaded".
_OF_ALL = re.compile(
    rf"\bof\s+(?:the\s+|a\s+total\s+of\s+)?(?P<b>\d{{1,3}}|{_NUMBERS})\s+(?:\w+\s+){{0,3}}?(?:nodes?"
    rf"|LNs?)\b,?\s+(?:\w+\s+)?"
    rf"(?P<a>\d{{1,3}}|{_NUMBERS}|none|no)\b(?=\s+(?:is|are|was|were|has|have|contain|show|harbou?r"
    rf"|involved|positive))",
    re.IGNORECASE,
)
# "14 examined, 3 positive", "3 positive, 14 examined" under a label of nodes.
_SOUGHT = (
    r"\s+(?:lymph\s+)?(?:nodes?\s+)?(?:were\s+)?(?:examined|sampled|retrieved|identified|found"
    r"|dissected|harvested|total)"
)
_HELD = (
    r"\s+(?:lymph\s+)?(?:nodes?\s+)?(?:(?:is|are|was|were)\s+)?(?:positive|involved|metastatic"
    r"|with\s+(?:metasta|tumou?r|carc))"
)
_GAP = r"[\s,;()]{1,3}(?:(?:and|of\s+which|of\s+these|with)\s+)?"
_ALL, _SOME = rf"\b(?P<b>\d{{1,3}}|{_NUMBERS}){_SOUGHT}", rf"\b(?P<a>\d{{1,3}}|{_NUMBERS}|none|no){_HELD}"
_COUNTED = (re.compile(f"{_ALL}{_GAP}{_SOME}", re.IGNORECASE), re.compile(f"{_SOME}{_GAP}{_ALL}", re.IGNORECASE))
_COUNT_LABEL = re.compile(
    r"\b(?:number|no\.?|total|#)?\s*(?:of\s+)?(?:regional\s+|sentinel\s+"
    r"|lymph\s+)*nodes?\s+(?:(?P<positive>involved|positive|with\s+(?:\w+\s+){0,2}(?:metasta\w+|tumou?r"
    r"|carcinoma|macrometasta\w+|disease)|metastatic)|(?P<examined>examined|sampled|submitted|retrieved"
    r"|found|identified|dissected|total|harvested))",
    re.IGNORECASE,
)
_SHORT_LABEL = re.compile(
    r"^(?:number\s+)?(?:(?P<positive>involved|positive)|(?P<examined>examined|sampled))$", re.IGNORECASE
)
# What is said to be in a node or not: the names of tumours.
_TUMOURS = frozenset(["tumour", "malignancy"])
_FREE = re.compile(
    r"\b(?:none (?:is |are |was |were )?(?:involved|positive|affected)|without (?:tumou?r|metasta\w+)"
    r"|tumou?r[\s-]free|innocent|spared|unaffected|no nodal (?:disease|involvement|spread|deposits?)"
    r"|free|clear|uninvolved|negative|neg|benign|unremarkable|not involved)\b|(?<=\s)\(?-\)?(?=\s*(?:$"
    r"|[,.;]))",
    re.IGNORECASE,
)
_HOLDS = re.compile(
    r"\b(?:positive|pos|involved|metasta\w+|replaced by)\b|\(\+\)|(?<=\w)\s?\+(?=\s*(?:$|[,.;]))", re.IGNORECASE
)
_SIDES = {"l": "left", "r": "right", "b": "bilateral"}
_SIDE = re.compile(r"\b(?:[Ll]eft|[Rr]ight|[Bb]ilateral|[Ll]t|[Rr]t|L|R)\b")


def is_about_nodes(clause: Clause) -> bool:
    """Whether a clause, its label or its specimen names lymph nodes."""
    if NODE.search(_NODE_NEGATIVE.sub("", clause.whole)) is not None:
        return True
    in_sentence = NODE.search(clause.evidence) is not None
    return (
        in_sentence
        and re.search(
            r"metasta|^number (?:involved|positive)|^(?:involved|positive)$",
            f"{clause.label}{clause.text}",
            re.IGNORECASE,
        )
        is not None
    )


def node_compounds(clause: Clause) -> Iterator[SlideFact]:
    """Nodes in an adjective: "node-negative carcinoma" is not about nodes otherwise; its words are then read."""
    for match in _NODE_NEGATIVE.finditer(clause.rest):
        polarity: Polarity = "absent" if match["said"].lower() == "negative" else "present"
        words = clause.take(match.start(), match.end())
        evidence = (clause.evidence,)
        yield SlideFact("lymph_node_metastasis", polarity, words=words, evidence=evidence, addendum=clause.addendum)


def node_counts(clause: Clause) -> Iterator[SlideFact]:
    """Counts of nodes; their words are then read."""
    if not re.search(
        r"\d|node|one|two|three|four|five|six|seven|eight|nine|ten|teen"
        r"|twe",
        clause.rest,
        re.IGNORECASE,
    ):
        return
    stage = re.search(
        r"N\d[a-c]?(?:mi"
        r"|\([^)]*\))?\s*\(?\s*$",
        clause.text[: _first(clause)] if _first(clause) else "",
    )
    if not (is_about_nodes(clause) or stage):
        return
    label = _COUNT_LABEL.search(clause.label) or _SHORT_LABEL.search(clause.label)
    if label is not None and (count := number(re.split(r"[\s(,.;]", clause.rest.strip(), maxsplit=1)[0])) is not None:
        words = clause.take(0, len(clause.text))
        if label["positive"]:
            yield _fact(clause, count, None, words, None)
        return
    for match in (match for pattern in (_OF_ALL, *_COUNTED) for match in pattern.finditer(clause.rest)):
        examined, involved = number(match["b"]), number({"none": "0", "no": "0"}.get(match["a"].lower(), match["a"]))
        if examined is not None and involved is not None and involved <= examined:
            yield _fact(clause, involved, examined, clause.take(match.start(), match.end()), _station("", clause))
    last = 0
    for match in _FRACTION.finditer(clause.rest):
        a, b = number({"none": "0", "no": "0"}.get(match["a"].lower(), match["a"])), number(match["b"])
        if a is None or b is None or a > b or (not match["slash"] and not is_about_nodes(clause)):
            continue
        where = _station(clause.rest[last : match.start()], clause)
        last = match.end()
        yield _fact(clause, a, b, clause.take(match.start(), match.end()), where)


def _first(clause: Clause) -> int:
    match = _FRACTION.search(clause.rest)
    return match.start() if match is not None else 0


def _fact(clause: Clause, positive: int, examined: int | None, words: str, where: str | None) -> SlideFact:
    polarity: Polarity = "present" if positive else "absent"
    fact = SlideFact(
        "lymph_node_metastasis",
        polarity,
        Attributes(location=where),
        float(positive),
        "nodes",
        words,
        (clause.evidence,),
        addendum=clause.addendum,
    )
    return fact.detailed(positive=float(positive), examined=float(examined) if examined is not None else None)


def _station(before: str, clause: Clause) -> str | None:
    """The station that a count is of: the words right before it."""
    words = re.split(r"[,;:()]|\band\b|\bin\b", before)[-1].strip(" -–")
    words = re.sub(
        r"(?i)\b(?:metasta\w+|carcinoma|tumou?r|negative|positive|lymph|nodes?|for|of|is|are|the|free|packet"
        r"|involved|all|LNs?)\b",
        "",
        words,
    )
    name = " ".join(word for word in words.split() if not word.isdecimal())
    if name and len(name.split()) <= 4:
        return f"{name.lower()} lymph nodes"
    match = re.search(
        r"(?i)\b(sentinel|axillary|pelvic|mediastinal|cervical|inguinal|regional|para-?aortic|hilar"
        r"|obturator|external iliac|perigastric|mesenteric)\b",
        clause.whole,
    )
    return f"{match.group().lower()} lymph nodes" if match is not None else None


def of_nodes(
    clause: Clause,
    found: list[SlideFact],
    kinds: dict[str, frozenset[str]],
    counts: list[SlideFact],
) -> list[SlideFact]:
    """The findings of a clause about lymph nodes, with what they say of metastasis.

    Args:
        clause: the clause.
        found: its findings.
        kinds: concept → what it is a kind of, itself included.
        counts: of nodes that the clause gives.
    """
    counted = bool(counts)
    is_none_involved = all(fact.polarity == "absent" for fact in counts)
    said: list[SlideFact] = []
    rest: list[SlideFact] = []
    for fact in found:
        above = kinds.get(fact.concept, frozenset([fact.concept]))
        is_spread = "metastasis" in above
        is_tumour = not above.isdisjoint(_TUMOURS) and above.isdisjoint(
            {"lymphoma", "leukaemia", "nevus", "benign_tumour", "germ_cell_tumour"}
        )
        if fact.concept != "isolated_tumor_cells" and (is_spread or is_tumour):
            said.append(replace(fact, concept="lymph_node_metastasis"))
            rest.append(replace(fact, implied_by="lymph_node_metastasis"))
        else:
            rest.append(fact)
    if counted and is_none_involved:
        rest = [replace(fact, polarity="absent") if _is_spread(fact, kinds) else fact for fact in rest]
    if said or counted:
        if counted:
            said = []
        others = [fact for fact in said[1:] if fact.polarity != said[0].polarity]
        return [*rest, *(_placed(fact, clause) if others else fact for fact in (*said[:1], *others))]
    polarity = _bare(clause)
    if polarity is not None and not any(
        fact.polarity == "present" and fact.concept != "isolated_tumor_cells" for fact in found
    ):
        rest.append(
            SlideFact(
                "lymph_node_metastasis",
                polarity,
                words=clause.text,
                evidence=(clause.evidence,),
                addendum=clause.addendum,
            )
        )
    return rest


def _placed(fact: SlideFact, clause: Clause) -> SlideFact:
    """What is said of some nodes, with their side and station: "left nodes free of tumor, right nodes with …"."""
    at = max(clause.text.find(fact.words), 0)
    before = re.split(r"(?i)\b(?:lymph\s+)?nodes?\b", re.split(r"[,;]", clause.text[:at])[-1])[0]
    side, where = _SIDE.search(before), _station(_SIDE.sub("", before), clause)
    known = fact.attributes
    return replace(
        fact,
        attributes=replace(
            known,
            laterality=_SIDES[side.group()[0].lower()] if side is not None else known.laterality,
            location=known.location or where,
        ),
    )


def _is_spread(fact: SlideFact, kinds: dict[str, frozenset[str]]) -> bool:
    """Whether a fact is of a metastasis, or follows from one."""
    return "metastasis" in kinds.get(fact.concept, ()) or fact.implied_by == "lymph_node_metastasis"


def _bare(clause: Clause) -> Polarity | None:
    """What a clause says of nodes without naming a tumour: "SLN #2 - negative"."""
    if NODE.search(clause.label):
        answer = status_of(clause.rest)
        if answer in ("present", "absent") and not re.match(r"\s*\d", clause.rest):
            return answer
    if not NODE.search(clause.text):
        return None
    if _FREE.search(clause.rest):
        return "absent"
    return "present" if _HOLDS.search(clause.rest) else None
