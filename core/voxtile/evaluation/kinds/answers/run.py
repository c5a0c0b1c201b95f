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
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Average, Row, ScoreKind
from voxtile.evaluation.inputs.units import Units, chosen, select_units
from voxtile.evaluation.kinds.answers.scoring import (
    CANNOT_BE_TOLD,
    CLOSED,
    choice_of,
    is_exact,
    is_refusal,
    token_f1,
)
from voxtile.evaluation.kinds.answers.task import AnswerTask
from voxtile.evaluation.kinds.reports.texts import read_texts
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

ANSWERS, COMMONEST, BLIND = "answers", "commonest-answer", "blind-answers"
HEADLINE = "accuracy"
_COLUMNS = ["dialogue_id", "turn", "role", "uids", "kind", "answer", "provider"]


Told: TypeAlias = dict[tuple[str, ScoreKind], list[str]]
"""Answers to each question, by whose they are."""


@dataclass(frozen=True)
class Question:
    """One question with a short answer.

    Attributes:
        dialogue_id, kind, answer: as in the table.
        uid: of the image it is about; of several the last, which is the newest.
    """

    dialogue_id: str
    kind: str
    answer: str
    uid: str

    @property
    def is_closed(self) -> bool:
        """Whether the answer is one of a few."""
        return self.answer in CLOSED


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
    split = options.split or task.split
    selected = select_units(corpus, task)
    every = questions_of(corpus, task)
    given = _answers(task.answers, every)
    own = [question for question in every if question.dialogue_id in given]
    owner = dict(zip(selected[split].uids, selected[split].owner.tolist(), strict=True))
    of_split = sum(question.uid in owner for question in every)
    own = [question for question in own if question.uid in owner]
    if not own:
        raise EvaluationError(
            f"task '{task.name}': no question about a sample of the split '{split}' has an answer in '{task.answers}'; "
            "make questions with: voxtile instruct CORPUS"
        )
    kept, unit = np.unique([owner[question.uid] for question in own], return_inverse=True)
    units = chosen(selected[split], kept)
    told: Told = {(ANSWERS, "model"): [given[question.dialogue_id] for question in own]}
    told |= _controls(task, every, own, selected, units, unit, given, options)
    figures = _Figures(task, own, units, unit, options)
    rows = [row for (name, kind), texts in told.items() for row in figures.rows(name, kind, texts)]
    few = len(np.unique(units.subjects)) < MINIMUM
    notes = [f"no figure: fewer than {MINIMUM} subjects have an answered question"] if few else []
    if len(own) < of_split:
        notes.append(f"{of_split - len(own):,} questions of the split have no answer in the file, and count nowhere")
    return AnswerResult(
        task=task, split=split, rows=tuple(rows),
        notes=tuple(notes),
        units=units, sizes={split: units.size}, differences=() if few else figures.difference(told),
        images=CorpusImages(corpus, model.preset, [], options.batch_size), told=tuple(told),
        counts=dict(Counter(question.kind for question in own)),
    )  # fmt: skip


def questions_of(corpus: Corpus, task: AnswerTask) -> list[Question]:
    """Questions of one turn with a short answer, that no fact contradicts, by their id."""
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in corpus.table("dialogues", columns=[*_COLUMNS, "verdict"]).to_pylist():
        turns[row["dialogue_id"]].append(row)
    found = []
    for name, rows in sorted(turns.items()):
        last = max(rows, key=lambda row: row["turn"])
        fits = (not task.kinds or last["kind"] in task.kinds) and (
            not task.providers or last["provider"] in task.providers
        )
        if fits and len(rows) == 2 and last["answer"] and last["uids"] and last["verdict"] != "contradicted":
            found.append(Question(name, last["kind"], last["answer"], last["uids"][-1]))
    return found


def _answers(path: Path, questions: Sequence[Question]) -> dict[str, str]:
    known = {question.dialogue_id for question in questions}
    rows = read_texts(path, known, ("dialogue_id", "text"))
    found = {row["dialogue_id"]: row["text"] for row in rows}
    if len(found) < len(rows):
        raise EvaluationError(f"'{path}' answers a question twice; leave one answer a dialogue_id")
    return found


def _controls(
    task: AnswerTask,
    every: Sequence[Question],
    own: Sequence[Question],
    selected: Mapping[str, Units],
    units: Units,
    unit: Any,  # noqa: ANN401 - [Q] the unit of each question
    given: Mapping[str, str],
    options: Options,
) -> Told:
    """The commonest answer of each kind in the training split, blind answers, and answers about other images."""
    trained = set(selected["train"].uids)
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for question in every:
        if question.uid in trained:
            seen[question.kind][question.answer] += 1
    told: Told = {}
    if seen:
        common = {kind: min(counts, key=lambda answer: (-counts[answer], answer)) for kind, counts in seen.items()}
        told[COMMONEST, "trivial"] = [common.get(question.kind, "") for question in own]
    if task.blind is not None:
        told[BLIND, "trivial"] = _to_each(own, _answers(task.blind, every))
    if task.shuffled is not None:
        told[ANSWERS, "shuffled"] = _to_each(own, _answers(task.shuffled, every))
    else:
        told[ANSWERS, "shuffled"] = _of_others(own, units, unit, given, options.seed)
    return told


def _to_each(own: Sequence[Question], answers: Mapping[str, str]) -> list[str]:
    return [answers.get(question.dialogue_id, "") for question in own]


def _of_others(own: Sequence[Question], units: Units, unit: Any, given: Mapping[str, str], seed: int) -> list[str]:  # noqa: ANN401
    """For each question the answer to one of its kind about another subject's image; empty where there is none."""
    (order,) = permutations(units.subjects, seed=seed, count=1)
    by_unit: dict[tuple[int, str], list[str]] = defaultdict(list)
    for question, place in zip(own, unit.tolist(), strict=True):
        by_unit[place, question.kind].append(given[question.dialogue_id])
    found = []
    for number, (question, place) in enumerate(zip(own, unit.tolist(), strict=True)):
        others = by_unit.get((int(order[place]), question.kind)) or [""]
        found.append(others[number % len(others)])
    return found


class _Figures:
    """Rows with intervals, on the same draws of subjects."""

    def __init__(self, task: AnswerTask, own: Sequence[Question], units: Units, unit: Any, options: Options) -> None:  # noqa: ANN401
        self._task, self._own, self._units, self._unit = task, own, units, unit
        self._drawn = SubjectBootstrap(units.subjects, replicates=options.replicates, seed=options.seed)
        choices: dict[str, set[str]] = defaultdict(set)
        for question in own:
            if question.is_closed:
                choices[question.kind].add(question.answer)
        self._choices = choices

    def rows(self, model: str, kind: ScoreKind, texts: Sequence[str]) -> list[Row]:
        """Accuracy of all, of closed and of open questions and of each kind; F1 of open ones; refusals."""
        right, answered = self._right(texts), self._answerable()
        closed = np.array([question.is_closed for question in self._own])
        refused = np.array([is_refusal(text) for text in texts], float)
        kinds = sorted({question.kind for question in self._own})
        of_kind = {name: np.array([question.kind == name for question in self._own]) for name in kinds}
        f1 = np.array([token_f1(text, question.answer) for text, question in zip(texts, self._own, strict=True)])
        exact = np.array([is_exact(text, question.answer) for text, question in zip(texts, self._own, strict=True)])
        figures: list[tuple[str, Average, str | None, Floats, Any]] = [
            (HEADLINE, "micro", None, right, answered),
            ("closed_accuracy", "micro", None, right, answered & closed),
            ("open_exact", "micro", None, exact.astype(float), answered & ~closed),
            ("open_f1", "micro", None, f1, answered & ~closed),
            ("refusal_recall", "micro", None, refused, ~answered),
            ("false_refusal", "micro", None, refused, answered),
        ]
        figures += [(HEADLINE, "none", name, right, of_kind[name] & answered) for name in kinds]
        return [self._row(model, kind, *figure) for figure in figures if figure[-1].any()]

    def difference(self, told: Told) -> tuple[Difference, ...]:
        """Accuracy, less that of blind answers, else of the commonest."""
        other = next((name for name in (BLIND, COMMONEST) if (name, "trivial") in told), None)
        counted = self._answerable()
        if other is None or not counted.any():
            return ()
        texts = (told[ANSWERS, "model"], told[other, "trivial"])
        own, others = (self._values(self._right(one), counted) for one in texts)
        values = own - others
        interval = normal_interval(float(values[0]), values[1:])
        return (Difference(ANSWERS, other, float(values[0]), interval.low, interval.high, HEADLINE, "micro"),)

    def _answerable(self) -> Any:  # noqa: ANN401 - [Q] bool
        return np.array([question.answer != CANNOT_BE_TOLD for question in self._own])

    def _right(self, texts: Sequence[str]) -> Floats:
        """[Q] closed: the right choice is named; open: the same words."""
        return np.array(
            [
                choice_of(text, self._choices[question.kind]) == question.answer
                if question.is_closed
                else is_exact(text, question.answer)
                for text, question in zip(texts, self._own, strict=True)
            ],
            float,
        )

    def _values(self, scores: Floats, counted: Any) -> Floats:  # noqa: ANN401
        """[1 + R] mean of the counted scores, and its replicates."""
        above = np.bincount(self._unit, weights=scores * counted, minlength=len(self._units))
        below = np.bincount(self._unit, weights=counted, minlength=len(self._units))
        parts = [np.array([above.sum() / below.sum()])]
        for weights in self._drawn.weights():
            total = below @ weights
            parts.append(np.divide(above @ weights, total, out=np.full(total.shape, np.nan), where=total > 0))
        return np.concatenate(parts)

    def _row(
        self,
        model: str,
        kind: ScoreKind,
        metric: str,
        average: Average,
        name: str | None,
        scores: Floats,
        counted: Any,  # noqa: ANN401
    ) -> Row:
        subjects = len(np.unique(self._units.subjects[self._unit[counted]]))
        values = self._values(scores, counted)
        enough = subjects >= MINIMUM
        value = float(values[0]) if enough else None
        interval = logit_interval(float(values[0]), values[1:], effective=subjects) if enough else Interval(None, None)
        return Row(self._task.name, model, kind, metric, average, name, value, interval.low, interval.high,
                   int(counted.sum()), round(float((scores * counted).sum())))  # fmt: skip
