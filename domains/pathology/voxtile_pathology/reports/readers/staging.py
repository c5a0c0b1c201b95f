"""Stages: the categories of the TNM system, stage groups, Breslow's thickness and Clark's level.

AJCC Cancer Staging Manual (8th ed.): prefixes p, yp, rp, ap; T, N and M with their suffixes; L, V, Pn and R beside
them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from voxtile_pathology.reports.fact import Attributes, Polarity, SlideFact
from voxtile_pathology.reports.text.clauses import Clause

_END = r"(?=[\s,;.:)(/\[\]NMLVRGS]|Pn|$)"
_TOKEN = re.compile(
    rf"(?<![A-Za-z0-9+/-])(?:(?-i:(?P<pn>Pn[01X])){_END}"
    rf"|(?P<tp>[myra]{{0,2}}[pc])?\s?T\s?(?P<t>is(?:\s?\((?:DCIS|LCIS|Paget|LAMN|pd|pu)\))?|X|0|a(?=[\s),.;:]|$)"
    rf"|[1-4](?:mi|[a-d][12]?)?){_END}(?:\((?:m|s|\d{{1,2}})\))?"
    rf"|(?P<np>[myra]{{0,2}}[pc])?\s?N\s?(?P<n>X|0|[1-3](?:mi"
    rf"|[a-c](?:[12])?)?)a?{_END}(?P<nx>(?:\s?\((?:i\s?[+-−]|mol\s?[+-−]|sn|f|mi)\))*)"
    rf"|(?P<mp>[myra]{{0,2}}[pc])?\s?M\s?(?P<m>X|0|1[a-d]?){_END}"
    rf"|(?P<other>L[01X]|V[012X]|R[012X]){_END})"
    rf"|(?<=[TNMX0-4a-dis)])(?:N(?P<n2>X|0|[1-3](?:mi|[a-c])?){_END}(?P<nx2>(?:\s?\((?:i\s?[+-−]"
    rf"|mol\s?[+-−]|sn|f|mi)\))*)|M(?P<m2>X|0|1[a-d]?){_END})",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"(?P<system>(?:(?:AJCC|UICC|FIGO|Ann Arbor|Lugano|Masaoka(?:-Koga)?|pathologic(?:al)?|prognostic"
    r"|anatomic|clinical|overall|tumou?r|final)\s++)*)"
    r"(?<!fibrosis )(?<!olga )(?<!olgim )(?<!marsh )(?<!ishak )(?<!disease )(?<!maternal )(?<!fetal"
    r" )\bstage(?:\s++group(?:ing)?)?(?:\s*+\(?(?:FIGO|AJCC"
    r"|UICC)[^):]{0,20}\)?)?\s*+[:=]?\s*+(?P<stage>0|IV[A-C]?\d?|I{1,3}[A-E]?\d?"
    r"|[1-4][A-C]?\d?)\b(?!\s*+(?:fibrosis|/|%))",
    re.IGNORECASE,
)
_FIGO = re.compile(
    r"\bFIGO\s*+(?:\(?20\d\d\)?\s*+)?(?:stage)?\s*+[:=]?\s*+(?P<stage>IV[AB]?|I{1,3}[A-C]?\d?)\b", re.IGNORECASE
)
_DUKES = re.compile(r"\bDukes'?s?'?\s*+(?:stage)?\s*+[:=]?\s*+(?P<stage>[A-D]\d?)\b", re.IGNORECASE)
_NAMED = re.compile(
    r"\b(?P<system>Ann Arbor|Lugano|Masaoka(?:-Koga)?|Binet|Rai|Enneking|ISS)\s*+(?:stage\s*+)?[:=]?\s*+(?P<stage>0|IV"
    r"|I{1,3}|[1-4])(?:[A-CES]{1,2})?\b",
    re.IGNORECASE,
)
_BRESLOW = re.compile(
    r"\b(?:Breslow(?:'s)?(?:\s++(?:thickness|depth|index))?|(?:tumou?r|maximum|melanoma"
    r"|invasive)\s++(?:tumou?r\s++)?thickness)\D{0,25}?(?P<mm>\d+(?:\.\d+)?)\s*+mm\b",
    re.IGNORECASE,
)
_DEPTH = re.compile(
    r"\b(?:depth of (?:invasion|stromal invasion)|DOI"
    r"|invasion depth)\D{0,25}?(?P<value>\d+(?:\.\d+)?)\s*+(?P<unit>mm|cm|%)",
    re.IGNORECASE,
)
_CLARK = re.compile(r"\bClark(?:'s)?(?:\s++level)?\s*+[:=]?\s*+(?P<stage>IV|V|I{1,3}|[1-5])\b", re.IGNORECASE)
_BESIDE = {"L": "lymphatic_invasion", "V": "venous_invasion", "P": "perineural_invasion", "R": "margin_involvement"}
_BESIDE_POLARITY: dict[str, Polarity] = {"0": "absent", "1": "present", "2": "present", "X": "uncertain"}
# Without one of these there is no stage; the patterns above cost more.
_GATE = re.compile(
    r"[TN]\s?[0-4XxIia]|\b[yra]{0,2}[pc]?M[01X]|ann arbor|masaoka|lugano|binet|stage|FIGO|dukes|breslow|thickness"
    r"|clark|depth|\bDOI\b|\b[LVR][012X]\b"
    r"|\bPn[01X]\b",
    re.IGNORECASE,
)
_LABEL = re.compile(r"stage|FIGO|dukes|clark|breslow|thickness|depth|DOI", re.IGNORECASE)
_LED = re.compile(
    r"(?<!clinical )(?<!clinically )\b(?:stage|staged(?: as)?|category|classified as|TNM)\s*+[:=]?\s*+\(?$",
    re.IGNORECASE,
)
# "Fibrosis has progressed from stage 2 to stage 3": the stages are the fibrosis's.
_OF_FIBROSIS = re.compile(
    r"\b(?:fibrosis|bridging|chorioamnionitis|funisitis|steatohepatitis|cholangitis|sarcoid\w*)\b[^.;]*$", re.IGNORECASE
)
_NEAR = 4  # characters between the parts of one stage


def stages(clause: Clause, staged_otherwise: list[tuple[int, int]]) -> Iterator[SlideFact]:
    """The stages of a clause; their words are then read.

    Args:
        clause: the clause.
        staged_otherwise: characters, half-open, of names of findings that are no tumours ("chorioamnionitis, stage 2").
    """
    if _GATE.search(clause.rest) is None and _LABEL.search(clause.label) is None:
        return
    yield from _tnm(clause)
    text, offset = clause.with_label() if _LABEL.search(clause.label) else (clause.rest, 0)
    said: list[tuple[int, int]] = []
    for concept, pattern in (
        ("figo_stage", _FIGO),
        ("stage_group", _GROUP),
        ("stage_group", _DUKES),
        ("stage_group", _NAMED),
        ("clark_level", _CLARK),
    ):
        for match in pattern.finditer(text):
            if concept == "stage_group" and _OF_FIBROSIS.search(text[: match.start()]):
                continue
            if any(start < match.end() and match.start() < end for start, end in said) or any(
                0 <= match.start() - offset - end <= 4 for _, end in staged_otherwise
            ):
                continue
            said.append(match.span())
            system = match.groupdict().get("system") or ""
            name = "figo_stage" if "figo" in match.group().lower() else concept
            clause.take(max(0, match.start() - offset), max(0, match.end() - offset))
            words = match.group().strip()
            fact = SlideFact(name, "present", words=words, evidence=(clause.evidence,), addendum=clause.addendum)
            yield fact.detailed(stage=match["stage"].upper(), system=system.strip() or None)
    for match in _BRESLOW.finditer(text):
        yield _length("breslow_thickness", float(match["mm"]), clause, match, "mm", offset)
    for match in _DEPTH.finditer(text):
        scale = 10.0 if match["unit"].lower() == "cm" else 1.0
        yield _length(
            "depth_of_invasion",
            float(match["value"]) * scale,
            clause,
            match,
            "%" if match["unit"] == "%" else "mm",
            offset,
        )


def _length(concept: str, value: float, clause: Clause, match: re.Match[str], unit: str, offset: int) -> SlideFact:
    clause.take(max(0, match.start() - offset), max(0, match.end() - offset))
    words, evidence = match.group().strip(), (clause.evidence,)
    return SlideFact(concept, "present", Attributes(), value, unit, words, evidence, addendum=clause.addendum)


def _tnm(clause: Clause) -> Iterator[SlideFact]:
    tokens = list(_TOKEN.finditer(clause.rest))
    accepted: list[re.Match[str]] = []
    end = -_NEAR
    for index, match in enumerate(tokens):
        near = bool(accepted) and match.start() - end <= _NEAR
        prefix = match["tp"] or match["np"] or match["mp"]
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        is_pair = (
            match["t"]
            and following is not None
            and (following["n"] or following["n2"])
            and following.start() - match.end() <= 2
        )
        is_label = bool(
            re.fullmatch(
                r"(?i)(?!.*clinical)(?:.*\bp?TNM.*|.*\bstages?\b.*|.*staging.*|.*classification.*"
                r"|.*categor.*)",
                clause.label,
            )
        )
        if (
            prefix
            or is_pair
            or ((near or is_label) and not (match["t"] and not is_label))
            or _is_resection(match, clause)
            or (not _beside(match) and _LED.search(clause.rest[: match.start()]))
        ):
            accepted.append(match)
            end = match.end()
    categories = [match for match in accepted if not _beside(match)]
    if (
        all((match["tp"] or match["np"] or match["mp"] or "p").lower().endswith("c") for match in categories)
        and categories
    ):
        for match in accepted:
            clause.take(match.start(), match.end())
        return  # a clinical stage is not of the specimen
    prefix = next((p.lower() for match in categories if (p := match["tp"] or match["np"] or match["mp"])), "p")
    for match in accepted:
        yield from _category(match, prefix, clause)


def _beside(match: re.Match[str]) -> str:
    """L, V, Pn or R with its digit, or an empty text. "Pn1" is the nerves; "pN1" and, in capitals, "PN1" the nodes."""
    return match["pn"] or match["other"] or ""


def _is_resection(match: re.Match[str], clause: Clause) -> bool:
    """Whether a bare R0 is the completeness of a resection."""
    if not _beside(match):
        return False
    listed = re.search(r"\bL[01X]\W{1,3}V[012X]\b|\bV[012X]\W{1,3}(?:Pn|R)[012X]\b", clause.text)
    return bool(listed) or (
        _beside(match)[0] in "Rr"
        and (
            bool(re.search(r"resect|excis|margin|status|\bCRM\b", clause.whole, re.IGNORECASE))
            or clause.text[match.end() :].strip(" .") == ""
        )
    )


def _category(match: re.Match[str], prefix: str, clause: Clause) -> Iterator[SlideFact]:
    words = clause.take(match.start(), match.end())
    fact = SlideFact("", "present", words=words, evidence=(clause.evidence,), addendum=clause.addendum)
    if other := _beside(match):
        letter, digit = other[0].upper(), other[-1].upper()
        polarity = _BESIDE_POLARITY[digit]
        yield _named(fact, _BESIDE[letter], polarity).detailed(
            stage=other.upper().replace("PN", "Pn"), margin=_MARGIN.get(other.upper())
        )
    elif match["t"]:
        yield _named(fact, "pathologic_t_category").detailed(stage=f"{prefix}T{_suffix(match['t'])}")
    elif (n := match["n"] or match["n2"]) is not None:
        extra = (match["nx"] or match["nx2"] or "").replace(" ", "")
        yield _named(fact, "pathologic_n_category").detailed(stage=f"{prefix}N{_suffix(n)}{extra}")
        if n.upper() != "X":
            yield _implied(fact, "lymph_node_metastasis", "pathologic_n_category", "absent" if n == "0" else "present")
    else:
        m = match["m"] or match["m2"]
        yield _named(fact, "pathologic_m_category").detailed(stage=f"{prefix}M{_suffix(m)}")
        if m.startswith("1"):
            yield _implied(fact, "metastasis", "pathologic_m_category", "present")


_MARGIN = {"R0": "negative", "R1": "positive", "R2": "positive", "RX": "cannot be assessed"}


def _suffix(text: str) -> str:
    return (
        "X"
        if text.upper() == "X"
        else text[0].lower() + text[1:].lower()
        if not text.lower().startswith("is")
        else f"is{text[2:]}"
    )


def _named(fact: SlideFact, concept: str, polarity: Polarity = "present") -> SlideFact:
    return SlideFact(concept, polarity, words=fact.words, evidence=fact.evidence, addendum=fact.addendum)


def _implied(fact: SlideFact, concept: str, by: str, polarity: Polarity) -> SlideFact:
    return SlideFact(concept, polarity, words=fact.words, evidence=fact.evidence, implied_by=by, addendum=fact.addendum)
