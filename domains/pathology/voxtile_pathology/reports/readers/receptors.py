"""Results of stains and tests: receptors, antibodies, mismatch repair proteins, genes.

What counts as positive: ER and PR from 1 % (ASCO/CAP 2020), HER2 3+ or amplified, 2+ equivocal, 0 and 1+ negative
(ASCO/CAP 2018).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from voxtile_pathology.reports.fact import Attributes, Polarity, Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, Named, words_in
from voxtile_pathology.reports.text.amounts import percent_in
from voxtile_pathology.reports.text.clauses import Clause

# Words that stand between a marker and its result and say nothing of it.
_FILL = (
    r"\)?(?:\s|[,:=~]|[-–—](?=\s)|\b(?:is|are|was|were|be|been|status|expression|expressed"
    r"|immunostain(?:s|ing)?|immunohistochemistry|immunohistochemical|immunoreactivity|immunoexpression|"
    r"ihc|ish|stain(?:s|ing)?|shows?|demonstrates?|reveals?|displays?|has|have|nuclear|cytoplasmic"
    r"|membran(?:e|ous)|diffuse(?:ly)?|strong(?:ly)?|weak(?:ly)?|moderate(?:ly)?|"
    r"focal(?:ly)?|patchy|variabl[ey]|uniform(?:ly)?|intense(?:ly)?|scores?|by|both|all|index|labell?ing"
    r"|receptors?|proteins?|overall|proliferation|proliferative|in|of|"
    r"the|tumou?r|tumou?ral|neoplastic|lesional|malignant|cells?|on|an?|markers?|with|result|results"
    r"|intensity|gene|mutation|status|analysis|testing|approximately|about|around|ca\.?|up to|estimated"
    r"|at|"
    r"to be|also|tps|cps|promoter|rearrangement|fusion|amplification|hot\s?spot|estimated|clone|each"
    r"|only|very|entirely|completely|remain|remains|appear|appears|found|pattern|type|aberrant"
    r"|block(?:-type)?)\b"
    r"|\((?!\s*(?:[+\-−–]|pos|neg|\d+\s?[%+/)]|<|>|strong|weak|equiv|score|lost|loss|intact|retained|wild|mut"
    r"|null))[^()]{0,25}\))*?"
)
_RESULTS: tuple[tuple[str, str], ...] = (
    (
        "pending",
        r"pending|to follow|ordered|not (?:performed|done|tested|available|reported|evaluated|applicable)"
        r"|awaited|will be|in progress|insufficient|(?:was|were)? ?(?:performed|requested)(?! and)"
        r"|cannot be (?:determined|assessed)|uninterpretable|indeterminate",
    ),
    ("equivocal", r"equivocal|2\+(?!\s*positive)(?=.{0,30}equivocal)|borderline|inconclusive"),
    ("not amplified", r"not amplified|non-?amplified|unamplified|no (?:evidence of )?(?:gene )?amplification"),
    ("amplified", r"amplified|amplification (?:detected|present|identified)"),
    (
        "wild type",
        r"wild[\s-]?type(?: pattern)?|\bWT\b|not mutated|unmutated|no (?:pathogenic )?(?:mutation|variant"
        r"|rearrangement|fusion)s?(?: (?:is |was )?(?:detected|identified|found|seen))?|germline",
    ),
    (
        "not detected",
        r"not (?:detected|identified|found|seen|present|rearranged|deleted|co-?deleted|methylated)"
        r"|none detected|undetected|unmethylated|non-?codeleted|(?:mutation|rearrangement|fusion) (?:was "
        r"|is )?not (?:detected|identified|found)",
    ),
    (
        "mutated",
        r"mutated|mutant(?: pattern)?|mutation(?:-| )(?:type|pattern|positive|detected|identified|present"
        r"|found)|(?:pathogenic )?(?:mutation|variant|rearrangement|fusion|deletion|codeletion"
        r"|methylation)s?\s*(?:is |was )?(?:detected|identified|present|found|confirmed)|rearranged"
        r"|methylated|co-?deleted|null[\s-]type|overexpress(?:ed|ion)|aberrant|abnormal",
    ),
    (
        "retained",
        r"retained|intact|preserved|proficient|stable\b|MSS\b|no loss(?: of)?|normal(?:ly)? (?:expression"
        r"|expressed)|normal\b|maintained|present \(retained\)",
    ),
    (
        "lost",
        r"lost|loss(?: of(?: nuclear)? expression)?|deficient|absent nuclear|unstable|MSI-?H(?:igh)?|abnormal loss",
    ),
    (
        "negative",
        r"negativ(?:e|ity)(?!\s+(?:for|with))|neg\b(?!\s+for)|non-?reactive|unreactive|not (?:expressed"
        r"|reactive|overexpressed|stained|staining|immunoreactive|present|seen|demonstrated|identified)"
        r"|absent|no (?:staining|expression|reactivity|immunoreactivity|overexpression)|nil|\(\s*[-−–]\s*\)"
        r"|[-−–](?=\s*(?:$|[,;/.)]|and\b|\w+\s*\+))|does not (?:express|stain|react)|fails? to (?:stain"
        r"|express)|(?:do|does) not\b|none\b|not(?=\s*(?:$|[.,;]))",
    ),
    (
        "positive",
        r"positiv(?:e|ity)(?!\s+(?:for|with))|pos\b(?!\s+for)|reactive(?!\s+(?:for|lymph|with))"
        r"|immunoreactive(?!\s+for)|immunopositive|\(\s*\++\s*\)|\+(?:ve)?(?!\d)|(?:[1-3]\+)|highlight(?:s"
        r"|ed|ing)?|decorates?|marks?\b|labels?\b|present\b|seen\b|detected|identified|expressed"
        r"|strong\b(?=\s*(?:$|[,;.)]))|staining (?:is )?(?:seen|present)|stains? (?:the|many|most|all)\b"
        r"|confirms?|outlines?|demonstrat(?:es|ed|ing)",
    ),
    ("score", r"(?:score\s*)?[0-3]\+?(?=\s*(?:$|[,;.()/]))(?!\s*/\s*\d)|\d{1,2}/8\b|allred\s*(?:score)?\s*\d"),
    (
        "percent",
        r"[<>≤≥~]?\s?\d{1,3}(?:[.,]\d+)?\s?(?:[-–]\s?\d{1,3}\s?)?%|(?:tps|cps"
        r"|index)?\s*[<>≤≥]?\s?\d{1,3}(?:\.\d+)?\b(?!\s*(?:mm|cm|/|\.\d))",
    ),
)
_AFTER = tuple((name, re.compile(rf"{_FILL}(?P<said>{pattern})", re.IGNORECASE)) for name, pattern in _RESULTS)
_LEAD = (
    r"(?:\s|,|:|\b(?:the|includ(?:e|es|ed|ing)|are|were|both|for|with|to|stains?|markers?|immunostains?"
    r"|antibod(?:y|ies)|nuclear"
    r"|strong(?:ly)?|weak(?:ly)?|diffuse(?:ly)?|focal(?:ly)?|patchy|expression|staining|of|cytoplasmic"
    r"|membranous|protein|proteins|patchily|and)\b)*\(?\s*$"
)
_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?:{pattern}){_LEAD}", re.IGNORECASE))
    for name, pattern in (
        ("pending", r"\bpending\b|\bordered\b|(?:stains?|studies|immunostains) for"),
        ("retained", r"\b(?:retained|intact|preserved|normal)\b(?: (?:nuclear )?(?:expression|staining))?|no loss of"),
        ("lost", r"\bloss of|\blost\b|\bdeficient\b(?: for)?|abnormal loss of"),
        ("not detected", r"\b(?:no|without)\b(?: (?:pathogenic|evidence of|activating|detectable))*"),
        (
            "negative",
            r"(?<!not )\bnegativ(?:e|ity)(?: (?:staining|reaction))? (?:for|with)|\bneg for|(?:do|does"
            r"|did) not (?:express|stain|react|show|label)|\black(?:s|ing)?\b|\black of|\babsen(?:ce of|t)\b"
            r"|\bno(?:n-?reactive)?\b|\bnot (?:express|stain|immunoreactive)\w*|without|fails? to express"
            r"|unreactive (?:for|with)|\bneg(?:ative)?\b(?=\s*:|\s+(?:stains?|markers?|antibod\w+|immunostains?)\b)",
        ),
        ("equivocal", r"\bequivocal(?: for)?"),
        (
            "positive",
            r"\bpositiv(?:e|ity)(?: (?:staining|reaction))? (?:for|with)|\bpos for|(?:immuno)?reactiv(?:e"
            r"|ity) (?:for|with)|(?:co-?|over-?)?express(?:es|ed|ing|ion of)?|highlighted (?:by|with|on)"
            r"|stain(?:s|ed)? (?:positively )?(?:for|with)|(?:positive|strong|diffuse) (?:expression"
            r"|staining) (?:for|of|with)|labell?ed (?:by|with)|(?:decorated|outlined|marked|confirmed"
            r"|supported) (?:by|with)|\bpositive\b|\b(?:weak|patchy|strong|diffuse|focal)\b",
        ),
    )
)
_SEPARATOR = re.compile(
    r"\s*(?:,|/|&|\+(?=\s*[A-Z])|and/or|,?\s*(?:and|or|as well as|plus))?\s*(?:the\s+|both\s+|also\s+)?", re.IGNORECASE
)
_RESULT_LABEL = re.compile(
    r"(?:positive|negative|pos|neg|retained|lost|intact|pending|equivocal|reactive|non-?reactive)"
    r"(?:\s+(?:stains?|markers?|for|immunostains?|antibod\w+))?",
    re.IGNORECASE,
)
_NEGATIVE = frozenset(["negative", "lost", "wild type", "not detected", "not amplified"])
_POSITIVE = frozenset(["positive", "retained", "mutated", "amplified"])
_RATIO = re.compile(r"ratio\s*(?:of|is|[:=])?\s*(?P<ratio>\d+(?:\.\d+)?)", re.IGNORECASE)
_ISH = re.compile(r"\b(?:FISH|[DS]?ISH|CISH|amplif\w+|in situ hybridi[sz]ation)\b", re.IGNORECASE)
_SCORE = re.compile(
    r"(?<![\d.])(?P<score>[0-3])\+|score\s*[:=]?\s*(?P<score2>[0-3])\+?|^\s*[:=]?\s*(?P<score3>[0-3])\s*(?:$|[,;.()])",
    re.IGNORECASE,
)
_INTENSITY = re.compile(r"\b(strong|moderate|weak|intense)(?:ly)?\b", re.IGNORECASE)
_FURTHEST = 200  # characters between a marker and its result
_REPAIR = frozenset(["mlh1", "pms2", "msh2", "msh6"])
_ISH_RESULT = re.compile(
    r"\b(?:FISH|[DS]?ISH|CISH)\b[^;]{0,60}?\b(?P<said>not amplified|non-?amplified|unamplified|negative"
    r"|amplified|positive)\b"
    r"|\b(?:FISH|[DS]?ISH|CISH)\s?(?P<sign>[-−–+])(?=\W|$)",
    re.IGNORECASE,
)
_HER2 = {"0": "absent", "1": "absent", "2": "uncertain", "3": "present"}


@dataclass(frozen=True)
class _Result:
    """A result, the characters of the clause that say it, and what stands around them."""

    name: str
    said: str
    end: int
    around: str


def results(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """Results of stains and tests in a clause, whose words are then read, and results that are still to come."""
    text, offset = clause.rest, 0
    if clause.label and (lexicon.markers_in(words_in(clause.label)) or _RESULT_LABEL.fullmatch(clause.label)):
        text, offset = clause.with_label()
    words = words_in(text)
    markers = lexicon.markers_in(words)
    if not markers:
        return [], []
    facts: list[SlideFact] = []
    problems: list[Problem] = []
    spans: list[tuple[int, int]] = []
    groups = _groups(markers, words.starts, words.ends, text)
    for index, group in enumerate(groups):
        first, last = words.starts[group[0].start], words.ends[group[-1].end - 1]
        limit = words.starts[groups[index + 1][0].start] if index + 1 < len(groups) else len(text)
        floor = spans[-1][1] if spans else 0
        before, after = _result_before(text, floor, first, limit), _result_after(text, last, limit)
        denied = before is not None and re.search(
            r"\b(?:no|without)\s+$", text[max(floor, first - 12) : first], re.IGNORECASE
        )
        result = before if denied or after is None else after
        if result is None and index + 1 == len(groups):
            result = _result_further(text, last, limit)
        if result is None and lexicon.concepts[group[0].concept].kind == "msi":
            result = _of_name(text[first:last], last)
        if result is None:
            continue
        if text[first - 1 : first] == "(" and text[last : last + 1] == ")":
            spans.append((first - 1, last + 1))  # "basal cells (p63) are lost": the result is the cells' too
        else:
            spans.append((first, max(last, result.end)))
        if result.name == "pending":
            problems.append(Problem("result-pending", f"'{text.strip()[:120]}' gives no result"))
            continue
        for named in group:
            said = text[words.starts[named.start] : words.ends[named.end - 1]]
            concept = _as_its_list(named.concept, group, lexicon)
            gene = f"{concept.removesuffix('_mutation')}_amplification"
            concept = gene if result.name in ("amplified", "not amplified") and gene in lexicon.concepts else concept
            facts += _facts(concept, said, result, clause, lexicon, text)
    for start, end in spans:
        clause.take(max(0, start - offset), max(0, end - offset))
    return [*facts, *_repair(facts, lexicon)], problems


def _as_its_list(concept: str, group: list[Named], lexicon: Lexicon) -> str:
    """The whole of what a list leaves out: "ALK and ROS1 rearrangements"."""
    whole = f"{concept}_rearrangement"
    return whole if group[-1].concept.endswith("_rearrangement") and whole in lexicon.concepts else concept


def _of_name(said: str, last: int) -> _Result | None:
    """A name that is a result: MSS, MSI-H."""
    lower = said.lower()
    if "mss" in lower or re.search(r"(?<!un)stable", lower):
        return _Result("retained", "stable", last, "")
    return _Result("mutated", said, last, "") if re.search(r"high|-?\s?h$", lower) else None


def _repair(facts: list[SlideFact], lexicon: Lexicon) -> Iterator[SlideFact]:
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


def _groups(markers: list[Named], starts: tuple[int, ...], ends: tuple[int, ...], text: str) -> list[list[Named]]:
    """Markers between which there is nothing but a comma and the like: they share a result."""
    groups: list[list[Named]] = []
    for named in markers:
        between = text[ends[groups[-1][-1].end - 1] : starts[named.start]] if groups else ""
        if groups and (named.start < groups[-1][-1].end or (_SEPARATOR.fullmatch(between) and between.strip())):
            groups[-1].append(named)
        else:
            groups.append([named])
    return groups


def _result_after(text: str, last: int, limit: int) -> _Result | None:
    """The result that stands after markers and before the next ones."""
    after = text[last : min(limit, last + _FURTHEST)]
    best: tuple[int, str, re.Match[str]] | None = None
    for name, pattern in _AFTER:
        match = pattern.match(after)
        if match is not None and (best is None or match.start("said") < best[0]):
            best = (match.start("said"), name, match)
    if best is None:
        return None
    _, name, match = best
    # A word that opens the next list ("CK7, negative for CK20") is not this one's.
    rest = after[match.end() :]
    if name in ("negative", "positive", "lost", "retained") and re.match(r"\s*(?:staining\s+)?(?:for|of)\b", rest):
        return None
    end = _extent(after, match.end())
    return _Result(name, match["said"], last + end, after[:end])


_FURTHER = tuple(
    (name, re.compile(rf"^[^;]{{0,80}}?\b(?P<said>{pattern})", re.IGNORECASE))
    for name, pattern in _RESULTS
    if name not in ("score", "percent", "pending")
)


def _result_further(text: str, last: int, limit: int) -> _Result | None:
    """A result behind other words: "HER2 FISH ratio 1.3, mean copy number 2.6: not amplified"."""
    after = text[last : min(limit, last + _FURTHEST)]
    found = [
        (match.start("said"), -len(match["said"]), name, match)
        for name, pattern in _FURTHER
        if (match := pattern.match(after)) is not None
    ]
    if not found:
        return None
    _, _, name, match = min(found, key=lambda each: each[:2])
    if re.match(r"\s*(?:for|with)\b", after[match.end() :]):
        return None
    return _Result(name, match["said"], last + match.end(), after[: match.end()])


def _extent(after: str, end: int) -> int:
    """How far the words of a result go: a percentage, a score, an intensity in brackets or after it."""
    more = re.match(
        r"(?:\s*\([^()]*\)|\s*,?\s*(?:\d{1,3}\s?%|strong|weak|moderate|diffuse|focal|score\s*\d\+?|[0-3]\+"
        r"|ratio\s*[\d.]+)|\s+(?:in|staining|nuclear|expression|positive|negative|\d{1,3}\s?%"
        r"|of\s+(?:the\s+)?(?:tumou?r\s+)?cells|tumou?r\s+cells|cells))*",
        after[end:],
        re.IGNORECASE,
    )
    return end + (more.end() if more is not None else 0)


def _result_before(text: str, floor: int, first: int, limit: int) -> _Result | None:
    before = text[max(floor, first - _FURTHEST) : first]
    for name, pattern in _BEFORE:
        match = pattern.search(before)
        if match is not None:
            around = text[first:limit]
            return _Result(name, match.group(), first, around if re.match(r".{0,25}\d\s?%", around) else "")
    return None


def _facts(
    concept: str, said: str, result: _Result, clause: Clause, lexicon: Lexicon, text: str
) -> Iterator[SlideFact]:
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
        fact = replace(fact, value=percent[0], unit="%").detailed(percent=percent[0])
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


def _polarity(kind: str, result: _Result) -> Polarity | None:
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
            digits = re.search(r"[<≤]?\s?\d+(?:\.\d+)?", result.said)
            value = float(re.sub(r"[^\d.]", "", digits.group())) if digits is not None else 0.0
            below = "<" in (digits.group() if digits is not None else "")
        else:
            value, below = percent[0], "<" in percent[1]
        return (
            "absent"
            if value == 0 or (below and value <= 1 and kind != "index") or (kind == "receptor" and value < 1)
            else "present"
        )
    if name in _NEGATIVE:
        return "absent"
    return "present" if name in _POSITIVE else None


def _status(kind: str, polarity: Polarity, result: _Result) -> str | None:
    if result.name in ("percent", "score"):
        return (
            None
            if kind == "index"
            else {"present": "positive", "absent": "negative", "uncertain": "equivocal"}[polarity]
        )
    return result.name


def _intensity(result: _Result) -> str | None:
    match = _INTENSITY.search(result.around)
    return match.group(1).lower() if match is not None else None


def _her2(said: str, result: _Result, clause: Clause, text: str, concept: str) -> Iterator[SlideFact]:
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
