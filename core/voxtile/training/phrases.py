"""Phrases of regions, as the text tower gives them."""

from __future__ import annotations

from dataclasses import replace

import torch

from voxtile.models.dual import DualEncoder
from voxtile.types import Regions


def cut_phrases(encoder: DualEncoder, regions: Regions) -> int:
    """How many of the different phrases are longer than the text tower reads."""
    return encoder.text.tokenizer.encode(list(dict.fromkeys(regions.phrases)))[1] if regions.phrases else 0


def with_phrases(encoder: DualEncoder, regions: Regions, device: torch.device) -> Regions:
    """The regions with their phrases encoded, each different phrase once."""
    known = {phrase: place for place, phrase in enumerate(dict.fromkeys(regions.phrases))}
    if not known:
        return regions
    tokens, _ = encoder.text.tokenizer.encode(list(known))
    embedded, encoded = encoder.encode_texts(tokens.to(device))
    places = torch.tensor([known[phrase] for phrase in regions.phrases], device=device)
    return replace(regions, encoded=encoded.at(places), embedded=embedded[places])
