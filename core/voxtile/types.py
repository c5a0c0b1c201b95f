"""Shaped types shared by towers, objectives, loaders and evaluation.

Shape letters: B items of a batch, S samples (images) of a batch (S = B unless a study has several), T texts of a batch,
L tokens of a text, C channels, D embedding width, F facts, N tokens of an image, *G a 2D (Y, X) or 3D (Z, Y, X) grid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from voxtile.distributed import Share


@dataclass
class Encoded:
    """What a tower returns.

    Attributes:
        pooled: [B, D_tower] one vector an item, before projection.
        tokens: [B, N, D_tower] local features, or None.
        grid: spatial shape of `tokens` ((Y, X) or (Z, Y, X), product = N) for images, or None.
        mask: [B, N] bool, True where a token is real, or None when all are.
        levels: [B, W_i, *G_i] feature maps of an image at several resolutions, finest first, or None.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    grid: tuple[int, ...] | None = None
    mask: Tensor | None = None
    levels: tuple[Tensor, ...] | None = None

    def at(self, places: Tensor) -> Encoded:
        """Some of the items, in this order: [R] int64."""
        return Encoded(
            self.pooled[places],
            None if self.tokens is None else self.tokens[places],
            self.grid,
            None if self.mask is None else self.mask[places],
            None if self.levels is None else tuple(level[places] for level in self.levels),
        )


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
    """

    phrases: list[str]
    item: Tensor
    masks: Tensor
    boxed: Tensor
    weight: Tensor
    encoded: Encoded | None = None
    embedded: Tensor | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Regions:
        """The same with every tensor changed."""
        return replace(
            self,
            item=change(self.item),
            masks=change(self.masks),
            boxed=change(self.boxed),
            weight=change(self.weight),
        )

    def of_items(self, start: int, stop: int) -> Regions:
        """Those of the items from `start` to before `stop`, counted from there, not encoded.

        They are views: regions are in the order of items.
        """
        bounds = torch.tensor([start, stop], device=self.item.device)
        some = slice(*torch.searchsorted(self.item, bounds).tolist())
        return Regions(
            self.phrases[some], self.item[some] - start, self.masks[some], self.boxed[some], self.weight[some]
        )


@dataclass
class ItemScales:
    """Logit scales and biases of the items of a batch, where these are of several sources.

    Attributes:
        scale: [B] multipliers of the cosine similarity (> 0).
        bias: [B], or None for a softmax-only model.
    """

    scale: Tensor
    bias: Tensor | None = None


@dataclass
class Batch:
    """What the loader hands to the module. Everything that varies in length is flattened with an owner index.

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
    """

    images: Tensor
    image_item: Tensor
    texts: list[str]
    text_item: Tensor
    study: Tensor
    subject: Tensor
    text_hash: Tensor
    facts: Tensor
    fact_names: tuple[str, ...]
    uids: list[str]
    draws: Tensor
    text_facts: Tensor | None = None
    text_kinds: list[str] | None = None
    tokens: Tensor | None = None
    samples: Batch | None = None
    regions: Regions | None = None
    image_days: Tensor | None = None
    source: Tensor | None = None
    source_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.uids)

    def with_texts(self, keep: Tensor) -> Batch:
        """The same items with some of their texts: [T] bool."""
        places = torch.nonzero(keep).squeeze(1).tolist()
        return replace(
            self,
            texts=[self.texts[place] for place in places],
            text_kinds=None if self.text_kinds is None else [self.text_kinds[place] for place in places],
            text_item=self.text_item[keep],
            text_hash=self.text_hash[keep],
            text_facts=None if self.text_facts is None else self.text_facts[keep],
            tokens=None if self.tokens is None else self.tokens[keep],
        )

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


@dataclass
class Features:
    """What the module computes once and every objective reads.

    Attributes:
        image: [B, D] L2-normalised item embeddings.
        text: [T, D] L2-normalised text embeddings.
        logit_scale: scalar, already exponentiated (> 0); NaN where items have scales of their own, see `each`.
        logit_bias: scalar, or None for a softmax-only model; NaN likewise.
        image_encoded: the tower's own output per item, for objectives that need `pooled` or `tokens`.
        text_encoded: the text tower's own output.
        batch: where it came from (hashes, facts, owners).
        step: global optimiser step.
        samples: the same of `batch.samples`, where there are such and an objective needs them.
        share: which items this process encoded, where several train together; None in a single process.
        rows: [B, K] of objectives that compute something of each item (or region) by itself, see `Objective.rows`.
        each: scales and biases by item, where the batch is of several sources that have their own; else None.
    """

    image: Tensor
    text: Tensor
    logit_scale: Tensor
    logit_bias: Tensor | None
    image_encoded: Encoded
    text_encoded: Encoded
    batch: Batch
    step: int = 0
    samples: Features | None = None
    share: Share | None = None
    rows: dict[Any, Tensor] = field(default_factory=dict)
    each: ItemScales | None = None
