"""What embeds pictures: a model with its own transforms, found by name.

A name is a checkpoint of ours, `open_clip:NAME[/PRETRAINED]`, `timm:NAME`, `hf:ORG/REPO`, `hub:NAME[/FILE]`, or a
folder that holds a model of one of these kinds.
"""

from __future__ import annotations

import hashlib
import importlib
import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from voxtile.data.presets.base import SampleSource, described
from voxtile.errors import PresetError
from voxtile.inference.encoder_model import best_device
from voxtile.stages.embed.names import HUBS, check_extractor_name
from voxtile.trusted_packages import checked_packages


class Extractor(Protocol):
    """A model that turns samples into vectors."""

    @property
    def name(self) -> str:
        """How the table calls it."""

    @property
    def width(self) -> int:
        """Length D of a vector."""

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing that a corpus cannot satisfy."""

    def prepare(self, source: SampleSource) -> Tensor:
        """The input [C, *G] of one sample, by the model's own transforms; nothing is random."""

    def encode(self, images: Tensor) -> Tensor:
        """[S, C, *G] to [S, D] float32 on the CPU. No gradient, evaluation mode."""


def load_extractor(spec: str, trust_packages: Sequence[str] = ()) -> Extractor:
    """Load a model by name; on a GPU where there is one.

    Args:
        spec: the name.
        trust_packages: packages of one's own whose classes a checkpoint may name.

    Raises:
        ConfigError: no such model, a folder that holds none, or a trusted package that is not installed.
        CheckpointError: its weights cannot be loaded safely.
        MissingExtraError: a library that it needs is not installed.
    """
    path, trusted = Path(spec), checked_packages(trust_packages)
    if path.is_dir():
        return _load("voxtile.stages.embed.hub:folder_extractor", path)
    if path.is_file():
        return _load("voxtile.stages.embed.clip_model:checkpoint_extractor", path, trusted)
    check_extractor_name(spec)
    hub, _, name = spec.partition(":")
    return _load(HUBS[hub], name)


def short_name(path: Path, content: bytes) -> str:
    """A name for a local model: what it is called, and a hash of what it is; no folder of this machine."""
    return f"{path.stem or path.name}-{hashlib.sha256(content).hexdigest()[:8]}"


def _load(target: str, name: str | Path, *further: Sequence[str]) -> Extractor:
    module, _, function = target.partition(":")
    make: Callable[..., Extractor] = getattr(importlib.import_module(module), function)
    return make(name, *further)


_PICTURES = ("jpg", "png", "ref")


def check_pictures(metas: Sequence[Mapping[str, Any]]) -> None:
    """Raise PresetError where a sample is no grey or RGB picture of 8 bits."""
    for meta in metas:
        shape, dtype = list(meta.get("shape") or ()), meta.get("dtype")
        flat = len(shape) in (0, 2) or (len(shape) == 3 and shape[2] in (1, 3))
        if not flat or dtype not in (None, "uint8") or meta.get("axes") not in (None, "YX", "YXC"):
            raise PresetError(f"this model embeds RGB pictures of 8 bits, but the corpus holds {described(meta)}")


class PictureExtractor(ABC):
    """A model of RGB pictures whose library brings the transform.

    Args:
        name: how the table calls it.
        model: a module.
        transform: picture → [3, Y, X].
    """

    def __init__(self, name: str, model: Any, transform: Callable[[Image.Image], Any]) -> None:  # noqa: ANN401
        self.name = name
        self._device = best_device()
        self._model = model.eval().to(self._device)
        self._transform = transform

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """RGB or grey pictures of 8 bits."""
        check_pictures(metas)

    def prepare(self, source: SampleSource) -> Tensor:
        """By the transform that came with the model."""
        return torch.as_tensor(self._transform(picture_of(source)))

    @torch.inference_mode()
    def encode(self, images: Tensor) -> Tensor:
        """[S, 3, Y, X] to [S, D]."""
        return self._features(images.to(self._device)).float().cpu()

    @abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """[S, 3, Y, X] to [S, D], on the model's device."""


def picture_of(source: SampleSource) -> Image.Image:
    """RGB picture of a sample."""
    if source.meta.get("codec") in _PICTURES:
        return Image.open(io.BytesIO(source.encoded()), formats=["JPEG", "PNG"]).convert("RGB")
    values = source.array()
    return Image.fromarray(values.squeeze(-1) if values.ndim == 3 and values.shape[2] == 1 else values).convert("RGB")
