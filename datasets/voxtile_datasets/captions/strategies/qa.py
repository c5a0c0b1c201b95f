"""`qa`: questions about a sample whose answers are among its facts.

A pair is accepted where the checker supports the answer, the answer is about what the question asks, a yes or no agrees
with the polarity of what it says, and the question does not give its answer away.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.sample import NO_FACTS, SampleContext, UnsuitableError
from voxtile_datasets.captions.guards.claim_keys import claim_key
from voxtile_datasets.captions.providers.request import Request
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, forgiving
from voxtile_datasets.captions.strategies.origins import Origins
from voxtile_datasets.captions.strategies.several_texts import Round, several
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Missing
from voxtile_datasets.captions.strategies.structured import Candidate, pairs_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

PAIRS = 3
WORDS = 40
_YES_OR_NO = re.compile(r"^(yes|no)\b[\s,.;:]*", re.I)
_CLOSED = re.compile(r"^(is|are|was|were|do|does|did|has|have|can|could|may)\b", re.I)


@dataclass(frozen=True)
class QuestionsAnswers(InstructedStrategy):
    """At most three pairs a sample, as many as it has facts to tell, with their parents and regions; see the module."""

    name: ClassVar[str] = "qa"
    version: ClassVar[str] = "2"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft | Missing]:
        """See `Strategy.captions`."""
        lines = self.known(sample, check)
        if not lines:
            raise UnsuitableError(NO_FACTS, "the sample has no facts to ask about")
        wanted = min(PAIRS, len(lines))
        form = pairs_form("pairs", PAIRS)

        def make(asked: Round) -> Request:
            return self.request(
                "qa", sample, asked.number, max_tokens=PAIRS * 6 * WORDS, form=form, look=self.options.look,
                facts=lines, count=asked.missing, accepted=asked.accepted, fault=asked.fault,
            )  # fmt: skip

        texts = await several(
            make, forgiving(ask), lambda pair: judged_pair(pair, check), form, {"pairs": wanted}, most_words=WORDS,
            tries=self.options.tries, enough=self.strict,
        )  # fmt: skip
        origins = Origins(sample, check)
        return [
            text if isinstance(text, Missing)
            else replace(
                self.draft(
                    "qa", sample, text.candidate.whole, text.verdict, text.replies,
                    parents=origins.parents(text.verdict), region=origins.region(text.candidate.whole, text.verdict),
                ),
                question=text.candidate.question, answer=text.candidate.text,
            )
            for text in texts
        ]  # fmt: skip


def judged_pair(pair: Candidate, check: Check) -> Verdict | str:
    """The checker's verdict on the answer, or a sentence that says why the pair will not do.

    Args:
        pair: an answer with its question.
        check: the checker, bound to the sample.
    """
    question = pair.question or ""
    if not question.endswith("?"):
        return f"'{question}' is no question; end it with a question mark."
    said = _YES_OR_NO.match(pair.text)
    statement = _YES_OR_NO.sub("", pair.text)
    verdict = check(statement) if statement else None
    if verdict is None or not verdict.claims:
        return f"'{pair.text}' names nothing that was asked about; answer in a whole sentence."
    if bool(said) != bool(_CLOSED.match(question)):
        return f"'{question}' and '{pair.text}' do not fit: begin with Yes or No where, and only where, that is asked."
    asked = check(question.rstrip("?") + ".").claims
    about = {concept for claim in verdict.claims for concept in (*claim.concepts, *claim.others)}
    if strange := next((claim for claim in asked if claim.concepts and not about & {*claim.concepts}), None):
        return f"'{question}' asks about '{strange.words}', and '{pair.text}' does not speak of it."
    if said:
        polarity = "present" if said[1].casefold() == "yes" else "absent"
        if any(claim.polarity != polarity for claim in verdict.claims if claim.concepts):
            return f"'{pair.text}' contradicts itself: what follows Yes must be there, what follows No must not."
    elif {claim_key(claim) for claim in verdict.claims} <= {claim_key(claim) for claim in asked}:
        return f"'{question}' says its answer already."
    return verdict
