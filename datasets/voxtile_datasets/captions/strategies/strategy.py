"""What a strategy is: from what is known of one sample to drafts of captions, each checked against the facts.

A strategy sees a sample only through `SampleContext`, which holds no identifier, path, subject or date: `uid` and the
caption ids are keys for choices and parents, and the run refuses a prompt that holds one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from voxtile_datasets.captions.context.sample import Row, SampleContext
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict
    from voxtile_datasets.captions.context.prompts import PromptBook

Kind: TypeAlias = Literal["rewrite", "fusion", "vlm", "roi"]

# Best first; a verdict that is not here ranks last.
VERDICTS = ("supported", "unknown", "unsupported", "contradicted")


class Ask(Protocol):
    """Asks the run's provider, through the cache, the budget and the search for identifiers."""

    async def __call__(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            ReplyError: this request finally failed; let it pass unless the strategy can do without the reply.
        """
        ...


class Check(Protocol):
    """Compares a text with what is known of the sample."""

    def __call__(self, text: str, facts: Sequence[Row] | None = None) -> Verdict:
        """Judge a text.

        Args:
            text: to be judged.
            facts: only these facts of the sample count, and no scope; all facts and scopes by default.
        """
        ...


@dataclass(frozen=True)
class Draft:
    """A caption that a strategy proposes; the run stores it with its verdict and its price.

    Attributes:
        text: the caption.
        kind: in the captions table.
        verdict: of the checker on the whole text.
        prompt_sha: of the prompt file that made it.
        replies: all that it took, those of failed tries among them.
        parents: ids of the captions that it was made from.
        lang: ISO 639-1.
        after: indices, in the same list, of the drafts that it was made from; their captions are parents too.
        region: place in `SampleContext.regions` of the one that it describes; None for the whole picture.
        question, answer: of a pair, whose `text` holds both.
    """

    text: str
    kind: Kind
    verdict: Verdict
    prompt_sha: str
    replies: tuple[Reply, ...]
    parents: tuple[str, ...] = ()
    lang: str = "en"
    after: tuple[int, ...] = ()
    region: int | None = None
    question: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Missing:
    """One of a sample's captions that did not come, while others did.

    Attributes:
        what: which one, in words, e.g. `the region 'nodule'`.
        error: why.
    """

    what: str
    error: ReplyError


async def draft_or_missing(what: str, made: Awaitable[Draft]) -> Draft | Missing:
    """A draft, or what is missing where the model gave none."""
    try:
        return await made
    except ReplyError as error:
        return Missing(what, error)


def refuse_none(found: Sequence[Draft | Missing]) -> None:
    """Where every caption of a sample is missing, the sample fails like any other.

    Raises:
        ReplyError: that of the first.
    """
    missing = [part for part in found if isinstance(part, Missing)]
    if missing and len(missing) == len(found):
        raise missing[0].error


class Strategy(Protocol):
    """Makes captions of one kind.

    Attributes:
        name: on the command line.
        version: bumped whenever other captions come of the same replies.
        kind: of its captions.
    """

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def version(self) -> str: ...  # noqa: D102

    @property
    def kind(self) -> Kind: ...  # noqa: D102

    async def captions(self, sample: SampleContext, ask: Ask, check: Check) -> Sequence[Draft | Missing]:
        """Captions of one sample, and which of several did not come; many samples are done at once in one event loop.

        Raises:
            UnsuitableError: there is nothing to say about this sample.
            ReplyError: no caption came of it.
        """
        ...


@dataclass(frozen=True)
class StrategyOptions:
    """What the command line says about a strategy; each one takes what it needs.

    Attributes:
        prompts: the prompt files of all domains.
        chat: the model follows instructions.
        tries: tries a request, the first one included.
        temperature: of the sampling.
        max_reply_tokens: longest reply; None for the strategy's own.
        seed: of the sampling.
        absent: at most so many absent findings are told to the model.
        languages: what the captions are to be written in.
        knowledge: folder of texts to look facts up in.
        look: the model sees pictures, and is shown them also where facts alone would do.
        experts: JSONL or Parquet of what other models found in the samples.
        complete: the least completeness of a text; a reply below it is told what it leaves out, and asked again.
        unchecked: the first text of the right form is kept with its verdict, whatever that is.
        counts: texts of the model that were no captions of it, by reason; strategies add to it.
    """

    prompts: PromptBook
    chat: bool
    tries: int = 4
    temperature: float = 0.7
    max_reply_tokens: int | None = None
    seed: int = 0
    absent: int = 2
    languages: tuple[str, ...] = ("en",)
    knowledge: Path | None = None
    look: bool = False
    experts: Path | None = None
    unchecked: bool = False
    complete: float = 0.0
    counts: Counter[str] = field(default_factory=Counter, compare=False)
