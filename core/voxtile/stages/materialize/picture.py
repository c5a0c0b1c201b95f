"""Pictures at the size that an `ImagePreset` resizes to; never larger than they are."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import simplejpeg
import torch
from PIL import Image

from voxtile.corpus.shards.codecs import decode_picture, picture_codec
from voxtile.corpus.source import ARRAY_CODEC, StoredSample
from voxtile.data.presets.image import ImagePreset
from voxtile.data.presets.picture import longest_size, resize_as_pillow, shortest_size
from voxtile.stages.materialize.derive import Derived, derive, to_type

_QUALITY = 95  # of JPEG written anew, without chroma subsampling


@derive.register
def _(preset: ImagePreset, source: StoredSample) -> Derived:
    """Resize as the preset does in evaluation, without cropping, so that random crops keep what they can reach.

    PNG stays PNG and arrays keep their type, so evaluation gives the same values (arrays: up to rounding). JPEG is
    written anew at quality 95. A picture that is small enough already keeps its bytes.
    """
    is_array = source.meta["codec"] == ARRAY_CODEC
    data = b"" if is_array else source.encoded()
    pixels = source.array() if is_array else decode_picture(data)
    size = (pixels.shape[0], pixels.shape[1])
    target = _target(preset, size)
    if target[0] >= size[0] and target[1] >= size[1]:
        return Derived(pixels if is_array else data, {}, size, (0.0, 0.0), (1.0, 1.0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        channels_first = np.moveaxis(np.atleast_3d(pixels), -1, 0)
        eight_bits = pixels.dtype == np.uint8
        tensor = torch.from_numpy(np.ascontiguousarray(channels_first, None if eight_bits else np.float32))
        resized = resize_as_pillow(tensor, target, preset.interpolation).numpy()
    finally:
        torch.set_num_threads(threads)
    small = to_type(resized, pixels.dtype) if not eight_bits else resized
    small = np.ascontiguousarray(small[0] if pixels.ndim == 2 else np.moveaxis(small, 0, -1))
    ratio = (size[0] / target[0], size[1] / target[1])
    payload = small if is_array else _encode(small, picture_codec(data))
    return Derived(payload, _columns(source.meta, ratio), target, (0.0, 0.0), ratio)


def _target(preset: ImagePreset, size: tuple[int, int]) -> tuple[int, int]:
    if preset.resize == "squash":
        return preset.size
    return (shortest_size if preset.resize == "shortest" else longest_size)(size, preset.size)


def _columns(meta: Mapping[str, Any], ratio: tuple[float, float]) -> dict[str, Any]:
    down, across = ratio
    columns: dict[str, Any] = {}
    if meta.get("spacing"):
        columns["spacing"] = [meta["spacing"][0] * down, meta["spacing"][1] * across]
    if meta.get("mpp"):
        columns["mpp"] = [meta["mpp"][0] * across, meta["mpp"][1] * down]
    if meta.get("gsd_m"):
        columns["gsd_m"] = meta["gsd_m"] * (down * across) ** 0.5
    if meta.get("transform"):
        a, b, c, d, e, f = meta["transform"]
        columns["transform"] = [a * across, b * down, c, d * across, e * down, f]
    return columns


def _encode(pixels: np.ndarray[Any, np.dtype[np.uint8]], codec: str) -> bytes:
    grey = pixels.ndim == 2
    if codec == "jpg":
        image = pixels[:, :, None] if grey else pixels
        space, sampling = ("GRAY", "Gray") if grey else ("RGB", "444")
        data: bytes = simplejpeg.encode_jpeg(image, quality=_QUALITY, colorspace=space, colorsubsampling=sampling)
        return data
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()
