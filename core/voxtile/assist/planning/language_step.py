"""What the language model of an assistant takes in a step of training, by its sizes.

Shape letters: B items, R dialogues, K tokens of an image, L tokens of a dialogue, V tokens that may be written.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from voxtile.assist.planning.language_sizes import LanguageSizes
from voxtile.models.tuning import Tuning
from voxtile.objectives.planned import PlannedBatch, PlannedWork

QUESTION, ANSWER, AROUND = 64, 256, 8
"""Tokens of a question, of an answer and of the words round an image, as a plan takes them."""
WRITTEN = 2048
"""Tokens that may be written where these are the words of the texts alone."""
_FULL, _HALF = 4, 2  # bytes of a number


@dataclass(frozen=True)
class LanguageStep:
    """A step of a language model that reads images and tells answers.

    Attributes:
        sizes: of the model.
        tuning: what of it is trained.
        bytes: of a number of its weights, 4 or 2.
        half: it computes in 16 bits.
        items, rows: B and R.
        image, dialogue: K, with the words round an image, and L.
        answers: tokens of a dialogue that are told.
        written: V.
    """

    sizes: LanguageSizes
    tuning: Tuning
    bytes: int
    half: bool
    items: int
    rows: int
    image: int
    dialogue: int
    answers: int
    written: int

    @property
    def tokens(self) -> int:
        """That go through the blocks: those of images once, whatever is asked about them."""
        return self.items * self.image + self.rows * self.dialogue

    @property
    def trained(self) -> int:
        """Numbers with a gradient."""
        if self.tuning.mode == "lora":
            return self.sizes.low_rank(self.tuning.rank)
        if self.tuning.mode == "last_n":
            return self.sizes.in_blocks * min(self.tuning.blocks, self.sizes.depth) // self.sizes.depth
        return self.sizes.parameters if self.tuning.mode == "full" else 0

    @property
    def operations(self) -> int:
        """Forward, and backward: gradients of all activations, for the connector, and of what is trained."""
        sizes, added = self.sizes, self.trained if self.tuning.mode == "lora" else 0
        linear = 2 * (sizes.in_blocks + added) * self.tokens
        pairs = self.items * self.image**2 + self.rows * self.dialogue * (self.image + self.dialogue)
        attention = 4 * sizes.depth * sizes.heads * sizes.head * pairs
        head = 2 * sizes.width * self.written * self.rows * self.answers
        weights = {"lora": 2 * added, "last_n": 2 * self.trained, "full": 2 * sizes.in_blocks}
        return 2 * linear + weights.get(self.tuning.mode, 0) * self.tokens + 3 * attention + 2 * head

    @property
    def activations(self) -> int:
        """Bytes that are held for the backward pass, keys and values of images and logits among them.

        Of each token and block: what two norms read (in full precision) and give, queries and what attention gives
        twice, and four times the perceptron's width; keys and values of a dialogue stand behind those of its image.
        """
        sizes, number = self.sizes, _HALF if self.half or self.bytes == _HALF else _FULL
        norms = 2 * (_FULL + number) * sizes.width
        each = norms + number * (3 * sizes.heads * sizes.head + 4 * sizes.mlp)
        kept = self.items * self.image + self.rows * (self.image + self.dialogue)
        keys = 2 * number * sizes.kv_heads * sizes.head * kept
        logits = 2 * _FULL * self.rows * self.answers * self.written
        copies = _HALF * sizes.parameters if self.half and self.bytes == _FULL else 0  # autocast keeps them for a step
        return sizes.depth * (each * self.tokens + keys) + logits + copies


def planned_work(
    sizes: LanguageSizes,
    tuning: Tuning | None,
    dtype_bytes: int,
    written: int | None,
    shown: int,
    connector: int,
    batch: PlannedBatch,
) -> PlannedWork:
    """What an `Answering` adds to a step.

    Args:
        sizes: of its language model.
        tuning: what of it is trained; None of a model from scratch, which is trained as a whole.
        dtype_bytes: of a number of its weights.
        written: tokens that may be written; None for the words of the texts alone.
        shown: tokens of an image.
        connector: numbers of the connector, all of them trained.
        batch: of the step.
    """
    rows = batch.items * (batch.texts + batch.dialogues)
    step = LanguageStep(
        sizes, tuning or Tuning(mode="full"), dtype_bytes, batch.half, batch.items, rows, shown + AROUND,
        QUESTION + ANSWER, ANSWER, written or min(WRITTEN, sizes.vocabulary),
    )  # fmt: skip
    added = step.trained if step.tuning.mode == "lora" else 0
    still = sizes.parameters - (0 if step.tuning.mode == "lora" else step.trained)
    said = (
        f"a language model of {sizes.parameters / 1e9:.3g} billion parameters reads {shown} tokens an image, and of "
        f"each image {batch.texts + batch.dialogues} texts or dialogues of {QUESTION} tokens with answers of {ANSWER}"
    )
    return PlannedWork(
        parameters=sizes.parameters + added + connector,
        trained=step.trained + connector,
        half_weights=still if dtype_bytes == _HALF else 0,
        activations=step.activations,
        operations=step.operations + 6 * connector * batch.items,
        said=said,
    )


def tokens_shown(kind: str, grid: Sequence[int], queries: int, pooled: int, tokens: int) -> int:
    """Tokens that a connector makes of an image of which the tower gives so many."""
    cells = math.prod(grid) if grid else tokens
    local = {"none": 0, "mlp": cells, "scale-invariant": cells}.get(kind, queries)
    return local + pooled
