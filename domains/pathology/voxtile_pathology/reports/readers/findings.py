"""Findings by their names, with the polarity of the clause, and "label: value" lines of synoptic reports."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from voxtile.words.tokens import Words
from voxtile_pathology.reports.fact import Attributes, Polarity, Problem, SlideFact
from voxtile_pathology.reports.lexicon import Lexicon, Named, words_in
from voxtile_pathology.reports.readers.listed import is_list, polarity_of_list, undecided_from
from voxtile_pathology.reports.readers.receptors import results
from voxtile_pathology.reports.text.clauses import Clause
from voxtile_pathology.reports.text.language import Statement, language
from voxtile_pathology.reports.text.quantities import percent_in, sizes
from voxtile_pathology.reports.text.status import status_of

_SIZE_LABEL = re.compile(
    r"(?:\b(?:tumou?r|lesion|invasive|maximum|greatest|largest|overall|additional)\b.*\b)?(?:size"
    r"|dimensions?|diameter|extent|measurement)\b",
    re.IGNORECASE,
)
_AFTER_NAME = re.compile(
    r"^(?:\s|[,:(]|\bis\b|\bof\b|\bfor\b)*(?:grade|stage|score|class|type)?\s*+(?P<grade>(?:grade|stage"
    r"|score)\s*+[:=]?\s*+[A-Z]?\d[A-Z]?(?:\s*+/\s*+\d|\s*+(?:of|out of)\s*+\d)?)",
    re.IGNORECASE,
)
# "Steatosis 2, ballooning 0".
_BARE_SCORE = re.compile(r"\s*+[:=(]?\s*+(?P<score>[0-4])(?=\s*+(?:[,;)]|$|/\s*+\d|\.\s*+$))")
_BEFORE_NAME = re.compile(r"\b(?:grade|stage)\s*+(?P<grade>\d)\s*+$", re.IGNORECASE)
_SCORED = re.compile(r"\b(?:NAS|NAFLD activity score)\s*+[:=]?\s*+(?P<score>\d)", re.IGNORECASE)
_AMOUNT = re.compile(
    r"\s*+(?:approximately|about|around|up to|ca\.?|less than|more than|in)?\s*+[<>≤≥~]?\s*+\d", re.IGNORECASE
)
_NO_EXTENT = re.compile(r"\b(?:from|to|above|below|distal|proximal|deep|apart|away)\b", re.IGNORECASE)
_POINTING = frozenset(["lesion", "nodule", "mass", "polyp", "cyst"])
_DEFINITE = frozenset(["the", "this", "these", "that"])
_OF_ALL = frozenset(["current", "present", "same", "entire", "whole", "described", "above", "residual", "sampled"])
_OF = frozenset(["of", "in", "by", "within", "at", "through", "with"])  # "perforation of the serosa: no"
# Results of cytology that deny by their name: negative for intraepithelial lesion or malignancy, and the like.
_DENIED_BY = {
    "NILM": ("squamous_intraepithelial_lesion", "malignancy"),
    "NHGUC": ("high_grade_urothelial_carcinoma",),
}
_DENIALS = re.compile(rf"\b(?:{'|'.join(_DENIED_BY)})\b")
_CATEGORY = re.compile(r"_category$|^marsh_lesion$|^olga_stage$")
_ADENOCARCINOMA = "adenocarcinoma"
_ADENOCARCINOMAS = frozenset([_ADENOCARCINOMA])
_SPREAD = frozenset(["metastasis"])
_TUMOURS = frozenset(["tumour", "malignancy"])
_QUALIFIERS = re.compile(
    r"\b(mild|moderate|marked|severe|focal|multifocal|diffuse|extensive|chronic|acute|active|inactive"
    r"|minimal|patchy|prominent|brisk|rare|occasional|scattered)(?:ly)?\b",
    re.IGNORECASE,
)


def is_size_label(clause: Clause) -> bool:
    """Whether a line gives the size of the tumour that the lines before it name."""
    return bool(clause.label) and _SIZE_LABEL.search(clause.label) is not None and bool(sizes(clause.rest))


def of_label(clause: Clause, lexicon: Lexicon) -> tuple[list[SlideFact], list[Problem]]:
    """What a line says of the finding that is its label; the value is then read where it is an answer.

    "Perineural invasion: not identified", "Necrosis: 10 %", "Atypia: mild only".
    """
    words = words_in(clause.label)
    there = lexicon.findings_in(words)
    named = [name for name in there if name.end >= len(words) - 2 or (name.start == 0 and words.words[name.end] in _OF)]
    if len(there) > len(named) and named == list(there[-len(named) :]) and _of_one_answer(there, clause.label, words):
        named = list(_of_one_answer(there, clause.label, words)) or named
    if not named or not clause.rest.strip():
        return [], []
    answer = status_of(clause.rest)
    percent = percent_in(clause.rest)
    if percent is not None and answer is None and not _AMOUNT.match(clause.rest):
        percent = None
    if answer == "unknown":
        clause.take(0, len(clause.text))
        return [], []
    polarity: Polarity
    if percent is not None and answer is None:
        polarity = "absent" if percent.is_none else "present"
    elif answer is not None:
        polarity = answer
    elif re.match(r"\s*+(?:[<>≤≥]\s*+|[A-Za-z]{1,2}[\s-]?)?\d", clause.rest) or _QUALIFIERS.match(clause.rest.strip()):
        polarity = "absent" if re.match(r"\s*+(?:[A-Za-z]{1,2}[\s-]?)?0(?![.,\d])", clause.rest) else "present"
    else:
        return [], [
            Problem("not-read", f"'{clause.label}: {clause.text[:100]}' is no answer that is known")
        ] if _is_answerless(named, lexicon, clause) else []
    facts = []
    for name in _of_one_answer(named, clause.label, words):
        is_complete = name.concept in _BEST_IS_NOUGHT and _NOUGHT.match(clause.rest) is not None
        fact = SlideFact(
            name.concept,
            "present" if is_complete else polarity,
            words=f"{clause.label}: {clause.text}",
            evidence=(clause.evidence,),
            addendum=clause.addendum,
        )
        extents = [size for _, _, size in sizes(clause.rest)]
        fact = replace(fact, attributes=Attributes(size_mm=extents[0] if extents else ()))
        if percent is not None:
            fact = fact.with_percent(percent)
        qualifier = _QUALIFIERS.search(clause.rest)
        facts.append(fact.detailed(extent=qualifier.group(1).lower() if qualifier and polarity == "present" else None))
    _take_answer(clause)
    return facts, []


def _of_one_answer(named: Sequence[Named], label: str, words: Words) -> Sequence[Named]:
    """The findings that an answer is of: the last of a label, or all of a list: "fungi and mycobacteria: negative"."""
    gaps = [label[words.ends[a.end - 1] : words.starts[b.start]] for a, b in pairwise(named)]
    return named if is_list(gaps) else named[-1:]


def _is_answerless(named: list[Named], lexicon: Lexicon, clause: Clause) -> bool:
    return not lexicon.findings_in(words_in(clause.rest)) and len(clause.label.split()) <= 4 and len(named) == 1


def _take_answer(clause: Clause) -> None:
    """The answer is read; a comment after it is a text of its own."""
    match = re.match(r"[^,;(]*", clause.rest)
    clause.take(0, match.end() if match is not None else len(clause.text))


def header_findings(header: str, clause: Clause, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Findings that the heading of a specimen names: "Renal mass, left, core biopsy"."""
    bare = Clause(header, clause.evidence, section=clause.section, addendum=clause.addendum)
    results(bare, lexicon)  # takes the stains, whose results are not said of what stands beside them
    statement = language().statement(bare.rest)
    yield from named_findings(bare, statement, lexicon)


def named_findings(clause: Clause, statement: Statement, lexicon: Lexicon) -> Iterator[SlideFact]:
    """Findings that what is left of a clause names, in reading order."""
    for match in _DENIALS.finditer(clause.rest):
        for concept in _DENIED_BY[match.group()]:
            said, evidence = match.group(), (clause.evidence,)
            yield SlideFact(concept, "absent", words=said, evidence=evidence, addendum=clause.addendum)
    words = words_in(clause.rest)
    found = lexicon.findings_in(words)
    measured = sizes(clause.rest)
    answers = _answers(found, clause.rest, words)
    spreads = [named for named in found if lexicon.is_kind_of(named.concept, _SPREAD)]
    polarities = _of_lists(
        found, [_polarity(named, clause, words, statement, answers) for named in found], clause, words
    )
    polarities = _by_structure(found, polarities, clause, words)
    for index, (named, polarity) in enumerate(zip(found, polarities, strict=True)):
        if polarity is None or (polarity == "present" and _is_measure_of(named, words.words)):
            continue
        if polarity == "absent" and index and _is_where(named, words.words):
            polarity = "present"  # "no response in the carcinoma"
        start, end = words.starts[named.start], words.ends[named.end - 1]
        limit = words.starts[found[index + 1].start] if index + 1 < len(found) else len(clause.rest)
        floor = words.ends[found[index - 1].end - 1] if index else 0
        fact = SlideFact(
            named.concept, polarity, words=clause.text[start:end], evidence=(clause.evidence,), addendum=clause.addendum
        )
        fact = _with_amounts(fact, clause.rest, floor, start, end, limit, measured)
        if polarity == "present" and not fact.attributes.size_mm and _is_known(named, words.words):
            continue  # "the nodule lacks necrosis" says nothing of a nodule
        spread = next((other for other in spreads if other is not named and _is_of(words.words, named, other)), None)
        if spread is not None and lexicon.is_kind_of(named.concept, _TUMOURS):
            fact = replace(fact, implied_by=spread.concept)
        is_called_so = _ADENOCARCINOMA in words.words[named.start : named.end]
        if is_called_so and not lexicon.is_kind_of(named.concept, _ADENOCARCINOMAS):
            yield replace(fact, concept=_ADENOCARCINOMA, implied_by=named.concept)  # "rectal adenocarcinoma"
        yield fact.detailed(category=fact.words) if _CATEGORY.search(named.concept) else fact


def _polarity(
    named: Named, clause: Clause, words: Words, statement: Statement, answers: Mapping[Named, Polarity]
) -> Polarity | None:
    if _asked(clause.text, words.starts[named.start]):
        return "uncertain"
    own = (
        answers.get(named)
        or _as_its_like(named, clause.rest, words, answers)
        or _in_its_part(named, clause.rest, words, answers)
    )
    return own or statement.polarity(named.start, named.end)


def _by_structure(
    found: Sequence[Named], polarities: Sequence[Polarity | None], clause: Clause, words: Words
) -> list[Polarity | None]:
    """The polarities; what a label says of its list, and a choice between things that is not made, come before."""
    of_label, undecided = polarity_of_list(clause.label), undecided_from(clause.rest)
    said = list(polarities)
    for index, named in enumerate(found):
        if said[index] == "present" and of_label is not None:
            said[index] = of_label
        elif undecided is not None and said[index] is not None and words.starts[named.start] >= undecided:
            is_denied = _DENIED.search(clause.rest, undecided, words.starts[named.start])
            said[index] = said[index] if is_denied else "uncertain"  # "cannot tell A from B" denies neither
        elif said[index] == "absent" and index and _SCORED_ITSELF.match(clause.rest, words.ends[named.end - 1]):
            is_denied_itself = _DENIED.search(
                clause.rest, words.ends[found[index - 1].end - 1], words.starts[named.start]
            )
            said[index] = said[index] if is_denied_itself else "present"  # "no ballooning, fibrosis F1"
    return said


def _of_lists(
    found: Sequence[Named], polarities: Sequence[Polarity | None], clause: Clause, words: Words
) -> list[Polarity | None]:
    """The polarities; what stands behind a list of three or more is said of all: "A, B and C were excluded"."""
    said = list(polarities)
    for last in range(len(found) - 1, 1, -1):
        gaps = [clause.rest[words.ends[found[i].end - 1] : words.starts[found[i + 1].start]] for i in range(last)]
        ends_list = re.fullmatch(r"\s*+,?\s*+(?:and|or)\s*+", gaps[last - 1], re.IGNORECASE) is not None
        if not ends_list or said[last] not in ("absent", "uncertain") or said[last - 1] != said[last]:
            continue
        for index in range(last - 2, -1, -1):
            if gaps[index].strip() != "," or said[index] != "present":
                break
            said[index] = said[last]
    return said


# What stands right behind a name: "EPE -", "LVI (+)", "LVI present, PNI absent".
_ANSWER = re.compile(
    r"\s*+(?:\(\s*+(?P<sign>[-−–]|\++)\s*+\)|(?P<bare>[-−–]|\++)(?=\s*+(?:$|[.,;)]))"
    r"|(?P<score>[1-4])\s?\+(?!\+)|[-–](?P<compound>positive|negative)\b"
    r"|(?P<word>present|absent|not identified|not seen|not present|negative"
    r"|none)(?=\s*+(?:$|[,;.)])))",
    re.IGNORECASE,
)
_SCORED_ITSELF = re.compile(
    r"\s*+[:=(,]?\s*+(?:(?:grade|stage|score)\s*+[:=]?\s*+)?(?:F\s?)?[1-4](?:[a-c]|\s*+/\s*+\d|\s?\+)?(?=\s*+(?:[,;.)]|$))",
    re.IGNORECASE,
)
# Of these the score is the tumour that is left: 0 is a complete response (CAP, AJCC).
_BEST_IS_NOUGHT = frozenset(["treatment_effect", "tumor_regression", "therapy_effect"])
_NOUGHT = re.compile(r"\s*+(?:score|grade|category)?\s*+0\b", re.IGNORECASE)
_SORTS = ("_deposit", "_staining")
_STAINED = re.compile(r"\b(?:Ig[AGM]|C3|C1q|C4d|kappa|lambda|fibrinogen|albumin)\b", re.IGNORECASE)
_DENIED = re.compile(r"\b(?:no|not|without|nor|neither|never|absence|lack)\b", re.IGNORECASE)
_LISTED = re.compile(r"\s*+(?:,|and|or|nor|/|&|\s)*\s*+", re.IGNORECASE)


def _answers(found: Sequence[Named], text: str, words: Words) -> dict[Named, Polarity]:
    """The findings of which the polarity stands right behind their names."""
    answers: dict[Named, Polarity] = {}
    for named in found:
        match = _ANSWER.match(text, words.ends[named.end - 1])
        if match is not None:
            said = (
                "+"
                if match["score"]
                else match["sign"] or match["bare"] or (match["compound"] or match["word"]).lower()
            )
            if said == "present" and _DENIED.search(text, 0, words.starts[named.start]):
                continue  # "no invasion or necrosis present"
            answers[named] = "present" if "+" in said or said in ("present", "positive") else "absent"
    return answers


def _as_its_like(named: Named, text: str, words: Words, answers: Mapping[Named, Polarity]) -> Polarity | None:
    """The answer of a list of things of one sort: "IgG, C1q negative"; a gastritis before it is of another."""
    other = next((other for other in answers if other.start >= named.end), None)
    if other is None or not (named.concept.endswith(_SORTS) and other.concept.endswith(_SORTS)):
        return None
    between = _STAINED.sub("", text[words.ends[named.end - 1] : words.starts[other.start]])
    return answers[other] if _LISTED.fullmatch(between) else None


def _in_its_part(named: Named, text: str, words: Words, answers: Mapping[Named, Polarity]) -> Polarity | None:
    """The polarity of a finding that stands before others with answers of their own, which are not said of it.

    An answer is said of it as well where nothing but a comma and the like parts them: "PNI and ENE absent".
    """
    following = next((other for other in answers if other.start >= named.end), None)
    if following is None or len(answers) < 2:
        return None
    between = text[words.ends[named.end - 1] : words.starts[following.start]]
    if _LISTED.fullmatch(between):
        return answers[following]
    part = text[: words.starts[following.start]].rstrip(" ,")
    return language().statement(part).polarity(named.start, named.end)


def _asked(text: str, start: int) -> bool:
    """Whether a question mark stands right before: "?BCC"."""
    return re.search(r"(?:^|[\s(:,])\?\s?(?:\w+\s){0,2}$", text[:start]) is not None


def _is_known(named: Named, words: tuple[str, ...]) -> bool:
    """Whether a word that names no kind points back to what was named before: "the lesion", "this mass"."""
    if named.concept not in _POINTING or not named.start:
        return False
    before = words[max(0, named.start - 2) : named.start]
    return before[-1] in _DEFINITE or (len(before) == 2 and before[0] in _DEFINITE and before[1] in _OF_ALL)


def _is_where(named: Named, words: tuple[str, ...]) -> bool:
    """Whether a finding is where another one is denied: "no dysplasia in the polyp"."""
    before = words[max(0, named.start - 2) : named.start]
    return len(before) == 2 and before[0] in ("in", "within") and before[1] in ("the", "this", "these", "either")


def _is_measure_of(named: Named, words: tuple[str, ...]) -> bool:
    """Whether the bare word for a tumour only says of what: "60 % of the tumour", "90 % of tumour cells"."""
    before = words[max(0, named.start - 2) : named.start]
    return named.concept == "tumour" and bool(before) and (before[-1] == "of" or before == ("of", "the"))


def _is_of(words: tuple[str, ...], named: Named, spread: Named) -> bool:
    """Whether a tumour is what has spread: "metastatic melanoma", "colorectal carcinoma metastasis"."""
    between = words[spread.end : named.start] if spread.end <= named.start else words[named.end : spread.start]
    return len(between) <= 2 and not set(between) & {",", ";", "with", "no", "and", "without", "(", ":"}


def _with_amounts(
    fact: SlideFact,
    text: str,
    floor: int,
    start: int,
    end: int,
    limit: int,
    measured: list[tuple[int, int, tuple[float, ...]]],
) -> SlideFact:
    """A finding with its size, percentage and score, where these stand beside it."""
    after = text[end:limit]
    own = [
        size
        for a, b, size in measured
        if (end <= a < limit and not _NO_EXTENT.match(text[b:].lstrip(" ,")) and not re.search(r"[;]", text[end:a]))
    ]
    before = [size for a, b, size in measured if floor <= a and b <= start and start - b <= 40]
    if fact.polarity != "absent" and (own or before):
        fact = replace(fact, attributes=replace(fact.attributes, size_mm=own[0] if own else before[-1]))
    percent = percent_in(after) if re.match(r"[^.;]{0,30}", after) else None
    nearby = percent_in(text[max(floor, start - 12) : start])
    chosen = percent or (nearby if nearby is not None else None)
    if chosen is not None:
        fact = fact.with_percent(chosen)
        if chosen.is_none:
            fact = replace(fact, polarity="absent")
    grade = _AFTER_NAME.match(after)
    if grade is not None:
        said = re.sub(r"(?i)grade|stage|score|[:=\s]|\s*+(?:out )?of\s*+\d$", "", grade["grade"])
        fact = fact.detailed(grade=said)
        if re.fullmatch(r"[A-Za-z]?0", said):
            fact = replace(fact, polarity="present" if fact.concept in _BEST_IS_NOUGHT else "absent")
    elif (bare := _BARE_SCORE.match(after)) is not None:
        fact = fact.detailed(score=bare["score"])
        if bare["score"] == "0":
            fact = replace(fact, polarity="absent")
    led = _BEFORE_NAME.search(text[floor:start])
    if led is not None:
        fact = fact.detailed(grade=led["grade"])
    score = _SCORED.search(after)
    if score is not None:
        fact = fact.detailed(score=f"NAS {score['score']}")
    qualifier = _QUALIFIERS.search(text[max(floor, start - 30) : start].rsplit(",", 1)[-1])
    if qualifier is not None and fact.polarity == "present":
        fact = fact.detailed(extent=qualifier.group(1).lower())
    return fact
