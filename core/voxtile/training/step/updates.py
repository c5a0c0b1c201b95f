"""How weights change over a run: the optimizer, its schedule, and from which update on the image tower is locked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl

from voxtile.errors import ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.training.checkpoint import Checkpoint
from voxtile.training.checks import Planned, check_groups, check_planned, check_rates, group_sizes
from voxtile.training.optimisers import AdamW, Schedule, block_distances, learning_rates

KEY = "voxtile_planned"


class Updates:
    """The updates of a run, and of the one that it goes on from what must agree with them.

    Args:
        optimizer: its settings.
        schedule: learning rate over the run.
        lock_image_after: share of the run after which the image tower is locked.

    Raises:
        ConfigError: that is no share above 0.
    """

    def __init__(self, optimizer: AdamW, schedule: Schedule, lock_image_after: float) -> None:
        if not 0 < lock_image_after <= 1:
            raise ConfigError(f"model.lock_image_after must be a share above 0 and at most 1, not {lock_image_after}")
        self.optimizer, self.schedule, self._lock_after = optimizer, schedule, lock_image_after
        self._planned: Planned | None = None
        self._stored_planned: dict[str, int] | None = None
        self._stored_optimizers: list[Mapping[str, Any]] = []

    def lock_step(self, total: int) -> int:
        """Index of the first update of `total` with the image tower locked; `total` where it never is."""
        return max(1, round(self._lock_after * total))

    def configured(self, module: pl.LightningModule, encoder: DualEncoder) -> dict[str, Any]:
        """The optimizer of a module's weights, with the schedule stepped at every update, as Lightning takes it.

        Args:
            module: of a trainer.
            encoder: its towers.

        Raises:
            ConfigError: the run has no end.
            CheckpointError: the run goes on from one that learned other weights, by other settings, or by a schedule
                of another length.
        """
        optimizer = self.optimizer.build(
            module.named_parameters(), block_distances(encoder, self.optimizer.layer_decay)
        )
        for stored in self._stored_optimizers:
            check_groups(optimizer, group_sizes(stored))
            check_rates(optimizer.param_groups, stored["param_groups"])
        steps = module.trainer.estimated_stepping_batches
        if steps == math.inf:  # the schedule, the lock of the tower and `--ckpt_path last` go by the length of the run
            raise ConfigError("a run needs an end: give --trainer.max_steps N, or a --trainer.max_epochs above 0")
        total = int(steps)
        self._planned = Planned(total, int(getattr(module.trainer.datamodule, "batch_size", 0)))  # type: ignore[attr-defined]
        check_planned(self._planned, self._stored_planned)
        rates = learning_rates(optimizer, self.schedule, self.lock_step(total), total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rates, "interval": "step", "name": "lr"}}

    def to_checkpoint(self) -> Checkpoint:
        """How long the run is, for those that go on from it; nothing before it is known."""
        return {} if self._planned is None else {KEY: self._planned.to_checkpoint()}

    def go_on_from(self, checkpoint: Checkpoint, *, with_weights: bool) -> None:
        """Take from a checkpoint what `configured` compares.

        Args:
            checkpoint: of the run before.
            with_weights: whether its optimizer goes on, too.
        """
        self._stored_planned = checkpoint.get(KEY)
        if with_weights:
            self._stored_optimizers = [
                {"param_groups": state["param_groups"]} for state in checkpoint.get("optimizer_states", ())
            ]
