"""How many requests are in flight: more while the endpoint keeps up, fewer when it says that it cannot.

Additive increase and multiplicative decrease, as in congestion control (Chiu and Jain, 1989), after a start that
doubles.
"""

from __future__ import annotations

import asyncio
import time

from voxtile_datasets.captions.providers.http.waiting_line import Line

_NEAR = 0.95  # of the limit at which the endpoint last refused


class Gate:
    """Lets requests through, up to a limit that follows the endpoint.

    Attributes:
        ceiling: the limit never goes above it.
        limit: requests that may be in flight now.
        in_flight: requests that are.
        round_s: how long a request takes, smoothed.
    """

    def __init__(self, ceiling: int) -> None:
        self.ceiling = ceiling
        self.limit = float(min(ceiling, 8))
        self.in_flight = 0
        self._threshold = float(ceiling)  # below it the limit grows by one a reply, above by one a round
        self._refused_at = float("inf")  # and near it by one in four rounds
        self.round_s = 0.1
        self._decreased = -1.0
        self._paused_until = 0.0
        self._line = Line()

    async def enter(self) -> None:
        """Wait for a place."""
        while self.in_flight >= int(self.limit) or time.monotonic() < self._paused_until:
            await self._line.stand()
        self.in_flight += 1

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        self._wake()

    def kept_up(self, seconds: float) -> None:
        """A request was answered in so many seconds."""
        self.round_s += 0.1 * (seconds - self.round_s)
        step = 1.0
        if self.limit >= self._threshold:
            step = (1.0 if self.limit < _NEAR * self._refused_at else 0.25) / self.limit
        self.limit = min(float(self.ceiling), self.limit + step)
        self._wake()

    def fell_behind(self, factor: float, pause_s: float = 0.0) -> None:
        """The endpoint refused for load, or did not answer.

        Args:
            factor: of the limit, once a round however many requests were refused in it.
            pause_s: nothing is sent for so long, because the endpoint asked for it.
        """
        now = time.monotonic()
        if pause_s > 0 and now + pause_s > self._paused_until:
            self._paused_until = now + pause_s
            asyncio.get_running_loop().call_later(pause_s + 0.001, self._wake)
        if now - self._decreased >= self.round_s:
            self._decreased = now
            self._refused_at = self.limit
            self.limit = max(1.0, self.limit * factor)
            self._threshold = self.limit

    def _wake(self) -> None:
        """Let as many look again as there are places."""
        self._line.call(int(self.limit) - self.in_flight)
