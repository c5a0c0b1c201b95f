"""`rewrite`: what is known of a sample in a language model's own words.

A model that follows instructions rewrites a whole caption (LaCLIP: Fan et al., NeurIPS 2023, arXiv:2305.20088), told
the facts. A base model continues examples, a sentence a fact: small ones lose or turn about facts in a longer text, and
a sentence that fails can be asked for again by itself.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from voxtile_datasets.captions.context.model_input import chosen_facts, fact_line, picture_name, quoted, words_of
from voxtile_datasets.captions.context.prompts import Prompt
from voxtile_datasets.captions.context.sample import NO_FACTS, Row, SampleContext, UnsuitableError
from voxtile_datasets.captions.guards.left_out import LeftOut, finding_words, left_out
from voxtile_datasets.captions.guards.repeated_facts import REPEATS, NamedFault, is_repetition
from voxtile_datasets.captions.guards.stray_words import stray_word
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.instructed import InstructedStrategy
from voxtile_datasets.captions.strategies.reply_form import clean
from voxtile_datasets.captions.strategies.retries import Tried, Try, best_of
from voxtile_datasets.captions.strategies.strategy import VERDICTS, Ask, Check, Draft, Kind, Strategy, StrategyOptions
from voxtile_datasets.captions.strategies.structured import fields_form
from voxtile_datasets.captions.wordings import normalise

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

WORDS = 120
MOST_FACTS = 8  # sentences a caption, as many as the longest reports of one organ system have
_MOST_TOLD = 24  # findings that a caption is asked to be completed by
_WORDS_A_FINDING = 40
_TRIES_A_FINDING = 2
_OF_TEXTS = frozenset([*VERDICTS, REPEATS, "unfit"])  # reasons that lie in what was said, and not in its form
_LONGEST_SENTENCE = 48  # tokens
_ORDERS = 2  # orders of the examples: each is a common beginning of prompts that a model's cache has to hold
_TOP_P = 0.95
_OPPOSITE = {"present": "absent", "uncertain": "absent", "absent": "present"}


def rewrite(options: StrategyOptions) -> Strategy:
    """The form of the strategy that suits the model."""
    return RewriteWhole(options) if options.chat else RewriteFacts(options)


@dataclass(frozen=True)
class RewriteWhole(InstructedStrategy):
    """One caption a sample from its template caption, or its raw one, and the facts; see the module.

    A caption that leaves out a finding, a side, a size or a place is asked for once more. What is left out then, or all
    of it where no caption was accepted, is asked for a finding at a time, and these sentences complete or replace it.
    """

    name: ClassVar[str] = "rewrite"
    version: ClassVar[str] = "2"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`."""
        lines = self.known(sample, check)
        if not lines:
            raise UnsuitableError(NO_FACTS, "the sample has no facts to say in other words")
        source = next(iter(sample.texts("template") or sample.texts("raw")), None)
        guarded = self.guarded(sample, check)
        told = [row for row in sample.facts if fact_line(row) in lines][:_MOST_TOLD]
        paid: list[Reply] = []

        async def asked(request: Request) -> Reply:
            paid.append(await ask(request))
            return paid[-1]

        def judge(text: str) -> Verdict | str:
            is_copy = source is not None and words_of([text]) == words_of([source["text"]])
            return "The caption is the one to rewrite; use other words." if is_copy else guarded(text)

        def missing(text: str, _: Verdict | None = None) -> list[LeftOut]:
            return [] if self.options.unchecked else left_out(text, told, check)

        try:
            tried = await self.one(
                "rewrite", sample, asked, judge, words=WORDS, form=fields_form("caption"), look=self.options.look,
                silence=self.says_nothing(sample, check), facts=lines,
                text=quoted(source["text"]) if source else None,
                left_out=lambda text, _: [part.line for part in missing(text)],
            )  # fmt: skip
            text, verdict = tried.text, tried.verdict
        except ReplyError as error:
            if self.options.unchecked or error.reason not in _OF_TEXTS:
                raise
            text, verdict = await self._by_finding("", missing(""), sample, asked, guarded, failure=error)
        else:
            if parts := missing(text):
                begun = text if not any(part.is_named for part in parts) else ""
                whole = await self._by_finding(begun, parts if begun else missing(""), sample, asked, guarded)
                if len(missing(whole[0])) < len(parts):
                    text, verdict = whole
        parents = (source["caption_id"],) if source else ()
        replies = tuple(sorted(paid, key=lambda reply: reply.request_sha))  # in one order, whoever answers first
        return [self.draft("rewrite", sample, text, verdict, replies, parents=parents)]

    async def _by_finding(
        self,
        begun: str,
        parts: Sequence[LeftOut],
        sample: SampleContext,
        ask: Ask,
        check: Check,
        failure: ReplyError | None = None,
    ) -> tuple[str, Verdict]:
        """A text with a sentence more for each finding that the model words, and its verdict.

        Raises:
            ReplyError: `failure`, where the model words none or the whole is not accepted.
        """
        one = (self._sentence(part, sample, ask, check) for part in parts)
        found = await asyncio.gather(*one, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException) and not isinstance(error, ReplyError):
                raise error
        sentences = [text for text in found if isinstance(text, str)]
        text = " ".join(dict.fromkeys(part for part in (ended(begun), *sentences) if part))
        verdict = self._complete(check(text))
        if sentences and not isinstance(verdict, str) and verdict.verdict in self.accepted(sample):
            return text, verdict
        if failure is not None:
            raise failure
        return begun, check(begun)

    async def _sentence(self, part: LeftOut, sample: SampleContext, ask: Ask, check: Check) -> str:
        """A sentence that says a finding whole.

        Raises:
            ReplyError: none was accepted.
        """

        def judge(text: str) -> Verdict | str:
            if rest := left_out(text, [part.row], check):
                return f"The text leaves out: {', '.join(rest[0].what)}."
            return check(text)

        tried = await self.one(
            "rewrite", sample, ask, judge, words=_WORDS_A_FINDING, form=fields_form("caption"), tries=_TRIES_A_FINDING,
            accepted=self.strict, facts=(fact_line(part.row),), text=None,
        )  # fmt: skip
        return ended(tried.text)


@dataclass(frozen=True)
class RewriteFacts:
    """One caption a sample, a sentence a fact, in a keyed order; see the module.

    A sentence that is supported and leaves out a side, place or number that the model was told is asked for again, and
    kept where no try says more. A fact whose sentence is not supported after all tries is left out, so that a caption
    may say less than is known.

    Args:
        options: of the command.
    """

    options: StrategyOptions

    name: ClassVar[str] = "rewrite"
    version: ClassVar[str] = "facts-2"
    kind: ClassVar[Kind] = "rewrite"

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> list[Draft]:
        """See `Strategy.captions`."""
        facts = chosen_facts(sample, self.options.absent)[:MOST_FACTS]
        if not facts:
            raise UnsuitableError(NO_FACTS, "the sample has no facts to say in other words")
        paid: list[Reply] = []

        async def asked(request: Request) -> Reply:
            paid.append(await ask(request))
            return paid[-1]

        tasks = (self._sentence(fact, sample, asked, check) for fact in facts)
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException) and not isinstance(error, ReplyError):
                raise error
        said = [tried for tried in found if isinstance(tried, Tried) and self._accepts(tried, check)]
        if not said:
            raise self._failure(found)
        said.sort(key=lambda tried: _digest(f"{sample.uid}|order|{tried.text}"))
        text = " ".join(dict.fromkeys(tried.text for tried in said))
        replies = tuple(sorted(paid, key=lambda reply: reply.request_sha))  # in one order, whoever answers first
        prompt = self.options.prompts.find("rewrite-fact", sample.modality)
        return [Draft(text, self.kind, check(text), prompt.sha256, replies)]

    async def _sentence(self, fact: Row, sample: SampleContext, ask: Ask, check: Check) -> Tried:
        """The best sentence that says a fact."""
        prompt = self.options.prompts.find("rewrite-fact", sample.modality)
        key = _digest(f"{self.options.seed}|{sample.uid}|{fact['concept']}|{fact['polarity']}|{fact.get('attributes')}")
        told, name = _named(fact, prompt, sample, key)
        finding = finding_words(fact, name)
        opposite = {**fact, "polarity": _OPPOSITE[fact["polarity"]]}
        copies = frozenset(words_of([part]) for row in sample.texts("template") for part in row["text"].split(". "))

        def make(attempt: Try) -> Request:
            shown = _examples(prompt, told, sample, key // 97 + attempt.number)
            _, text = prompt.filled(polarity=told, finding=finding, shown=shown)
            return Request(
                prompt=text, max_tokens=min(self.options.max_reply_tokens or _LONGEST_SENTENCE, _LONGEST_SENTENCE),
                temperature=self.options.temperature, top_p=_TOP_P, stop=("\n",), seed=key % 2**31,
                attempt=attempt.number,
            )  # fmt: skip

        def judge(text: str) -> Verdict | str:
            verdict = check(text, [fact])
            if self.options.unchecked:
                return verdict
            if words_of([text]) in copies:
                return "The sentence is the template's; use other words."
            if is_repetition(text, (f"present: {finding}",)):
                self.options.counts[REPEATS] += 1
                return NamedFault(REPEATS, "The sentence only repeats the fact; use other words.")
            if verdict.verdict == "supported" and check(text, [opposite]).verdict != "contradicted":
                return "The sentence does not say the fact."
            stray = stray_word(text, (fact["concept"], finding), prompt, sample)
            return f"'{stray}' is not in the fact." if stray else verdict

        enough = VERDICTS if self.options.unchecked else ("supported",)
        details = _details(check(f"{finding}.", [fact])) if not self.options.unchecked else frozenset()
        return await best_of(
            make, ask, judge, tries=self.options.tries, read=_sentence, enough=enough,
            left_out=lambda _, verdict: sorted(details - _details(verdict)),
        )  # fmt: skip

    def _accepts(self, tried: Tried, check: Check) -> bool:
        """Whether a sentence is supported by its fact, and by all that is known: a scope can leave more open."""
        return self.options.unchecked or (tried.is_supported and check(tried.text).verdict == "supported")

    def _failure(self, found: list[Tried | BaseException]) -> ReplyError:
        """Why no fact was said: the first reason of the provider, or the first verdict."""
        for error in found:
            if isinstance(error, ReplyError):
                return error
        tried = next(tried for tried in found if isinstance(tried, Tried))
        why = " ".join(fault.why for fault in tried.verdict.faults)
        return ReplyError(tried.verdict.verdict, f"no sentence of the model's was supported: {why}")


def _details(verdict: Verdict) -> frozenset[str]:
    """The kinds of detail that a text gives: side, place, number; the checker has compared their values."""
    return frozenset(detail.kind for claim in verdict.claims for detail in claim.details)


def _named(fact: Row, prompt: Prompt, sample: SampleContext, key: int) -> tuple[str, str]:
    """The polarity in which a fact is told, and the name of its concept."""
    concept = normalise(fact["concept"])
    stated = prompt.statements.get(concept, {}).get(fact["polarity"])
    names = stated or prompt.names.get(concept) or (concept,)
    return "present" if stated else fact["polarity"], names[key % len(names)].replace("{image}", picture_name(sample))


def _examples(prompt: Prompt, polarity: str, sample: SampleContext, turn: int) -> list[Row]:
    """The prompt's examples of a polarity that are about none of the sample's concepts, in one of few orders."""
    known = {normalise(row["concept"]) for row in sample.facts}
    shown = [row for row in prompt.examples if row["polarity"] == polarity and normalise(row["concept"]) not in known]
    first = turn % _ORDERS * (len(shown) // _ORDERS)
    return [*shown[first:], *shown[:first]]


def _sentence(reply: str) -> str:
    """The first line of a reply, with a full stop."""
    text = clean(reply.strip().split("\n", 1)[0])
    return ended(text[:1].upper() + text[1:])


def ended(text: str) -> str:
    """A text with a full stop at its end, where it has none."""
    return text if not text or text[-1] in ".!?" else f"{text}."


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
