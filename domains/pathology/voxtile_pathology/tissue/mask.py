"""Tissue on a thumbnail: Otsu's threshold on saturation, cleaned by morphology; or a detector of the user's own.

Sources: Otsu, A threshold selection method from gray-level histograms, IEEE Trans. SMC 9 (1979). Saturation as in HSV.
Sizes are in micrometres, so that the mask hardly depends on the thumbnail's scale.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError
from voxtile.listed_classes import current_name, hashed_name
from voxtile_pathology.slides.protocol import Picture

Mask: TypeAlias = npt.NDArray[np.bool_]
"""[Y, X] bool over a thumbnail."""

OTSU = "otsu"
_DARK = 40  # of 255: below, saturation is noise
_BRIGHT, _GLASS_RANGE = 190, 7  # least value of glass in its darkest channel, and how far it varies; 255 is unscanned
_LEAST_GLASS = 0.005  # of the slide
_FLOAT_EPSILON = 1e-12
_PIECE = 1 << 22
_BINS = 256
STRIP = 256  # rows that are computed at once, so that memory stays near that of the picture


class TissueDetector(Protocol):
    """Finds tissue on a thumbnail. A class with keyword arguments; one object serves many slides."""

    def __call__(self, picture: Picture, mpp: tuple[float, float]) -> Mask:
        """Mask [Y, X] of a picture [Y, X, 3] with `mpp` micrometres a pixel (x, y)."""


@dataclass(frozen=True)
class OtsuTissue:
    """Saturation above Otsu's threshold.

    Attributes:
        least: lowest threshold: on a slide of bare glass Otsu would cut through the noise.
        most: highest threshold: on a slide full of tissue Otsu would cut between pale and dark tissue.
        smooth_um: standard deviation of the Gaussian filter before the threshold.
        dust_mm2: pieces below this area are dropped before anything is closed.
        close_um: gaps up to this width are closed: the cells of fat are empty, and about so wide.
        hole_mm2: holes up to this area are filled; larger ones are glass.
        speck_mm2: pieces below this area are dropped.
    """

    least: float = 0.04
    most: float = 0.05
    smooth_um: float = 2.0
    dust_mm2: float = 0.0006
    close_um: float = 80.0
    hole_mm2: float = 0.02
    speck_mm2: float = 0.02

    def __call__(self, picture: Picture, mpp: tuple[float, float]) -> Mask:
        """Mask [Y, X] of a picture [Y, X, 3]."""
        found = without_specks(self._stained(picture, mpp), self.dust_mm2 / (mpp[0] * mpp[1] * 1e-6))
        return clean(found, mpp, self.close_um, self.hole_mm2, self.speck_mm2)

    def _stained(self, picture: Picture, mpp: tuple[float, float]) -> Mask:
        """Where the smoothed saturation is above the threshold."""
        from scipy import ndimage  # late, here and below: a quarter of a second, and plans look at no picture

        values = saturation(picture, glass_colour(picture))
        sigma = [self.smooth_um / mpp[1], self.smooth_um / mpp[0]]
        ndimage.gaussian_filter(values, sigma, output=values, mode="nearest")
        stained: Mask = values > float(np.clip(otsu_threshold(values), self.least, self.most))
        return stained


def saturation(picture: Picture, white: tuple[float, float, float] = (255.0, 255.0, 255.0)) -> npt.NDArray[np.float32]:
    """HSV saturation [Y, X], 0 to 1; of nearly black pixels it counts less, since it would be noise.

    Args:
        picture: [Y, X, 3].
        white: red, green and blue of what has no colour.
    """
    scale = np.float32(255) / np.array(white, np.float32)
    values = np.empty(picture.shape[:2], np.float32)
    for top in range(0, len(picture), STRIP):
        strip = picture[top : top + STRIP]
        red, green, blue = (np.minimum(strip[..., band] * scale[band], 255) for band in range(3))
        high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
        np.divide(high - low, np.maximum(high, _DARK), out=values[top : top + STRIP])
    return values


def glass_colour(picture: Picture) -> tuple[float, float, float]:
    """Red, green and blue of bare glass: the commonest bright colour, white where there is hardly any.

    The brightest pixels would not do: the empty insides of fat and glands can be brighter than tinted glass.
    """
    from scipy import ndimage

    darkest = np.minimum(np.minimum(picture[..., 0], picture[..., 1]), picture[..., 2])
    counts = _counts(darkest, 256).astype(np.float64)
    counts[:_BRIGHT] = counts[255] = 0
    usual = int(np.argmax(ndimage.uniform_filter1d(counts, _GLASS_RANGE)))
    reach = _GLASS_RANGE // 2
    glass = (darkest >= usual - reach) & (darkest <= usual + reach)
    if counts.sum() < _LEAST_GLASS * darkest.size:
        return 255.0, 255.0, 255.0
    red, green, blue = (_median(picture[..., band][glass]) for band in range(3))
    return red, green, blue


def _median(values: npt.NDArray[np.uint8]) -> float:
    """Of many small whole numbers, from their counts."""
    below = np.cumsum(_counts(values, 256))
    middle = ((below[-1] - 1) // 2, below[-1] // 2)
    return float(np.searchsorted(below, middle, side="right").mean())


def otsu_threshold(values: npt.NDArray[np.float32]) -> float:
    """The threshold that divides a histogram into two classes with the largest variance between them.

    Args:
        values: of any shape, in 0 to 1.

    Returns:
        The upper edge of the lower class's last bin; 0 where all values share a bin.
    """
    counts = np.histogram(values, _BINS, (0.0, 1.0))[0].astype(np.float64)
    centres = (np.arange(_BINS) + 0.5) / _BINS
    below, total = np.cumsum(counts), counts.sum()
    mass = np.cumsum(counts * centres)
    above = total - below
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * below / total - mass) ** 2 / (below * above)
    between[~np.isfinite(between)] = 0
    best = int(np.argmax(between))
    return (best + 1) / _BINS if between[best] > _FLOAT_EPSILON else 0.0


def clean(mask: Mask, mpp: tuple[float, float], close_um: float, hole_mm2: float, speck_mm2: float) -> Mask:
    """Close gaps, fill small holes and drop small pieces."""
    from scipy import ndimage

    rows, columns = (max(0, round(close_um / 2 / side)) for side in (mpp[1], mpp[0]))
    if rows or columns:
        padded = np.pad(mask, ((rows, rows), (columns, columns)))
        block = np.ones((2 * rows + 1, 2 * columns + 1), bool)
        closed = ndimage.binary_closing(padded, block)
        mask = closed[rows : rows + mask.shape[0], columns : columns + mask.shape[1]]
    pixel_mm2 = mpp[0] * mpp[1] * 1e-6
    filled = ~without_specks(~mask, hole_mm2 / pixel_mm2)
    return without_specks(filled, speck_mm2 / pixel_mm2)


def without_specks(mask: Mask, least: float) -> Mask:
    """The mask's connected pieces of at least `least` pixels."""
    from scipy import ndimage

    if not mask.any():
        return mask
    pieces, count = ndimage.label(mask)
    keep = _counts(pieces, count + 1) >= least
    keep[0] = False
    kept: Mask = keep[pieces]
    return kept


def _counts(values: npt.NDArray[Any], length: int) -> npt.NDArray[np.int64]:
    """How often each of 0 … length - 1 occurs; in pieces, since `bincount` widens what it counts to eight bytes."""
    flat, counts = values.ravel(), np.zeros(length, np.int64)
    for start in range(0, len(flat), _PIECE):
        counts += np.bincount(flat[start : start + _PIECE], minlength=length)
    return counts


@dataclass(frozen=True)
class TissueSpec:
    """Which detector, in plain values.

    Attributes:
        class_path: `package.module.Class`.
        arguments: JSON of its keyword arguments.
        files: sha-256 of the files that the arguments name, since their content changes the mask.
    """

    class_path: str
    arguments: str = "{}"
    files: tuple[str, ...] = ()

    def config(self) -> Mapping[str, Any]:
        """What decides the mask, JSON-able; corpora keep its hash, so that a class has its first name here for good."""
        return {
            "class_path": hashed_name(self.class_path),
            "init_args": json.loads(self.arguments),
            "files": list(self.files),
        }

    def build(self) -> TissueDetector:
        """The detector, built once a process."""
        return _build(self.class_path, self.arguments)


def tissue_spec(text: str) -> TissueSpec:
    """Read `--tissue`.

    Args:
        text: `otsu`; `package.module.Class`; or JSON or a YAML file with `class_path` and `init_args`.

    Raises:
        ConfigError: it is none of these, or the class does not take the arguments.
    """
    import yaml

    is_file = text.endswith((".yaml", ".yml"))
    if text == OTSU:
        text = "voxtile_pathology.OtsuTissue"
    try:
        content = load_yaml(Path(text).read_text() if is_file else text)
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"--tissue '{text}' cannot be read: {error}") from error
    fields = content if isinstance(content, Mapping) else {"class_path": content}
    class_path, arguments = current_name(str(fields.get("class_path"))), fields.get("init_args") or {}
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise ConfigError(f"--tissue: init_args of '{class_path}' are a mapping of names to values")
    arguments = dict(arguments)
    _check_arguments(class_path, arguments)
    named = [Path(str(value)) for value in arguments.values() if isinstance(value, str) and Path(value).is_file()]
    hashes = tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in named)
    return TissueSpec(class_path, json.dumps(arguments, sort_keys=True), hashes)


def _check_arguments(class_path: str, arguments: Mapping[str, Any]) -> None:
    try:
        inspect.signature(_class(class_path)).bind(**arguments)
    except TypeError as error:
        raise ConfigError(f"--tissue: {class_path} does not take these arguments: {error}") from error


def _class(class_path: str) -> Any:  # noqa: ANN401
    module, _, name = class_path.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"--tissue: there is no class '{class_path}' ({error}); give otsu or a class path") from error
    if not isinstance(found, type) or not any("__call__" in vars(level) for level in found.__mro__):
        raise ConfigError(
            f"--tissue: '{class_path}' is no class with __call__, as a TissueDetector has, and was not run"
        )
    return found


@lru_cache(maxsize=4)
def _build(class_path: str, arguments: str) -> TissueDetector:
    detector: TissueDetector = _class(class_path)(**json.loads(arguments))
    return detector
