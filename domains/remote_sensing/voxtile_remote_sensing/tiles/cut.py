"""Cutting a strip of a scene into tiles: windows of each grid with their masks and scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile.corpus.records import Mask, Row, Sample
from voxtile.engine.task import Outcome, Part
from voxtile_remote_sensing.scenes.protocol import Grid, Scene
from voxtile_remote_sensing.splits.blocks import BlockSplits
from voxtile_remote_sensing.tiles.band_groups import Group
from voxtile_remote_sensing.tiles.grid import Cell, is_inside
from voxtile_remote_sensing.tiles.placement import Placement, place_cells
from voxtile_remote_sensing.tiles.preview import preview_of
from voxtile_remote_sensing.tiles.quality import CLOUD, NAMES, NODATA, SHADOW, SNOW, Flags, QualityLayers
from voxtile_remote_sensing.tiles.reading import GroupReader, readers_of
from voxtile_remote_sensing.tiles.reference import ReferenceMaker
from voxtile_remote_sensing.tiles.sample_rows import RowMaker
from voxtile_remote_sensing.tiles.settings import TileSettings
from voxtile_remote_sensing.tiles.stretch import scene_stretch
from voxtile_remote_sensing.tiles.undeclared_nodata import parts_of

SPLIT_SCHEME = "default"
UNUSABLE = NODATA | CLOUD | SHADOW
_SCORES = {"cloud_fraction": CLOUD, "shadow_fraction": SHADOW, "snow_fraction": SNOW}


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
    readers = readers_of(groups, [placement.windows for placement in placed], quality)
    stretches = [scene_stretch(scene, group.bands) if placed else [] for group in groups]
    makers = [RowMaker(scene, group, settings, licence, own) for group, own in zip(groups, stretches, strict=True)]
    references = [ReferenceMaker(group, corpus) for group in groups] if settings.coords_only else None
    blocks: dict[str, str] = {}
    for placement in placed:
        problem = _unusable(readers[0], placement, groups[0].grid, settings)
        if problem is not None:
            parts.append(problem)
            continue
        for n, (group, reader, maker) in enumerate(zip(groups, readers, makers, strict=True)):
            window = placement.windows[n]
            if not is_inside(window, group.grid):
                parts.append(Part(placement.cell.name, "dropped", "outside", f"{_bands(group)} do not reach it"))
                continue
            values, flags = reader.values(window), reader.flags(window)
            row = maker.row(placement, n, values, _share_without(flags, UNUSABLE))
            samples.append(
                references[n].sample(row, values, window)
                if references
                else _stored(row, values, preview_of(values, group.bands, stretches[n]) if settings.previews else None)
            )
            tables["scores"] += _score_rows(row["uid"], flags, has_masks=bool(scene.masks), producer=producer)
            masks += _masks(row["uid"], flags, quality.source or "nodata", producer)
        if placement.split is not None:
            blocks[placement.subject] = placement.split
    parts += parts_of(scene, sum((reader.undeclared for reader in readers), Counter()))
    tables["splits"] = [{"scheme": SPLIT_SCHEME, "subject": s, "split": split} for s, split in sorted(blocks.items())]
    return _outcome(samples, masks, tables, parts)


def _outcome(samples: list[Sample], masks: list[Mask], tables: dict[str, list[Row]], parts: list[Part]) -> Outcome:
    if not samples:
        reasons = Counter(part.reason for part in parts).most_common(1)
        reason = reasons[0][0] if reasons else "no-tiles"
        return Outcome("dropped", reason=reason, detail=parts[0].detail if parts else None, parts=tuple(parts))
    return Outcome("used", samples=tuple(samples), tables=tables, masks=tuple(masks), parts=tuple(parts))


def _unusable(reader: GroupReader, placement: Placement, grid: Grid, settings: TileSettings) -> Part | None:
    """Why a place is left out, by its finest grid; None where it is good enough."""
    name = placement.cell.name
    if not is_inside(placement.windows[0], grid):
        return Part(name, "dropped", "outside", f"{name} lies outside the scene")
    flags = reader.flags(placement.windows[0])
    measured = _share_without(flags, NODATA)
    if measured < settings.min_valid or measured == 0:
        detail = f"{name} has data on {measured:.0%} of its pixels, less than --min-valid"
        return Part(name, "dropped", "nodata", detail)
    valid = _share_without(flags, UNUSABLE)
    if valid < settings.min_valid:
        detail = f"{name} is clear on {valid:.0%} of its pixels, less than --min-valid"
        return Part(name, "dropped", "cloudy", detail)
    return None


def _share(flags: Flags, which: int) -> float:
    """Share of pixels with any of some flags."""
    return float(np.count_nonzero(flags & which)) / flags.size


def _share_without(flags: Flags, which: int) -> float:
    """Share of pixels with none of some flags."""
    return float(np.count_nonzero(flags & which == 0)) / flags.size


def _stored(row: Row, values: npt.NDArray[Any], preview: npt.NDArray[np.uint8] | None) -> Sample:
    """A sample that is compressed at once, so that a strip's pixels need not be held."""
    from voxtile.corpus.shards.codecs import compress  # late: a fifth of a second, and plans compress nothing

    return Sample(row, compress(values), preview)


def _score_rows(uid: str, flags: Flags, *, has_masks: bool, producer: str) -> list[Row]:
    names = {"nodata_fraction": NODATA} | (_SCORES if has_masks else {})
    return [
        {"uid": uid, "name": name, "value": _share(flags, flag), "producer": producer} for name, flag in names.items()
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
