"""Running the task: how often the description that fits is the nearer one (Green and Swets, 1966, chapter 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation import (
    Line,
    LinesSection,
    Options,
    Result,
    Row,
    Source,
    SubjectBootstrap,
    embed_texts,
    embed_units,
    logit_interval,
    permutations,
    require_units,
    select_units,
)
from voxtile.models import EvaluationModel
from voxtile_birdsong.choice.kind import ChoiceTask

METRIC = "correct"
_ABOUT = {
    "model": ("The model", "the nearer of the two descriptions"),
    "trivial": ("Always the same", "the answer that is right more often"),
    "shuffled": ("Shuffled", "every recording stands for one of another site; this is chance"),
}


@dataclass(frozen=True, kw_only=True)
class ChoiceResult(Result):
    """Everything that is known."""

    task: ChoiceTask
    model: str

    def details(self) -> dict[str, Any]:
        """For the provenance."""
        return {"alternatives": dict(self.task.alternatives)}

    def headlines(self, model: str) -> dict[str, Row]:
        """For the logger."""
        return {METRIC: next(row for row in self.rows if (row.model, row.kind) == (model, "model"))}


def run_choice(model: EvaluationModel, corpus: Corpus, task: ChoiceTask, options: Options) -> ChoiceResult:
    """Run one task.

    Raises:
        EvaluationError: no unit of the split has one of the two concepts alone.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    require_units(splits, split, task)
    seen = embed_units(model, corpus, task, splits[split], batch_size=options.batch_size)
    truth = _truth(corpus, seen.units.names, list(task.alternatives))
    asked = truth >= 0
    if not asked.any():
        raise EvaluationError(f"task '{task.name}': no recording of '{split}' has one of its two concepts alone")
    texts = embed_texts(model, list(task.alternatives.values()))
    subjects = seen.units.subjects[asked]
    draws = SubjectBootstrap(subjects, replicates=options.replicates, seed=options.seed)

    def row(name: str, kind: Any, answers: npt.NDArray[np.int64]) -> Row:
        hits = (answers == truth[asked]).astype(np.float64)
        drawn = np.concatenate([(w.T @ hits) / w.sum(axis=0) for w in draws.weights()])
        value = float(hits.mean())
        interval = logit_interval(value, drawn, effective=len(np.unique(subjects)))
        return Row(
            task.name, name, kind, METRIC, "micro", None, value, interval.low, interval.high, len(hits), int(hits.sum())
        )

    answers = (seen.embeddings @ texts.T).argmax(axis=1)
    (order,) = permutations(seen.units.subjects, seed=options.seed, count=1)
    common = np.full(int(asked.sum()), int(truth[asked].mean() >= 0.5))
    rows = (
        row(model.name, "model", answers[asked]),
        row("constant", "trivial", common),
        row(model.name, "shuffled", answers[order][asked]),
    )
    return ChoiceResult(
        task=task, split=split, rows=rows, units=seen.units, sizes={split: seen.units.size}, images=seen.images,
        model=model.name,
    )  # fmt: skip


def _truth(corpus: Corpus, names: tuple[str, ...], concepts: list[str]) -> npt.NDArray[np.int64]:
    """[N] which of two concepts a unit has, -1 where it has neither or both."""
    facts = corpus.table("facts", ["uid", "concept", "polarity"]).to_pylist()
    present = {(fact["uid"], fact["concept"]) for fact in facts if fact["polarity"] == "present"}
    found = np.array([[(name, concept) in present for concept in concepts] for name in names])
    return np.where(found.sum(axis=1) == 1, found.argmax(axis=1), -1).astype(np.int64)


def choice_section(result: ChoiceResult) -> LinesSection:
    """What the page shows."""
    return LinesSection(
        result=result,
        sources=[Source(kind, result.model, kind, *about) for kind, about in _ABOUT.items()],
        headline_title="The description that fits is the nearer one",
        tables=[("Two alternatives", [Line("Correct", {row.kind: row for row in result.rows})])],
        reading=f"Each recording is compared with '{' and '.join(result.task.alternatives.values())}'; chance is 0.5.",
    )
