"""Facts from one report: the firmest statement about each concept, with the sentences that make it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import groupby

from voxtile_medical.reports.attributes import NONE, Attributes, attributes_of
from voxtile_medical.reports.body_region import BodyRegions
from voxtile_medical.reports.grammar import load_grammar
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon
from voxtile_medical.reports.measures import Measurement, measurements
from voxtile_medical.reports.mentions import closed_concepts, mentions
from voxtile_medical.reports.sections import flattened, sentences
from voxtile_medical.reports.sizes import Size, sizes
from voxtile_medical.reports.spelling import Speller
from voxtile_medical.reports.statements import Polarity, Statement
from voxtile_medical.reports.tokens import pieces

# A question ("rule out effusion") or an earlier state is not a finding of this examination.
_NOT_FINDINGS = frozenset({"indication", "comparison", "technique", "history", "recommendation", "signature"})
_FIRMEST_FIRST = ("present", "uncertain", "absent")


@dataclass(frozen=True)
class ReportFact:
    """What a report says about one finding, and the sentences that say it."""

    concept: str
    polarity: Polarity
    attributes: Attributes = NONE
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Something in a report that is not taken: a short name and a sentence for people."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Reading:
    """What came of reading a report.

    Attributes:
        facts: by concept; a finding that is present may have several, which differ in side, place or size.
        closed: concepts of which the report says that it would have mentioned them ("no other findings").
        problems: what was not taken.
        measurements: of organs.
    """

    facts: tuple[ReportFact, ...]
    closed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    measurements: tuple[Measurement, ...] = ()


def read_report(report: str, lexicon: Lexicon) -> Reading:
    """Read a report.

    A concept that is affirmed anywhere is present (a later "no other nodules" does not undo the nodule); else a doubt
    makes it uncertain; else it is absent. Concepts that are not mentioned yield nothing.

    Args:
        report: free text, with or without section headings.
        lexicon: which concepts to look for.
    """
    found: list[ReportFact] = []
    problems: list[Problem] = []
    closed: set[str] = set()
    measured: list[Measurement] = []
    flat = flattened(report)
    regions = BodyRegions(report, lexicon)
    for sentence in sentences(report):
        if sentence.section in _NOT_FINDINGS:
            continue
        for piece in pieces(flat, sentence, speller_of(lexicon)):
            statement = Statement(piece.words, load_grammar())
            lengths = [
                replace(size, start=size.start + piece.start, end=size.end + piece.start)
                for size in sizes(flat[piece.start : piece.end])
            ]
            organs = list(measurements(statement.words, lexicon.measures, lexicon.terms, sentence.whole))
            if not organs:
                problems.extend(_problem(size.problem, sentence.text) for size in lengths if size.problem)
            found.extend(
                _facts(statement, [size for size in lengths if not size.problem], sentence.whole, lexicon, regions)
            )
            measured.extend(organs)
            closed.update(regions.examined(closed_concepts(statement, lexicon)))
    return Reading(tuple(firmest(found)), tuple(sorted(closed)), tuple(dict.fromkeys(problems)), tuple(measured))


def facts_of_report(report: str, lexicon: Lexicon) -> list[ReportFact]:
    """The facts of a report; see `read_report`."""
    return list(read_report(report, lexicon).facts)


def polarity_at(report: str, start: int, end: int, lexicon: Lexicon | None = None) -> Polarity | None:
    """What a report says of the words that stand at [start, end), whatever they name.

    Args:
        report: free text.
        start: first character of the words.
        end: character after them.
        lexicon: its words are those that slips of the pen are corrected to; radiology's if None.

    Returns:
        present, absent or uncertain; None where the report says nothing of this examination there: history, a
        question, a condition, or no sentence at all.

    Example:
        >>> report = "Indication: pneumonia? Findings: No effusion, but a small nodule."
        >>> [polarity_at(report, at, at + 6) for at in (report.find(w) for w in ("pneumonia", "effusion", "nodule"))]
        [None, 'absent', 'present']
    """
    flat, lexicon = flattened(report), lexicon or load_lexicon()
    for sentence in sentences(report):
        spans = (*(() if sentence.is_carried else sentence.context), (sentence.start, sentence.end))
        if sentence.section in _NOT_FINDINGS or not any(first < end and start < last for first, last in spans):
            continue
        for piece in pieces(flat, sentence, speller_of(lexicon)):
            inside = [i for i, at in enumerate(piece.words.starts) if start <= at < end]
            if inside:
                statement = Statement(piece.words, load_grammar())
                return statement.polarity(*statement.head_of(inside[0], inside[-1] + 1))
    return None


@cache
def speller_of(lexicon: Lexicon) -> Speller:
    """What corrects slips of the pen towards the words of a lexicon and of the language table."""
    grammar = load_grammar()
    tables = (lexicon.terms, lexicon.organs, lexicon.qualities, lexicon.normal, grammar.cues, grammar.modifiers)
    return Speller(frozenset().union(*(table.words() for table in tables)))


def _problem(reason: str, piece: str) -> Problem:
    text = piece if len(piece) <= 120 else f"{piece[:117]}..."
    return Problem(reason, f"a size in '{text}' is not taken")


def _facts(
    statement: Statement, measured: Sequence[Size], evidence: str, lexicon: Lexicon, regions: BodyRegions
) -> Iterator[ReportFact]:
    named = regions.placed(mentions(statement, lexicon), statement.words.words)
    said = attributes_of(statement, named, measured, lexicon.concepts)
    for mention, attributes in zip(named, said, strict=True):
        yield ReportFact(mention.concept, mention.polarity, attributes, (evidence,))
        if mention.polarity == "absent":
            for concept in lexicon.concepts[mention.concept].denies:
                yield ReportFact(concept, "absent", NONE, (evidence,))


def firmest(found: Iterable[ReportFact]) -> Iterator[ReportFact]:
    """The firmest statements about each concept, those about one finding joined."""
    for _, group in groupby(sorted(found, key=lambda fact: fact.concept), key=lambda fact: fact.concept):
        facts = list(group)
        polarity = next(p for p in _FIRMEST_FIRST if any(fact.polarity == p for fact in facts))
        yield from _merged([fact for fact in facts if fact.polarity == polarity])


def _merged(facts: Sequence[ReportFact]) -> list[ReportFact]:
    """Statements about the same finding become one; a denial holds as far as the widest statement of it."""
    merged: list[ReportFact] = []
    for fact in sorted(facts, key=lambda f: -_count(f.attributes)):
        place = next((i for i, other in enumerate(merged) if _agree(fact, other)), None)
        if place is None:
            merged.append(fact)
        else:
            merged[place] = _join(merged[place], fact)
    return sorted(merged, key=lambda f: repr(f.attributes))


def _agree(fact: ReportFact, other: ReportFact) -> bool:
    """Whether two statements can be about one finding: nothing that one says contradicts the other."""
    return fact.polarity == "absent" or fact.attributes.agrees(other.attributes)


def _join(one: ReportFact, two: ReportFact) -> ReportFact:
    if one.polarity == "absent":
        attributes = one.attributes.common(two.attributes)
    else:
        attributes = one.attributes.completed(two.attributes)
    return replace(one, attributes=attributes, evidence=tuple(dict.fromkeys((*one.evidence, *two.evidence))))


def _count(attributes: Attributes) -> int:
    return sum(1 for value in attributes.values() if value)
