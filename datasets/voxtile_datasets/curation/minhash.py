"""Near-duplicate texts: candidates by MinHash with banding, each confirmed by its exact Jaccard similarity.

A text is the set of its pairs of neighbouring words, its beginning and end counted as words. Sources: Broder, "On the
resemblance and containment of documents" (1997); Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, 3.4.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.data.epoch_order import UInt64s, derive_key, mix64
from voxtile_datasets.curation.similarity_links import STAYS, Int64s, Mask, resolve
from voxtile_datasets.curation.string_hashes import Words, distinct, text_keys, words_of

MISSED = 1e-7  # probability that a pair exactly at the threshold never becomes a candidate; it falls steeply above it
_MAX_HASHES = 96
_LEADERS = 32  # members of one bucket against which its others are compared
_PAIRS_AT_ONCE = 1 << 16
_ROUNDS = 8
_EDGE = np.uint64(0x632BE59BD9B4E019)
_PAIRED = np.uint64(0x9E3779B97F4A7C15)

BandKeys: TypeAlias = npt.NDArray[np.uint32]  # half a hash: what collides by chance is told apart by its similarity


@dataclass(frozen=True)
class Banding:
    """How many hashes make a band, and how many bands there are."""

    bands: int
    rows: int

    @classmethod
    def for_threshold(cls, threshold: float) -> Banding:
        """The widest bands that miss a pair at the threshold with probability `MISSED` at most, within the hashes."""
        chosen = cls(_MAX_HASHES, 1)
        for rows in range(1, 17):
            alike = threshold**rows
            bands = 1 if alike >= 1 else math.ceil(math.log(MISSED) / math.log1p(-alike))
            if bands * rows <= _MAX_HASHES:
                chosen = cls(bands, rows)
        return chosen


class Prepared(NamedTuple):
    """Texts ready to be added.

    Attributes:
        keys: [texts] of all words.
        lengths: [texts] sizes of the sets.
        members: the sets, one after the other.
        bands: [bands] of [texts] keys.
    """

    keys: UInt64s
    lengths: npt.NDArray[np.int32]
    members: npt.NDArray[np.uint32]
    bands: list[BandKeys]


@dataclass(frozen=True)
class TextHasher:
    """Makes texts ready to be added.

    Attributes:
        banding: form of the signatures.
    """

    banding: Banding

    def prepare(self, texts: pa.Array) -> Prepared:
        """The texts' sets and keys; the same on every machine."""
        words = words_of(texts)
        keys = text_keys(words)
        if not self.banding.bands:  # only whole texts are compared
            return Prepared(keys, np.zeros(len(texts), np.int32), np.empty(0, np.uint32), [])
        offsets, members = word_pairs(words)
        lengths = np.diff(offsets).astype(np.int32)
        return Prepared(keys, lengths, members, band_keys(offsets, members, self.banding))


class TextSets:
    """The texts of a corpus as sets of word pairs, with their MinHash bands on disk.

    What is added goes to files at once: arrays that lived from batch to batch would leave the memory in shreds.

    Args:
        folder: scratch folder for files, 4 bytes a text and band and as much a word.
        banding: form of the signatures.
    """

    def __init__(self, folder: Path, banding: Banding) -> None:
        self._folder = folder
        self._banding = banding
        self.hasher = TextHasher(banding)
        names = ["lengths", "members", "keys", *(f"band-{band}" for band in range(banding.bands))]
        self._files = [(folder / name).open("wb") for name in names]
        self._offsets: Int64s = np.zeros(1, np.int64)
        self._flat: npt.NDArray[np.uint32] = np.empty(0, np.uint32)

    def prepare(self, texts: pa.Array) -> Prepared:
        """The costly part of adding texts; may run in several threads, or by `TextHasher` on other machines."""
        return self.hasher.prepare(texts)

    def add(self, prepared: Prepared) -> None:
        """Add texts; they are numbered in the order in which they come."""
        columns: list[npt.NDArray[Any]] = [prepared.lengths, prepared.members, prepared.keys, *prepared.bands]
        for file, values in zip(self._files, columns, strict=True):
            values.tofile(file)

    def close(self) -> None:
        """Finish adding: the sets come into memory, everything else stays on disk."""
        for file in self._files:
            file.close()
        lengths = np.fromfile(self._folder / "lengths", np.int32)
        self._offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        self._flat = np.fromfile(self._folder / "members", np.uint32)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @property
    def keys(self) -> UInt64s:
        """[texts] equal for texts with the same words in the same order."""
        return np.fromfile(self._folder / "keys", np.uint64)

    def band(self, number: int, texts: Int64s) -> BandKeys:
        """Keys of some texts in a band."""
        return np.fromfile(self._folder / f"band-{number}", np.uint32)[texts]

    @property
    def bands(self) -> range:
        """Numbers of the bands."""
        return range(self._banding.bands)

    def similarity(self, one: Int64s, other: Int64s) -> npt.NDArray[np.float64]:
        """[pairs] exact Jaccard similarities of pairs of texts."""
        parts = [
            self._similarity(one[start : start + _PAIRS_AT_ONCE], other[start : start + _PAIRS_AT_ONCE])
            for start in range(0, len(one), _PAIRS_AT_ONCE)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def _similarity(self, one: Int64s, other: Int64s) -> npt.NDArray[np.float64]:
        lengths = [self._offsets[side + 1] - self._offsets[side] for side in (one, other)]
        keyed = np.concatenate([self._keyed(side, own) for side, own in zip((one, other), lengths, strict=True)])
        keyed.sort()
        shared = keyed[1:][keyed[1:] == keyed[:-1]] >> np.uint64(32)
        common = np.bincount(shared.astype(np.int64), minlength=len(one))
        return np.asarray(common / (lengths[0] + lengths[1] - common), np.float64)

    def _keyed(self, side: Int64s, lengths: Int64s) -> UInt64s:
        """Members of each text with the number of its pair in the high half."""
        pair = np.repeat(np.arange(len(side), dtype=np.int64), lengths)
        ends = np.cumsum(lengths)
        places = np.arange(int(ends[-1]), dtype=np.int64) - np.repeat(ends - lengths - self._offsets[side], lengths)
        keyed: UInt64s = (pair.astype(np.uint64) << np.uint64(32)) | self._flat[places]
        return keyed


def word_pairs(words: Words) -> tuple[Int64s, npt.NDArray[np.uint32]]:
    """Sets of neighbouring words: [texts + 1] offsets and the 32-bit hashes, ascending and different in each set."""
    counts = np.diff(words.offsets)
    texts = len(counts)
    # Each text with an edge before and behind: n words give n + 1 pairs.
    padded = np.full(len(words.hashes) + 2 * texts, _EDGE, np.uint64)
    shift = 1 + 2 * np.repeat(np.arange(texts, dtype=np.int64), counts)
    padded[np.arange(len(words.hashes), dtype=np.int64) + shift] = words.hashes
    pairs = mix64(padded[:-1] * _PAIRED + padded[1:]) >> np.uint64(32)
    owner = np.repeat(np.arange(texts, dtype=np.uint64), counts + 2)
    inside = owner[:-1] == owner[1:]
    keyed = (owner[:-1][inside] << np.uint64(32)) | pairs[inside]
    keyed = distinct(keyed)
    offsets = np.searchsorted(keyed >> np.uint64(32), np.arange(texts + 1, dtype=np.uint64)).astype(np.int64)
    return offsets, (keyed & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def band_keys(offsets: Int64s, members: npt.NDArray[np.uint32], banding: Banding) -> list[BandKeys]:
    """[bands] of [texts] keys: two texts share a band's key if the least hashes of all its rows agree."""
    wide = members.astype(np.uint64)
    starts = offsets[:-1]
    keys = []
    for band in range(banding.bands):
        key = np.full(len(starts), np.uint64(band + 1), np.uint64)
        for row in range(banding.rows):
            number = band * banding.rows + row
            factor, term = np.uint64(derive_key(1, number) | 1), np.uint64(derive_key(2, number))
            # Multiply, add and take the high bits: a universal family (Dietzfelbinger 1996).
            least = np.minimum.reduceat((wide * factor + term) >> np.uint64(32), starts) if len(starts) else key
            key = mix64(key ^ least)
        keys.append((key >> np.uint64(32)).astype(np.uint32))
    return keys


def near_duplicates(sets: TextSets, threshold: float, order: Int64s, fixed: Mask) -> Int64s:
    """Find texts that are alike and choose which stay.

    A removed text is at or above the threshold to the one that stays in its stead: exactly, not by estimate.

    Args:
        sets: all texts.
        threshold: least Jaccard similarity of two that are alike, in (0, 1].
        order: [texts] numbers of the texts by falling priority.
        fixed: [texts] those that stay whatever they are like.

    Returns:
        [texts] the text that stays in each one's stead; `STAYS` for those that stay.
    """
    ranked_fixed = fixed[order]
    same = _same_words(sets.keys[order], ranked_fixed)
    alone, gone = np.flatnonzero(same == STAYS).astype(np.int64), np.flatnonzero(same != STAYS)
    stead = same[gone]
    del same
    finder = _Finder(sets, threshold, order, ranked_fixed)
    low, high = finder.links([alone])
    by = resolve(len(order), low, high, ranked_fixed)
    for _ in range(_ROUNDS):
        staying = alone[by[alone] == STAYS]
        returned = np.intersect1d(high, staying)
        if not len(returned):
            break
        more_low, more_high = finder.links([staying, returned])
        if not len(more_low):
            break
        low, high = np.concatenate([low, more_low]), np.concatenate([high, more_high])
        by = resolve(len(order), low, high, ranked_fixed)
    by[gone] = np.where(by[stead] == STAYS, stead, by[stead])
    result = np.full(len(order), STAYS, np.int64)
    result[order] = np.where(by == STAYS, STAYS, order[by])
    return result


def same_texts(keys: UInt64s, order: Int64s, fixed: Mask) -> Int64s:
    """As `near_duplicates`, of texts with the same words in the same order."""
    by = _same_words(keys[order], fixed[order])
    result = np.full(len(order), STAYS, np.int64)
    result[order] = np.where(by == STAYS, STAYS, order[by])
    return result


def _same_words(keys: UInt64s, fixed: Mask) -> Int64s:
    """For each item the first one with its key; `STAYS` for those first ones and for fixed items."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    begins = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.bool_)
    firsts = order[np.flatnonzero(begins)][np.cumsum(begins) - 1] if len(ordered) else order
    by = np.full(len(keys), STAYS, np.int64)
    by[order] = np.where(begins | fixed[order], STAYS, firsts)
    return by


@dataclass(frozen=True)
class _Finder:
    """Links of texts that are numbered by priority."""

    sets: TextSets
    threshold: float
    order: Int64s
    fixed: Mask

    def links(self, among: Sequence[Int64s]) -> tuple[Int64s, Int64s]:
        """Pairs at or above the threshold, lower number first.

        A text that is linked to one before it is looked at no further: it will most likely go.

        Args:
            among: the texts; and, if given, the ones that the others are compared with.
        """
        candidates, wanted = among[0], among[1] if len(among) > 1 else None
        found: list[tuple[Int64s, Int64s]] = []
        settled = np.zeros(len(self.order), np.bool_)
        for band in self.sets.bands:
            alive = candidates[~settled[candidates]]
            keys = self.sets.band(band, self.order[alive])
            if wanted is not None:
                near = np.isin(keys, self.sets.band(band, self.order[wanted]))
                alive, keys = alive[near], keys[near]
            for low, high in self._bucket_links(alive, keys):
                settled[high] = True
                found.append((low, high))
        if not found:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        return np.concatenate([low for low, _ in found]), np.concatenate([high for _, high in found])

    def _bucket_links(self, items: Int64s, keys: BandKeys) -> Iterable[tuple[Int64s, Int64s]]:
        """In each bucket the first text is compared with all others, then the first of those unlike it, and so on."""
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        shared = _with_company(keys)
        items, keys = items[order[shared]], keys[shared]
        del order, shared
        for _ in range(_LEADERS):
            if not len(items):
                return
            begins = np.concatenate([[True], keys[1:] != keys[:-1]])
            leader = items[np.flatnonzero(begins)][np.cumsum(begins) - 1]
            open_pair = ~begins & ~self.fixed[items]
            alike = np.zeros(len(items), np.bool_)
            alike[open_pair] = (
                self.sets.similarity(self.order[leader[open_pair]], self.order[items[open_pair]]) >= self.threshold
            )
            if alike.any():
                yield leader[alike], items[alike]
            left = ~begins & ~alike
            items, keys = items[left], keys[left]
            shared = _with_company(keys)
            items, keys = items[shared], keys[shared]


def _with_company(keys: BandKeys) -> Mask:
    """Which of sorted keys are there more than once."""
    shared = np.zeros(len(keys), np.bool_)
    equal = keys[1:] == keys[:-1]
    shared[1:] = equal
    shared[:-1] |= equal
    return shared
