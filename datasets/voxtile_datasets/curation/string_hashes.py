"""Hashes of many strings at once: of whole strings, and of the words in texts.

Everything works on Arrow's own buffers, so that ten million texts cost seconds. Hashes are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.data.epoch_order import UInt64s, mix64

Int64s: TypeAlias = npt.NDArray[np.int64]
Bytes: TypeAlias = npt.NDArray[np.uint8]
_T = TypeVar("_T", bound=np.generic)

_CHUNK_BYTES = 1 << 22  # bytes of text in hand at once; the arrays over them take about ten times as much
_BASE = np.uint64(0x9E3779B97F4A7C15 | 1)
_ORDERED = np.uint64(0xD6E8FEB86659FD93)

_LOWER = np.arange(256, dtype=np.uint8)
_LOWER[ord("A") : ord("Z") + 1] += 32
_WORD = np.zeros(256, np.bool_)
_WORD[[*range(ord("0"), ord("9") + 1), *range(ord("a"), ord("z") + 1), *range(ord("A"), ord("Z") + 1)]] = True
_WORD[0x80:] = True  # letters beyond ASCII, in UTF-8
_DIGIT = np.zeros(256, np.bool_)
_DIGIT[ord("0") : ord("9") + 1] = True


class Words(NamedTuple):
    """The words of texts.

    Attributes:
        offsets: [texts + 1], where the words of each text begin.
        hashes: [words], one a word, in order.
    """

    offsets: Int64s
    hashes: UInt64s


def string_keys(strings: pa.Array) -> UInt64s:
    """[n] 64-bit hashes of whole strings, null as the empty one. Different strings collide with probability 2^-64."""
    keys = [_sums(data, offsets[:-1], np.diff(offsets)) for data, offsets in _chunks(strings)]
    return mix64(np.concatenate(keys)) if keys else np.empty(0, np.uint64)


def words_of(texts: pa.Array) -> Words:
    """Words of texts: letters and digits, in lower case and compatibility form; a CJK character is a word.

    A point or comma between digits and a minus sign before one belong to the number; other punctuation separates.
    """
    counts: list[Int64s] = []
    hashes: list[UInt64s] = []
    for data, offsets in _chunks(_folded(texts)):
        starts, lengths, letters = _word_spans(data, offsets)
        hashes.append(mix64(_sums(letters, np.cumsum(lengths) - lengths, lengths)))
        counts.append(np.diff(np.searchsorted(starts, offsets)))
    total = np.concatenate(counts) if counts else np.empty(0, np.int64)
    offsets = np.concatenate([[0], np.cumsum(total)]).astype(np.int64)
    return Words(offsets, np.concatenate(hashes) if hashes else np.empty(0, np.uint64))


def text_keys(words: Words) -> UInt64s:
    """[texts] hashes of the words of texts in their order: equal for texts that differ in case and punctuation only."""
    position = ragged_positions(words.offsets)
    mixed = mix64(words.hashes + position.astype(np.uint64) * _ORDERED)
    return mix64(_segment_sums(mixed, words.offsets))


def ragged_positions(offsets: Int64s) -> Int64s:
    """Place of each element within its segment."""
    lengths = np.diff(offsets)
    return np.arange(offsets[-1], dtype=np.int64) - np.repeat(offsets[:-1], lengths)


def distinct(values: npt.NDArray[_T]) -> npt.NDArray[_T]:
    """Different values, ascending; by sorting, which beats NumPy's hashing on the long arrays here."""
    ordered = np.sort(values)
    return ordered[np.concatenate([[True], ordered[1:] != ordered[:-1]])] if len(ordered) else ordered


def _segment_sums(values: UInt64s, offsets: Int64s) -> UInt64s:
    """Sums modulo 2^64 of segments, some of which may be empty."""
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
    sums: UInt64s = running[offsets[1:]] - running[offsets[:-1]]
    return sums


def _sums(data: Bytes, starts: Int64s, lengths: Int64s) -> UInt64s:
    """Polynomial hashes of spans that lie one after the other from `starts[0]` on."""
    offsets = np.concatenate([starts, [starts[-1] + lengths[-1]]]) if len(starts) else np.zeros(1, np.int64)
    position = ragged_positions(offsets - offsets[0])
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, _BASE), dtype=np.uint64)
    values = (data[offsets[0] : offsets[-1]].astype(np.uint64) + np.uint64(1)) * powers[position]
    return _segment_sums(values, offsets - offsets[0])


def _folded(texts: pa.Array) -> pa.Array:
    """Texts in compatibility form and lower case where they hold more than ASCII."""
    data, _ = _buffers(texts)
    if not (data >= 0x80).any():
        return texts
    return pc.utf8_lower(pc.utf8_normalize(texts, form="NFKC"))


def _word_spans(data: Bytes, offsets: Int64s) -> tuple[Int64s, Int64s, Bytes]:
    """Where words start, how long they are, and the bytes of all words, lowered, one after the other."""
    word = _WORD[data]
    before, after = _shifted(data, 1), _shifted(data, -1)
    point = ((data == ord(".")) | (data == ord(","))) & _DIGIT[before] & _DIGIT[after]
    minus = (data == ord("-")) & _DIGIT[after] & ~_WORD[before]
    word |= point | minus
    begins = np.zeros(len(data), np.bool_)
    begins[offsets[:-1][offsets[:-1] < len(data)]] = True
    if (data >= 0x80).any():
        begins |= _cjk_begins(data)
        word &= ~_punctuation(data)
    first = word & (begins | ~_shifted(word, 1))
    places = np.flatnonzero(word)
    starts = np.flatnonzero(first)
    inside = np.searchsorted(places, starts)
    lengths = np.diff(np.append(inside, len(places)))
    return starts, lengths, _LOWER[data[places]]


def _cjk_begins(data: Bytes) -> npt.NDArray[np.bool_]:
    """Bytes at which a Chinese, Japanese or Korean character starts or one has just ended (UTF-8 leads E3 to ED)."""
    lead = (data >= 0xE3) & (data <= 0xED)
    inside = lead | _shifted(lead, 1) | _shifted(lead, 2)
    return lead | (_shifted(inside, 1) & ~inside)


def _punctuation(data: Bytes) -> npt.NDArray[np.bool_]:
    """Bytes of general and CJK punctuation, U+2000 to U+203F and U+3000 to U+303F."""
    following = _shifted(data, -1)
    lead: npt.NDArray[np.bool_] = ((data == 0xE2) | (data == 0xE3)) & (following == 0x80)
    return lead | _shifted(lead, 1) | _shifted(lead, 2)


def _shifted(values: npt.NDArray[_T], by: int) -> npt.NDArray[_T]:
    """Values moved towards the end (or the start, if negative), filled with zero."""
    moved = np.zeros_like(values)
    if by > 0:
        moved[by:] = values[:-by]
    else:
        moved[:by] = values[-by:]
    return moved


def _buffers(strings: pa.Array) -> tuple[Bytes, Int64s]:
    """Bytes of all strings, and the [n + 1] offsets of each."""
    filled = strings if not strings.null_count else pc.fill_null(strings, "")
    large = filled.cast(pa.large_string())
    _, offsets, data = large.buffers()
    places = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
    if data is None:
        return np.empty(0, np.uint8), places - places[0]
    return np.frombuffer(data, np.uint8)[places[0] : places[-1]], places - places[0]


def _chunks(strings: pa.Array) -> Iterator[tuple[Bytes, Int64s]]:
    """Pieces of about `_CHUNK_BYTES`, each as bytes and offsets from 0."""
    if not len(strings):
        return
    data, offsets = _buffers(strings)
    start = 0
    while start < len(strings):
        stop = int(np.searchsorted(offsets, offsets[start] + _CHUNK_BYTES, side="right")) - 1
        stop = min(max(stop, start + 1), len(strings))
        yield data[offsets[start] : offsets[stop]], offsets[start : stop + 1] - offsets[start]
        start = stop
