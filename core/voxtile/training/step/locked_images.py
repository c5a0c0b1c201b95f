"""The image tower once it is trained no more, and what it gave of each training item."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.types import Batch, Encoded


class OnceMoreData(Protocol):
    """What a datamodule offers where images are encoded once for all."""

    def train_once_dataloader(self) -> Iterable[Batch]:
        """Every training item once, images without augmentation."""

    def leave_images_out(self) -> None:
        """Load no more images."""


class ImageLock:
    """Trains the image tower no more from some step on.

    Args:
        encoder: the two towers.

    Attributes:
        locked: whether it is.
    """

    def __init__(self, encoder: DualEncoder) -> None:
        self._encoder = encoder
        self._vectors: LockedImages | None = None
        self.locked = False

    def lock(self, *, keep_gradients: bool) -> None:
        """Lock it.

        Args:
            keep_gradients: compute gradients still, for `drop_gradients`: DistributedDataParallel waits for those of
                all that it was made with.
        """
        self._encoder.image.requires_grad_(keep_gradients).eval()
        self.locked = True

    def drop_gradients(self) -> None:
        """Forget the gradients of a tower that is locked."""
        for parameter in self._encoder.image.parameters() if self.locked else ():
            parameter.grad = None

    def encoded(self, batch: Batch, data: OnceMoreData) -> Encoded:
        """What the locked tower gives of a batch of training items, from vectors of all of them.

        Args:
            batch: its images are not read.
            data: asked for all items at the first batch, and for no more images from then on.

        Raises:
            ConfigError: an item has several images.
        """
        if self._vectors is None:
            self._vectors = LockedImages(self._encoder, data.train_once_dataloader(), batch.images.device)
            data.leave_images_out()
        return Encoded(self._vectors.pooled(batch.uids))


class LockedImages:
    """Pooled vectors of the training items, by uid.

    Args:
        encoder: its image tower is locked, in evaluation mode.
        batches: every item once, images without augmentation.
        device: of the tower.

    Raises:
        ConfigError: an item has several images.
    """

    def __init__(self, encoder: DualEncoder, batches: Iterable[Batch], device: torch.device) -> None:
        vectors: list[Tensor] = []
        self._places: dict[str, int] = {}
        for batch in batches:
            if len(batch.images) != len(batch):
                raise ConfigError(
                    "model.cache_locked keeps one vector an item, but items have several images; use data.unit: "
                    "sample, or set it to false"
                )
            with torch.no_grad():
                vectors.append(encoder.image(batch.images.to(device)).pooled)
            self._places |= {uid: len(self._places) + i for i, uid in enumerate(batch.uids)}
        self._vectors = torch.cat(vectors)

    def pooled(self, uids: Sequence[str]) -> Tensor:
        """[B, W] the tower's pooled vectors of these items."""
        return self._vectors[[self._places[uid] for uid in uids]]


def check_cache(objectives: Mapping[str, Objective], processes: int, micro_batches: bool) -> None:
    """Refuse what needs more than one pooled vector an item.

    Raises:
        ConfigError: it names what does.
    """
    if processes > 1 or micro_batches:
        what = "trainer.devices above 1" if processes > 1 else "model.batch"
        raise ConfigError(f"model.cache_locked does not go with {what}; set it to false")
    for objective in objectives.values():
        local = (objective.needs | objective.row_needs) & {"tokens", "regions", "samples"}
        if local or objective.has_rows:
            raise ConfigError(
                f"model.cache_locked keeps pooled vectors only, but {type(objective).__name__} needs "
                f"{', '.join(sorted(local)) or 'images'}; set it to false"
            )
