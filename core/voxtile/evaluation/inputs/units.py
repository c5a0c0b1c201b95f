"""What is scored: the samples that a task selects, grouped into units (samples or studies) with one subject each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.schema import OVERVIEW
from voxtile.corpus.sql_condition import disk_error
from voxtile.errors import ConfigError, EvaluationError
from voxtile.evaluation.tasks.task import Task

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Units:
    """The units of one split.

    Attributes:
        uids: the S samples, sorted by unit.
        owner: [S] int64, the unit of each sample.
        subjects: [N] subject of each unit.
        names: [N] uid of each unit's first sample.

    Examples:
        >>> import numpy as np
        >>> from voxtile.evaluation import Units
        >>> units = Units(("s1", "s2", "s3"), np.array([0, 0, 1]), np.array(["ann", "bob"]), ("s1", "s3"))
        >>> len(units), units.size, units.members()
        (2, {'units': 2, 'subjects': 2}, {'s1': ['s1', 's2'], 's3': ['s3']})
    """

    uids: tuple[str, ...]
    owner: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.str_]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def size(self) -> dict[str, int]:
        """How many `units` and `subjects` there are."""
        return {"units": len(self), "subjects": len(np.unique(self.subjects))}

    def whole(self) -> Units:
        """Each unit as its own only sample, by the name of its first."""
        return replace(self, uids=self.names, owner=np.arange(len(self), dtype=np.int64))

    def members(self) -> dict[str, list[str]]:
        """The samples of each unit, by the name of its first."""
        found: dict[str, list[str]] = {name: [] for name in self.names}
        for uid, owner in zip(self.uids, self.owner.tolist(), strict=True):
            found[self.names[owner]].append(uid)
        return found


def select_units(corpus: Corpus, task: Task) -> dict[str, Units]:
    """Units of each split, in a fixed order.

    Raises:
        ConfigError: `where` is not a condition over the samples table.
        EvaluationError: no sample is selected.
    """
    rows = _selected(corpus, task)
    splits = corpus.splits(task.scheme)
    grouped: dict[str, dict[tuple[str, str], list[str]]] = {name: defaultdict(list) for name in SPLITS}
    for uid, subject, study in rows:
        split = splits.get(subject)
        if split in grouped:
            key = study if task.unit == "study" and study else uid
            grouped[split][subject, key].append(uid)
    if not any(grouped.values()):
        raise EvaluationError(
            f"task '{task.name}': {len(rows)} samples fit it but none has a split of the scheme '{task.scheme}'; "
            f"convert with splits, or set 'scheme' in the task"
        )
    return {name: _units(groups) for name, groups in grouped.items()}


def require_units(splits: Mapping[str, Units], split: str, task: Task) -> None:
    """Refuse a split that has nothing of the task.

    Raises:
        EvaluationError: names the splits that have.
    """
    if not len(splits[split]):
        there = ", ".join(f"'{name}'" for name, units in splits.items() if len(units))
        raise EvaluationError(
            f"task '{task.name}': no {task.unit} of the corpus is in the split '{split}', only in {there}; choose with "
            "--split, or convert with other splits"
        )


def _selected(corpus: Corpus, task: Task) -> list[tuple[str, str, str | None]]:
    condition = f" AND ({task.where}\n)" if task.where else ""  # the line break ends a trailing comment
    try:
        with closing(corpus.connection()) as connection:
            rows: list[tuple[str, str, str | None]] = connection.execute(
                f"SELECT DISTINCT uid, subject, study FROM samples WHERE kind <> '{OVERVIEW}'{condition} ORDER BY uid"
            ).fetchall()
    except duckdb.Error as error:
        if (of_the_disk := disk_error(error)) is not None:
            raise of_the_disk from error
        first = str(error).splitlines()[0]
        raise ConfigError(
            f"task '{task.name}': 'where' is not a condition over the samples table ({task.where}): {first}"
        ) from error
    if not rows:
        reason = f"no sample satisfies its condition {task.where!r}" if task.where else "the corpus has no samples"
        raise EvaluationError(f"task '{task.name}' selects nothing: {reason}; look with: voxtile inspect CORPUS")
    return rows


def _units(groups: dict[tuple[str, str], list[str]]) -> Units:
    ordered = sorted(groups.items())
    uids = [uid for _, members in ordered for uid in members]
    owner = [number for number, (_, members) in enumerate(ordered) for _ in members]
    return Units(
        uids=tuple(uids),
        owner=np.array(owner, dtype=np.int64),
        subjects=np.array([subject for (subject, _), _ in ordered], dtype=np.str_),
        names=tuple(members[0] for _, members in ordered),
    )


def limited(units: Units, count: int, seed: int) -> Units:
    """At most `count` of the units, drawn at random but in their order."""
    if len(units) <= count:
        return units
    return chosen(units, np.sort(np.random.default_rng([seed, 0x1A]).permutation(len(units))[:count]))


def chosen(units: Units, kept: npt.NDArray[np.int64]) -> Units:
    """Some of the units.

    Args:
        units: N of them.
        kept: their numbers, ascending.
    """
    place = np.full(len(units), -1)
    place[kept] = np.arange(len(kept))
    samples = np.flatnonzero(place[units.owner] >= 0)
    return Units(
        uids=tuple(units.uids[i] for i in samples),
        owner=place[units.owner[samples]].astype(np.int64),
        subjects=units.subjects[kept],
        names=tuple(units.names[i] for i in kept),
    )
