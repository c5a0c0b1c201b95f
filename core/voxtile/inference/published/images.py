"""Published encoders of images alone, with the preprocessing of their own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from voxtile.console import note
from voxtile.data.presets.base import Preset
from voxtile.data.presets.published.preset import published_preset
from voxtile.data.presets.published.table import PublishedModel
from voxtile.errors import CheckpointError, ConfigError
from voxtile.inference.encoder_model import best_device
from voxtile.inference.published.load import called, downloaded, published_model, split_spec
from voxtile.models.protocol import EvaluationModel
from voxtile.models.tower import ImageTower


class PublishedImages:
    """An encoder of images with its preprocessing.

    Args:
        name: how tables call it.
        tower: on the device where it shall run.
        preset: its preprocessing.
    """

    def __init__(self, name: str, tower: ImageTower, preset: Preset) -> None:
        self.name, self.tower, self.preset = name, tower.eval(), preset

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to the tower's own [S, D] vectors."""
        device = next(self.tower.parameters()).device
        pooled: Tensor = self.tower(images.to(device)).pooled
        return pooled.float().cpu()


def published_images(spec: str) -> PublishedImages | EvaluationModel:
    """A published model that encodes at least images, by `NAME[/FILE or FOLDER]`.

    Raises:
        ConfigError: no such model, or one of which voxtile has no tower.
        CheckpointError: its weights are not there, cannot be loaded safely, or are those of another architecture.
    """
    model, place = split_spec(spec)
    alone = model.opened == "image" or ("pair" in model.tower and place is not None and Path(place).is_file())
    if not alone:
        return published_model(spec, best_device())
    tower = _tower(model, place)
    if tower.load_report is not None:
        note(str(tower.load_report))
    return PublishedImages(called(model, place), tower.to(best_device()), published_preset(model.name))


def _tower(model: PublishedModel, place: str | None) -> Any:  # noqa: ANN401 - a tower with a report
    kind = model.tower["class"]
    if kind == "transformers":
        from voxtile.models.hub.transformers import HuggingFaceImage

        if place is not None and not Path(place).is_dir():
            raise CheckpointError(
                f"{model.title} is read from its folder of the Hugging Face hub, and '{place}' is none; download it "
                "whole and name its folder"
            )
        return _checked(HuggingFaceImage(name=place or str(model.hub)), model)
    file = place or downloaded(model)
    if kind == "dofa":
        from voxtile.models.hub.torchgeo import DofaTower

        return DofaTower(name="dofa_base_patch16_224", wavelengths_nm=model.tower["wavelengths_nm"], pretrained=file)
    import voxtile.models

    return getattr(voxtile.models, kind)(pretrained=file)


def _checked(tower: Any, model: PublishedModel) -> Any:  # noqa: ANN401 - a tower of transformers
    found = type(tower.model).__name__
    if found != model.tower["model"]:
        raise ConfigError(
            f"the folder holds a {found}, and {model.title} is a {model.tower['model']}; check the folder"
        )
    return tower
