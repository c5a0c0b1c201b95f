"""`five`: five captions of one sample that differ in words and emphasis, and state nothing beyond it.

After GAIA (Zavras et al., 2025, arXiv:2502.09598): five captions an image by one request, with the field's vocabulary,
counts, positions and appearance, without repeats, taste, dates, coordinates or credits. GAIA has all of them begin
alike; here they must not, since a common opening teaches a text tower nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from voxtile_datasets.captions.context.sample import SampleContext, UnsuitableError
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, forgiving
from voxtile_datasets.captions.strategies.several_texts import Round, several
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Missing
from voxtile_datasets.captions.strategies.structured import list_form

COUNT = 5
WORDS = 60


@dataclass(frozen=True)
class Five(InstructedStrategy):
    """Five captions a sample; see the module."""

    name: ClassVar[str] = "five"
    version: ClassVar[str] = "2"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`."""
        lines = self.known(sample, check)
        if not lines and not self.options.look:
            raise UnsuitableError("no-facts", "the sample has no facts to word")
        form = list_form("captions", COUNT)

        def make(asked: Round) -> Request:
            return self.request(
                "five", sample, asked.number, max_tokens=COUNT * 3 * WORDS, form=form, look=self.options.look,
                facts=lines, count=asked.missing, words=WORDS, accepted=asked.accepted, fault=asked.fault,
            )  # fmt: skip

        silence = self.says_nothing(sample, check)
        texts = await several(
            make, forgiving(ask), lambda candidate: check(candidate.text), form, {"captions": COUNT}, most_words=WORDS,
            tries=self.options.tries, enough=self.accepted, silence=silence,
        )  # fmt: skip
        return [
            text if isinstance(text, Missing)
            else self.draft("five", sample, text.candidate.text, text.verdict, text.replies)
            for text in texts
        ]  # fmt: skip
