"""Phrases of regions, as the text tower gives them."""

from __future__ import annotations

from dataclasses import replace

import torch

from voxtile.models.dual import DualEncoder
from voxtile.types import Batch, Regions


def cut_phrases(encoder: DualEncoder, regions: Regions) -> int:
    """How many of the different phrases are longer than the text tower reads."""
    return encoder.text.tokenizer.encode(list(dict.fromkeys(regions.phrases)))[1] if regions.phrases else 0


def with_phrases(encoder: DualEncoder, batch: Batch) -> Batch:
    """The batch with the phrases of its regions encoded, each different phrase once.

    Where there is none the tower reads something else: sharded weights are gathered by all processes at once.
    """
    regions = batch.regions
    if regions is None:
        return batch
    known = {phrase: place for place, phrase in enumerate(dict.fromkeys(regions.phrases))}
    tokens, _ = encoder.text.tokenizer.encode(list(known) or batch.texts[:1] or ["a"])
    embedded, encoded = encoder.encode_texts(tokens.to(batch.images.device))
    places = torch.tensor([known[phrase] for phrase in regions.phrases], dtype=torch.int64, device=embedded.device)
    return replace(batch, regions=replace(regions, encoded=encoded.at(places), embedded=embedded[places]))
