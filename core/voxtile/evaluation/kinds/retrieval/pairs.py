"""The captions of units, and which of them say the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.text import normalised
from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.units import Units, chosen
from voxtile.evaluation.kinds.retrieval.task import RetrievalTask
from voxtile.evaluation.tasks.place import nearest

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """C captions of N units, with T different texts that fall into G groups of the same words.

    Attributes:
        units: the units; each has at least one caption.
        texts: the T different texts, letter by letter.
        text: [C] text of each caption.
        unit: [C] unit that each caption belongs to, ascending.
        group: [T] texts that differ only in case, spacing or the final stop are one group.
    """

    units: Units
    texts: tuple[str, ...]
    text: Integers
    unit: Integers
    group: Integers

    @property
    def copies(self) -> Integers:
        """[T] how many captions have each text."""
        return np.bincount(self.text, minlength=len(self.texts))


def read_pairs(corpus: Corpus, task: RetrievalTask, units: Units) -> Pairs:
    """Captions of the kinds that the task wants; units without any are left out.

    Of a sample every caption counts, as often as it is told: the published protocols do the same. Of a study the same
    words count once, since its samples share one report.

    Raises:
        EvaluationError: no unit has a caption of these kinds.
    """
    told = _captions(corpus, task)
    found: list[tuple[int, str]] = []
    for uid, owner in zip(units.uids, units.owner.tolist(), strict=True):
        found += [(owner, text) for text in told.get(uid, ())]
    if task.unit == "study":
        found = list({(owner, normalised(text)): (owner, text) for owner, text in reversed(found)}.values())
    if not found:
        raise EvaluationError(
            f"task '{task.name}': no {task.unit} of the split has a caption{_of_kinds(task.captions)}; "
            f"{_kinds_of(corpus, task.captions)}"
        )
    found.sort(key=lambda pair: pair[0])
    owners, numbers = np.unique([owner for owner, _ in found], return_inverse=True)
    places: dict[str, int] = {}
    text = np.array([places.setdefault(words, len(places)) for _, words in found], dtype=np.int64)
    _, group = np.unique([normalised(words) for words in places], return_inverse=True)
    return Pairs(chosen(units, owners), tuple(places), text, numbers.astype(np.int64), group.astype(np.int64))


def _captions(corpus: Corpus, task: RetrievalTask) -> dict[str, list[str]]:
    condition = f" WHERE kind IN ({', '.join('?' * len(task.captions))})" if task.captions else ""
    with closing(corpus.connection()) as connection:
        rows = connection.execute(
            f"SELECT uid, text FROM captions{condition} ORDER BY uid, caption_id", list(task.captions)
        ).fetchall()
    told: dict[str, list[str]] = {}
    for uid, text in rows:
        told.setdefault(uid, []).append(text)
    return told


def _of_kinds(kinds: Sequence[str]) -> str:
    return f" of the kind {' or '.join(kinds)}" if kinds else ""


def _kinds_of(corpus: Corpus, wanted: Sequence[str]) -> str:
    present = sorted(set(corpus.table("captions", columns=["kind"])["kind"].to_pylist()))
    if not present:
        return "the corpus has no captions at all; make some with: voxtile caption CORPUS"
    if wanted and wanted[0] not in present:
        return f"{nearest(wanted[0], present)}; set 'captions' in the task"
    return "look at other splits with --split"
