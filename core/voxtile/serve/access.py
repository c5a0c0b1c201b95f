"""Who may ask: a token, exchanged for a session cookie with a lifetime."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

COOKIE = "voxtile-session"


@dataclass(frozen=True)
class Access:
    """How requests are let in.

    Attributes:
        token: what a viewer must know; empty where everybody on this machine may look.
        hosts: names, with their port, by which the server may be called.
        lifetime_s: of the token and of all sessions, seconds from the start of the server.
        clock: seconds that only grow.
    """

    hosts: frozenset[str]
    token: str = ""
    lifetime_s: float = 12 * 3600
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    clock: Callable[[], float] = time.monotonic
    _started: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_started", self.clock())

    @property
    def is_over(self) -> bool:
        """The lifetime has passed."""
        return bool(self.token) and self.clock() - self._started > self.lifetime_s

    @property
    def remaining_s(self) -> int:
        """Seconds that are left."""
        return max(0, int(self.lifetime_s - (self.clock() - self._started)))

    @property
    def session(self) -> str:
        """What the cookie holds; another one after each start."""
        return hmac.new(self._secret, self.token.encode(), hashlib.sha256).hexdigest()

    def knows_token(self, given: str) -> bool:
        """Whether a token is the right one, in the same time for all wrong ones."""
        return not self.is_over and hmac.compare_digest(_bytes(given), self.token.encode())

    def knows_session(self, given: str) -> bool:
        """Whether a cookie is of this start of the server, and still lives."""
        return not self.is_over and hmac.compare_digest(_bytes(given), self.session.encode())


def _bytes(given: str) -> bytes:
    """Also of what no text can be: half of a pair of surrogates."""
    return given.encode("utf-8", "replace")


def new_token() -> str:
    """A token of 256 bits."""
    return secrets.token_urlsafe(32)
