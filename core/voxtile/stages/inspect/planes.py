"""Pictures of one sample: three planes of a volume through a place, or the picture itself, with regions drawn in."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.source import StoredSample
from voxtile.errors import CorpusError
from voxtile.formats.display import Window, windows_of
from voxtile.formats.pictures.band_pictures import band_picture
from voxtile.formats.pictures.picture import banded
from voxtile.stages.inspect.regions import ShownRegion

_LONGEST_PX = 420  # of a plane on the page
_PICTURE_PX = 900
_STORED = "as stored"
_MOST_REGIONS = 6  # with planes of their own
_FILL = 0.28  # how strongly a mask tints what it covers
_SAMPLED = 64  # planes at most from which a range is taken
# Cut across array axis → name, and the axes that become rows and columns. Arrays run right, front and up (RAS+), and
# are shown as radiologists hang them: front at the top, the patient's right on the left.
_CUTS = ((0, "axial", 1, 2), (1, "coronal", 0, 2), (2, "sagittal", 0, 1))
_LEFT = {"axial": "right", "coronal": "right", "sagittal": "front"}  # of the patient, at the left of the picture


@dataclass(frozen=True)
class Plane:
    """One picture of the page: a JPEG or PNG data URI with a caption and an alternative text."""

    data: str
    caption: str
    alt: str


@dataclass(frozen=True)
class PlaneRow:
    """Planes that belong together, under a heading."""

    title: str
    planes: tuple[Plane, ...]


def volume_rows(source: StoredSample, regions: Sequence[ShownRegion]) -> list[PlaneRow]:
    """Three planes of a volume in each of its windows, through its first region or its middle; then the others.

    Args:
        source: a sample with axes ZYX.
        regions: the most telling first; the first few get planes of their own, with their box and measured lines.

    Raises:
        CorpusError: the sample cannot be read.
    """
    meta = source.meta
    shape = [int(n) for n in meta["shape"]]
    placed = [region for region in regions if region.centre is not None]
    step = max(1, shape[0] // _SAMPLED)
    windows = windows_of(meta.get("units"), _physical(meta, source.array((slice(None, None, step),)))[:, ::2, ::2])
    first = placed[0] if placed else None
    start = f"{first.phrase}: " if first else ""
    unit = meta.get("units") or ""
    titles = [f"{window.text} {unit}".strip() for window in windows]
    rows = [
        PlaneRow(start + title, _three(source, shape, first, window, regions))
        for title, window in zip(titles, windows, strict=True)
    ]
    rows += [
        PlaneRow(f"{region.phrase}: {titles[0]}", _three(source, shape, region, windows[0], regions))
        for region in placed[1:_MOST_REGIONS]
    ]
    return rows


def picture_rows(source: StoredSample, regions: Sequence[ShownRegion]) -> list[PlaneRow]:
    """A picture by itself, and with its regions.

    Raises:
        CorpusError: the sample cannot be read, or has an axis order that is no picture.
    """
    pixels, said = _pixels(source)
    rows = [Plane(_uri(_scaled(Image.fromarray(pixels), (1.0, 1.0), _PICTURE_PX)), said, "the picture")]
    if regions:
        marked = _overlaid(np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels, regions, None)
        rows.append(
            Plane(
                _uri(_drawn(marked, regions, None, (1.0, 1.0), _PICTURE_PX)),
                "with regions",
                "the picture with its regions",
            )
        )
    return [PlaneRow("", tuple(rows))]


def _pixels(source: StoredSample) -> tuple[npt.NDArray[np.uint8], str]:
    """[Y, X] or [Y, X, 3], and what is shown."""
    meta = source.meta
    if meta["codec"] in {"jpg", "png"} or (meta["codec"] == "ref" and not meta.get("axes")):
        return decode_picture(source.encoded()), _STORED
    axes = str(meta.get("axes") or "")
    if axes.endswith("CYX") and (shown := band_picture(meta, None)) is not None:
        seen = banded(source, shown)
        return np.where(seen[..., 3:] > 0, seen[..., :3], np.uint8(0)), shown.name
    values = source.array()
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[-1] != 3):
        raise CorpusError(f"the sample {meta['uid']} has axes {axes or 'unknown'}, of which no picture can be made")
    if values.dtype == np.uint8:
        return np.asarray(values), _STORED
    physical = _physical(meta, values)
    return windows_of(meta.get("units"), physical)[0].grey(physical), _STORED


def _physical(meta: Mapping[str, Any], values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Stored values in the sample's units, by its first channel."""
    channel = (meta.get("channels") or [{}])[0]
    scale, offset = channel.get("scale"), channel.get("offset")
    return values.astype(np.float32) * np.float32(1.0 if scale is None else scale) + np.float32(offset or 0.0)


def _three(
    source: StoredSample,
    shape: Sequence[int],
    focus: ShownRegion | None,
    window: Window,
    regions: Sequence[ShownRegion],
) -> tuple[Plane, ...]:
    """The three planes through the region in focus, or through the middle."""
    place = (focus.centre if focus else None) or [(n - 1) / 2 for n in shape]
    framed = [region for region in regions if region is focus or region.mask is None]
    spacing = source.meta.get("spacing") or (1.0, 1.0, 1.0)
    planes = []
    for axis, name, rows, columns in _CUTS:
        at = min(max(round(place[axis]), 0), shape[axis] - 1)
        box = tuple(slice(at, at + 1) if a == axis else slice(None) for a in range(3))
        grey = window.grey(_physical(source.meta, source.array(box)).squeeze(axis))
        marked = _overlaid(np.repeat(grey[..., None], 3, axis=2), regions, (axis, at))
        picture = _drawn(marked, framed, (axis, at), (spacing[rows], spacing[columns]), _LONGEST_PX)
        side = f"; the patient's {_LEFT[name]} at the left" if source.meta.get("affine") else ""
        caption = f"{name}, {at + 1} of {shape[axis]}{side}"
        planes.append(Plane(_uri(picture), caption, f"{name} plane, {window.text}"))
    return tuple(planes)


def _overlaid(
    pixels: npt.NDArray[np.uint8], regions: Sequence[ShownRegion], cut: tuple[int, int] | None
) -> npt.NDArray[np.uint8]:
    """Tint what masks cover and outline them."""
    out = pixels.astype(np.float32)
    for region in regions:
        if region.mask is None:
            continue
        mask = region.mask if cut is None else np.take(region.mask, cut[1], axis=cut[0])
        if mask.any():
            colour = np.array(region.colour, np.float32)
            edge = mask & ~ndimage.binary_erosion(mask, border_value=0)
            out[mask] += _FILL * (colour - out[mask])
            out[edge] = colour
    return out.astype(np.uint8)


def _drawn(
    pixels: npt.NDArray[np.uint8],
    regions: Sequence[ShownRegion],
    cut: tuple[int, int] | None,
    spacing: tuple[float, float],
    longest: int,
) -> Image.Image:
    """Turn a plane as it hangs, scale it to true proportions, and draw boxes and measured lines in thin strokes."""
    turned = pixels if cut is None else pixels[::-1, ::-1]
    picture = _scaled(Image.fromarray(np.ascontiguousarray(turned)), spacing, longest)
    pen = ImageDraw.Draw(picture)
    height, width = pixels.shape[:2]
    fy, fx = picture.height / height, picture.width / width

    def on_picture(point: Sequence[float], edge: float) -> tuple[float, float]:
        y, x = (value for axis, value in enumerate(point) if cut is None or axis != cut[0])
        y, x = y + edge, x + edge
        return ((x if cut is None else width - x) * fx, (y if cut is None else height - y) * fy)

    for region in regions:
        if region.box is not None and (cut is None or region.box[0][cut[0]] <= cut[1] < region.box[1][cut[0]]):
            corners = [on_picture(corner, 0.0) for corner in region.box]
            (x0, x1), (y0, y1) = (sorted(values) for values in zip(*corners, strict=True))
            pen.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=region.colour)
        for _, first, second in region.lines:
            if cut is None or all(abs(end[cut[0]] - cut[1]) < 1 for end in (first, second)):
                pen.line((*on_picture(first, 0.5), *on_picture(second, 0.5)), fill=(255, 255, 255), width=2)
    return picture


def _scaled(picture: Image.Image, spacing: tuple[float, float], longest: int) -> Image.Image:
    """True proportions, the longest side at most so long; small pictures are enlarged."""
    height, width = picture.height * spacing[0], picture.width * spacing[1]
    factor = longest / max(height, width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    smooth = size[0] < picture.width * 3
    return picture.resize(size, Image.Resampling.LANCZOS if smooth else Image.Resampling.NEAREST)


def _uri(picture: Image.Image) -> str:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
