"""What a module does otherwise where several processes train it: shard, average, clip, lock."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from torch.nn.parallel import DistributedDataParallel

from voxtile.models.dual import DualEncoder
from voxtile.training.large_batch import LargeBatch
from voxtile.training.ranks import average_gradients, check_statistics, clip_gradients, shard


class ManyProcesses(pl.LightningModule):
    """Hooks of Lightning that the number of processes changes.

    Attributes:
        encoder: the two towers.
        large_batch: sizes of a large-batch step, or None.
    """

    encoder: DualEncoder
    large_batch: LargeBatch | None

    def __init__(self) -> None:
        super().__init__()
        self._locked = self._sharded = False

    def configure_model(self) -> None:
        """Shard the towers where the strategy is FSDP2."""
        if self.trainer.training and self.trainer.world_size > 1:
            check_statistics(self, converted=False)
        mesh = getattr(self, "_device_mesh", None)
        if mesh is not None and not self._sharded:
            shard(self.encoder, mesh["data_parallel"])
            self._sharded = True

    def on_fit_start(self) -> None:
        """Refuse what the strategy, which is set up by now, has left as it was."""
        if self.trainer.world_size > 1:
            check_statistics(self, converted=True)

    def lock_image(self) -> None:
        """Train the image tower no more.

        DistributedDataParallel waits for the gradients of all that it was made with: they are dropped afterwards.
        """
        self.encoder.image.requires_grad_(self.trainer.world_size > 1).eval()
        self._locked = True

    def prepare_backward(self) -> None:
        """Leave the averaging of a large-batch step to `on_after_backward`: each micro-batch would set it off."""
        wrapped = self.trainer.strategy.model
        if self.large_batch is not None and isinstance(wrapped, DistributedDataParallel):
            wrapped.require_backward_grad_sync = False

    def on_after_backward(self) -> None:
        """Average what the strategy could not, and drop the gradient of a tower that is locked."""
        if self.trainer.world_size == 1:
            return
        if self.large_batch is not None or self._sharded:
            average_gradients(self.parameters())
        for parameter in self.encoder.image.parameters() if self._locked else ():
            parameter.grad = None

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, or over whole and sharded parameters together."""
        if self._sharded and gradient_clip_val and gradient_clip_algorithm != "value":
            clip_gradients(self.parameters(), float(gradient_clip_val))
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
