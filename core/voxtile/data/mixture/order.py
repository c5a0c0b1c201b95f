"""The order of a mixture: which source a draw is from, and which of its items, as a pure function of the position.

Draws are counted in groups of consecutive items of one source. How many groups before any place belong to a source is a
closed form, so that nothing is replayed on resuming: the first source takes its share of the places in even steps, the
second its share of the places that are left, and so on. Each source goes through its own epochs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from voxtile.data.epoch_order import EpochOrder, Int64s, WeightedOrder, derive_key

UNIT = 1 << 24  # shares are whole parts of it, so that up to 2^38 groups are counted exactly in 64 bits

_PHASE_STREAM = 6  # key of where in its steps a source begins


@dataclass(frozen=True)
class MixtureOrder:
    """Which item is drawn at each position of an epoch; items are numbered through all sources.

    Before any position, a source among n that has the share w was drawn w times the groups, within n.

    Attributes:
        orders: of each source.
        phases: shares of the sources with the step from which they hold, the first from 0.
        batch_size: items of a step.
        group: consecutive items of one source; divides `batch_size`.
        size: draws an epoch.
        seed: of the run.
    """

    orders: Sequence[EpochOrder | WeightedOrder]
    phases: Sequence[tuple[int, Sequence[float]]]
    batch_size: int
    group: int
    size: int
    seed: int

    def rows(self, epoch: int, positions: Int64s) -> Int64s:
        """Items at these positions of an epoch.

        Args:
            epoch: number of the epoch, from 0.
            positions: [P] positions in [0, size).

        Returns:
            [P] items; those of source i begin after all items of the sources before it.
        """
        sources, turns = self.turns(epoch * self._groups + positions // self.group)
        draws = turns * self.group + positions % self.group
        items = np.empty_like(positions)
        first = 0
        for place, order in enumerate(self.orders):
            rounds = np.where(sources == place, draws // order.size, -1)
            for number in np.unique(rounds[rounds >= 0]).tolist():
                here = rounds == number
                items[here] = first + order.rows(number, draws[here] % order.size)
            first += order.size
        return items

    def turns(self, groups: Int64s) -> tuple[Int64s, Int64s]:
        """Source of each group, and how many groups of that source came before.

        Args:
            groups: [P] numbers of groups, counted over all epochs.
        """
        sources, turns = np.empty_like(groups), np.empty_like(groups)
        starts = np.array([start for start, _, _ in self._counted], np.int64)
        phases = np.searchsorted(starts, groups, side="right") - 1
        for phase in np.unique(phases).tolist():
            start, parts, before = self._counted[phase]
            here = phases == phase
            known = self._taken(groups[here] - start, phase, parts)
            taken = self._taken(groups[here] - start + 1, phase, parts) > known  # one source takes each group
            sources[here] = taken.argmax(0)
            turns[here] = (known + before[:, None])[sources[here], np.arange(known.shape[1])]
        return sources, turns

    @cached_property
    def _groups(self) -> int:
        """Groups an epoch; the last one may be broken off."""
        return -(-self.size // self.group)

    @cached_property
    def _counted(self) -> list[tuple[int, list[int], Int64s]]:
        """For each phase: its first group, the sources' parts of `UNIT`, and their groups before it."""
        counted: list[tuple[int, list[int], Int64s]] = []
        for step, shares in self.phases:
            epochs, batch = divmod(step, max(1, self.size // self.batch_size))
            start = epochs * self._groups + batch * (self.batch_size // self.group)
            before = np.zeros(len(self.orders), np.int64)
            if counted:
                earlier, parts, sums = counted[-1]
                before = sums + self._taken(np.array([start - earlier]), len(counted) - 1, parts)[:, 0]
            counted.append((start, whole_parts(shares), before))
        return counted

    def _taken(self, groups: Int64s, phase: int, parts: Sequence[int]) -> Int64s:
        """[sources, P] groups of each source among the first so many of a phase."""
        taken = np.zeros((len(parts), len(groups)), np.int64)
        left, rest = groups, UNIT
        for place, part in enumerate(parts):
            if part:
                offset = derive_key(self.seed, phase, place, _PHASE_STREAM) % rest
                taken[place] = (left * part + offset) // rest
            left, rest = left - taken[place], rest - part
        return taken


def whole_parts(shares: Sequence[float]) -> list[int]:
    """Shares as whole parts of `UNIT`, by largest remainders; none that is positive becomes 0."""
    largest = max(shares)  # first, so that no sum of huge shares overflows
    total = sum(share / largest for share in shares)
    exact = [share / largest / total * UNIT for share in shares]
    parts = [max(int(value), int(share > 0)) for value, share in zip(exact, shares, strict=True)]
    by_remainder = sorted(range(len(parts)), key=lambda place: parts[place] - exact[place])
    for place in by_remainder[: max(0, UNIT - sum(parts))]:
        parts[place] += 1
    parts[max(range(len(parts)), key=parts.__getitem__)] += UNIT - sum(parts)
    return parts
