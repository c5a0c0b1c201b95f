"""Who may ask: a token, exchanged for a session cookie with a lifetime."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from voxtile.errors import ConfigError

_COOKIE = "voxtile-session"


def check_listening(port: int, token: str | None, token_hours: float) -> None:
    """Refuse what a server cannot listen by, before anything is loaded.

    Args:
        port: to listen at; 0 stands for a free one.
        token: what viewers must know; None where one is made or none is needed.
        token_hours: how long it holds.

    Raises:
        ConfigError: the sentence names the option.
    """
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must be from 0 to 65535, not {port}")
    if token is not None and (len(token) < 16 or not token.isascii() or not token.isprintable()):
        raise ConfigError("--token must be at least 16 printable ASCII characters; leave it out and one is made")
    if not 0 < token_hours <= 24 * 365:
        raise ConfigError(f"--token-hours must be above 0 and at most a year, not {token_hours}")


@dataclass(frozen=True)
class Access:
    """How requests are let in.

    Attributes:
        token: what a viewer must know; empty where everybody on this machine may look.
        hosts: names, with their port, by which the server may be called.
        lifetime_s: of the token and of all sessions, seconds from the start of the server.
        clock: seconds that only grow.
        after_wrong_s: seconds until a wrong token is refused, so that guessing takes long.
    """

    hosts: frozenset[str]
    token: str = ""
    lifetime_s: float = 12 * 3600
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    clock: Callable[[], float] = time.monotonic
    after_wrong_s: float = 0.5
    _started: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_started", self.clock())

    def cookie(self, host: str) -> str:
        """Name of the cookie by which a host is called: browsers do not tell the ports of a machine apart."""
        return f"{_COOKIE}-{host.rpartition(':')[2]}" if ":" in host.rpartition("]")[2] else _COOKIE

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
