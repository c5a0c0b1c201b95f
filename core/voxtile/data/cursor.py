"""Where a run is in its data: the whole state of the pipeline, and the callback that advances it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl

from voxtile.errors import CheckpointError


@dataclass
class Cursor:
    """The pipeline's whole state.

    Attributes:
        seed: key of the order and of all randomness.
        view: hash of the view, the split and the unit.
        epoch: number of the current epoch.
        consumed: items that finished optimiser steps took from it, over all ranks; what is only prefetched does not
            count.
    """

    seed: int
    view: str
    epoch: int = 0
    consumed: int = 0

    def state_dict(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {"seed": self.seed, "epoch": self.epoch, "consumed": self.consumed, "view": self.view}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go to where a checkpoint was saved.

        Raises:
            CheckpointError: it was trained on other data or with another seed, so the order cannot be continued.
        """
        if state["view"] != self.view:
            raise CheckpointError(
                f"the checkpoint was trained on view {str(state['view'])[:12]}, but the corpus now gives "
                f"{self.view[:12]}: its tables, the selection, the split, the unit or the mixture has changed; restore "
                "them, or start a new run with another --name"
            )
        if state["seed"] != self.seed:
            raise CheckpointError(
                f"the checkpoint was trained with data seed {state['seed']}, but the config says {self.seed}; "
                "use the same"
            )
        self.epoch, self.consumed = int(state["epoch"]), int(state["consumed"])

    def advance(self, items: int, *, last: bool) -> None:
        """Count a finished batch; the last one of an epoch moves to the next epoch."""
        self.consumed += items
        if last:
            self.epoch, self.consumed = self.epoch + 1, 0


class CursorCallback(pl.Callback):
    """Advances the cursor when a batch has been trained on, before any checkpoint is written.

    The datamodule adds it to the trainer itself. Lightning's own loader state is not relied on: it is dropped in some
    configurations (lightning issue 20550) and counts batches that were prefetched but never used.
    """

    def __init__(self, cursor: Cursor, batch_size: int, items: int) -> None:
        self._cursor = cursor
        self._batch_size = batch_size
        self._items = items
        self._pending = self._step = 0  # items whose gradient no step has taken yet, and the last step

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin at the step that a checkpoint left off at."""
        self._pending, self._step = 0, trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Count the global batches of a step that is done: of accumulated gradients a checkpoint holds nothing.

        Lightning's word alone does not end an epoch: it may miscount a resumed one.
        """
        self._pending += self._batch_size
        if trainer.global_step == self._step:
            return
        left = self._items - self._cursor.consumed - self._pending
        self._cursor.advance(self._pending, last=trainer.is_last_batch or left < self._batch_size)
        self._pending, self._step = 0, trainer.global_step

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Have Lightning's own counts agree with the cursor.

        They drift where a run is resumed, saved at an epoch's end and resumed again; it would then train an epoch more
        than it was asked for. Where `max_steps` ends a run within an epoch, they take the epoch for finished, and the
        resumed run would train less. In its counts a batch that just ended is not completed: it adds it itself on
        resuming.
        """
        loop = checkpoint["loops"]["fit_loop"]
        epochs, batches = loop["epoch_progress"], loop["epoch_loop.batch_progress"]
        ended = {"ready": self._cursor.epoch, "processed": self._cursor.epoch}
        if not self._cursor.consumed and all(ended.items() <= counts.items() for counts in epochs.values()):
            return  # an epoch's end: all is counted
        begun, seen = self._cursor.epoch + 1, self._cursor.consumed // self._batch_size
        if not seen and self._cursor.epoch:  # the last batch that counts was the last one of its epoch
            begun, seen = self._cursor.epoch, self._items // self._batch_size
            batches["is_last_batch"] = True
        for counts in epochs.values():
            counts |= {"ready": begun, "started": begun, "processed": begun - 1, "completed": begun - 1}
        batches["current"] |= {"ready": seen, "started": seen, "processed": seen, "completed": max(0, seen - 1)}
        batches["total"]["completed"] = max(0, batches["total"]["processed"] - 1)
