"""Whether a wanted item is among the first k, exactly, without a matrix of all queries by all items.

Queries are taken in strips, so that at most four million similarities are held at a time. Items of equal similarity
(the same caption twice, or a model that is blind) stand in random order: what counts is the probability that a wanted
one is among the first k, so that neither luck nor the order of the table moves a figure.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxtile.evaluate.metrics import Floats

Integers = npt.NDArray[np.int64]
_STRIP = 4_000_000  # similarities held at a time: 32 MB, and three times that while they are sorted
_DECIMALS = 9  # of a cosine in float64: what differs less is the same vector, multiplied in another order


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
    found = Places(*(np.zeros(len(questions), np.int64) for _ in range(3)))
    order = np.argsort(questions.query, kind="stable")
    strip = max(1, _STRIP // max(1, len(gallery)))
    bounds = np.searchsorted(questions.query[order], np.arange(0, len(queries) + strip, strip))
    for number in range(len(bounds) - 1):
        asked = order[bounds[number] : bounds[number + 1]]
        if len(asked):
            rows = slice(number * strip, (number + 1) * strip)
            similarity = np.round(queries[rows] @ gallery.T, _DECIMALS)
            _strip(similarity, copies, questions, asked, number * strip, found)
    return found


def _strip(
    similarity: Floats, copies: Integers, questions: Questions, asked: Integers, first_row: int, found: Places
) -> None:
    """Fill in the questions `asked` about the rows of one strip [R, G]."""
    sizes = questions.start[asked + 1] - questions.start[asked]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    members = np.repeat(questions.start[asked] - starts, sizes) + np.arange(sizes.sum())
    items, rows = questions.item[members], questions.query[asked] - first_row
    values = similarity[np.repeat(rows, sizes), items]
    best = np.maximum.reduceat(values, starts)
    tied = values == np.repeat(best, sizes)
    right = np.add.reduceat(questions.copies[members] * tied, starts)
    edges = np.flatnonzero(np.diff(rows, prepend=-1, append=-1))
    for begin, end in itertools.pairwise(edges):
        line = similarity[rows[begin]]
        order = np.argsort(line)
        ranked, weight = line[order], np.concatenate([[0], np.cumsum(copies[order])])
        part = slice(begin, end)
        upto = weight[np.searchsorted(ranked, best[part], side="right")]
        below = weight[np.searchsorted(ranked, best[part], side="left")]
        found.above[asked[part]] = weight[-1] - upto
        found.right[asked[part]] = right[part]
        found.wrong[asked[part]] = upto - below - right[part]
