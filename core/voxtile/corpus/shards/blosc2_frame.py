"""Checks of a Blosc2 n-d frame before the library touches it.

A frame comes from a file that somebody may have prepared: it can claim terabytes, name a codec or filter that is a
Python function or a plugin found by running `python -c "import blosc2_NAME"`, or carry metadata that rebuilds live
objects. Only what `encode_array` writes is let through; every size is compared with hard limits before memory is taken.

Layout: header (msgpack, fixed positions, then the metalayers `b2nd` and, since schema 2.0, `checksums`) | chunks |
chunk index | trailer. Sources, in https://github.com/Blosc/c-blosc2: README_CFRAME_FORMAT.rst, README_CHUNK_FORMAT.rst,
README_B2ND_METALAYER.rst.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.corpus.shards.checksums import LAYER, check_around, check_chunk, layer_bytes, layer_head
from voxtile.corpus.shards.lean_blosc2 import blosc2
from voxtile.errors import CorpusError

MAX_DIMENSIONS = 8  # B2ND_MAX_DIM of c-blosc2
MAX_ARRAY_BYTES = 1 << 34  # a 2048³ int16 micro-CT volume; nothing larger is read in one piece
MAX_CHUNK_BYTES = 1 << 26  # our own chunks stay under 1 MiB
MAX_CHUNKS = 1 << 24

_MAGIC = b"\x9e\xa8b2frame\x00\xd2"
_FLAGS = b"\xa4\x12\x00"  # format version 2, 64-bit offsets, contiguous
_ZSTD = 5
_PLAIN_FILTERS = frozenset({0, 1, 2})  # none, shuffle, bitshuffle: no plugin, no Python
# No variable-length metadata and no checksum.
_TRAILER = bytes.fromhex("94 01 93 cd0006 de0000 dc0000 ce00000023 d800") + bytes(16)
_FIXED_HEADER = 87
_CHUNK_HEADER = 32
_CHUNK_VERSION = 5
_DTYPES = frozenset({"|b1", "|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f2", "<f4", "<f8", "<c8", "<c16"})
# The map of metalayers: its length, their number, and each one's name with its place (an int32); then their contents.
_LAYERS = re.compile(
    rb"\x93\xcd..\xde\x00([\1\2])\xa4b2nd\xd2(....)(?:\xa9" + LAYER.encode() + rb"\xd2(....))?\xdc\x00\1\xc6(....)",
    re.DOTALL,
)
_ZERO_CHUNK, _NAN_CHUNK = 0x81, 0x82  # top byte of an index entry that stands for a chunk without bytes


_Array: TypeAlias = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], np.dtype[np.generic]]
"""Shape, chunks, blocks and type."""


@dataclass(frozen=True)
class Frame:
    """The parts of a checked header.

    Attributes:
        shape: of the array, in its own axis order.
        chunks: shape of a chunk.
        blocks: shape of a block inside a chunk.
        dtype: of the stored values.
        buffer: the whole frame.
        header_bytes: length of the header; chunk offsets count from its end.
        data_bytes: length of all chunks together.
        chunk_bytes: decompressed length of a chunk.
        block_bytes: decompressed length of a block.
        is_sealed: the frame carries checksums, which reading compares; frames of schema 1 do not.
        need: has ranges of the buffer fetched before they are read, where it is not there whole.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    blocks: tuple[int, ...]
    dtype: np.dtype[np.generic]
    buffer: memoryview
    header_bytes: int
    data_bytes: int
    chunk_bytes: int
    block_bytes: int
    is_sealed: bool
    need: Callable[[Sequence[tuple[int, int]]], None] | None = None

    @property
    def chunk_grid(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-size // chunk) for size, chunk in zip(self.shape, self.chunks, strict=True))

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Offset of each chunk from the end of the header, in C order of the grid; negative for special chunks."""
        return _read_index(self)

    def check_chunks(self, selection: Sequence[slice]) -> None:
        """Check the headers and the checksums of the chunks that a selection touches, and of no others.

        Args:
            selection: one slice an axis with step 1 and bounds inside the shape.

        Raises:
            CorpusError: a chunk lies outside the frame, needs more than the built-in codecs and filters, or is damaged.
        """
        ranges = [range(s.start // c, -(-s.stop // c)) for s, c in zip(selection, self.chunks, strict=True)]
        if not all(ranges):
            return
        numbers = np.ravel_multi_index(np.ix_(*ranges), self.chunk_grid).reshape(-1)
        offsets = self.offsets[numbers]
        if self.need is not None:
            self.need(self._ranges_of(offsets))
        _check_chunk_headers(self, offsets)
        if self.is_sealed:
            total = len(self.offsets)
            for number, offset in zip(numbers.tolist(), offsets.tolist(), strict=True):
                if offset >= 0:
                    check_chunk(self.buffer, self.header_bytes, total, number, offset)

    def _ranges_of(self, offsets: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
        """Where chunks lie in the buffer: each ends at the latest where another begins, or the index."""
        begins = np.unique(np.append(self.offsets[self.offsets >= 0], self.data_bytes))
        starts = np.unique(offsets[(offsets >= 0) & (offsets < self.data_bytes)])
        stops = begins[np.searchsorted(begins, starts, side="right")]
        return [
            (self.header_bytes + a, self.header_bytes + b) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)
        ]


def inspect_frame(
    data: bytes | memoryview,
    *,
    is_finished: bool = True,
    need: Callable[[Sequence[tuple[int, int]]], None] | None = None,
) -> Frame:
    """Read and check the header of a frame.

    Args:
        data: the whole frame, no more and no less.
        is_finished: its checksums, if it has any, are filled in.
        need: see `Frame`; all that is no chunk must be there.

    Raises:
        CorpusError: the frame is damaged, too large, or asks for anything beyond plain compressed numbers.
    """
    view = memoryview(data).cast("B")
    if len(view) < _FIXED_HEADER + _CHUNK_HEADER + len(_TRAILER) or view[:11] != _MAGIC:
        raise CorpusError("not a Blosc2 array frame, or cut short")
    try:
        header_bytes, frame_bytes = struct.unpack(">ixQ", view[11:24])
        array_bytes, data_bytes = struct.unpack(">qxq", view[30:47])
        type_size, block_bytes, chunk_bytes = struct.unpack(">ixixi", view[48:62])
        _check_pipeline(view)
        array, is_sealed, end = _parse_layers(view, header_bytes)
    except (struct.error, IndexError, ValueError) as error:
        raise CorpusError(f"the header of a Blosc2 frame is damaged ({error})") from error
    if frame_bytes != len(view):
        raise CorpusError(f"a Blosc2 frame says it has {frame_bytes} bytes where {len(view)} are stored")
    sizes = (header_bytes, data_bytes, chunk_bytes, block_bytes)
    frame = Frame(*array, view, *sizes, is_sealed, need)
    _check_sizes(frame, type_size, array_bytes)
    _check_end_of_layers(frame, end)
    if is_sealed and is_finished:
        check_around(view, header_bytes, data_bytes, math.prod(frame.chunk_grid))
    return frame


def _check_pipeline(view: memoryview) -> None:
    if view[24:27] != _FLAGS or view[27] & 0x0F != _ZSTD or view[77] != _ZSTD or view[78] != 0:
        raise CorpusError("a Blosc2 frame uses a codec or layout other than zstd; it is refused unopened")
    if view[68] != 0xC2:
        raise CorpusError(
            "a Blosc2 frame carries variable-length metadata, which could run code; it is refused unopened"
        )
    if view[len(view) - len(_TRAILER) :] != _TRAILER:
        raise CorpusError("a Blosc2 frame is cut short, or has more than numbers at its end; it is refused unopened")
    if not set(view[71:77]) <= _PLAIN_FILTERS or any(view[79:87]):
        raise CorpusError("a Blosc2 frame names a user-defined or plugin filter; it is refused unopened")


def _parse_layers(view: memoryview, header_bytes: int) -> tuple[_Array, bool, int]:
    """The metalayer `b2nd`, whether the one of checksums follows, and where it would begin."""
    head = bytes(view[_FIXED_HEADER : min(header_bytes, _FIXED_HEADER + 1024)])
    found = _LAYERS.match(head)
    if found is None or int.from_bytes(found[1]) != (2 if found[3] else 1):
        raise CorpusError(
            "a Blosc2 frame is not a plain array (another kind of object could run code); it is refused unopened"
        )
    start, is_sealed = found.end(), bool(found[3])
    end = start + int.from_bytes(found[4])
    places = [start - 5, end][: 1 + is_sealed]  # where the library will look for the layers
    if [int.from_bytes(place) - _FIXED_HEADER for place in found.group(2, 3) if place] != places:
        raise ValueError("metadata that is not where it is said to be")
    return _parse_b2nd(head[start:end]), is_sealed, _FIXED_HEADER + end


def _check_end_of_layers(frame: Frame, end: int) -> None:
    """Behind the metalayer `b2nd` stand the checksums, if there are any, and nothing else."""
    nchunks = math.prod(frame.chunk_grid)
    head = layer_head(nchunks) if frame.is_sealed else b""
    rest = len(head) + layer_bytes(nchunks) if frame.is_sealed else 0
    if frame.buffer[end : end + len(head)] != head or end + rest != frame.header_bytes:
        raise CorpusError("the header of a Blosc2 frame is damaged (metadata that does not fit the array)")


def _parse_b2nd(layer: bytes) -> _Array:
    ndim = layer[2]
    if layer[:2] != b"\x97\x00" or not 1 <= ndim <= MAX_DIMENSIONS:
        raise ValueError(f"array metadata with {ndim} dimensions")
    prefix = bytes([0x90 | ndim])
    layout = f">c{'xq' * ndim}c{'xi' * ndim}c{'xi' * ndim}bci"
    fields = struct.unpack_from(layout, layer, 3)
    markers = fields[0], fields[1 + ndim], fields[2 + 2 * ndim]
    if markers != (prefix,) * 3 or fields[-3:-1] != (0, b"\xdb"):
        raise ValueError("array metadata out of order")
    name = layer[3 + struct.calcsize(layout) :].decode("ascii", "replace")
    if fields[-1] != len(name) or name not in _DTYPES:
        raise CorpusError(
            f"a Blosc2 frame holds values of type {name[:40]!r}, not plain numbers; it is refused unopened"
        )
    return fields[1 : 1 + ndim], fields[2 + ndim : 2 + 2 * ndim], fields[3 + 2 * ndim : -3], np.dtype(name)


def _check_sizes(frame: Frame, type_size: int, array_bytes: int) -> None:
    """Python's integers do not overflow, so a product of hostile sizes cannot wrap to a small one."""
    size = frame.dtype.itemsize
    if not all(s >= c >= b >= 1 for s, c, b in zip(frame.shape, frame.chunks, frame.blocks, strict=True)):
        raise CorpusError(f"a Blosc2 frame has shape {frame.shape}, chunks {frame.chunks} and blocks {frame.blocks}")
    claimed = math.prod(frame.shape) * size
    nchunks = math.prod(frame.chunk_grid)
    if claimed > MAX_ARRAY_BYTES or frame.chunk_bytes > MAX_CHUNK_BYTES or nchunks > MAX_CHUNKS:
        raise CorpusError(
            f"a Blosc2 frame claims {claimed:.3g} bytes in {nchunks} chunks; the limit is {MAX_ARRAY_BYTES}"
        )
    padded = math.prod(-(-c // b) * b for c, b in zip(frame.chunks, frame.blocks, strict=True)) * size
    consistent = (
        type_size == size
        and frame.block_bytes == math.prod(frame.blocks) * size
        and frame.chunk_bytes == padded
        and array_bytes == nchunks * padded
        and 0 <= frame.data_bytes <= len(frame.buffer) - frame.header_bytes - _CHUNK_HEADER - len(_TRAILER)
    )
    if not consistent:
        raise CorpusError(f"the sizes in a Blosc2 frame of shape {frame.shape} contradict each other")


def _read_index(frame: Frame) -> npt.NDArray[np.int64]:
    start = frame.header_bytes + frame.data_bytes
    index = frame.buffer[start : len(frame.buffer) - len(_TRAILER)]
    header = np.frombuffer(index, np.uint8, _CHUNK_HEADER)
    nbytes, _, stored = struct.unpack("<iii", index[4:16])
    nchunks = math.prod(frame.chunk_grid)
    _check_codec(header[None])
    if nbytes != 8 * nchunks or not _CHUNK_HEADER <= stored <= len(index):
        raise CorpusError("the chunk index of a Blosc2 frame is damaged")
    try:
        return np.frombuffer(blosc2.decompress2(index[:stored], nthreads=1), np.int64)
    except (RuntimeError, ValueError) as error:
        raise CorpusError("the chunk index of a Blosc2 frame is damaged") from error


def _check_chunk_headers(frame: Frame, offsets: npt.NDArray[np.int64]) -> None:
    special = offsets < 0
    kinds = set((offsets[special].view(np.uint64) >> np.uint64(56)).tolist())
    if not kinds <= {_ZERO_CHUNK, _NAN_CHUNK}:
        raise CorpusError("a Blosc2 frame has chunks without defined values; it is refused")
    stored = offsets[~special]
    if not stored.size:
        return
    if int(stored.max()) > frame.data_bytes - _CHUNK_HEADER:
        raise CorpusError("a Blosc2 frame has a chunk outside its data")
    raw = np.frombuffer(frame.buffer, np.uint8)
    headers = raw[(stored + frame.header_bytes)[:, None] + np.arange(_CHUNK_HEADER)]
    _check_codec(headers)
    sizes = np.ascontiguousarray(headers[:, 4:16]).view("<i4")
    expected = (sizes[:, 0] == frame.chunk_bytes) & (sizes[:, 1] == frame.block_bytes)
    inside = (sizes[:, 2] >= _CHUNK_HEADER) & (sizes[:, 2] <= frame.data_bytes - stored)
    if not (expected & inside & (headers[:, 3] == frame.dtype.itemsize)).all():
        raise CorpusError("a Blosc2 frame has a chunk whose sizes contradict the header")


def _check_codec(headers: npt.NDArray[np.uint8]) -> None:
    """Accept chunks [N, 32] of the built-in blosclz (0) and zstd (4) formats, with built-in filters, and nothing lazy.

    Bytes: 0 version, 2 flags (codec format in the top three bits), 16–21 filters, 22–23 user codec, 24–29 filter
    parameters, 30 second flags, 31 first flags (dictionary, endianness, lazy, special value in bits 4–6, instrumented).
    """
    codec = headers[:, 2] >> 5
    plain = (
        (headers[:, 0] == _CHUNK_VERSION)
        & ((codec == 0) | (codec == 4))
        & (headers[:, 16:22] <= max(_PLAIN_FILTERS)).all(axis=1)
        & (headers[:, 22] <= _ZSTD)
        & (headers[:, 23] == 0)
        & (headers[:, 24:30] == 0).all(axis=1)
        & (headers[:, 30] == 0)
        & (headers[:, 31] & 0x8F == 0)
        & (headers[:, 31] >> 4 <= 3)
    )
    if not plain.all():
        raise CorpusError("a Blosc2 frame has a chunk with a user-defined codec or filter; it is refused")


def full_selection(shape: Sequence[int]) -> tuple[slice, ...]:
    """Slices that select all of an array."""
    return tuple(itertools.starmap(slice, ((0, size) for size in shape)))
