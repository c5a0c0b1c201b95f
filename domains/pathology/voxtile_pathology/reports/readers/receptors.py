"""Results of stains and tests: receptors, antibodies, mismatch repair proteins, genes, and which marker each is of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from voxtile.words.tokens import Words
from voxtile_pathology.reports.fact import Polarity, Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, Named, words_in
from voxtile_pathology.reports.readers.result_facts import facts_of, repair
from voxtile_pathology.reports.readers.result_words import AFTER, FURTHER, STRONG_BEFORE, WEAK_BEFORE, Result
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.language import language
from voxtile_pathology.reports.text.quantities import PERCENT

_SEPARATOR = re.compile(
    r"\s*(?:,|/|&|\+(?=\s*[A-Z])|and/or|,?\s*(?:and|or|nor|as well as|along with|together with|plus"
    r"|including))?\s*(?:the\s+|both\s+|also\s+)?",
    re.IGNORECASE,
)
_RESULT_LABEL = re.compile(
    r"(?:positive|negative|pos|neg|retained|lost|intact|pending|equivocal|reactive|non-?reactive)"
    r"(?:\s+(?:stains?|markers?|for|immunostains?|antibod\w+))?",
    re.IGNORECASE,
)
_FURTHEST = 200  # characters between a marker and its result
# "HMB45 was negative, as was Melan-A".
_SAME = re.compile(
    r"\b(?:as|so|likewise|similarly|nor)\s+(?:is|are|was|were|does|do|did|has|have)\s+(?:the\s+|also\s+)?$",
    re.IGNORECASE,
)
_TRIPLE_NEGATIVE = re.compile(r"\b(?:triple|3x|3)[\s-]*negative\b", re.IGNORECASE)
_HER2 = re.compile(r"\bHER[\s-]?2\b", re.IGNORECASE)
# The margin at the superior mesenteric artery, no smooth muscle actin.
_OF_MARGIN = re.compile(r"\bSMA\b(?=[^.;:]*\bmargins?\b)")
_IN_SITU = re.compile(r"\W*(?:(?:by|on|reflex)\s+)?(?:[CS]|DD|D-?)?(?:F?ISH)\b")
_AMPLIFIED = re.compile(
    r"\b(?:(?P<no>(?:not|non)[\s-]?amplified|unamplified|no\s+(?:gene\s+)?amplification|negative)|amplified|amplification"
    r"|positive)\b",
    re.IGNORECASE,
)
_FUSED = re.compile(r"rearrange|fusion|translocation", re.IGNORECASE)


def results(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """Results of stains and tests in a clause, whose words are then read, and results that are still to come."""
    text, offset = clause.rest, 0
    if clause.label and (lexicon.markers_in(words_in(clause.label)) or _RESULT_LABEL.fullmatch(clause.label)):
        text, offset = clause.with_label()
    words = words_in(text)
    facts: list[SlideFact] = [*_triple_negative(clause, lexicon), *_in_situ(clause, lexicon)]
    markers = [] if clause.rest.isspace() else _not_in_findings(lexicon.markers_in(words), words, lexicon)
    arteries = [match.start() for match in _OF_MARGIN.finditer(text)]
    markers = [named for named in markers if words.starts[named.start] not in arteries]
    if not markers:
        return facts, []
    problems: list[Problem] = []
    spans: list[tuple[int, int]] = []
    latest: Result | None = None
    groups = list(_parted(_groups(markers, words.starts, words.ends, text), words, text))
    for index, group in enumerate(groups):
        first, last = words.starts[group[0].start], words.ends[group[-1].end - 1]
        limit = words.starts[groups[index + 1][0].start] if index + 1 < len(groups) else len(text)
        floor = spans[-1][1] if spans else 0
        result = _result(text, floor, first, last, limit, is_last=index + 1 == len(groups))
        if result is None and latest is not None and _SAME.search(text[floor:first]):
            result = Result(latest.name, latest.said, last, "")
        if result is None and lexicon.concepts[group[0].concept].kind == "msi":
            result = _of_name(text[first:last], last)
        if result is None:
            continue
        if text[first - 1 : first] == "(" and text[last : last + 1] == ")":
            spans.append((first - 1, last + 1))  # "basal cells (p63) are lost": the result is the cells' too
        else:
            spans.append((first, max(last, result.end)))
        latest = result
        if result.name == "pending":
            problems.append(Problem("result-pending", f"'{text.strip()[:120]}' gives no result"))
            continue
        doubted = _doubted(clause, group, words) if result.end == last else None
        for named in group:
            said = text[words.starts[named.start] : words.ends[named.end - 1]]
            concept = _as_its_list(named.concept, group, text[: last + 20], words.starts, lexicon)
            gene = f"{concept.removesuffix('_mutation')}_amplification"
            concept = gene if result.name in ("amplified", "not amplified") and gene in lexicon.concepts else concept
            made = facts_of(concept, said, result, clause, lexicon, text)
            facts += made if doubted is None else [replace(fact, polarity=doubted) for fact in made]
    for start, end in spans:
        clause.take(max(0, start - offset), max(0, end - offset))
    return [*facts, *repair(facts, lexicon)], problems


def _in_situ(clause: Clause, lexicon: Lexicon) -> Iterator[SlideFact]:
    """A test of amplification behind the stain of the same sentence: "HER2 2+; FISH: not amplified"."""
    is_meant = _HER2.search(clause.evidence) and "her2_amplification" in lexicon.concepts
    said = _AMPLIFIED.search(clause.rest) if is_meant and _IN_SITU.match(clause.whole) else None
    if said is not None:
        name = "not amplified" if said["no"] else "amplified"
        result = Result(name, said.group(), said.end(), clause.rest[said.end() :])
        yield from facts_of("her2_amplification", "FISH", result, clause, lexicon, clause.rest)
        clause.take(said.start(), len(clause.rest))


def _not_in_findings(markers: list[Named], words: Words, lexicon: Lexicon) -> list[Named]:
    """The markers without those in the name of a finding: "IgG4-positive plasma cells"."""
    if not any(words.words[named.end : named.end + 1] in (("positive",), ("negative",)) for named in markers):
        return markers
    longer = [found for found in lexicon.findings_in(words) if words.words[found.end - 1] == "cell"]
    return [
        named
        for named in markers
        if not any(found.start <= named.start and named.end + 1 < found.end for found in longer)
    ]


def _triple_negative(clause: Clause, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Three receptors that one word denies; the word is then read, and denies no carcinoma."""
    for match in _TRIPLE_NEGATIVE.finditer(clause.rest):
        result = Result("negative", match.group(), match.end(), "")
        for concept in ("estrogen_receptor", "progesterone_receptor", "her2"):
            if concept in lexicon.concepts:
                yield from facts_of(concept, "", result, clause, lexicon, match.group())
        clause.take(match.start(), match.end())


def _result(text: str, floor: int, first: int, last: int, limit: int, *, is_last: bool) -> Result | None:
    """The result of the markers [first, last): what a preposition or verb before them says, else what follows."""
    before, after = text[max(floor, first - _FURTHEST) : first], _result_after(text, last, limit)
    strong = _result_before(before, text, first, limit, STRONG_BEFORE)
    if strong is not None and after is not None and after.name in ("percent", "score", "strength"):
        return Result(strong.name, strong.said, after.end, after.around)
    if (
        strong is not None
        and strong.name == "lost"
        and after is not None
        and after.name in ("not detected", "negative")
    ):
        return Result("retained", after.said, after.end, "")  # "loss of MLH1 is not seen"
    result = strong or after or _result_before(before, text, first, limit, WEAK_BEFORE)
    return _result_further(text, last, limit) if result is None and is_last else result


def _as_its_list(concept: str, group: list[Named], text: str, starts: tuple[int, ...], lexicon: Lexicon) -> str:
    """The whole of what a list leaves out: "ALK and ROS1 rearrangements"."""
    whole = f"{concept.removeprefix('c_').replace('_', '')}_rearrangement"
    whole = whole if whole in lexicon.concepts else f"{concept}_rearrangement"
    last = group[-1]
    is_fused = last.concept.endswith("_rearrangement") and _FUSED.search(text[starts[last.start] :]) is not None
    return whole if is_fused and whole in lexicon.concepts else concept


def _doubted(clause: Clause, group: list[Named], words: Words) -> Polarity | None:
    """What the sentence says of a name that is its own result, where that is no statement: "MSI-high is unlikely"."""
    if words.text != clause.rest:
        return None
    polarity = language().statement(clause.rest).polarity(group[0].start, group[-1].end)
    return polarity if polarity in ("uncertain", "absent") else None


def _of_name(said: str, last: int) -> Result | None:
    """A name that is a result: MSS, MSI-H."""
    lower = said.lower()
    if "mss" in lower or re.search(r"(?<!un)stable", lower):
        return Result("retained", "stable", last, "")
    return Result("mutated", said, last, "") if re.search(r"high|-?\s?h$", lower) else None


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


_SHARED = re.compile(r"\b(?:nor|or)\b", re.IGNORECASE)
_GOES_ON = re.compile(r"\s*,?\s*(?:with|but|and|while|whereas)\b", re.IGNORECASE)
_CONFIRMED = re.compile(
    r"(?:is |are |was |were )?(?:seen|present|identified|detected|noted|demonstrat\w+|confirm\w+|highlight\w*)$",
    re.IGNORECASE,
)


def _parted(groups: list[list[Named]], words: Words, text: str) -> Iterator[list[Named]]:
    """The groups; the last marker of one is its own where it has a result: "negative for ER and PR, and HER2 is 3+"."""
    for index, group in enumerate(groups):
        first, last = words.starts[group[0].start], words.ends[group[-1].end - 1]
        limit = words.starts[groups[index + 1][0].start] if index + 1 < len(groups) else len(text)
        before = text[max(0, first - _FURTHEST) : first]
        between = text[words.ends[group[-2].end - 1] : words.starts[group[-1].start]] if len(group) > 1 else ""
        is_shared = _SHARED.search(between) is not None or _GOES_ON.match(text, last) is not None
        if (
            len({named.start for named in group}) > 1
            and not is_shared
            and _result_before(before, text, first, limit, STRONG_BEFORE)
        ):
            after = _result_after(text, last, limit)
            is_own = after is not None and (
                (after.name in ("positive", "negative", "retained", "lost") and not _CONFIRMED.match(after.said))
                or (after.name == "score" and "(" not in after.around)
            )
            if is_own:
                own = [named for named in group if named.start == group[-1].start]
                yield group[: -len(own)]
                yield own
                continue
        yield group


def _result_after(text: str, last: int, limit: int) -> Result | None:
    """The result that stands after markers and before the next ones."""
    window = text[: min(limit, last + _FURTHEST)]
    after = window[last:]
    best: tuple[int, str, re.Match[str]] | None = None
    for name, pattern in AFTER:
        match = pattern.match(window, last)
        if match is not None and (best is None or match.start("said") < best[0]):
            best = (match.start("said"), name, match)
    if best is None:
        return None
    _, name, match = best
    # A word that opens the next list ("CK7, negative for CK20") is not this one's.
    rest = window[match.end() :]
    if name in ("negative", "positive", "lost", "retained") and re.match(r"\s*(?:staining\s+)?(?:for|of)\b", rest):
        return None
    end = _extent(after, match.end() - last)
    return Result(name, match["said"], last + end, after[:end])


def _result_further(text: str, last: int, limit: int) -> Result | None:
    """A result behind other words: "HER2 FISH ratio 1.3, mean copy number 2.6: not amplified"."""
    after = text[last : min(limit, last + _FURTHEST)]
    found = [
        (match.start("said"), -len(match["said"]), name, match)
        for name, pattern in FURTHER
        if (match := pattern.match(after)) is not None
    ]
    if not found:
        return None
    _, _, name, match = min(found, key=lambda each: each[:2])
    if re.match(r"\s*(?:for|with)\b", after[match.end() :]):
        return None
    return Result(name, match["said"], last + match.end(), after[: match.end()])


def _extent(after: str, end: int) -> int:
    """How far the words of a result go: a percentage, a score, an intensity in brackets or after it."""
    more = re.match(
        rf"(?:\s*\([^()]*\)|\s*,?\s*(?:{PERCENT}|strong|weak|moderate|diffuse|focal|score\s*\d\+?|[0-3]\+"
        rf"|ratio\s*[\d.]+)|\s+(?:in|staining|nuclear|expression|positive|negative|{PERCENT}"
        r"|of\s+(?:the\s+)?(?:tumou?r\s+)?cells|tumou?r\s+cells|cells))*",
        after[end:],
        re.IGNORECASE,
    )
    return end + (more.end() if more is not None else 0)


def _result_before(
    before: str, text: str, first: int, limit: int, phrases: tuple[tuple[str, re.Pattern[str]], ...]
) -> Result | None:
    for name, pattern in phrases:
        match = pattern.search(before)
        if match is not None:
            around = text[first:limit]
            return Result(name, match.group(), first, around if re.match(r".{0,25}\d\s?%", around) else "")
    return None
