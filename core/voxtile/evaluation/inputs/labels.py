"""Labels from facts: 1 positive, 0 negative, -1 unknown, for each unit and class.

A finding that is not mentioned is negative only under a closed scope that looked for it; otherwise it is unknown and
the unit does not count for that class. Of several facts about one finding the strongest counts (present, uncertain,
absent), over the two sides of a body and over the samples of a study alike. What is a fact of a slide's overview is one
of the slide, so that it counts where studies are scored. A class that nothing is known about is left out, with a note.
"""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.tasks.place import nearest
from voxtile.evaluation.tasks.task import EvaluationTask, LabelRule, TaskClass, Wording
from voxtile.words.names import name_key

_UNMENTIONED, _ABSENT, _UNCERTAIN, _PRESENT = 0, 1, 2, 3
_STRENGTH = {"present": _PRESENT, "uncertain": _UNCERTAIN, "absent": _ABSENT}
_Task = TypeVar("_Task", bound=EvaluationTask)


def label_source(corpus: Corpus, task: _Task) -> tuple[_Task, LabelSource]:
    """A task without the classes that the corpus knows nothing about, and the labels of the others.

    A task without classes takes those of its vocabulary.

    Raises:
        EvaluationError: no facts of the wanted source, or too few classes that any of them is about.
    """
    task = task if task.classes else _with_vocabulary(corpus, task)
    source = LabelSource(corpus, task)
    unknown = source.unknown
    if len(task.classes) - len(unknown) < (1 if task.multilabel else 2):
        raise source.nothing_known()
    if not unknown:
        return task, source
    kept = tuple(item for item in task.classes if item not in unknown)
    narrowed = replace(task, classes=kept, positive=task.positive if len(task.classes) == 2 else None)
    return narrowed, source.of(narrowed)


class LabelSource:
    """The facts and scopes that a task reads, loaded once for all splits.

    Concepts are the same in any spelling (`voxtile.words.names`).

    Attributes:
        unknown: classes that no fact and no scope of the corpus is about.
        notes: sentences about where the labels come from and which classes have none.
        source_notes: the first of these alone.

    Raises:
        EvaluationError: no facts of the wanted source.
    """

    def __init__(self, corpus: Corpus, task: EvaluationTask) -> None:
        self._task = task
        self._overviews = _Overviews(corpus) if task.unit == "study" else None
        self._facts, self._source = _facts(corpus, task)
        self._scopes = _closed_scopes(corpus, task.labels, self._source)
        self._known = _about(self._facts, self._scopes)
        keys = {name_key(name) for name in self._known}
        self.unknown = tuple(item for item in task.classes if name_key(item.concept) not in keys)
        self.source_notes = _source_notes(task, self._source)
        self.notes = self.source_notes + _unknown_notes(self.unknown, self._known)

    def of(self, task: EvaluationTask) -> LabelSource:
        """The same facts for some of the classes."""
        other = copy(self)
        other._task = task
        return other

    def nothing_known(self) -> EvaluationError:
        """The error of a task of which too few classes are known."""
        task, first = self._task, self.unknown[0]
        others = ", ".join(item.name for item in self.unknown[1:])
        return EvaluationError(
            f"task '{task.name}': class '{first.name}' has no labels, because no fact of the corpus is about the "
            f"concept '{first.concept}'; {nearest(first.concept, self._known)}"
            + (f"; nor is any about {others}" if others else "")
        )

    def labels(self, units: Units) -> npt.NDArray[np.int8]:
        """[N, K] int8: 1, 0 or -1 for each unit and class of the task (for single-label tasks the one-hot class).

        A unit of a single-label task that has no class, or more than one, is -1 in every column.
        """
        concepts = sorted({name_key(item.concept) for item in self._task.classes})
        strength = self._strength(units, concepts)
        columns = np.array([concepts.index(name_key(item.concept)) for item in self._task.classes])
        uncertain = {"ignore": -1, "positive": 1, "negative": 0}[self._task.labels.uncertain]
        meaning = np.array([-1, 0, uncertain, 1], dtype=np.int8)
        labels: npt.NDArray[np.int8] = meaning[strength[:, columns]]
        inverted = np.array([item.when == "absent" for item in self._task.classes])
        turned: npt.NDArray[np.int8] = np.where(inverted & (labels >= 0), 1 - labels, labels).astype(np.int8)
        return turned if self._task.multilabel else _one_hot(turned)

    def _strength(self, units: Units, concepts: Sequence[str]) -> npt.NDArray[np.int8]:
        """[N, C] of concepts, which are given by their keys."""
        strength = np.full((len(units), len(concepts)), _UNMENTIONED, dtype=np.int8)
        members, owner = self._overviews.added(units) if self._overviews else (units.uids, units.owner)
        uids, names = pa.array(members, pa.string()), pa.array(concepts, pa.string())
        facts = self._facts
        row, column = _positions(facts["uid"], uids), _positions(_keys(facts["concept"]), names)
        polarity = np.array([_STRENGTH.get(p, _UNMENTIONED) for p in facts["polarity"].to_pylist()], dtype=np.int8)
        kept = (row >= 0) & (column >= 0)
        np.maximum.at(strength, (owner[row[kept]], column[kept]), polarity[kept])
        scoped = _positions(self._scopes["uid"], uids)
        for position, looked_for in zip(scoped, self._scopes["concepts"].to_pylist(), strict=True):
            if position >= 0:
                unit = strength[owner[position]]
                keys = None if looked_for is None else {name_key(name) for name in looked_for}
                covered = [keys is None or name in keys for name in concepts]
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


def _with_vocabulary(corpus: Corpus, task: _Task) -> _Task:
    """A task whose classes are what a vocabulary of the corpus looked for, in its order, each asked by its name."""
    scopes = corpus.table("scopes", columns=["vocabulary", "closed", "concepts"])
    closed = scopes.filter(pc.and_(scopes["closed"], pc.equal(scopes["vocabulary"], task.labels.vocabulary)))
    names = list(dict.fromkeys(name for concepts in closed["concepts"].to_pylist() for name in concepts or ()))
    if len(names) < 2:
        has = ", ".join(sorted(set(_distinct(scopes["vocabulary"])))) or "none"
        raise EvaluationError(
            f"task '{task.name}' takes its classes from the vocabulary '{task.labels.vocabulary}', of which no scope "
            f"of the corpus lists two (it has {has}); build the corpus that the task is of, or list the classes"
        )
    classes = tuple(
        TaskClass(name.replace(" ", "_"), name.capitalize(), name, "present", (Wording(name),)) for name in names
    )
    return replace(task, classes=classes, positive=classes[1].name if len(classes) == 2 else None)


def _one_hot(labels: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    single = (labels == 1).sum(axis=1) == 1
    hot: npt.NDArray[np.int8] = (labels == 1).astype(np.int8)
    hot[~single] = -1
    return hot


def _facts(corpus: Corpus, task: EvaluationTask) -> tuple[pa.Table, str | None]:
    """The facts that labels are made of, and which of the task's sources they are of."""
    facts = corpus.table("facts", columns=["uid", "concept", "polarity", "source"])
    if not len(facts):
        raise EvaluationError(
            f"task '{task.name}' needs labels, but the corpus has no facts; "
            f"add them with: voxtile facts CORPUS --from labels"
        )
    rule = task.labels.source
    if rule is None:
        return facts, None
    names = pc.list_element(pc.split_pattern(pc.fill_null(facts["source"], ""), "@", max_splits=1), 0)
    wanted = {name_key(item.concept) for item in task.classes}
    for source in (rule, *task.labels.otherwise):
        kept = facts.filter(pc.or_(pc.equal(names, source), pc.equal(pc.fill_null(facts["source"], ""), source)))
        if len(kept) and (not task.labels.otherwise or wanted & {name_key(c) for c in _distinct(kept["concept"])}):
            return kept, source
    sources = " or ".join(f"'{source}'" for source in (rule, *task.labels.otherwise))
    raise EvaluationError(
        f"task '{task.name}' takes its labels from facts of the source {sources}, but the corpus has "
        f"{'none of them about its classes' if set(names.to_pylist()) & {rule, *task.labels.otherwise} else 'only'}: "
        f"{', '.join(sorted(set(names.to_pylist())))}; add them with voxtile facts, or change 'facts_source'"
    )


def _about(facts: pa.Table, scopes: pa.Table) -> list[str]:
    """The concepts that are known of, in order."""
    looked_for = {name for names in scopes["concepts"].to_pylist() for name in names or ()}
    return sorted({*_distinct(facts["concept"]), *looked_for})


def _distinct(column: pa.ChunkedArray) -> list[str]:
    return [value for value in pc.unique(column).to_pylist() if value is not None]


def _keys(concepts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Each name's key."""
    names = _distinct(concepts)
    place = pc.index_in(concepts, value_set=pa.array(names, pa.string()))
    return pa.chunked_array(
        [pc.take(pa.array([name_key(name) for name in names], pa.string()), place.combine_chunks())]
    )


def _source_notes(task: EvaluationTask, source: str | None) -> tuple[str, ...]:
    if source is None or source == task.labels.source:
        return ()
    return (
        f"silver labels: the corpus has no facts of the source '{task.labels.source}' about these classes, so that the "
        f"labels are its facts of the source '{source}', which rules read and nobody checked; what they miss or "
        "misread counts against the model, or for it",
    )


def _unknown_notes(unknown: Sequence[TaskClass], known: Sequence[str]) -> tuple[str, ...]:
    if not unknown:
        return ()
    near = {item.name: difflib.get_close_matches(item.concept, known, n=1, cutoff=0.8) for item in unknown}
    named = [f"{name} (did you mean the concept '{found[0]}'?)" if found else name for name, found in near.items()]
    return (f"skipped, since no fact of the corpus is about them: {', '.join(named)}",)


def _closed_scopes(corpus: Corpus, rule: LabelRule, source: str | None) -> pa.Table:
    """Of a vocabulary that the task names; else what was looked for by the facts' own source.

    Organs that were measured in masks say nothing of what a report that is silent has looked at.
    """
    scopes = corpus.table("scopes", columns=["uid", "vocabulary", "closed", "concepts"])
    kept = scopes["closed"]
    if rule.vocabulary is not None:
        kept = pc.and_(kept, pc.equal(scopes["vocabulary"], rule.vocabulary))
    elif source is not None:
        others = pa.array(sorted(_of_other_sources(corpus, source)), pa.string())
        kept = pc.and_(kept, pc.invert(pc.is_in(scopes["vocabulary"], value_set=others)))
    return scopes.filter(kept)


def _of_other_sources(corpus: Corpus, source: str) -> set[str]:
    """Vocabularies whose scopes lie in parts of runs (parts share a name) that wrote facts, but none of this source."""
    sources: dict[str, set[str]] = defaultdict(set)
    for root in range(len(corpus.roots)):
        facts = {part.stem: part for part in corpus.parts("facts", root)}
        for part in corpus.parts("scopes", root):
            if part.stem in facts:
                found = _distinct(part_table(facts[part.stem], ["source"])["source"])
                for vocabulary in _distinct(part_table(part, ["vocabulary"])["vocabulary"]):
                    sources[vocabulary] |= {name for full in found for name in (full, full.split("@", 1)[0])}
    return {vocabulary for vocabulary, names in sources.items() if names and source not in names}


def _positions(values: pa.ChunkedArray, among: pa.Array) -> npt.NDArray[np.int64]:
    """Index of each value in `among`, -1 where it is not there."""
    found = pc.fill_null(pc.index_in(values, value_set=among), -1)
    result: npt.NDArray[np.int64] = np.asarray(found.to_numpy(), dtype=np.int64)
    return result
