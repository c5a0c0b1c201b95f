"""The LightningModule: set-up, the step, held-out batches, optimisation, checkpoints.

What happens within a step is in `voxtile.training.step`, in parts that the module holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import lightning.pytorch as pl
import torch
from torch import Tensor, nn

from voxtile.data.seen_samples import TrainingMarks
from voxtile.distributed import made_by_each, place
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.training.checkpoint import Checkpoint
from voxtile.training.checks import check_fact_names, check_weights
from voxtile.training.corpus_concepts import take_concepts
from voxtile.training.memory import convert_tensors_alone, convert_weights, spare
from voxtile.training.optimisers import AdamW, OneCycle, Schedule
from voxtile.training.pretrained import begin_objectives, begin_towers
from voxtile.training.rebuild import description_of, module_from_checkpoint, module_from_config, take_description
from voxtile.training.setting_up import TrainingData, check_run, freeze, learn_from, set_up, taken_preset
from voxtile.training.step.distributed import Processes, average_gradients, check_statistics, leave_averaging
from voxtile.training.step.encoding import Encoding, OnePass
from voxtile.training.step.held_out import HeldOut
from voxtile.training.step.large_batch import LargeBatch, MicroBatches
from voxtile.training.step.locked_images import ImageLock, OnceMoreData
from voxtile.training.step.logged_steps import StepLog
from voxtile.training.step.losses import WeightedTerms
from voxtile.training.step.seeds import seed_generators, step_seed
from voxtile.training.step.texts import TextReader
from voxtile.training.step.updates import Updates
from voxtile.trusted_packages import checked_packages
from voxtile.types import Batch, Features


class ContrastiveModule(pl.LightningModule):
    """Trains a dual encoder under a weighted sum of objectives.

    Args:
        encoder: the two towers.
        objectives: named terms of the loss.
        weights: factor of each term by its name; 1 where left out.
        optimizer: settings of AdamW.
        schedule: learning rate over the run.
        lock_image_after: share of the run after which the image tower is locked, as it is from the start in LiT (Zhai
            et al., CVPR 2022); the schedule then runs once more for the rest. What aligns text with images that still
            change lags behind them, most of all where other terms shape the tower.
        cache_locked: encode each training item once when the tower is locked or frozen, without augmentation, and load
            no more images (loader workers go on loading them): steps then cost little more than the texts.
        batch: `{global: …, micro: …}` takes the loss over `global` items that are encoded `micro` at a time, so that
            memory does not decide the batch size; `data.batch_size` must equal `global`. Null for one pass.
        recompute: keep only the input of each block of a transformer for the gradient and compute the rest again: a
            third more work, several times less memory.
        compile: backend of torch.compile for the towers, e.g. `inductor`; null leaves them as they are.
        seed: key of dropout and all other randomness of a step; with the step's index it is a pure function, so that a
            resumed run draws the same.
        pretrained: checkpoint whose towers, projections and scale a run begins with, and what objectives that go on
            had learned there (`Preference`); its own weights are taken where the run goes on from a checkpoint of its
            own.
        freeze_encoder: train none of these: what is learned is in the objectives alone. With `cache_locked` the tower
            reads each training item once.

    Raises:
        ConfigError: no objective, a weight without an objective or below 0, a share outside 0 to 1, or sizes in
            `batch` that do not fit.

    Examples:
        >>> import torch
        >>> from voxtile.models import DualEncoder, TextBag, ViTTower
        >>> from voxtile.objectives import Contrastive
        >>> from voxtile.training import ContrastiveModule
        >>> from voxtile.types import Features
        >>> image, text = ViTTower(size=16, patch=4, width=16, depth=1, heads=2), TextBag()
        >>> text.tokenizer.train(["a nodule", "no nodule"])
        >>> encoder = DualEncoder(image=image, text=text, embed_dim=8)
        >>> module = ContrastiveModule(encoder=encoder, objectives={"contrastive": Contrastive()})
        >>> batch = Features.of_pairs(torch.ones(2, 8), torch.ones(2, 8), images=torch.randn(2, 1, 16, 16)).batch
        >>> found = module.predict_step(batch, 0)
        >>> found["image"].shape, found["text"].shape
        (torch.Size([2, 8]), torch.Size([2, 8]))
    """

    encoding: Encoding

    def __init__(
        self,
        *,
        encoder: DualEncoder,
        objectives: dict[str, Objective],
        weights: Mapping[str, float] | None = None,
        optimizer: AdamW | None = None,
        schedule: Schedule | None = None,
        lock_image_after: float = 1.0,
        cache_locked: bool = False,
        batch: Mapping[str, int] | None = None,
        recompute: bool = False,
        compile: str | None = None,
        seed: int = 0,
        pretrained: str | None = None,
        freeze_encoder: bool = False,
    ) -> None:
        super().__init__()
        self.weighted_terms = WeightedTerms(objectives, weights or {})
        self.encoder = encoder
        self.objectives = nn.ModuleDict(objectives)
        self.updates = Updates(optimizer or AdamW(), schedule or OneCycle(), lock_image_after)
        self.recompute, self.compile_backend, self.seed = recompute, compile, seed
        self.pretrained, self.freeze_encoder = pretrained, freeze_encoder
        if freeze_encoder:
            freeze(encoder)
        self.texts = TextReader(encoder)
        self.large_batch = LargeBatch.from_config(batch) if batch is not None else None
        self.image_lock = ImageLock(encoder, keeps=cache_locked, frozen=freeze_encoder)
        self.processes = Processes(encoder)
        self.step_log = StepLog(encoder)
        self.held_out = HeldOut()
        self.config: dict[str, Any] | None = None  # what made this module, for the checkpoint
        self.preset_config: dict[str, Any] | None = None
        self.training_marks: TrainingMarks | None = None  # what it was trained on, to find leaks
        self.fact_names: tuple[str, ...] | None = None
        self._configured = False
        self.terms: dict[str, Tensor] = {}  # of the last step, unweighted

    # Set-up

    @property
    def _objectives(self) -> dict[str, Objective]:
        return cast(dict[str, Objective], dict(self.objectives.items()))

    def _once_more(self) -> OnceMoreData:
        return cast(OnceMoreData, self.trainer.datamodule)  # type: ignore[attr-defined]

    @property
    def large_batch(self) -> LargeBatch | None:
        """Sizes of a large-batch step; None where a batch is encoded in one pass."""
        return self.encoding.sizes if isinstance(self.encoding, MicroBatches) else None

    @large_batch.setter
    def large_batch(self, sizes: LargeBatch | None) -> None:
        parts = self.encoder, self._objectives, self.texts
        self.encoding = OnePass(*parts) if sizes is None else MicroBatches(*parts, sizes, self.seed)

    def setup(self, stage: str) -> None:
        """Take preset, facts and vocabulary from the data. A checkpoint that is loaded later must agree with them."""
        data = cast(TrainingData, self.trainer.datamodule)  # type: ignore[attr-defined]
        self.preset_config = taken_preset(self.encoder, data)
        convert_tensors_alone(self.trainer)
        take_concepts(self._objectives, data, self.config)
        if stage == "fit":
            begin_towers(self.encoder, self.pretrained, self.preset_config, frozen=self.freeze_encoder)
        self.setup_objectives(tuple(data.fact_names))
        if stage == "fit":
            begin_objectives(self._objectives, self.pretrained)
            parts = self.encoder, self._objectives, self.large_batch, self.image_lock
            made_by_each(lambda: check_run(self.trainer, *parts))
            self.training_marks = getattr(data, "training_marks", None)
            learn_from(data, self.encoder, self._objectives)

    def setup_objectives(self, fact_names: tuple[str, ...]) -> None:
        """Create what objectives learn, once."""
        if self.fact_names is not None:
            check_fact_names(fact_names, self.fact_names)
            return
        set_up(self._objectives, self.encoder, fact_names)
        self.fact_names = fact_names

    def configure_model(self) -> None:
        """Recompute, compile and shard the towers, once and for training alone."""
        if self.trainer.training and not self._configured:
            self._configured = True
            convert_weights(self.trainer, self)
            spare(self.encoder, recompute=self.recompute, backend=self.compile_backend)
        if self.trainer.training and self.trainer.world_size > 1:
            check_statistics(self, converted=False)
        if (mesh := getattr(self, "_device_mesh", None)) is not None:
            self.processes.shard_towers(mesh["data_parallel"])

    def on_fit_start(self) -> None:
        """Refuse what the strategy, which is set up by now, has left as it was."""
        if self.trainer.world_size > 1:
            check_statistics(self, converted=True)
        self.image_lock.begin(self._once_more, self._objectives)

    # One step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Key the randomness of this step, so that a resumed run draws what an undisturbed one does."""
        seed_generators(step_seed(self.seed, self.global_step, place()[0]))
        steps = int(self.trainer.estimated_stepping_batches)
        if self.image_lock.from_start or self.global_step >= self.updates.lock_step(steps):
            self.image_lock.lock(keep_gradients=self.trainer.world_size > 1)
        if self.large_batch is not None:  # `on_after_backward` averages
            leave_averaging(self.trainer.strategy.model)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted loss of a batch."""
        losses = self.losses(self.features(batch))
        loss = self.total(losses)
        self.terms = {name: value.detach() for name, value in losses.items()}
        self.step_log.note(self, loss.detach(), self.terms, len(batch), self.texts.cut)
        return loss

    def features(self, batch: Batch) -> Features:
        """Encode a batch once; local features only if an objective needs them.

        Where several processes train together each encodes its own share, and the features are those of all.
        """
        return self.processes.gathered(self._own_features(batch), step_seed(self.seed, self.global_step))

    def _own_features(self, batch: Batch) -> Features:
        batch = self.texts.tokenised(batch)
        parts = self.encoding.parts(batch)
        with torch.no_grad():
            for objective in self._objectives.values():
                objective.prepare(parts)
        known = self.image_lock.known(batch, self._once_more, self._objectives) if self.training else None
        return self.encoding.features(batch, self.global_step, known)

    def losses(self, features: Features) -> dict[str, Tensor]:
        """The unweighted terms by name, see `WeightedTerms.losses`."""
        return self.weighted_terms.losses(features)

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum."""
        return self.weighted_terms.total(losses)

    def on_after_backward(self) -> None:
        """Average what the strategy could not, and drop the gradient of a tower that is locked."""
        if self.trainer.world_size == 1:
            return
        if self.large_batch is not None or self.processes.sharded:
            average_gradients(self.parameters())
        self.image_lock.drop_gradients()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as Lightning does, or over whole and sharded parameters together."""
        if not self.processes.clip(self.parameters(), gradient_clip_val, gradient_clip_algorithm):
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's arguments
        """Update the weights, keep the logit scale within its limits, and let objectives follow.

        All that comes before callbacks save the step.
        """
        super().optimizer_step(*args, **kwargs)
        self.trainer.optimizers[0].zero_grad()  # Lightning's loop would keep them through the next forward pass
        self.encoder.clamp_scale()
        step, steps = self.global_step + 1, int(self.trainer.estimated_stepping_batches)
        for objective in self._objectives.values():
            objective.after_step(self.encoder, step, steps)

    # Batches that nothing is learned from

    def on_validation_epoch_start(self) -> None:
        """Start collecting embeddings."""
        self.held_out.start()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses of a held-out batch and keep its embeddings."""
        self._evaluate(batch, "val")

    def on_validation_epoch_end(self) -> None:
        """Log recall at 1 over the whole split."""
        self.held_out.finish(self, "val")

    def on_test_epoch_start(self) -> None:
        """Start collecting embeddings."""
        self.held_out.start()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the losses of a test batch and keep its embeddings."""
        self._evaluate(batch, "test")

    def on_test_epoch_end(self) -> None:
        """Log recall at 1 over the whole split."""
        self.held_out.finish(self, "test")

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """Return the uids and the embeddings of a batch."""
        features = self._own_features(batch)
        return {"uids": batch.uids, "image": features.image.cpu(), "text": features.text.cpu()}

    def _evaluate(self, batch: Batch, stage: str) -> None:
        features = self.features(batch)
        losses = self.losses(features)
        self.held_out.add(self, stage, features, self.total(losses), losses)

    # Optimisation

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """AdamW with the schedule stepped at every update."""
        return self.updates.configured(self, self.encoder)

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add all that is needed to use the weights elsewhere."""
        checkpoint.update(description_of(self) | self.updates.to_checkpoint())

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take vocabulary, facts and preset; weights follow.

        Raises:
            CheckpointError: it was trained with another preset than this run's, or is of another model.
        """
        take_description(self, checkpoint)
        goes_on = self._trainer is not None and "state_dict" in checkpoint  # sharded weights are loaded before
        if goes_on:
            check_weights(self.state_dict(), checkpoint["state_dict"])
        self.updates.go_on_from(checkpoint, with_weights=goes_on)

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,  # noqa: ANN401 - Lightning's arguments
        *args: Any,  # noqa: ANN401
        trust_packages: Sequence[str] = (),
        **kwargs: Any,  # noqa: ANN401
    ) -> ContrastiveModule:
        """Rebuild a trained module from its checkpoint alone; nothing in it is executed.

        Args:
            checkpoint_path: of the file.
            args: of Lightning's method of this name; not read.
            trust_packages: packages of your own whose classes it may name.
            kwargs: as `args`.

        Raises:
            CheckpointError: the checkpoint is unsafe, damaged, newer, or does not fit.
            ConfigError: a trusted package is not installed.
        """
        return module_from_checkpoint(cls, checkpoint_path, checked_packages(trust_packages))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ContrastiveModule:
        """Make a module from the `model` part of a config, and keep the config for its checkpoints.

        Args:
            config: nested mappings with class_path and init_args, as `--print_config` shows them.
        """
        return module_from_config(cls, config)
