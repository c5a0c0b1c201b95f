"""The texts and phrases of a batch as the text tower reads them."""

from __future__ import annotations

from dataclasses import replace

import torch

from voxtile.models.dual import DualEncoder
from voxtile.models.padding import without_padding
from voxtile.types import Batch, Regions


class TextReader:
    """Fills in tokens, and counts what is longer than the text tower reads.

    Args:
        encoder: the two towers.

    Attributes:
        cut: how many texts and phrases were cut so far.
    """

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder
        self.cut = 0

    def tokenised(self, batch: Batch) -> Batch:
        """The batch with `tokens` filled in, unless they are there; texts beyond the tower's context are cut."""
        if batch.tokens is not None:
            return batch
        if not batch.texts:
            return replace(batch, tokens=torch.zeros(0, 1, dtype=torch.int64, device=batch.images.device))
        tokens, cut = self._encoder.text.tokenizer.encode(batch.texts)
        self.cut += cut
        return replace(batch, tokens=without_padding(self._encoder.text, tokens).to(batch.images.device))

    def count_phrases(self, regions: Regions) -> None:
        """Count those of the different phrases that `with_phrases` cuts, which may encode them more than once."""
        if regions.phrases:
            self.cut += self._encoder.text.tokenizer.encode(list(dict.fromkeys(regions.phrases)))[1]


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
