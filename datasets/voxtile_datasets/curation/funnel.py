"""What each step of a curation left, and examples of what it took away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from voxtile_datasets.curation.candidates import Pool, refuse_empty
from voxtile_datasets.curation.similarity_links import Int64s, Mask


@dataclass(frozen=True)
class Example:
    """A sample or caption that a step took away.

    Attributes:
        sample: number of the sample.
        caption: number of the caption, or None where the sample went as such.
        instead_sample: number of the sample that stays in its stead; -1 in another corpus, None where there is none.
        instead_caption: likewise.
    """

    sample: int
    caption: int | None = None
    instead_sample: int | None = None
    instead_caption: int | None = None


@dataclass
class Step:
    """One step.

    Attributes:
        name: short, as in the option.
        detail: what it asked for, and what it found.
        samples: before and after.
        captions: before and after.
        seconds: time it took.
        examples: of what it took away.
    """

    name: str
    detail: str = ""
    samples: tuple[int, int] = (0, 0)
    captions: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    examples: list[Example] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """Values for `selection.json`; not the time, which would differ between equal runs, and not the examples."""
        return {name: value for name, value in asdict(self).items() if name not in ("seconds", "examples")}


class Funnel:
    """The steps of one curation.

    Args:
        pool: what they work on.
        examples: how many examples of each step are kept.
    """

    def __init__(self, pool: Pool, examples: int) -> None:
        self.pool = pool
        self.steps: list[Step] = []
        self._examples = examples

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Count before and after a step, and choose examples of what is gone that it has not chosen itself.

        Raises:
            ConfigError: nothing is left.
        """
        step = Step(name)
        keep, captions = self.pool.keep.copy(), self.pool.keep_captions.copy()
        before, told, clock = int(keep.sum()), int(captions.sum()), time.monotonic()
        yield step
        step.seconds = time.monotonic() - clock
        step.samples, step.captions = (before, self.pool.samples), (told, self.pool.captions)
        if not step.examples:
            gone = self.spread(keep & ~self.pool.keep)
            if len(gone):
                step.examples = [Example(int(sample)) for sample in gone]
            else:
                dropped = self.spread(captions & ~self.pool.keep_captions)
                step.examples = [Example(int(self.pool.owner[caption]), int(caption)) for caption in dropped]
        self.steps.append(step)
        refuse_empty(self.pool, f"'{name}'")

    def spread(self, gone: Mask) -> Int64s:
        """Evenly spaced numbers of what a mask names, as many as examples are kept."""
        places = np.flatnonzero(gone)
        chosen = np.linspace(0, len(places) - 1, min(self._examples, len(places))).round().astype(np.int64)
        return places[chosen]
