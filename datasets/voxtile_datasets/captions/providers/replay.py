"""Answers from the cache alone: a run without a model, a network or a price."""

from __future__ import annotations

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request


class ReplayProvider:
    """What stands behind the cache in a replay: it has no answer, and says what is missing.

    Attributes:
        model: the model whose replies are replayed.
        chat: whether it follows instructions, as the run noted that asked it.
    """

    name = "replay"
    concurrency = 64

    def __init__(self, cache: ReplyCache, model: str | None) -> None:
        known = cache.models()
        if model is None and len(known) == 1:
            model = next(iter(known))
        if model is None or model not in known:
            asked = f"no replies of '{model}'" if model else "replies of several models" if known else "no replies yet"
            there = f"give --model one of: {', '.join(sorted(known))}" if known else "run once with another provider"
            raise ConfigError(f"the reply cache '{cache.folder}' has {asked}; {there}")
        self.model = model
        self.chat = bool(known[model].get("chat", True))
        self._folder = cache.folder

    async def ask(self, request: Request) -> Reply:
        """Say that the reply is not in the cache.

        Raises:
            ReplyError: always.
        """
        words = " ".join(request.prompt.split())[-80:]
        raise ReplyError(
            "not-in-cache",
            f"'{self._folder}' has no reply of '{self.model}' to request {request.key(self.model)[:12]} "
            f"('… {words}', attempt {request.attempt}); run once without --provider replay",
        )

    async def close(self) -> None:
        """Nothing to let go of."""
