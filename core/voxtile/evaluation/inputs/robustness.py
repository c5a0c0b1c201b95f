"""The same task on changed images: how much of a figure is left when pictures are not as clean as in training.

Changes are made to the tensor that the model reads, so that they mean the same in every domain; each is fixed by the
sample's uid. Channels that hold no picture (coordinates, ground sampling distance) stay as they are. The scanner here
is simulated; where a corpus says which scanner made an image, `subgroups: [scanner]` compares real ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from voxtile.data.presets.base import Preset
from voxtile.data.presets.tile import TilePreset
from voxtile.errors import ConfigError
from voxtile.evaluation.inputs.encode import Loader
from voxtile.evaluation.tasks.choices import MISSING, checked_changes
from voxtile.evaluation.tasks.place import nearest

NOISE = 0.25
"""Standard deviation of added noise, in standard deviations of the picture."""
BLUR, GAIN, OFFSET = 1.0, 1.1, 0.1
"""The other scanner: Gaussian kernel in output pixels, factor on the contrast, shift in standard deviations."""

Change: TypeAlias = Callable[[Tensor, np.random.Generator], Tensor]
"""From [C, *G] float32 to the same shape."""

# By the axes of an image, channels among them.
_INTERPOLATION = {2: "linear", 3: "bilinear", 4: "trilinear"}
_CONVOLUTION: Mapping[int, Callable[..., Tensor]] = {2: functional.conv1d, 3: functional.conv2d, 4: functional.conv3d}


def changes(names: Sequence[str], preset: Preset) -> dict[str, Change]:
    """The changes by name.

    Args:
        names: flip, orientation, resampling, noise, scanner, or `missing=B08+B11` (bands of the model's own preset).
        preset: of the model.

    Raises:
        ConfigError: no such change, or no such band.
    """
    return {
        name: _missing(name, preset) if name.startswith(MISSING) else _CHANGES[name] for name in checked_changes(names)
    }


def changed_images(loader: Loader, change: Change, preset: Preset) -> Loader:
    """A loader of the same samples whose pictures are changed."""
    plain = _plain_channels(preset)

    def load(uids: Sequence[str]) -> Iterator[tuple[Sequence[str], Tensor]]:
        for batch, images in loader(uids):
            yield (
                batch,
                torch.stack([_changed(image, uid, change, plain) for uid, image in zip(batch, images, strict=True)]),
            )

    return load


def _changed(image: Tensor, uid: str, change: Change, plain: int) -> Tensor:
    pictures = len(image) - plain
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8]))
    return torch.cat([change(image[:pictures].float(), rng), image[pictures:].float()])


def _plain_channels(preset: Preset) -> int:
    """Channels at the end that are no picture."""
    return 3 * bool(getattr(preset, "coordinates", False)) + bool(getattr(preset, "gsd_channel", False))


def _flip(image: Tensor, rng: np.random.Generator) -> Tensor:
    return image.flip(-1)


def _orientation(image: Tensor, rng: np.random.Generator) -> Tensor:
    """A quarter turn in the plane, or half a turn where it is not square."""
    if image.ndim < 3:
        raise ConfigError("--robustness orientation: a signal has no plane to turn in; leave it out")
    return torch.rot90(image, 1 if image.shape[-1] == image.shape[-2] else 2, (-2, -1))


def _resampling(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Half the resolution and back."""
    mode = _INTERPOLATION[image.ndim]
    small = functional.interpolate(image[None], scale_factor=0.5, mode=mode, align_corners=False)
    return functional.interpolate(small, size=image.shape[1:], mode=mode, align_corners=False)[0]


def _noise(image: Tensor, rng: np.random.Generator) -> Tensor:
    drawn = torch.from_numpy(rng.standard_normal(image.shape, dtype=np.float32))
    return image + NOISE * _spread(image) * drawn


def _scanner(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Softer, of other contrast and other calibration."""
    reach = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.softmax(-(reach**2) / (2 * BLUR**2), dim=0)
    blurred = image[:, None]
    for axis in range(2, blurred.ndim):
        shape, padding = [1] * blurred.ndim, [0] * (blurred.ndim - 2)
        shape[axis], padding[axis - 2] = len(kernel), len(kernel) // 2
        convolve = _CONVOLUTION[image.ndim]
        edges = [side for place in reversed(padding) for side in (place, place)]
        blurred = convolve(functional.pad(blurred, edges, mode="replicate"), kernel.view(shape))
    spread, mean = _spread(image), image.flatten(1).mean(dim=1).view(-1, *[1] * (image.ndim - 1))
    return mean + GAIN * (blurred[:, 0] - mean) + OFFSET * spread


def _spread(image: Tensor) -> Tensor:
    return image.flatten(1).std(dim=1).view(-1, *[1] * (image.ndim - 1))


def _missing(name: str, preset: Preset) -> Change:
    """Bands at 0, which is how a tile's preset fills what a sample lacks (its mean)."""
    bands: Sequence[str] = preset.bands if isinstance(preset, TilePreset) else ()
    wanted = [band for band in name.removeprefix(MISSING).split("+") if band]
    places = []
    for band in wanted:
        place = next((i for i, own in enumerate(bands) if band in own.split("|")), None)
        if place is None:
            raise ConfigError(
                f"robustness '{name}': the model reads no band '{band}'; "
                + (nearest(band, bands) if bands else "its preset names no bands")
            )
        places.append(place)
    if not places:
        raise ConfigError(f"robustness '{name}' names no band; write for example missing=B08+B11")
    return partial(_without, places=places)


def _without(image: Tensor, rng: np.random.Generator, *, places: Sequence[int]) -> Tensor:
    result = image.clone()
    result[places] = 0
    return result


_CHANGES: Mapping[str, Change] = {
    "flip": _flip,
    "orientation": _orientation,
    "resampling": _resampling,
    "noise": _noise,
    "scanner": _scanner,
}
