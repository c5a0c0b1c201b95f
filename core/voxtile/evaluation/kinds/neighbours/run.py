"""Running image retrieval: each unit looks for its like among the units of other subjects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference, LabelMatrix
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.inputs.embedded import embed_units
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.inputs.units import require_units, select_units
from voxtile.evaluation.kinds.neighbours.ranking import (
    average_precision_at,
    discounted_gain_at,
    precision_at,
    reciprocal_rank,
    shared_classes,
)
from voxtile.evaluation.kinds.neighbours.task import NeighboursTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

NAME = "thumbnail-neighbours"
_STRIP = 2_000_000  # similarities held at a time
_DECIMALS = 9  # what differs less is the same image, multiplied in another order


@dataclass(frozen=True, kw_only=True)
class NeighboursResult(Result):
    """Everything that is known after image retrieval.

    Attributes:
        task: the task.
        models: names in the rows: the model and the trivial baseline.
        queries: units that could find something.
    """

    task: NeighboursTask
    models: tuple[str, str]
    queries: int

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {"of": self.task.of.name, "queries": self.queries}

    def headlines(self, model: str) -> dict[str, Row]:
        """The model's figures, for the logger; mean average precision first."""
        own = {row.metric: row for row in self.rows if row.model == model and row.kind == "model"}
        first = f"map@{self.task.cutoffs[0]}"
        return {first: own[first], **own} if first in own else own


def metrics_of(task: NeighboursTask) -> list[str]:
    """Names of the metrics, as rows have them."""
    return [f"{name}@{k}" for name in ("precision", "map", "ndcg") for k in task.cutoffs] + ["mrr"]


def run_neighbours(model: EvaluationModel, corpus: Corpus, task: NeighboursTask, options: Options) -> NeighboursResult:
    """Run image retrieval.

    Raises:
        EvaluationError: nothing to evaluate, no two subjects show the same, or an embedding is not finite.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    require_units(splits, split, task)
    _, source = label_source(corpus, replace(task.of, name=task.name))
    labels = source.labels(splits[split])
    seen = embed_units(model, corpus, task, splits[split], batch_size=options.batch_size)
    subjects = seen.units.subjects
    search = _Search(task, labels, subjects, options)
    if not len(search.queries):
        raise EvaluationError(
            f"task '{task.name}': no {task.unit} of '{split}' shares a positive class with one of another subject"
        )
    rows = search.rows(model.name, "model", [search.found(seen.embeddings)])
    rows += search.rows(NAME, "trivial", [search.found(seen.thumbnails)])
    orders = permutations(subjects, seed=options.seed)
    rows += search.rows(model.name, "shuffled", [search.found(seen.embeddings[order]) for order in orders])
    return NeighboursResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=(*source.notes, *search.notes()),
        units=seen.units,
        sizes={split: seen.units.size},
        differences=tuple(d for d in [search.difference(model.name)] if d is not None),
        images=seen.images,
        models=(model.name, NAME),
        queries=len(search.queries),
    )


class _Search:
    """Ranks the units of other subjects for each query; every model on the same draws of subjects."""

    def __init__(
        self, task: NeighboursTask, labels: LabelMatrix, subjects: npt.NDArray[np.str_], options: Options
    ) -> None:
        self._task, self._labels = task, labels
        self._metrics = metrics_of(task)
        _, self._owner = np.unique(subjects, return_inverse=True)
        asked = np.flatnonzero((labels == 1).any(axis=1))
        self.queries = np.array([q for q in asked.tolist() if self._gains(np.array([q])).any()], dtype=np.int64)
        self._subjects = subjects[self.queries]
        self._draws = SubjectBootstrap(self._subjects, replicates=options.replicates, seed=options.seed)
        self._ties = np.random.default_rng([options.seed, 0x71E]).permutation(len(labels))
        self._means: dict[ScoreKind, Floats] = {}

    def notes(self) -> tuple[str, ...]:
        """Sentences about what was left out or refused."""
        left_out, found = len(self._labels) - len(self.queries), []
        if left_out:
            found.append(f"{left_out} of {len(self._labels)} show no class that another subject shows, and do not ask")
        if unknown := int((self._labels < 0).all(axis=1).sum()):
            found.append(f"{unknown} of {len(self._labels)} have no label, and are not in the gallery either")
        if self._few:
            found.append(f"refused, the queries come from only {len(set(self._subjects))} subjects")
        return tuple(found)

    def found(self, vectors: Floats) -> Floats:
        """[Q, M] every metric of each query, from embeddings [N, D] of length one."""
        strip = max(1, _STRIP // max(1, len(vectors)))
        parts = [self._strip(vectors, self.queries[i : i + strip]) for i in range(0, len(self.queries), strip)]
        return np.concatenate(parts)

    def _strip(self, vectors: Floats, queries: npt.NDArray[np.int64]) -> Floats:
        similarity = np.round(vectors[queries] @ vectors.T, _DECIMALS)
        similarity[~self._gallery(queries)] = -np.inf
        order = np.lexsort((np.broadcast_to(self._ties, similarity.shape), -similarity), axis=1)
        gains = self._gains(queries)
        ranked = np.take_along_axis(gains, order, axis=1)
        best, relevant, total = -np.sort(-gains, axis=1), ranked > 0, (gains > 0).sum(axis=1)
        columns = [precision_at(relevant, k) for k in self._task.cutoffs]
        columns += [average_precision_at(relevant, k, total) for k in self._task.cutoffs]
        columns += [discounted_gain_at(ranked, best, k) for k in self._task.cutoffs]
        return np.stack([*columns, reciprocal_rank(relevant)], axis=1)

    def _gains(self, queries: npt.NDArray[np.int64]) -> Floats:
        """[Q, N] what is shared with each unit; 0 with those outside the gallery."""
        return np.where(self._gallery(queries), shared_classes(self._labels[queries], self._labels), 0)

    def _gallery(self, queries: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """[Q, N] units of other subjects of which some class that the query shows is known, be it absent."""
        known = (self._labels[queries] == 1).astype(np.float32) @ (self._labels >= 0).astype(np.float32).T
        others = self._owner[queries][:, None] != self._owner[None]
        gallery: npt.NDArray[np.bool_] = others & (known > 0)
        return gallery

    @property
    def _few(self) -> bool:
        return len(np.unique(self._subjects)) < MINIMUM

    def rows(self, model: str, kind: ScoreKind, found: list[Floats]) -> list[Row]:
        """A row a metric; the mean over several rankings where there are."""
        values = np.mean(found, axis=0)
        drawn = [values.mean(axis=0, keepdims=True)]
        drawn += [(w.T @ values) / w.sum(axis=0)[:, None] for w in self._draws.weights()]
        measured = np.concatenate(drawn)
        self._means[kind] = measured[:, self._metrics.index(f"map@{self._task.cutoffs[0]}")]
        return [self._row(model, kind, metric, measured[:, m]) for m, metric in enumerate(self._metrics)]

    def _row(self, model: str, kind: ScoreKind, metric: str, values: Floats) -> Row:
        figure, interval = None, Interval(None, None)
        if not self._few:
            figure = float(values[0])
            interval = logit_interval(figure, values[1:], effective=len(np.unique(self._subjects)))
        count = len(self.queries)
        return Row(
            self._task.name, model, kind, metric, "none", None, figure, interval.low, interval.high, count, count
        )

    def difference(self, model: str) -> Difference | None:
        """Mean average precision at the first cutoff less the thumbnails', from the same draws."""
        if self._few:
            return None
        values = self._means["model"] - self._means["trivial"]
        interval = normal_interval(float(values[0]), values[1:], effective=len(np.unique(self._subjects)))
        metric = f"map@{self._task.cutoffs[0]}"
        return Difference(model, NAME, float(values[0]), interval.low, interval.high, metric, "none")


def by_kind(result: NeighboursResult, metric: str) -> Mapping[ScoreKind, Row]:
    """Rows of one metric: the model's, the trivial baseline's and the shuffled control's."""
    return {row.kind: row for row in result.rows if row.metric == metric}
