"""The rules of pathology: what they read alone, and how they judge the words that a language model quotes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from voxtile_datasets.report_reading.by_rules import refusal
from voxtile_datasets.report_reading.places import find_words, within
from voxtile_datasets.report_reading.rules import Polarity, RuleFact, RuleReading, RuleRows, Span
from voxtile_pathology.reports.fact import SlideFact
from voxtile_pathology.reports.labels import Labels, load_labels
from voxtile_pathology.reports.lexicon import Lexicon, lexicon_files, load_lexicon, words_in
from voxtile_pathology.reports.read import Reading, read_slide_report
from voxtile_pathology.reports.rows import fact_row, problems
from voxtile_pathology.reports.specimens import clauses_of
from voxtile_pathology.reports.text.language import CUES, language
from voxtile_pathology.reports.text.quantities import sizes


@dataclass(frozen=True)
class PathologyRules:
    """The `RuleReader` of reports of slides.

    Attributes:
        lexicon: YAML of concepts.
        vocabulary: name of the scope, or file of labels.
    """

    task: ClassVar[str] = "slide-reports"
    version: ClassVar[str] = "2"

    lexicon: Path
    vocabulary: str

    @property
    def lexicon_version(self) -> str:
        """See `RuleReader`."""
        return self._lexicon.version

    def config(self) -> Mapping[str, Any]:
        """See `RuleReader`."""
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in (*lexicon_files(self.lexicon), CUES)))
        labels = self._labels
        return {"lexicon_sha256": digest.hexdigest(), "vocabulary": labels.name, "vocabulary_sha256": labels.sha256}

    def words(self) -> frozenset[str]:
        """See `RuleReader`."""
        return self._lexicon.terms.words()

    def rows(self, uid: str, text: str) -> RuleRows:
        """See `RuleReader`."""
        refused = self._refusal(uid, text)
        return self._rows(uid, read_slide_report(text, self._lexicon)) if refused is None else refused

    def read(self, uid: str, text: str) -> RuleReading:
        """See `RuleReader`."""
        refused = self._refusal(uid, text)
        if refused is not None:
            return RuleReading(parts=refused.parts, is_refused=True)
        reading = read_slide_report(text, self._lexicon)
        rows = self._rows(uid, reading)
        evidences = dict.fromkeys(clause.evidence for clause in clauses_of(text, self._lexicon))
        places = {evidence: find_words(text, evidence) for evidence in evidences}
        return RuleReading(
            facts=tuple(_fact(fact, text, places) for fact in reading.facts),
            sentences=tuple(span for spans in places.values() for span in spans),
            unread=tuple(span for evidence in reading.unread for span in places.get(evidence, ())[:1]),
            tables={"facts": rows.facts, "scopes": rows.scopes},
            labels=frozenset(row["concept"] for row in rows.facts),
            parts=rows.parts,
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

    def _refusal(self, uid: str, text: str) -> RuleRows | None:
        words = self._lexicon.words()
        refused = refusal(uid, text, "one case", lambda report: language().other_language(report, words))
        return None if refused is None else RuleRows(parts=(refused,), is_refused=True)

    def _rows(self, uid: str, reading: Reading) -> RuleRows:
        names = self._labels.names(self._lexicon)
        return RuleRows(
            [fact_row(uid, fact, self._lexicon) for fact in self._labels.facts(reading.facts)],
            # What a report does not mention stays unknown: no report of pathology says that it names everything.
            [{"uid": uid, "vocabulary": self._labels.name, "closed": False, "concepts": names}],
            reading.unread,
            tuple(problems(uid, reading)),
        )

    @property
    def _lexicon(self) -> Lexicon:
        return load_lexicon(self.lexicon)

    @property
    def _labels(self) -> Labels:
        return load_labels(self.vocabulary, self._lexicon)


def _fact(fact: SlideFact, text: str, places: Mapping[str, Sequence[Span]]) -> RuleFact:
    """A fact of the rules with the places of its words; one that only follows from another has none."""
    said: list[Span] = []
    if fact.implied_by is None:
        sentences = [span for evidence in fact.evidence for span in places.get(evidence, ())]
        inside = [(start, span) for start, end in sentences for span in find_words(text[start:end], fact.words)]
        said = [(start + first, start + last) for start, (first, last) in inside]
    attributes = fact.attributes
    return RuleFact(fact.concept, fact.polarity, attributes.laterality, attributes.size_mm, tuple(said))
