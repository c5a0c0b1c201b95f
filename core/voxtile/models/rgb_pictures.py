"""Models of RGB pictures on what is no picture: volumes by pooling slices, multispectral tiles by three named bands.

A volume becomes axial slices at the middles of equal parts of its height, seen as on a viewer (from the feet, the
patient's right on the left), windowed to 8 bits. Each slice goes through the model's own preprocessing and tower; a
volume's embedding is the mean of the normalised ones, normalised again. A tile becomes red, green and blue by the names
of its bands: 8 bits as they are, reflectance of 0 to 0.3 over 8 bits, other units by the 2nd and 98th percentiles of
its scene, or its own where the converter noted none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from voxtile.data.presets.base import BasePreset, Preset, SampleSource, described, rescale_of
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.tile import band_names, nodata_value
from voxtile.errors import ConfigError, PresetError
from voxtile.formats.display import stretch_of
from voxtile.models.flattening import Flattening
from voxtile.models.protocol import EvaluationModel

SOFT_TISSUE = (-160.0, 240.0)
"""Window of CT where none is asked for: level 40, width 400 HU."""
REFLECTANCE = (0.0, 0.3)
_PERCENTILES, _SPREAD = (0.5, 99.5), (2.0, 98.0)
_AT_ONCE = 64  # slices


def flattening_note(how: Flattening, preset: Preset) -> str:
    """What was done for a preset of this module, as a sentence; nothing for others."""
    if isinstance(preset, SlicePreset):
        window = "a window by units" if how.window is None else f"the window {how.window[0]:g} to {how.window[1]:g}"
        return f"a model of pictures on volumes: mean over {how.slices} axial slices, {window}"
    if isinstance(preset, BandsPreset):
        return f"a model of pictures on tiles: the bands {', '.join(how.bands)} as red, green and blue"
    return ""


def flattened(model: EvaluationModel, metas: Sequence[Mapping[str, Any]], how: Flattening) -> EvaluationModel:
    """The model itself, or, where it reads pictures and the samples are volumes or many-banded, one that reads those.

    Args:
        model: any.
        metas: rows of the samples that it shall read.
        how: they become pictures.
    """
    return reading_by(model, flattened_preset(model.preset, metas, how))


def reading_by(model: EvaluationModel, preset: Preset) -> EvaluationModel:
    """The model itself, or, for a preset of this module, one that reads by it."""
    if isinstance(preset, SlicePreset):
        return SlicePooledModel(model, preset)
    return BandsModel(model, preset) if isinstance(preset, BandsPreset) else model


def flattened_preset(preset: Preset, metas: Sequence[Mapping[str, Any]], how: Flattening) -> Preset:
    """The preset itself, or, where it is of pictures and the samples are volumes or many-banded, one that reads those.

    Args:
        preset: any.
        metas: rows of the samples that it shall read.
        how: they become pictures.
    """
    if not isinstance(preset, ImagePreset) or not metas:
        return preset
    if all(meta.get("kind") == "volume" for meta in metas):
        return SlicePreset(preset, how)
    if all(meta.get("axes") == "CYX" and meta.get("codec") not in ("jpg", "png") for meta in metas):
        return BandsPreset(preset, how)
    return preset


@dataclass(frozen=True)
class _PicturesOf(BasePreset):
    """What is no picture, as pictures that a preset of pictures makes its own.

    Attributes:
        picture: that preset.
        how: they become pictures.
    """

    picture: ImagePreset
    how: Flattening

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def channels(self) -> int:
        """Of a picture."""
        return self.picture.channels


@dataclass(frozen=True)
class SlicePreset(_PicturesOf):
    """[C, Z, Y, X]: slices of a volume, each as the picture preset makes it.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImagePreset
        >>> from voxtile.models import Flattening, SlicePreset
        >>> preset = SlicePreset(ImagePreset(size=(32, 32)), Flattening(slices=4))
        >>> volume = ArraySample(np.zeros((10, 40, 40), np.int16), {"kind": "volume", "units": "HU"})
        >>> preset(volume, None).shape
        torch.Size([3, 4, 32, 32])
    """

    @property
    def grid(self) -> tuple[int, ...]:
        """(Z, Y, X)."""
        return (self.how.slices, *self.picture.size)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample is no volume with axes ZYX."""
        for meta in metas:
            if meta.get("kind") != "volume" or (meta.get("axes") or "ZYX") != "ZYX":
                raise PresetError(f"slices are taken of volumes with axes ZYX, but the corpus holds {described(meta)}")

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Z, Y, X] float32; nothing is random."""
        scale, offset = rescale_of(source.meta)
        values = source.array().astype(np.float32) * np.float32(scale) + np.float32(offset)
        places = ((np.arange(self.how.slices) + 0.5) * len(values) / self.how.slices).astype(int)
        low, high = self._window(source.meta, values)
        pixels = _eight_bits(values[places, ::-1, ::-1], low, high)
        return torch.stack([self.picture(_Picture(source.meta, plane), None) for plane in pixels], dim=1)

    def _window(self, meta: Mapping[str, Any], values: npt.NDArray[np.float32]) -> tuple[float, float]:
        if self.how.window is not None:
            return self.how.window
        if meta.get("units") == "HU":
            return SOFT_TISSUE
        low, high = np.percentile(values, _PERCENTILES)
        return float(low), float(high)


@dataclass(frozen=True)
class BandsPreset(_PicturesOf):
    """[3, Y, X]: three named bands of a tile, as the picture preset makes it.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImagePreset
        >>> from voxtile.models import BandsPreset, Flattening
        >>> preset = BandsPreset(ImagePreset(size=(32, 32)), Flattening(bands=("B08", "B04", "B03")))  # false colour
        >>> bands = [{"name": name} for name in ("B02", "B03", "B04", "B08")]
        >>> meta = {"kind": "tile", "channels": bands, "units": "reflectance"}
        >>> tile = ArraySample(np.zeros((4, 40, 40), np.float32), meta)
        >>> preset(tile, None).shape
        torch.Size([3, 32, 32])
    """

    @property
    def version(self) -> str:
        """Version of the code."""
        return "2"

    @property
    def grid(self) -> tuple[int, ...]:
        """(Y, X)."""
        return self.picture.size

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample lacks one of the bands."""
        for meta in metas:
            for band in self.how.bands:
                self._place(meta, band)

    @property
    def of_masks(self) -> Preset:
        """The same geometry for masks."""
        return self.picture.of_masks

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Y, X] float32; nothing is random. Tiles of 8 bits are taken as they are."""
        meta, stored = source.meta, source.array()
        if stored.dtype == np.uint8:
            seen = np.stack([stored[self._place(meta, band)] for band in self.how.bands], axis=-1)
            return self.picture(_Picture(meta, seen), None)
        places = [self._place(meta, band) for band in self.how.bands]
        planes = []
        for place in places:
            scale, offset = rescale_of({"channels": (meta.get("channels") or [])[place : place + 1] or [{}]})
            physical = stored[place].astype(np.float32) * np.float32(scale) + np.float32(offset)
            nodata = nodata_value(meta, place)
            planes.append(physical if nodata is None else np.where(stored[place] == nodata, np.nan, physical))
        values = np.stack(planes, axis=-1)
        low, high = REFLECTANCE if meta.get("units") == "reflectance" else _ends(values, meta, places)
        return self.picture(_Picture(meta, _eight_bits(values, low, high)), None)

    def _place(self, meta: Mapping[str, Any], band: str) -> int:
        names = [name.casefold() for name in band_names(meta)]
        place = next((names.index(name) for name in band.casefold().split("|") if name in names), None)
        if place is None:
            there = ", ".join(band_names(meta)) or "no named bands"
            raise PresetError(
                f"a model of pictures needs a band {band.replace('|', ' or ')}, but the corpus holds {described(meta)} "
                f"with {there}; name three of them with --bands"
            )
        return place


class BandsModel:
    """A model of pictures that reads tiles by three of their bands.

    Args:
        model: of pictures.
        preset: how tiles become its pictures.
    """

    fact_names: tuple[str, ...] = ()

    def __init__(self, model: EvaluationModel, preset: Preset) -> None:
        self.name, self.preset, self._model = model.name, preset, model

    @property
    def pictures(self) -> EvaluationModel:
        """The model of pictures itself."""
        return self._model

    @property
    def logit_scale(self) -> float:
        """Of the model."""
        return self._model.logit_scale

    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, Y, X] to [S, D]."""
        return self._model.encode_images(images)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """T texts to [T, D]."""
        return self._model.encode_texts(texts)

    def fact_logits(self, images: Tensor) -> Tensor:
        """Such models have no head for facts here.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"model '{self.name}' has no fact head on samples that are no pictures")


class SlicePooledModel(BandsModel):
    """A model of pictures that reads volumes by the mean over their slices."""

    def encode_images(self, images: Tensor) -> Tensor:
        """[S, C, Z, Y, X] to [S, D]."""
        slices = images.transpose(1, 2).flatten(0, 1)
        parts = [self._model.encode_images(slices[at : at + _AT_ONCE]) for at in range(0, len(slices), _AT_ONCE)]
        vectors = functional.normalize(torch.cat(parts), dim=1).view(len(images), images.shape[2], -1)
        return functional.normalize(vectors.mean(dim=1), dim=1)


class _Picture:
    """8-bit pixels as a sample."""

    def __init__(self, meta: Mapping[str, Any], pixels: npt.NDArray[np.uint8]) -> None:
        self.meta = {
            "uid": meta.get("uid"), "kind": "image", "modality": meta.get("modality"), "codec": "b2nd",
            "axes": "YXC" if pixels.ndim == 3 else "YX", "shape": list(pixels.shape), "dtype": "uint8",
        }  # fmt: skip
        self._pixels = pixels

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[np.uint8]:
        return self._pixels[selection or ()]

    def encoded(self) -> bytes:
        raise PresetError("these pixels are no file")


def _ends(values: npt.NDArray[np.float32], meta: Mapping[str, Any], places: Sequence[int]) -> tuple[float, float]:
    """Black and white of three bands together: over their scene, so that tiles can be compared, else of the tile."""
    limits = [ends for place in places if (ends := stretch_of(meta, place)) is not None]
    if len(limits) == len(places):
        return min(low for low, _ in limits), max(high for _, high in limits)
    known = values[np.isfinite(values)]  # NaN is where a tile has no value
    low, high = np.percentile(known, _SPREAD).tolist() if known.size else (0.0, 1.0)
    return float(low), float(high)


def _eight_bits(values: npt.NDArray[np.float32], low: float, high: float) -> npt.NDArray[np.uint8]:
    known = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scaled = np.clip((known - low) * (255 / max(high - low, 1e-6)) + 0.5, 0, 255)
    pixels: npt.NDArray[np.uint8] = scaled.astype(np.uint8)
    return pixels
