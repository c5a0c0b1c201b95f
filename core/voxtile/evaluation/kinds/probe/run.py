"""Running a probe: frozen embeddings, some labels, a penalty from validation; the thumbnail with as many labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from voxtile.corpus.reader import Corpus
from voxtile.data.presets.roles import StudyReader
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import EXAMPLES, SimpleFeatures, permutations
from voxtile.evaluation.figures.baselines import NAME as TRIVIAL
from voxtile.evaluation.figures.decisions import decide
from voxtile.evaluation.figures.figures import FigureTable, LabelMatrix, Scores
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, find_row
from voxtile.evaluation.inputs.encode import Encoded, unit_embeddings
from voxtile.evaluation.inputs.labels import label_source
from voxtile.evaluation.inputs.split_roles import encode_roles, role_images, sizes, units_by_role
from voxtile.evaluation.inputs.units import Units, require_units, select_units
from voxtile.evaluation.kinds.probe.abmil import Bags, fit_attention
from voxtile.evaluation.kinds.probe.regression import Fitted, Split, fit_probe
from voxtile.evaluation.kinds.probe.subsets import Integers, share_of_subjects, shots_of_classes
from voxtile.evaluation.kinds.probe.task import ProbeTask
from voxtile.evaluation.kinds.zero_shot.run import figure_table
from voxtile.evaluation.notes import evidence_notes, nothing_to_report
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

_CONSTANT = 1e-6  # features of the thumbnail that vary less carry nothing


@dataclass(frozen=True)
class Budget:
    """How many labels: a percentage of the training units, or units of each class."""

    share: float | None = None
    shots: int | None = None

    @property
    def label(self) -> str:
        """As rows have it, behind the model's name: `linear-probe@10%`, `few-shot@4`."""
        return f"linear-probe@{self.share:g}%" if self.share is not None else f"few-shot@{self.shots}"

    @property
    def title(self) -> str:
        """As people read it."""
        if self.share is not None:
            return f"{self.share:g} % of the labels"
        return f"{self.shots} of each class"


@dataclass(frozen=True, kw_only=True)
class ProbeResult(Result):
    """Everything that is known after a probe.

    Attributes:
        task: the task.
        model: the model's name.
        budgets: from the most labels to the fewest.
        labelled: training units whose labels were used, by the budget's label; the most over the draws.
        penalties: C (ABMIL: weight decay) of each draw, by the model's name in the rows.
        figures: names of the classes with enough evidence.
    """

    task: ProbeTask
    model: str
    budgets: tuple[Budget, ...]
    labelled: Mapping[str, int]
    penalties: Mapping[str, tuple[float, ...]]
    figures: tuple[str, ...]

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {
            "of": self.task.of.name,
            "pooling": self.task.pooling,
            "repeats": self.task.repeats,
            "labelled_units": dict(self.labelled),
            "penalties": {name: list(values) for name, values in self.penalties.items()},
        }

    def headlines(self, model: str) -> dict[str, Row]:
        """The macro AUROC of each budget, for the logger; `auroc` is that of the most labels."""
        rows = {b.label: _macro(self.rows, f"{model}+{b.label}") for b in self.budgets}
        found = {f"{label}/auroc": row for label, row in rows.items() if row is not None}
        largest = rows[self.budgets[0].label]
        return {"auroc": largest, **found} if largest is not None else found


def _macro(rows: Sequence[Row], name: str) -> Row | None:
    return find_row(rows, model=name, kind="model", metric="auroc", class_name=None)


def run_probe(model: EvaluationModel, corpus: Corpus, task: ProbeTask, options: Options) -> ProbeResult:
    """Run one probe.

    Raises:
        EvaluationError: no training split, nothing to evaluate, no class with enough evidence, or an embedding that is
            not finite.
        PresetError: the corpus cannot satisfy the model's preset.
    """
    split = options.split or task.split
    splits = select_units(corpus, task)
    units = {**units_by_role(splits, split, options.seed), "train": splits["train"]}
    require_units(splits, split, task)
    _check(task, units, split)
    of, source = label_source(corpus, replace(task.of, name=task.name))
    task = replace(task, of=replace(of, name=task.of.name))
    columns = [of.classes.index(item) for item in of.reported]
    labels = {role: source.labels(part)[:, columns] for role, part in units.items()}
    table = figure_table(of, units["reported"], labels["reported"], options)
    notes = evidence_notes(of, table, split)
    if not table.reported:
        raise nothing_to_report(of, split, [*source.notes, *notes])
    images = role_images(model.preset, corpus, task, units, options.batch_size)
    if isinstance(model.preset, StudyReader):
        units = {role: part.whole() for role, part in units.items()}
    features = SimpleFeatures(torch.stack([images.image(uid) for uid in units["train"].uids[:EXAMPLES]]))
    encoded = encode_roles(model, task, units, images, features, embedded=("train", "val", "reported"))
    probe = _Probe(model.name, task, units, labels, encoded, table, options)
    rows = [row for budget in probe.budgets for row in probe.rows(budget)]
    if not len(units["val"]):
        notes.append("the penalty is fixed: it may come from validation only, and there is none for it")
    return ProbeResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=(*source.notes, *notes, *probe.notes),
        units=units["reported"],
        sizes={**sizes(units, split), split: table.size},
        differences=tuple(
            found
            for b in probe.budgets
            if (found := table.difference(f"{model.name}+{b.label}", f"{TRIVIAL}+{b.label}")) is not None
        ),
        images=images,
        model=model.name,
        budgets=probe.budgets,
        labelled=probe.labelled,
        penalties=probe.penalties,
        figures=table.reported,
    )


def _check(task: ProbeTask, units: Mapping[str, Units], split: str) -> None:
    if split == "train":
        raise EvaluationError(f"task '{task.name}' is fitted on the split 'train' and cannot be reported on it")
    if not len(units["train"]):
        raise EvaluationError(
            f"task '{task.name}' needs labels to fit on, but the corpus has no split 'train' of the scheme "
            f"'{task.scheme}'; convert with splits"
        )


class _Probe:
    """Fits every budget on the same draws of training units, for the model and for the thumbnail."""

    def __init__(
        self,
        model: str,
        task: ProbeTask,
        units: Mapping[str, Units],
        labels: Mapping[str, LabelMatrix],
        encoded: Mapping[str, Encoded],
        table: FigureTable,
        options: Options,
    ) -> None:
        self._model, self._task, self._units, self._labels = model, task, units, labels
        self._table, self._seed = table, options.seed
        self._exclusive = task.of.exclusive
        self._encoded = encoded
        pooled = {role: _pooled(part, task.pooling) for role, part in encoded.items()}
        self._splits = {role: Split(pooled[role], labels[role]) for role in pooled}
        self._simple = {role: part.simple for role, part in encoded.items()}
        self._orders = permutations(units["reported"].subjects, seed=options.seed)
        self.budgets = tuple([Budget(share=s) for s in task.shares] + [Budget(shots=s) for s in reversed(task.shots)])
        self.labelled: dict[str, int] = {}
        self.penalties: dict[str, tuple[float, ...]] = {}
        self.notes: list[str] = []

    def rows(self, budget: Budget) -> list[Row]:
        """Rows of the probe, of the thumbnail with the same labels, and of the probe on shuffled images."""
        draws = self._draws(budget)
        self.labelled[budget.label] = max(len(np.unique(np.concatenate(draw))) for draw in draws)
        one_sided = self._one_sided(draws)
        if one_sided:
            names = ", ".join(one_sided)
            self.notes.append(f"{budget.title}: a draw shows no positive or no negative of {names}: no figure for it")
        fitted = [self._fitted(draw, number) for number, draw in enumerate(draws)]
        scores = self._scores(f"{self._model}+{budget.label}", fitted, one_sided)
        rows = self._table.rows(scores)
        simple = [self._thumbnail(draw) for draw in draws]
        rows += self._table.rows(self._scores(f"{TRIVIAL}+{budget.label}", simple, one_sided))
        return rows + self._table.rows(self._shuffled(scores))

    def _draws(self, budget: Budget) -> list[list[Integers]]:
        """For each draw and class, the training units whose label is used."""
        train, labels = self._units["train"], self._labels["train"]
        if budget.share == 100:
            return [[np.arange(len(train))] * labels.shape[1]]
        seeds = [(self._seed, 0xB0, repeat) for repeat in range(self._task.repeats)]
        if budget.share is not None:
            return [[share_of_subjects(train.subjects, budget.share, seed)] * labels.shape[1] for seed in seeds]
        shots = budget.shots or 0
        return [shots_of_classes(labels, train.subjects, shots, seed, exclusive=self._exclusive) for seed in seeds]

    def _one_sided(self, draws: Sequence[Sequence[Integers]]) -> tuple[str, ...]:
        """Classes of which a draw teaches nothing: it shows no positive, or no negative."""
        labels = self._labels["train"]
        return tuple(
            item.name
            for column, item in enumerate(self._task.of.reported)
            if any(not {0, 1} <= set(labels[draw[column], column].tolist()) for draw in draws)
        )

    def _fitted(self, draw: Sequence[Integers], number: int) -> Fitted:
        if self._task.pooling == "abmil":
            bags = {role: self._bags(role) for role in ("train", "val", "reported")}
            return fit_attention(
                bags["train"], draw, bags["val"], bags["reported"], exclusive=self._exclusive, seed=number
            )
        parts = self._splits
        return fit_probe(parts["train"], draw, parts["val"], parts["reported"], exclusive=self._exclusive)

    def _bags(self, role: str) -> Bags:
        part = self._encoded[role]
        vectors = np.zeros((0, 0)) if part.embeddings is None else part.embeddings
        return Bags(_scaled(vectors), part.units, self._labels[role])

    def _thumbnail(self, draw: Sequence[Integers]) -> Fitted:
        train = self._simple["train"][np.unique(np.concatenate(draw))]
        mean, spread = train.mean(axis=0), train.std(axis=0)
        kept = spread > _CONSTANT
        if not kept.any():  # one image
            kept, spread = np.ones_like(kept), np.ones_like(spread)
        parts = {
            role: Split((values.reshape(-1, len(kept))[:, kept] - mean[kept]) / spread[kept], self._labels[role])
            for role, values in self._simple.items()
        }
        return fit_probe(parts["train"], draw, parts["val"], parts["reported"], exclusive=self._exclusive)

    def _scores(self, name: str, fitted: Sequence[Fitted], one_sided: Sequence[str]) -> Scores:
        """Scores and decisions of each draw; a class is undecided if it is in any."""
        classes = tuple(self._table.counts)
        has_validation = bool(len(self._units["val"]))
        decisions = [
            decide(
                part.reported,
                (part.validation, self._labels["val"]) if has_validation else None,
                classes,
                exclusive=self._exclusive,
            )
            for part in fitted
        ]
        self.penalties[name] = tuple(part.penalty for part in fitted)
        return Scores(
            name,
            "trivial" if name.startswith(TRIVIAL) else "model",
            np.stack([part.reported for part in fitted]),
            np.stack([part.called for part in decisions]),
            frozenset().union(*(part.undecided for part in decisions)),
            frozenset(one_sided),
        )

    def _shuffled(self, scores: Scores) -> Scores:
        """The first draw's on images of other subjects."""
        return Scores(
            scores.model,
            "shuffled",
            np.stack([scores.values[0][order] for order in self._orders]),
            np.stack([scores.called[0][order] for order in self._orders]),
            scores.undecided,
            scores.unfitted,
        )


def _pooled(encoded: Encoded, pooling: str) -> npt.NDArray[np.float32]:
    """[N, D] features of units."""
    if encoded.embeddings is None:
        return np.zeros((0, 0), np.float32)
    if pooling == "max":
        order = np.argsort(encoded.units.owner, kind="stable")
        starts = np.searchsorted(encoded.units.owner[order], np.arange(len(encoded.units)))
        values: Floats = np.maximum.reduceat(encoded.embeddings[order], starts)
    else:
        values = unit_embeddings(encoded.embeddings, encoded.units)
    return _scaled(values)


def _scaled(vectors: Floats) -> npt.NDArray[np.float32]:
    """Vectors of length one with a mean square of 1, for which the penalties are meant."""
    scaled: npt.NDArray[np.float32] = (vectors * np.sqrt(vectors.shape[1])).astype(np.float32)
    return scaled
