"""The questions of a retrieval task: both directions, under both rules for captions that say the same.

Strict: only the own pair counts, so that of two images with the same caption one is called wrong. Tolerant: any image
that has a caption of the same words counts, and any caption of the same words as an own one. Published figures on sets
with many equal captions (RSICD, RSITMD, UCM-Captions) follow the strict rule, mostly unsaid; the tolerant one is what
the data can decide.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from voxtile.evaluation.kinds.retrieval.counting import Integers
from voxtile.evaluation.kinds.retrieval.pairs import Pairs
from voxtile.evaluation.kinds.retrieval.ranking import Questions

Direction: TypeAlias = Literal["text-to-image", "image-to-text"]
Rule: TypeAlias = Literal["strict", "tolerant"]
DIRECTIONS: tuple[Direction, ...] = ("text-to-image", "image-to-text")
RULES: tuple[Rule, ...] = ("strict", "tolerant")


@dataclass(frozen=True)
class Asked:
    """Questions of one direction and rule.

    Attributes:
        questions: each asked once.
        of: [Z] the question of each query that counts: the captions, or the units.
        unit: [Z] the unit of each, for the bootstrap.
    """

    questions: Questions
    of: Integers
    unit: Integers


def text_to_image(pairs: Pairs, rule: Rule) -> Asked:
    """One query a caption, units as the gallery.

    Under the tolerant rule all captions of one text share one question.
    """
    if rule == "strict":
        one = np.arange(len(pairs.text) + 1)
        questions = Questions(pairs.text, one, pairs.unit, np.ones(len(pairs.unit), np.int64))
        return Asked(questions, np.arange(len(pairs.text)), pairs.unit)
    group = pairs.group[pairs.text]
    told = np.unique(np.stack([group, pairs.unit], axis=1), axis=0)  # each unit once a group, sorted by group
    start, items = _joined(told[:, 0], told[:, 1], pairs.group)
    questions = Questions(np.arange(len(pairs.texts)), start, items, np.ones(len(items), np.int64))
    return Asked(questions, pairs.text, pairs.unit)


def image_to_text(pairs: Pairs, rule: Rule) -> Asked:
    """One query a unit, the different texts as the gallery, each as often as it is told."""
    units = np.arange(len(pairs.units))
    if rule == "strict":
        own, times = np.unique(np.stack([pairs.unit, pairs.text], axis=1), axis=0, return_counts=True)
        start = np.searchsorted(own[:, 0], np.arange(len(units) + 1))
        return Asked(Questions(units, start, own[:, 1], times), units, units)
    order = np.argsort(pairs.group, kind="stable")
    told = np.unique(np.stack([pairs.unit, pairs.group[pairs.text]], axis=1), axis=0)
    begin, texts = _joined(pairs.group[order], order, told[:, 1])
    start = begin[np.searchsorted(told[:, 0], np.arange(len(units) + 1))]
    return Asked(Questions(units, start, texts, pairs.copies[texts]), units, units)


def shown_others(asked: Asked, direction: Direction, order: Integers) -> Asked:
    """The same questions where unit i shows the image of unit `order[i]`: the shuffled control."""
    questions = asked.questions
    if direction == "text-to-image":
        return replace(asked, questions=replace(questions, item=order[questions.item]))
    return replace(asked, questions=replace(questions, query=order[questions.query]))


def joined_questions(parts: list[Questions]) -> Questions:
    """Several sets of questions as one, in order."""
    offsets = np.cumsum([0, *(len(part.item) for part in parts)])
    starts = [part.start[:-1] + offset for part, offset in zip(parts, offsets, strict=False)]
    return Questions(
        np.concatenate([part.query for part in parts]),
        np.concatenate([*starts, offsets[-1:]]),
        np.concatenate([part.item for part in parts]),
        np.concatenate([part.copies for part in parts]),
    )


def _joined(keys: Integers, values: Integers, wanted: Integers) -> tuple[Integers, Integers]:
    """For each wanted key the values that stand beside it: [W + 1] starts and the values. `keys` is ascending."""
    first, last = np.searchsorted(keys, wanted, side="left"), np.searchsorted(keys, wanted, side="right")
    sizes = last - first
    start = np.concatenate([[0], np.cumsum(sizes)])
    return start, values[np.repeat(first - start[:-1], sizes) + np.arange(start[-1])]
