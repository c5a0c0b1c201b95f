"""The rules of pathology beside a language model: what they read, and how they judge the words that it quotes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from voxtile_datasets.report_reading.places import find_words, within
from voxtile_datasets.report_reading.rules import Polarity, RuleFact, RuleReading, Span
from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.labels import Labels, load_labels
from voxtile_pathology.reports.lexicon import Lexicon, load_lexicon, words_in
from voxtile_pathology.reports.read import read_slide_report
from voxtile_pathology.reports.specimens import clauses_of
from voxtile_pathology.reports.task import SlideReportTask, fact_row, problems, refusal, source_of
from voxtile_pathology.reports.text.language import language
from voxtile_pathology.reports.text.quantities import sizes


@dataclass(frozen=True)
class PathologyRules:
    """The `RuleReader` of reports of slides.

    Attributes:
        alone: the task that reads by the rules alone.
    """

    alone: SlideReportTask

    @classmethod
    def of(cls, corpus: Path, lexicon: Path, vocabulary: str) -> PathologyRules:
        """The rules with a lexicon and a vocabulary."""
        return cls(SlideReportTask(corpus, lexicon, vocabulary))

    @property
    def task(self) -> str:
        """See `RuleReader`."""
        return self.alone.name

    @property
    def version(self) -> str:
        """See `RuleReader`."""
        return self.alone.version

    @property
    def source(self) -> str:
        """See `RuleReader`."""
        return source_of(self._lexicon)

    @property
    def lexicon_version(self) -> str:
        """See `RuleReader`."""
        return self._lexicon.version

    def config(self) -> Mapping[str, Any]:
        """See `RuleReader`."""
        return self.alone.config()

    def words(self) -> frozenset[str]:
        """See `RuleReader`."""
        return self._lexicon.terms.words()

    def read(self, uid: str, text: str) -> RuleReading:
        """See `RuleReader`."""
        refused = refusal(uid, text, self._lexicon)
        if refused is not None:
            return RuleReading(parts=(refused,), is_refused=True)
        reading = read_slide_report(text, self._lexicon)
        evidences = dict.fromkeys(clause.evidence for clause in clauses_of(text, self._lexicon))
        places = {evidence: find_words(text, evidence) for evidence in evidences}
        rows = [fact_row(uid, fact, self._lexicon) for fact in self._labels.facts(reading.facts)]
        names = self._labels.names(self._lexicon)
        scope = {"uid": uid, "vocabulary": self._labels.name, "closed": False, "concepts": names}
        return RuleReading(
            facts=tuple(_fact(fact, text, places) for fact in reading.facts),
            sentences=tuple(span for spans in places.values() for span in spans),
            unread=tuple(span for evidence in reading.unread for span in places.get(evidence, ())[:1]),
            tables={"facts": rows, "scopes": [scope]},
            labels=frozenset(row["concept"] for row in rows),
            parts=tuple(problems(uid, reading)),
        )

    def concepts_in(self, words: str, report: str) -> Sequence[str]:
        """See `RuleReader`."""
        found = words_in(words)
        return [named.concept for named in (*self._lexicon.findings_in(found), *self._lexicon.markers_in(found))]

    def polarity_at(self, report: str, start: int, end: int) -> Polarity | None:
        """See `RuleReader`; judged in the sentence that the words stand in."""
        for clause in clauses_of(report, self._lexicon):
            for first, last in find_words(report, clause.evidence):
                if within((start, end), (first, last)):
                    statement = language().statement(report[first:last])
                    words = statement.words
                    inside = [i for i, at in enumerate(words.starts) if start - first <= at < end - first]
                    return statement.polarity(inside[0], inside[-1] + 1) if inside else None
        return None

    def sizes_in(self, text: str) -> Sequence[tuple[float, ...]]:
        """See `RuleReader`."""
        return [size for _, _, size in sizes(text)]

    def kinds_of(self, concept: str) -> frozenset[str]:
        """See `RuleReader`."""
        return self._lexicon.ancestors(concept)

    def labels_of(self, concept: str, polarity: Polarity) -> Iterator[tuple[str, str | None]]:
        """See `RuleReader`."""
        for fact in self._labels.facts([SlideFact(concept, polarity)]):
            known = self._lexicon.concepts.get(fact.concept)
            yield fact.concept, known.code if known else None

    @cached_property
    def _lexicon(self) -> Lexicon:
        return load_lexicon(self.alone.lexicon)

    @cached_property
    def _labels(self) -> Labels:
        return load_labels(self.alone.vocabulary, self._lexicon)


def _fact(fact: SlideFact, text: str, places: Mapping[str, Sequence[Span]]) -> RuleFact:
    """A fact of the rules with the places of its words; one that only follows from another has none."""
    said: list[Span] = []
    if fact.implied_by is None:
        sentences = [span for evidence in fact.evidence for span in places.get(evidence, ())]
        inside = [(start, span) for start, end in sentences for span in find_words(text[start:end], fact.words)]
        said = [(start + first, start + last) for start, (first, last) in inside]
    attributes = fact.attributes
    return RuleFact(fact.concept, fact.polarity, attributes.laterality, attributes.size_mm, tuple(said))
