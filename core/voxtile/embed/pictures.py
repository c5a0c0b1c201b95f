"""Samples as the 8-bit pictures that the transforms of other libraries take."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from voxtile.data.base import described
from voxtile.data.preset import SampleSource
from voxtile.errors import PresetError

_PICTURES = ("jpg", "png", "ref")


def check_pictures(metas: Sequence[Mapping[str, Any]]) -> None:
    """Raise PresetError where a sample is no grey or RGB picture of 8 bits."""
    for meta in metas:
        shape, dtype = list(meta.get("shape") or ()), meta.get("dtype")
        flat = len(shape) in (0, 2) or (len(shape) == 3 and shape[2] in (1, 3))
        if not flat or dtype not in (None, "uint8") or meta.get("axes") not in (None, "YX", "YXC"):
            raise PresetError(f"this model embeds RGB pictures of 8 bits, but the corpus holds {described(meta)}")


def picture_of(source: SampleSource) -> Image.Image:
    """RGB picture of a sample."""
    if source.meta.get("codec") in _PICTURES:
        return Image.open(io.BytesIO(source.encoded())).convert("RGB")
    values = source.array()
    return Image.fromarray(values.squeeze(-1) if values.ndim == 3 and values.shape[2] == 1 else values).convert("RGB")
