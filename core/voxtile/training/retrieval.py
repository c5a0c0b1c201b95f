"""Recall at 1 between items and texts, for validation during training."""

from __future__ import annotations

import torch
from torch import Tensor


def recall_at_1(image: Tensor, text: Tensor, text_item: Tensor, text_hash: Tensor) -> tuple[float, float]:
    """Share of items whose nearest text is theirs, and of texts whose nearest image is theirs.

    An equal text counts as one's own, since nothing could tell them apart.

    Args:
        image: [B, D] normalised embeddings.
        text: [T, D] normalised embeddings.
        text_item: [T] item that owns each text.
        text_hash: [T] hash of each text.

    Returns:
        (image to text, text to image), each 0 to 1.
    """
    _, hash_index = torch.unique(text_hash, return_inverse=True)
    kinds = int(hash_index.max()) + 1 if len(hash_index) else 0
    owned = torch.unique(text_item * kinds + hash_index)  # sorted codes of (item, text) that belong together

    def belongs(item: Tensor, kind: Tensor) -> Tensor:
        return torch.isin(item * kinds + kind, owned)

    with_text = torch.unique(text_item)
    if not len(with_text):
        return 0.0, 0.0
    nearest_text = torch.cat([(part @ text.T).argmax(1) for part in torch.split(image[with_text], 1024)])
    nearest_item = torch.cat([(part @ image.T).argmax(1) for part in torch.split(text, 1024)])
    to_text = belongs(with_text, hash_index[nearest_text])
    to_image = belongs(nearest_item, hash_index)
    return to_text.float().mean().item(), to_image.float().mean().item()
