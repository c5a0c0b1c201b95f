"""Which target a reader judges next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from voxtile.errors import ConfigError
from voxtile.serve.explored import Explored
from voxtile.serve.judging.disagreement import Disagreement
from voxtile.serve.reviews.figures import OBJECTIONS
from voxtile.serve.reviews.targets import TARGETS, WITH_CONCEPTS
from voxtile.serve.reviews.verdicts import Drawn, Kind

_AHEAD = 5000  # targets that are put in order at a time
_HELD_S = 60.0  # seconds; then rows that were added meanwhile are seen
_NOT_CHECKED = "only captions are checked by others; draw facts and regions at random, in turn, or by fact"

# All readers are given the same order, so that two of them judge the same targets.
_BY_CHANCE = "md5(uid || target), target"
_ORDERS: Mapping[Drawn, str] = {
    "random": _BY_CHANCE,
    "stratified": f"row_number() OVER (PARTITION BY origin ORDER BY {_BY_CHANCE}), {_BY_CHANCE}",
    "by fact": f"row_number() OVER (PARTITION BY concept ORDER BY {_BY_CHANCE}), {_BY_CHANCE}",
    "objected": _BY_CHANCE,
}

Order = list[tuple[str, str]]
"""(uid, target) in the order of judging."""


@dataclass
class Queue:
    """What waits, the same for all readers.

    Attributes:
        explored: the corpus and its reviews.
    """

    explored: Explored
    _orders: dict[tuple[Kind, Drawn, int], tuple[float, Order]] = field(default_factory=dict)
    _disagreement: Disagreement = field(init=False)

    def __post_init__(self) -> None:
        self._disagreement = Disagreement(self.explored)

    def next(self, reader: str, kind: Kind, drawn: Drawn) -> tuple[str, str] | None:
        """The next (uid, target) that a reader has not judged; None where all are judged.

        Args:
            reader: who judges.
            kind: of targets; of captions, reports are left out.
            drawn: how.

        Raises:
            ConfigError: facts or regions are to be drawn by what was said of captions, or no model was named.
        """
        if drawn in ("objected", "disagreed") and kind != "caption":
            raise ConfigError(_NOT_CHECKED)
        judged = self.explored.reviews.judged_by(reader)
        orders = self._disagreement.orders() if drawn == "disagreed" else self._drawn(kind, drawn)
        return next((one for order in orders for one in order if (kind, *one) not in judged), None)

    def _drawn(self, kind: Kind, drawn: Drawn) -> Iterator[Order]:
        page = 0
        while True:
            made, order = self._orders.get((kind, drawn, page), (0.0, []))
            if not order or time.monotonic() - made > _HELD_S:
                order = self._ordered(kind, drawn, page * _AHEAD)
                self._orders[kind, drawn, page] = time.monotonic(), order
            yield order
            if len(order) < _AHEAD:
                return
            page += 1

    def _ordered(self, kind: Kind, drawn: Drawn, start: int) -> Order:
        query = (WITH_CONCEPTS if drawn == "by fact" else TARGETS)[kind]
        wanted = ["true"]
        if kind == "caption":
            wanted.append("NOT is_report")
        if drawn == "objected":
            wanted.append(f"verdict IN {OBJECTIONS}")
        rows = self.explored.tables.rows(
            f"""SELECT uid, target FROM (SELECT DISTINCT uid, target, origin, concept FROM ({query})
            WHERE {" AND ".join(wanted)}) ORDER BY {_ORDERS[drawn]} LIMIT {_AHEAD} OFFSET {start}"""
        )
        return [(row["uid"], row["target"]) for row in rows]
