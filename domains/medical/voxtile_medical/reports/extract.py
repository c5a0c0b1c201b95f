"""Facts from one report: the firmest statement about each concept, with the sentences that make it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

from voxtile_medical.reports.assertion.grammar import load_grammar
from voxtile_medical.reports.assertion.statements import Polarity, Statement
from voxtile_medical.reports.attributes import NONE, Attributes, attributes_of, last_side
from voxtile_medical.reports.body_region import BodyRegions
from voxtile_medical.reports.composition import composed, is_fragment, places_of, subject_of
from voxtile_medical.reports.facts import ReportFact as ReportFact
from voxtile_medical.reports.facts import corrected, counted, elsewhere
from voxtile_medical.reports.facts import firmest as firmest
from voxtile_medical.reports.lexicon import Lexicon, load_lexicon
from voxtile_medical.reports.mentions import Mention, closed_concepts, mentions
from voxtile_medical.reports.quantities.measures import Measurement, measurements
from voxtile_medical.reports.quantities.numbered import which_of_several
from voxtile_medical.reports.quantities.of_organs import without_those_of_organs
from voxtile_medical.reports.quantities.sizes import Size, current, sizes
from voxtile_medical.reports.text.language import is_foreign
from voxtile_medical.reports.text.lines import Span
from voxtile_medical.reports.text.sections import Sentence, flattened, sentences
from voxtile_medical.reports.text.spelling import Speller
from voxtile_medical.reports.text.tokens import Piece, pieces

# A question ("rule out effusion") or an earlier state is not a finding of this examination.
NOT_FINDINGS = frozenset({"indication", "comparison", "technique", "history", "recommendation", "signature"})
# "It measures 13 mm": the size of what the sentence before named.
_GOES_ON = re.compile(
    r"(?:it|this|these|they|the (?:lesion|mass|finding|collection|largest)|largest|measur\w+)\b", re.IGNORECASE
)
_LIMBS = (
    "knee|hip|ankle|foot|shoulder|elbow|wrist|hand|breast|leg|arm|thigh|calf|forearm|femur|tibia|humerus|finger|toe"
)
_EXAMINED = re.compile(rf"\b(?P<side>left|right|lt|rt)\.? (?:{_LIMBS})\b", re.IGNORECASE)


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
        elsewhere: denials and doubts of another side or place than that of which a fact affirms the same concept.
        unread: sentences of findings and impressions that say nothing known, as characters (start, end) of the report.
    """

    facts: tuple[ReportFact, ...]
    closed: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    elsewhere: tuple[ReportFact, ...] = ()
    unread: tuple[Span, ...] = ()


def read_report(report: str, lexicon: Lexicon) -> Reading:
    """Read a report.

    A concept that is affirmed anywhere is present (a later "no other nodules" does not undo the nodule); else a doubt
    makes it uncertain; else it is absent. Concepts that are not mentioned yield nothing.

    Args:
        report: free text, with or without section headings.
        lexicon: which concepts to look for.
    """
    reader = _Reader(flattened(report), lexicon)
    for sentence in sentences(report):
        reader.read(sentence)
    return reader.reading()


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
        question, a condition, another language, or no sentence at all.

    Example:
        >>> report = "Indication: pneumonia? Findings: No effusion, but a small nodule."
        >>> [polarity_at(report, at, at + 6) for at in (report.find(w) for w in ("pneumonia", "effusion", "nodule"))]
        [None, 'absent', 'present']
    """
    flat, lexicon = flattened(report), lexicon or load_lexicon()
    for sentence in sentences(report):
        spans = (*(() if sentence.is_carried else sentence.context), (sentence.start, sentence.end))
        if sentence.section in NOT_FINDINGS or not any(first < end and start < last for first, last in spans):
            continue
        if is_foreign(sentence.whole, _words_of(lexicon), speller_of(lexicon)):
            continue
        for piece in pieces(flat, sentence, speller_of(lexicon)):
            inside = [i for i, at in enumerate(piece.words.starts) if start <= at < end]
            if inside:
                statement = Statement(piece.words, load_grammar())
                return statement.polarity(*statement.head_of(inside[0], inside[-1] + 1))
    return None


class _Reader:
    """Reads the sentences of a report in order, with what they have in common: the side that was named last.

    Args:
        text: the report, see `flattened`.
        lexicon: which concepts to look for.
    """

    def __init__(self, text: str, lexicon: Lexicon) -> None:
        self._text, self._lexicon = text, lexicon
        self._regions = BodyRegions(text, lexicon)
        self._found: list[ReportFact] = []
        self._added: list[ReportFact] = []
        self._problems: list[Problem] = []
        self._closed: set[str] = set()
        self._measured: list[Measurement] = []
        self._unread: list[Span] = []
        self._count = 0
        self._side: str | None = None
        self._examined: str | None = None
        self._place: str | None = None

    def read(self, sentence: Sentence) -> None:
        """Read the next sentence."""
        if sentence.section in NOT_FINDINGS:
            if sentence.section == "technique" and (title := _EXAMINED.search(sentence.text)):
                self._examined = _side_of(title)
            return
        is_read, is_english = False, not is_foreign(sentence.whole, _words_of(self._lexicon), speller_of(self._lexicon))
        for piece in pieces(self._text, sentence, speller_of(self._lexicon)) if is_english else ():
            is_read |= self._read_piece(sentence, piece)
        self._count += 1
        if not is_read:
            self._unread.append((sentence.start, sentence.end))
            if self._count == 1 and (title := _EXAMINED.search(sentence.text)):
                self._examined = _side_of(title)

    def reading(self) -> Reading:
        """What came of it."""
        found = counted(corrected(self._found, self._added))
        return Reading(
            tuple(firmest(found)),
            tuple(sorted(self._closed)),
            tuple(dict.fromkeys(self._problems)),
            tuple(self._measured),
            tuple(elsewhere(found)),
            tuple(self._unread),
        )

    def _read_piece(self, sentence: Sentence, piece: Piece) -> bool:
        """Read a piece of a sentence; whether anything in it was understood."""
        lexicon, statement = self._lexicon, Statement(piece.words, load_grammar())
        lengths = [
            replace(size, start=size.start + piece.start, end=size.end + piece.start)
            for size in sizes(self._text[piece.start : piece.end])
        ]
        organs = list(measurements(statement.words, lexicon.measures, lexicon.terms, sentence.whole))
        if not organs:
            self._problems.extend(_problem(size.problem, sentence.text) for size in lengths if size.problem)
        lengths = [size for size in current(lengths) if not size.problem]
        closed = self._regions.examined(closed_concepts(statement, lexicon))
        named = composed(statement, mentions(statement, lexicon), lexicon, None if piece.under else self._place)
        named = self._regions.placed(named, statement.words.words)
        if sentence.is_carried:
            named = [mention for mention in named if mention.start >= piece.under]
        there = {place for mention in named for place in range(mention.start, mention.end)}
        own = without_those_of_organs(statement.words, lexicon.organs, there, lengths)
        facts = list(self._facts(statement, named, own, sentence))
        target = self._added if sentence.section == "addendum" else self._found
        is_more = not named and not organs and bool(lengths) and _GOES_ON.match(sentence.text) is not None
        if is_more:
            self._measure_last(target, lengths[0], sentence.whole)
        target.extend(facts)
        self._measured.extend(organs)
        self._closed.update(closed)
        self._side = last_side(statement, self._side)
        if not (is_fragment(statement) and not organs and not places_of(statement, lexicon)):
            self._place = None if organs else subject_of(statement, lexicon)
        return bool(named or organs or closed or is_more or lexicon.normal.find(statement.words.words))

    def _facts(
        self, statement: Statement, named: Sequence[Mention], measured: Sequence[Size], sentence: Sentence
    ) -> Iterator[ReportFact]:
        words, concepts, evidence = statement.words, self._lexicon.concepts, sentence.whole
        said = attributes_of(statement, named, measured, concepts, self._side)
        for mention, attributes in _largest_of_all(named, said):
            if self._examined and attributes.laterality is None and concepts[mention.concept].has_side:
                attributes = replace(attributes, laterality=self._examined)
            spans = ((words.starts[mention.start], words.ends[mention.end - 1]),)
            which = which_of_several(words, mention.start, mention.end, sentence.section, statement.grammar.verbs)
            for one in attributes.by_level():
                yield ReportFact(mention.concept, mention.polarity, one, (evidence,), spans, which)
            if mention.polarity == "absent":
                for concept in concepts[mention.concept].denies:
                    yield ReportFact(concept, "absent", NONE, (evidence,), spans)

    def _measure_last(self, target: list[ReportFact], size: Size, evidence: str) -> None:
        """Give a size to the last finding that has none."""
        if not target or target[-1].polarity != "present" or target[-1].attributes.size_mm:
            return
        last = target[-1]
        if self._lexicon.concepts[last.concept].has_size:
            attributes = replace(last.attributes, size_mm=size.mm)
            target[-1] = replace(last, attributes=attributes, evidence=(*last.evidence, evidence))


def _largest_of_all(named: Sequence[Mention], said: Sequence[Attributes]) -> list[tuple[Mention, Attributes]]:
    """What is said of each; of one of several the size alone is theirs: "five nodules, the largest being 8 mm"."""
    found: list[tuple[Mention, Attributes]] = []
    for mention, own in zip(named, said, strict=True):
        whole = found[-1][1] if found and found[-1][0].concept == mention.concept else NONE
        with_size = replace(whole, size_mm=own.size_mm)
        if mention.is_part and whole.count and not whole.size_mm and with_size.completed(own) == with_size:
            found[-1] = (found[-1][0], with_size)
        else:
            found.append((mention, own))
    return found


def _side_of(title: re.Match[str]) -> str:
    return "left" if title["side"].lower().startswith("l") else "right"


@cache
def speller_of(lexicon: Lexicon) -> Speller:
    """What corrects slips of the pen towards the words of a lexicon and of the language table."""
    return Speller(_words_of(lexicon))


@cache
def _words_of(lexicon: Lexicon) -> frozenset[str]:
    grammar = load_grammar()
    tables = (lexicon.terms, lexicon.organs, lexicon.qualities, lexicon.normal, grammar.cues, grammar.modifiers)
    return frozenset().union(*(table.words() for table in tables))


def _problem(reason: str, piece: str) -> Problem:
    text = piece if len(piece) <= 120 else f"{piece[:117]}..."
    return Problem(reason, f"a size in '{text}' is not taken")
