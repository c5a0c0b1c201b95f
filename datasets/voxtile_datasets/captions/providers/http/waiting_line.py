"""A line of tasks that wait for something to change, served in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque


class Line:
    """Tasks stand in it until they are called, and then look again whether it is their turn."""

    def __init__(self) -> None:
        self._places: deque[asyncio.Future[None]] = deque()

    async def stand(self) -> None:
        """Wait until called; a task that is cancelled at that moment passes the call on."""
        place = asyncio.get_running_loop().create_future()
        self._places.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.call(1)
            raise

    def call(self, most: int) -> None:
        """Call the first ones in line.

        Args:
            most: so many of them, where there are so many.
        """
        while most > 0 and self._places:
            place = self._places.popleft()
            if not place.done():
                place.set_result(None)
                most -= 1
