"""What becomes of a model's statements: the rules' own, the model's alone, disputed, or none that can be taken.

A statement has to point to words of the report, and the lexicon has to know what they or the model call the finding.
Where the rules read the finding, theirs is what is written. Where they did not read the sentence, the statement is
taken and marked if the rules judge those very words as the model does. Else it is disputed, and the rules' word stands;
the one exception is a finding whose fact the rules take from these words alone while they judge them as the model does:
there two readings stand against one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from voxtile_datasets.report_reading.places import find_words, overlap, within
from voxtile_datasets.report_reading.reply import Claim
from voxtile_datasets.report_reading.rules import Polarity, RuleFact, RuleReader, RuleReading, Span

FIRMEST_FIRST: tuple[Polarity, ...] = ("present", "uncertain", "absent")
DISPUTED, DISTRUSTED = "disputed", "reply-distrusted"
_FEWEST_DISPUTES = 3  # of a reply in which more is disputed than agreed, for nothing of it to be taken
_SIDE_WORDS: Mapping[str, re.Pattern[str]] = {
    "left": re.compile(r"(?<![\w-])(?:left|lt|l)(?!\w)|\bL[UL]L\b", re.IGNORECASE),
    "right": re.compile(r"(?<![\w-])(?:right|rt|r)(?!\w)|\bR[UML]L\b", re.IGNORECASE),
    "bilateral": re.compile(r"\b(?:bilateral(?:ly)?|both|bibasal|bibasilar|biapical|left and right)\b", re.IGNORECASE),
}


@dataclass(frozen=True)
class ModelFact:
    """A statement that the model alone makes, and that the rules let pass.

    Attributes:
        concept: of the lexicon.
        polarity: as the model and the rules judge the words.
        words: of the report, as it writes them.
        span: where they stand.
        sentence: in which.
        called: what the model calls it, where the words themselves do not name the concept.
        side, place, size_mm: of the model, as far as the sentence says the same.
        rules: what the rules made of it, where two readings stand against that.
    """

    concept: str
    polarity: Polarity
    words: str
    span: Span
    sentence: str
    called: str | None = None
    side: str | None = None
    place: str | None = None
    size_mm: tuple[float, ...] = ()
    rules: Polarity | None = None


@dataclass(frozen=True)
class Refused:
    """A statement of the model that is not taken: a short name, and a sentence for people."""

    reason: str
    detail: str


@dataclass
class Comparison:
    """What became of the statements about one report.

    Attributes:
        agreed: statements that are the rules' own.
        added: what the model alone says, one a concept.
        refused: what is not taken.
        overruled: concepts whose facts of the rules two readings stand against.
        unread: sentences that neither the rules nor the model understood.
    """

    agreed: int = 0
    added: list[ModelFact] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    overruled: set[str] = field(default_factory=set)
    unread: tuple[Span, ...] = ()

    @property
    def disputed(self) -> list[Refused]:
        """Statements that the rules speak against."""
        return [refused for refused in self.refused if refused.reason == DISPUTED]


def compare(claims: Iterable[Claim], reading: RuleReading, report: str, rules: RuleReader) -> Comparison:
    """Hold a model's statements about a report against the rules.

    Args:
        claims: of the model, each once.
        reading: of the rules.
        report: the text.
        rules: of the domain.
    """
    found = Comparison()
    added: list[ModelFact] = []
    for claim in claims:
        for outcome in _judged(claim, reading, report, rules):
            if outcome is None:
                found.agreed += 1
            elif isinstance(outcome, Refused):
                found.refused.append(outcome)
            else:
                added.append(outcome)
    if len(found.disputed) >= _FEWEST_DISPUTES and len(found.disputed) > found.agreed:
        why = "the rules speak against most of the reply"
        found.refused += [_refused(DISTRUSTED, fact.words, why) for fact in added]
        added = []
    found.added = list(_firmest(added))
    found.overruled = {fact.concept for fact in found.added if fact.rules is not None}
    found.unread = tuple(span for span in reading.unread if not any(overlap(fact.span, span) for fact in added))
    return found


def _judged(claim: Claim, reading: RuleReading, report: str, rules: RuleReader) -> Iterator[ModelFact | Refused | None]:
    """What becomes of one statement; None where the rules make it too."""
    spans = find_words(report, claim.words)
    if not spans:
        yield _refused("words-not-in-report", claim.words, "the report does not have these words")
        return
    held = [(span, sentence) for span in spans for sentence in reading.sentences if within(span, sentence)]
    if not held:
        several = any(overlap(span, sentence) for span in spans for sentence in reading.sentences)
        reason = "several-sentences" if several else "not-of-this-examination"
        said = "they run over more than one sentence" if several else "they tell no finding of this examination"
        yield _refused(reason, claim.words, said)
        return
    concepts, is_called = _concepts(claim, report, rules)
    if not concepts:
        yield _refused("not-named", claim.words, f"the lexicon has no '{claim.finding[:60]}'")
    for concept in concepts:
        yield _of_concept(concept, claim, held, reading, report, rules, is_called=is_called)


def _concepts(claim: Claim, report: str, rules: RuleReader) -> tuple[list[str], bool]:
    """The concepts that a statement is about, and whether only the model's name for it says so."""
    in_words = list(dict.fromkeys(rules.concepts_in(claim.words, report)))
    in_name = list(dict.fromkeys(rules.concepts_in(claim.finding, report)))
    both = [concept for concept in in_words if concept in in_name]
    if both or len(in_words) == 1:
        return both or in_words, False
    return ([] if in_words else in_name[-1:]), True


def _of_concept(
    concept: str,
    claim: Claim,
    held: Sequence[tuple[Span, Span]],
    reading: RuleReading,
    report: str,
    rules: RuleReader,
    *,
    is_called: bool,
) -> ModelFact | Refused | None:
    own = [fact for fact in reading.facts if fact.concept == concept]
    same = [fact for fact in own if fact.polarity == claim.polarity]
    if same:
        return None if any(_fits(fact, claim) for fact in same) else _dispute(claim, _told(same[0]))
    judged = [(_polarity(rules, report, span), span, sentence) for span, sentence in held]
    seconded = [(span, sentence) for polarity, span, sentence in judged if polarity == claim.polarity]
    at = [fact for fact in own if any(overlap(span, place) for span, _ in held for place in fact.spans)]
    if own and not (seconded and at == own and _rests_on(own, [span for span, _ in held])):
        # Another place of the report says it more firmly, and the words themselves say what the model says.
        return None if seconded and not at else _dispute(claim, _told(own[0]))
    if not seconded:
        polarity = judged[0][0]
        if polarity is None:
            return _refused("not-of-this-examination", claim.words, "they tell no finding of this examination")
        return _dispute(claim, polarity)
    span, sentence = seconded[0]
    if not own:
        firmer = rules.kinds_of(concept)
        denied = [fact for fact in reading.facts if fact.concept in firmer and fact.polarity == "absent"]
        if denied and claim.polarity != "absent":
            return _dispute(claim, _told(denied[0]))
        other = [fact for fact in reading.facts if any(overlap(span, place) for place in fact.spans)]
        if other:
            return _dispute(claim, f"{other[0].concept} {_told(other[0])}")
        if not any(overlap(span, gap) for gap in reading.unread):
            return _refused("read-otherwise", claim.words, f"the rules read the sentence, and no {concept} in it")
    text = " ".join(report[slice(*sentence)].split())
    return ModelFact(
        concept, claim.polarity, " ".join(report[slice(*span)].split()), span, text,
        claim.finding if is_called else None, _side(claim, text), _place(claim, text), _size(claim, text, rules),
        own[0].polarity if own else None,
    )  # fmt: skip


def _polarity(rules: RuleReader, report: str, span: Span) -> Polarity | None:
    """How the rules judge some words, with what denies or doubts them among the words: "not a metastasis"."""
    whole = rules.polarity_at(report, *span)
    last = report.rfind(" ", *span) + 1
    head = rules.polarity_at(report, last, span[1]) if last > span[0] else whole
    return head if whole == "present" else whole


def _fits(fact: RuleFact, claim: Claim) -> bool:
    """Whether neither the side nor the size speaks against the rules'."""
    sides = {fact.laterality, claim.side} - {None}
    sizes = [sorted(size) for size in (fact.size_mm, claim.size_mm) if size]
    alike = len(sizes) < 2 or max(sizes[0]) == max(sizes[1]) or sizes[0] == sizes[1]
    return len(sides) < 2 and alike


def _rests_on(facts: Sequence[RuleFact], spans: Sequence[Span]) -> bool:
    """Whether all that the rules read of a concept stands at some words."""
    places = [place for fact in facts for place in fact.spans]
    return bool(places) and all(any(overlap(place, span) for span in spans) for place in places)


def _firmest(facts: Sequence[ModelFact]) -> Iterator[ModelFact]:
    """One fact a concept: the firmest, and of these the one that says most."""
    by_concept: dict[str, list[ModelFact]] = {}
    for fact in facts:
        by_concept.setdefault(fact.concept, []).append(fact)
    for concept in sorted(by_concept):
        own = by_concept[concept]
        polarity = next(p for p in FIRMEST_FIRST if any(fact.polarity == p for fact in own))
        firm = [fact for fact in own if fact.polarity == polarity]
        yield max(firm, key=lambda fact: (sum(map(bool, (fact.side, fact.place, fact.size_mm))), -fact.span[0]))


def _side(claim: Claim, sentence: str) -> str | None:
    """The side, if the sentence says it; that of "bilateral" also by naming both."""
    if claim.side is None:
        return None
    said = [name for name, words in _SIDE_WORDS.items() if words.search(sentence)]
    return claim.side if claim.side in said or (claim.side == "bilateral" and {"left", "right"} <= set(said)) else None


def _place(claim: Claim, sentence: str) -> str | None:
    """The place as the sentence writes it, if it does."""
    found = find_words(sentence, claim.place) if claim.place else []
    return sentence[slice(*found[0])].lower() if found else None


def _size(claim: Claim, sentence: str, rules: RuleReader) -> tuple[float, ...]:
    """The size, if the rules read the same in the sentence."""
    wanted = sorted(claim.size_mm)
    return next((size for size in rules.sizes_in(sentence) if wanted and sorted(size) == wanted), ())


def _told(fact: RuleFact) -> str:
    return ", ".join(filter(None, (fact.polarity, fact.laterality, _size_text(fact.size_mm))))


def _dispute(claim: Claim, told: str) -> Refused:
    said = ", ".join(filter(None, (claim.polarity, claim.side, _size_text(claim.size_mm))))
    return _refused(DISPUTED, claim.words, f"the model says {claim.finding[:60]} {said}, the rules {told}")


def _size_text(size_mm: Sequence[float]) -> str:
    return " x ".join(f"{length:g}" for length in size_mm) + " mm" if size_mm else ""


def _refused(reason: str, words: str, why: str) -> Refused:
    quoted = " ".join(words.split())
    return Refused(reason, f"'{quoted if len(quoted) <= 100 else quoted[:97] + '...'}': {why}")
