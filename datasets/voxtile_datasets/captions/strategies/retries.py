"""Ask, check, tell the model what was wrong, ask again; the best text is kept."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from voxtile_datasets.captions.guards.repeated_facts import NamedFault
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError, clean, form_fault
from voxtile_datasets.captions.strategies.strategy import VERDICTS, Ask

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict


@dataclass(frozen=True)
class Try:
    """What a request is made from.

    Attributes:
        number: 0 for the first; give it to `Request.attempt`.
        text: what the model said before, or None.
        fault: what was wrong with it, in a sentence or two for the model; None at first.
    """

    number: int
    text: str | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Tried:
    """The best of the tries.

    Attributes:
        text: cleaned.
        verdict: of the checker.
        replies: of all tries.
    """

    text: str
    verdict: Verdict
    replies: tuple[Reply, ...]

    @property
    def is_supported(self) -> bool:
        """The checker supports the whole text."""
        return self.verdict.verdict == "supported"


MakeRequest: TypeAlias = Callable[[Try], Request]
Judge: TypeAlias = "Callable[[str], Verdict | str]"
FindLeftOut: TypeAlias = "Callable[[str, Verdict], Collection[str]]"


async def best_of(
    make: MakeRequest,
    ask: Ask,
    judge: Judge,
    *,
    tries: int,
    lang: str = "en",
    read: Callable[[str], str] = clean,
    enough: Collection[str] = ("supported",),
    left_out: FindLeftOut | None = None,
    again: int | None = None,
) -> Tried:
    """Ask until a text is supported and leaves nothing out; else the best one is kept, by its verdict, then by that.

    Of equals the first is kept.

    Args:
        make: the request of each try.
        ask: asks it.
        judge: the checker, or a sentence that says why a text will not do whatever the checker says.
        tries: requests at most.
        lang: what the text must be written in, ISO 639-1.
        read: takes the text out of a reply; may raise a MalformedReplyError, whose message the model is told.
        enough: verdicts with which no further try is made.
        left_out: what of the known a text of such a verdict does not say; with none of it, or by default, no further
            try is made.
        again: tries at most after a text of such a verdict, for what it leaves out; as many as there are by default.

    Raises:
        ReplyError: every reply failed or was malformed (empty, one word, too long, another language, not what `judge`
            accepts); its reason is that of the last one.
    """
    replies: list[Reply] = []
    best: Tried | None = None
    best_rank = (len(VERDICTS), 0)
    last: ReplyError | None = None
    attempt, left = Try(0), tries
    while left > 0:
        will_do = best is not None and best.verdict.verdict in enough
        try:
            reply = await ask(make(attempt))
        except ReplyError:
            if not will_do:
                raise
            break  # a text that will do is kept where more cannot be asked
        left -= 1
        replies.append(reply)
        text, fault = _read(reply.text, read, lang)
        verdict = fault or judge(text)
        if isinstance(verdict, str):
            reason = verdict.reason if isinstance(verdict, NamedFault) else "malformed" if fault else "unfit"
            last = ReplyError(reason, f"the model's text will not do: {verdict}{reply.cut_short}")
            attempt = Try(attempt.number + 1, text, verdict)
            continue
        missing = left_out(text, verdict) if left_out and verdict.verdict in enough else ()
        if best is None or (_rank(verdict), len(missing)) < best_rank:
            best, best_rank = Tried(text, verdict, ()), (_rank(verdict), len(missing))
        if best.verdict.verdict in enough:
            left = 0 if not best_rank[1] else left if will_do or again is None else min(left, again)
        faults = [fault.why for fault in verdict.faults] + [f"It leaves out: {'; '.join(missing)}."] * bool(missing)
        attempt = Try(attempt.number + 1, text, " ".join(faults) or None)
    if best is None:
        raise last or ReplyError("malformed", f"no text came of {tries} tries")
    return Tried(best.text, best.verdict, tuple(replies))


def _read(reply: str, read: Callable[[str], str], lang: str) -> tuple[str, str | None]:
    """The text of a reply and what is wrong with its form."""
    try:
        text = read(reply)
    except MalformedReplyError as error:
        return reply, str(error)
    return text, form_fault(text, lang)


def _rank(verdict: Verdict) -> int:
    return VERDICTS.index(verdict.verdict) if verdict.verdict in VERDICTS else len(VERDICTS)
