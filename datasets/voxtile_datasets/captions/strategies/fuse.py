"""`fuse`: an existing caption and one made from the facts, joined into one.

After CapsFusion (Yu et al., CVPR 2024, arXiv:2310.20550): the existing caption brings what the facts do not know, the
synthetic one its plain structure. Here the facts decide where the two differ, and what is added must stand in the
existing caption.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.model_input import longest, quoted
from voxtile_datasets.captions.context.sample import NO_FACTS, SampleContext, UnsuitableError
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, grounded
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Kind
from voxtile_datasets.captions.strategies.structured import fields_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

WORDS = 100


@dataclass(frozen=True)
class Fuse(InstructedStrategy):
    """One caption a sample, from its longest existing caption and its longest template caption; see the module."""

    name: ClassVar[str] = "fuse"
    kind: ClassVar[Kind] = "fusion"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`."""
        existing = sample.texts("raw")
        if not existing:
            raise UnsuitableError("no-raw-caption", "the sample has no caption of its own to fuse")
        raw = max(existing, key=lambda caption: len(caption["text"]))
        synthetic = longest(sample.texts("template"), WORDS)
        lines = self.known(sample, check)
        if not lines and not synthetic:
            raise UnsuitableError(NO_FACTS, "the sample has neither facts nor a template caption to fuse with its own")
        sources = [caption for caption in (raw, synthetic) if caption]
        guarded = self.guarded(sample, check, look=True)
        material = [claim for caption in sources for claim in check(caption["text"]).claims] + [*guarded.claims]

        def judge(text: str) -> Verdict | str:
            verdict = guarded(text)
            return verdict if self.options.unchecked else grounded(verdict, material)

        tried = await self.one(
            "fuse", sample, ask, judge, words=WORDS, accepted=self.open,
            form=fields_form("caption"), silence=self.says_nothing(sample, check), facts=lines, raw=quoted(raw["text"]),
            synthetic=quoted(synthetic["text"]) if synthetic else None,
        )  # fmt: skip
        parents = tuple(caption["caption_id"] for caption in sources)
        return [self.draft("fuse", sample, tried.text, tried.verdict, tried.replies, parents=parents)]
