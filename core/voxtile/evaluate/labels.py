"""Labels from facts: 1 positive, 0 negative, -1 unknown, for each unit and class.

A finding that is not mentioned is negative only under a closed scope that looked for it; otherwise it is unknown and
the unit does not count for that class. Of several facts about one finding the strongest counts (present, uncertain,
absent), over the two sides of a body and over the samples of a study alike. What is a fact of a slide's overview is one
of the slide, so that it counts where studies are scored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.errors import EvaluationError
from voxtile.evaluate.task import EvaluationTask, LabelRule
from voxtile.evaluate.task_place import nearest
from voxtile.evaluate.units import Units

_UNMENTIONED, _ABSENT, _UNCERTAIN, _PRESENT = 0, 1, 2, 3
_STRENGTH = {"present": _PRESENT, "uncertain": _UNCERTAIN, "absent": _ABSENT}


class LabelSource:
    """The facts and scopes that a task reads, loaded once for all splits.

    Raises:
        EvaluationError: no facts of the wanted source, or a concept that the corpus does not know.
    """

    def __init__(self, corpus: Corpus, task: EvaluationTask) -> None:
        self._task = task
        self._facts = _facts(corpus, task)
        self._scopes = _closed_scopes(corpus, task.labels)
        self._overviews = _Overviews(corpus) if task.unit == "study" else None
        known = set(pc.unique(self._facts["concept"]).to_pylist())
        known |= {name for names in self._scopes["concepts"].to_pylist() for name in names or ()}
        for item in task.classes:
            if item.concept not in known:
                raise EvaluationError(
                    f"task '{task.name}': class '{item.name}' has no labels, because no fact of the corpus is about "
                    f"the concept '{item.concept}'; {nearest(item.concept, sorted(known))}"
                )

    def labels(self, units: Units) -> npt.NDArray[np.int8]:
        """[N, K] int8: 1, 0 or -1 for each unit and class of the task (for single-label tasks the one-hot class).

        A unit of a single-label task that has no class, or more than one, is -1 in every column.
        """
        concepts = sorted({item.concept for item in self._task.classes})
        strength = self._strength(units, concepts)
        columns = np.array([concepts.index(item.concept) for item in self._task.classes])
        uncertain = {"ignore": -1, "positive": 1, "negative": 0}[self._task.labels.uncertain]
        meaning = np.array([-1, 0, uncertain, 1], dtype=np.int8)
        labels: npt.NDArray[np.int8] = meaning[strength[:, columns]]
        inverted = np.array([item.when == "absent" for item in self._task.classes])
        turned: npt.NDArray[np.int8] = np.where(inverted & (labels >= 0), 1 - labels, labels).astype(np.int8)
        return turned if self._task.multilabel else _one_hot(turned)

    def _strength(self, units: Units, concepts: Sequence[str]) -> npt.NDArray[np.int8]:
        strength = np.full((len(units), len(concepts)), _UNMENTIONED, dtype=np.int8)
        members, owner = self._overviews.added(units) if self._overviews else (units.uids, units.owner)
        uids, names = pa.array(members, pa.string()), pa.array(concepts, pa.string())
        facts = self._facts
        row, column = _positions(facts["uid"], uids), _positions(facts["concept"], names)
        polarity = np.array([_STRENGTH.get(p, _UNMENTIONED) for p in facts["polarity"].to_pylist()], dtype=np.int8)
        kept = (row >= 0) & (column >= 0)
        np.maximum.at(strength, (owner[row[kept]], column[kept]), polarity[kept])
        scoped = _positions(self._scopes["uid"], uids)
        for position, looked_for in zip(scoped, self._scopes["concepts"].to_pylist(), strict=True):
            if position >= 0:
                unit = strength[owner[position]]
                covered = [looked_for is None or name in looked_for for name in concepts]
                unit[np.array(covered) & (unit == _UNMENTIONED)] = _ABSENT
        return strength


class _Overviews:
    """The overviews of a corpus by the study that they show."""

    def __init__(self, corpus: Corpus) -> None:
        rows = corpus.table("samples", columns=["uid", "subject", "study", "kind"])
        is_overview = pc.equal(rows["kind"], OVERVIEW)
        self._of_study: dict[tuple[str, str], list[str]] = defaultdict(list)
        for row in rows.filter(is_overview).to_pylist():
            if row["study"]:
                self._of_study[row["subject"], row["study"]].append(row["uid"])
        self._samples = rows.filter(pc.invert(is_overview)) if self._of_study else rows.slice(0, 0)

    def added(self, units: Units) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
        """The samples of the units with the overviews of their studies, and the unit of each."""
        found = self._samples.filter(pc.is_in(self._samples["uid"], value_set=pa.array(units.names, pa.string())))
        keys = {row["uid"]: (row["subject"], row["study"]) for row in found.to_pylist()}
        studies = [keys.get(name, ("", "")) for name in units.names]
        more = [(uid, number) for number, study in enumerate(studies) for uid in self._of_study.get(study, ())]
        owner = np.array([number for _, number in more], dtype=np.int64)
        return (*units.uids, *(uid for uid, _ in more)), np.concatenate([units.owner, owner])


def _one_hot(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    single = (labels == 1).sum(axis=1) == 1
    hot: npt.NDArray[np.int8] = (labels == 1).astype(np.int8)
    hot[~single] = -1
    return hot


def _facts(corpus: Corpus, task: EvaluationTask) -> pa.Table:
    facts = corpus.table("facts", columns=["uid", "concept", "polarity", "source"])
    if not len(facts):
        raise EvaluationError(
            f"task '{task.name}' needs labels, but the corpus has no facts; "
            f"add them with: voxtile facts CORPUS --from labels"
        )
    rule = task.labels.source
    if rule is None:
        return facts
    names = pc.list_element(pc.split_pattern(pc.fill_null(facts["source"], ""), "@", max_splits=1), 0)
    kept = facts.filter(pc.or_(pc.equal(names, rule), pc.equal(pc.fill_null(facts["source"], ""), rule)))
    if not len(kept):
        raise EvaluationError(
            f"task '{task.name}' takes its labels from facts of the source '{rule}', but the corpus has only: "
            f"{', '.join(sorted(set(names.to_pylist())))}; add them with voxtile facts, or change 'facts_source'"
        )
    return kept


def _closed_scopes(corpus: Corpus, rule: LabelRule) -> pa.Table:
    scopes = corpus.table("scopes", columns=["uid", "vocabulary", "closed", "concepts"])
    kept = scopes["closed"]
    if rule.vocabulary is not None:
        kept = pc.and_(kept, pc.equal(scopes["vocabulary"], rule.vocabulary))
    return scopes.filter(kept)


def _positions(values: pa.ChunkedArray, among: pa.Array) -> npt.NDArray[np.int64]:
    """Index of each value in `among`, -1 where it is not there."""
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    result: npt.NDArray[np.int64] = np.asarray(found.to_numpy(), dtype=np.int64)
    return result
