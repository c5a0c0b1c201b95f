"""What a caption takes from the text beside its picture, and from nowhere else, is marked: that text is no fact.

A claim that the facts leave open and the text beside the picture makes, and a word that only that text has and the
checker does not read, leave the verdict at `unknown` at best, with a fault of the kind `context` that names the words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from voxtile.words.tokens import normal_form
from voxtile_datasets.captions.checker.extraction.grammar import load_grammar
from voxtile_datasets.captions.checker.verdict import ORDER, Fault, Verdict, worst
from voxtile_datasets.captions.context.model_input import fact_line, picture_name, scale
from voxtile_datasets.captions.context.sample import Row, SampleContext
from voxtile_datasets.captions.guards.claim_keys import claims_at, is_said_by, spans_of

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.extraction.claims import Claim
    from voxtile_datasets.captions.strategies.strategy import Check

CONTEXT = "context"  # kind of the fault
_MOST_WORDS = 8
_WORD = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*")
# Words that say nothing of a picture: the closed classes of English, and what pictures and texts about them are called.
_EMPTY = """
a an the this that these those it its they their them he she his her we our us you your i my one ones some any each
every all both either neither no not none nor and or but so yet if then than as while when where which who whom whose
what how why because since though although whether once also too only just very more most less least much many few
several other another such same own rather quite about above across after against along among around at before behind
below beneath beside between beyond by down during except for from in inside into like near of off on onto out outside
over past per through throughout to toward towards under until up upon via with within without is are was were be been
being am do does did done have has had having can could may might must shall should will would there here see seen
show shown image picture photo photograph view scene figure satellite aerial overhead scan slide tile patch area part
region place thing look visible cover lie stand contain include feature depict display capture take taken acquire
acquired left right top bottom upper lower center side
"""


class ContextGuard:
    """A check that marks what only the text beside the picture says; without such a text it is the check as it was.

    Args:
        check: the checker, bound to the sample.
        sample: whose texts they are.
        strict: what neither the facts nor that text say will not do; otherwise the model may have seen it.
    """

    def __init__(self, check: Check, sample: SampleContext, *, strict: bool) -> None:
        self._check, self._strict, self._has_context = check, strict, bool(sample.context)
        texts = [row["text"] for row in sample.context]
        self.claims: tuple[Claim, ...] = tuple(claim for text in texts for claim in check(text).claims)
        told = [fact_line(fact) for fact in sample.facts] + [picture_name(sample), scale(sample)]
        told += [caption["text"] for caption in sample.captions] + [region["phrase"] or "" for region in sample.regions]
        self._words = _forms(texts) - _forms(told) - _empty() if texts else frozenset()

    def __call__(self, text: str, facts: Sequence[Row] | None = None) -> Verdict:
        """See `Check.__call__`."""
        verdict = self._check(text, facts)
        if not self._has_context:
            return verdict
        faults = [self._judged(fault, verdict) for fault in verdict.faults]
        faults += self._words_of_context(text, verdict)
        faults.sort(key=lambda fault: -ORDER.index(fault.judgement))
        judgement = worst([fault.judgement for fault in faults]) if faults else verdict.verdict
        return replace(verdict, verdict=judgement, faults=tuple(faults))

    def _judged(self, fault: Fault, verdict: Verdict) -> Fault:
        """A fault that the facts leave open: told by the text beside the picture, or by nobody."""
        if fault.judgement != "unknown":
            return fault
        touched = claims_at(verdict.claims, fault.start, fault.end)
        if touched and all(is_said_by(claim, self.claims) for claim in touched):
            return replace(fault, kind=CONTEXT, why=f"Only the text beside the picture says '{fault.words}'.")
        if not self._strict:
            return fault
        why = (
            f"'{fault.words}' is neither among the facts nor in the text beside the picture." if touched else fault.why
        )
        return replace(fault, judgement="unsupported", why=why)

    def _words_of_context(self, text: str, verdict: Verdict) -> list[Fault]:
        """A fault for each word that only the text beside the picture has, and that no claim reads."""
        spans = [span for claim in verdict.claims for span in spans_of(claim)]
        found: dict[str, Fault] = {}
        for match in _WORD.finditer(text):
            form = normal_form(match[0])
            if form in self._words and form not in found and not any(a <= match.start() < b for a, b in spans):
                why = f"Only the text beside the picture has the word '{match[0]}'."
                found[form] = Fault(CONTEXT, "unknown", match[0], *match.span(), why)
        return list(found.values())[:_MOST_WORDS]


@cache
def _empty() -> frozenset[str]:
    return _forms([_EMPTY]) | load_grammar().known_words


def _forms(texts: Sequence[str]) -> frozenset[str]:
    return frozenset(normal_form(word) for text in texts for word in _WORD.findall(text))
