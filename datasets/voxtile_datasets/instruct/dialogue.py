"""A dialogue as it is made, before it is judged, and its rows of the table `dialogues`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from voxtile.corpus.records import Row

PROVIDER = "template"
CANNOT_BE_TOLD = "cannot be told"
"""The short answer of a question that the image does not answer."""


@dataclass(frozen=True)
class Claim:
    """What a turn says of one image, in a whole sentence, so that it can be judged also where the turn says "Left.".

    Attributes:
        uid: of the image whose facts judge it.
        text: the sentence.
    """

    uid: str
    text: str


@dataclass(frozen=True)
class Turn:
    """One turn.

    Attributes:
        role: user or assistant.
        text: what is said.
        answer: the short answer, in one form: yes, left, 12 mm, 2.
        regions: ids of the regions that it speaks of.
        claims: what it says of the images; none where nothing of it can be judged.
    """

    role: str
    text: str
    answer: str | None = None
    regions: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Dialogue:
    """Turns about some images.

    Attributes:
        kind: see the column of the table.
        uids: of the images, in the order of the prompt; an earlier one comes before a later one.
        turns: user and assistant in turn.
        parents: captions, facts (`uid:concept:polarity`) and regions that it was made from.
        concept: what a question of presence asks about, for balance.
    """

    kind: str
    uids: tuple[str, ...]
    turns: tuple[Turn, ...]
    parents: tuple[str, ...] = field(default=())
    concept: str | None = None

    @property
    def answer(self) -> str | None:
        """The short answer of its last turn."""
        return self.turns[-1].answer

    @property
    def identity(self) -> str:
        """128 bits in hexadecimal of all that it says."""
        said = "\0".join(f"{turn.role}:{turn.text}:{','.join(turn.regions)}" for turn in self.turns)
        whole = "\0".join((PROVIDER, self.kind, ",".join(self.uids), ",".join(self.parents), said))
        return hashlib.sha256(whole.encode()).hexdigest()[:32]

    def rows(self, verdicts: Sequence[tuple[str | None, str | None]]) -> list[Row]:
        """Rows of the table `dialogues`.

        Args:
            verdicts: verdict and detail of each turn.
        """
        identity = self.identity
        return [
            {
                "dialogue_id": identity, "turn": number, "role": turn.role, "text": turn.text, "uids": list(self.uids),
                "kind": self.kind, "region_ids": list(turn.regions) or None, "answer": turn.answer,
                "provider": PROVIDER, "parents": list(self.parents), "created": None, "verdict": verdict,
                "detail": detail,
            }
            for number, (turn, (verdict, detail)) in enumerate(zip(self.turns, verdicts, strict=True))
        ]  # fmt: skip


def fact_id(uid: str, concept: str, polarity: str) -> str:
    """What `parents` calls a fact."""
    return f"{uid}:{concept}:{polarity}"
