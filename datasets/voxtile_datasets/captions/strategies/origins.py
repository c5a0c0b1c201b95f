"""What a text that was worded from facts is of: the captions that state what it states, and its one region.

A caption is a parent of a text where both affirm, deny or doubt a same finding: the report or caption that the facts
were read from, and the template that words them. A text is of a region where that region's facts alone, and those of no
other region, support all that it says: with the sample's picture they are the triplet of MedTrinity-25M
(arXiv:2408.02900).
"""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from voxtile_datasets.captions.context.sample import Row, SampleContext
from voxtile_datasets.captions.guards.claim_keys import statements

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict
    from voxtile_datasets.captions.strategies.strategy import Check

_MOST_REGIONS = 16  # with facts of what a text names: it is of none in particular


class Origins:
    """Finds parents and regions of the texts of one sample; its captions are read once, when first asked for.

    Args:
        sample: whose texts they are.
        check: the checker, bound to the sample.
    """

    def __init__(self, sample: SampleContext, check: Check) -> None:
        self._sample, self._check = sample, check

    def parents(self, verdict: Verdict) -> tuple[str, ...]:
        """Ids of the captions that state what a text states, in the sample's order.

        Args:
            verdict: on the text, with its claims.
        """
        said = statements(verdict.claims)
        return tuple(name for name, stated in self._captions.items() if said & stated)

    def region(self, text: str, verdict: Verdict) -> int | None:
        """Place in `SampleContext.regions` of the one region that a text is of; None where it is of several or of none.

        Args:
            text: a caption, or a question with its answer.
            verdict: on it, with its claims.
        """
        named = {name for name, _ in statements(verdict.claims)}
        near = [index for index, concepts in self._concepts.items() if named & concepts]
        if not named or len(near) > _MOST_REGIONS:
            return None
        bearing = [index for index in near if self._check(text, self._facts[index]).verdict == "supported"]
        return bearing[0] if len(bearing) == 1 else None

    @cached_property
    def _captions(self) -> dict[str, frozenset[tuple[str, str]]]:
        return {row["caption_id"]: statements(self._check(row["text"]).claims) for row in self._sample.captions}

    @cached_property
    def _facts(self) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = defaultdict(list)
        for fact in self._sample.facts:
            if fact.get("region") is not None:
                found[fact["region"]].append(fact)
        return dict(found)

    @cached_property
    def _concepts(self) -> dict[int, set[str]]:
        """What the checker calls the findings of each region."""
        names = {fact["concept"] for facts in self._facts.values() for fact in facts}
        called = {
            name: {concept for concept, _ in statements(self._check(f"There is {name.replace('_', ' ')}.").claims)}
            for name in sorted(names)
        }
        return {
            index: {concept for fact in facts for concept in called[fact["concept"]]}
            for index, facts in self._facts.items()
        }
