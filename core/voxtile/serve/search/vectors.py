"""Exact search among the vectors of all samples, which stay on disk.

The vectors are read block by block into a small buffer, so that the memory of the server does not grow with the corpus.
A first pass in half precision says which samples can be among the best; these are scored again in float32.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from voxtile.serve.sample_index import Mask, Numbers

_BLOCK_BYTES = 2 << 20  # of a block; it stays in a processor's cache between reading and multiplying
_ROUNDING = 2.0**-8  # more than halves lose of the cosine of vectors of length 1, see `_rough`
_HALF = 2  # bytes

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Found:
    """The best samples, the best first.

    Attributes:
        numbers: of samples.
        cosines: of each with the query.
    """

    numbers: Numbers
    cosines: Floats


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
        self.present = present
        self.width = width
        self._rows = max(1, _BLOCK_BYTES // (_HALF * width))
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="search")

    def __len__(self) -> int:
        return len(self.present)

    def vector(self, number: int) -> Floats | None:
        """[D] of one sample; None where it has none."""
        return self.vectors(np.array([number]))[0] if self.present[number] else None

    def vectors(self, numbers: Numbers) -> Floats:
        """[S, D] of samples."""
        size = _HALF * self.width
        rows = [np.frombuffer(os.pread(self._descriptor, size, int(n) * size), np.float16) for n in numbers]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.width), np.float32)

    def best(self, query: Floats, count: int, allowed: Mask | None = None) -> Found:
        """The samples nearest to a query by cosine; exact, ties in the order of numbers.

        Args:
            query: [D], of any length but zero.
            count: how many at most.
            allowed: [samples] those that may be found; all by default.
        """
        unit = query / np.linalg.norm(query)
        rough = self._rough(unit)
        may = self.present if allowed is None else self.present & allowed
        rough[~may] = -np.inf
        count = min(count, int(may.sum()))
        if not count:
            return Found(np.zeros(0, np.int64), np.zeros(0, np.float32))
        least = np.partition(rough, len(rough) - count)[len(rough) - count]
        candidates = np.flatnonzero(rough >= least - 2 * _ROUNDING)
        cosines = np.concatenate([self.vectors(part) @ unit for part in _parts(candidates)])
        order = np.lexsort((candidates, -cosines))[:count]
        return Found(candidates[order], cosines[order])

    def close(self) -> None:
        """Let go of the file."""
        self._pool.shutdown()
        os.close(self._descriptor)

    def _rough(self, unit: Floats) -> Floats:
        """[samples] cosines within `_ROUNDING`."""
        out = np.empty(len(self), np.float32)
        half = torch.from_numpy(unit.astype(np.float16))
        share = -(-len(self) // self._threads)
        starts = range(0, len(self), share) if share else range(0)
        list(self._pool.map(lambda start: self._multiply(out, half, start, min(start + share, len(self))), starts))
        return out

    def _multiply(self, out: Floats, query: torch.Tensor, start: int, stop: int) -> None:
        block = torch.empty(self._rows, self.width, dtype=torch.float16)
        view = memoryview(block.numpy().view(np.uint8).reshape(-1).data)
        for first in range(start, stop, self._rows):
            rows = min(self._rows, stop - first)
            size = rows * self.width * _HALF
            if os.preadv(self._descriptor, [view[:size]], first * self.width * _HALF) != size:
                raise OSError("the file of vectors was cut short while it was searched")
            out[first : first + rows] = torch.mv(block[:rows], query).float().numpy()


def _parts(numbers: Numbers, most: int = 16_384) -> Iterator[Numbers]:
    yield from (numbers[start : start + most] for start in range(0, max(1, len(numbers)), most))
