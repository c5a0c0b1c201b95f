"""The LightningModule: set-up, the step, optimisation, checkpoints. How a batch is encoded is in `features`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

import voxtile
from voxtile.data.presets.base import Preset
from voxtile.data.seen_samples import KEY as MARKS
from voxtile.data.seen_samples import TrainingMarks
from voxtile.distributed import place
from voxtile.errors import CheckpointError, ConfigError
from voxtile.listed_classes import with_current_names
from voxtile.models.dual import DualEncoder
from voxtile.objectives.base import Objective
from voxtile.objectives.facts.head import FactHead
from voxtile.objectives.local.grounding import Grounding
from voxtile.objectives.of_samples import OfSamples
from voxtile.training import logged_steps as logged
from voxtile.training.checkpoint import FORMAT, Checkpoint
from voxtile.training.checks import (
    Planned,
    check_data,
    check_encoder,
    check_groups,
    check_planned,
    check_preset,
    check_weights,
    group_sizes,
)
from voxtile.training.corpus_concepts import take_concepts
from voxtile.training.held_out import HeldOutSteps
from voxtile.training.large_batch import LargeBatch
from voxtile.training.logged_steps import is_shown, log_figures
from voxtile.training.memory import compile_towers, convert_tensors_alone, recompute_activations
from voxtile.training.optimisers import AdamW, OneCycle, Schedule, block_distances
from voxtile.training.rebuild import module_from_checkpoint, module_from_config
from voxtile.training.seeds import heads_seed, seed_generators, step_seed
from voxtile.training.step import check_cache
from voxtile.trusted_packages import checked_packages
from voxtile.types import Batch


class TrainingData(Protocol):
    """What the module asks of a datamodule."""

    @property
    def preset(self) -> Preset:
        """Preprocessing; stored in the checkpoint."""

    @property
    def fact_names(self) -> tuple[str, ...]:
        """Concepts of `Batch.facts`, in order."""

    def training_texts(self) -> Sequence[str]:
        """Distinct texts of the training split, for tokenizers that are trained."""


class ContrastiveModule(HeldOutSteps):
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
        cache_locked: encode each training item once when the tower is locked, without augmentation, and load no more
            images (loader workers go on loading them): steps then cost little more than the texts.
        batch: `{global: …, micro: …}` takes the loss over `global` items that are encoded `micro` at a time, so that
            memory does not decide the batch size; `data.batch_size` must equal `global`. Null for one pass.
        recompute: keep only the input of each block of a transformer for the gradient and compute the rest again: a
            third more work, several times less memory.
        compile: backend of torch.compile for the towers, e.g. `inductor`; null leaves them as they are.
        seed: key of dropout and all other randomness of a step; with the step's index it is a pure function, so that a
            resumed run draws the same.

    Raises:
        ConfigError: no objective, a weight without an objective or below 0, a share outside 0 to 1, or sizes in
            `batch` that do not fit.
    """

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
    ) -> None:
        super().__init__()
        if not objectives:
            raise ConfigError("model.objectives is empty; add at least one, e.g. contrastive")
        unknown = sorted(set(weights or {}) - set(objectives))
        if unknown:
            raise ConfigError(
                f"model.weights names no objective: {', '.join(unknown)}; there are {', '.join(objectives)}"
            )
        self.encoder = encoder
        self.objectives = nn.ModuleDict(objectives)
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in objectives}
        if not all(0 <= weight < math.inf for weight in self.weights.values()) or not any(self.weights.values()):
            raise ConfigError(
                f"model.weights must be numbers of at least 0, and not all 0, not {self.weights}; remove an objective "
                "that is not wanted"
            )
        self.optimizer_config = optimizer or AdamW()
        self.schedule = schedule or OneCycle()
        if not 0 < lock_image_after <= 1:
            raise ConfigError(f"model.lock_image_after must be a share above 0 and at most 1, not {lock_image_after}")
        self.lock_image_after = lock_image_after
        self.cache_locked = cache_locked
        self.large_batch = LargeBatch.from_config(batch) if batch is not None else None
        self.recompute, self.compile_backend = recompute, compile
        self.seed = seed
        self.config: dict[str, Any] | None = None  # what made this module, for the checkpoint
        self.preset_config: dict[str, Any] | None = None
        self.training_marks: TrainingMarks | None = None  # what it was trained on, to find leaks
        self.fact_names: tuple[str, ...] | None = None
        self._configured = False
        self._stored_groups: list[list[int]] = []  # of the optimizers of the checkpoint from which the run goes on
        self._planned: Planned | None = None
        self._stored_planned: dict[str, int] | None = None  # of the checkpoint from which the run goes on
        self._shown = float("-inf")  # when the last figures were written down
        self.terms: dict[str, Tensor] = {}  # of the last step, unweighted

    # Set-up

    def setup(self, stage: str) -> None:
        """Take preset, facts and vocabulary from the data. A checkpoint that is loaded later must agree with them."""
        data = cast(TrainingData, self.trainer.datamodule)  # type: ignore[attr-defined]
        self._check_preset(data.preset)
        self.preset_config = data.preset.to_config()
        convert_tensors_alone(self.trainer)
        take_concepts(self._objectives(), data, self.config)
        self.setup_objectives(tuple(data.fact_names))
        if stage == "fit":
            self._check_trainer()
            self.training_marks = getattr(data, "training_marks", None)
            if not self.encoder.text.tokenizer.ready:
                self.encoder.text.tokenizer.train(data.training_texts())
            for tower in (self.encoder.image, self.encoder.text):
                if getattr(tower, "load_report", None) is not None:
                    rank_zero_info("%s", tower.load_report)

    def setup_objectives(self, fact_names: tuple[str, ...]) -> None:
        """Create what objectives learn, once."""
        if self.fact_names == fact_names:
            return
        if self.fact_names is not None:
            raise CheckpointError(
                f"the checkpoint was trained on the facts {', '.join(self.fact_names) or 'none'}, but the corpus has "
                f"{', '.join(fact_names) or 'none'}; use the corpus view that it was trained on"
            )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(heads_seed(torch.initial_seed()))  # a distributed run starts the generator anew before
            for objective in self._objectives().values():
                objective.setup_encoder(self.encoder)
                objective.setup(
                    image_width=self.encoder.image.width,
                    text_width=self.encoder.text.width,
                    embed_dim=self.encoder.embed_dim,
                    fact_names=fact_names,
                )
        self.fact_names = fact_names

    def _check_trainer(self) -> None:
        check_data(self._objectives(), self.trainer.datamodule)  # type: ignore[attr-defined]
        if self.cache_locked:
            check_cache(self._objectives().values(), self.trainer.world_size, self.large_batch is not None)
        if self.large_batch is not None:
            size = int(getattr(self.trainer.datamodule, "batch_size", self.large_batch.total))  # type: ignore[attr-defined]
            self.large_batch.check(self.encoder, self._objectives(), size, self.trainer.world_size)
        check_encoder(self.encoder, self.trainer.datamodule)  # type: ignore[attr-defined]
        coupled = [name for name, objective in self._objectives().items() if objective.couples_items]
        if self.trainer.accumulate_grad_batches > 1 and coupled:
            raise ConfigError(
                f"trainer.accumulate_grad_batches {self.trainer.accumulate_grad_batches} does not give the loss of a "
                f"larger batch for {', '.join(coupled)}, whose items depend on each other; set it to 1"
            )

    def configure_model(self) -> None:
        """Recompute, compile and shard the towers, once and for training alone."""
        if self.trainer.training and not self._configured:
            self._configured = True
            if self.recompute:
                recompute_activations(self.encoder)
            if self.compile_backend is not None:
                compile_towers(self.encoder, self.compile_backend)
        super().configure_model()

    def _check_preset(self, preset: Preset) -> None:
        tower = self.encoder.image
        if (preset.channels, len(preset.grid)) != (tower.channels, tower.dimensions):
            raise ConfigError(
                f"the image tower takes {tower.channels} channels in {tower.dimensions}D, but data.preset gives "
                f"{preset.channels} in {len(preset.grid)}D; change one of them"
            )

    # One step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Key the randomness of this step, so that a resumed run draws what an undisturbed one does."""
        seed_generators(step_seed(self.seed, self.global_step, place()[0]))
        if self.global_step >= self._lock_step(int(self.trainer.estimated_stepping_batches)):
            self.lock_image()
        self.prepare_backward()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the weighted loss of a batch."""
        losses = self.losses(self.features(batch))
        loss = self.total(losses)
        self.terms = {name: value.detach() for name, value in losses.items()}
        whole = is_shown(self.trainer)
        if whole or time.monotonic() - self._shown > logged.SECONDS:
            self._log_step(loss.detach(), len(batch), whole)
        return loss

    def _log_step(self, loss: Tensor, items: int, whole: bool) -> None:
        """Write down what the terminal shows, and on a logged step the rest."""
        self._shown = time.monotonic()
        log_figures(self, {"loss": loss}, items, prog_bar=True)
        figures: dict[str, Tensor | float] = {"scale": self.encoder.logit_scale.detach()}
        if whole:
            figures |= self.terms
            if (scales := self.encoder.source_scales) is not None:
                figures |= zip((f"scale_{name}" for name in scales.names), scales.log_scale.detach().exp(), strict=True)
            figures["lr"] = max(g["lr"] for g in self.trainer.optimizers[0].param_groups)
        log_figures(self, {f"train/{name}": value for name, value in figures.items()}, items)
        if whole:
            self.log("train/cut_texts", float(self.cut_texts), batch_size=items, reduce_fx="sum", sync_dist=True)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Lightning's arguments
        """Update the weights, keep the logit scale within its limits, and let objectives follow.

        All that comes before callbacks save the step.
        """
        super().optimizer_step(*args, **kwargs)
        self.trainer.optimizers[0].zero_grad()  # Lightning's loop would keep them through the next forward pass
        self.encoder.clamp_scale()
        step, steps = self.global_step + 1, int(self.trainer.estimated_stepping_batches)
        for objective in self._objectives().values():
            objective.after_step(self.encoder, step, steps)

    # Optimisation

    def configure_optimizers(self) -> Any:  # noqa: ANN401
        """AdamW with the schedule stepped at every update."""
        optimizer = self.optimizer_config.build(self.named_parameters(), block_distances(self.encoder))
        for sizes in self._stored_groups:
            check_groups(optimizer, sizes)
        total = int(self.trainer.estimated_stepping_batches)
        self._planned = Planned(total, int(getattr(self.trainer.datamodule, "batch_size", 0)))  # type: ignore[attr-defined]
        check_planned(self._planned, self._stored_planned)
        lock = self._lock_step(total)

        def image(step: int) -> float:
            return self.schedule.factor(step, lock) if step < lock else 0.0

        def other(step: int) -> float:
            return self.schedule.factor(step, lock) if step < lock else self.schedule.factor(step - lock, total - lock)

        factors: list[Callable[[int], float]] = [
            image if group["tower"] == "image" else other for group in optimizer.param_groups
        ]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step", "name": "lr"}}

    def _lock_step(self, total: int) -> int:
        """Index of the first update with the image tower locked; `total` where it never is."""
        return max(1, round(self.lock_image_after * total))

    # Checkpoints

    def on_save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Add all that is needed to use the weights elsewhere."""
        checkpoint["voxtile_format"] = FORMAT
        checkpoint["voxtile_version"] = voxtile.__version__
        checkpoint["voxtile_model"] = self.config
        checkpoint["voxtile_preset"] = self.preset_config
        checkpoint["voxtile_tokenizer"] = self.encoder.text.tokenizer.to_json()
        checkpoint["voxtile_facts"] = list(self.fact_names or ())
        if self._planned is not None:
            checkpoint["voxtile_planned"] = self._planned.to_checkpoint()
        if self.training_marks is not None:
            checkpoint[MARKS] = self.training_marks.to_checkpoint()

    def on_load_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Take vocabulary, facts and preset; weights follow.

        Raises:
            CheckpointError: it was trained with another preset than this run's, or is of another model.
        """
        stored = with_current_names(checkpoint["voxtile_preset"])
        if self.preset_config is not None:
            check_preset(self.preset_config, stored)
        self.preset_config = stored
        if MARKS in checkpoint:
            marks = TrainingMarks.from_checkpoint(checkpoint[MARKS])
            self.training_marks = marks if self.training_marks is None else marks | self.training_marks
        self.encoder.text.tokenizer.from_json(checkpoint["voxtile_tokenizer"])
        self.setup_objectives(tuple(checkpoint["voxtile_facts"]))
        self._stored_planned = checkpoint.get("voxtile_planned")
        if self._trainer is not None and "state_dict" in checkpoint:  # sharded weights are loaded before
            check_weights(self.state_dict(), checkpoint["state_dict"])
            self._stored_groups = [group_sizes(state) for state in checkpoint.get("optimizer_states", ())]

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

    def fact_head(self) -> FactHead | None:
        """The auxiliary head for single samples, if there is one: that of `OfSamples`, or that of the items."""
        inner = [o.objective for o in self._objectives().values() if isinstance(o, OfSamples)]
        heads = [objective for objective in inner if isinstance(objective, FactHead)]
        return heads[0] if heads else self.study_fact_head()

    def study_fact_head(self) -> FactHead | None:
        """The auxiliary head for items, if the objectives have one."""
        heads = [objective for objective in self._objectives().values() if isinstance(objective, FactHead)]
        return heads[0] if heads else None

    def grounding(self) -> Grounding | None:
        """What shows phrases in images, if the objectives have it."""
        return next((part for part in self._objectives().values() if isinstance(part, Grounding)), None)
