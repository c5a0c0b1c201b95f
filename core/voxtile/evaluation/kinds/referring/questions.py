"""The phrases of each picture and the boxes that they mean."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.data.regions.masks import spatial_shape
from voxtile.data.regions.policy import RegionPolicy
from voxtile.data.regions.regions import RegionTable
from voxtile.errors import EvaluationError
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.referring.task import ReferringTask
from voxtile.grounding.boxes import Box, overlap, rectangle_of, rotated_box

Drawn = Mapping[str, Sequence[Sequence[Sequence[float]]]]
"""Outlines (x, y) by phrase."""

_SAME = 0.5  # overlap of an upright box and that around a turned one, from which on they are of one object


@dataclass(frozen=True)
class Question:
    """A phrase and what it means, in the picture's own pixels.

    Attributes:
        phrase: as it is asked.
        upright: its box; that around all of them where it means several.
        rotated: its rotated box, where the corpus has that or an outline, else None.
        several: the boxes, where it means more than one.
        drawn: the outlines, where the corpus has them.
    """

    phrase: str
    upright: Box
    rotated: Box | None
    several: tuple[Box, ...] = ()
    drawn: Sequence[Sequence[Sequence[float]]] = ()

    @property
    def outlines(self) -> list[npt.NDArray[np.float64]]:
        """[K, 2] vertices (x, y) of each outline as drawn; corner pixels of boxes where there is none."""
        if self.drawn:
            return [np.asarray(outline, np.float64) for outline in self.drawn]
        edges = [box.edges for box in self.several or (self.upright,)]
        return [np.array([[x0, y0], [x1 - 1, y0], [x1 - 1, y1 - 1], [x0, y1 - 1]]) for y0, x0, y1, x1 in edges]

    def mask(self, shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """[Y, X] the pixels whose centre lies in a box."""
        rows, columns = (np.arange(size) + 0.5 for size in shape)
        held = np.zeros(shape, np.bool_)
        for box in self.several or (self.upright,):
            y0, x0, y1, x1 = box.edges
            held |= ((rows >= y0) & (rows < y1))[:, None] & ((columns >= x0) & (columns < x1))
        return held


class Questions:
    """All questions of a corpus by picture.

    Args:
        corpus: whose regions are the truth.
        task: which of them.
        shapes: (rows, columns) by uid.
        drawn: outlines of each phrase by uid, where the corpus has them.

    Raises:
        EvaluationError: there is no such region, or one that has neither box nor outline.
    """

    def __init__(
        self,
        corpus: Corpus,
        task: ReferringTask,
        shapes: Mapping[str, tuple[int, ...]],
        drawn: Mapping[str, Drawn] = MappingProxyType({}),
    ) -> None:
        table = RegionTable(corpus, RegionPolicy(sources=task.regions))
        self.ambiguous = 0
        self._of: dict[str, list[Question]] = defaultdict(list)
        for uid in shapes:
            for phrase, rows in sorted(table.of([uid]).items()):
                found = [self._question(corpus, phrase, row, uid) for row in rows]
                meant = found[0] if len(found) == 1 else _same_object(rows, found)
                if meant is None and task.union:
                    meant = _together(phrase, found)
                if meant is None:  # the phrase does not say which one
                    self.ambiguous += 1
                    continue
                own = dict.fromkeys(str(row["phrase"]) for row in rows)  # spellings of one phrase
                outlines = [outline for name in own for outline in drawn.get(uid, {}).get(name, ())]
                self._of[uid].append(replace(meant, drawn=outlines))
        self.phrases = sorted({question.phrase for asked in self._of.values() for question in asked})
        if not self.phrases:
            wanted = " or ".join(task.regions) or "any kind"
            raise EvaluationError(
                f"task '{task.name}': no picture of the split has a region of {wanted} that its phrase alone means"
            )

    def of(self, uid: str) -> Sequence[Question]:
        """Questions about a picture."""
        return self._of.get(uid, ())

    def kept(self, units: Units) -> np.ndarray:
        """Numbers of the units that are asked anything."""
        return np.array([n for n, uid in enumerate(units.names) if uid in self._of], dtype=np.int64)

    def other(self, uid: str, number: int) -> str:
        """A phrase that means another object of the picture, or one of another picture where it has no other."""
        asked = self.of(uid)
        mine = asked[number]
        turned = [*asked[number + 1 :], *asked[:number]]
        found = next((q.phrase for q in turned if q.upright != mine.upright), None)
        if found is not None:
            return found
        own = {question.phrase for question in asked}
        start = self.phrases.index(mine.phrase)
        foreign = (p for p in (*self.phrases[start:], *self.phrases[:start]) if p not in own)
        return next(foreign, mine.phrase)

    @staticmethod
    def _question(corpus: Corpus, phrase: str, row: Mapping[str, object], uid: str) -> Question:
        mask, edges, angle = corpus.mask(row), row["box"], row["angle"]
        if not isinstance(edges, Sequence) or len(edges) != 4:
            raise EvaluationError(f"the region {row['region_id']} of sample {uid} has no box of two axes")
        box = Box((float(edges[0]), float(edges[1]), float(edges[2]), float(edges[3])), float(str(angle or 0)))
        if box.angle:
            x0, y0, x1, y1 = rectangle_of(box).bounds
            return Question(phrase, Box((y0, x0, y1, x1)), box)
        outlined = mask is not None and bool((mask > 0).any())
        return Question(phrase, box, rotated_box(np.asarray(mask) > 0) if outlined else None)


def _same_object(rows: Sequence[Mapping[str, object]], found: Sequence[Question]) -> Question | None:
    """The one object of which a set gives its upright box and its turned one; None where there are several objects."""
    turned = [question for row, question in zip(rows, found, strict=True) if row["angle"] is not None]
    upright = [question for row, question in zip(rows, found, strict=True) if row["angle"] is None]
    if len(turned) != 1 or len(upright) != 1 or overlap(upright[0].upright, turned[0].upright) < _SAME:
        return None
    return Question(upright[0].phrase, upright[0].upright, turned[0].rotated or turned[0].upright)


def _together(phrase: str, found: Sequence[Question]) -> Question:
    """All boxes of a phrase."""
    y0, x0, y1, x1 = np.array([question.upright.edges for question in found]).T
    around = Box((float(y0.min()), float(x0.min()), float(y1.max()), float(x1.max())))
    return Question(phrase, around, None, tuple(question.upright for question in found))


def stored_outlines(rows: Mapping[str, Mapping[str, object]]) -> dict[str, Drawn]:
    """What `attributes` of samples say of outlines, by uid."""
    found = {uid: json.loads(str(row.get("attributes") or "{}")).get("outlines") for uid, row in rows.items()}
    return {uid: outlines for uid, outlines in found.items() if outlines}


def picture_shapes(rows: Mapping[str, Mapping[str, object]]) -> dict[str, tuple[int, ...]]:
    """(rows, columns) of samples by uid."""
    return {uid: spatial_shape(row) for uid, row in rows.items()}
