"""Exact search among the vectors of all samples, which stay on disk.

The vectors are mapped and let go of block by block, so that the memory of the server does not grow with the corpus.
A first pass in half precision says which samples can be among the best; these are scored again in float32. Where few
samples may be found at all, these alone are read.
"""

from __future__ import annotations

import mmap
import os
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from voxtile.serve.sample_index import Mask, Numbers

_BLOCK_BYTES = 4 << 20  # of a block; its pages are let go of when it was multiplied
_TAKEN = 16_384  # samples that are taken at a time
_ROUNDING = 2.0**-8  # more than halves lose of the cosine of vectors of length 1, see `_rough`
_HALF = 2  # bytes
_FEW = 8  # a share of samples below 1 / this is read by itself, which costs more a sample and less in all

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The best samples, the best first.

    Attributes:
        numbers: of samples.
        cosines: of each with the query.
        is_exact: none is nearer that is not among them.
    """

    numbers: Numbers
    cosines: Floats
    is_exact: bool = True


class VectorFile:
    """Vectors of length 1 as float16 [samples, D], a row a sample.

    Args:
        path: of the file.
        present: [samples] whether a sample has a vector.
        width: D.
        threads: blocks that are read and multiplied at once.
    """

    def __init__(self, path: Path, present: Mask, width: int, *, threads: int = 0) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self.path = path
        self.present = present
        self.count = int(present.sum())
        self.width = width
        self._rows = max(1, _BLOCK_BYTES // (_HALF * width))
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="search")
        size = len(present) * width * _HALF
        self._map = mmap.mmap(self._descriptor, size, prot=mmap.PROT_READ) if size else None
        if self._map is not None:
            self._map.madvise(mmap.MADV_RANDOM)
        self.close = weakref.finalize(self, _closed, self._pool, self._descriptor)
        """Let go of the file, which also happens when nobody has it any more."""

    def __len__(self) -> int:
        return len(self.present)

    def vector(self, number: int) -> Floats | None:
        """[D] of one sample; None where it has none."""
        return self.vectors(np.array([number]))[0] if self.present[number] else None

    def vectors(self, numbers: Numbers) -> Floats:
        """[S, D] of samples."""
        out = np.zeros((len(numbers), self.width), np.float32)
        if self._map is None:
            return out
        rows = np.frombuffer(self._map, np.float16).reshape(-1, self.width)
        for start in range(0, len(numbers), _TAKEN):
            out[start : start + _TAKEN] = rows[numbers[start : start + _TAKEN]]
            self._map.madvise(mmap.MADV_DONTNEED)  # else what was read counts as memory of the process
        return out

    def best(self, query: Floats, count: int, allowed: Mask | None = None) -> Found:
        """The samples nearest to a query by cosine; exact, ties in the order of numbers.

        Args:
            query: [D], of any length but zero.
            count: how many at most.
            allowed: [samples] those that may be found; all by default.
        """
        unit = query / np.linalg.norm(query)
        may = self.present if allowed is None else self.present & allowed
        total = int(may.sum())
        count = min(count, total)
        if not count:
            return Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
        if total * _FEW <= len(self):
            return self.among(unit, np.flatnonzero(may), count)
        rough = self._rough(unit)
        rough[~may] = -np.inf
        least = np.partition(rough, len(rough) - count)[len(rough) - count]
        return self.among(unit, np.flatnonzero(rough >= least - 2 * _ROUNDING), count)

    def among(self, unit: Floats, candidates: Numbers, count: int) -> Found:
        """The nearest of some samples, all of which have a vector.

        Args:
            unit: [D] the query, of length 1.
            candidates: numbers of the samples.
            count: how many at most.
        """
        parts = range(0, max(1, len(candidates)), _TAKEN)
        cosines = np.concatenate([self.vectors(candidates[start : start + _TAKEN]) @ unit for start in parts])
        order = np.lexsort((candidates, -cosines))[:count]
        return Found(candidates[order], cosines[order])

    def _rough(self, unit: Floats) -> Floats:
        """[samples] cosines within `_ROUNDING`."""
        out = np.empty(len(self), np.float32)
        half = torch.from_numpy(unit.astype(np.float16))
        share = -(-len(self) // self._threads)
        starts = range(0, len(self), share) if share else range(0)
        list(self._pool.map(lambda start: self._multiply(out, half, start, min(start + share, len(self))), starts))
        return out

    def _multiply(self, out: Floats, query: torch.Tensor, start: int, stop: int) -> None:
        for first in range(start, stop, self._rows):
            rows = min(self._rows, stop - first)
            place, size = first * self.width * _HALF, rows * self.width * _HALF
            page = place // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
            # Private, since torch warns of memory that cannot be written; gone with the block.
            mapped = mmap.mmap(self._descriptor, place + size - page, offset=page, access=mmap.ACCESS_COPY)
            block = torch.frombuffer(mapped, dtype=torch.float16, count=rows * self.width, offset=place - page)
            out[first : first + rows] = torch.mv(block.view(rows, self.width), query).float().numpy()


def _closed(pool: ThreadPoolExecutor, descriptor: int) -> None:
    pool.shutdown(wait=False)
    os.close(descriptor)
