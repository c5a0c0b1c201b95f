"""Captions as dialogues of one question: what each kind answers, and sentences of single facts as one report."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from voxtile.assist.sequences import asked
from voxtile.errors import ConfigError
from voxtile.types import Batch, Turn

DESCRIBE = "Describe the image."
REPORT = "Write the report."
FINDINGS = "List the findings."
_FOUND, _DENIED, _UNKNOWN = range(3)

Place = tuple[int, int]
"""Of a sentence in a structured report: whether it states a finding (0), denies one or neither, and which concept."""
Joined = Callable[[int, str, Sequence[tuple[Place, str]], Batch], Turn]
"""An item, a kind of captions, their sentences in order and the batch, to a structured report."""


@dataclass(frozen=True)
class CaptionTurns:
    """What captions are answers to.

    Attributes:
        questions: by kind of caption; "" for all others.
        joined: kinds of which all that were drawn of an item make one answer, and what they answer.
        order: of these sentences, see `Answering`.
        findings: how much tokens of those count that state a finding.

    Raises:
        ConfigError: an order that does not exist, or a weight that is no number above 0.
    """

    questions: dict[str, str]
    joined: dict[str, str]
    order: Literal["findings", "concepts"]
    findings: float

    def __post_init__(self) -> None:
        if self.order not in ("findings", "concepts") or not 0 < self.findings < math.inf:
            raise ConfigError(f"Answering: order {self.order} with findings {self.findings} does not exist")

    @property
    def findings_question(self) -> str:
        """What a structured report is the answer to."""
        return next(iter(self.joined.values()), FINDINGS)

    def asked(self) -> list[str]:
        """All questions, as the language model reads them."""
        return [asked(question) for question in (*self.questions.values(), *self.joined.values())]

    def dialogues(self, batch: Batch, joined: Joined) -> list[tuple[int, tuple[Turn, ...]]]:
        """Captions of a batch as dialogues of one turn, with the item of each.

        Args:
            batch: with its texts.
            joined: makes a structured report of sentences, see `report`.
        """
        found: list[tuple[int, tuple[Turn, ...]]] = []
        kinds = batch.text_kinds or [""] * len(batch.texts)
        places = _report_places(batch)
        sentences: dict[tuple[int, str], list[tuple[Place, str]]] = defaultdict(list)
        for text, kind, item, place in zip(batch.texts, kinds, batch.text_item.tolist(), places, strict=True):
            if kind in self.joined:
                sentences[item, kind].append((place, text.strip()))
            else:
                found.append((item, (Turn(self.questions.get(kind, self.questions[""]), text, kind),)))
        for (item, kind), said in sentences.items():
            found.append((item, (joined(item, kind, sorted(said, key=self._sorted_by), batch),)))
        return found

    def report(self, kind: str, sentences: Sequence[tuple[Place, str]]) -> Turn:
        """Sentences in their order as one answer."""
        pieces = tuple((text, self.findings if place[0] == _FOUND else 1.0) for place, text in sentences)
        answer = " ".join(text for text, _ in pieces)
        return Turn(self.joined[kind], answer, kind, pieces=pieces if self.findings != 1 else ())

    def _sorted_by(self, sentence: tuple[Place, str]) -> tuple[Any, ...]:
        """What is alike stays in the order that was drawn."""
        (state, concept), text = sentence
        return (concept, state, text) if self.order == "concepts" else (state, concept)


def _report_places(batch: Batch) -> list[Place]:
    """Where each text stands in a structured report.

    In one order for all images a model need only learn what is there; where it is not known what texts state, they stay
    as they were drawn.
    """
    if batch.text_facts is None or not batch.text_facts.shape[1]:
        return [(_UNKNOWN, 0)] * len(batch.texts)
    present, absent = batch.text_facts == 1, batch.text_facts == 0
    states = torch.where(present.any(1), _FOUND, torch.where(absent.any(1), _DENIED, _UNKNOWN))
    first = torch.where(present.any(1, keepdim=True), present, absent).int().argmax(1)
    first = torch.where(states == _UNKNOWN, batch.text_facts.shape[1], first)  # after the others
    return list(zip(states.tolist(), first.tolist(), strict=True))
