"""What an objective is: a weighted term of the loss that declares what it needs.

Shape letters: B items, K numbers that an objective computes of each item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tower import ImageTower, TextTower
from voxtile.objectives.pairs import IgnoredName, RelationName
from voxtile.objectives.planned import PlannedBatch, PlannedWork
from voxtile.types import Batch, Encoded, Features

if TYPE_CHECKING:
    from voxtile.models.dual import DualEncoder


NEEDS = frozenset({"pooled", "tokens", "facts", "regions", "samples", "members", "others"})
"""What `needs` and `row_needs` may name."""


class Objective(nn.Module):
    """Base class of all objectives.

    Attributes:
        needs: parts of `Features` beyond `image` and `text` that the loss reads of the whole batch: `pooled`, `tokens`,
            `facts`, `regions`, …; the module computes only the union over the configured objectives.
        row_needs: the same for `rows`, which reads them of single items only, so that they need not be kept.
        of_regions: True where `rows` gives a row for each region of the items, not for each item.
        rows_learn: False where no gradient flows through `rows` and no random number is drawn: a large-batch step then
            computes it once.
        couples_items: True where the loss of one item depends on the others of its batch, so that splitting a batch
            (gradient accumulation) would change the loss.
        reads_texts: False where the term works on images that have no texts.
        states_facts: True where the term learns from what single texts state, and is 0 where that is not known.
        contrasts_facts: True where the term tells items that have a fact from items that have it not.
        contrasts_phrases: True where the term tells phrases of regions from each other.
        shapes_image_tower_alone: True where nothing but the image tower and its own head learns from the term, so that
            it is 0 once the tower is locked.
        reads_encoded_alone: True where `rows` reads no more of images than the tower's pooled vectors and tokens, so
            that these may come from memory.
        positives, ignore: relations of pairs that the term reads, where it has such settings.

    Examples:
        >>> import torch
        >>> from voxtile.objectives import Objective
        >>> from voxtile.types import Features
        >>> class Cosine(Objective):
        ...     def forward(self, features):
        ...         return 1 - (features.image * features.text).sum(1).mean()
        >>> Cosine()(Features.of_pairs(torch.eye(4), torch.eye(4))).item()  # every text is its image's
        0.0
        >>> Cosine()(Features.of_pairs(torch.eye(4), torch.eye(4).flip(0))).item()  # none is
        1.0
    """

    needs: ClassVar[frozenset[str]] = frozenset()
    row_needs: ClassVar[frozenset[str]] = frozenset()
    of_regions: ClassVar[bool] = False
    rows_learn: ClassVar[bool] = True
    couples_items: ClassVar[bool] = False
    reads_texts: bool = True
    states_facts: bool = False
    contrasts_facts: ClassVar[bool] = False
    contrasts_phrases: ClassVar[bool] = False
    shapes_image_tower_alone: ClassVar[bool] = False
    reads_encoded_alone: ClassVar[bool] = False
    positives: tuple[RelationName, ...] = ()
    ignore: tuple[IgnoredName, ...] = ()

    @property
    def relates_by_facts(self) -> bool:
        """Whether pairs are told by facts."""
        return not {"facts", "same_facts"}.isdisjoint((*self.positives, *self.ignore))

    @property
    def reads_evidence(self) -> bool:
        """Whether it must be known of single texts which facts they state."""
        return self.states_facts or "facts" in (*self.positives, *self.ignore)

    def setup_towers(self, image: ImageTower, text: TextTower) -> None:
        """Create parameters that depend on the towers' local features, once, before `setup`."""

    def setup(self, *, image_width: int, text_width: int, embed_dim: int, fact_names: tuple[str, ...]) -> None:
        """Create parameters that depend on the model and the data, once before training or loading weights."""

    def setup_encoder(self, encoder: DualEncoder) -> None:
        """The same with projections and scale at hand; calls `setup_towers`."""
        self.setup_towers(encoder.image, encoder.text)

    def begin_with_states(self, states: Mapping[str, Any]) -> None:
        """Take what the objectives of `model.pretrained` kept beside weights, before `begin_with`.

        Args:
            states: by the objective's name, see `state`.
        """

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take what the objectives of `model.pretrained` learned, once after `setup` of a training run.

        Args:
            weights: of its objectives, by the objective's name and the weight's (`grounding.decoder.bias`).
        """

    def state_from(self, data: object) -> Mapping[str, Any] | None:
        """What must be taken from the training data before the first step, as a vocabulary; plain values.

        Asked once, in one process, after `setup`; every process is then given it by `take_state`.

        Args:
            data: the datamodule.
        """
        return None

    def take_state(self, state: Mapping[str, Any]) -> None:
        """Take what `state_from` gave, or what a checkpoint has from `state`."""

    def state(self) -> Mapping[str, Any] | None:
        """Plain values that a checkpoint must hold beside the weights, for `take_state`; None where there are none."""
        return None

    def condensed(self, encoded: Encoded) -> Encoded:
        """Add what it reads of `Encoded.levels`, which are too large to keep of images that a locked tower sees once.

        Args:
            encoded: of some images, with their levels.
        """
        return encoded

    def planned(self, batch: PlannedBatch) -> PlannedWork | None:
        """What it adds to a step, for a term that a plan cannot go through, as it reads the corpus's own texts.

        Asked before `setup`; None for all other terms.

        Args:
            batch: sizes of the step.
        """
        return None

    def after_step(self, encoder: DualEncoder, step: int, steps: int) -> None:
        """Follow the weights after an update, as averages of them do.

        Called once a step in every process, before anything is saved; what it changes belongs in buffers or frozen
        submodules, so that the checkpoint has it.

        Args:
            encoder: with its new weights.
            step: updates made so far, this one included.
            steps: updates of the whole run.
        """

    def prepare(self, parts: Sequence[Batch]) -> None:
        """See all that this process has of a batch before any of it is encoded, as what `rows` needs of the whole.

        Called in every process, so that sums over all of them can be taken. No gradient flows through it.

        Args:
            parts: the process's items, in the pieces in which they are encoded.
        """

    def rows(self, features: Features) -> Tensor | None:
        """Compute what this term says of each item by itself, where the item is encoded.

        The loss then finds it for all items in `features.rows[self]`, whichever process or micro-batch encoded them. So
        what reads tokens or encodes further pictures works at any batch size, as long as no item needs another one's.

        Args:
            features: of some of the batch's items, with their images and tokens.

        Returns:
            [B, K], or None for a term that has none; with `of_regions` [R, K], as many as the items' regions.
        """
        return None

    @property
    def has_rows(self) -> bool:
        """Whether `rows` gives anything."""
        return type(self).rows is not Objective.rows

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss of this term (unweighted)."""
        raise NotImplementedError


class ItemObjective(Objective):
    """A term whose loss of an item depends on that item alone: Σ losses / Σ weights over the items of a batch.

    `rows` returns [B, 2]: the sum of an item's losses, and how many they are.
    """

    def rows(self, features: Features) -> Tensor:
        """Return [B, 2]: an item's summed loss, and the number of losses (or their weights) in the sum."""
        raise NotImplementedError

    def forward(self, features: Features) -> Tensor:
        """Return the scalar loss; 0 where nothing has a weight."""
        total, weight = rows_of(self, features).sum(0)
        weight = weight.detach()
        loss: Tensor = total / torch.where(weight > 0, weight, 1)  # by a tiny number gradients of 0 would overflow
        return loss


def rows_of(objective: Objective, features: Features) -> Tensor:
    """[B, K] of the whole batch: what `Objective.rows` gave where the items were encoded.

    Raises:
        ConfigError: the module did not ask the objective for its rows, as where another objective wraps it.
    """
    if objective not in features.rows:
        raise ConfigError(
            f"{type(objective).__name__} works on the items that the module encodes and cannot be applied by another "
            "objective; list it in model.objectives"
        )
    rows: Tensor = features.rows[objective]
    return rows
