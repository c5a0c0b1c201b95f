"""Cutting a strip of a scene into tiles: one read a grid, then windows of it with their masks and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from voxtile.engine.task import Mask, Outcome, Part, Row, Sample
from voxtile_remote_sensing.scenes.protocol import Scene
from voxtile_remote_sensing.splits.blocks import BlockSplits
from voxtile_remote_sensing.tiles.grid import Cell, is_inside
from voxtile_remote_sensing.tiles.layers import Group, fill_value
from voxtile_remote_sensing.tiles.placement import Placement, place_cells
from voxtile_remote_sensing.tiles.preview import preview_of
from voxtile_remote_sensing.tiles.quality import CLOUD, NAMES, NODATA, SHADOW, SNOW, Flags, QualityLayers
from voxtile_remote_sensing.tiles.reference import reference_of
from voxtile_remote_sensing.tiles.sample_rows import RowMaker
from voxtile_remote_sensing.tiles.settings import TileSettings

SPLIT_SCHEME = "default"
UNUSABLE = NODATA | CLOUD | SHADOW
_SCORES = {"cloud_fraction": CLOUD, "shadow_fraction": SHADOW, "snow_fraction": SNOW}


@dataclass
class Strip:
    """The pixels of one group between the outermost windows of a strip."""

    group: Group
    window: Window
    values: npt.NDArray[Any]
    flags: Flags
    fill: npt.NDArray[Any] = field(repr=False)

    def tile(self, window: Window) -> tuple[npt.NDArray[Any], Flags]:
        """Values [C, Y, X] and flags [Y, X] of a window; what lies outside the scene is filled and flagged."""
        y, x = window.row_off - self.window.row_off, window.col_off - self.window.col_off
        rows, columns = slice(max(0, y), y + window.height), slice(max(0, x), x + window.width)
        values, flags = self.values[:, rows, columns], self.flags[rows, columns]
        if flags.shape == (window.height, window.width):
            return np.ascontiguousarray(values), flags
        padded = np.empty((len(values), window.height, window.width), values.dtype)
        padded[:] = self.fill[:, None, None]
        padded_flags = np.full(padded.shape[1:], NODATA, np.uint8)
        top, left = max(0, -y), max(0, -x)
        place = slice(top, top + flags.shape[0]), slice(left, left + flags.shape[1])
        padded[:, *place], padded_flags[place] = values, flags
        return padded, padded_flags


def cut(
    scene: Scene,
    groups: Sequence[Group],
    cells: Sequence[Cell],
    settings: TileSettings,
    splits: BlockSplits | None,
    *,
    radius_m: float,
    corpus: Path,
    licence: str | None,
    producer: str,
) -> Outcome:
    """Turn cells of a scene into samples.

    Args:
        scene: open.
        groups: its bands by grid, the finest first.
        cells: which to cut.
        settings: how.
        splits: blocks, or None for no splits.
        radius_m: half the diagonal of the largest tile of the conversion.
        corpus: where references are relative to.
        licence: to note instead of the scene's own.
        producer: name and version for scores and masks.

    Raises:
        SceneError: the files are damaged, or a corner has no place on earth.
    """
    parts: list[Part] = []
    placed = place_cells(groups, cells, splits, radius_m, parts)
    samples: list[Sample] = []
    masks: list[Mask] = []
    tables: dict[str, list[Row]] = {"splits": [], "scores": []}
    quality = QualityLayers(scene)
    strips = [_read(group, n, placed, quality) for n, group in enumerate(groups)]
    makers = [RowMaker(scene, group, settings, licence) for group in groups]
    blocks: dict[str, str] = {}
    for placement in placed:
        problem = _unusable(strips, placement, settings)
        if problem is not None:
            parts.append(problem)
            continue
        for n, (group, strip, maker) in enumerate(zip(groups, strips, makers, strict=True)):
            if strip is None or not is_inside(placement.windows[n], group.grid):
                parts.append(Part(placement.cell.name, "dropped", "outside", f"{_bands(group)} do not reach it"))
                continue
            values, flags = strip.tile(placement.windows[n])
            row = maker.row(placement, n, values, _share_valid(flags))
            samples.append(_sample(row, values, group, placement.windows[n], settings, corpus))
            tables["scores"] += _score_rows(row["uid"], flags, has_masks=bool(scene.masks), producer=producer)
            masks += _masks(row["uid"], flags, quality.source or "nodata", producer)
        if placement.split is not None:
            blocks[placement.subject] = placement.split
    tables["splits"] = [{"scheme": SPLIT_SCHEME, "subject": s, "split": split} for s, split in sorted(blocks.items())]
    return _outcome(samples, masks, tables, parts)


def _outcome(samples: list[Sample], masks: list[Mask], tables: dict[str, list[Row]], parts: list[Part]) -> Outcome:
    if not samples:
        reasons = Counter(part.reason for part in parts).most_common(1)
        reason = reasons[0][0] if reasons else "no-tiles"
        return Outcome("dropped", reason=reason, detail=parts[0].detail if parts else None, parts=tuple(parts))
    return Outcome("used", samples=tuple(samples), tables=tables, masks=tuple(masks), parts=tuple(parts))


def _read(group: Group, number: int, placed: Sequence[Placement], quality: QualityLayers) -> Strip | None:
    """The pixels of all tiles of a group at once; None where none of them touches its grid."""
    windows = [p.windows[number] for p in placed if is_inside(p.windows[number], group.grid)]
    if not windows:
        return None
    rows, columns = group.grid.shape
    top, left = max(0, min(w.row_off for w in windows)), max(0, min(w.col_off for w in windows))
    bottom = min(rows, max(w.row_off + w.height for w in windows))
    right = min(columns, max(w.col_off + w.width for w in windows))
    window = Window(left, top, right - left, bottom - top)
    values, missing = group.read(window)
    flags = quality.read(group.grid, window)
    blank = _blank(values, group)
    for empty in (blank, missing):
        if empty is not None:
            flags = flags | empty.astype(np.uint8) * np.uint8(NODATA)
    fill = np.array([fill_value(band, group.dtype) for band in group.bands]).astype(values.dtype)
    return Strip(group, window, values, flags, fill)


def _blank(values: npt.NDArray[Any], group: Group) -> npt.NDArray[np.bool_] | None:
    """Pixels [Y, X] in which no band was measured."""
    blank: npt.NDArray[np.bool_] | None = None
    for plane, band in zip(values, group.bands, strict=True):
        if plane.dtype.kind == "f":
            empty = ~np.isfinite(plane)
            if band.nodata is not None:
                empty |= plane == band.nodata
        elif band.nodata is not None:
            empty = plane == band.nodata
        else:
            return None
        blank = empty if blank is None else blank & empty
        if not blank.any():
            return None
    return blank


def _unusable(strips: Sequence[Strip | None], placement: Placement, settings: TileSettings) -> Part | None:
    """Why a place is left out, by its finest grid; None where it is good enough."""
    strip = strips[0]
    if strip is None or not is_inside(placement.windows[0], strip.group.grid):
        return Part(placement.cell.name, "dropped", "outside", f"{placement.cell.name} lies outside the scene")
    window, covering = placement.windows[0], strip.window
    y, x = window.row_off - covering.row_off, window.col_off - covering.col_off
    flags = strip.flags[max(0, y) : y + window.height, max(0, x) : x + window.width]
    pixels = window.width * window.height
    measured = np.count_nonzero(flags & NODATA == 0) / pixels
    if measured < settings.min_valid or measured == 0:
        detail = f"{placement.cell.name} has data on {measured:.0%} of its pixels, less than --min-valid"
        return Part(placement.cell.name, "dropped", "nodata", detail)
    valid = np.count_nonzero(flags & UNUSABLE == 0) / pixels
    if valid < settings.min_valid:
        detail = f"{placement.cell.name} is clear on {valid:.0%} of its pixels, less than --min-valid"
        return Part(placement.cell.name, "dropped", "cloudy", detail)
    return None


def _share_valid(flags: Flags) -> float:
    return float(np.count_nonzero(flags & UNUSABLE == 0)) / flags.size


def _sample(
    row: Row, values: npt.NDArray[Any], group: Group, window: Window, settings: TileSettings, corpus: Path
) -> Sample:
    if settings.coords_only:
        placed = {"codec": "ref", "ref": reference_of(group, window, corpus)}
        return Sample(row | placed | {"shape": list(values.shape), "dtype": values.dtype.name}, None)
    return Sample(row, values, preview_of(values, group.bands) if settings.previews else None)


def _score_rows(uid: str, flags: Flags, *, has_masks: bool, producer: str) -> list[Row]:
    names = {"nodata_fraction": NODATA} | (_SCORES if has_masks else {})
    return [
        {"uid": uid, "name": name, "value": np.count_nonzero(flags & flag) / flags.size, "producer": producer}
        for name, flag in names.items()
    ]


def _masks(uid: str, flags: Flags, source: str, producer: str) -> Iterator[Mask]:
    """A mask for each kind of unusable pixel that occurs; nodata has no phrase, since nobody would say it."""
    if not flags.any():
        return
    for flag, name in NAMES.items():
        found = flags & flag != 0
        if not found.any():
            continue
        rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
        box = [float(v) for v in (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1)]
        row: Row = {
            "region_id": f"{uid}-{name.replace(' ', '-')}",
            "uid": uid,
            "phrase": None if flag == NODATA else name,
            "box": box,
            "source": f"{source} {producer}",
        }
        yield Mask(row, found)


def _bands(group: Group) -> str:
    names = [band.name for band in group.bands]
    return ("band " if len(names) == 1 else "bands ") + ", ".join(names[:6])
