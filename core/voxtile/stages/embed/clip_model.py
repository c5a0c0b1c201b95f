"""Our checkpoints, open_clip's and published models, with their presets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from voxtile.data.presets.base import Preset, SampleSource
from voxtile.data.presets.roles import StudyReader, not_a_study
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.load import load_model
from voxtile.inference.names import OPEN_CLIP
from voxtile.models.protocol import EvaluationModel
from voxtile.stages.embed.extractor import Extractor

_CHUNK = 1 << 20
_LOCAL = "local-dir:"


class ImageModel(Protocol):
    """What encodes images, with its preset; part of an `EvaluationModel`."""

    @property
    def preset(self) -> Preset:
        """Its preprocessing."""

    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, *G] float32 to [S, D]."""


class ImageExtractor:
    """A model of images with a preset of voxtile.

    Args:
        name: how the table calls it.
        model: the encoder.
    """

    def __init__(self, name: str, model: ImageModel) -> None:
        self.name = name
        self._model = model

    @property
    def preset(self) -> Preset:
        """The model's preprocessing."""
        return self._model.preset

    @property
    def width(self) -> int:
        """Length of a vector, found by embedding an empty picture."""
        preset = self._model.preset
        return int(self.encode(torch.zeros(1, preset.channels, *preset.grid)).shape[1])

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """As the preset has it; one that reads whole studies has no vectors of samples.

        Raises:
            PresetError: names what a sample lacks.
        """
        if isinstance(self._model.preset, StudyReader):
            raise not_a_study(self._model.preset.role_names)
        self._model.preset.check(metas)

    def prepare(self, source: SampleSource) -> Tensor:
        """By the preset."""
        return self._model.preset(source, None)

    def encode(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, D]."""
        return self._model.encode_images(images).float()


class DualExtractor(ImageExtractor):
    """The image side of an image-text model: normalised embeddings in the space that its texts share.

    Args:
        name: how the table calls it.
        model: the pair of encoders.
    """

    def __init__(self, name: str, model: EvaluationModel) -> None:
        super().__init__(name, model)
        self._pair = model

    @property
    def pair(self) -> EvaluationModel:
        """The pair of encoders itself."""
        return self._pair

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D], in the space of the images."""
        return self._pair.encode_texts(texts).float()

    def reads(self, text: str) -> bool:
        """Whether the model's tokenizer knows anything of a text; True where it does not say."""
        return self._pair.reads(text) if isinstance(self._pair, EncoderModel) else True


def checkpoint_name(path: str | Path) -> str:
    """How tables call a checkpoint: what its file is called, and a hash of what it is; no folder of this machine."""
    path = Path(path)
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return f"{path.stem}-{digest.hexdigest()[:8]}"


def checkpoint_extractor(path: str | Path, trust_packages: Sequence[str]) -> Extractor:
    """A checkpoint of ours, which may name classes of trusted packages."""
    return DualExtractor(checkpoint_name(path), load_model(str(path), trust_packages))


def open_clip_extractor(name: str | Path) -> Extractor:
    """A model of open_clip; `NAME[/PRETRAINED]`, `hf-hub:ORG/REPO` or `local-dir:FOLDER`.

    The table calls weights of this machine by their content, too: a training writes its last ones under one path.
    """
    spec = f"{OPEN_CLIP}{name}"
    model = load_model(spec)
    folder = str(name).removeprefix(_LOCAL)
    if folder != str(name):
        return DualExtractor(open_clip_folder_name(Path(folder)), model)
    architecture, _, pretrained = str(name).partition("/")
    if pretrained and ":" not in architecture and Path(pretrained).is_file():
        spec = f"{OPEN_CLIP}{architecture}/{checkpoint_name(pretrained)}"
    return DualExtractor(spec, model)


def open_clip_folder_name(folder: Path) -> str:
    """How tables call a folder of open_clip: its name, and a hash of its weights and config."""
    weights = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in sorted(folder.glob("open_clip_*")))
    return f"{folder.name}-{hashlib.sha256(weights).hexdigest()[:8]}"


def published_extractor(name: str | Path) -> Extractor:
    """A model of docs/models.md; `NAME[/FILE or FOLDER]`. The table calls a file by its content, too."""
    from voxtile.inference.published.images import PublishedImages, published_images

    model = published_images(str(name))
    called, place = model.name, str(name).partition("/")[2]
    if place and Path(place).is_file():
        called = f"{called.rpartition('/')[0]}/{checkpoint_name(place)}"
    if isinstance(model, PublishedImages):
        return ImageExtractor(called, model)
    return DualExtractor(called, model)
