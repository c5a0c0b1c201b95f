"""Preprocessing of pictures and 2D arrays: resize, crop, normalise; open_clip's in evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from voxtile.data.presets import picture
from voxtile.data.presets.base import (
    BasePreset,
    SampleSource,
    as_tuples,
    check_units_and_modality,
    described,
    rescale_of,
)
from voxtile.errors import PresetError

_PERCENTILES = (0.5, 99.5)
_PICTURE_KINDS = ("image", "tile", "patch")


@dataclass(frozen=True)
class ImageAugment:
    """Random changes in training.

    Attributes:
        crop: `resized` draws torchvision's RandomResizedCrop; `shift` moves the evaluation picture by up to `shift`
            pixels; `none` keeps the evaluation picture.
        scale, ratio: share of the area, and width over height, of the resized crop.
        shift: largest move in output pixels; what comes in repeats the edge.
        flip: probability of mirroring left and right.
        brightness: half-width of an offset, as a share of the full range.
        contrast: half-width of a factor around 1.
        colour: half-width of the logarithm of a gamma for each channel by itself, as stains and lamps differ.
        quarter_turns: turn by 0, 90, 180 or 270 degrees, each as likely, where nothing tells up from down; needs a
            square `size`.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImageAugment, ImagePreset
        >>> change = ImageAugment(crop="none", brightness=0.2)
        >>> preset = ImagePreset(size=(8, 8), channels=1, mean=(0,), std=(1,), augment=change)
        >>> sample = ArraySample(np.full((8, 8), 102, np.uint8), {"kind": "image", "axes": "YX", "shape": (8, 8)})
        >>> round(preset(sample, None).mean().item(), 4)  # nothing is random in evaluation
        0.4
        >>> bool(0.2 <= preset(sample, np.random.default_rng(0)).mean() <= 0.6)
        True
    """

    crop: Literal["resized", "shift", "none"] = "resized"
    scale: tuple[float, float] = (0.9, 1.0)
    ratio: tuple[float, float] = (0.75, 4 / 3)
    shift: int = 0
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    colour: float = 0.0
    quarter_turns: bool = False


@dataclass(frozen=True, kw_only=True)
class ImagePreset(BasePreset):
    """A picture in the model's grid.

    Attributes:
        size: output pixels (y, x).
        channels: 3 (grey is repeated) or 1 (colour becomes luma).
        mean, std: normalisation of values in [0, 1], a number a channel; the defaults are OpenAI CLIP's.
        resize: `shortest` covers the grid and crops the centre, `longest` fits into it and pads, `squash` ignores the
            aspect.
        interpolation: `bicubic` or `bilinear`, anti-aliased.
        fill: grey level (0 to 255) of padding.
        window: for arrays (X-rays, units a.u.): (low, high) in stored units, `meta` for the window that the corpus
            gives, else percentiles, or `percentile` for the 0.5th to the 99.5th percentile of each picture.
        units: required units, or None for any.
        modalities: accepted modalities; empty accepts all.
        augment: random changes in training.

    Raises:
        PresetError: a size, number of channels or statistics that cannot be, or quarter turns of what is not square.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import ImagePreset
        >>> picture = np.zeros((480, 640, 3), np.uint8)
        >>> sample = ArraySample(picture, {"kind": "image", "axes": "YXC", "shape": picture.shape, "dtype": "uint8"})
        >>> ImagePreset()(sample, None).shape
        torch.Size([3, 224, 224])
        >>> ImagePreset(size=(32, 64), channels=1, mean=(0.5,), std=(0.5,))(sample, None).unique()  # black
        tensor([-1.])
    """

    size: tuple[int, int] = (224, 224)
    channels: Literal[1, 3] = 3
    mean: tuple[float, ...] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, ...] = (0.26862954, 0.26130258, 0.27577711)
    resize: Literal["shortest", "longest", "squash"] = "shortest"
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    fill: int = 0
    window: tuple[float, float] | Literal["meta", "percentile"] = "meta"
    units: str | None = None
    modalities: tuple[str, ...] = ()
    augment: ImageAugment = field(default_factory=ImageAugment)

    def __post_init__(self) -> None:
        for name in ("size", "mean", "std", "window", "modalities"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        if isinstance(self.augment, Mapping):
            object.__setattr__(self, "augment", ImageAugment(**{k: as_tuples(v) for k, v in self.augment.items()}))
        if len(self.size) != 2 or min(self.size) < 1:
            raise PresetError(f"size: {self.size} is not two positive numbers of pixels (y, x)")
        if self.channels not in (1, 3):
            raise PresetError(f"channels: {self.channels} is neither 1 (grey) nor 3 (RGB)")
        if self.augment.quarter_turns and self.size[0] != self.size[1]:
            raise PresetError(f"augment.quarter_turns needs a square picture, but size is {self.size}")
        if len(self.mean) != self.channels or len(self.std) != self.channels or min(self.std) <= 0:
            raise PresetError(f"mean and std: need {self.channels} numbers each, got {self.mean} and {self.std}")

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def grid(self) -> tuple[int, ...]:
        """(Y, X)."""
        return self.size

    @cached_property
    def of_masks(self) -> _PictureMasks:
        """The same geometry for masks, see `voxtile.data.regions.masks`."""
        moves = replace(self.augment, brightness=0.0, contrast=0.0, colour=0.0)
        return _PictureMasks(
            size=self.size, channels=1, mean=(0.0,), std=(1.0,), resize=self.resize, interpolation="bilinear", fill=0,
            augment=moves,
        )  # fmt: skip

    def placed(self, shape: Sequence[int]) -> tuple[tuple[float, float], tuple[float, float]]:
        """How the model's grid lies on a picture in evaluation.

        Args:
            shape: (Y, X) of the picture.

        Returns:
            Pixels of the picture a pixel of the grid (y, x), and where its lower edges lie in pixels of the picture.
        """
        size = (int(shape[0]), int(shape[1]))
        target = self._scale(size)
        # Cut or padded about the centre, rounded as `centre_crop_or_pad` does.
        start = [round((t - n) / 2) if t >= n else -((n - t) // 2) for t, n in zip(target, self.size, strict=True)]
        ratio = size[0] / target[0], size[1] / target[1]
        return ratio, (start[0] * ratio[0], start[1] * ratio[1])

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample is not a picture with the right channels, units and modality."""
        for meta in metas:
            if meta.get("kind") not in _PICTURE_KINDS:
                raise PresetError(f"this model reads pictures, but the corpus holds {described(meta)}")
            axes, shape = meta.get("axes"), list(meta.get("shape") or ())
            if axes not in (None, "YX", "YXC") or (len(shape) == 3 and shape[2] not in (1, 3)):
                raise PresetError(
                    f"this model reads grey or RGB pictures, but the corpus holds {described(meta)} with axes {axes}"
                )
            check_units_and_modality(meta, self.units, self.modalities)

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Y, X] float32; random only with `rng`."""
        return self.unpack(self.pixels(source, rng)[None])[0]

    def pixels(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """All but the normalisation, small to move: [C, Y, X] uint8, or float32 in [0, 255] for arrays."""
        if rng is not None and self.augment.crop == "resized":
            out = _changed(self._resized_crop(source, rng), self.augment, rng)
        else:
            out = self._finished(self._evaluated(self._load(source)), rng)
        return out.expand(self.channels, -1, -1)

    def whole(self, source: SampleSource) -> Tensor:
        """What `__call__` cuts the model's grid out of: the whole picture at that scale, [C, Y, X] float32."""
        return self.unpack(self._scaled(self._load(source)).expand(self.channels, -1, -1)[None])[0]

    @property
    def cacheable(self) -> bool:
        """Whether the decoded and resized picture is the same at every draw."""
        return self.augment.crop != "resized"

    @property
    def base_shape(self) -> tuple[int, ...]:
        """Shape of `base`: (C, Y, X)."""
        return (self.channels, *self.size)

    @property
    def base_dtype(self) -> torch.dtype:
        """Pictures of 8 bits only."""
        return torch.uint8

    def base(self, source: SampleSource) -> Tensor:
        """The decoded and resized picture: [C, Y, X] uint8.

        Raises:
            PresetError: the sample is no picture of 8 bits.
        """
        picture = self._evaluated(self._load(source))
        if picture.dtype != torch.uint8:
            raise PresetError(
                f"cache_in_memory holds pictures of 8 bits, but the corpus holds {described(source.meta)}; turn it off"
            )
        return picture.expand(self.channels, -1, -1)

    def finish(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """From `base`, [C, Y, X] uint8, to what `pixels` gives."""
        return self._finished(base, rng)

    def _finished(self, picture: Tensor, rng: np.random.Generator | None) -> Tensor:
        if rng is None:
            return picture
        change = self.augment
        if change.crop == "shift" and change.shift:
            picture = _shifted(picture, change.shift, rng)
        return _changed(picture, change, rng)

    def unpack(self, pixels: Tensor) -> Tensor:
        """Normalise [S, C, Y, X] of `pixels` to float32; on whichever device they are."""
        scale, offset = (constant.to(pixels.device) for constant in self._normalisation)
        if pixels.device.type != "cpu":
            return torch.addcmul(offset, pixels.to(torch.float32), scale)
        # NumPy and not torch: it asks for huge pages, so that 38 MB for 64 images cost four times less to touch, and it
        # starts no threads, which would wait for each other while the loader workers hold the cores.
        out, (factor, shift), stored = (
            np.empty(pixels.shape, np.float32),
            (scale.numpy(), offset.numpy()),
            pixels.numpy(),
        )
        for place in range(len(out)):
            image = out[place]
            np.copyto(image, stored[place])
            image *= factor
            image += shift
        return torch.from_numpy(out)

    @cached_property
    def _normalisation(self) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(v, dtype=torch.float32)[:, None, None] for v in (self.mean, self.std))
        return 1 / (255 * std), -mean / std

    def _load(self, source: SampleSource) -> Tensor:
        """[C, Y, X] uint8 for pictures and 8-bit arrays, float32 in [0, 255] for others; one channel where grey."""
        if _is_picture(source):
            return picture.decode(source.encoded(), self.channels)
        values = source.array()
        if values.dtype == np.uint8 and self.window == "meta" and not _stored_window(source.meta):
            return picture.to_channels(values, self.channels)
        scale, offset = rescale_of(source.meta)
        physical = values.astype(np.float32) * np.float32(scale) + np.float32(offset)
        low, high = self._limits(source.meta, physical)
        grey = np.clip((physical - low) * (255 / (high - low)), 0, 255).astype(np.float32)
        return picture.to_channels(grey, self.channels)

    def _limits(self, meta: Mapping[str, Any], values: npt.NDArray[np.float32]) -> tuple[float, float]:
        window: Any = _stored_window(meta) if self.window == "meta" else self.window
        if window is None or window == "percentile":
            window = np.percentile(values, _PERCENTILES).tolist()
        low, high = float(window[0]), float(window[1])
        return low, max(high, low + 1e-6)

    def _evaluated(self, image: Tensor) -> Tensor:
        return picture.centre_crop_or_pad(self._scaled(image), self.size, self.fill)

    def _scaled(self, image: Tensor) -> Tensor:
        return picture.resize_as_pillow(image, self._scale((image.shape[1], image.shape[2])), self.interpolation)

    def _scale(self, size: tuple[int, int]) -> tuple[int, int]:
        """Pixels that a picture of a size is brought to before it is cut or padded."""
        if self.resize == "squash":
            return self.size
        return (picture.shortest_size if self.resize == "shortest" else picture.longest_size)(size, self.size)

    def _resized_crop(self, source: SampleSource, rng: np.random.Generator) -> Tensor:
        data = source.encoded() if _is_picture(source) else b""
        size = picture.picture_size(data)
        image = None if size else self._load(source)
        height, width = size or (image.shape[1], image.shape[2])  # type: ignore[union-attr]
        box = picture.random_resized_box((height, width), self.augment.scale, self.augment.ratio, rng)
        if image is None:
            image, box = picture.decode_scaled(data, self.channels, (height, width), box, self.size)
        return picture.resize(picture.crop(image, box), self.size, self.interpolation)


class _PictureMasks(ImagePreset):
    """Masks as pictures are placed: one channel in 0 to 1, never bytes, which resizing would round."""

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [1, Y, X] float32."""
        return self.pixels(source, rng)

    @property
    def base_dtype(self) -> torch.dtype:
        """Shares of a pixel."""
        return torch.float32

    def base(self, source: SampleSource) -> Tensor:
        """[1, Y, X] float32, before anything random."""
        return self._evaluated(self._load(source))

    def _load(self, source: SampleSource) -> Tensor:
        return torch.from_numpy(source.array().astype(np.float32))[None]


def _stored_window(meta: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The window that the source recommends, [low, high], as the converter noted it in `attributes`."""
    if "window" in meta:
        return meta["window"]
    return json.loads(meta.get("attributes") or "{}").get("window")


def _is_picture(source: SampleSource) -> bool:
    return source.meta.get("codec") in ("jpg", "png")


def _shifted(image: Tensor, shift: int, rng: np.random.Generator) -> Tensor:
    height, width = image.shape[1:]
    rows = (torch.arange(height) + int(rng.integers(-shift, shift + 1))).clamp(0, height - 1)
    columns = (torch.arange(width) + int(rng.integers(-shift, shift + 1))).clamp(0, width - 1)
    return image[:, rows][:, :, columns]


def _changed(image: Tensor, change: ImageAugment, rng: np.random.Generator) -> Tensor:
    """Mirrored, turned and recoloured; still [C, Y, X] of the same type."""
    if change.flip and rng.random() < change.flip:
        image = image.flip(2)
    if change.quarter_turns:
        image = image.rot90(int(rng.integers(4)), (1, 2))
    if change.colour:
        image = _gamma(image, np.exp(rng.uniform(-change.colour, change.colour, len(image))))
    if change.brightness or change.contrast:
        factor = 1 + change.contrast * rng.uniform(-1, 1)
        offset = 255 * change.brightness * rng.uniform(-1, 1)
        changed = ((image.float() - 127.5) * float(factor) + (127.5 + float(offset))).clamp_(0, 255)
        image = changed.round_().to(torch.uint8) if image.dtype == torch.uint8 else changed
    return image


def _gamma(image: Tensor, gammas: npt.NDArray[np.float64]) -> Tensor:
    """Each channel to its power: by Beer-Lambert's law that multiplies the optical density."""
    if image.dtype != torch.uint8:
        exponents = torch.from_numpy(gammas.astype(np.float32))[:, None, None]
        return 255 * (image / 255).clamp(0, 1) ** exponents
    levels = (255 * (np.arange(256) / 255) ** gammas[:, None]).round().astype(np.uint8)
    tables = torch.from_numpy(levels)
    return torch.stack([table[channel.long()] for table, channel in zip(tables, image, strict=True)])
