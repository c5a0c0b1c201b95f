"""A limit on money and tokens that requests in flight cannot pass together."""

from __future__ import annotations

import math

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.http.waiting_line import Line
from voxtile_datasets.captions.providers.provider import ReplyError


class Budget:
    """What a run may spend; providers that share one share the limit.

    A request is let through while what was spent and the most that the requests in flight can cost leave room for the
    most that it can cost. Near the end requests go one at a time, so that the limit is passed by at most the last one.

    Attributes:
        max_usd, max_tokens: the limits; None for no limit.
        usd, tokens: spent so far.
    """

    def __init__(self, max_usd: float | None = None, max_tokens: int | None = None) -> None:
        for name, limit in (("--max-usd", max_usd), ("--max-tokens", max_tokens)):
            if limit is not None and not (math.isfinite(limit) and limit > 0):
                raise ConfigError(f"{name} is {limit}; give a number above 0, or leave it out for no limit")
        self.max_usd, self.max_tokens = max_usd, max_tokens
        self.usd, self.tokens = 0.0, 0
        self._held_usd, self._held_tokens, self._held = 0.0, 0, 0
        self._line = Line()  # whoever is called calls the next one when it is done looking

    @property
    def spent(self) -> bool:
        """No further request is let through."""
        return (self.max_usd is not None and self.usd >= self.max_usd) or (
            self.max_tokens is not None and self.tokens >= self.max_tokens
        )

    async def reserve(self, usd: float, tokens: int) -> None:
        """Wait until a request that costs at most this much may be sent.

        Raises:
            ReplyError: the budget is spent; its reason is `budget`.
        """
        while self._held and not self._fits(usd, tokens) and not self.spent:
            await self._line.stand()
        if self.spent:
            self._line.call(1)
            raise self.refusal()
        self._held_usd, self._held_tokens, self._held = self._held_usd + usd, self._held_tokens + tokens, self._held + 1
        self._line.call(1)

    def refusal(self) -> ReplyError:
        """The failure of a request for which nothing is left."""
        return ReplyError("budget", f"the budget is spent ({self}); raise --max-usd or --max-tokens to go on")

    def settle(self, reserved: tuple[float, int], usd: float, tokens: int) -> None:
        """Let go of a reservation (USD, tokens) and note what the request really cost."""
        self._held -= 1
        self._held_usd = self._held_usd - reserved[0] if self._held else 0.0
        self._held_tokens -= reserved[1]
        self.charge(usd, tokens)
        self._line.call(1)

    def charge(self, usd: float, tokens: int) -> None:
        """Note a cost that nobody reserved, such as that of a reply which was lost on the way."""
        self.usd += usd
        self.tokens += tokens

    def _fits(self, usd: float, tokens: int) -> bool:
        return (self.max_usd is None or self.usd + self._held_usd + usd <= self.max_usd) and (
            self.max_tokens is None or self.tokens + self._held_tokens + tokens <= self.max_tokens
        )

    def __str__(self) -> str:
        usd = f"${self.usd:.4f}" + (f" of ${self.max_usd:g}" if self.max_usd is not None else "")
        return (
            f"{usd}, {self.tokens:,}" + (f" of {self.max_tokens:,}" if self.max_tokens is not None else "") + " tokens"
        )
