"""What is asked and answered about images, and which of two answers the facts speak for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """One of several images of a dialogue.

    Attributes:
        uid: of the sample.
        name: what the language model reads before it: "Image 1, 12 March 2024, prior".
    """

    uid: str
    name: str


@dataclass(frozen=True)
class Turn:
    """A question about the images of an item, and its answer.

    Attributes:
        question: what is asked, or what report is wanted.
        answer: what is to be said.
        kind: of the turn: report, presence, count, side, …
        shows: names of the regions that the answer points at, in its order.
        marks: ids of the regions that the question marks, in its order.
        images: in the first turn of a dialogue about several images these, in the order of the prompt; none where the
            item's own is all that is shown.
        pieces: what the answer is joined of, and how much the tokens of each count; all alike where empty.
    """

    question: str
    answer: str
    kind: str = ""
    shows: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    images: tuple[Shown, ...] = ()
    pieces: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Preferred:
    """Two answers to one request, of which the facts speak for the first.

    Attributes:
        question: what was asked for.
        chosen: the answer that the facts speak for.
        rejected: the other one.
        kind: corrected, shortened or kept.
    """

    question: str
    chosen: str
    rejected: str
    kind: str = ""
