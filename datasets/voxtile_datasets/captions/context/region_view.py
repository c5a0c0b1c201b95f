"""Where a region of a sample is, in words and in pictures, for a model that is asked about it.

Percentages hold for a picture of any size, also one that is sent smaller. A volume is shown as the axial plane through
the region's middle, as it is usually seen: from the feet, the patient's right on the left.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.source import ARRAY_CODEC, StoredSample
from voxtile.errors import CorpusError
from voxtile_datasets.captions.context.picture import shown
from voxtile_datasets.captions.context.sample import Row, Seen
from voxtile_datasets.captions.providers.provider import ReplyError

_MARGIN = 0.25  # of the region's height and width, on each side of its part of the picture
_FEWEST_PX = 16  # of a margin: what is around a small region says what it is
_SMALLEST_PX = 224  # smaller parts are enlarged; a usual input of vision models
_ASPECT = 0.02  # relative difference at which a preview is still one of the whole array
_LIMITS = (1, 99)  # percentiles of the values in and around the region that are shown black and white

Span = tuple[float, float]


@dataclass(frozen=True)
class RegionView:
    """Shows regions of one sample; see `voxtile_datasets.captions.context.sample.Regions`.

    Args:
        root: the corpus.
        row: of the samples table.
    """

    root: Path
    row: Row

    def place(self, box: Sequence[float] | None) -> str | None:
        """Where a box is, as a place in the sample; None where it has none that is known.

        Args:
            box: half-open, in pixel edges, in the order of the sample's axes: min corner, then max corner.
        """
        spans = self._spans(box)
        if len(spans) == 3 and self.row.get("affine"):
            ways = ("feet to head", "back to front", "the patient's left to the patient's right")
            told = [f"{_percent(span)} of the way from {way}" for span, way in zip(spans, ways, strict=True)]
            return ", ".join(reversed(told))
        return _in_picture(*spans) if len(spans) == 2 else None

    def seen(self, box: Sequence[float] | None) -> Seen | None:
        """The picture with the region, the part of it that is the region, and where that is; None without a place.

        Args:
            box: as in `place`.

        Raises:
            ReplyError: the picture is damaged or gone.
        """
        spans = self._spans(box)
        try:
            with only_references_in(named_roots(None)):  # what an endpoint is sent leaves this machine
                source = Corpus(self.root).source(self.row)
                if len(spans) == 2:
                    return self._seen_in_picture(source, *spans)
                return self._seen_in_plane(source, spans) if len(spans) == 3 and self.row.get("affine") else None
        except (CorpusError, OSError, ValueError, Image.DecompressionBombError) as error:
            raise ReplyError("damaged-picture", f"the sample's picture cannot be read: {error}") from error

    def _spans(self, box: Sequence[float] | None) -> tuple[Span, ...]:
        """Shares of the sample's extent, from 0 to 1, along z, y, x or y, x; empty where the box is none of it."""
        axes, shape = self.row.get("axes") or "", self.row.get("shape") or ()
        names = "ZYX" if axes == "ZYX" else "YX"
        if box is None or len(box) != 2 * len(names) or len(axes) != len(shape) or not set(names) <= set(axes):
            return ()
        sizes = [shape[axes.index(name)] for name in names]
        found = [
            (min(max(low / size, 0.0), 1.0), min(max(high / size, 0.0), 1.0))
            for low, high, size in zip(box, box[len(names) :], sizes, strict=False)
        ]
        return tuple(found) if all(low < high for low, high in found) else ()

    def _seen_in_picture(self, source: StoredSample, rows: Span, columns: Span) -> Seen | None:
        data = source.preview() if self.row["codec"] == ARRAY_CODEC else source.encoded()
        if data is None:
            return None
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as picture:
            axes, shape = self.row["axes"], self.row["shape"]
            aspect = shape[axes.index("X")] / shape[axes.index("Y")]
            if abs(picture.width / picture.height / aspect - 1) > _ASPECT + 1 / min(picture.size):
                return None  # a preview of several planes, or of a part
            part = _part(picture, rows, columns)
        return Seen((shown(data), part), _in_picture(rows, columns))

    def _seen_in_plane(self, source: StoredSample, spans: Sequence[Span]) -> Seen:
        """The axial plane through the region's middle, in square pixels."""
        depth, *in_plane = self.row["shape"]
        middle = min(int(sum(spans[0]) / 2 * depth), depth - 1)
        plane = np.asarray(source.array((slice(middle, middle + 1),))[0])
        rows, columns = ((1 - high, 1 - low) for low, high in spans[1:])
        grey = _to_8_bit(plane[::-1, ::-1], rows, columns)
        heights = self.row.get("spacing") or (1.0, 1.0, 1.0)
        extent = [size * step for size, step in zip(in_plane, heights[1:], strict=True)]
        scale = max(in_plane) / max(extent)
        size = (max(1, round(extent[1] * scale)), max(1, round(extent[0] * scale)))
        picture = Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR)
        return Seen((_png(picture), _part(picture, rows, columns)), _in_picture(rows, columns))


def _in_picture(rows: Span, columns: Span) -> str:
    width = f"{_percent(columns)} of the picture's width from its left edge"
    return f"{width}, {_percent(rows)} of its height from its top edge"


def _percent(span: Span) -> str:
    low, high = (round(100 * share) for share in span)
    return f"{low} to {max(high, low + 1)} %"


def _part(picture: Image.Image, rows: Span, columns: Span) -> bytes:
    """The part of a picture that is a region, with a margin; a small one is enlarged."""
    sides = []
    for (low, high), size in ((columns, picture.width), (rows, picture.height)):
        margin = max(_MARGIN * (high - low) * size, _FEWEST_PX)
        sides.append((max(0, int(low * size - margin)), min(size, int(high * size + margin + 0.5))))
    (left, right), (top, bottom) = sides
    part = picture.convert("L" if picture.mode in {"1", "L", "LA"} else "RGB").crop((left, top, right, bottom))
    if max(part.size) < _SMALLEST_PX:
        factor = _SMALLEST_PX / max(part.size)
        part = part.resize((max(1, round(part.width * factor)), max(1, round(part.height * factor))))
    part.info.clear()
    return _png(part)


def _to_8_bit(plane: npt.NDArray[Any], rows: Span, columns: Span) -> npt.NDArray[np.uint8]:
    """Grey values stretched over what is in and around a region, so that the region is seen."""
    values = np.nan_to_num(plane.astype(np.float32))
    inner = []
    for (low, high), size in zip((rows, columns), values.shape, strict=True):
        margin = max(_MARGIN * (high - low) * size, _FEWEST_PX)
        inner.append(slice(max(0, int(low * size - margin)), min(size, int(high * size + margin + 0.5))))
    black, white = np.percentile(values[tuple(inner)], _LIMITS)
    scaled = (values - black) * (255.0 / max(float(white - black), 1e-6))
    grey: npt.NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    return grey


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return shown(stream.getvalue())
