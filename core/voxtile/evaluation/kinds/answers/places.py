"""Where answers point, held against the regions that their questions are answered with.

A place is a mask over the voxels of the stored image, as run lengths (`voxtile.data.regions.runs`): no model and no
preset is needed to judge it. An answer that points at nothing where there is a region has an overlap of 0.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.data.regions.masks import Booleans, joined_mask, spatial_shape
from voxtile.data.regions.runs import mask_of_runs
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.answers.questions import Question
from voxtile.evaluation.kinds.reports.texts import read_column

COLUMN = "mask_runs"
"""Of a file of answers: run lengths of what each points at; null where it points at nothing."""

HIT = 0.5
"""Intersection over union from which a place is right, as in the grounding of referring expressions."""

Shown: TypeAlias = tuple[Sequence[int], str]
"""Run lengths, and the uid of the image whose voxels they are on."""
_METRICS = ("grounded_iou", "grounded_dice", f"grounded_acc@{HIT:g}", "grounded_shown", "false_place")


@dataclass(frozen=True)
class PlaceScores:
    """A figure of each question.

    Attributes:
        metric: its name.
        scores: [Q] from 0 to 1.
        counted: [Q] questions that it is of.
    """

    metric: str
    scores: Floats
    counted: npt.NDArray[np.bool_]


def places_of(path: Path, own: Sequence[Question]) -> dict[str, Shown] | None:
    """What the answers of a file point at, by question; None where the file does not say.

    Args:
        path: of the file.
        own: questions that count.
    """
    column = read_column(path, "dialogue_id", COLUMN)
    if column is None:
        return None
    return {q.dialogue_id: (runs, q.uid) for q in own if (runs := column.get(q.dialogue_id)) is not None}


class Truths:
    """The regions that answers should point at, as masks over the voxels of their images.

    Args:
        corpus: with regions.
        own: questions that count.
    """

    def __init__(self, corpus: Corpus, own: Sequence[Question]) -> None:
        self._corpus, self._own = corpus, own
        self._metas = _rows(corpus, "samples", "uid", {question.uid for question in own})
        wanted = {region for question in own for region in question.regions}
        regions = _rows(corpus, "regions", "region_id", wanted) if wanted else {}
        self._regions: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for question in own:
            rows = [regions[name] for name in question.regions if name in regions]
            self._regions[question.dialogue_id] = [
                row for row in rows if row["uid"] == question.uid and (row["box"] or row["mask_shard"])
            ]

    @property
    def some(self) -> bool:
        """Whether any answer should point."""
        return any(self._regions.values())

    def scores(self, shown: Mapping[str, Shown]) -> list[PlaceScores]:
        """Overlaps of all that should be pointed at, and how often something is shown where nothing is.

        Args:
            shown: by question; what is on the voxels of another image is stretched to this one.

        Raises:
            EvaluationError: run lengths are not of their image.
        """
        there = np.array([bool(self._regions[question.dialogue_id]) for question in self._own])
        denied = np.array([question.answer == "no" for question in self._own]) & ~there
        values = np.array([self._of(question, shown.get(question.dialogue_id)) for question in self._own])
        counted = [there] * 4 + [denied]
        return [PlaceScores(*one) for one in zip(_METRICS, values.reshape(-1, 5).T, counted, strict=True)]

    def _of(self, question: Question, shown: Shown | None) -> tuple[float, ...]:
        """IoU, Dice, whether the IoU is enough, whether anything is shown, and whether that is shown in vain."""
        if shown is None:
            return (0.0,) * 5
        shape = spatial_shape(self._metas[question.uid])
        mask = self._mask(*shown)
        mask = mask if mask.shape == shape else _stretched(mask, shape)
        is_shown = float(mask.any())
        regions = self._regions[question.dialogue_id]
        if not regions:
            return 0.0, 0.0, 0.0, is_shown, is_shown
        truth = joined_mask(self._corpus, regions, self._metas[question.uid]).mask
        both, total = int((mask & truth).sum()), int(mask.sum()) + int(truth.sum())
        iou = both / (total - both) if total > both else 0.0
        return iou, 2 * both / total if total else 0.0, float(iou >= HIT), is_shown, 0.0

    def _mask(self, runs: Sequence[int], uid: str) -> Booleans:
        try:
            return mask_of_runs(runs, spatial_shape(self._metas[uid]))
        except (TypeError, ValueError) as error:
            raise EvaluationError(
                f"the answers have places that are no masks of '{uid}': {error}; {COLUMN} are lengths of runs over its "
                "stored voxels, the first of voxels that are off"
            ) from None


def _rows(corpus: Corpus, table: str, key: str, wanted: Collection[str]) -> dict[str, Mapping[str, Any]]:
    return {row[key]: row for row in corpus.table(table, with_root=True).to_pylist() if row[key] in wanted}


def _stretched(mask: Booleans, shape: Sequence[int]) -> Booleans:
    """The mask of an image with as many axes at the same places of another one, from edge to edge."""
    if mask.ndim != len(shape):
        return np.zeros(tuple(shape), np.bool_)
    places = [
        np.minimum(((np.arange(new) + 0.5) * old / new).astype(np.int64), old - 1)
        for old, new in zip(mask.shape, shape, strict=True)
    ]
    found: Booleans = mask[np.ix_(*places)]
    return found
