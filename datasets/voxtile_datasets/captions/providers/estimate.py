"""What requests will take, before any is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.prices import Price
from voxtile_datasets.captions.providers.request import Request

_CHARACTERS_A_TOKEN = 4  # of English in byte-pair vocabularies; fewer in most other languages
_TOKENS_A_PICTURE = 1000  # a picture of 1024 × 1024 pixels takes 600 to 1,300 in today's vision models


def guess_tokens_in(request: Request) -> int:
    """Tokens of a question by its length, for when no tokenizer is at hand."""
    characters = len(request.prompt) + len(request.system or "")
    return characters // _CHARACTERS_A_TOKEN + 8 + _TOKENS_A_PICTURE * len(request.images)


def most(request: Request, price: Price) -> tuple[float, int]:
    """The most that a request can cost: (USD, tokens)."""
    tokens_in = guess_tokens_in(request)
    return price.cost(tokens_in, request.max_tokens), tokens_in + request.max_tokens


@dataclass(frozen=True)
class Estimate:
    """What a run will take, extrapolated from a sample of its requests.

    Attributes:
        requests: that will be sent; those with a cached reply are not among them.
        cached: that are answered from the cache.
        tokens_in, tokens_out: of what is sent; `tokens_out` is an upper bound unless `measured`.
        usd: what it costs; None where the model has no price.
        measured: the length of replies was taken from cached replies to the same kind of request.
    """

    requests: int
    cached: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    measured: bool

    def __str__(self) -> str:
        bound = "about" if self.measured else "at most"
        cost = "a cost that the price table does not know" if self.usd is None else f"${self.usd:.4f}"
        return (
            f"{self.requests:,} requests to send ({self.cached:,} more are cached): "
            f"about {self.tokens_in:,} tokens in, {bound} {self.tokens_out:,} out, {bound} {cost}"
        )


def estimate(sample: Sequence[Request], total: int, *, model: str, price: Price, cache: ReplyCache | None) -> Estimate:
    """Extrapolate from a sample of a run's requests; nothing is sent.

    Args:
        sample: requests drawn at random from the run's.
        total: how many the run has.
        model: their model.
        price: of its tokens.
        cache: replies that are already there.
    """
    replies = [(request, cache.get(request.key(model)) if cache else None) for request in sample]
    known = [(request, reply) for request, reply in replies if reply is not None]
    fresh = [request for request, reply in replies if reply is None]
    scale = total / len(sample) if sample else 0.0
    in_ratio = out_ratio = 1.0
    if known:
        in_ratio = sum(reply.tokens_in for _, reply in known) / sum(guess_tokens_in(request) for request, _ in known)
        out_ratio = sum(reply.tokens_out for _, reply in known) / sum(request.max_tokens for request, _ in known)
    tokens_in = round(scale * in_ratio * sum(map(guess_tokens_in, fresh)))
    tokens_out = round(scale * out_ratio * sum(request.max_tokens for request in fresh))
    sent = round(scale * len(fresh))
    usd = price.cost(tokens_in, tokens_out) if price.known else None
    return Estimate(sent, total - sent, tokens_in, tokens_out, usd, bool(known))
