"""What objectives need of the data, checked before the first step: a term that finds nothing would be 0 all the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor
from torch.optim import Optimizer

from voxtile.console import note
from voxtile.data.presets.base import Preset
from voxtile.errors import CheckpointError, ConfigError
from voxtile.models.dual import DualEncoder
from voxtile.models.tower import ImageTower
from voxtile.objectives.base import Objective


def check_data(objectives: Mapping[str, Objective], data: object) -> None:
    """Refuse an objective whose texts, facts or evidence no item of the training split has.

    Args:
        objectives: by name.
        data: the datamodule; what it does not tell (`has_texts`, `fact_names`, `states_facts`, `contrasts_facts`,
            `region_phrases`) is not checked.

    Raises:
        ConfigError: names the objective, and what gives it what it needs.
    """
    reading = [name for name, objective in objectives.items() if objective.reads_texts]
    if reading and not getattr(data, "has_texts", True):
        raise ConfigError(
            f"no item of the training split has a text for the objective '{reading[0]}'; run 'voxtile caption', or "
            "train on images alone, by SelfDistillation and MaskedImage"
        )
    related = [name for name, objective in objectives.items() if objective.relates_by_facts]
    if related and not getattr(data, "fact_names", True):
        raise ConfigError(
            f"the objective '{related[0]}' relates items by their facts, and the corpus view has none; run 'voxtile "
            "facts' on the corpus, or take facts out of its positives and ignore"
        )
    stating = [name for name, objective in objectives.items() if objective.reads_evidence]
    if stating and not getattr(data, "states_facts", True):
        raise ConfigError(
            f"no text of the training split is known to state a fact, which the objective '{stating[0]}' needs; facts "
            "name single sentences as their evidence: set data.captions.unit to sentence, or first run 'voxtile facts "
            "--from reports' or 'voxtile caption'"
        )
    telling = [name for name, objective in objectives.items() if objective.contrasts_facts]
    if telling and not getattr(data, "contrasts_facts", True):
        raise ConfigError(
            f"no fact is there in some items of the training split and absent from others, which the objective "
            f"'{telling[0]}' tells apart; let silence mean absence (data.closed_facts), add facts that deny, or "
            "remove it"
        )
    naming = [name for name, objective in objectives.items() if objective.contrasts_phrases]
    if naming and (count := getattr(data, "region_phrases", 2)) < 2:
        raise ConfigError(
            f"the regions of the training split bear {count or 'no'} phrase{'' if count == 1 else 's'}, and the "
            f"objective '{naming[0]}' tells phrases apart; add regions of other phrases, or remove it"
        )


def check_accumulation(objectives: Mapping[str, Objective], batches: int) -> None:
    """Refuse gradients that are summed over batches where the loss is not a sum over items.

    Args:
        objectives: by name.
        batches: whose gradients are summed.

    Raises:
        ConfigError: names the objectives.
    """
    coupled = [name for name, objective in objectives.items() if objective.couples_items]
    if batches > 1 and coupled:
        raise ConfigError(
            f"trainer.accumulate_grad_batches {batches} does not give the loss of a larger batch for "
            f"{', '.join(coupled)}, whose items depend on each other; set it to 1"
        )


def check_grid(tower: ImageTower, preset: Preset) -> None:
    """Refuse a preset whose images the tower does not take.

    Raises:
        ConfigError: another number of channels or of dimensions.
    """
    if (preset.channels, len(preset.grid)) != (tower.channels, tower.dimensions):
        raise ConfigError(
            f"the image tower takes {tower.channels} channels in {tower.dimensions}D, but data.preset gives "
            f"{preset.channels} in {len(preset.grid)}D; change one of them"
        )


def check_encoder(encoder: DualEncoder, data: object) -> None:
    """Refuse data that lack what the encoder was told to learn from.

    Args:
        encoder: the towers.
        data: a datamodule; one that does not say what it has is taken to have it.

    Raises:
        ConfigError: a study tower reads dates, and no item has images of different dates; or there are scales by
            source, and these are not the sources of the mixture.
    """
    scales = encoder.source_scales
    names = tuple(getattr(data, "source_names", () if scales is None else scales.names))
    if scales is not None and sorted(names) != sorted(scales.names):
        raise ConfigError(
            f"model.encoder.source_scales names {', '.join(scales.names)}, but data.mixture has "
            f"{', '.join(names) or 'no sources'}; name the same"
        )
    if encoder.study.reads_dates and not getattr(data, "has_dates", True):
        raise ConfigError(
            "model.encoder.study reads dates, but no item of the training split has images of different dates "
            "(samples' datetime); set data.unit: study with a corpus that has them, or remove its dates"
        )


def check_scales(losses: Mapping[str, Tensor]) -> None:
    """Refuse terms that read one scale of a batch whose items have several: they give no number.

    Args:
        losses: terms of a batch of several sources with scales of their own.

    Raises:
        ConfigError: names the term.
    """
    wrong = [name for name, loss in losses.items() if bool(loss.isnan())]
    if wrong:
        raise ConfigError(
            f"the objective '{wrong[0]}' gives no number for a batch of several sources, whose items have scales of "
            "their own (model.encoder.source_scales) where it reads one; set data.mixture.group to data.batch_size, or "
            "remove the objective or the scales"
        )


_ELSE = "go on with the config of its run (config.yaml in the run's folder), or start a new run with another --name"


def check_weights(own: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> None:
    """Refuse weights of another model before any is loaded.

    Args:
        own: of the model that the config describes.
        stored: of the checkpoint.

    Raises:
        CheckpointError: names the first weight that is missing, unknown or of another shape.
    """
    for name in [*own, *stored]:
        if name not in stored:
            said = f"it has no '{name}'"
        elif name not in own:
            said = f"its '{name}' has no place in this model"
        elif own[name].shape != stored[name].shape:
            said = f"'{name}' is {tuple(stored[name].shape)} there and {tuple(own[name].shape)} here"
        else:
            continue
        raise CheckpointError(f"the checkpoint is of another model than the config describes: {said}; {_ELSE}")


def check_preset(own: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    """Refuse a checkpoint whose images were prepared otherwise.

    Args:
        own: class_path and init_args of data.preset.
        stored: those of the checkpoint.

    Raises:
        CheckpointError: names the settings that differ.
    """
    if own == stored:
        return
    one, other = stored["init_args"], own["init_args"]
    if own["class_path"] != stored["class_path"]:
        said = f"{stored['class_path']} there, {own['class_path']} here"
    else:
        names = [name for name in [*one, *(n for n in other if n not in one)] if one.get(name) != other.get(name)]
        said = ", ".join(f"{name} {one.get(name)} there and {other.get(name)} here" for name in names)
    raise CheckpointError(f"the checkpoint was trained with another preset: {said}; use the same, or start a new run")


def check_fact_names(own: Sequence[str], stored: Sequence[str]) -> None:
    """Refuse other facts than a checkpoint's, for which its heads are made.

    Args:
        own: concepts of the run's `Batch.facts`, in order.
        stored: those of the checkpoint.

    Raises:
        CheckpointError: names both.
    """
    if list(own) != list(stored):
        raise CheckpointError(
            f"the checkpoint was trained on the facts {', '.join(stored) or 'none'}, but the corpus has "
            f"{', '.join(own) or 'none'}; use the corpus view that it was trained on"
        )


@dataclass(frozen=True)
class Planned:
    """How long a run is, by which its schedule goes.

    Attributes:
        steps: updates in all.
        batch_size: items of each.
    """

    steps: int
    batch_size: int

    def to_checkpoint(self) -> dict[str, int]:
        """Numbers alone."""
        return asdict(self)


def check_planned(own: Planned, stored: Mapping[str, int] | None) -> None:
    """Refuse to go on with a batch size that moves the schedule, and say where another length of the run does.

    Args:
        own: of this run.
        stored: of the checkpoint's; None where it does not say.

    Raises:
        CheckpointError: the batch size is another one, and so is the number of updates.
    """
    if stored is None or own.steps == (before := Planned(**stored)).steps:
        return
    if own.batch_size != before.batch_size:
        raise CheckpointError(
            f"data.batch_size: the checkpoint's run takes {before.batch_size} items a step and {before.steps} steps, "
            f"this one would take {own.batch_size} and {own.steps}, so that the learning rate would jump; go on with "
            f"--data.batch_size {before.batch_size}, or with --trainer.max_epochs -1 --trainer.max_steps {before.steps}"
        )
    rank_zero_only(note)(
        f"the run is of {own.steps} steps now, not of {before.steps} as the checkpoint's was, and its learning rate "
        "goes by that"
    )


def group_sizes(state: Mapping[str, Any]) -> list[int]:
    """Parameters in each group of an optimizer, from its state."""
    return [len(group["params"]) for group in state["param_groups"]]


def check_groups(optimizer: Optimizer, stored: Sequence[int]) -> None:
    """Refuse the state of an optimizer that learns other parameters, or in other groups.

    Args:
        optimizer: of the run.
        stored: `group_sizes` of the checkpoint's.

    Raises:
        CheckpointError: they differ.
    """
    check_group_sizes(group_sizes(optimizer.state_dict()), stored)


def check_group_sizes(own: Sequence[int], stored: Sequence[int]) -> None:
    """The same by the sizes of the run's groups, where its optimizer has others than a checkpoint's.

    Raises:
        CheckpointError: they differ.
    """
    if list(own) != list(stored):
        raise CheckpointError(
            "the checkpoint's optimizer learned other weights, or in other groups, than model.optimizer and the tuning "
            f"of the towers ask for now; {_ELSE}"
        )


_RATES = {"lr": "learning rate", "weight_decay": "weight_decay", "betas": "betas", "eps": "eps"}


def check_rates(own: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]]) -> None:
    """Refuse settings of an optimizer in whose place a checkpoint's would come without a word.

    Args:
        own: parameter groups of the run's optimizer.
        stored: those of the checkpoint's, as many.

    Raises:
        CheckpointError: names the first setting that differs.
    """
    for here, there in zip(own, stored, strict=True):
        for key, name in _RATES.items():
            peak = "initial_lr" if key == "lr" else key  # the schedule changes lr itself
            one, other = (group.get(peak, group.get(key)) for group in (there, here))
            if one is not None and other is not None and not np.allclose(one, other, rtol=1e-6, atol=0):
                raise CheckpointError(
                    f"the checkpoint's optimizer has the {name} {one} where model.optimizer asks for {other} now; "
                    f"{_ELSE}"
                )
