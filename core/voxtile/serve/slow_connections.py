"""A server that does not wait for ever: connections on which no whole request comes are closed.

Each of them counts among those that are served at once, so that a few hundred idle ones would keep everybody out.
"""

from __future__ import annotations

import time
from typing import Any
from weakref import WeakKeyDictionary

import uvicorn

from voxtile.serve.guard import MOST_BODY, most_body

_HEAD_S = 20.0  # for the head of a request
_BODY_S = 30.0  # for the body of one of up to 64 kB
_LARGE_BODY_S = 600.0  # for the body of an image or a chat
_TICKS = 10  # of a tenth of a second, between two looks


class PatientServer(uvicorn.Server):
    """Closes connections that are late; answers take as long as they take.

    Args:
        config: of the server.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._waiting: WeakKeyDictionary[Any, tuple[object, bool, float]] = WeakKeyDictionary()

    async def on_tick(self, counter: int) -> bool:
        """Look at all connections once a second."""
        if counter % _TICKS == 0:
            self.close_late(time.monotonic())
        return await super().on_tick(counter)

    def close_late(self, now: float) -> None:
        """Close the connections that have been waiting for longer than they may.

        Args:
            now: seconds that only grow.
        """
        for connection in list(self.server_state.connections):
            cycle: Any = getattr(connection, "cycle", None)
            is_answered = cycle is None or cycle.response_complete
            if not is_answered and not cycle.more_body:
                self._waiting.pop(connection, None)
                continue
            known, was_answered, since = self._waiting.get(connection, (None, False, now))
            if known is not cycle or was_answered != is_answered:
                since = now
            self._waiting[connection] = cycle, is_answered, since
            if now - since > (_HEAD_S if is_answered else _body_s(cycle.scope)):
                connection.transport.close()


def _body_s(scope: Any) -> float:  # noqa: ANN401
    return _LARGE_BODY_S if most_body(scope) > MOST_BODY else _BODY_S
