"""How the processes of a run tell each other that they live: one connection from each to rank 0, lines of JSON.

It is beside the collectives, which say nothing of who is waited for, and is read by a thread, so that a process whose
own step hangs still answers. A message is at most `LIMIT` bytes; the first of a connection bears a token that rank 0
gave out through the process group, and whoever does not know it is cut off.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from voxtile.bounded_text import load_json

LIMIT = 1 << 16  # bytes of a line
_STRANGERS = 256  # connections that have not said yet who they are; further ones wait to be taken in
_CONNECT_S = 10.0  # to reach rank 0
Message = dict[str, Any]


class Line:
    """One connection, read without waiting.

    Args:
        connected: its socket.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.socket = connected
        self.socket.setblocking(False)
        self._unread = self._unsent = b""
        self.open = True
        self.since = time.monotonic()

    def send(self, message: Message) -> None:
        """Send a message if the other side takes it; one that does not is noticed by its silence."""
        if len(self._unsent) < LIMIT:
            self._unsent += json.dumps(message).encode() + b"\n"
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self.open = False

    def received(self) -> list[Message]:
        """What has come; `open` is False once the other side is gone or has sent what is no message."""
        try:
            while chunk := self.socket.recv(LIMIT):
                self._unread += chunk
                if len(self._unread) > LIMIT:  # the rest the next time: one that never stops holds up nobody
                    break
            else:
                self.open = False
        except BlockingIOError:
            pass
        except OSError:
            self.open = False
        *lines, self._unread = self._unread.split(b"\n")
        if max(map(len, (*lines, self._unread))) > LIMIT:
            self.open = False
            return []
        try:
            found = [load_json(line) for line in lines]
        except ValueError:
            found = [None]
        if not all(isinstance(message, dict) for message in found):
            self.open = False
            return []
        return found

    def close(self) -> None:
        """Let go of the connection."""
        self.open = False
        self.socket.close()


@dataclass(frozen=True)
class Address:
    """Where rank 0 listens, and what proves that a connection is of this run."""

    host: str
    port: int
    token: str


@dataclass
class Hub:
    """Rank 0's side: a listener, and a line to each other process that has said who it is.

    Attributes:
        lines: by rank.
    """

    listener: socket.socket
    address: Address
    lines: dict[int, Line] = field(default_factory=dict)
    _strangers: list[Line] = field(default_factory=list)

    @classmethod
    def listening(cls, host: str, *, alone: bool) -> Hub:
        """Listen on a free port.

        Args:
            host: name by which the others reach this machine.
            alone: all processes are on this machine, and no other may connect.
        """
        listener = socket.create_server(("127.0.0.1" if alone else "", 0), backlog=1024)
        listener.setblocking(False)
        port = int(listener.getsockname()[1])
        return cls(listener, Address("127.0.0.1" if alone else host, port, secrets.token_hex(16)))

    def received(self) -> list[tuple[int, Message]]:
        """What has come, by rank; the first message of a rank says who it is."""
        self._take_in()
        found = [(rank, message) for rank, line in self.lines.items() for message in line.received()]
        for line in list(self._strangers):
            messages = line.received()
            if not messages and line.open and time.monotonic() - line.since < _CONNECT_S:
                continue
            self._strangers.remove(line)
            rank = messages[0].get("rank") if messages else None
            given = str(messages[0].get("token")) if messages else ""
            known = secrets.compare_digest(given.encode("utf-8", "replace"), self.address.token.encode())
            if not known or not isinstance(rank, int):
                line.close()
                continue
            self.lines[rank] = line
            found += [(rank, message) for message in messages]
        return found

    def _take_in(self) -> None:
        while len(self._strangers) < _STRANGERS:
            try:
                connected, _ = self.listener.accept()
            except OSError:
                return
            self._strangers.append(Line(connected))

    def tell(self, message: Message) -> None:
        """Send to all."""
        for line in self.lines.values():
            line.send(message)

    def close(self) -> None:
        """Let go of all."""
        for line in (*self.lines.values(), *self._strangers):
            line.close()
        self.listener.close()


def connected(address: Address) -> Line:
    """A line to rank 0.

    Raises:
        OSError: it cannot be reached.
    """
    return Line(socket.create_connection((address.host, address.port), timeout=_CONNECT_S))
