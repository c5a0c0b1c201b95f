"""The rules of radiology: what they read alone, and how they judge the words that a language model quotes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from voxtile_datasets.report_reading.by_rules import refusal
from voxtile_datasets.report_reading.rules import Polarity, RuleFact, RuleReading, RuleRows, Span
from voxtile_medical.reports.assertion.grammar import ENGLISH, load_grammar
from voxtile_medical.reports.assertion.statements import Statement
from voxtile_medical.reports.body_region import BodyRegions
from voxtile_medical.reports.extract import NOT_FINDINGS, Reading, polarity_at, read_report, speller_of
from voxtile_medical.reports.lexicon import Lexicon, lexicon_files, load_lexicon
from voxtile_medical.reports.mentions import mentions
from voxtile_medical.reports.quantities.sizes import current, sizes
from voxtile_medical.reports.rows import fact_rows, problems, scope_rows
from voxtile_medical.reports.text.abbreviations import TABLE as ABBREVIATIONS
from voxtile_medical.reports.text.language import other_language
from voxtile_medical.reports.text.sections import Sentence, flattened, sentences
from voxtile_medical.reports.text.spelling import TABLE as SPELLING
from voxtile_medical.reports.text.tokens import pieces
from voxtile_medical.reports.vocabulary import Vocabulary, load_vocabulary

TABLES = (ENGLISH, ABBREVIATIONS, SPELLING)  # a change of these changes what is read
_FURTHEST_LABEL = 3  # characters between "Pleura:" and what is said under it


@dataclass(frozen=True)
class RadiologyRules:
    """The `RuleReader` of radiology reports.

    Attributes:
        lexicon: YAML of concepts.
        vocabulary: name or file of the vocabulary.
    """

    task: ClassVar[str] = "reports"
    version: ClassVar[str] = "6"

    lexicon: Path
    vocabulary: str

    @property
    def lexicon_version(self) -> str:
        """See `RuleReader`."""
        return self._lexicon.version

    def config(self) -> Mapping[str, Any]:
        """See `RuleReader`."""
        files = (*lexicon_files(self.lexicon), *TABLES)
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in files))
        return {
            "lexicon_sha256": digest.hexdigest(),
            "vocabulary": self._vocabulary.name,
            "vocabulary_sha256": self._vocabulary.sha256,
        }

    def words(self) -> frozenset[str]:
        """See `RuleReader`."""
        tables = (self._lexicon.terms, self._lexicon.organs, self._lexicon.qualities, self._lexicon.normal)
        return frozenset().union(*(table.words() for table in tables))

    def rows(self, uid: str, text: str) -> RuleRows:
        """See `RuleReader`."""
        refused = self._refusal(uid, text)
        return self._rows(uid, text, read_report(text, self._lexicon)) if refused is None else refused

    def read(self, uid: str, text: str) -> RuleReading:
        """See `RuleReader`."""
        refused = self._refusal(uid, text)
        if refused is not None:
            return RuleReading(parts=refused.parts, is_refused=True)
        reading = read_report(text, self._lexicon)
        rows = self._rows(uid, text, reading)
        return RuleReading(
            facts=_facts(reading),
            sentences=tuple(map(_span, (one for one in sentences(text) if one.section not in NOT_FINDINGS))),
            unread=reading.unread,
            tables={"facts": rows.facts, "scopes": rows.scopes},
            labels=frozenset(row["concept"] for row in rows.facts),
            parts=rows.parts,
        )

    def concepts_in(self, words: str, report: str) -> Sequence[str]:
        """See `RuleReader`; not what a statement of normality denies."""
        regions, found = BodyRegions(report, self._lexicon), []
        for piece in pieces(flattened(words), Sentence(words, "findings", 0, len(words)), speller_of(self._lexicon)):
            statement = Statement(piece.words, load_grammar())
            named = regions.placed(list(mentions(statement, self._lexicon)), piece.words.words)
            found += [mention.concept for mention in named if not mention.is_closed]
        return found

    def polarity_at(self, report: str, start: int, end: int) -> Polarity | None:
        """See `RuleReader`."""
        return polarity_at(report, start, end, self._lexicon)

    def sizes_in(self, text: str) -> Sequence[tuple[float, ...]]:
        """See `RuleReader`."""
        return [size.mm for size in current(sizes(text)) if not size.problem]

    def kinds_of(self, concept: str) -> frozenset[str]:
        """See `RuleReader`."""
        return frozenset(name for name, other in self._lexicon.concepts.items() if concept in other.denies)

    def labels_of(self, concept: str, polarity: Polarity) -> Iterator[tuple[str, str | None]]:
        """See `RuleReader`."""
        for name, label in self._vocabulary.labels.items():
            if concept in label.own or (concept in label.kinds and polarity != "absent"):
                known = self._lexicon.concepts.get(name)
                yield name, known.code if known else None

    def _refusal(self, uid: str, text: str) -> RuleRows | None:
        words = self._lexicon.words()
        refused = refusal(uid, text, "one examination", lambda report: other_language(report, words))
        return None if refused is None else RuleRows(parts=(refused,), is_refused=True)

    def _rows(self, uid: str, text: str, reading: Reading) -> RuleRows:
        return RuleRows(
            list(fact_rows(uid, reading, self._lexicon, self._vocabulary)),
            list(scope_rows(uid, self._vocabulary, self._vocabulary.closed(reading))),
            tuple(text[start:end] for start, end in reading.unread),
            tuple(problems(uid, reading)),
        )

    @property
    def _lexicon(self) -> Lexicon:
        return load_lexicon(self.lexicon)

    @property
    def _vocabulary(self) -> Vocabulary:
        return load_vocabulary(self.vocabulary, self._lexicon)


def _facts(reading: Reading) -> tuple[RuleFact, ...]:
    return tuple(
        RuleFact(fact.concept, fact.polarity, fact.attributes.laterality, fact.attributes.size_mm, fact.spans)
        for fact in (*reading.facts, *reading.elsewhere)
    )


def _span(sentence: Sentence) -> Span:
    """A sentence with the label right before it, which is a part of what it says."""
    start = sentence.start
    for first, last in () if sentence.is_carried else sentence.context:
        if 0 <= start - last <= _FURTHEST_LABEL:
            start = first
    return start, sentence.end
