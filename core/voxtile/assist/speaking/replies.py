"""What an assistant says: a reply, the claims that it is made of, and the words that go with every one."""

from __future__ import annotations

from dataclasses import dataclass, field

from voxtile.types import Encoded

WARNING = "Research software, not a medical device: a draft to be checked by somebody who can read the image."
CANNOT_BE_TOLD = "This cannot be told from this image."


@dataclass(frozen=True)
class Claim:
    """A sentence of an answer.

    Attributes:
        text: of it.
        support: probability that the contrastive model gives image and sentence, 0 to 1; None where it gives none.
        name: what it points at, as its region was called in training where it names one; None where it points at
            nothing.
        query: what it asks the grounding decoder, pooled [n, D], for `Assistant.ground`; None likewise.
    """

    text: str
    support: float | None
    name: str | None = None
    query: Encoded | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Reply:
    """What the assistant says.

    Attributes:
        text: the answer, or that it cannot be told.
        claims: the sentences of what was written, also where it was withheld.
        confidence: geometric mean of the probabilities that the language model gave its tokens, 0 to 1.
        withheld: True where what was written was too uncertain to be said.
        ended: False where it was cut at the longest answer.
        warning: to be shown with it.
        notes: sentences on what speaks against it, such as what was said before of the same image.
    """

    text: str
    claims: tuple[Claim, ...]
    confidence: float
    withheld: bool
    ended: bool
    warning: str = WARNING
    notes: tuple[str, ...] = ()
