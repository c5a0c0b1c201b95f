"""What a reader makes of one drafted report beside the facts of its case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from voxtile.corpus.reader import Corpus
from voxtile.domain import Command

ERRORS = (
    "false_finding", "omitted_finding", "wrong_place", "wrong_severity", "false_comparison", "omitted_comparison",
)  # fmt: skip
"""The six kinds of errors of CheXprompt (Zambrano Chaves et al., Nature Communications 16, 2025), counted by rules."""

DETAILS = ("side", "place", "size")
"""Of a finding that is rightly said to be there."""


@dataclass(frozen=True)
class DraftReading:
    """One drafted report, read.

    Attributes:
        truth: finding → present or absent, as far as facts and closed scopes decide it.
        said: finding → present, absent or uncertain, as far as the draft speaks of it.
        details: detail → findings that are there and are said to be there, of which the facts know it, each with
            whether the draft gives it and gives it rightly.
        errors: kind → how many.
        sentences, contradicted: of the draft, those that the facts contradict.
        statements, invented: what it says to be there, of that what facts or closed scopes speak against.
    """

    truth: Mapping[str, str]
    said: Mapping[str, str]
    details: Mapping[str, Mapping[str, bool]] = field(default_factory=dict)
    errors: Mapping[str, int] = field(default_factory=dict)
    sentences: int = 0
    contradicted: int = 0
    statements: int = 0
    invented: int = 0


Reader: TypeAlias = Callable[[Corpus, Sequence[tuple[str, str]]], list[DraftReading]]
"""Reads drafts, each with the uid of its case."""

LabelReader: TypeAlias = Callable[[str, str, Sequence[str]], list[Mapping[str, str]]]
"""Reads texts by a vocabulary of a domain's report reader: domain, vocabulary, texts → label → polarity of each."""


class Labeller(Protocol):
    """A model that labels reports.

    Attributes:
        name: of its figures.
        parts: further figures over some of its labels, by name.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def parts(self) -> Mapping[str, Sequence[str]]: ...  # noqa: D102

    def __call__(self, texts: Sequence[str]) -> list[dict[str, str]]:
        """Label → present or absent of each text."""
        ...


READER = Command("voxtile_datasets.report_reading.drafts:read_drafts", "reads drafted reports")
LABELLER = Command("voxtile_datasets.report_reading.drafts:open_labeller", "opens a model that labels reports")
LABELS = Command("voxtile_datasets.report_reading.drafts:read_labels", "reads labels of a vocabulary in reports")
