"""`fuse-experts`: the caption that is there and what other models found, joined into one.

After FuseCap (Rotstein et al., WACV 2024, arXiv:2305.17718), which joins a caption with an object detector's,
attribute recogniser's and text reader's output, and DenseFusion (Li et al., NeurIPS 2024, arXiv:2407.08303). Here an
expert that contradicts a fact is not heard, and the verdict stays the corpus's own: what an expert alone says is
unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from voxtile.errors import ConfigError
from voxtile_datasets.captions.context.experts import Findings, read_findings
from voxtile_datasets.captions.context.model_input import fact_line, longest, quoted, words_of
from voxtile_datasets.captions.context.sample import Row, SampleContext, UnsuitableError
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy, untold
from voxtile_datasets.captions.strategies.strategy import Ask, Check, Draft, Kind
from voxtile_datasets.captions.strategies.structured import fields_form
from voxtile_datasets.captions.wordings import normalise

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict
    from voxtile_datasets.captions.checker.extraction.claims import Claim

WORDS = 120


@dataclass(frozen=True)
class FuseExperts(InstructedStrategy):
    """One caption a sample of which the experts found something; see the module."""

    name: ClassVar[str] = "fuse-experts"
    kind: ClassVar[Kind] = "fusion"

    @cached_property
    def findings(self) -> Mapping[str, Findings]:
        """What the experts found.

        Raises:
            ConfigError: no file is given.
            InputError: it cannot be read.
        """
        if self.options.experts is None:
            raise ConfigError("the strategy 'fuse-experts' needs --experts, a JSONL or Parquet of what models found")
        return read_findings(self.options.experts)

    def __post_init__(self) -> None:
        """Refuse what the strategy cannot work with, a file that cannot be read among it."""
        super().__post_init__()
        _ = self.findings

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`."""
        found = self.findings.get(sample.uid, Findings((), ()))
        heard = [(expert, fact) for expert, fact in found.facts if not _is_refuted(fact, sample)]
        lines = [f"{quoted(expert)}: {quoted(fact_line(fact))}" for expert, fact in heard]
        lines += [f"{quoted(expert)}: <<<{quoted(text)}>>>" for expert, text in found.texts]
        if not lines:
            raise UnsuitableError("no-findings", "no expert found anything that the facts do not refute")
        captions = [c for kind in ("raw", "template") if (c := longest(sample.texts(kind), WORDS))]
        facts = [*sample.facts, *(fact for _, fact in heard)]
        said = [text for _, text in found.texts] + [caption["text"] for caption in captions]
        guarded = self.guarded(sample, check, look=True)
        material = [claim for text in said for claim in check(text).claims] + [*guarded.claims]
        experts = {expert.casefold() for expert, _ in (*found.facts, *found.texts)}

        def judge(text: str) -> Verdict | str:
            if named := next(iter(experts & words_of([text])), None):
                return f"It names the model '{named}'; say only what is in the picture."
            verdict = guarded(text)
            if self.options.unchecked:
                return verdict
            return _told_by(verdict, check(text, facts), material) or verdict

        tried = await self.one(
            "fuse-experts", sample, ask, judge, words=WORDS, accepted=self.open, form=fields_form("caption"),
            look=self.options.look, silence=self.says_nothing(sample, check),
            facts=self.known(sample, check), findings=lines,
            captions=[quoted(caption["text"]) for caption in captions],
        )  # fmt: skip
        parents = tuple(caption["caption_id"] for caption in captions)
        return [self.draft("fuse-experts", sample, tried.text, tried.verdict, tried.replies, parents=parents)]


def _is_refuted(fact: Row, sample: SampleContext) -> bool:
    """Whether a certain fact, or a closed scope, says the contrary of an expert's finding."""
    concept = normalise(fact["concept"])
    stated = {row["polarity"] for row in sample.facts if normalise(row["concept"]) == concept}
    looked_for = {normalise(name) for scope in sample.scopes if scope["closed"] for name in scope["concepts"] or ()}
    known = stated - {"uncertain"} or ({"absent"} if concept in looked_for and not stated else set())
    return fact["polarity"] != "uncertain" and bool(known) and fact["polarity"] not in known


def _told_by(verdict: Verdict, with_experts: Verdict, material: Sequence[Claim]) -> str | None:
    """Why a text will not do that the facts leave unknown: nobody told what it says.

    Args:
        verdict: by facts and scopes.
        with_experts: by the facts and the experts' findings as facts.
        material: what the experts' and earlier texts claim.
    """
    if verdict.verdict != "unknown":
        return None
    places = {(fault.start, fault.end) for fault in with_experts.faults}
    faults = [fault for fault in verdict.faults if (fault.start, fault.end) in places]
    claim = untold(verdict, faults, material)
    return f"'{claim.words}' is neither among the facts nor did any model find it." if claim else None
