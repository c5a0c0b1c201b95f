"""What the reader of a domain offers, so that a model's statements can be held against the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from voxtile.corpus.records import Row
from voxtile.engine.task import Part

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
Span: TypeAlias = tuple[int, int]
"""Characters (start, end) of a report, half-open."""

MODEL_SOURCE = "model-reports"
"""Beginning of the source of facts that a model alone read; no source of the rules begins so."""


@dataclass(frozen=True)
class RuleFact:
    """What the rules read of one finding.

    Attributes:
        concept: of the lexicon.
        polarity: as read.
        laterality: left, right or bilateral, where it is said.
        size_mm: one to three dimensions in millimetres, where they are said.
        spans: where the words that name it stand.
    """

    concept: str
    polarity: Polarity
    laterality: str | None = None
    size_mm: tuple[float, ...] = ()
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class RuleReading:
    """What the rules make of one report.

    Attributes:
        facts: of the lexicon, with those that follow from others.
        sentences: that tell findings of this examination; history, questions and comparisons are in none of them.
        unread: those of the sentences that say nothing known.
        tables: rows that the rules write, by table.
        labels: names that the rules' rows speak of.
        parts: what else goes into the ledger.
        is_refused: it is not read at all, see `parts`.
    """

    facts: tuple[RuleFact, ...] = ()
    sentences: tuple[Span, ...] = ()
    unread: tuple[Span, ...] = ()
    tables: Mapping[str, list[Row]] = field(default_factory=dict)
    labels: frozenset[str] = frozenset()
    parts: tuple[Part, ...] = ()
    is_refused: bool = False


class RuleReader(Protocol):
    """The rules of a domain for its reports, with one lexicon and one vocabulary.

    Attributes:
        task: name of the engine task that reads by these rules alone.
        version: of that task.
        source: of the facts that the rules write.
        lexicon_version: that facts record.
    """

    @property
    def task(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def source(self) -> str: ...  # noqa: D102

    @property
    def lexicon_version(self) -> str: ...  # noqa: D102

    def config(self) -> Mapping[str, Any]:
        """Settings that change what is read."""

    def words(self) -> frozenset[str]:
        """Words that any report may have, in lower case."""

    def read(self, uid: str, text: str) -> RuleReading:
        """Read a report."""

    def concepts_in(self, words: str, report: str) -> Sequence[str]:
        """Concepts that some words name, in reading order, as they are to be understood in a report."""

    def polarity_at(self, report: str, start: int, end: int) -> Polarity | None:
        """What the report says of the words at [start, end); None for history, a question, a condition."""

    def sizes_in(self, text: str) -> Sequence[tuple[float, ...]]:
        """Sizes of this examination in a sentence, in millimetres."""

    def kinds_of(self, concept: str) -> frozenset[str]:
        """Concepts whose absence excludes this one: what it is a kind of."""

    def labels_of(self, concept: str, polarity: Polarity) -> Iterator[tuple[str, str | None]]:
        """Under which names of the vocabulary such a fact is written, each with its code in an ontology."""
