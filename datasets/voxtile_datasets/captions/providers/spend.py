"""What requests took: counts, tokens, money and latency by model."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

from voxtile_datasets.captions.providers.prices import FREE, Price
from voxtile_datasets.captions.providers.request import Reply

_STEP = 1.05  # latencies are counted in bins of 5 %, so that a million of them need no memory


@dataclass
class Spend:
    """Counters of one model.

    Attributes:
        provider, model: who answered.
        price: of its tokens.
        asked: replies that were paid for in this run.
        cached: replies from the cache, for nothing.
        lost: tries whose reply never came or could not be read although the model may have worked; their cost is taken
            as the most they can have cost.
        tokens_in, tokens_out, usd, seconds: sums over `asked`; `usd` also over `lost`.
        failed: requests that finally failed, and captions that no reply was good for, by reason.
    """

    provider: str
    model: str
    price: Price = FREE
    asked: int = 0
    cached: int = 0
    lost: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    seconds: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)
    _latencies: Counter[int] = field(default_factory=Counter, repr=False)

    def add(self, reply: Reply) -> None:
        """Count a reply."""
        if reply.cached:
            self.cached += 1
            return
        self.asked += 1
        self.tokens_in += reply.tokens_in
        self.tokens_out += reply.tokens_out
        self.usd += reply.cost_usd
        self.seconds += reply.latency_s
        self._latencies[math.floor(math.log(max(reply.latency_s, 1e-6), _STEP))] += 1

    def lose(self, usd: float) -> None:
        """Count a lost try at the most that it can have cost."""
        self.lost += 1
        self.usd += usd

    def latency(self, share: float) -> float:
        """A quantile of the latency in seconds, within 5 %; NaN where nothing was asked.

        Args:
            share: 0 to 1; 0.5 is the median.
        """
        left = share * self.asked
        for step, count in sorted(self._latencies.items()):
            left -= count
            if left <= 0:
                return float(_STEP ** (step + 0.5))
        return math.nan


def spend_table(spends: Iterable[Spend]) -> Table:
    """What was spent, a row a model."""
    table = Table(title="Requests")
    table.add_column("model")
    for name in ("asked", "cached", "failed", "tokens in/out", "cost", "latency (95 %)"):
        table.add_column(name, justify="right")
    for spend in spends:
        failed = ", ".join(f"{count} {reason}" for reason, count in spend.failed.most_common()) or "0"
        cost = f"${spend.usd:.4f}" if spend.price.known else "no price"
        lost = f" (+{spend.lost} lost)" if spend.lost else ""
        latency = f"{spend.latency(0.5):.2f} ({spend.latency(0.95):.2f}) s" if spend.asked else "–"
        tokens = f"{spend.tokens_in:,}/{spend.tokens_out:,}"
        model = f"{spend.provider}: {spend.model}"
        table.add_row(escape(model), f"{spend.asked:,}{lost}", f"{spend.cached:,}", failed, tokens, cost, latency)
    return table
