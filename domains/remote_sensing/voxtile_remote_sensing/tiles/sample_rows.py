"""Rows of `samples` for tiles."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from voxtile.corpus.identity import sample_uid
from voxtile.corpus.records import Row
from voxtile_remote_sensing.scenes.protocol import Scene
from voxtile_remote_sensing.tiles.band_groups import Group, fill_value
from voxtile_remote_sensing.tiles.grid import corners_of, ground_sampling_distance, is_within, transform_of
from voxtile_remote_sensing.tiles.placement import Placement
from voxtile_remote_sensing.tiles.settings import TileSettings

_PLACE = "{place}"


class RowMaker:
    """Makes rows for the tiles of one group; what they share is worked out once.

    Args:
        scene: the scene.
        group: its bands on one grid.
        settings: of the conversion.
        licence: to note instead of the scene's own.
        stretch: what is black and white of each band over the scene.
    """

    def __init__(
        self,
        scene: Scene,
        group: Group,
        settings: TileSettings,
        licence: str | None,
        stretch: Sequence[Sequence[float] | None],
    ) -> None:
        units = {band.band.unit for band in group.bands}
        unit = units.pop() if len(units) == 1 else "mixed"
        self._grid = group.grid
        self._what = json.dumps([scene.sensor, scene.product, scene.datetime, [band.name for band in group.bands]])
        self._how = (
            ""
            if settings.is_native
            else json.dumps([settings.resolution_m, settings.reproject, sorted(settings.resampling.items())])
        )
        self._shared: Row = {
            "kind": "tile",
            "modality": scene.modality,
            "axes": "CYX",
            "units": "a.u." if unit == "1" else unit,
            "channels": [band.channel() for band in group.bands],
            "crs": group.grid.crs_text,
            "datetime": scene.datetime,
            "licence": licence or scene.licence,
        }
        attributes: dict[str, Any] = {
            **scene.attributes,
            "sensor": scene.sensor,
            "platform": scene.platform,
            "product": scene.product or None,
            "scene": scene.id,
            "place": _PLACE,
            "stretch": stretch if any(stretch) else None,
        }
        self._attributes = _json(attributes | {"nodata": _nodata([band.nodata for band in group.bands])})
        fill = _nodata([fill_value(band, group.dtype) for band in group.bands])
        self._attributes_beyond = _json(attributes | {"nodata": fill})

    def row(self, placement: Placement, number: int, values: npt.NDArray[Any], valid: float) -> Row:
        """The row of a tile, without what the writer fills in.

        Args:
            placement: where it belongs.
            number: of the group.
            values: [C, Y, X], contiguous.
            valid: share of usable pixels.
        """
        cell, window, outline = placement.cell, placement.windows[number], placement.outlines[number]
        xs, ys = zip(*corners_of(window, self._grid), strict=True)
        digest = hashlib.sha256(values.data).hexdigest()
        attributes = self._attributes if is_within(window, self._grid) else self._attributes_beyond
        return {
            **self._shared,
            "uid": sample_uid(f"{digest} {self._what}", cell.name, self._how),
            "subject": placement.subject,
            "study": cell.name,
            "transform": [float(v) for v in tuple(transform_of(window, self._grid))[:6]],
            "bounds": [float(v) for v in (min(xs), min(ys), max(xs), max(ys))],
            "gsd_m": ground_sampling_distance(self._grid, *outline.centre),
            "valid_fraction": valid,
            "geometry": outline.wkb,
            "attributes": attributes.replace(_PLACE, cell.name),
            "sha256": digest,
        }


def _json(attributes: Mapping[str, Any]) -> str:
    known = {key: value for key, value in attributes.items() if value is not None}
    return json.dumps(known, sort_keys=True, separators=(",", ":"))


def _nodata(values: Sequence[float | None]) -> float | list[float | None] | None:
    """Stored value that means no data: one number for all channels, or one a channel; NaN needs no mention."""
    stated = [None if value is None or not math.isfinite(value) else float(value) for value in values]
    return stated[0] if len(set(stated)) == 1 else stated
