"""Whether a wanted item is among the first k, exactly, without a matrix of all queries by all items.

A ranking is never made: what stands above the best answer is counted, a block of similarities at a time. Items of equal
similarity (the same caption twice, or a model that is blind) stand in random order: what counts is the probability that
a wanted one is among the first k, so that neither luck nor the order of the table moves a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.retrieval.counting import DECIMALS, Integers, Limits, count_both

_STRIP = 16_000_000  # similarities held at a time: 64 MB, and half of that beside them while they are compared
_PAIRS = 16_384  # single pairs at a time


@dataclass(frozen=True)
class Questions:
    """S questions, each a query and the items that would answer it.

    Attributes:
        query: [S] row of the query's embedding.
        start: [S + 1] where each question's items begin.
        item: [M] rows of the gallery.
        copies: [M] how many of the item's copies would answer.
    """

    query: Integers
    start: Integers
    item: Integers
    copies: Integers

    def __len__(self) -> int:
        return len(self.query)


@dataclass(frozen=True)
class Places:
    """Where the first answer of each question stands.

    Attributes:
        above: [S] items before it.
        wrong: [S] wrong items that are tied with it.
        right: [S] right items that are tied with it, itself among them.
    """

    above: Integers
    wrong: Integers
    right: Integers

    def split(self, sizes: Sequence[int]) -> list[Places]:
        """The places of several sets of questions that were joined."""
        ends = np.cumsum(sizes)[:-1]
        parts = [np.split(values, ends) for values in (self.above, self.wrong, self.right)]
        return [Places(*part) for part in zip(*parts, strict=True)]

    def recall(self, cutoffs: Sequence[int]) -> Floats:
        """[S, K] probability that an answer is among the first k, ties in random order.

        Of w wrong and r right ones that are tied, s take the places that are left: all are wrong with probability
        C(w, s) / C(w + r, s).
        """
        result = np.zeros((len(self.above), len(cutoffs)))
        for column, cutoff in enumerate(cutoffs):
            left = np.clip(cutoff - self.above, 0, self.wrong + self.right)
            missed = np.ones(len(left))
            for drawn in range(int(left.max(initial=0))):
                draws = drawn < left
                remaining = np.maximum(self.wrong + self.right - drawn, 1)
                missed[draws] *= np.maximum(self.wrong - drawn, 0)[draws] / remaining[draws]
            result[:, column] = 1 - missed
        return result


def find_places(queries: Floats, gallery: Floats, copies: Integers, questions: Questions) -> Places:
    """Where the first answer of each question stands in its query's ranking.

    Args:
        queries: [Q, D] normalised.
        gallery: [G, D] normalised.
        copies: [G] how often each item stands in the gallery.
        questions: about these queries and this gallery.
    """
    best = _Best(queries, gallery, questions, copies)
    count_both(queries, gallery, best.limits, None, held=_STRIP)
    return best.places()


def find_both(
    texts: Floats, images: Floats, copies: Integers, of_texts: Questions, of_images: Questions
) -> tuple[Places, Places]:
    """`find_places` in both directions from one pass over similarities: texts among images, and images among texts.

    Args:
        texts: [T, D] normalised.
        images: [N, D] normalised.
        copies: [T] how often each text is told; an image stands once.
        of_texts: texts look for images.
        of_images: images look for texts.
    """
    rows = _Best(texts, images, of_texts, np.ones(len(images), np.int64))
    columns = _Best(images, texts, of_images, copies)
    count_both(texts, images, rows.limits, columns.limits, held=_STRIP)
    return rows.places(), columns.places()


class _Best:
    """The best answer of each question, as a limit that other items may stand above; equal limits are counted once."""

    def __init__(self, queries: Floats, gallery: Floats, questions: Questions, copies: Integers) -> None:
        sizes = np.diff(questions.start)
        values = _similarities(queries, gallery, np.repeat(questions.query, sizes), questions.item)
        starts = questions.start[:-1]
        best = np.maximum.reduceat(values, starts) if len(values) else np.zeros(0)
        self._right = np.add.reduceat(questions.copies * (values == np.repeat(best, sizes)), starts)
        order = np.lexsort((best, questions.query))
        line, value = questions.query[order], best[order]
        new = np.r_[True, (np.diff(line) != 0) | (np.diff(value) != 0)] if len(line) else np.zeros(0, np.bool_)
        self._limit = np.empty(len(order), np.int64)
        self._limit[order] = np.cumsum(new) - 1
        self.limits = Limits(line[new], value[new], copies)

    def places(self) -> Places:
        """Once everything is counted."""
        level = self.limits.level[self._limit]
        return Places(self.limits.above[self._limit], level - self._right, self._right)


def _similarities(queries: Floats, gallery: Floats, left: Integers, right: Integers) -> Floats:
    """[M] of single pairs, in float64, rounded."""
    found = np.empty(len(left))
    for start in range(0, len(left), _PAIRS):
        some = slice(start, start + _PAIRS)
        pairs = queries[left[some]].astype(np.float64), gallery[right[some]].astype(np.float64)
        found[some] = np.einsum("nd,nd->n", *pairs)
    return np.round(found, DECIMALS)
