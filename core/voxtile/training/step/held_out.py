"""What is said of batches that nothing is learned from: their losses, and recall at 1 over the whole split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import lightning.pytorch as pl
import torch
from torch import Tensor

from voxtile.types import Features


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


@dataclass
class CollectedEmbeddings:
    """Embeddings of one validation epoch."""

    image: list[Tensor] = field(default_factory=list)
    text: list[Tensor] = field(default_factory=list)
    text_item: list[Tensor] = field(default_factory=list)
    text_hash: list[Tensor] = field(default_factory=list)
    items: int = 0

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return sum(map(len, self.text))

    def add(self, features: Features) -> None:
        """Keep those of a batch, on the CPU."""
        batch = features.batch
        self.image.append(features.image.detach().cpu())
        self.text.append(features.text.detach().cpu())
        self.text_item.append(batch.text_item.cpu() + self.items)
        self.text_hash.append(batch.text_hash.cpu())
        self.items += len(batch)

    def recalls(self) -> tuple[float, float]:
        """Recall at 1 from image to text, and from text to image."""
        return recall_at_1(*(torch.cat(x) for x in (self.image, self.text, self.text_item, self.text_hash)))


class HeldOut:
    """Figures of the validation or test split."""

    def __init__(self) -> None:
        self._collected = CollectedEmbeddings()

    def start(self) -> None:
        """Begin a split."""
        self._collected = CollectedEmbeddings()

    def add(
        self, module: pl.LightningModule, stage: str, features: Features, total: Tensor, losses: Mapping[str, Tensor]
    ) -> None:
        """Log the losses of a batch as `stage/…`, and keep its embeddings."""
        items = len(features.batch)
        self._collected.add(features)
        module.log(f"{stage}/loss", total, prog_bar=True, batch_size=items)
        for name, value in losses.items():
            module.log(f"{stage}/{name}", value, batch_size=items)

    def finish(self, module: pl.LightningModule, stage: str) -> None:
        """Log recall over the split."""
        if self._collected.texts:
            to_text, to_image = self._collected.recalls()
            module.log(f"{stage}/image_to_text_recall@1", to_text)
            module.log(f"{stage}/text_to_image_recall@1", to_image)
        self.start()
