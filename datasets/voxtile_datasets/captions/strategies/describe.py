"""`describe`: a vision model describes the picture, in agreement with the facts where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Kind
from voxtile_datasets.captions.strategies.structured import fields_form

WORDS = 120


@dataclass(frozen=True)
class Describe(InstructedStrategy):
    """One caption a sample, from its picture; see the module. What no fact tells of leaves the verdict unknown."""

    name: ClassVar[str] = "describe"
    kind: ClassVar[Kind] = "vlm"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`."""
        guarded = self.guarded(sample, check, look=True)
        tried = await self.one(
            "describe", sample, ask, guarded, words=WORDS, accepted=self.open, form=fields_form("caption"), look=True,
            silence=self.says_nothing(sample, check), facts=self.known(sample, check),
        )  # fmt: skip
        return [self.draft("describe", sample, tried.text, tried.verdict, tried.replies)]
