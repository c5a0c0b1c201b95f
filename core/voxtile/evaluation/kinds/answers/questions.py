"""The questions of a task, with the answers that a file gives to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.units import Units, chosen, select_units
from voxtile.evaluation.kinds.answers.scoring import CHOICE, CLOSED, IN_SENTENCES
from voxtile.evaluation.kinds.answers.task import AnswerTask
from voxtile.evaluation.kinds.reports.texts import read_column, read_texts

_COLUMNS = ["dialogue_id", "turn", "role", "uids", "kind", "answer", "provider", "region_ids"]


@dataclass(frozen=True)
class Question:
    """One question with a short answer.

    Attributes:
        dialogue_id, kind, answer: as in the table.
        uid: of the image it is about; of several the last, which is the newest.
        regions: ids of those that its answer points at.
    """

    dialogue_id: str
    kind: str
    answer: str
    uid: str
    regions: tuple[str, ...] = ()

    @property
    def is_closed(self) -> bool:
        """Whether the answer is one of a few."""
        return self.answer in CLOSED and self.kind not in IN_SENTENCES  # a place may be "left" or "lower left"

    @property
    def is_choice(self) -> bool:
        """Whether it names its answers itself, each after a letter."""
        return self.kind == CHOICE


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked about a split and answered.

    Attributes:
        split: its name.
        selected: units of all splits.
        known: ids of all questions of the corpus, of kinds that the task leaves out, too.
        every: all questions of the task.
        own: those of the split that have an answer.
        given: answers of the file.
        confidence: [Q] of the answers to `own`; None where the file has none.
        units: of the split that have an answered question.
        unit: [Q] place of each question's.
        of_split: number of questions of the split, answered or not.
    """

    split: str
    selected: Mapping[str, Units]
    known: frozenset[str]
    every: Sequence[Question]
    own: Sequence[Question]
    given: Mapping[str, str]
    confidence: Floats | None
    units: Units
    unit: npt.NDArray[np.int64]
    of_split: int


def asked(corpus: Corpus, task: AnswerTask, split: str) -> Asked:
    """The questions of a split with their answers.

    Raises:
        EvaluationError: no question has an answer, or the file is none of answers to questions of this corpus.
    """
    selected = select_units(corpus, task)
    every, known = questions_of(corpus, task)
    given = answers_of(task.answers, known)
    owner = dict(zip(selected[split].uids, selected[split].owner.tolist(), strict=True))
    own = [question for question in every if question.dialogue_id in given and question.uid in owner]
    if not own:
        raise EvaluationError(
            f"task '{task.name}': no question about a sample of the split '{split}' has an answer in '{task.answers}'; "
            "make questions with: voxtile instruct CORPUS"
        )
    kept, unit = np.unique([owner[question.uid] for question in own], return_inverse=True)
    return Asked(
        split, selected, known, every, own, given, _confidence(task.answers, own), chosen(selected[split], kept), unit,
        sum(question.uid in owner for question in every),
    )  # fmt: skip


def questions_of(corpus: Corpus, task: AnswerTask) -> tuple[list[Question], frozenset[str]]:
    """Questions of a task, and ids of all: of one turn with a short answer, that no fact contradicts, by their id."""
    turns: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in corpus.table("dialogues", columns=[*_COLUMNS, "verdict"]).to_pylist():
        turns[row["dialogue_id"]].append(row)
    found, known = [], set()
    for name, rows in sorted(turns.items()):
        last = max(rows, key=lambda row: row["turn"])
        fits = (not task.kinds or last["kind"] in task.kinds) and (
            not task.providers or last["provider"] in task.providers
        )
        if len(rows) == 2 and last["answer"] and last["uids"] and last["verdict"] != "contradicted":
            known.add(name)
            if fits:
                regions = tuple(last["region_ids"] or ())
                found.append(Question(name, last["kind"], last["answer"], last["uids"][-1], regions))
    return found, frozenset(known)


def answers_of(path: Path, known: Collection[str]) -> dict[str, str]:
    """Answers of a file by the id of their question.

    Raises:
        EvaluationError: it is no such file, or answers a question twice.
    """
    rows = read_texts(path, known, ("dialogue_id", "text"))
    found = {row["dialogue_id"]: row["text"] for row in rows}
    if len(found) < len(rows):
        raise EvaluationError(f"'{path}' answers a question twice; leave one answer a dialogue_id")
    return found


def _confidence(path: Path, own: Sequence[Question]) -> Floats | None:
    found = read_column(path, "dialogue_id", "confidence")
    if found is None:
        return None
    try:
        values = np.array([float(found[question.dialogue_id]) for question in own])
    except (TypeError, ValueError):
        values = np.array([np.nan])
    if not ((values >= 0) & (values <= 1)).all():
        raise EvaluationError(f"'{path}' has a confidence that is no number from 0 to 1; mend it or leave it out")
    return values
