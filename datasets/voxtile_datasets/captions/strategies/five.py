"""`five`: five captions of one sample that differ in words and emphasis, and state nothing beyond it.

After GAIA (Zavras et al., 2025, arXiv:2502.09598): five captions an image by one request, with the field's vocabulary,
counts, positions and appearance, without repeats, taste, dates, coordinates or credits. GAIA has all of them begin
alike; here they must not, since a common opening teaches a text tower nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.sample import NO_FACTS, SampleContext, UnsuitableError
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, forgiving
from voxtile_datasets.captions.strategies.origins import Origins
from voxtile_datasets.captions.strategies.several_texts import Round, several
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Missing
from voxtile_datasets.captions.strategies.structured import Candidate, list_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

COUNT = 5
WORDS = 60


@dataclass(frozen=True)
class Five(InstructedStrategy):
    """Five captions a sample, with the captions that state the same as their parents, and the region of each."""

    name: ClassVar[str] = "five"
    version: ClassVar[str] = "2"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`."""
        lines = self.known(sample, check)
        if not lines and not self.options.look:
            raise UnsuitableError(NO_FACTS, "the sample has no facts to word")
        form = list_form("captions", COUNT)

        def make(asked: Round) -> Request:
            return self.request(
                "five", sample, asked.number, max_tokens=COUNT * 3 * WORDS, form=form, look=self.options.look,
                facts=lines, count=asked.missing, words=WORDS, accepted=asked.accepted, fault=asked.fault,
            )  # fmt: skip

        silence, guarded = self.says_nothing(sample, check), self.guarded(sample, check)

        def judge(candidate: Candidate) -> Verdict | str:
            return self.repetition(candidate.text, lines) or guarded(candidate.text)

        texts = await several(
            make, forgiving(ask), judge, form, {"captions": COUNT}, most_words=WORDS,
            tries=self.options.tries, enough=self.accepted(sample), silence=silence,
        )  # fmt: skip
        origins = Origins(sample, check)
        return [
            text if isinstance(text, Missing)
            else self.draft(
                "five", sample, text.candidate.text, text.verdict, text.replies,
                parents=origins.parents(text.verdict), region=origins.region(text.candidate.text, text.verdict),
            )
            for text in texts
        ]  # fmt: skip
