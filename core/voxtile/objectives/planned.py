"""What a term of the loss costs beside the towers, where a plan cannot go through it with shapes alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PlannedBatch:
    """Sizes of a batch that is planned.

    Attributes:
        items: B.
        texts: captions of an item.
        dialogues: of an item.
        tokens: tokens that the image tower gives of an image.
        image_width: of the image tower's vectors.
        half: whether it trains in mixed precision of 16 bits.
    """

    items: int
    texts: int
    dialogues: int
    tokens: int
    image_width: int
    half: bool


@dataclass(frozen=True)
class PlannedWork:
    """What a term adds to a step.

    Attributes:
        parameters, trained: numbers of it, and those of them with a gradient.
        half_weights: those of the parameters that stand still and take 2 bytes each; the others take 4.
        activations: bytes that are held for the backward pass, and what an operation works on.
        operations: floating-point operations, forward and backward.
        said: what was assumed, in a sentence for the reader of the plan.
    """

    parameters: int
    trained: int
    half_weights: int
    activations: int
    operations: int
    said: str
