"""`roi`: a caption of each region, with looked-up background for its words, and one of the whole from them.

After MedTrinity-25M (Xie et al., ICLR 2025, arXiv:2408.02900), whose triplets hold an image, a region and a description
that goes from the kind of image over the region to how they relate, written with retrieved knowledge. Knowledge helps
with words only: what a region is said to show must be among its facts. Where the model sees pictures, it is shown the
region and what is around it; else its coordinates are told. Either says where to look and is no fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.knowledge import Knowledge
from voxtile_datasets.captions.context.model_input import fact_lines, quoted
from voxtile_datasets.captions.context.sample import Row, SampleContext, UnsuitableError
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, grounded
from voxtile_datasets.captions.strategies.strategy import (
    VERDICTS,
    Ask,
    Check,
    Draft,
    Kind,
    Missing,
    draft_or_missing,
    refuse_none,
)
from voxtile_datasets.captions.strategies.structured import fields_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict
    from voxtile_datasets.captions.checker.extraction.claims import Claim

MOST_REGIONS = 6
REGION_WORDS = 50
WHOLE_WORDS = 150
_PASSAGES = 2


@dataclass(frozen=True)
class Roi(InstructedStrategy):
    """A caption for each region, six at most, and one of the whole; see the module.

    Regions that facts speak of come first; where there are any, the others (each organ of a scan) are left out.
    """

    name: ClassVar[str] = "roi"
    version: ClassVar[str] = "3"
    kind: ClassVar[Kind] = "roi"

    @cached_property
    def knowledge(self) -> Knowledge | None:
        """The passages to look words up in.

        Raises:
            InputError: the folder cannot be used.
        """
        return Knowledge(self.options.knowledge) if self.options.knowledge else None

    def __post_init__(self) -> None:
        """Refuse what the strategy cannot work with, a knowledge folder without texts among it."""
        super().__post_init__()
        _ = self.knowledge

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`; the caption of the whole comes last. It tells of the regions that got a caption."""
        named = [(index, region) for index, region in enumerate(sample.regions) if region["phrase"]]
        spoken_of = {fact.get("region") for fact in sample.facts}
        regions = ([pair for pair in named if pair[0] in spoken_of] or named)[:MOST_REGIONS]
        if not regions:
            raise UnsuitableError("no-regions", "the sample has no region with a phrase")
        found = [
            await draft_or_missing(f"the region '{region['phrase']}'", self._region(index, region, sample, ask, check))
            for index, region in regions
        ]
        refuse_none(found)
        told = {place: (region["phrase"], draft) for place, ((_, region), draft)
                in enumerate(zip(regions, found, strict=True)) if isinstance(draft, Draft)}  # fmt: skip
        try:
            return [*found, await draft_or_missing("the whole", self._whole(told, sample, ask, check))]
        except UnsuitableError as error:  # a volume without a picture of the whole; its regions were shown in planes
            return [*found, Missing("the whole", ReplyError(error.reason, str(error)))]

    async def _whole(
        self, told: Mapping[int, tuple[str, Draft]], sample: SampleContext, ask: Ask, check: Check
    ) -> Draft:
        """One caption of all, from the phrases of regions and their captions, which are its parents."""
        lines = self.known(sample, check)
        guarded = self.guarded(sample, check, look=True)
        material = [claim for _, draft in told.values() for claim in draft.verdict.claims] + [*guarded.claims]
        regions = [
            {"phrase": quoted(phrase), "text": quoted(draft.text), "place": self._place(sample, draft.region)}
            for phrase, draft in told.values()
        ]
        tried = await self.one(
            "roi/whole", sample, ask, lambda text: self._told(guarded(text), material), words=WHOLE_WORDS,
            form=fields_form("caption"), look=self.options.look,
            accepted=self.open, silence=self.says_nothing(sample, check),
            facts=lines, regions=regions, knowledge=self._passages(lines),
        )  # fmt: skip
        return self.draft(
            "roi/whole", sample, tried.text, tried.verdict, tried.replies, kind="rewrite", after=tuple(told)
        )  # fmt: skip

    async def _region(self, index: int, region: Row, sample: SampleContext, ask: Ask, check: Check) -> Draft:
        facts = [fact for fact in sample.facts if fact.get("region") == index]
        phrase: Row = {"concept": region["phrase"], "polarity": "present", "attributes": {}}
        lines = fact_lines(sample, self.options.absent, facts)
        material = check(region["phrase"], [phrase]).claims

        def judge(text: str) -> Verdict | str:
            """By the region's facts, and by its phrase where they do not bear the text alone."""
            verdicts = [check(text, rows) for rows in (facts, [*facts, phrase]) if rows]
            verdict = min(verdicts, key=lambda verdict: VERDICTS.index(verdict.verdict))
            return self._told(verdict, material)

        seen = sample.region_view.seen(region["box"]) if sample.region_view and self.options.look else None
        tried = await self.one(
            "roi/region", sample, ask, judge, words=REGION_WORDS, form=fields_form("caption"), look=self.options.look,
            pictures=seen.pictures if seen else (), place=seen.place if seen else self._place(sample, index),
            is_cut_out=seen is not None, accepted=self.open, facts=lines, phrase=quoted(region["phrase"]),
            knowledge=self._passages([region["phrase"], *lines]),
        )  # fmt: skip
        return self.draft("roi/region", sample, tried.text, tried.verdict, tried.replies, region=index)

    @staticmethod
    def _place(sample: SampleContext, index: int | None) -> str | None:
        """Where a region is, in words that hold without a picture."""
        if index is None or sample.region_view is None:
            return None
        return sample.region_view.place(sample.regions[index]["box"])

    def _told(self, verdict: Verdict, material: Sequence[Claim]) -> Verdict | str:
        """The verdict, unless it leaves open what neither a fact nor a region's phrase or text says."""
        return verdict if self.options.unchecked or self.options.look else grounded(verdict, material)

    def _passages(self, words: Sequence[str]) -> tuple[str, ...]:
        found = self.knowledge.find(" ".join(words), _PASSAGES) if self.knowledge else ()
        return tuple(map(quoted, found))
