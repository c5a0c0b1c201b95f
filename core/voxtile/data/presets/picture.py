"""Geometry of 2D preprocessing: decode, resize, crop, pad. Arrays are channels first, uint8 or float32."""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from voxtile.corpus.shards.codecs import MAX_PICTURE_PIXELS, decode_picture
from voxtile.errors import CorpusError

Interpolation = Literal["bicubic", "bilinear"]


class Box(NamedTuple):
    """A crop in pixels: top, left, height, width."""

    top: int
    left: int
    height: int
    width: int


def decode(data: bytes, channels: int) -> Tensor:
    """Decode a picture to [C, Y, X] uint8; colour becomes luma where one channel is asked, grey stays one channel."""
    return to_channels(decode_picture(data), channels)


def to_channels(pixels: npt.NDArray[Any], channels: int) -> Tensor:
    """[Y, X] or [Y, X, C] to [C, Y, X] of the same type; grey stays one channel, to be repeated after resizing."""
    picture = torch.from_numpy(pixels if pixels.flags.writeable else pixels.copy())
    picture = picture[None] if picture.ndim == 2 else picture.permute(2, 0, 1)
    if len(picture) in (1, channels):
        return picture
    # ITU-R 601-2 luma in the fixed-point form of Pillow's convert("L").
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32)[:, None, None]
    luma = ((picture.int() * weights).sum(0) + 0x8000) >> 16
    return luma.to(torch.uint8)[None]


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG that libjpeg can scale while decoding; None for any other picture.

    Raises:
        CorpusError: the JPEG is damaged.
    """
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise CorpusError(f"a JPEG is damaged ({error})") from error
    return (height, width) if colours in {"Gray", "YCbCr", "RGB"} and height * width <= MAX_PICTURE_PIXELS else None


def decode_scaled(
    data: bytes, channels: int, size: tuple[int, int], box: Box, out: tuple[int, int]
) -> tuple[Tensor, Box]:
    """Decode a JPEG at the smallest scale of the DCT at which the crop still has at least `out` pixels.

    Args:
        data: the JPEG.
        channels: of the result.
        size: height and width of the JPEG.
        box: the crop, in full-size pixels.
        out: height and width that the crop will be resized to.

    Returns:
        [C, Y, X] uint8, and the crop in its pixels.

    Raises:
        CorpusError: the JPEG is damaged.
    """
    factor = max(out[0] / box.height, out[1] / box.width)
    if factor > 0.5:
        return decode(data, channels), box
    colours = "GRAY" if channels == 1 else "RGB"
    smallest = {"min_height": math.ceil(size[0] * factor), "min_width": math.ceil(size[1] * factor)}
    try:
        pixels = simplejpeg.decode_jpeg(data, colours, fastdct=False, **smallest)
    except ValueError as error:
        raise CorpusError(f"a JPEG is damaged ({error})") from error
    y, x = pixels.shape[0] / size[0], pixels.shape[1] / size[1]
    height, width = max(1, round(box.height * y)), max(1, round(box.width * x))
    top, left = min(round(box.top * y), pixels.shape[0] - height), min(round(box.left * x), pixels.shape[1] - width)
    return to_channels(pixels[:, :, 0] if channels == 1 else pixels, channels), Box(top, left, height, width)


def resize_as_pillow(picture: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Resize [C, Y, X] with anti-aliasing; bytes by Pillow itself, so that evaluation equals open_clip's to the bit."""
    if picture.dtype != torch.uint8:
        return resize(picture, size, interpolation)
    pixels = picture[0].numpy() if len(picture) == 1 else picture.permute(1, 2, 0).numpy()
    resized = Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling[interpolation.upper()])
    return to_channels(np.array(resized), len(picture))


def resize(picture: Tensor, size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """Resize [C, Y, X] with anti-aliasing; three times faster than Pillow and within two grey levels of it."""
    if tuple(picture.shape[1:]) == size:
        return picture
    resized = functional.interpolate(picture[None], size=size, mode=interpolation, antialias=True, align_corners=False)
    return resized[0]


def crop(picture: Tensor, box: Box) -> Tensor:
    """Cut a box out of [C, Y, X]."""
    return picture[:, box.top : box.top + box.height, box.left : box.left + box.width]


def shortest_size(size: tuple[int, int], out: tuple[int, int]) -> tuple[int, int]:
    """Size at which a picture just covers `out`, rounded as torchvision (square) and open_clip (oblong) do."""
    height, width = size
    if out[0] == out[1]:
        short = min(height, width)
        long = int(out[0] * max(height, width) / short)
        return (out[0], long) if height <= width else (long, out[0])
    ratio = min(height / out[0], width / out[1])
    return round(height / ratio), round(width / ratio)


def longest_size(size: tuple[int, int], out: tuple[int, int]) -> tuple[int, int]:
    """Size at which a picture just fits into `out`."""
    ratio = max(size[0] / out[0], size[1] / out[1])
    return round(size[0] / ratio), round(size[1] / ratio)


def centre_crop_or_pad(picture: Tensor, out: tuple[int, int], fill: float) -> Tensor:
    """Cut [C, Y, X] to its centre, padding first where it is smaller, as torchvision's CenterCrop does."""
    height, width = picture.shape[1:]
    down, across = max(out[0] - height, 0), max(out[1] - width, 0)
    if down or across:
        edges = (across // 2, (across + 1) // 2, down // 2, (down + 1) // 2)
        picture = functional.pad(picture, edges, value=fill)
        height, width = picture.shape[1:]
    return crop(picture, Box(round((height - out[0]) / 2), round((width - out[1]) / 2), *out))


def random_resized_box(
    size: tuple[int, int], scale: tuple[float, float], ratio: tuple[float, float], rng: np.random.Generator
) -> Box:
    """Draw the crop of torchvision's RandomResizedCrop (Szegedy et al. 2015, GoogLeNet's augmentation).

    Args:
        size: height and width of the picture.
        scale: range of the crop's share of the area.
        ratio: range of its width over height, drawn log-uniformly.
        rng: source of randomness.
    """
    height, width = size
    for _ in range(10):
        share, skew, down, across = rng.random(4).tolist()
        area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
        aspect = ratio[0] * (ratio[1] / ratio[0]) ** skew
        w, h = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            return Box(int(down * (height - h + 1)), int(across * (width - w + 1)), h, w)
    aspect = min(max(width / height, ratio[0]), ratio[1])
    h, w = min(height, round(width / aspect)), min(width, round(height * aspect))
    return Box((height - h) // 2, (width - w) // 2, h, w)
