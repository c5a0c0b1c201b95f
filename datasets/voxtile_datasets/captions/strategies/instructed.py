"""What the strategies share that need a model which follows instructions: requests from prompts, one text, a draft."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from voxtile.errors import ConfigError
from voxtile_datasets.captions.context.model_input import ABSENT, context_lines, fact_lines, picture_name, scale
from voxtile_datasets.captions.context.sample import SampleContext
from voxtile_datasets.captions.guards.claim_keys import claims_at, is_said_by
from voxtile_datasets.captions.guards.context_guard import ContextGuard
from voxtile_datasets.captions.guards.repeated_facts import REPEATS, NamedFault, is_repetition
from voxtile_datasets.captions.providers.provider import OffSchemaError, ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.retries import FindLeftOut, Judge, Tried, Try, best_of
from voxtile_datasets.captions.strategies.strategy import VERDICTS, Ask, Check, Draft, Kind, StrategyOptions
from voxtile_datasets.captions.strategies.structured import Form, words_form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Fault, Verdict
    from voxtile_datasets.captions.checker.extraction.claims import Claim

# What is accepted where a text can only come from the facts, and where it may hold what was seen or said besides.
FROM_FACTS = ("supported",)
OPEN = ("supported", "unknown")
_REPEATS = "The text only repeats the facts as they were given; write sentences of your own."
_TOLD = 4  # of what a text leaves out, at most so many are told at once


@dataclass(frozen=True)
class InstructedStrategy:
    """Base of these strategies; a subclass names itself and says what it asks.

    Args:
        options: of the command.

    Raises:
        ConfigError: the model only continues texts.
    """

    options: StrategyOptions

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    kind: ClassVar[Kind] = "rewrite"

    def __post_init__(self) -> None:
        """Refuse what the strategy cannot work with."""
        if not self.options.chat:
            raise ConfigError(
                f"the strategy '{self.name}' needs a model that follows instructions; "
                "use --strategy rewrite with this one, or another model"
            )

    def accepted(self, sample: SampleContext) -> Collection[str]:
        """Verdicts that will do: a model that sees, or is told what stands beside the picture, may say more than facts.

        What it says of the text beside the picture is marked, and what nobody told is refused: see `guarded`.
        """
        return self.open if self.options.look or sample.context else self.strict

    def guarded(self, sample: SampleContext, check: Check, *, look: bool | None = None) -> ContextGuard:
        """The check that knows what only the text beside the picture says.

        Args:
            sample: whose texts and facts they are.
            check: the checker, bound to the sample.
            look: the model sees the picture, or is told what others said, and may say more; `self.options.look`.
        """
        looks = self.options.look if look is None else look
        return ContextGuard(check, sample, strict=not looks and not self.options.unchecked)

    @property
    def open(self) -> Collection[str]:
        """Verdicts that will do for what was seen, or said by others."""
        return VERDICTS if self.options.unchecked else OPEN

    @property
    def strict(self) -> Collection[str]:
        """Verdicts that will do for what can come only from the facts."""
        return VERDICTS if self.options.unchecked else FROM_FACTS

    def known(self, sample: SampleContext, check: Check) -> tuple[str, ...]:
        """The facts in lines, without absences that the checker refutes.

        The closed scope of a classification leaves out every class but one: "houses" beside "houses with pools".
        """
        lines = fact_lines(sample, self.options.absent)
        denied = {line: line.removeprefix(ABSENT) for line in lines if line.startswith(ABSENT)}
        refuted = {line for line, name in denied.items() if check(f"There is no {name}.").verdict == "contradicted"}
        return tuple(line for line in lines if line not in refuted)

    def says_nothing(self, sample: SampleContext, check: Check) -> Callable[[Verdict], str | None]:
        """What finds texts that name nothing of what is there ("No abnormality"), and says so in a sentence.

        Args:
            sample: whose facts are told.
            check: the checker, bound to the sample.
        """
        names = dict.fromkeys(row["concept"].replace("_", " ") for row in sample.facts if row["polarity"] == "present")
        claims = {name: check(f"There is {name}.").claims for name in names}
        told = {
            name: {c for claim in read if claim.kind == "concept" for c in claim.concepts}
            for name, read in claims.items()
        }
        there = frozenset().union(*told.values())

        def silence(verdict: Verdict) -> str | None:
            said = {
                c for claim in verdict.claims if claim.polarity != "absent" for c in (*claim.concepts, *claim.others)
            }
            if self.options.unchecked or not there or said & there:
                return None
            known = ", ".join(name for name, concepts in told.items() if concepts)
            return f"The text names nothing of what is there ({known})."

        return silence

    def request(
        self,
        step: str,
        sample: SampleContext,
        number: int,
        *,
        max_tokens: int,
        form: Form | None = None,
        look: bool = False,
        pictures: tuple[bytes, ...] = (),
        **values: Any,  # noqa: ANN401
    ) -> Request:
        """One request.

        Args:
            step: the prompt file's `strategy`.
            sample: what it is about.
            number: of the try.
            max_tokens: of the reply, where the command says nothing.
            form: what the reply should hold; None for plain words.
            look: the picture is shown.
            pictures: what is shown in its place; the sample's picture by default.
            values: for the template, beside `image`, `scale`, `look` and `context`.
        """
        known = {"image": picture_name(sample), "scale": scale(sample), "look": look, "context": ()}
        known |= {"context": context_lines(sample)} if sample.context else {}
        system, text = self.options.prompts.find(step, sample.modality).filled(**known, **values)
        return Request(
            prompt=text,
            system=system,
            images=(pictures or (sample.picture(),)) if look else (),
            max_tokens=self.options.max_reply_tokens or max_tokens,
            temperature=self.options.temperature,
            seed=keyed_seed(self.options.seed, sample.uid),
            attempt=number,
            schema=form.schema if form else None,
        )

    async def one(
        self,
        step: str,
        sample: SampleContext,
        ask: Ask,
        judge: Judge,
        *,
        words: int,
        form: Form | None = None,
        look: bool = False,
        pictures: tuple[bytes, ...] = (),
        accepted: Collection[str] | None = None,
        lang: str = "en",
        fault: str | None = None,
        silence: Callable[[Verdict], str | None] | None = None,
        left_out: FindLeftOut | None = None,
        tries: int | None = None,
        **values: Any,  # noqa: ANN401
    ) -> Tried:
        """Ask one step until its text is accepted.

        Args:
            step: the prompt file's `strategy`.
            sample: what it is about.
            ask: asks the provider.
            judge: the checker bound to the sample, or why a text will not do.
            words: the most words of the text.
            form: what the reply holds; None for plain words.
            look: the picture is shown.
            pictures: what is shown in its place; the sample's picture by default.
            accepted: verdicts that will do; those of `self.accepted` by default.
            lang: of the text.
            fault: what the first request tells of an earlier step's text.
            silence: of `says_nothing`, where a text that names nothing of what is there will not do.
            left_out: what an accepted text leaves out, for which it is asked once more; see `best_of`.
            tries: requests at most; those of the options by default.
            values: for the template.

        Raises:
            ReplyError: no text was accepted; its reason is the best text's verdict, or what was wrong with its form.
        """
        accepted = self.accepted(sample) if accepted is None else accepted
        takes_all = set(VERDICTS) <= set(accepted)

        def make(attempt: Try) -> Request:
            known = {"fault": attempt.fault or fault, "words": words, **values}
            return self.request(
                step,
                sample,
                attempt.number,
                max_tokens=4 * words + 64,
                form=form,
                look=look,
                pictures=pictures,
                **known,
            )

        def limited(text: str) -> Verdict | str:
            length = len(text.split())
            if length > words:
                return f"The text has {length} words; write at most {words}."
            if not takes_all and (repeated := self.repetition(text, values.get("facts", ()))):
                return repeated
            verdict = self._complete(judge(text))
            if silence is None or isinstance(verdict, str) or verdict.verdict not in accepted:
                return verdict
            return silence(verdict) or verdict

        def read(reply: str) -> str:
            return (form or words_form("text")).read(reply)[0].text

        tried = await best_of(
            make, forgiving(ask), limited, tries=tries or self.options.tries, lang=lang, read=read, enough=accepted,
            left_out=left_out, again=1,
        )  # fmt: skip
        if tried.verdict.verdict not in accepted:
            why = " ".join(fault.why for fault in tried.verdict.faults)
            raise ReplyError(tried.verdict.verdict, f"the best of the model's texts is {tried.verdict.verdict}: {why}")
        return tried

    def repetition(self, text: str, facts: Sequence[str]) -> NamedFault | None:
        """Why a text is no caption of the model that only repeats the facts; such texts are counted.

        Args:
            text: of the model.
            facts: the lines that it was told.
        """
        is_one = not self.options.unchecked and is_repetition(text, facts)
        fault = NamedFault(REPEATS, _REPEATS) if is_one else None
        if fault is not None:
            self.options.counts[fault.reason] += 1
        return fault

    def _complete(self, verdict: Verdict | str) -> Verdict | str:
        """The verdict, where its text says as much of what the facts state as is asked for; else what it leaves out."""
        if isinstance(verdict, str) or verdict.completeness is None or self.options.unchecked:
            return verdict
        if verdict.completeness >= self.options.complete or verdict.verdict == "contradicted":
            return verdict
        return f"The text leaves out: {', '.join(verdict.left_out[:_TOLD])}. Say these, too."

    def draft(
        self,
        step: str,
        sample: SampleContext,
        text: str,
        verdict: Verdict,
        replies: tuple[Reply, ...],
        *,
        kind: Kind | None = None,
        parents: tuple[str, ...] = (),
        lang: str = "en",
        after: tuple[int, ...] = (),
        region: int | None = None,
    ) -> Draft:
        """An accepted text with the prompt that it came of."""
        prompt = self.options.prompts.find(step, sample.modality)
        return Draft(text, kind or self.kind, verdict, prompt.sha256, replies, parents, lang, after, region)


def keyed_seed(seed: int, key: str) -> int:
    """A seed of its own (31 bits) for a key, so that samples of the same facts are not worded alike."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{key}".encode()).digest()[:4], "big") >> 1


def forgiving(ask: Ask) -> Ask:
    """The same, with replies that break their schema handed over to be read all the same."""

    async def ask_forgiving(request: Request) -> Reply:
        try:
            return await ask(request)
        except OffSchemaError as error:
            return error.reply

    return ask_forgiving


def grounded(verdict: Verdict, material: Iterable[Claim]) -> Verdict | str:
    """The verdict, where each claim that it cannot tell stands in the material; else a sentence that names one.

    Args:
        verdict: of a text.
        material: claims of the texts that it was made from.
    """
    if verdict.verdict == "unknown" and (claim := untold(verdict, verdict.faults, material)):
        return f"'{claim.words}' is neither among the facts nor in the captions given."
    return verdict


def untold(verdict: Verdict, faults: Iterable[Fault], material: Iterable[Claim]) -> Claim | None:
    """The first claim that a fault is about and that the material does not make.

    Args:
        verdict: of a text, with its claims.
        faults: those of its faults that count.
        material: claims of other texts.
    """
    given = tuple(material)
    touched = {id(claim) for fault in faults for claim in claims_at(verdict.claims, fault.start, fault.end)}
    return next((c for c in verdict.claims if id(c) in touched and not is_said_by(c, given)), None)
