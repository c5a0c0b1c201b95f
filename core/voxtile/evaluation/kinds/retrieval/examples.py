"""Queries to show: a few that find their own, and those that find it last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.kinds.retrieval.counting import Integers
from voxtile.evaluation.kinds.retrieval.pairs import Pairs
from voxtile.evaluation.kinds.retrieval.questions import Direction
from voxtile.evaluation.kinds.retrieval.ranking import Places

SHOWN = 3
"""Queries of each direction that hit, and as many that miss."""
_FOUND = 4  # the first items of a ranking


@dataclass(frozen=True)
class Example:
    """One query and what it finds first.

    Attributes:
        direction: what is searched with what.
        text: the caption that asks, or an own caption of the image that asks.
        uid: of the image that belongs to it.
        place: where the first own one stands, from 1.
        found: uids of images, or texts, in order.
        right: whether each of them belongs to the query.
    """

    direction: Direction
    text: str
    uid: str
    place: int
    found: tuple[str, ...]
    right: tuple[bool, ...]

    @property
    def hit(self) -> bool:
        """Whether the first one found is right."""
        return self.place == 1


def pick_examples(
    pairs: Pairs, images: Floats, texts: Floats, places: dict[Direction, Places], *, show_texts: bool
) -> tuple[Example, ...]:
    """Examples of both directions under the strict rule.

    Args:
        pairs: the captions.
        images: [N, D] normalised.
        texts: [T, D] normalised.
        places: of the captions, and of the units.
        show_texts: as they are; otherwise only how long they are.
    """
    names = pairs.units.names
    said = pairs.texts if show_texts else [length_of(text) for text in pairs.texts]
    examples = []
    for caption in _picked(places["text-to-image"], pairs.unit):
        first = np.argsort(-np.round(images @ texts[pairs.text[caption]], 9), kind="stable")[:_FOUND]
        own = pairs.unit[caption]
        examples.append(
            Example(
                "text-to-image",
                said[pairs.text[caption]],
                names[own],
                int(places["text-to-image"].above[caption]) + 1,
                tuple(names[unit] for unit in first),
                tuple(bool(unit == own) for unit in first),
            )
        )
    for unit in _picked(places["image-to-text"], np.arange(len(names))):
        first = np.argsort(-np.round(texts @ images[unit], 9), kind="stable")[:_FOUND]
        own_texts = pairs.text[pairs.unit == unit]
        examples.append(
            Example(
                "image-to-text",
                said[own_texts[0]],
                names[unit],
                int(places["image-to-text"].above[unit]) + 1,
                tuple(said[text] for text in first),
                tuple(bool(text in own_texts) for text in first),
            )
        )
    return tuple(examples)


def length_of(text: str) -> str:
    """What the page says of a text that is not shown."""
    words = len(text.split())
    return f"a text of {words} word{'' if words == 1 else 's'}"


def _picked(places: Places, unit: Integers) -> list[int]:
    """The first few hits of different units, then the worst misses of different units."""
    hits = np.flatnonzero(places.above + places.wrong == 0)
    misses = np.argsort(-places.above, kind="stable")
    misses = misses[places.above[misses] > 0]
    chosen = []
    for members in (hits, misses):
        _, first = np.unique(unit[members], return_index=True)
        chosen += members[np.sort(first)][:SHOWN].tolist()
    return chosen
