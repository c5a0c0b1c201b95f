"""Balancing: an entry that matches often keeps a share of its matches, one that matches seldom keeps all.

The algorithm is MetaCLIP's (Xu et al., "Demystifying CLIP Data", 2023, algorithm 1): with the count n of an entry and
the cap t, each match of it is kept with probability t / max(n, t), and an item stays if any of its matches is kept.
The cap follows from the share p of all matches that the tail entries hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from voxtile.corpus.geoparquet import outlines
from voxtile.corpus.schema import DESCRIPTIVE, MEASURED, SAMPLES
from voxtile.data.epoch_order import UInt64s, derive_key, mix64
from voxtile.errors import ConfigError, cause_of
from voxtile_datasets.curation.candidates import Pool, scan
from voxtile_datasets.curation.similarity_links import Int64s, Mask
from voxtile_datasets.curation.string_hashes import Words, distinct, words_of

_FILTER_BITS = 22
_PAIRED = np.uint64(0xA24BAED4963EE407)
NOTHING = "nothing"  # the entry of samples without a present finding


class Matches(NamedTuple):
    """Which entries each item matches.

    Attributes:
        offsets: [items + 1].
        entries: [matches] numbers of entries, different within an item.
        names: of the entries.
    """

    offsets: Int64s
    entries: npt.NDArray[np.int32]
    names: Sequence[str]


@dataclass(frozen=True)
class Matched:
    """Items with their matches, in batches that may be gone through more than once.

    Attributes:
        names: of the entries.
        counts: [entries] number of items that match each.
        batches: gives numbers of items, ascending, and their matches.
    """

    names: Sequence[str]
    counts: Int64s
    batches: Callable[[], Iterator[tuple[Int64s, Matches]]]


def entry_counts(matches: Matches) -> Int64s:
    """[entries] number of items that match each."""
    return np.bincount(matches.entries, minlength=len(matches.names))


def cap_from_tail(counts: Int64s, tail: float) -> int:
    """The cap at which the entries up to it hold the share `tail` of all matches, as nearly as counts allow.

    MetaCLIP's English data has t = 20,000 at p = 6 %.
    """
    ordered = np.sort(counts[counts > 0])
    if not len(ordered):
        return 1
    shares = np.cumsum(ordered) / ordered.sum()
    return int(ordered[np.abs(shares - tail).argmin()])


def keep_probabilities(counts: Int64s, cap: int) -> npt.NDArray[np.float64]:
    """[entries] probability that a match is kept: t / max(n, t)."""
    return np.asarray(cap / np.maximum(counts, cap), np.float64)


def keep_items(
    matches: Matches, probabilities: npt.NDArray[np.float64], draws: npt.NDArray[np.float64], *, unmatched: bool
) -> Mask:
    """[items] those with a match whose draw is below its entry's probability.

    Args:
        matches: of the items.
        probabilities: [entries].
        draws: [matches] uniform numbers in [0, 1).
        unmatched: whether items that match nothing stay.
    """
    kept = draws < probabilities[matches.entries]
    before = np.concatenate([[0], np.cumsum(kept)])
    stays = before[matches.offsets[1:]] > before[matches.offsets[:-1]]
    return np.asarray(stays | (unmatched & (np.diff(matches.offsets) == 0)), np.bool_)


def chances(matches: Matches, probabilities: npt.NDArray[np.float64], *, unmatched: bool) -> npt.NDArray[np.float64]:
    """[items] probability that `keep_items` keeps each: 1 − Π (1 − p)."""
    with np.errstate(divide="ignore"):
        missed = np.log1p(-probabilities[matches.entries])
    # −∞ marks a sure match: count these apart, since ∞ − ∞ says nothing.
    sure = np.concatenate([[0], np.cumsum(np.isneginf(missed))])
    sums = np.concatenate([[0.0], np.cumsum(np.where(np.isneginf(missed), 0.0, missed))])
    start, stop = matches.offsets[:-1], matches.offsets[1:]
    chance = np.where(sure[stop] > sure[start], 1.0, -np.expm1(sums[stop] - sums[start]))
    return np.where(stop == start, float(unmatched), chance)


def keyed_draws(items: Int64s, matches: Matches, seed: int) -> npt.NDArray[np.float64]:
    """[matches] uniform numbers that depend on the seed, the item's number and the entry alone."""
    owner = np.repeat(items, np.diff(matches.offsets)).astype(np.uint64)
    mixed = mix64(mix64(owner ^ np.uint64(derive_key(seed, 7))) + matches.entries.astype(np.uint64) * _PAIRED)
    return np.asarray((mixed >> np.uint64(11)) * 2.0**-53, np.float64)


class EntryMatcher:
    """Finds entries in texts, word by word: an entry matches where its words follow one another.

    Args:
        entries: words or phrases; case and punctuation do not count.

    Raises:
        ConfigError: there is none.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self.names = list(dict.fromkeys(entry.strip() for entry in entries if entry.strip()))
        if not self.names:
            raise ConfigError("balance: there are no entries to match; give a file with one a line in --entries")
        words = words_of(pa.array(self.names, pa.string()))
        counts = np.diff(words.offsets)
        keys = _gram_keys_of(words)
        order = np.argsort(keys, kind="stable")
        self._keys = keys[order]
        self._entries = order.astype(np.int32)
        self._lengths = sorted(set(counts[counts > 0].tolist()))
        self._filter = np.zeros(1 << _FILTER_BITS, np.bool_)
        self._filter[keys >> np.uint64(64 - _FILTER_BITS)] = True

    def match(self, texts: pa.Array) -> tuple[Int64s, npt.NDArray[np.int32]]:
        """[texts + 1] offsets and the entries that each text holds, ascending."""
        words = words_of(texts)
        owner = np.repeat(np.arange(len(texts), dtype=np.int64), np.diff(words.offsets))
        found = []
        gram = np.zeros_like(words.hashes)
        for length in range(1, (self._lengths[-1] if self._lengths else 0) + 1):
            if length > len(owner):
                break
            gram = gram[: len(owner) - length + 1] * _PAIRED + words.hashes[length - 1 :]
            if length in self._lengths and len(gram):
                keys = mix64(gram + np.uint64(length))
                hits = np.flatnonzero(self._filter[keys >> np.uint64(64 - _FILTER_BITS)])
                hits = hits[owner[hits] == owner[hits + length - 1]]
                at = np.searchsorted(self._keys, keys[hits]).clip(max=len(self._keys) - 1)
                exact = self._keys[at] == keys[hits]
                found.append((owner[hits[exact]] << np.int64(32)) | self._entries[at[exact]])
        pairs = distinct(np.concatenate(found)) if found else np.empty(0, np.int64)
        offsets = np.searchsorted(pairs >> np.int64(32), np.arange(len(texts) + 1))
        return offsets.astype(np.int64), (pairs & np.int64(0x7FFFFFFF)).astype(np.int32)


def _gram_keys_of(words: Words) -> UInt64s:
    """[texts] key of all words of each text as one phrase."""
    keys = np.zeros(len(words.offsets) - 1, np.uint64)
    counts = np.diff(words.offsets)
    for place in range(int(counts.max(initial=0))):
        longer = np.flatnonzero(counts > place)
        keys[longer] = keys[longer] * _PAIRED + words.hashes[words.offsets[longer] + place]
    return mix64(keys + counts.astype(np.uint64))


def text_matches(pool: Pool, entries: Sequence[str], scratch: Path) -> Matched:
    """The selected captions that are not held out, with the entries that each holds; the matches lie on disk."""
    matcher = EntryMatcher(entries)
    batches: list[tuple[Int64s, Int64s]] = []
    counts = np.zeros(len(matcher.names), np.int64)
    path = scratch / "matches.i32"
    with path.open("wb") as file, ThreadPoolExecutor(2) as threads:
        for numbers, (offsets, found) in _matched(pool, matcher, threads):
            batches.append((numbers, offsets))
            counts += np.bincount(found, minlength=len(counts))
            found.tofile(file)

    def read() -> Iterator[tuple[Int64s, Matches]]:
        with path.open("rb") as file:
            for numbers, offsets in batches:
                yield numbers, Matches(offsets, np.fromfile(file, np.int32, int(offsets[-1])), matcher.names)

    return Matched(matcher.names, counts, read)


def _matched(
    pool: Pool, matcher: EntryMatcher, threads: ThreadPoolExecutor
) -> Iterator[tuple[Int64s, tuple[Int64s, npt.NDArray[np.int32]]]]:
    """Numbers and matches of captions, two batches at a time."""
    pending: deque[tuple[Int64s, Future[tuple[Int64s, npt.NDArray[np.int32]]]]] = deque()
    for captions, texts in pool.texts():
        is_open = ~pool.fixed[pool.owner[captions]]
        pending.append((captions[is_open], threads.submit(matcher.match, texts.filter(pa.array(is_open)))))
        if len(pending) > 2:
            numbers, future = pending.popleft()
            yield numbers, future.result()
    for numbers, future in pending:
        yield numbers, future.result()


def vocabulary(pool: Pool, entries: Path | None) -> list[str]:
    """Entries of a file, one a line; without one the concepts that the facts of the corpus name.

    Raises:
        ConfigError: the file cannot be read, or there are no facts either.
    """
    if entries is not None:
        try:
            return entries.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--entries: '{entries}' cannot be read as text ({cause_of(error)}); one entry a line"
            ) from error
    found = pool.connection.execute("SELECT DISTINCT concept FROM facts ORDER BY 1").fetchall()
    if not found:
        raise ConfigError("--balance text needs entries: the corpus has no facts, so give a file in --entries")
    return [concept.replace("_", " ") for (concept,) in found]


def sample_matches(pool: Pool, what: str, place_degrees: float) -> Matched:
    """The selected samples that are not held out, with the entries of each.

    Args:
        pool: the samples.
        what: `facts`, `place`, or a column of the samples table.
        place_degrees: side of the cells of `place` in degrees.

    Raises:
        ConfigError: there is no such column, or no sample has a place.
    """
    samples = np.flatnonzero(pool.open_samples)
    if what == "facts":
        pairs, names = _fact_pairs(pool)
    elif what == "place":
        pairs, names = _labelled(pool, lambda rows: _cells(rows, place_degrees), "geometry")
        if not names:
            raise ConfigError("--balance place: no sample has a footprint; balance by subject or another column")
    elif what in SAMPLES.names:
        pairs, names = _labelled(pool, lambda rows: [None if row is None else str(row) for row in rows], what)
    else:
        raise ConfigError(
            f"--balance: there is no '{what}'; use text, facts, place, subject or another column of the samples table"
        )
    slot = np.full(len(pool.keep), -1, np.int64)
    slot[samples] = np.arange(len(samples))
    packed = distinct((pairs[:, 0] << np.int64(32)) | pairs[:, 1])
    pairs = np.stack([packed >> np.int64(32), packed & np.int64(0x7FFFFFFF)], axis=1)
    pairs = pairs[slot[pairs[:, 0]] >= 0]
    offsets = np.searchsorted(slot[pairs[:, 0]], np.arange(len(samples) + 1))
    matches = Matches(offsets.astype(np.int64), pairs[:, 1].astype(np.int32), names)
    return Matched(names, entry_counts(matches), lambda: iter([(samples, matches)]))


def _fact_pairs(pool: Pool) -> tuple[Int64s, list[str]]:
    """[matches, 2] of sample and concept that is present; samples that have facts and none present share an entry."""
    where = f"concept NOT IN {DESCRIPTIVE} AND NOT starts_with(coalesce(source, ''), '{MEASURED}')"
    query = f"SELECT uid, CASE polarity WHEN 'present' THEN concept END AS concept FROM facts WHERE {where}"
    table = pool.connection.sql(query).to_arrow_table()
    samples = pool.places(table["uid"].combine_chunks())
    concepts = table["concept"].combine_chunks().dictionary_encode()
    names = [*concepts.dictionary.to_pylist(), NOTHING]
    entries = concepts.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    pairs = np.stack([samples, entries], axis=1)[samples >= 0]
    found = np.zeros(len(pool.keep), np.bool_)
    found[pairs[pairs[:, 1] < len(names) - 1, 0]] = True
    return pairs[(pairs[:, 1] < len(names) - 1) | ~found[pairs[:, 0]]], names


def _labelled(
    pool: Pool, labels: Callable[[list[object]], Sequence[str | None]], column: str
) -> tuple[Int64s, list[str]]:
    """[matches, 2] of sample and the number of its label; samples without one match nothing."""
    numbers: dict[str, int] = {}
    pairs = []
    start = 0
    for batch in scan(pool.store, "samples", [column]):
        for row, label in enumerate(labels(batch.column(0).to_pylist())):
            if label is not None:
                pairs.append((start + row, numbers.setdefault(label, len(numbers))))
        start += len(batch)
    return np.array(pairs, np.int64).reshape(-1, 2), list(numbers)


def _cells(geometries: Sequence[object], degrees: float) -> list[str | None]:
    """Cell of the middle of each footprint, by its south-west corner in degrees."""
    cells: list[str | None] = []
    for wkb in geometries:
        points = [point for ring in outlines(wkb) for point in ring] if isinstance(wkb, bytes) else []
        if not points:
            cells.append(None)
            continue
        x, y = (sum(values) / len(points) for values in zip(*points, strict=True))
        cells.append(f"{np.floor(x / degrees) * degrees:g}, {np.floor(y / degrees) * degrees:g}")
    return cells
