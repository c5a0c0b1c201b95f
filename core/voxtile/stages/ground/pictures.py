"""Pictures of what was found: the plane that holds most of a mask, as people of the field are used to see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.shards.codecs import decode_picture
from voxtile.corpus.storage import write_atomically
from voxtile.data.presets.base import rescale_of
from voxtile.formats.display import windows_of
from voxtile.grounding.outlines import outlined
from voxtile.stages.ground.files import Found

_SEEN_NM = ((610, 700), (510, 600), (430, 520))  # of what cameras for the eye call red, green and blue
_ENCODED = ("jpg", "png")
_SHARES = (1, 99)  # percentiles that are black and white, where units have no window


def write_pictures(found: Sequence[Found], out: Path) -> list[Path]:
    """One PNG a mask that is not empty, with its outline."""
    files = []
    for part in found:
        if part.mask.any():
            picture = outlined(_shown(part), part.mask, np.zeros_like(part.mask))
            stream = BytesIO()
            Image.fromarray(picture).save(stream, format="PNG")
            target = out / f"{part.stem}.png"
            write_atomically(target, stream.getvalue())
            files.append(target)
    return files


def _shown(part: Found) -> npt.NDArray[np.float32]:
    """[C, *G] grey levels: a volume in the window that fits what was found, a raster in red, green and blue."""
    meta = part.sample.meta
    if meta.get("codec") in _ENCODED:
        pixels = decode_picture(part.sample.encoded())
        colours = np.moveaxis(pixels, -1, 0)[:3] if pixels.ndim == 3 else pixels[None]
        return np.asarray(colours, np.float32) * np.float32(1 / 255)
    values = np.asarray(part.sample.array(), dtype=np.float32)
    values = np.moveaxis(values, -1, 0) if meta.get("axes") == "YXC" else values
    if values.ndim == 3 and part.mask.ndim == 3:
        scale, offset = rescale_of(meta)
        physical = values * np.float32(scale) + np.float32(offset)
        inside = float(np.median(physical[part.mask]))
        windows = windows_of(meta.get("units"), physical[:: max(1, len(physical) // 64)])
        fitting = [window for window in windows if window.low <= inside <= window.high]
        window = min(fitting or windows, key=lambda window: abs(inside - (window.low + window.high) / 2))
        return window.grey(physical).astype(np.float32)[None]
    if values.ndim == part.mask.ndim:
        values = values[None]
    chosen = colour_bands(meta.get("channels") or [])
    planes = values[list(chosen)] if chosen and max(chosen) < len(values) else values
    low, high = np.percentile(planes, _SHARES, axis=(1, 2), keepdims=True)
    return np.asarray(np.clip((planes - low) / np.maximum(high - low, 1e-9), 0, 1), np.float32)


def colour_bands(channels: Sequence[Mapping[str, Any]]) -> tuple[int, int, int] | None:
    """Which channels are red, green and blue, by wavelength or by name; None where not all three are there."""
    found = []
    for name, (low, high) in zip(("red", "green", "blue"), _SEEN_NM, strict=True):
        middle = (low + high) / 2
        by_name = [n for n, channel in enumerate(channels) if str(channel.get("name", "")).casefold() == name]
        near = [
            (abs(float(nm) - middle), n)
            for n, channel in enumerate(channels)
            if (nm := channel.get("wavelength_nm")) and low <= float(nm) <= high
        ]
        if not by_name and not near:
            return None
        found.append(by_name[0] if by_name else min(near)[1])
    return found[0], found[1], found[2]
