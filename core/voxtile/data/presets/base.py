"""The base class of presets, and what they read from a sample's metadata."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from voxtile.errors import PresetError
from voxtile.listed_classes import public_name


class BasePreset(ABC):
    """A preset whose settings are the fields of a frozen dataclass; it implements `voxtile.data.Preset`."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Bumped whenever the tensor for the same sample changes."""

    @property
    @abstractmethod
    def grid(self) -> tuple[int, ...]:
        """Spatial shape of the output: (Y, X) or (Z, Y, X)."""

    @abstractmethod
    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing that a corpus cannot satisfy."""

    @abstractmethod
    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, *grid] float32; random only with `rng`."""

    def to_config(self) -> dict[str, Any]:
        """JSON-able {"class_path", "init_args", "version"} that `preset_from_config` turns back."""
        return {
            "class_path": public_name(type(self)),
            "init_args": asdict(self),  # type: ignore[call-overload]  # subclasses are dataclasses
            "version": self.version,
        }


def check_units_and_modality(meta: Mapping[str, Any], units: str | None, modalities: Sequence[str]) -> None:
    """Raise PresetError where a sample's units or modality are not those that a model needs."""
    if units and meta.get("units") != units:
        raise PresetError(
            f"this model needs units {units}, but the corpus holds {described(meta)} with units {meta.get('units')}"
        )
    if modalities and meta.get("modality") not in modalities:
        raise PresetError(
            f"this model needs modality {' or '.join(modalities)}, but the corpus holds {described(meta)}"
        )


def check_volume(meta: Mapping[str, Any], units: str | None, modalities: Sequence[str]) -> None:
    """Raise PresetError where a sample is no volume of three axes, or not in the units and modality of a model."""
    if meta.get("kind") != "volume" or len(meta.get("shape") or ()) != 3:
        raise PresetError(f"this model reads volumes, but the corpus holds {described(meta)}")
    if (meta.get("axes") or "ZYX") != "ZYX":
        raise PresetError(f"this model reads volumes with axes ZYX, but the corpus holds axes {meta['axes']}")
    check_units_and_modality(meta, units, modalities)


def described(meta: Mapping[str, Any]) -> str:
    """A sample in a few words, for messages."""
    shape = "×".join(map(str, meta.get("shape") or ())) or "unknown size"
    kind = str(meta.get("kind"))
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind} ({meta.get('modality')}, {shape})"


def spacing_mm(meta: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Voxel size in mm in array order (z, y, x), from `spacing` or from the affine's columns; None without either."""
    if meta.get("spacing"):
        return tuple(meta["spacing"])
    if meta.get("affine"):
        columns = np.asarray(meta["affine"], dtype=float).reshape(4, 4)[:3, :3]
        return tuple(np.linalg.norm(columns, axis=0)[::-1].tolist())
    return None


def rescale_of(meta: Mapping[str, Any]) -> tuple[float, float]:
    """Factor and offset from stored to physical values, of the first channel."""
    channel = (meta.get("channels") or [{}])[0]
    scale, offset = channel.get("scale"), channel.get("offset")
    return (1.0 if scale is None else float(scale)), (0.0 if offset is None else float(offset))


def as_tuples(value: Any) -> Any:  # noqa: ANN401 - nested lists of a JSON config, of any depth
    """Lists of a JSON or YAML config as tuples."""
    return tuple(as_tuples(item) for item in value) if isinstance(value, list | tuple) else value


class SampleSource(Protocol):
    """A sample as the loader and the evaluation see it: metadata now, pixels on demand."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """Columns that presets use: kind, modality, axes, shape, dtype, units, channels, affine, spacing, mpp."""

    def array(self, selection: tuple[slice, ...] | None = None) -> npt.NDArray[Any]:
        """Stored values of an array sample; with a selection only the chunks that it touches are read."""

    def encoded(self) -> bytes:
        """The JPEG or PNG bytes of a picture sample."""


class Preset(Protocol):
    """Turns a stored sample into the model's input tensor. Versioned; serialised as {"class_path", "init_args"}."""

    @property
    def version(self) -> str:
        """Bumped whenever the tensor for the same sample changes."""

    @property
    def channels(self) -> int:
        """Number of channels of the output."""

    @property
    def grid(self) -> tuple[int, ...]:
        """Spatial shape of the output: (Y, X) or (Z, Y, X)."""

    def check(self, metas: Sequence[Mapping[str, Any]]) -> None:
        """Raise PresetError, naming the first thing (units, channels, modality, kind) that a corpus cannot satisfy."""

    def __call__(self, source: SampleSource, rng: np.random.Generator | None) -> Tensor:
        """Return [C, *grid] float32. Nothing is random with `rng` None (evaluation); else it crops and augments."""

    def to_config(self) -> dict[str, Any]:
        """JSON-able {"class_path": …, "init_args": …} that `preset_from_config` turns back."""


@runtime_checkable
class PlacingPreset(Protocol):
    """A preset that shows a whole sample at once and knows where: what a model finds can be brought back to the sample.

    `voxtile ground` and tasks of grounding need it of a preset of one's own.
    """

    def placed(self, shape: Sequence[int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """How the model's grid lies on a sample in evaluation.

        Args:
            shape: of the sample along its spatial axes, in array order.

        Returns:
            Elements of the sample a place of the grid, an axis each, and where the grid's lower edges lie in elements
            of the sample.
        """
