"""`describe-revise-summarise`: a vision model's description, corrected against the picture, then shortened.

After PathGen-1.6M (Sun et al., ICLR 2025, arXiv:2407.00203), where one agent describes a patch, one revises the
description with the patch in view, and a language model summarises it. Here the reviser is also told what the checker
found wrong with the description. All three texts are kept, each the parent of the next.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from voxtile_datasets.captions.context.model_input import quoted
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.strategies.instructed import OPEN, InstructedStrategy
from voxtile_datasets.captions.strategies.strategy import VERDICTS, Ask, Check, Draft, Kind

STEPS = ("describe", "revise", "summarise")
DESCRIPTION_WORDS = 250
SUMMARY_WORDS = 60


@dataclass(frozen=True)
class DescribeReviseSummarise(InstructedStrategy):
    """Three captions a sample; see the module. What no fact tells of leaves the verdict unknown.

    The description is kept whatever its verdict, as the revision's parent; the revision and the summary are accepted as
    any caption is.
    """

    name: ClassVar[str] = "describe-revise-summarise"
    kind: ClassVar[Kind] = "vlm"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`; the summary comes last."""
        describe, revise, summarise = (f"{self.name}/{step}" for step in STEPS)
        lines, check = self.known(sample, check), self.guarded(sample, check, look=True)
        described = await self.one(
            describe, sample, ask, check, words=DESCRIPTION_WORDS, accepted=VERDICTS, look=True, facts=lines
        )
        faults = " ".join(fault.why for fault in described.verdict.faults if described.verdict.verdict not in OPEN)
        revised = await self.one(
            revise, sample, ask, check, words=DESCRIPTION_WORDS, accepted=self.open, look=True, facts=lines,
            text=quoted(described.text), fault=faults or None,
        )  # fmt: skip
        summary = await self.one(
            summarise,
            sample,
            ask,
            check,
            words=SUMMARY_WORDS,
            accepted=self.open,
            facts=lines,
            text=quoted(revised.text),
        )
        return [
            self.draft(describe, sample, described.text, described.verdict, described.replies),
            self.draft(revise, sample, revised.text, revised.verdict, revised.replies, kind="rewrite", after=(0,)),
            self.draft(summarise, sample, summary.text, summary.verdict, summary.replies, kind="rewrite", after=(1,)),
        ]
