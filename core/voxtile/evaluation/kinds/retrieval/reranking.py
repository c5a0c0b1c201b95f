"""The first candidates of each query, ordered anew by what reads the tokens of both sides; the others stay behind them.

As in ALBEF (Li et al., NeurIPS 2021, section 4): the cosine finds the first k, and the dearer score decides among them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import psutil
import torch
from torch import Tensor

from voxtile.data.images import CorpusImages
from voxtile.errors import EvaluationError
from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.units import Units
from voxtile.evaluation.kinds.retrieval.counting import DECIMALS, Integers
from voxtile.evaluation.kinds.retrieval.ranking import Places, Questions
from voxtile.evaluation.pair_scores import Local, PairScores, joined

_BLOCK = 4_000_000  # similarities at a time
_PLACES = 4  # decimals of a logit in float32: what differs less is the same pair, computed in another batch
_SHARE = 0.5  # of the memory that is free which tokens may take


@dataclass(frozen=True)
class Candidates:
    """C pairs of a query and an item of the gallery, by query and then by item.

    Attributes:
        query, item: [C].
        score: [C]; the higher, the sooner.
        gallery: how many items there are.
    """

    query: Integers
    item: Integers
    score: Floats
    gallery: int


def first_pairs(queries: Floats, gallery: Floats, count: int) -> tuple[Integers, Integers]:
    """The queries and items of pairs that are among the first `count` of their query by cosine, ties with the last too.

    Args:
        queries: [Q, D] normalised.
        gallery: [G, D] normalised.
        count: at least 1.
    """
    found: list[tuple[Integers, Integers]] = []
    step = max(1, _BLOCK // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        alike = np.round(queries[start : start + step].astype(np.float64) @ gallery.T.astype(np.float64), DECIMALS)
        least = -np.partition(-alike, min(count, len(gallery)) - 1, axis=1)[:, min(count, len(gallery)) - 1]
        rows, items = np.nonzero(alike >= least[:, None])
        found.append((rows + start, items))
    query, item = (np.concatenate(part).astype(np.int64) for part in zip(*found, strict=True))
    return query, item


def reordered(cosine: Places, questions: Questions, candidates: Candidates, copies: Integers) -> Places:
    """Where the first answer of each question stands once its query's candidates are ordered anew.

    Args:
        cosine: where it stands by cosine, which holds where no answer is among the candidates.
        questions: S of them.
        candidates: of the same queries and gallery.
        copies: [G] how often each item stands in the gallery.
    """
    score = np.round(candidates.score, _PLACES)
    owner = np.repeat(np.arange(len(questions)), np.diff(questions.start))
    keys = candidates.query * candidates.gallery + candidates.item
    wanted = questions.query[owner] * candidates.gallery + questions.item
    at = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    own = np.where(keys[at] == wanted, score[at], -np.inf)
    best = np.maximum.reduceat(own, questions.start[:-1])
    right = np.add.reduceat(questions.copies * (own == best[owner]), questions.start[:-1])

    levels, rank = np.unique(score, return_inverse=True)
    width = len(levels) + 1
    order = np.argsort(candidates.query * width + rank, kind="stable")
    sorted_keys = (candidates.query * width + rank)[order]
    reached = np.concatenate([[0], np.cumsum(copies[candidates.item[order]])])
    known = np.isfinite(best)
    place = questions.query * width + np.searchsorted(levels, np.where(known, best, levels[0] if len(levels) else 0))
    low, high = np.searchsorted(sorted_keys, place, "left"), np.searchsorted(sorted_keys, place, "right")
    end = np.searchsorted(sorted_keys, (questions.query + 1) * width, "left")
    above, level = reached[end] - reached[high], reached[high] - reached[low]
    return Places(
        np.where(known, above, cosine.above),
        np.where(known, level - right, cosine.wrong),
        np.where(known, right, cosine.right),
    )


class TokenPairs:
    """Tokens of all units and texts of a task, and scores of some pairs of them.

    Args:
        scores: what reads tokens.
        units: the N units.
        images: reads their samples.
        texts: the T texts.

    Raises:
        EvaluationError: the tokens do not fit into memory.
    """

    def __init__(self, scores: PairScores, units: Units, images: CorpusImages, texts: tuple[str, ...]) -> None:
        self._scores, self._units = scores, units
        self._texts = scores.of_texts(texts)
        parts: list[list[Local]] = [[] for _ in scores.scorers]
        seen = 0
        for uids, batch in images(units.uids):
            for part, own in zip(parts, scores.of_images(batch), strict=True):
                part.append(own)
            if not seen:
                _require_memory(sum(part[0].tokens.nbytes for part in parts) * len(units.uids) / len(uids), units)
            seen += len(uids)
        self._images = [joined(part) for part in parts]

    def by_unit(self, number: int, unit: Integers, text: Integers) -> tuple[Floats, Floats]:
        """[P] logits of texts for units and of units for texts by a scorer, means over a unit's samples.

        Args:
            number: of the scorer.
            unit: [P].
            text: [P].
        """
        first = np.searchsorted(self._units.owner, np.arange(len(self._units) + 1))
        counts = np.diff(first)[unit]
        starts = np.concatenate([[0], np.cumsum(counts)])
        sample = np.repeat(first[unit] - starts[:-1], counts) + np.arange(starts[-1])
        pairs: Callable[[Integers], Tensor] = torch.from_numpy
        found = self._scores.logits(
            number, self._images[number], pairs(sample), self._texts[number], pairs(np.repeat(text, counts))
        ).numpy()
        means = np.add.reduceat(found, starts[:-1], axis=1) / counts if len(unit) else found
        return means[0], means[1]


def _require_memory(wanted: float, units: Units) -> None:
    free = psutil.virtual_memory().available
    if wanted > _SHARE * free:
        raise EvaluationError(
            f"the tokens of {len(units.uids):,} images take {wanted / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} "
            "GB are free; choose fewer with 'where' in the task, or leave the scorers out"
        )
