"""What lies on or beside the images of a batch: regions with their phrases, and images that dialogues show."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from voxtile.types.encoded import Encoded
from voxtile.types.owned_rows import owned, rows_at


@dataclass
class Regions:
    """Phrases about the items of a batch, and where in their images they are.

    Attributes:
        phrases: R texts.
        item: [R] int64, item of each.
        masks: [R, *G] in 0 to 1 on the model's grid, all 0 where the phrase has no target.
        boxed: [R] bool, True where only the box of the target is known, and `masks` fills it.
        weight: [R] float32 confidence in 0 to 1.
        encoded: the phrases as the text tower gives them, filled in by the module.
        embedded: [R, D] the same in the shared space, normalised; filled in by the module.
        names: R names of what is shown, where `phrases` words them; None where nothing asks for them.
    """

    phrases: list[str]
    item: Tensor
    masks: Tensor
    boxed: Tensor
    weight: Tensor
    encoded: Encoded | None = None
    embedded: Tensor | None = None
    names: list[str] | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Regions:
        """The same with every tensor changed."""
        return replace(
            self,
            item=change(self.item),
            masks=change(self.masks),
            boxed=change(self.boxed),
            weight=change(self.weight),
        )

    def of_items(self, items: Tensor | slice, count: int) -> Regions:
        """Those of some of the `count` items, counted as these are, see `Batch.select`."""
        places, item = owned(self.item, items, count)
        return Regions(
            rows_at(self.phrases, places),
            item,
            self.masks[places],
            self.boxed[places],
            self.weight[places],
            None if self.encoded is None else self.encoded.at(places),
            None if self.embedded is None else self.embedded[places],
            rows_at(self.names, places),
        )


@dataclass
class OtherImages:
    """Images that dialogues show beside the items' own, as earlier examinations; each stands once an item.

    Attributes:
        images: [P, C, *G] float32, preprocessed as `Batch.images`.
        item: [P] int64, item whose dialogues show it; ascending.
        uids: of the P samples.
    """

    images: Tensor
    item: Tensor
    uids: list[str]

    def mapped(self, change: Callable[[Tensor], Tensor]) -> OtherImages:
        """The same with every tensor changed."""
        return replace(self, images=change(self.images), item=change(self.item))

    def of_items(self, items: Tensor | slice, count: int) -> OtherImages:
        """Those of some of the `count` items, counted as these are, see `Batch.select`."""
        places, item = owned(self.item, items, count)
        return OtherImages(self.images[places], item, rows_at(self.uids, places))
