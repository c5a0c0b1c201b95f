"""What comes of checking: a verdict, and for each fault the words that are wrong and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from voxtile_datasets.captions.checker.extraction.claims import Claim

Judgement: TypeAlias = Literal["supported", "contradicted", "unsupported", "unknown"]
# polarity, concept, side, place, number, count, colour, severity, change, position, relation, date, identity, cause,
# advice, prognosis, history, second-opinion, opinion-unread, nothing-said, too-long, language, and aspects of
# vocabularies (modality, …).
FaultKind: TypeAlias = str
# From the best to the worst.
ORDER: tuple[Judgement, ...] = ("supported", "unknown", "unsupported", "contradicted")


@dataclass(frozen=True)
class Fault:
    """Why a text is not supported.

    Attributes:
        kind: what is wrong.
        judgement: how bad it is; `unknown` where the facts are silent and nothing says that it is wrong.
        words, start, end: where the text says it, half-open in characters.
        why: one sentence, which can be told to a model.
    """

    kind: FaultKind
    judgement: Judgement
    words: str
    start: int
    end: int
    why: str


@dataclass(frozen=True)
class Verdict:
    """The verdict on a text.

    Attributes:
        verdict: the worst judgement of its claims.
        faults: why it is not `supported`, the worst first.
        claims: all claims that were read.
        completeness: which share of what the facts state the text says, from 0 to 1; None where they state nothing.
        left_out: what it does not say of that, in words.
    """

    verdict: Judgement
    faults: tuple[Fault, ...]
    claims: tuple[Claim, ...]
    completeness: float | None = None
    left_out: tuple[str, ...] = ()


def worst(judgements: Sequence[Judgement]) -> Judgement:
    """The worst of some judgements."""
    return ORDER[max(map(ORDER.index, judgements))]


def best(judgements: Sequence[Judgement]) -> Judgement:
    """The best of some judgements."""
    return ORDER[min(map(ORDER.index, judgements))]
