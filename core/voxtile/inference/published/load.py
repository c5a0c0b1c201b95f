"""Published models, by the name of the table: a file or folder of the user's, or the hub where it answers."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from voxtile.console import note
from voxtile.data.presets.published.preset import published_preset
from voxtile.data.presets.published.table import PublishedModel, published
from voxtile.errors import CheckpointError, ConfigError, cause_of
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.names import HUB
from voxtile.inference.open_clip_pair import open_clip_pair
from voxtile.inference.published.weights import LEFT_OUT, Pair, load_pair, refuse_unfit
from voxtile.models.dual import DualEncoder
from voxtile.models.hub.openclip import OpenClipImage, OpenClipText
from voxtile.models.hub.reachable import hub_answers
from voxtile.models.hub.safe_loading import weights_to_come
from voxtile.models.hub.weights import load_report, read_weights
from voxtile.models.protocol import EvaluationModel

_FILES = ("model.safetensors", "pytorch_model.bin")  # of a folder of transformers


def split_spec(spec: str) -> tuple[PublishedModel, str | None]:
    """A model of the table and where its weights are, from `NAME[/FILE or FOLDER]`.

    Raises:
        ConfigError: no such model.
    """
    name, _, place = spec.partition("/")
    return published(name), place or None


def published_model(spec: str, device: torch.device) -> EvaluationModel:
    """Both towers of a published model with its own preprocessing.

    Args:
        spec: `NAME[/FILE or FOLDER]`, a name of docs/models.md; without a file it is downloaded, where there is a hub.
        device: where it shall run.

    Raises:
        ConfigError: no such model, or one of which voxtile opens less than both towers.
        CheckpointError: its weights are not there, cannot be loaded safely, or are those of another architecture.
    """
    model, place = split_spec(spec)
    if model.opened != "pair":
        raise ConfigError(_not_a_pair(model))
    if "pair" in model.tower:
        return _report_pair(model, place, device)
    if model.tower.get("class") == "m3d":
        return _m3d(model, place, _folder(model, place), device)
    if place is not None and Path(place).is_dir():
        return _named(open_clip_pair(f"local-dir:{place}"), model, place, device)
    if model.folder:
        if place is not None:
            raise CheckpointError(f"there is no folder '{place}' of {model.title}; check the path")
        return _named(open_clip_pair(f"hf-hub:{model.hub}"), model, place, device)
    file = place or downloaded(model)
    architecture = str(model.tower["architecture"])
    with weights_to_come():
        image, text = OpenClipImage(name=architecture), OpenClipText(name=architecture)
    pair = Pair(image.visual, text.text)
    note(str(load_pair(pair, file, layout=model.layout, title=f"{model.title} ({architecture})")))
    text.pair_scale = float(pair.logit_scale.detach().double().exp())
    encoder = DualEncoder(image=image, text=text, embed_dim=image.width, project=False, logit_scale="pretrained")
    return EncoderModel(called(model, place), encoder.to(device), published_preset(model.name))


def called(model: PublishedModel, place: str | None) -> str:
    """How tables call a model: with the name of its file, and no folder of this machine."""
    return f"{HUB}{model.name}" if place is None else f"{HUB}{model.name}/{Path(place).name}"


def _m3d(model: PublishedModel, place: str | None, folder: Path, device: torch.device) -> EncoderModel:
    from voxtile.models.hub import m3d

    image, text = m3d.M3dImage(), m3d.M3dText(folder=str(folder))
    pair = nn.Module()
    for tower in (image, text):
        for name, part in tower.named_children():
            pair.add_module(name, part)
    scale = nn.Parameter(torch.zeros(()))
    pair.register_parameter("logit_scale", scale)
    file = next((folder / name for name in _FILES if (folder / name).is_file()), folder / _FILES[0])
    state = read_weights(file)
    refuse_unfit(pair, state, str(file), model.title)
    note(str(load_report(pair, state, str(file), ignored=LEFT_OUT)))
    text.pair_scale = float(scale.detach())  # its code multiplies by the logarithm itself
    encoder = DualEncoder(image=image, text=text, embed_dim=image.width, project=False, logit_scale="pretrained")
    return EncoderModel(called(model, place), encoder.to(device), published_preset(model.name))


def _report_pair(model: PublishedModel, place: str | None, device: torch.device) -> EncoderModel:
    from voxtile.inference.published.report_pairs import report_pair, weights_in

    given = Path(place or downloaded(model))
    weights = weights_in(given, model) if given.is_dir() else given
    return report_pair(model, called(model, place), weights, weights.parent, device)


def _folder(model: PublishedModel, place: str | None) -> Path:
    """The folder of a model that was named, or that of the hub.

    Raises:
        CheckpointError: there is none.
    """
    if place is not None:
        if not Path(place).is_dir():
            raise CheckpointError(f"there is no folder '{place}' of {model.title}; check the path")
        return Path(place)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(model.hub), local_files_only=not hub_answers()))
    except Exception as error:  # the hub client raises many types
        raise CheckpointError(
            f"{model.title} cannot be downloaded from {model.hub} ({cause_of(error).split('. ')[0]:.160}); download it "
            f"elsewhere and name its folder: {HUB}{model.name}/FOLDER"
        ) from error


def _named(made: EncoderModel, model: PublishedModel, place: str | None, device: torch.device) -> EncoderModel:
    """What open_clip opened by its own configuration, with the name and the preprocessing of the table."""
    return EncoderModel(called(model, place), made.encoder.to(device), published_preset(model.name))


def downloaded(model: PublishedModel) -> str:
    """The file of a model from the hub, or its local copy.

    Raises:
        ConfigError: it is on no hub.
        CheckpointError: it cannot be downloaded.
    """
    parts = (model.hub or "").split("/", 2)
    if len(parts) < 3:
        raise ConfigError(
            f"the weights of {model.title} are on no hub: {model.weights}; download them and name the file: "
            f"{HUB}{model.name}/FILE"
        )
    from huggingface_hub import hf_hub_download

    try:
        return hf_hub_download(f"{parts[0]}/{parts[1]}", parts[2], local_files_only=not hub_answers())
    except Exception as error:  # the hub client raises many types
        raise CheckpointError(
            f"the weights of {model.title} cannot be downloaded from {model.hub} "
            f"({cause_of(error).split('. ')[0]:.160}); download them elsewhere and name the file: "
            f"{HUB}{model.name}/FILE"
        ) from error


def _not_a_pair(model: PublishedModel) -> str:
    return (
        f"{HUB}{model.name} encodes images alone, and evaluation compares them with texts; store its vectors "
        f"with: voxtile embed CORPUS {HUB}{model.name}/FILE"
    )
