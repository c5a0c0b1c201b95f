"""Reading outside files on the nodes of a Ray cluster while a task plans."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from voxtile.engine.failure import Failure
from voxtile.engine.parallel import CHUNK, PlanReader, read_in
from voxtile.engine.pool import WorkerPool
from voxtile.engine.ray_cluster.connection import require_ray
from voxtile.engine.ray_cluster.slots import joined
from voxtile.engine.worker_process import Limits

T = TypeVar("T")
R = TypeVar("R")

FEWEST = 4 * CHUNK  # items for which nodes are asked: fewer are read here before a node has answered
_A_CALL = 4 * CHUNK  # items at most


@dataclass(frozen=True)
class RayPlanReader(PlanReader):
    """A plan reader on the nodes: each slot reads chunks of files in a supervised process of its own.

    In the task's own process on a node, and for few files, it is a plain `PlanReader`.

    Attributes:
        slots: in the whole cluster at most; 0 means one a processor of it.
    """

    slots: int = 0

    def __post_init__(self) -> None:
        require_ray()

    def __reduce__(self) -> tuple[Any, ...]:
        """Elsewhere: a reader of files there."""
        return PlanReader, (self.workers, self.limits)

    def map(self, function: Callable[[T], R], items: Sequence[T], *, title: str = "reading") -> list[R | Failure]:
        """Apply a function to each item, in order; see `voxtile.engine.parallel.parallel_map`.

        Raises:
            ConfigError: no cluster can be reached, or the function cannot be sent to it.
            CorpusError: the cluster went away, or files were lost with their nodes several times.
        """
        if len(items) < FEWEST:
            return super().map(function, items, title=title)
        from voxtile.engine.report import Progress  # late: as in `parallel_map`

        slots = joined(self.slots)
        slots.hold(_FileReader, function, self.limits)
        size = max(CHUNK, min(_A_CALL, math.ceil(len(items) / (4 * slots.count))))
        chunks = (list(items[start : start + size]) for start in range(0, len(items), size))
        results: list[R | Failure] = []
        try:
            with Progress(title, len(items)) as progress:
                for found in slots.ordered((("read", (chunk,)) for chunk in chunks), title):
                    results += found
                    progress.reach(len(results))
        except BaseException:
            slots.close()
            raise
        return results


class _FileReader:
    """What a slot holds while a plan is made: one supervised process."""

    def __init__(self, function: Callable[[Any], Any], limits: Limits) -> None:
        self._pool = WorkerPool(1, function, limits)

    def read(self, items: list[Any]) -> list[Any]:
        """The function's results, or failures, in order."""
        return read_in(self._pool, items, CHUNK)

    def close(self) -> None:
        """End its process."""
        self._pool.close()
