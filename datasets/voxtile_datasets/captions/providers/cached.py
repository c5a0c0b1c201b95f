"""The cache and the budget in front of a provider: nothing is asked twice, and nothing that is not paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from voxtile.errors import ConfigError
from voxtile_datasets.captions.providers.budget import Budget
from voxtile_datasets.captions.providers.cache import ReplyCache
from voxtile_datasets.captions.providers.estimate import most
from voxtile_datasets.captions.providers.prices import FREE, Price
from voxtile_datasets.captions.providers.provider import Provider, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.providers.spend import Spend
from voxtile_datasets.captions.providers.structured import checked_against


class CachedProvider:
    """Answers from the cache where it can, asks the provider where it must, and counts what that takes.

    A reply is on disk before it is returned. A request that is in flight is not asked again: whoever asks for the same
    waits for it. An asker that is cancelled leaves its request running, so that its reply is stored, not lost.

    Attributes:
        inner: who is asked.
        cache: where replies are kept.
        budget: what may be spent.
        price: of the model's tokens.
        spend: what was.

    Raises:
        ConfigError: the replies that are kept under the model's name are of a file with other content.
    """

    def __init__(
        self, inner: Provider, cache: ReplyCache, *, budget: Budget | None = None, price: Price = FREE
    ) -> None:
        self.inner = inner
        self.cache = cache
        self.budget = budget or Budget()
        self.price = price
        self.spend = Spend(inner.name, inner.model, price)
        self._in_flight: dict[str, asyncio.Task[Reply]] = {}
        self._places = asyncio.Semaphore(inner.concurrency)
        self._noted = cache.read_only
        content = getattr(inner, "content", None)  # of a file; an endpoint says a name alone
        self._content = {} if content is None else {"content": content}
        if content is not None and cache.models().get(inner.model, {}).get("content", content) != content:
            raise ConfigError(
                f"the file of model '{inner.model.rsplit('@', 1)[0]}' is another one than that whose replies are kept "
                f"in '{cache.folder}'; give it another name, or keep its replies elsewhere (--replies)"
            )

    @property
    def name(self) -> str:
        """See `Provider`."""
        return self.inner.name

    @property
    def model(self) -> str:
        """See `Provider`."""
        return self.inner.model

    @property
    def chat(self) -> bool:
        """See `Provider`."""
        return self.inner.chat

    @property
    def concurrency(self) -> int:
        """See `Provider`."""
        return self.inner.concurrency

    async def ask(self, request: Request) -> Reply:
        """Answer a request, from the cache if it was answered before.

        Raises:
            ReplyError: this request finally failed; `budget` where there was no money left for it.
            ProviderError: no request can be answered.
        """
        key = request.key(self.model)
        reply = self.cache.get(key)
        if reply is None:
            task = self._in_flight.get(key)
            waits_for_another = task is not None
            if task is None:
                task = self._in_flight[key] = asyncio.create_task(self._fetch(request))
                task.add_done_callback(lambda done: self._landed(key, done))
            reply = await asyncio.shield(task)
            if waits_for_another:
                reply = replace(reply, cached=True)
        if reply.cached:
            self.spend.add(reply)
        return checked_against(request.schema, reply)

    def lose(self, request: Request) -> None:
        """Charge a try whose reply was lost at the most that it can have cost.

        Raises:
            ReplyError: the budget is spent by that, so that the request is not tried again.
        """
        usd, tokens = most(request, self.price)
        self.budget.charge(usd, tokens)
        self.spend.lose(usd)
        if self.budget.spent:
            raise self.budget.refusal()

    def count_failure(self, error: ReplyError) -> None:
        """Count what failed, once: a request, or a caption that no reply to its requests was good for."""
        if not error.is_counted:
            self.spend.failed[error.reason] += 1
            error.is_counted = True

    async def close(self) -> None:
        """Stop what is in flight, and let go of the provider and the cache."""
        running = list(self._in_flight.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.inner.close()
        self.cache.close()

    async def _fetch(self, request: Request) -> Reply:
        """Ask, pay and store."""
        async with self._places:
            reserved = most(request, self.price)
            try:
                await self.budget.reserve(*reserved)
            except ReplyError as error:
                self.count_failure(error)
                raise
            usd, tokens = 0.0, 0
            try:
                reply = await self.inner.ask(request)
                usd = self.price.cost(reply.tokens_in, reply.tokens_out)
                tokens = reply.tokens_in + reply.tokens_out
            except ReplyError as error:
                self.count_failure(error)
                raise
            finally:
                self.budget.settle(reserved, usd, tokens)
            reply = replace(reply, cost_usd=usd)
            self.spend.add(reply)
            if not self._noted:
                self.cache.note_model(self.model, provider=self.name, chat=self.chat, **self._content)
                self._noted = True
            return reply if self.cache.read_only else await self.cache.put(reply)

    def _landed(self, key: str, task: asyncio.Task[Reply]) -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, also where every asker was cancelled


@contextmanager
def closed_on_failure(provider: CachedProvider) -> Iterator[None]:
    """While the task is made that will close a provider at its end: where it cannot be made, close it here."""
    try:
        yield
    except BaseException:
        asyncio.run(provider.close())
        raise
