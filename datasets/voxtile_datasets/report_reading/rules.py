"""What the reader of a domain offers: rows for the corpus, and what a model's statements are held against."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from voxtile.corpus.records import Row
from voxtile.engine.task import Part

Polarity: TypeAlias = Literal["present", "absent", "uncertain"]
Span: TypeAlias = tuple[int, int]
"""Characters (start, end) of a report, half-open."""

RULES_SOURCE = "reports@"
"""Beginning of the source of facts that rules read; the lexicon's version follows."""

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
class RuleRows:
    """What the rules write of one report.

    Attributes:
        facts: rows of the facts table.
        scopes: rows of the scopes table.
        unread: sentences that tell findings and say nothing known, as the report writes them.
        parts: what else goes into the ledger.
        is_refused: it is not read at all, see `parts`.
    """

    facts: list[Row] = field(default_factory=list)
    scopes: list[Row] = field(default_factory=list)
    unread: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    is_refused: bool = False


@dataclass(frozen=True)
class RuleReading:
    """What the rules make of one report, so that a model's statements can be held against it.

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
        lexicon_version: that facts record.
    """

    @property
    def task(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def lexicon_version(self) -> str: ...  # noqa: D102

    def config(self) -> Mapping[str, Any]:
        """Settings that change what is read."""

    def words(self) -> frozenset[str]:
        """Words that any report may have, in lower case."""

    def rows(self, uid: str, text: str) -> RuleRows:
        """What a report adds to the corpus where the rules read it alone."""

    def read(self, uid: str, text: str) -> RuleReading:
        """Read a report beside a model."""

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


def finding_row(
    uid: str, concept: str, polarity: Polarity, attributes: Mapping[str, Any], code: str | None, version: str
) -> Row:
    """What rules read of one finding, as a row of the facts table.

    Args:
        uid: of the sample.
        concept: its name.
        polarity: as read.
        attributes: what else is said, with the words that say it.
        code: in an ontology.
        version: of the lexicon.
    """
    return {
        "uid": uid,
        "concept": concept,
        "polarity": polarity,
        "attributes": json.dumps(attributes, sort_keys=True),
        "code": code,
        "source": f"{RULES_SOURCE}{version}",
    }
