"""`voxtile facts CORPUS --from osm`: what OpenStreetMap says is visible becomes facts, boxes and captions."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import shapely
from pyproj import CRS
from pyproj.exceptions import CRSError
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from shapely.geometry.base import BaseGeometry

from voxtile.console import output
from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError
from voxtile.file_edges import file_sha256
from voxtile_remote_sensing.osm.features import Feature, FeatureFile
from voxtile_remote_sensing.osm.source import Near, concepts_of, matching, read_map, write_features
from voxtile_remote_sensing.osm.tag_table import DEFAULT_TABLE, TagTable, load_table
from voxtile_remote_sensing.osm.task import COLUMNS, LICENCE, OsmTask, places_of
from voxtile_remote_sensing.osm.tile_geometry import TileFrame, carry, tile_frame, with_edge_points
from voxtile_remote_sensing.osm.wordings import DEFAULT_WORDINGS, load_wordings


def facts_from_osm(
    corpus: Path,
    *,
    osm: Path,
    vector_crs: str | None = None,
    assume_tags: str | None = None,
    concepts: str | None = None,
    captions: int = 2,
    closed: bool = True,
    partly_covered: bool = False,
    outlines: bool = False,
    tag_table: Path = DEFAULT_TABLE,
    wordings: Path = DEFAULT_WORDINGS,
    map_licence: str = LICENCE,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read facts, boxes and captions from OpenStreetMap.

    Features are clipped to each tile in the tile's CRS and measured in metres. A scope says what was looked for at the
    tile's resolution; tiles that the extract does not cover get none.

    Args:
        corpus: the corpus to add to; its tiles need a CRS and a transform.
        osm: .osm.pbf (or .osm), .geojson or .gpkg with OpenStreetMap's tags as columns.
        vector_crs: CRS of a file that does not state it (EPSG:… or WKT), or `tiles` if it is that of the tiles.
        assume_tags: tags of features that lack these keys, e.g. building=yes for a file of buildings without columns.
        concepts: kinds to look for, separated by commas; by default all of the table for OpenStreetMap's own files, and
            those that occur in it for a .geojson or .gpkg, which may hold one kind only.
        captions: number of captions a tile; 0 for none.
        closed: whether what was looked for and is not on the map counts as absent; turn off where mapping is poor.
        partly_covered: also use tiles that only partly lie in the extract; their counts are then too low.
        outlines: also store the outlines of mapped areas as masks of their regions, to train models that ground.
        tag_table: another table of visible tags.
        wordings: other sentences.
        map_licence: licence of the map, for the manifest; that of OpenStreetMap unless the vectors are others.
        run: options of the run.

    Raises:
        InputError: the map cannot be used, or no tile lies in it.
    """
    if captions < 0:
        raise ConfigError(f"--captions must be 0 or more, not {captions}")
    store = Corpus(corpus)
    table, sentences, assumed = load_table(tag_table), load_wordings(wordings), _parse_tags(assume_tags)
    tiles = _read_tiles(store)
    given = _vector_crs(vector_crs, tiles)
    if concepts is not None:
        table = table.only([name.strip() for name in concepts.split(",") if name.strip()])
    near = Near(table, assumed, _places(tiles))
    found = read_map(osm, table, given, near)
    if concepts is None and not found.is_whole_map:
        table = _occurring(table, found, assumed)
    features = list(matching(found, table, assumed))
    coverage = _classify(tiles, found, partly_covered=partly_covered)
    console = output()
    _report(console, osm, found, features, table, coverage)
    if not (features or near.matched):
        raise InputError(
            f"no feature of '{osm}' has a tag that is visible from above ({found.read} were read); "
            "check that its columns are OpenStreetMap keys, or give --assume-tags building=yes"
        )
    if not any(coverage.covered.values()):
        raise InputError(
            f"no tile of '{corpus}' lies in '{osm}' ({coverage.reasons()}); check the CRS of both, take a larger "
            "extract, or give --partly-covered true"
        )
    with tempfile.TemporaryDirectory(prefix="voxtile-osm-") as folder:
        path = Path(folder) / "features.parquet"
        write_features(path, features)
        task = OsmTask(
            corpus=str(corpus),
            features=str(path),
            features_crs=found.crs,
            settings={
                "map": osm.name,
                "map_sha256": file_sha256(osm),
                "map_snapshot": found.snapshot,
                "map_crs": found.crs,
                "assumed": assumed,
                "concepts": list(table.rules),
            },
            table=table,
            wordings=sentences,
            captions=captions,
            closed=closed,
            covered=coverage.covered,
            licence=map_licence,
            outlines=outlines,
        )
        run_task(task, corpus, RunOptions(**run)).raise_if_failed()


def _places(tiles: Mapping[str, Sequence[TileFrame | None]]) -> list[BaseGeometry]:
    """Where tiles lie, in longitude and latitude."""
    return [place for frames in tiles.values() for frame in frames if frame for place in places_of(frame, "EPSG:4326")]


def _occurring(table: TagTable, found: FeatureFile, assumed: dict[str, str]) -> TagTable:
    return table.only({rule.concept for feature in found.features for rule in table.match({**assumed, **feature.tags})})


@dataclass
class Coverage:
    """Which tiles the map covers.

    Attributes:
        covered: samples part → uids.
        outside, partly, unplaced: numbers of tiles outside the extract, partly in it, and without a usable CRS.
    """

    covered: dict[str, list[str]] = field(default_factory=dict)
    outside: int = 0
    partly: int = 0
    unplaced: int = 0

    def reasons(self) -> str:
        """Why tiles are left out, for messages."""
        return f"{self.outside} lie outside it, {self.partly} partly, {self.unplaced} have no usable CRS or transform"


def _read_tiles(store: Corpus) -> Mapping[str, Sequence[TileFrame | None]]:
    tiles: dict[str, Sequence[TileFrame | None]] = {}
    for part in store.parts("samples"):
        frames: list[TileFrame | None] = []
        for row in read_parts([part], table_schema("samples"), COLUMNS).to_pylist():
            try:
                frames.append(tile_frame(row))
            except ValueError:
                frames.append(None)
        tiles[part.stem] = frames
    if not any(frame for frames in tiles.values() for frame in frames):
        raise InputError(
            f"no sample of '{store.roots[0]}' has a CRS and a transform; convert scenes with: voxtile convert geotiff"
        )
    return tiles


def _classify(tiles: Mapping[str, Sequence[TileFrame | None]], found: FeatureFile, *, partly_covered: bool) -> Coverage:
    """A file without stated extent covers what lies within the bounds of its features, as far as one can tell."""
    stated = found.coverage is not None
    extent: BaseGeometry | None = found.coverage
    if extent is None and found.bounds is not None:
        extent = shapely.box(*found.bounds)
    coverage = Coverage()
    for stem, frames in tiles.items():
        coverage.covered[stem] = []
        for frame in frames:
            if frame is None:
                coverage.unplaced += 1
                continue
            outline = carry(with_edge_points(frame.footprint), frame.crs, found.crs)
            if extent is None or not outline.intersects(extent):
                coverage.outside += 1
            elif stated and not partly_covered and not extent.covers(outline):
                coverage.partly += 1
            else:
                coverage.covered[stem].append(frame.uid)
    return coverage


def _vector_crs(given: str | None, tiles: Mapping[str, Sequence[TileFrame | None]]) -> str | None:
    if given is None:
        return None
    if given == "tiles":
        names = {frame.crs for frames in tiles.values() for frame in frames if frame}
        if len(names) > 1:
            raise ConfigError(f"the tiles have {len(names)} different CRSs; give --vector-crs as EPSG:…")
        return names.pop()
    try:
        CRS.from_user_input(given)
    except CRSError as error:
        raise ConfigError(f"--vector-crs '{given[:80]}' is no CRS; give EPSG:…, WKT, or 'tiles'") from error
    return given


def _parse_tags(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    if any(not key.strip() or not value.strip() for key, _, value in pairs):
        raise ConfigError(f"--assume-tags '{text}' must be like building=yes,source=survey")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _report(
    console: Console,
    path: Path,
    found: FeatureFile,
    features: Sequence[Feature],
    table: TagTable,
    coverage: Coverage,
) -> None:
    counts: Counter[str] = concepts_of(features, table)
    shown = RichTable(title=f"{escape(path.name)}: features that are visible from above ({escape(table.identity)})")
    shown.add_column("concept")
    shown.add_column("features", justify="right")
    for concept, count in counts.most_common(12):
        shown.add_row(escape(concept), f"{count:,}")
    console.print(shown)
    lines = [
        f"{found.read:,} features were read, {len(features):,} are of use"
        + (" at the places of the tiles" if found.is_whole_map else ""),
        *(f"left out, {reason}: {count:,}" for reason, count in sorted(found.skipped.items()) if count),
        f"{found.undated:,} features state no date" if found.undated else "",
        f"tiles in the extract: {sum(map(len, coverage.covered.values())):,}; of the others {coverage.reasons()}",
    ]
    for line in filter(None, lines):
        console.print(line, highlight=False, markup=False)
