"""Running a task of question answering: answers of a file, beside the commonest, blind ones and those of other images.

Nothing of the evaluated model is used: its answers are in a file.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.kinds.answers.figures import HEADLINE, Figures
from voxtile.evaluation.kinds.answers.places import Shown, Truths, places_of
from voxtile.evaluation.kinds.answers.questions import Asked, Question, answers_of, asked
from voxtile.evaluation.kinds.answers.task import AnswerTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

ANSWERS, COMMONEST, BLIND = "answers", "commonest-answer", "blind-answers"


Told: TypeAlias = dict[tuple[str, ScoreKind], list[str]]
"""Answers to each question, by whose they are."""


@dataclass(frozen=True, kw_only=True)
class AnswerResult(Result):
    """Everything that is known after a task of question answering.

    Attributes:
        task: the task.
        told: whose answers were read.
        counts: questions by kind.
    """

    task: AnswerTask
    told: tuple[tuple[str, ScoreKind], ...]
    counts: Mapping[str, int]

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {"answers": self.task.answers.name, "questions": dict(self.counts)}

    def headlines(self, model: str) -> dict[str, Row]:
        """The share of right answers among questions that the image answers."""
        return {HEADLINE: next(r for r in self.rows if (r.model, r.kind, r.metric, r.class_name) ==
                               (ANSWERS, "model", HEADLINE, None))}  # fmt: skip


def run_answers(model: EvaluationModel, corpus: Corpus, task: AnswerTask, options: Options) -> AnswerResult:
    """Run one task of question answering.

    Raises:
        EvaluationError: no question has an answer, or a file is none of answers to questions of this corpus.
    """
    found = asked(corpus, task, options.split or task.split)
    own, units = found.own, found.units
    told: Told = {(ANSWERS, "model"): [found.given[question.dialogue_id] for question in own]}
    told |= _controls(task, found, options)
    figures = Figures(task, found, options)
    rows = [row for (name, kind), texts in told.items() for row in figures.rows(name, kind, texts)]
    if found.confidence is not None:
        rows += figures.sure(ANSWERS, told[ANSWERS, "model"], found.confidence)
    rows += _of_places(corpus, task, found, figures, options)
    few = len(np.unique(units.subjects)) < MINIMUM
    notes = [f"no figure: fewer than {MINIMUM} subjects have an answered question"] if few else []
    if len(own) < found.of_split:
        missing = found.of_split - len(own)
        notes.append(f"{missing:,} questions of the split have no answer in the file, and count nowhere")
    return AnswerResult(
        task=task, split=found.split, rows=tuple(rows),
        notes=tuple(notes),
        units=units, sizes={found.split: units.size}, differences=() if few else difference(figures, told),
        images=CorpusImages(corpus, model.preset, [], options.batch_size), told=tuple(told),
        counts=dict(Counter(question.kind for question in own)),
    )  # fmt: skip


def difference(figures: Figures, told: Told) -> tuple[Difference, ...]:
    """Accuracy, less that of blind answers, else of the commonest."""
    other = next((name for name in (BLIND, COMMONEST) if (name, "trivial") in told), None)
    values = None if other is None else figures.gained(told[ANSWERS, "model"], told[other, "trivial"])
    if other is None or values is None:
        return ()
    interval = normal_interval(float(values[0]), values[1:], effective=figures.subjects)
    return (Difference(ANSWERS, other, float(values[0]), interval.low, interval.high, HEADLINE, "micro"),)


def _controls(task: AnswerTask, found: Asked, options: Options) -> Told:
    """The commonest answer of each kind in the training split, blind answers, and answers about other images."""
    trained = set(found.selected["train"].uids)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for question in found.every:
        if question.uid in trained:
            seen[question.kind][question.answer] += 1
    told: Told = {}
    if seen:
        common = {kind: min(counts, key=lambda answer: (-counts[answer], answer)) for kind, counts in seen.items()}
        told[COMMONEST, "trivial"] = [common.get(question.kind, "") for question in found.own]
    if task.blind is not None:
        told[BLIND, "trivial"] = _to_each(found.own, answers_of(task.blind, found.known))
    if task.shuffled is not None:
        told[ANSWERS, "shuffled"] = _to_each(found.own, answers_of(task.shuffled, found.known))
    else:
        others = _others(found, options.seed)
        told[ANSWERS, "shuffled"] = ["" if other is None else found.given[other.dialogue_id] for other in others]
    return told


def _to_each(own: Sequence[Question], answers: Mapping[str, str]) -> list[str]:
    return [answers.get(question.dialogue_id, "") for question in own]


def _others(found: Asked, seed: int) -> list[Question | None]:
    """For each question one of its kind about another subject's image; None where there is none."""
    (order,) = permutations(found.units.subjects, seed=seed, count=1)
    by_unit: dict[tuple[int, str], list[Question]] = defaultdict(list)
    for question, place in zip(found.own, found.unit.tolist(), strict=True):
        by_unit[place, question.kind].append(question)
    told: list[Question | None] = []
    for number, (question, place) in enumerate(zip(found.own, found.unit.tolist(), strict=True)):
        others = by_unit.get((int(order[place]), question.kind), [])
        told.append(others[number % len(others)] if others else None)
    return told


def _of_places(corpus: Corpus, task: AnswerTask, found: Asked, figures: Figures, options: Options) -> list[Row]:
    """How well answers point, beside blind ones and places of other subjects' images; none where no file says where."""
    own = places_of(task.answers, found.own)
    truths = None if own is None else Truths(corpus, found.own)
    if own is None or truths is None or not truths.some:
        return []
    shown: dict[tuple[str, ScoreKind], dict[str, Shown]] = {(ANSWERS, "model"): own}
    controls: tuple[tuple[Path | None, str, ScoreKind], ...] = (
        (task.blind, BLIND, "trivial"), (task.shuffled, ANSWERS, "shuffled"),
    )  # fmt: skip
    for path, name, kind in controls:
        if path is not None and (given := places_of(path, found.own)) is not None:
            shown[name, kind] = given
    if task.shuffled is None:
        others = zip(found.own, _others(found, options.seed), strict=True)
        shown[ANSWERS, "shuffled"] = {
            question.dialogue_id: own[other.dialogue_id]
            for question, other in others if other is not None and other.dialogue_id in own
        }  # fmt: skip
    return [row for (name, kind), one in shown.items() for row in figures.places(name, kind, truths.scores(one))]
