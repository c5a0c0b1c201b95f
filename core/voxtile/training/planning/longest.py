"""A batch as large as a config's can be: every text of the length that its tower reads, no numbers in the images."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from voxtile.data.presets.base import Preset
from voxtile.models.tower import Tokenizer
from voxtile.training.module import ContrastiveModule
from voxtile.types import Batch, Regions

_FACTS = 12  # concepts, where the corpus is not known


def fact_names(module: ContrastiveModule) -> tuple[str, ...]:
    """Concepts that objectives name, and others where they are few."""
    named = [name for part in module.modules() for name in getattr(part, "concepts", ()) if isinstance(name, str)]
    return tuple(dict.fromkeys([*named, *(f"fact_{number}" for number in range(_FACTS - len(named)))]))


def longest_batch(
    module: ContrastiveModule,
    preset: Preset,
    *,
    items: int,
    texts: int,
    images: int = 1,
    regions: int = 0,
    samples: bool = False,
) -> Batch:
    """A batch of such sizes for a module whose objectives are set up with `fact_names`.

    Args:
        module: its text tower says how long a text may be.
        preset: of the images, [items · images, C, *G].
        items: of the batch.
        texts: of an item.
        images: of an item.
        regions: phrases of an item with their masks.
        samples: whether each image of an item has a text of its own as well.
    """
    tokens = _longest(module.encoder.text.tokenizer)
    batch = _batch(module, preset, tokens, items, texts, images)
    if samples:
        batch.samples = replace(_batch(module, preset, tokens, items * images, 1, 1), images=batch.images[:0])
    if regions:
        batch.regions = _regions(batch, regions)
    return batch


def _longest(tokenizer: Tokenizer) -> Tensor:
    """[L] tokens of the longest text that there can be: it is cut to the tower's context."""
    if not tokenizer.ready:
        tokenizer.train(["a finding is seen"])
    return tokenizer.encode([" ".join(["finding"] * 512)])[0][0]


def _batch(module: ContrastiveModule, preset: Preset, tokens: Tensor, items: int, texts: int, images: int) -> Batch:
    """A batch of such sizes, with the same tokens [1, L] for all texts."""
    number, names = torch.arange(items), module.fact_names or ()
    count = items * texts
    return Batch(
        images=torch.empty(items * images, preset.channels, *preset.grid),
        image_item=number.repeat_interleave(images),
        texts=[""] * count,
        text_item=number.repeat_interleave(texts),
        study=number,
        subject=number,
        text_hash=torch.arange(count),
        facts=torch.zeros(items, len(names), dtype=torch.int8),
        fact_names=names,
        uids=[str(place) for place in range(items)],
        draws=number,
        text_facts=torch.zeros(count, len(names), dtype=torch.int8),
        tokens=tokens.expand(count, -1),
    )


def _regions(batch: Batch, each: int) -> Regions:
    item = torch.arange(len(batch)).repeat_interleave(each)
    return Regions(
        phrases=[f"finding {place}" for place in range(each)] * len(batch),
        item=item,
        masks=torch.empty(len(item), *batch.images.shape[2:]),
        boxed=torch.zeros(len(item), dtype=torch.bool),
        weight=torch.ones(len(item)),
    )
