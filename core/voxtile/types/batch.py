"""The batch: what a loader hands to the module.

Shape letters: B items of a batch, S samples (images) of a batch (S = B unless a study has several), T texts of a batch,
L tokens of a text, C channels, D embedding width, F facts, N tokens of an image, *G a 2D (Y, X) or 3D (Z, Y, X) grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from voxtile.types.dialogues import Preferred, Turn
from voxtile.types.owned_rows import owned, rows_at
from voxtile.types.regions import OtherImages, Regions

RowsOf = Literal["items", "images", "texts"]

# What a field of `Batch` has a row for, by which `select` and its neighbours treat every field, also one added later.
_ITEMS, _IMAGES, _TEXTS, _NAMES, _SAMPLES, _REGIONS, _OTHERS = (
    MappingProxyType({"rows": rows}) for rows in ("items", "images", "texts", "names", "samples", "regions", "others")
)


@dataclass
class Batch:
    """What the loader hands to the module.

    Everything that varies in length is flattened with an owner index, and stands in the order of its owners.

    Attributes:
        images: [S, C, *G] float32, preprocessed by the preset.
        image_item: [S] int64, item to which each image belongs (arange where an item is a sample).
        texts: the T texts as strings; the module fills in `tokens` with the text tower's tokenizer.
        text_item: [T] int64, item to which each text belongs.
        study, subject: [B] int64 hashes of the item's study and subject (63-bit, never negative).
        text_hash: [T] int64 hash of the normalised text.
        facts: [B, F] int8, 1 present, 0 absent, -1 unknown; F = 0 where the view has none.
        fact_names: the F concepts, in order.
        uids: B uids (of the sample, or of the study's first sample).
        draws: [B] int64 global draw indices (the key of all randomness for the item).
        text_facts: [T, F] int8, what each text by itself states, as in `facts`; None where the loader does not know.
        text_kinds: kind of the caption that each text is of (raw, template, rewrite, …); None where the loader does not
            know.
        tokens: [T, L] int64, filled in by the module; 0 is padding.
        samples: the same images as items of their own, where studies are items and their samples have texts too: its
            texts, facts, hashes and uids are the samples', `images` is empty, and B = S.
        regions: phrases and where they are, for objectives that ground; None where `data.regions` is not set.
        image_days: [S] float32, days from the latest image of the item to each: 0 or less, NaN where its date is
            unknown; None where no date is known. Kept in float32 at any precision of the model.
        source: [B] int64, which of `source_names` each item is of; None where there is no mixture.
        source_names: the sources of the mixture.
        dialogues: of each item those that were drawn, each one or more turns; None where `data.dialogues` is not set.
        preferences: of each item the pairs that were drawn; None where `data.preferences` is not set.
        marked: regions that their questions mark, by id in `names`; None where `data.dialogues.marked` is not set.
        others: what dialogues show beside the items' own images; None where no dialogue of the batch shows more.
        is_filler: nothing of it counts: a held-out batch has fewer items than there are processes, and this one has
            none of them.

    Examples:
        >>> import torch
        >>> from voxtile.types import Batch
        >>> owner, facts = torch.tensor([0, 0, 1, 2]), torch.tensor([[1], [0], [-1]], dtype=torch.int8)  # -1: not known
        >>> batch = Batch(
        ...     images=torch.randn(3, 1, 16, 16), image_item=torch.arange(3),
        ...     texts=["a nodule", "of 8 mm", "no nodule", "MRI"], text_item=owner, text_hash=torch.arange(4),
        ...     study=torch.arange(3), subject=torch.tensor([7, 7, 8]),
        ...     facts=facts, fact_names=("nodule",), uids=["a", "b", "c"], draws=torch.arange(3),
        ... )
        >>> part = batch.select(torch.tensor([2, 0]))  # items, with all that is theirs
        >>> part.uids, part.texts, part.text_item
        (['c', 'a'], ['MRI', 'a nodule', 'of 8 mm'], tensor([0, 1, 1]))
    """

    images: Tensor = field(metadata=_IMAGES)
    image_item: Tensor = field(metadata=_IMAGES)
    texts: list[str] = field(metadata=_TEXTS)
    text_item: Tensor = field(metadata=_TEXTS)
    study: Tensor = field(metadata=_ITEMS)
    subject: Tensor = field(metadata=_ITEMS)
    text_hash: Tensor = field(metadata=_TEXTS)
    facts: Tensor = field(metadata=_ITEMS)
    fact_names: tuple[str, ...] = field(metadata=_NAMES)
    uids: list[str] = field(metadata=_ITEMS)
    draws: Tensor = field(metadata=_ITEMS)
    text_facts: Tensor | None = field(default=None, metadata=_TEXTS)
    text_kinds: list[str] | None = field(default=None, metadata=_TEXTS)
    tokens: Tensor | None = field(default=None, metadata=_TEXTS)
    samples: Batch | None = field(default=None, metadata=_SAMPLES)
    regions: Regions | None = field(default=None, metadata=_REGIONS)
    image_days: Tensor | None = field(default=None, metadata=_IMAGES)
    source: Tensor | None = field(default=None, metadata=_ITEMS)
    source_names: tuple[str, ...] = field(default=(), metadata=_NAMES)
    dialogues: list[tuple[tuple[Turn, ...], ...]] | None = field(default=None, metadata=_ITEMS)
    preferences: list[tuple[Preferred, ...]] | None = field(default=None, metadata=_ITEMS)
    marked: Regions | None = field(default=None, metadata=_REGIONS)
    others: OtherImages | None = field(default=None, metadata=_OTHERS)
    is_filler: bool = field(default=False, metadata=_NAMES)

    def __len__(self) -> int:
        return len(self.uids)

    def rows_of(self, what: RowsOf) -> dict[str, Any]:
        """Values of the fields with a row for each item, image or text, by name; None where a field is not known.

        `images` is empty, and has no rows, in a batch of samples.
        """
        return {f.name: getattr(self, f.name) for f in fields(self) if f.metadata["rows"] == what}

    def select(self, items: Tensor | slice) -> Batch:
        """Some of the items with all that is theirs: images, texts, facts, samples, regions and others.

        Args:
            items: places, [K] int64, in the order wanted; or [B] bool; or a range, whose rows are then views.

        Raises:
            ValueError: a mask is of another number of items.
        """
        if isinstance(items, Tensor) and items.dtype == torch.bool:
            if len(items) != len(self):
                raise ValueError(f"a mask of {len(items)} items cannot choose among {len(self)}")
            items = torch.nonzero(items).squeeze(1)
        images, image_item = owned(self.image_item, items, len(self))
        texts, text_item = owned(self.text_item, items, len(self))
        changed = {name: rows_at(value, items) for name, value in self.rows_of("items").items()}
        changed |= {name: rows_at(value, texts) for name, value in self.rows_of("texts").items()}
        changed |= {
            name: value if name == "images" and not len(value) else rows_at(value, images)
            for name, value in self.rows_of("images").items()
        }
        changed |= {
            "image_item": image_item,
            "text_item": text_item,
            "samples": None if self.samples is None else self.samples.select(images),
            "regions": None if self.regions is None else self.regions.of_items(items, len(self)),
            "marked": None if self.marked is None else self.marked.of_items(items, len(self)),
            "others": None if self.others is None else self.others.of_items(items, len(self)),
        }
        return replace(self, **changed)

    def with_texts(self, keep: Tensor) -> Batch:
        """The same items with some of their texts: [T] bool."""
        places = torch.nonzero(keep).squeeze(1)
        return replace(self, **{name: rows_at(value, places) for name, value in self.rows_of("texts").items()})

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Batch:
        """The same batch with its tensors on a device."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Batch:
        """The same batch in page-locked memory; torch's DataLoader calls this."""
        return self.mapped(Tensor.pin_memory)

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with every tensor changed."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        values |= {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        if self.samples is not None:
            values["samples"] = self.samples.mapped(change)
        if self.regions is not None:
            values["regions"] = self.regions.mapped(change)
        if self.marked is not None:
            values["marked"] = self.marked.mapped(change)
        if self.others is not None:
            values["others"] = self.others.mapped(change)
        return Batch(**values)

    def with_facts(self, names: Sequence[str]) -> Batch:
        """The same items with some of their facts, in the order of `names`.

        Raises:
            ValueError: the batch knows no such fact.
        """
        columns = torch.tensor([self.fact_names.index(name) for name in names], device=self.facts.device)
        return replace(
            self,
            facts=self.facts[:, columns],
            fact_names=tuple(names),
            text_facts=None if self.text_facts is None else self.text_facts[:, columns],
        )
