"""Several texts of one sample: each is checked by itself, and only what is missing is asked for again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from voxtile_datasets.captions.context.model_input import words_of
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError, form_fault
from voxtile_datasets.captions.strategies.strategy import Ask
from voxtile_datasets.captions.strategies.structured import Candidate, Form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

MOST_ALIKE = 0.8  # word Jaccard above which two texts of one sample say the same in the same words
_TOLD_FAULTS = 4


@dataclass(frozen=True)
class Round:
    """What a request for several texts is made from.

    Attributes:
        number: 0 for the first; give it to `Request.attempt`.
        accepted: texts that are there already.
        missing: how many are wanted still.
        fault: what was wrong before, in sentences for the model; None at first.
    """

    number: int
    accepted: tuple[str, ...]
    missing: int
    fault: str | None


@dataclass(frozen=True)
class Accepted:
    """One accepted text.

    Attributes:
        candidate: the text.
        verdict: of the checker.
        replies: all of the sample; at a price for its first text only, so that each is paid once.
    """

    candidate: Candidate
    verdict: Verdict
    replies: tuple[Reply, ...]


MakeRound: TypeAlias = Callable[[Round], Request]
JudgeText: TypeAlias = "Callable[[Candidate], Verdict | str]"


async def several(
    make: MakeRound,
    ask: Ask,
    judge: JudgeText,
    form: Form,
    wanted: Mapping[str, int],
    *,
    most_words: int,
    tries: int,
    enough: Collection[str],
) -> list[Accepted]:
    """Ask until every slot has as many different, accepted texts as are wanted.

    Args:
        make: the request of each round.
        ask: asks it.
        judge: the checker, or a sentence that says why a text will not do whatever the checker says.
        form: reads a reply.
        wanted: slot → number of texts.
        most_words: of one text, and of one question.
        tries: requests at most.
        enough: verdicts that are accepted.

    Returns:
        As many as are wanted, in the order of the slots; the first one carries the price of all replies.

    Raises:
        ReplyError: a reply failed, or fewer texts than wanted were accepted.
    """
    kept: dict[str, list[tuple[Candidate, Verdict]]] = {slot: [] for slot in wanted}

    def limited(candidate: Candidate) -> Verdict | str:
        length = max(len(text.split()) for text in (candidate.text, candidate.question or ""))
        return f"A text has {length} words; write at most {most_words}." if length > most_words else judge(candidate)

    replies: list[Reply] = []
    fault: str | None = None
    for number in range(tries):
        missing = sum(wanted.values()) - sum(map(len, kept.values()))
        there = tuple(candidate.whole for texts in kept.values() for candidate, _ in texts)
        reply = await ask(make(Round(number, there, missing, fault)))
        replies.append(reply)
        faults = _take(reply.text, form, limited, kept, wanted, enough)
        if all(len(kept[slot]) >= count for slot, count in wanted.items()):
            found = [pair for texts in kept.values() for pair in texts]
            paid = tuple(replace(reply, tokens_in=0, tokens_out=0, cost_usd=0.0) for reply in replies)
            return [Accepted(*pair, paid if number else tuple(replies)) for number, pair in enumerate(found)]
        fault = " ".join([*dict.fromkeys(faults)][:_TOLD_FAULTS]) or "More texts are needed."
    counts = Counter({slot: len(texts) for slot, texts in kept.items()})
    raise ReplyError(
        "too-few", f"{counts.total()} of {sum(wanted.values())} texts were accepted in {tries} tries; the last: {fault}"
    )


def _take(
    reply: str,
    form: Form,
    judge: JudgeText,
    kept: dict[str, list[tuple[Candidate, Verdict]]],
    wanted: Mapping[str, int],
    enough: Collection[str],
) -> list[str]:
    """Keep what a reply has that is wanted and accepted; what is wrong with the rest."""
    try:
        candidates = form.read(reply)
    except MalformedReplyError as error:
        return [str(error)]
    faults: list[str] = []
    for candidate in candidates:
        texts = kept[candidate.slot]
        if len(texts) >= wanted[candidate.slot]:
            continue
        verdict = form_fault(candidate.text) or _repeats(candidate, [text for text, _ in texts]) or judge(candidate)
        if isinstance(verdict, str):
            faults.append(verdict)
        elif verdict.verdict in enough:
            texts.append((candidate, verdict))
        else:
            faults += [fault.why for fault in verdict.faults] or [f"'{candidate.text}' is {verdict.verdict}."]
    return faults


def _repeats(candidate: Candidate, others: Sequence[Candidate]) -> str | None:
    """Why a text is no other one; questions are compared where there are any."""
    own = words_of([candidate.question or candidate.text])
    for other in others:
        words = words_of([other.question or other.text])
        if len(own & words) > MOST_ALIKE * len(own | words):
            return f"'{candidate.question or candidate.text}' repeats '{other.question or other.text}'."
    return None
