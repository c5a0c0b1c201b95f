"""What CLAM and TRIDENT write into the `.h5` of a slide: a dataset `coords` [N, 2] (x, y at level 0) with attributes.

Sources: `save_hdf5` and `process_contour` of CLAM (Lu et al., Nature Biomedical Engineering 2021), `coords_to_h5` of
TRIDENT (Zhang et al., 2025, arXiv:2502.06750). Both give the top left corner of each patch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError

Layout: TypeAlias = Literal["clam", "trident"]
MAX_PX = 1 << 20  # no patch is larger than a slide
MICROMETRES_AT_1X = 10.0  # mpp · magnification: 0.25 at 40×, the convention of both tools


class CoordinatesError(InputError):
    """A coordinates file cannot be used."""


@dataclass(frozen=True)
class Coordinates:
    """The patches of one slide.

    Attributes:
        layout: which tool's attributes there are.
        corners: [N, 2] top left corners, (x, y) in level-0 pixels; the type of the file.
        patch_px: side of a patch as the tool cuts it, in pixels of its level or magnification.
        level0_px: (width, height) of a patch in level-0 pixels.
        attributes: all attributes of the dataset, as they are.
    """

    layout: Layout
    corners: npt.NDArray[np.integer[Any]]
    patch_px: int
    level0_px: tuple[int, int]
    attributes: Mapping[str, Any]

    @property
    def name(self) -> str | None:
        """Name of the slide, without its suffix, where the file says it."""
        name = self.attributes.get("name")
        return str(name) if name is not None else None

    @property
    def boxes(self) -> npt.NDArray[np.int64]:
        """[N, 4] int64 (x0, y0, x1, y1) of each patch at level 0, half-open."""
        corners = self.corners.astype(np.int64)
        return np.concatenate([corners, corners + np.array(self.level0_px, np.int64)], axis=1)

    def inside(self, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Which patches [N] touch a slide of (width, height) level-0 pixels."""
        boxes = self.boxes
        return np.asarray((boxes[:, 2:] > 0).all(axis=1) & (boxes[:, :2] < np.array(size)).all(axis=1))

    def __len__(self) -> int:
        return len(self.corners)


def level0_size(layout: Layout, attributes: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    """Size of a patch from a file's attributes: (patch_px, level-0 width, level-0 height).

    CLAM gives pixels of a level and the level's downsample, TRIDENT gives both sizes.

    Raises:
        CoordinatesError: an attribute is missing or no size.
    """
    patch = _size(attributes, "patch_size", where)
    if layout == "trident":
        side = _size(attributes, "patch_size_level0", where)
        return patch, side, side
    if _whole(attributes.get("custom_downsample", 1)) != 1:
        raise CoordinatesError(
            f"{where} has the custom_downsample {attributes['custom_downsample']!r}, of which readers disagree whether "
            "the patch_size is before or after it; add the attribute patch_size_level0 to its coords: the side of a "
            "patch at level 0, where patch_size is the side in pixels as it is stored"
        )
    level = _whole(attributes.get("patch_level", 0))
    if level is None or level < 0:
        raise CoordinatesError(f"{where} has the patch_level {attributes['patch_level']!r}, which is no level")
    downsample = attributes.get("downsample", None if level else (1.0, 1.0))
    if downsample is None:
        raise CoordinatesError(f"{where} has patches of level {level} but no attribute 'downsample'")
    try:
        across, down = np.broadcast_to(np.asarray(downsample, dtype=np.float64), (2,)).tolist()
    except (ValueError, TypeError):
        raise CoordinatesError(f"{where} has the downsample {downsample!r}; it needs one number or two") from None
    if not (1 <= across <= MAX_PX and 1 <= down <= MAX_PX):
        raise CoordinatesError(f"{where} has the downsample {downsample!r}, which no level has")
    return patch, int(patch * across), int(patch * down)  # CLAM cuts the fraction off too


def clam_attributes(
    *, name: str, patch_px: int, level: int, downsample: tuple[float, float], level_size: tuple[int, int],
    size: tuple[int, int],
) -> dict[str, Any]:  # fmt: skip
    """Attributes as CLAM writes them.

    Args:
        name: of the slide, without its suffix.
        patch_px: side of a patch in pixels of the level.
        level: that the patches are cut from.
        downsample: of the level, in x and y.
        level_size: (width, height) of the level.
        size: (width, height) of level 0.
    """
    return {
        "patch_size": patch_px,
        "patch_level": level,
        "downsample": np.array(downsample, np.float64),
        "downsampled_level_dim": np.array(level_size, np.int64),
        "level_dim": np.array(size, np.int64),
        "name": name,
        "save_path": "",
    }


def trident_attributes(
    *, name: str, patch_px: int, level0_px: int, mpp: float, overlap: int = 0, size: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Attributes as TRIDENT writes them.

    Args:
        name: of the slide, without its suffix.
        patch_px: side of a patch.
        level0_px: side of a patch at level 0.
        mpp: micrometres a pixel of the patches.
        overlap: of neighbouring patches, in pixels of the patch.
        size: (width, height) of level 0, where it is known.
    """
    magnification = round(MICROMETRES_AT_1X / mpp)
    attributes: dict[str, Any] = {
        "patch_size": patch_px,
        "patch_size_level0": level0_px,
        "level0_magnification": round(MICROMETRES_AT_1X / mpp * level0_px / patch_px),
        "target_magnification": magnification,
        "overlap": overlap,
        "name": name,
        "savetodir": "",
    }
    return attributes | ({} if size is None else {"level0_width": size[0], "level0_height": size[1]})


def _size(attributes: Mapping[str, Any], key: str, where: str) -> int:
    value = _whole(attributes.get(key))
    if value is None or not 0 < value <= MAX_PX:
        found = f"the {key} {attributes[key]!r}" if key in attributes else f"no attribute '{key}'"
        raise CoordinatesError(f"{where} has {found}; it is not a coordinates file of CLAM or TRIDENT")
    return value


def _whole(value: Any) -> int | None:  # noqa: ANN401
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if math.isfinite(number) and number == int(number) else None
