"""What the page shows of one task, whatever its kind: the parts that a kind's section is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxtile.evaluation.figures.figures import Difference
from voxtile.evaluation.figures.rows import Row, ScoreKind
from voxtile.evaluation.result import Result

_UNITS = {"sample": ("image", "images"), "study": ("study", "studies")}


@dataclass(frozen=True)
class Source:
    """Where figures come from: the model, its fact head, the trivial baseline, the shuffled control.

    Attributes:
        role: decides the colour, the shape of a mark and the dashes of a line: model, trivial or shuffled; head,
            ensemble, late-interaction or matching beside the model.
        model, kind: of its rows.
        label: what people read.
        about: one line of explanation.
    """

    role: str
    model: str
    kind: ScoreKind
    label: str
    about: str


@dataclass(frozen=True)
class Strip:
    """The axis that intervals are drawn on: from `low` to 1."""

    low: float

    def x(self, value: float | None) -> str:
        """Place of a value as a percentage, kept inside the strip."""
        share = 0.0 if value is None else (value - self.low) / (1 - self.low)
        return f"{100 * min(max(share, 0), 1):.2f}%"

    def width(self, low: float | None, high: float | None) -> str:
        """Length between two values as a percentage."""
        return f"{float(self.x(high)[:-1]) - float(self.x(low)[:-1]):.2f}%"

    @property
    def ticks(self) -> list[float]:
        """Tenths from the low end to 1; every second where they would be crowded."""
        lowest = round(self.low * 10)
        return [tenth / 10 for tenth in range(10, lowest - 1, -1 if lowest >= 4 else -2)][::-1]


def strip_of(values: Sequence[float]) -> Strip:
    """An axis from the tenth below the smallest value, and at most 0.4, so that chance is on it."""
    lowest = min([0.45, *values])
    return Strip(max(0.0, float(np.floor(lowest * 10)) / 10))


@dataclass(frozen=True, kw_only=True)
class Section:
    """What the page shows of one task; the template gets it as `task`.

    Attributes:
        result: of the task.
        sources: whose figures stand beside each other.
        strip: the axis of its intervals.
        difference: of the model from its trivial baseline, or None.
        template: of the kind's own package or of voxtile's report.
        labelled: facts are its truth, so that the page says where labels come from.
        prefix: before its anchor, where several models are on the page.
    """

    result: Result
    sources: Sequence[Source]
    strip: Strip = Strip(0.0)
    difference: Difference | None = None
    template: str
    labelled: bool = False
    prefix: str = ""

    @property
    def headline(self) -> Row | None:
        """The figure that stands for the task."""
        return next(iter(self.result.headlines(self.sources[0].model).values()), None)

    @property
    def limits(self) -> Sequence[tuple[str, str]]:
        """What such figures do not prove: a few words in bold, and a sentence or two."""
        return ()

    @property
    def anchor(self) -> str:
        """Where links on the page go to."""
        return self.prefix + self.result.task.name.replace("/", "-")

    @property
    def unit(self) -> str:
        """What is scored: image or study."""
        return _UNITS[self.result.task.unit][0]

    @property
    def units(self) -> str:
        """Several of them."""
        return _UNITS[self.result.task.unit][1]
