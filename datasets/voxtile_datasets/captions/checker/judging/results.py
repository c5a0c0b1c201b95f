"""Results of tests that a text states beside the facts that hold them: stains, mutations, margins, counts of nodes.

A fact of a test has its result as `status`, of a margin as `margin`, of nodes as `positive` and `examined`; "HER2
negative", "CD20-", "IDH-wildtype" deny what such a fact affirms, although no denial stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from voxtile.words.phrases import Phrases
from voxtile.words.tokens import words_of
from voxtile_datasets.captions.checker.attributes import Row
from voxtile_datasets.captions.checker.extraction.claims import Claim, Polarity
from voxtile_datasets.captions.checker.extraction.numbers.amount import SHARE
from voxtile_datasets.captions.checker.verdict import Fault
from voxtile_datasets.captions.checker.vocabulary import Vocabulary
from voxtile_datasets.captions.stated_facts import mapping_of

MARKER = "marker"  # the aspect that knows the names of stains
# Findings that have a result as stains have: "Helicobacter negative", "PNI-"; with their short names.
_SHORT = {
    "helicobacter_pylori": ("helicobacter", "h pylori", "h . pylori"),
    "perineural_invasion": ("PNI",),
    "lymphovascular_invasion": ("LVI", "LVSI"),
    "cytomegalovirus": ("CMV",),
    "acid_fast_bacilli": ("AFB",),
    "hpv": (), "fungi": (), "candida": (), "herpes_simplex": (), "giardia": (),
}  # fmt: skip
_SCORED = frozenset(["her2"])  # 0 and 1+ are negative, 2+ is equivocal
_KINDS = ("mutation", "loss", "amplification", "rearrangement", "fusion", "methylation", "deletion")
_FILLER = (
    r"(?:(?:is|was|are|were|status|receptor|expression|staining|stain|immunostain|immunostaining|ihc|by ihc|-?fish"
    r"|-?ish|by fish|gene|protein|strongly|weakly|diffusely|focally|tumou?r|cells?|r132h|v600e|promoter)\b\s*)*"
)
_RESULT = re.compile(
    rf"\s*(?:\([^)]{{0,30}}\)\s*)?[:=]?\s*-?{_FILLER}[:=]?\s*-?"
    r"(?:(?P<no>not (?:over)?(?:expressed|amplified|mutated|detected|rearranged|methylated)|negativ\w*|neg\b"
    r"|non-?reactive|wild[ -]?type|unmutated|unmethylated|unamplified)"
    r"|(?P<yes>positiv\w*|pos\b|(?:over)?express\w+|reactive|amplifi\w+|mutat\w+|mutant|rearrange\w+|methylated)"
    r"|(?P<lost>lost|loss|deficient|absent)|(?P<kept>retained|intact|preserved))(?!\s+for\b)",
    re.IGNORECASE,
)
_SIGN = re.compile(r"\s?(?P<yes>\+)(?!\d)|(?P<no>[-−])(?=[\s,;.)/]|$)")
_SCORE = re.compile(r"\s*(?:ihc\s*)?(?:score\s*)?[:=(]?\s*(?P<score>[0-3])\s?\+", re.IGNORECASE)
_BEFORE = re.compile(
    r"(?:\b(?P<yes>positive|immunoreactive|reactive) for|\b(?P<no>negative|non-?reactive) for"
    r"|\b(?P<lost>loss of|lack of|no)|\b(?P<kept>retained|intact|preserved)|(?P<mutant>\bmutant|\bmutated)"
    r"|(?P<wild>\bwild[ -]?type))(?:\s(?:(?!\bfor\b|\bof\b)[^.;:()]){0,60})?\s$",
    re.IGNORECASE,
)
_LISTED = re.compile(r"\s*(?:,|/|&|and|or|\+)?\s*(?:and)?\s*", re.IGNORECASE)
_TRIPLE = re.compile(r"\btriple[ -]negative\b", re.IGNORECASE)
_OF_TRIPLE = ("estrogen_receptor", "progesterone_receptor", "her2")
_REPLACED = frozenset(["sex", MARKER])

_WHERE = r"(?P<where>(?:[a-z]+ ){0,2})"
_MARGIN = re.compile(
    rf"{_WHERE}margins?\b(?:\s+(?:status|is|are|was|were|all|surgical|resection))*\s*[:=]?\s*"
    r"(?P<said>positive|involved|not involved|uninvolved|negative|clear|free|close)"
    r"|(?P<said2>positive|involved|negative|clear|free|uninvolved)\s+(?P<where2>(?:[a-z]+ ){0,2})margins?\b"
    r"|(?P<out>(?:in)?complete(?:ly)? (?:excised|resected|excision|resection))|\b(?P<r>R[01])\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|without|neither)\s+(?:(?:evidence|signs?)\s+of\s+)?(?:(?:an?|any)\s+)?$|\b(?:none|neither)\s+(?:of\s+(?:the\s+)?)?$",
    re.IGNORECASE,
)
_NO_PLACES = frozenset(
    ["the", "a", "all", "of", "with", "and", "its", "surgical", "resection", "excision", "any", "both", "margin"]
) | {"margins", "has", "have", "is", "are", "no", "other"}
_NUMBERS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_NUMBER = rf"(?:\d{{1,3}}|{'|'.join(_NUMBERS)})"
_NODES = re.compile(
    rf"\b(?P<a>{_NUMBER})\s*(?:/|of|out of)\s*(?:the )?(?P<b>{_NUMBER})\b(?=\s+(?:[a-z]+ ){{0,3}}(?:lymph )?nodes?\b)"
    rf"|\bnodes?\b[^.;\d]{{0,25}}\b(?P<a2>{_NUMBER})\s*/\s*(?P<b2>{_NUMBER})\b"
    rf"|\b(?P<a3>{_NUMBER})\s+(?:lymph )?nodes? out of (?P<b3>{_NUMBER})\b",
    re.IGNORECASE,
)
_OF_NODES = re.compile(r"(?:lymph )?nod(?:es?|al)", re.IGNORECASE)


@dataclass(frozen=True)
class _Result:
    """What a text states of a test, at characters [start, end)."""

    concept: str
    polarity: Polarity
    start: int
    end: int


def names_of_tests(concepts: Sequence[str], vocabulary: Vocabulary) -> list[tuple[str, str]]:
    """Phrase → concept of the short names of stains that facts call by long ones: ER of `estrogen_receptor`."""
    return [(value.replace("-", " "), c) for c in concepts if (value := _marker_of(c.replace("_", " "), vocabulary))]


def with_results(claims: Sequence[Claim], text: str, facts: Sequence[Row], vocabulary: Vocabulary) -> tuple[Claim, ...]:
    """The claims of a text, those of tests with the polarity of the result that it states."""
    tests = _tests(facts, vocabulary)
    has_nodes = any(row["concept"] == "lymph_node_metastasis" for row in facts)
    if not tests and not has_nodes:
        return tuple(claims)
    found = list(_results(text, tests, vocabulary)) if tests else []
    kept = [c for c in claims if not (has_nodes and c.kind == "imaging" and _OF_NODES.fullmatch(c.words))]
    for result in found:
        at = [c for c in kept if c.start < result.end and result.start < c.end]
        own = [c for c in at if c.kind == "concept" and result.concept in c.concepts]
        status = [c for c in at if c.kind == "imaging" and ((c.text or "").endswith("status") or c.text in _REPLACED)]
        kept = [c for c in kept if c not in own and c not in status]
        said = own[0] if own else Claim("concept", text[result.start : result.end], result.start, result.end)
        kept.append(replace(said, concepts=(result.concept,), polarity=result.polarity))
    read = [_with_share(claim, tests) for claim in kept]
    return tuple(sorted(read, key=lambda claim: (claim.start, claim.end)))


def _with_share(claim: Claim, tests: Sequence[str]) -> Claim:
    """A stain whose share is stated is there, whatever was denied before it: "no necrosis, Ki-67 3 %"."""
    is_test = claim.kind == "concept" and claim.polarity == "absent" and not set(claim.concepts).isdisjoint(tests)
    is_stated = any(d.dimension == SHARE and low > 0 for d in claim.details for low, _ in d.bounds)
    return replace(claim, polarity="present") if is_test and is_stated else claim


def with_margins_and_nodes(faults: Sequence[Fault], text: str, facts: Sequence[Row]) -> tuple[list[Fault], bool]:
    """The faults of a text, with those of margins and of counts of nodes where facts hold these.

    Returns:
        the faults, and whether the text states any such thing.
    """
    kept, margins = list(faults), [row for row in facts if row["concept"] == "margin_involvement"]
    is_said = False
    for match in _MARGIN.finditer(text) if margins else ():
        kept = [
            f for f in kept if not (f.start < match.end() and match.start() < f.end and "margin" in f.words.lower())
        ]
        said = _margin(match)
        is_said |= said is not None and _is_known(said[0], margins)
        if said is not None and (wrong := _is_other_margin(*said, margins)):
            why = f"'{match[0].strip()}' is wrong: the facts say that {wrong}."
            kept.append(Fault("polarity", "contradicted", match[0].strip(), match.start(), match.end(), why))
    counts = [c for row in facts if (c := _counted(row)) is not None]
    for match in _NODES.finditer(text) if counts else ():
        is_said = True
        said_counts = tuple(_value(next(match[g] for g in (n, n + "2", n + "3") if match[g])) for n in ("a", "b"))
        sums = (sum(a for a, _ in counts), sum(b for _, b in counts))
        if said_counts not in (*counts, sums):
            known = " and ".join(f"{a:g} of {b:g}" for a, b in counts)
            why = f"'{match[0]}' is wrong: the facts say {known} nodes."
            kept.append(Fault("count", "contradicted", match[0], match.start(), match.end(), why))
    return kept, is_said


def _tests(facts: Sequence[Row], vocabulary: Vocabulary) -> tuple[str, ...]:
    """The concepts of facts that are results of tests."""
    concepts = {row["concept"]: mapping_of(row.get("attributes")) for row in facts}
    return tuple(
        sorted(
            name
            for name, attributes in concepts.items()
            if "status" in attributes
            or name in _SHORT
            or (name.endswith(_KINDS) and MARKER in vocabulary.imaging)
            or _marker_of(name.replace("_", " "), vocabulary)
        )
    )


def _results(text: str, concepts: tuple[str, ...], vocabulary: Vocabulary) -> Iterator[_Result]:
    if concepts and (triple := _TRIPLE.search(text)):
        for concept in _OF_TRIPLE:
            if concept in concepts:
                yield _Result(concept, "absent", *triple.span())
    named = _named(concepts, id(vocabulary), vocabulary)
    words = words_of(text)
    at = sorted({(words.starts[m.start], words.ends[m.end - 1]) for m in named.find(words.words)})
    of: dict[tuple[int, int], list[str]] = {
        (words.starts[m.start], words.ends[m.end - 1]): [] for m in named.find(words.words)
    }
    for match in named.find(words.words):
        of[words.starts[match.start], words.ends[match.end - 1]].append(match.payload)
    following: re.Match[str] | None = None
    for index in range(len(at) - 1, -1, -1):
        start, end = at[index]
        after = next((m for p in (_SIGN, _RESULT) if (m := p.match(text, end))), None)
        if after is None and index + 1 < len(at) and _LISTED.fullmatch(text, end, at[index + 1][0]):
            after = following
        following = after
        before = _BEFORE.search(text, max(0, start - 80), start) if after is None else None
        for concept in of[start, end]:
            score = _SCORE.match(text, end) if concept in _SCORED else None
            polarity = _scored(score) if score else _polarity(concept, after or before)
            if polarity is not None:
                last = score.end() if score else after.end() if after else end
                yield _Result(concept, polarity, start, max(last, end))


@lru_cache(maxsize=200)
def _named(concepts: tuple[str, ...], _: int, vocabulary: Vocabulary) -> Phrases[str]:
    """The names of tests in a text, by concept."""
    named: list[tuple[str, str]] = []
    for concept in concepts:
        name = re.sub(rf"_(?:{'|'.join(_KINDS)})$", "", concept).replace("_", " ")
        named.append((name, concept))
        if (short := _marker_of(name, vocabulary)) is not None:
            named.append((short.replace("-", " "), concept))
        named += [(short, concept) for short in _SHORT.get(concept, ())]
        if re.fullmatch(r"[a-z]{3}\d", name) and concept.endswith("mutation"):
            named.append((name[:-1], concept))  # "IDH-mutant"
    return Phrases(named)


def _marker_of(name: str, vocabulary: Vocabulary) -> str | None:
    words = words_of(name).words
    aspect = vocabulary.imaging.get(MARKER)
    found = aspect.terms.longest_at(words, 0) if aspect is not None else None
    return found[1][0] if found is not None and found[0] == len(words) else None


def _polarity(concept: str, said: re.Match[str] | None) -> Polarity | None:
    """What a result says of a concept: that a stain is lost, of `mlh1_loss` that there is a loss."""
    groups: Mapping[str, Any] = said.groupdict() if said is not None else {}
    is_loss = concept.endswith(("loss", "deletion"))
    if groups.get("lost") or groups.get("kept"):
        return "present" if bool(groups.get("lost")) == is_loss else "absent"
    if groups.get("yes") or groups.get("mutant"):
        return "absent" if is_loss else "present"
    if groups.get("no") or groups.get("wild"):
        return None if is_loss else "absent"
    return None


def _scored(match: re.Match[str]) -> Polarity | None:
    return {"0": "absent", "1": "absent", "3": "present"}.get(match["score"])  # type: ignore[return-value]


def _margin(match: re.Match[str]) -> tuple[frozenset[str], bool] | None:
    """The words that say which margin, and whether it is involved."""
    if match["out"] or match["r"]:
        return frozenset(), match["r"] == "R1" or bool(match["out"] and match["out"].lower().startswith("in"))
    where = (match["where"] or match["where2"] or "").lower().split()
    said = (match["said"] or match["said2"]).lower()
    is_denied = where[:1] == ["no"] or _DENIED.search(match.string[: match.start()]) is not None
    return frozenset(where) - _NO_PLACES, (said in ("positive", "involved")) != is_denied


def _known_of(where: frozenset[str], rows: Sequence[Row]) -> set[str]:
    """What the facts say of a margin, of all where no words say which."""
    places = [str(mapping_of(row.get("attributes")).get("location") or "").lower().split() for row in rows]
    of_it = [row for row, place in zip(rows, places, strict=True) if where and where & set(place)]
    general = [row for row, place in zip(rows, places, strict=True) if not set(place) - _NO_PLACES]
    return {row["polarity"] for row in of_it or (general if where else list(rows))}


def _is_known(where: frozenset[str], rows: Sequence[Row]) -> bool:
    known = _known_of(where, rows)
    return bool(known) and "uncertain" not in known


def _is_other_margin(where: frozenset[str], is_involved: bool, rows: Sequence[Row]) -> str | None:
    """What the facts say of a margin, where that is another thing than a text says; None where it is not."""
    known = _known_of(where, rows)
    if not known or "uncertain" in known:
        return None
    if is_involved and "present" not in known:
        return "no such margin is involved"
    return "a margin is involved" if not is_involved and "present" in known else None


def _counted(row: Row) -> tuple[float, float] | None:
    attributes = mapping_of(row.get("attributes"))
    if not {"positive", "examined"} <= attributes.keys() or "implied_by" in attributes:
        return None
    return float(attributes["positive"]), float(attributes["examined"])


def _value(text: str) -> float:
    return float(text) if text.isdecimal() else float(_NUMBERS.index(text.lower()))
