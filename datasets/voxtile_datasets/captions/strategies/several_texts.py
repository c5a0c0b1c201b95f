"""Several texts of one sample: each is checked by itself, and only what is missing is asked for again."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from voxtile_datasets.captions.context.model_input import words_of
from voxtile_datasets.captions.guards.repeated_facts import NamedFault
from voxtile_datasets.captions.providers.provider import ReplyError
from voxtile_datasets.captions.providers.request import Reply, Request
from voxtile_datasets.captions.strategies.reply_form import MalformedReplyError, form_fault
from voxtile_datasets.captions.strategies.strategy import Ask, Missing
from voxtile_datasets.captions.strategies.structured import Candidate, Form

if TYPE_CHECKING:
    from voxtile_datasets.captions.checker.check import Verdict

MOST_ALIKE = 0.8  # word Jaccard above which two texts of one sample say the same in the same words
_TOLD_FAULTS = 4
_SENTENCE = re.compile(r".+?(?:[.!?](?=\s|$)|$)\s*", re.S)
_GOES_ON = re.compile(
    r"(?:it|its|they|their|them|this|these|that|those|he|she|both|the (?:latter|former|same))\b", re.I
)


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
        replies: those of the requests up to the one that brought it, which a later run asks in the same way; each at a
            price for the first text that it or a failed one before it was paid for, so that each is paid once.
    """

    candidate: Candidate
    verdict: Verdict
    replies: tuple[Reply, ...]


MakeRound: TypeAlias = Callable[[Round], Request]
Silence: TypeAlias = "Callable[[Verdict], str | None]"
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
    silence: Silence | None = None,
) -> list[Accepted | Missing]:
    """Ask until every slot has as many different, accepted texts as are wanted, or the tries are used up.

    Of a text of several sentences, those that are wrong are left out where the others stand alone.

    Args:
        make: the request of each round.
        ask: asks it.
        judge: the checker, or a sentence that says why a text will not do whatever the checker says.
        form: reads a reply.
        wanted: slot → number of texts.
        most_words: of one text, and of one question.
        tries: requests at most.
        enough: verdicts that are accepted.
        silence: says of a text that it names nothing of what is there; one such text is taken beside others, and none
            alone.

    Returns:
        As many as are wanted, in the order of the slots: the accepted texts of a slot, then one `Missing` for each that
        did not come.

    Raises:
        ReplyError: a reply failed before any text was accepted, or none was.
    """
    kept: dict[str, list[tuple[Candidate, Verdict, int]]] = {slot: [] for slot in wanted}

    def limited(candidate: Candidate) -> Verdict | str:
        length = max(len(text.split()) for text in (candidate.text, candidate.question or ""))
        return f"A text has {length} words; write at most {most_words}." if length > most_words else judge(candidate)

    replies: list[Reply] = []
    error: ReplyError | None = None
    fault: str | None = None
    reasons: set[str] = set()
    for number in range(tries):
        missing = sum(wanted.values()) - sum(map(len, kept.values()))
        if not missing:
            break
        there = tuple(candidate.whole for texts in kept.values() for candidate, _, _ in texts)
        try:
            replies.append(await ask(make(Round(number, there, missing, fault))))
        except ReplyError as failed:
            error = failed
            break
        faults = _take(replies[-1].text, form, limited, kept, wanted, enough, number, silence)
        fault = " ".join([*dict.fromkeys(faults)][:_TOLD_FAULTS]) or "More texts are needed."
        reasons |= {part.reason if isinstance(part, NamedFault) else "too-few" for part in faults}
    for slot, texts in kept.items():
        if silence and texts and all(silence(verdict) for _, verdict, _ in texts):
            fault, kept[slot] = silence(texts[0][1]), []
    count, total = sum(map(len, kept.values())), sum(wanted.values())
    if count < total:
        error = error or ReplyError(
            next(iter(reasons)) if len(reasons) == 1 and not count else "too-few",
            f"{count} of {total} texts were accepted in {len(replies)} tries; the last: {fault}",
        )
        if not count:
            raise error
    return _priced(kept, wanted, replies, error)


def _priced(
    kept: Mapping[str, Sequence[tuple[Candidate, Verdict, int]]],
    wanted: Mapping[str, int],
    replies: Sequence[Reply],
    error: ReplyError | None,
) -> list[Accepted | Missing]:
    """The texts with their replies, and what is missing."""
    found: list[Accepted | Missing] = []
    unpaid = set(range(len(replies)))
    prices: dict[tuple[str, int], set[int]] = {}
    texts_of = [(number, slot, place) for slot, texts in kept.items() for place, (_, _, number) in enumerate(texts)]
    for number, slot, place in sorted(texts_of, key=lambda text: text[0]):
        prices[slot, place] = {reply for reply in unpaid if reply <= number}
        unpaid -= prices[slot, place]
    for slot, texts in kept.items():
        for place, (candidate, verdict, number) in enumerate(texts):
            own, used = prices[slot, place], replies[: number + 1]
            used = tuple(reply if n in own else _free(reply) for n, reply in enumerate(used))
            found.append(Accepted(candidate, verdict, used))
        lacking = range(len(texts), wanted[slot])
        found += [Missing(f"number {n + 1} of the {slot}" if wanted[slot] > 1 else f"the {slot} text", error)
                  for n in lacking if error]  # fmt: skip
    return found


def _free(reply: Reply) -> Reply:
    return replace(reply, tokens_in=0, tokens_out=0, cost_usd=0.0)


def _take(
    reply: str,
    form: Form,
    judge: JudgeText,
    kept: dict[str, list[tuple[Candidate, Verdict, int]]],
    wanted: Mapping[str, int],
    enough: Collection[str],
    number: int,
    silence: Silence | None,
) -> list[str]:
    """Keep what a reply has that is wanted and accepted; what is wrong with the rest."""
    try:
        candidates = form.read(reply)
    except MalformedReplyError as error:
        return [str(error)]
    slots = {candidate.slot for candidate in candidates}
    faults = [f"The reply has no text named '{slot}'." for slot in wanted if slot not in slots and not kept[slot]]
    for candidate in candidates:
        texts = kept[candidate.slot]
        if len(texts) >= wanted[candidate.slot]:
            continue
        chosen, verdict = _without_faults(candidate, judge, enough)
        others = [text for text, _, _ in texts]
        verdict = form_fault(chosen.text) or _repeats(chosen, others) or verdict
        if isinstance(verdict, str):
            faults.append(verdict)
        elif verdict.verdict in enough and (silent := _second_silence(verdict, texts, silence)):
            faults.append(silent)
        elif verdict.verdict in enough:
            texts.append((chosen, verdict, number))
        else:
            faults += [fault.why for fault in verdict.faults] or [f"'{candidate.text}' is {verdict.verdict}."]
    return faults


def _second_silence(
    verdict: Verdict, texts: Sequence[tuple[Candidate, Verdict, int]], silence: Silence | None
) -> str | None:
    """Why a text will not do that names nothing of what is there, where another such text is kept."""
    if silence is None or not any(silence(other) for _, other, _ in texts):
        return None
    return silence(verdict)


def _without_faults(candidate: Candidate, judge: JudgeText, enough: Collection[str]) -> tuple[Candidate, Verdict | str]:
    """A text, or what is left of it without the sentences that are wrong; with its verdict.

    What is left stands alone: it loses also the sentence that goes on about one that is left out ("It is round").
    """
    verdict = judge(candidate)
    sentences = [match.span() for match in _SENTENCE.finditer(candidate.text)]
    if isinstance(verdict, str) or verdict.verdict in enough or len(sentences) < 2 or candidate.question:
        return candidate, verdict
    wrong = [fault for fault in verdict.faults if fault.judgement not in enough]
    kept: list[str] = []
    is_out = False
    for start, end in sentences:
        text = candidate.text[start:end].strip()
        is_out = any(f.start < end and start < f.end for f in wrong) or (is_out and bool(_GOES_ON.match(text)))
        kept += [] if is_out else [text]
    if not kept or len(kept) == len(sentences):
        return candidate, verdict
    rest = replace(candidate, text=" ".join(kept))
    judged = judge(rest)
    is_good = not isinstance(judged, str) and judged.verdict in enough and 2 * len(kept) >= len(sentences)
    return (rest, judged) if is_good else (candidate, verdict)


def _repeats(candidate: Candidate, others: Sequence[Candidate]) -> str | None:
    """Why a text is no other one; questions are compared where there are any."""
    own = words_of([candidate.question or candidate.text])
    for other in others:
        words = words_of([other.question or other.text])
        if len(own & words) > MOST_ALIKE * len(own | words):
            return f"'{candidate.question or candidate.text}' repeats '{other.question or other.text}'."
    return None
