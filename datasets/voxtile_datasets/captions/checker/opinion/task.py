"""The engine task of `voxtile check --second-opinion`: the rules' verdicts with a model's objections."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from voxtile.corpus.records import Row
from voxtile_datasets.captions.checker.check import Known
from voxtile_datasets.captions.checker.opinion.ask import second_opinion
from voxtile_datasets.captions.checker.rows import verdict_row
from voxtile_datasets.captions.checker.task import CheckTask, Judged
from voxtile_datasets.captions.checker.verdict import Verdict
from voxtile_datasets.captions.providers.provider import Provider


@dataclass(frozen=True)
class OpinionTask(CheckTask):
    """Runs in one process: the model is what takes the time.

    Attributes:
        provider: whom to ask.
    """

    provider: Provider | None = None
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop, repr=False, compare=False)

    def config(self) -> Mapping[str, Any]:
        """Also who is asked: without it the rules' own run, or another model's, would count as this one's."""
        return {**super().config(), "checker": self.checker}

    def rows(self, judged: list[Judged]) -> list[Row]:
        """Rows of the verdicts table."""
        return self._loop.run_until_complete(self._asked(judged))

    def scores(self, judged: list[Judged]) -> list[Row]:
        """None: how complete a caption is the rules have said."""
        return []

    def close(self) -> None:
        """Close the provider."""
        if self.provider is not None:
            self._loop.run_until_complete(self.provider.close())
        self._loop.close()

    async def _asked(self, judged: list[Judged]) -> list[Row]:
        provider = self.provider
        if provider is None:
            raise ValueError("a second opinion needs a provider")
        places = asyncio.Semaphore(2 * provider.concurrency)

        async def one(row: Row, known: Known, verdict: Verdict) -> Row:
            async with places:
                final = await second_opinion(row["text"], verdict, known, provider.ask)
            return verdict_row(row["caption_id"], final, version=self.verdict_version, checker=self.checker)

        return list(await asyncio.gather(*(one(*entry) for entry in judged)))
