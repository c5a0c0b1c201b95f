"""The images of a batch and those that its dialogues show beside them, through the tower once."""

from __future__ import annotations

import torch
from torch import Tensor

from voxtile.models.dual import DualEncoder
from voxtile.types import Batch, Encoded


def encoded_with_others(
    encoder: DualEncoder, batch: Batch, *, tokens: bool, others: bool
) -> tuple[Tensor, Encoded, Encoded | None]:
    """Encode S images and the P others of a batch.

    In one pass: a tower that is sharded over processes must run as often in each of them, and some have no others.

    Args:
        encoder: the towers.
        batch: with its images.
        tokens: also return local features.
        others: whether an objective reads them.

    Returns:
        [S, D] normalised embeddings, what the tower gives of the S images, and of the P others, None where there are
        none.
    """
    more = batch.others if others and batch.others is not None and batch.others.uids else None
    if more is None:
        return *encoder.encode_samples(batch.images, tokens), None
    count = len(batch.images)
    embeddings, seen = encoder.encode_samples(torch.cat([batch.images, more.images]), tokens)
    return embeddings[:count], seen.at(slice(0, count)), seen.at(slice(count, None))
