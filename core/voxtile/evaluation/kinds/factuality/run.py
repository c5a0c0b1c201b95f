"""Running a task of caption factuality: every caption is judged by the facts of its sample, and by another subject's.

Nothing of the evaluated model is used: its name stands in no row, and several models share one set of figures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from voxtile.corpus.reader import Corpus
from voxtile.data.images import CorpusImages
from voxtile.domain import Command
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.baselines import permutations
from voxtile.evaluation.figures.bootstrap import MINIMUM, Interval, SubjectBootstrap, logit_interval, normal_interval
from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.inputs.units import Units, chosen, select_units
from voxtile.evaluation.kinds.factuality.task import FactualityTask
from voxtile.evaluation.options import Options
from voxtile.evaluation.result import Result
from voxtile.models.protocol import EvaluationModel

VERDICTS = ("supported", "unknown", "unsupported", "contradicted")
NAME = "captions"
CHECKER = Command("voxtile_datasets.captions.checker.given:judge_texts", "judges texts by facts")
_SHUFFLES = 3

Judge = Callable[[Corpus, Sequence[tuple[str, str]]], list[str]]


@dataclass(frozen=True, kw_only=True)
class FactualityResult(Result):
    """Everything that is known after a task of caption factuality.

    Attributes:
        task: the task.
        counts: captions by kind.
    """

    task: FactualityTask
    counts: dict[str, int]

    def details(self) -> dict[str, Any]:
        """What the provenance says of it beyond its splits."""
        return {"captions": self.counts, "table": None if self.task.table is None else self.task.table.name}

    def headlines(self, model: str) -> dict[str, Row]:
        """The share of supported captions."""
        row = next(r for r in self.rows if (r.kind, r.metric, r.class_name) == ("model", VERDICTS[0], None))
        return {VERDICTS[0]: row}


@dataclass(frozen=True)
class _Told:
    """C captions: the unit, kind and text of each."""

    unit: npt.NDArray[np.int64]
    uid: list[str]
    kind: npt.NDArray[np.str_]
    text: list[str]


def run_factuality(model: EvaluationModel, corpus: Corpus, task: FactualityTask, options: Options) -> FactualityResult:
    """Run one task of caption factuality.

    Raises:
        EvaluationError: no caption to judge, or a table that is none of captions of this corpus.
    """
    split = options.split or task.split
    selected = select_units(corpus, task)[split]
    told, units = _told(corpus, task, selected, split)
    judge: Judge = CHECKER.load()
    own = judge(corpus, list(zip(told.uid, told.text, strict=True)))
    mixed = []
    for order in permutations(units.subjects, seed=options.seed, count=_SHUFFLES):
        others = [units.names[order[unit]] for unit in told.unit]
        mixed.append(judge(corpus, list(zip(others, told.text, strict=True))))
    table = _Rates(task.name, told, units, options)
    rows = [*table.rows("model", [own]), *table.rows("shuffled", mixed)]
    kinds, counts = np.unique(told.kind, return_counts=True)
    few = len(np.unique(units.subjects)) < MINIMUM
    return FactualityResult(
        task=task,
        split=split,
        rows=tuple(rows),
        notes=(f"no figure: fewer than {MINIMUM} subjects have a caption",) if few else (),
        units=units,
        sizes={split: units.size},
        differences=tuple(d for d in [table.difference(own, mixed)] if d is not None),
        images=CorpusImages(corpus, model.preset, [], options.batch_size),
        counts=dict(zip(kinds.tolist(), counts.tolist(), strict=True)),
    )


def _told(corpus: Corpus, task: FactualityTask, selected: Units, split: str) -> tuple[_Told, Units]:
    """Captions of the selected samples, and the units that have any."""
    owner = dict(zip(selected.uids, selected.owner.tolist(), strict=True))
    rows = [row for row in _captions(corpus, task) if row["uid"] in owner]
    if not rows:
        kinds = f" of the kind {' or '.join(task.captions)}" if task.captions else ""
        raise EvaluationError(
            f"task '{task.name}': no sample of the split '{split}' has a caption{kinds}; look with: "
            "voxtile inspect CORPUS"
        )
    kept, unit = np.unique([owner[row["uid"]] for row in rows], return_inverse=True)
    told = _Told(
        unit.astype(np.int64),
        [row["uid"] for row in rows],
        np.array([row["kind"] for row in rows], np.str_),
        [row["text"] for row in rows],
    )
    return told, chosen(selected, kept)


def _captions(corpus: Corpus, task: FactualityTask) -> list[dict[str, Any]]:
    if task.table is None:
        found: list[dict[str, Any]] = corpus.table("captions", columns=["uid", "text", "kind"]).to_pylist()
        return [row for row in found if not task.captions or row["kind"] in task.captions]
    try:
        table = pq.read_table(task.table)
    except (pa.ArrowInvalid, OSError) as error:
        raise EvaluationError(
            f"'{task.table}' is no Parquet file of captions: {' '.join(str(error).split())}"
        ) from error
    if not {"uid", "text"} <= set(table.schema.names):
        raise EvaluationError(
            f"'{task.table}' has the columns {', '.join(table.schema.names)}; captions need 'uid' and 'text'"
        )
    known = set(corpus.table("samples", columns=["uid"])["uid"].to_pylist())
    given: list[dict[str, Any]] = table.select(["uid", "text"]).to_pylist()
    strange = next((row["uid"] for row in given if row["uid"] not in known), None)
    if strange is not None:
        raise EvaluationError(f"'{task.table}' has a caption of '{strange}', which is no sample of the corpus")
    return [{**row, "kind": "given"} for row in given if row["text"]]


class _Rates:
    """Rates over captions, on the same draws of subjects."""

    def __init__(self, task: str, told: _Told, units: Units, options: Options) -> None:
        self._task, self._told, self._units = task, told, units
        self._drawn = SubjectBootstrap(units.subjects, replicates=options.replicates, seed=options.seed)
        self._subjects = len(np.unique(units.subjects))

    def rows(self, kind: ScoreKind, verdicts: Sequence[Sequence[str]]) -> list[Row]:
        """A row a verdict and kind of caption; of several sets of verdicts the mean of their rates."""
        kinds = [None, *sorted(set(self._told.kind.tolist()))]
        return [
            self._row(kind, verdict, name, verdicts)
            for verdict in VERDICTS
            for name in (kinds if len(kinds) > 2 else [None])  # of a single kind, all are that kind
        ]

    def difference(self, own: Sequence[str], mixed: Sequence[Sequence[str]]) -> Difference | None:
        """Supported captions, less what is supported by another subject's facts."""
        every = np.ones(len(own), np.bool_)
        values = self._rate(VERDICTS[0], [own], every) - self._rate(VERDICTS[0], mixed, every)
        if self._subjects < MINIMUM:
            return None
        interval = normal_interval(float(values[0]), values[1:], effective=self._subjects)
        value = float(values[0])
        return Difference(NAME, "another subject's facts", value, interval.low, interval.high, VERDICTS[0], "micro")

    def _row(self, kind: ScoreKind, verdict: str, name: str | None, verdicts: Sequence[Sequence[str]]) -> Row:
        counted = np.ones(len(self._told.kind), np.bool_) if name is None else self._told.kind == name
        subjects = len(np.unique(self._units.subjects[self._told.unit[counted]]))
        values = self._rate(verdict, verdicts, counted)
        enough = subjects >= MINIMUM
        interval = logit_interval(float(values[0]), values[1:], effective=subjects) if enough else Interval(None, None)
        found = np.mean([np.sum((np.array(part) == verdict) & counted) for part in verdicts])
        value = float(values[0]) if enough else None
        return Row(self._task, NAME, kind, verdict, "micro" if name is None else "none", name, value,
                   interval.low, interval.high, int(counted.sum()), round(float(found)))  # fmt: skip

    def _rate(self, verdict: str, verdicts: Sequence[Sequence[str]], counted: npt.NDArray[np.bool_]) -> Floats:
        """[1 + R] share of the counted captions, the figure itself and its replicates."""
        hits = np.mean([np.array(part) == verdict for part in verdicts], axis=0) * counted
        above = np.bincount(self._told.unit, weights=hits, minlength=len(self._units))
        below = np.bincount(self._told.unit, weights=counted, minlength=len(self._units))
        parts = [np.array([above.sum() / below.sum()])]
        for weights in self._drawn.weights():
            total = below @ weights
            parts.append(np.divide(above @ weights, total, out=np.full(total.shape, np.nan), where=total > 0))
        return np.concatenate(parts)
