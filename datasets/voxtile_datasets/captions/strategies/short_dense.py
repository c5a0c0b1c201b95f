"""`short-dense`: the same facts as one short phrase and as one dense caption, by one request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.sample import NO_FACTS, SampleContext, UnsuitableError
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, forgiving
from voxtile_datasets.captions.strategies.several_texts import Round, several
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Missing
from voxtile_datasets.captions.strategies.structured import Candidate, fields_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

SHORT_WORDS = 15
DENSE_WORDS = 120


@dataclass(frozen=True)
class ShortDense(InstructedStrategy):
    """Two captions a sample; see the module."""

    name: ClassVar[str] = "short-dense"
    version: ClassVar[str] = "2"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`; the short caption comes first."""
        lines = self.known(sample, check)
        if not lines and not self.options.look:
            raise UnsuitableError(NO_FACTS, "the sample has no facts to word")
        form, silence = fields_form("short", "dense"), self.says_nothing(sample, check)
        guarded, accepted = self.guarded(sample, check), self.accepted(sample)

        def make(asked: Round) -> Request:
            return self.request(
                "short-dense", sample, asked.number, max_tokens=4 * (SHORT_WORDS + DENSE_WORDS), form=form,
                look=self.options.look, facts=lines, short_words=SHORT_WORDS, dense_words=DENSE_WORDS,
                fault=asked.fault,
            )  # fmt: skip

        def judge(candidate: Candidate) -> Verdict | str:
            length = len(candidate.text.split())
            if candidate.slot == "short" and length > SHORT_WORDS:
                return f"The short caption has {length} words; write at most {SHORT_WORDS}."
            if candidate.slot == "dense" and (repeated := self.repetition(candidate.text, lines)):
                return repeated
            verdict = guarded(candidate.text)
            return (silence(verdict) if verdict.verdict in accepted else None) or verdict

        texts = await several(
            make, forgiving(ask), judge, form, {"short": 1, "dense": 1}, most_words=DENSE_WORDS,
            tries=self.options.tries, enough=accepted,
        )  # fmt: skip
        return [
            text if isinstance(text, Missing)
            else self.draft("short-dense", sample, text.candidate.text, text.verdict, text.replies)
            for text in texts
        ]  # fmt: skip
