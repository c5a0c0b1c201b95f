"""Preprocessing of tiles with named bands: chosen by name and never by position, physical values, normalised."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from voxtile.data.presets import picture
from voxtile.data.presets.base import BasePreset, SampleSource, as_tuples, check_units_and_modality, described
from voxtile.errors import PresetError

REFERENCE_GSD_M = 10.0
"""The ground sampling distance at which the GSD channel is zero."""

_KINDS = ("tile", "image", "patch")
_PICTURE_BANDS = ("red", "green", "blue")
_LEAST_POWER = 1e-6  # -60 dB, below the noise floor of any spaceborne radar


@dataclass(frozen=True)
class TileAugment:
    """Random changes in training; none by default.

    Attributes:
        shift: largest move in output pixels along y and x, drawn uniformly; the preset reads so much more on each side.
        flip: probability of mirroring, for each axis.
        turn: also turn by a multiple of 90 degrees, each as likely.
        gain: half-width of a factor around 1 on the physical values of all bands together (illumination, haze).
        band_gain: half-width of a factor around 1, drawn for each band (calibration, phenology).
        noise: standard deviation of Gaussian noise, in units of `std`.

    A flip or a turn changes what "north" means: samples whose chosen text names a direction are neither mirrored nor
    turned (`voxtile.data.captions`).

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import TileAugment, TilePreset
        >>> preset = TilePreset(bands=("red",), size=(2, 2), augment=TileAugment(turn=True))
        >>> meta = {"kind": "tile", "axes": "CYX", "shape": (1, 2, 2), "channels": [{"name": "red"}]}
        >>> tile = ArraySample(np.array([[[1, 2], [3, 4]]], np.float32), meta)
        >>> turned = [preset(tile, np.random.default_rng(seed)) for seed in range(20)]
        >>> sorted({image[0, 0, 0].item() for image in turned})  # each corner comes to be the first
        [1.0, 2.0, 3.0, 4.0]
    """

    shift: int = 0
    flip: float = 0.0
    turn: bool = False
    gain: float = 0.0
    band_gain: float = 0.0
    noise: float = 0.0


class Channel(NamedTuple):
    """Where a band of the preset is in a sample: position on the channel axis, physical = stored · scale + offset."""

    position: int
    scale: float
    offset: float


@dataclass(frozen=True, kw_only=True)
class TilePreset(BasePreset):
    """A tile in the model's grid, one channel a band.

    Attributes:
        bands: names in the order of the output channels; `B04|SR_B4|red` takes the first name that a sample has.
            Capitals and leading zeros of numbers do not matter (`b4` is `B04`).
        size: output pixels (y, x).
        mean, std: normalisation of physical values, one number for all bands or one a band.
        standardise: normalise each band by its own mean and deviation over the tile instead, at least a thousandth of
            `std`: for photographs whose light and white balance say nothing, never for physical values that do.
        clip: (low, high) of physical values, or None.
        missing: `refuse` a corpus that lacks a band, or `fill` the band with its mean (0 once normalised).
        decibels: the stored values are linear power and become 10 · log10 before all else.
        gsd_m: resample tiles to this ground sampling distance; None keeps the pixels as they are.
        gsd_channel: append a channel with log2(GSD / 10 m), which a tower can take as a condition.
        crop: training takes the `centre`, or a `random` window of a larger tile (only its chunks are read).
        units: required units, or None for any.
        modalities: accepted modalities; empty accepts all.
        augment: random changes in training.

    Raises:
        PresetError: bands, a size, statistics or a range that cannot be, or turns of what is not square.

    Examples:
        >>> import numpy as np
        >>> from voxtile.api.inputs import ArraySample
        >>> from voxtile.data import TilePreset
        >>> preset = TilePreset(bands=("B08", "B04|red"), size=(32, 32), mean=(0.2,), std=(0.1,))
        >>> bands = [{"name": "B04", "scale": 1e-4}, {"name": "B08", "scale": 1e-4}]
        >>> tile = np.stack([np.full((40, 40), 1000, np.uint16), np.full((40, 40), 3000, np.uint16)])
        >>> meta = {"kind": "tile", "axes": "CYX", "shape": tile.shape, "dtype": "uint16", "channels": bands}
        >>> image = preset(ArraySample(tile, meta), None)
        >>> image.shape, [round(band.mean().item(), 3) for band in image]  # bands by name: (0.3 - 0.2) / 0.1 is first
        (torch.Size([2, 32, 32]), [1.0, -1.0])
    """

    bands: tuple[str, ...]
    size: tuple[int, int] = (64, 64)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    standardise: bool = False
    clip: tuple[float, float] | None = None
    missing: Literal["refuse", "fill"] = "refuse"
    decibels: bool = False
    gsd_m: float | None = None
    gsd_channel: bool = False
    crop: Literal["centre", "random"] = "centre"
    units: str | None = None
    modalities: tuple[str, ...] = ()
    augment: TileAugment = field(default_factory=TileAugment)

    def __post_init__(self) -> None:
        for name in ("bands", "size", "mean", "std", "clip", "modalities"):
            object.__setattr__(self, name, as_tuples(getattr(self, name)))
        if isinstance(self.augment, Mapping):
            object.__setattr__(self, "augment", TileAugment(**self.augment))
        if not self.bands or len(set(self.bands)) < len(self.bands):
            raise PresetError(f"bands: {list(self.bands)} must name at least one band, and each one once")
        if len(self.size) != 2 or min(self.size) < 1:
            raise PresetError(f"size: {self.size} is not two positive numbers of pixels (y, x)")
        if {len(self.mean), len(self.std)} - {1, len(self.bands)} or min(self.std) <= 0:
            raise PresetError(
                f"mean and std: need one number, or one for each of {len(self.bands)} bands, std above 0; got "
                f"{len(self.mean)} and {len(self.std)}"
            )
        if self.clip is not None and not self.clip[0] < self.clip[1]:
            raise PresetError(f"clip: {self.clip} is not (low, high) with low below high")
        if self.augment.turn and self.size[0] != self.size[1]:
            raise PresetError(f"augment.turn: tiles of {self.size} pixels cannot be turned; make the size square")

    @property
    def version(self) -> str:
        """Version of the code."""
        return "1"

    @property
    def channels(self) -> int:
        """Bands, and the ground sampling distance where asked."""
        return len(self.bands) + self.gsd_channel

    @property
    def grid(self) -> tuple[int, ...]:
        """(Y, X)."""
        return self.size

    @cached_property
    def upright(self) -> TilePreset:
        """The same without mirroring and turning, for texts that name a direction."""
        return replace(self, augment=replace(self.augment, flip=0.0, turn=False))

    @cached_property
    def of_masks(self) -> TilePreset:
        """The same geometry for masks, see `voxtile.data.regions.masks`."""
        change = TileAugment(shift=self.augment.shift, flip=self.augment.flip, turn=self.augment.turn)
        plain: dict[str, Any] = {"bands": ("mask",), "mean": (0.0,), "std": (1.0,), "clip": None, "units": None}
        switched_off: dict[str, Any] = {"standardise": False, "decibels": False, "gsd_channel": False}
        return replace(self, **plain, **switched_off, missing="refuse", modalities=(), augment=change)

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError if a sample is not a tile with the bands, units and modality that the model needs."""
        for meta in metas:
            if meta.get("kind") not in _KINDS or len(meta.get("shape") or ()) not in (2, 3):
                raise PresetError(f"this model reads tiles, but the corpus holds {described(meta)}")
            if str(meta.get("dtype")).startswith("complex"):
                raise PresetError(
                    f"this model reads real numbers, but the corpus holds {described(meta)} of complex ones; convert "
                    "their amplitude: gdal_calc.py -A SCENE.tif --type=Float32 --calc='abs(A)' --outfile=AMPLITUDE.tif"
                )
            found = self._channels(meta)
            try:
                check_units_and_modality(meta, self.units, self.modalities)
            except PresetError as error:
                if meta.get("modality") in self.modalities or not self.modalities or None in found:
                    raise
                raise PresetError(
                    f"{error}; its bands are all there: where the tiles are {self.modalities[0]}, write 'modality: "
                    f"{self.modalities[0]}' into the sidecar of their scenes (SCENE.yaml or bands.yaml beside them) "
                    "and convert again, or accept others with data.preset.init_args.modalities"
                ) from None
            absent = [band for band, channel in zip(self.bands, found, strict=True) if channel is None]
            if absent and (self.missing == "refuse" or len(absent) == len(self.bands)):
                there = ", ".join(name or "(unnamed)" for name in band_names(meta)) or "no named bands"
                raise PresetError(
                    f"this model needs the band {absent[0]}, but the corpus holds {described(meta)} with {there}; "
                    "convert with that band, or set data.preset.init_args.missing to fill"
                )
            if (self.gsd_m or self.gsd_channel) and not meta.get("gsd_m"):
                raise PresetError(
                    f"this model needs the ground sampling distance, but the corpus holds {described(meta)} without it"
                )

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, Y, X] float32; random only with `rng`."""
        if rng is not None and self.crop == "random":
            return self._finished(self._window(source, self.size, rng), rng)
        return self.finish(self.base(source), rng)

    @property
    def cacheable(self) -> bool:
        """Whether training can start from `base`: not where it crops at random."""
        return self.crop == "centre"

    @property
    def base_shape(self) -> tuple[int, int, int]:
        """Shape of `base`: channels, and the grid with a margin for shifts."""
        margin = 2 * self.augment.shift
        return self.channels, self.size[0] + margin, self.size[1] + margin

    @property
    def base_dtype(self) -> torch.dtype:
        """Half precision: normalised values need no more."""
        return torch.float16

    def base(self, source: SampleSource) -> Tensor:
        """The deterministic part: the centre with its margin, normalised, [*base_shape] float16."""
        return self._window(source, self.base_shape[1:], None).to(self.base_dtype)

    def finish(self, base: Tensor, rng: np.random.Generator | None) -> Tensor:
        """Shift and augment (with `rng`).

        Args:
            base: [*base_shape], from `base`.
            rng: source of randomness, or None for the centre.

        Returns:
            [C, Y, X] float32.
        """
        margin = self.augment.shift
        top, left = (int(v) for v in rng.integers(0, 2 * margin + 1, 2)) if rng is not None else (margin, margin)
        values = base[:, top : top + self.size[0], left : left + self.size[1]].float()
        return values if rng is None else self._finished(values, rng)

    def _finished(self, values: Tensor, rng: np.random.Generator) -> Tensor:
        change, bands = self.augment, len(self.bands)
        mirrored = [axis for axis in (1, 2) if change.flip and rng.random() < change.flip]
        values = values.flip(mirrored) if mirrored else values
        if change.turn:
            values = torch.rot90(values, int(rng.integers(4)), (1, 2))
        if change.gain or change.band_gain:
            factor = (1 + change.gain * rng.uniform(-1, 1)) * (1 + change.band_gain * rng.uniform(-1, 1, bands))
            gain = torch.from_numpy(factor.astype(np.float32))[:, None, None]
            # The factor is on physical values: mean + std · x → gain · (mean + std · x); missing pixels stay at 0.
            moved = values[:bands] * gain + (gain - 1) * (self._mean / self._std)
            values = torch.cat([torch.where(values[:bands] == 0, values[:bands], moved), values[bands:]])
        if change.noise:
            noise = torch.from_numpy(rng.standard_normal((bands, *values.shape[1:]), dtype=np.float32))
            values = torch.cat([values[:bands] + change.noise * noise, values[bands:]])
        return values.contiguous()

    def _window(self, source: SampleSource, out: Sequence[int], rng: np.random.Generator | None) -> Tensor:
        """Read a window of `out` pixels, the centre or (with `rng`) anywhere, and normalise it."""
        meta = source.meta
        ratio = self.gsd_m / float(meta["gsd_m"]) if self.gsd_m else 1.0  # source pixels an output pixel
        size = _spatial(meta)
        box = [_place(full, math.ceil(n * ratio), rng) for full, n in zip(size, out, strict=True)]
        values = self._normalised(_read(source, box), meta)
        if ratio != 1.0:
            inner = [min(n, max(1, round(have / ratio))) for n, have in zip(out, values.shape[1:], strict=True)]
            values = functional.interpolate(
                values[None], size=inner, mode="bilinear", antialias=True, align_corners=False
            )[0]
        values = picture.centre_crop_or_pad(values, (out[0], out[1]), 0.0)
        if self.gsd_channel:
            gsd = self.gsd_m or float(meta["gsd_m"])
            values = torch.cat([values, values.new_full((1, *values.shape[1:]), math.log2(gsd / REFERENCE_GSD_M))])
        return values

    def _normalised(self, stored: npt.NDArray[Any], meta: Mapping[str, Any]) -> Tensor:
        """[C, Y, X] of the sample as it is stored to [bands, Y, X] float32; 0 where there is no value."""
        out = np.zeros((len(self.bands), *stored.shape[1:]), np.float32)
        for place, channel in enumerate(self._channels(meta)):
            if channel is None:
                continue
            raw, nodata = stored[channel.position], nodata_value(meta, channel.position)
            physical = raw.astype(np.float32) * np.float32(channel.scale) + np.float32(channel.offset)
            if self.decibels:
                physical = 10 * np.log10(np.maximum(physical, _LEAST_POWER))
            if self.clip is not None:
                physical = np.clip(physical, *self.clip)
            known = np.isfinite(physical) if nodata is None else np.isfinite(physical) & (raw != nodata)
            mean, std = self.mean[place % len(self.mean)], self.std[place % len(self.std)]
            if self.standardise and known.any():
                mean, std = float(physical[known].mean()), max(float(physical[known].std()), std / 1000)
            np.divide(physical - np.float32(mean), np.float32(std), out=out[place], where=known)
        return torch.from_numpy(out)

    def _channels(self, meta: Mapping[str, Any]) -> list[Channel | None]:
        """Where each band of the preset is in a sample; None where the sample has none of its names."""
        there = {_key(name): index for index, name in reversed(list(enumerate(band_names(meta)))) if name}
        table = meta.get("channels") or []
        found: list[Channel | None] = []
        for band in self.bands:
            index = next((there[_key(name)] for name in band.split("|") if _key(name) in there), None)
            row = table[index] if index is not None and index < len(table) else {}
            scale, offset = row.get("scale"), row.get("offset")
            found.append(
                None
                if index is None
                else Channel(index, 1.0 if scale is None else float(scale), 0.0 if offset is None else float(offset))
            )
        return found

    @cached_property
    def _mean(self) -> Tensor:
        return torch.tensor([self.mean[i % len(self.mean)] for i in range(len(self.bands))])[:, None, None]

    @cached_property
    def _std(self) -> Tensor:
        return torch.tensor([self.std[i % len(self.std)] for i in range(len(self.bands))])[:, None, None]


def band_names(meta: Mapping[str, Any]) -> list[str]:
    """Names of a sample's channels in order; those of a picture without a channel table are red, green and blue."""
    names = [str(channel.get("name") or "") for channel in meta.get("channels") or []]
    if not any(names) and meta.get("codec") in ("jpg", "png"):
        return list(_PICTURE_BANDS)
    return names


def _key(name: str) -> str:
    """`B04`, `b4` and `B4` as one."""
    name = name.strip().casefold()
    head = name.rstrip("0123456789")
    digits = name[len(head) :]
    return head + (digits.lstrip("0") or "0") if digits else head


def nodata_value(meta: Mapping[str, Any], position: int) -> float | None:
    """The stored value of a channel that means no value, as the converter noted it in `attributes`.

    One number holds for all channels; where they differ, there is a list with one number or null a channel.
    """
    held = meta if "nodata" in meta else json.loads(meta.get("attributes") or "{}")
    value = held.get("nodata")
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = value[position] if position < len(value) else None
    return float(value) if isinstance(value, int | float) else None


def _spatial(meta: Mapping[str, Any]) -> tuple[int, int]:
    shape, axes = meta["shape"], meta.get("axes") or ("CYX" if len(meta["shape"]) == 3 else "YX")
    return int(shape[axes.index("Y")]), int(shape[axes.index("X")])


def _place(full: int, wanted: int, rng: np.random.Generator | None) -> slice:
    """`wanted` of `full` pixels: the centre, or with `rng` anywhere; all where there are fewer."""
    room = full - wanted
    if room <= 0:
        return slice(0, full)
    start = room // 2 if rng is None else int(rng.integers(room + 1))
    return slice(start, start + wanted)


def _read(source: SampleSource, box: Sequence[slice]) -> npt.NDArray[Any]:
    """[C, Y, X] stored values of a window."""
    if source.meta.get("codec") in ("jpg", "png"):
        return picture.decode(source.encoded(), 3).numpy()[:, box[0], box[1]]
    axes = source.meta.get("axes") or "CYX"
    by_axis = {"C": slice(None), "Y": box[0], "X": box[1]}
    values = source.array(tuple(by_axis[axis] for axis in axes))
    return np.moveaxis(values, axes.index("C"), 0) if "C" in axes else values[None]
