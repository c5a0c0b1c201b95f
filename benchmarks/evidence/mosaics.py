"""Mosaics: four photographs as one picture, several findings in known places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from corpora import SCENES, Item, scene_tiles

PLACES = {(0, 0): "upper left", (0, 1): "upper right", (1, 0): "lower left", (1, 1): "lower right"}
PRESENT = ("{} at the {}.", "the {} shows {}.", "at the {} there is {}.")
ORDERED = "{} and {} above {} and {}."
ABSENT = ("no {}.", "there is no {}.", "without {}.")


def mosaics(
    count: int = 800,
    *,
    sentences: int = 4,
    denied: int = 0,
    size: int = 24,
    validate: int = 1,
    outlined: bool = False,
    ordered: bool = False,
    seed: int = 2,
) -> list[Item]:
    """Four photographs as one picture, a sentence for each with its place, and boxes.

    Args:
        count: training mosaics; each test photograph is in one mosaic of the test split only.
        sentences: of the four places, how many a caption tells.
        denied: sentences that deny what no photograph shows.
        size: pixels of a photograph.
        validate: validation mosaics that each photograph held back is in.
        outlined: whether the corpus says that the boxes of photographs are their outlines.
        ordered: one short sentence for all four, in which only the order of the words says what is where.
        seed: of all draws.
    """
    rng, words, tiles = np.random.default_rng(seed), np.random.default_rng([seed, 1]), scene_tiles(size)
    found: list[Item] = []
    for split in ("train", "val", "test"):
        own = [tile for tile in tiles if tile.split == split]
        draws = {"train": -(-4 * count // len(own)), "val": validate, "test": 1}[split]
        order = np.concatenate([rng.permutation(len(own)) for _ in range(draws)])
        for start in range(0, len(order) - 3, 4):
            found.append(_mosaic(f"{len(found):032x}", [own[i] for i in order[start : start + 4]], split, outlined))
            _tell(found[-1], rng, sentences, denied)
            if ordered:
                _tell_in_order(found[-1], words)
    return found


def _mosaic(uid: str, tiles: Sequence[Item], split: str, outlined: bool) -> Item:
    rows = [np.concatenate([t.picture for t in tiles[i : i + 2]], axis=1) for i in (0, 2)]
    shown = {tile.label for tile in tiles}
    item = Item(uid, np.concatenate(rows), split, {name: name in shown for name in SCENES}, outlined=outlined)
    size = tiles[0].picture.shape[0]
    for tile, (y, x) in zip(tiles, PLACES, strict=True):
        item.regions.append((tile.label, (y * size, x * size, (y + 1) * size, (x + 1) * size)))
    return item


def _tell(item: Item, rng: np.random.Generator, sentences: int, denied: int) -> None:
    said: list[tuple[str, dict[str, bool]]] = []
    chosen = rng.permutation(4)[:sentences]
    for number in chosen:
        label, place = item.regions[number][0], tuple(PLACES.values())[number]
        phrase = SCENES[label][rng.integers(3)]
        frame = PRESENT[rng.integers(3)]
        words = (phrase, place) if frame.startswith("{}") else (place, phrase)
        said.append((frame.format(*words), {label: True}))
    missing = [name for name, shown in item.facts.items() if not shown]
    for name in rng.permutation(missing)[:denied]:
        text = ABSENT[rng.integers(3)].format(SCENES[name][rng.integers(3)].removeprefix("a ").removeprefix("an "))
        said.append((text, {str(name): False}))
    said = [said[i] for i in rng.permutation(len(said))]
    states = {name: shown for _, stated in said for name, shown in stated.items()}
    item.states.update(said)
    item.say(" ".join(text for text, _ in said), states)


def _tell_in_order(item: Item, rng: np.random.Generator) -> None:
    item.texts.clear()
    item.states.clear()
    labels = [label for label, _ in item.regions]
    item.say(ORDERED.format(*(SCENES[label][rng.integers(3)] for label in labels)), dict.fromkeys(labels, True))


def _large(**settings: Any) -> list[Item]:
    return mosaics(1200, size=96, validate=4, outlined=True, **settings)


MOSAICS: Mapping[str, Callable[[], list[Item]]] = {
    "mosaics": mosaics,
    "mosaics with denials": lambda: mosaics(denied=3),
    "mosaics, two of four told": lambda: mosaics(sentences=2),
    "large mosaics": _large,
    "large mosaics, told by word order": lambda: _large(ordered=True),
}
