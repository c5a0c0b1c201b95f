"""Tiles that stay in their files (`codec: ref`): what is noted, and how they are read again.

The fields of `ref` beside `uri`, `reader` and `box`: `layers`, a list of [file relative to the folder of `uri`, band
from 1] in the order of the channels; `grid`, rows and columns of the files; and `fill`, the value of each channel where
the box leaves them (null for NaN).
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from voxtile.corpus.identity import file_edges
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.remote.announcing import is_mirror
from voxtile.errors import CorpusError
from voxtile_remote_sensing.scenes.protocol import Layer, SceneBand, SceneError, SceneOptions
from voxtile_remote_sensing.scenes.raster import RasterPixels
from voxtile_remote_sensing.tiles.band_groups import Group, fill_value

READER = "raster-window"


class ReferenceMaker:
    """Makes samples that say where their pixels are; what the tiles of a group share is worked out once.

    Args:
        group: bands on one grid.
        corpus: folder that paths are relative to.

    Raises:
        SceneError: the pixels are not in a raster file of this machine.
    """

    def __init__(self, group: Group, corpus: Path) -> None:
        for band in group.bands:
            if band.layer.variable or band.layer.path.startswith("/vsi"):
                raise SceneError(
                    f"band {band.name} is in a store, or calibrated on reading, so that --coords-only cannot refer to "
                    "it; store the pixels, or make it a GeoTIFF first"
                )
        first = Path(group.bands[0].layer.path)
        size, edges = file_edges(first)
        self._shared = {
            # A corpus that is made in a store is somewhere else than the draft that stands for it here.
            "uri": str(first.resolve()) if is_mirror(corpus) else os.path.relpath(first, corpus.resolve()),
            "reader": READER,
            "bytes": size,
            "edges": edges,
            "layers": [[os.path.relpath(band.layer.path, first.parent), band.layer.index] for band in group.bands],
            "grid": list(group.grid.shape),
            "fill": [_json_number(band, group) for band in group.bands],
        }

    def sample(self, row: Row, values: npt.NDArray[Any], window: Window) -> Sample:
        """The sample of a tile.

        Args:
            row: its row.
            values: [C, Y, X], which are not stored.
            window: its pixels in the files.
        """
        box = [window.row_off, window.col_off, window.row_off + window.height, window.col_off + window.width]
        reference = json.dumps(self._shared | {"box": box}, sort_keys=True, separators=(",", ":"))
        placed = {"codec": "ref", "ref": reference, "shape": list(values.shape), "dtype": values.dtype.name}
        return Sample(row | placed, None)


def open_reference(path: Path) -> RasterWindows:
    """Open the file that tiles refer to; called by the corpus reader."""
    return RasterWindows(path)


class RasterWindows:
    """Implements `voxtile.corpus.references.ReferencedFile`.

    Args:
        path: the file of the first channel; the others lie beside it.
    """

    def __init__(self, path: Path) -> None:
        self._folder = path.resolve().parent
        self._pixels = RasterPixels(self._folder, SceneOptions(outside=True))

    def read(self, reference: Mapping[str, Any], selection: tuple[slice, ...]) -> npt.NDArray[Any]:
        """Stored values [C, Y, X] of a tile, or of slices of it.

        Raises:
            CorpusError: the reference is damaged.
            SceneError: a file is gone or damaged.
        """
        try:
            top, left, bottom, right = (int(v) for v in reference["box"])
            layers = [Layer(str((self._folder / name).resolve()), int(index)) for name, index in reference["layers"]]
            fill = [math.nan if v is None else float(v) for v in reference["fill"]]
            height, width = (int(v) for v in reference["grid"])
        except (KeyError, TypeError, ValueError) as error:
            raise CorpusError(f"a reference to '{self._folder}' is damaged; convert its source again") from error
        parts = [*selection, *(slice(None) for _ in range(3 - len(selection)))]
        channels, rows, columns = (
            range(size)[part] for size, part in zip((len(layers), bottom - top, right - left), parts, strict=True)
        )
        chosen = layers[channels.start : channels.stop]
        if not chosen or not len(rows) or not len(columns):
            raise CorpusError("an empty selection of a tile was asked for")
        window = Window(left + columns.start, top + rows.start, len(columns), len(rows))
        return self._padded(chosen, fill[channels.start : channels.stop], window, (height, width))

    def close(self) -> None:
        """Close the files."""
        self._pixels.close()

    def _padded(
        self, layers: list[Layer], fill: list[float], window: Window, shape: tuple[int, int]
    ) -> npt.NDArray[Any]:
        height, width = shape
        top, left = max(0, window.row_off), max(0, window.col_off)
        bottom, right = min(height, window.row_off + window.height), min(width, window.col_off + window.width)
        if bottom <= top or right <= left:
            kind = self._pixels.read(layers, Window(0, 0, 1, 1)).dtype
            return np.broadcast_to(
                np.array(fill).astype(kind)[:, None, None], (len(layers), window.height, window.width)
            ).copy()
        values = self._pixels.read(layers, Window(left, top, right - left, bottom - top))
        if values.shape[1:] == (window.height, window.width):
            return values
        out = np.empty((len(layers), window.height, window.width), values.dtype)
        out[:] = np.array(fill).astype(values.dtype)[:, None, None]
        y, x = top - window.row_off, left - window.col_off
        out[:, y : y + values.shape[1], x : x + values.shape[2]] = values
        return out


def _json_number(band: SceneBand, group: Group) -> float | None:
    value = fill_value(band, group.dtype)
    return None if math.isnan(value) else value
