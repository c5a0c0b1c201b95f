"""The engine task: an item is a part of the samples table, whose tiles are compared with the map."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.records import Mask, Row
from voxtile.engine.task import Item, Outcome
from voxtile_remote_sensing.osm.captions import GENERATOR, caption_row, write_captions
from voxtile_remote_sensing.osm.facts import RULE, scene_facts, scope_row
from voxtile_remote_sensing.osm.features import Feature
from voxtile_remote_sensing.osm.outlines import outlined_regions
from voxtile_remote_sensing.osm.regions import region_rows
from voxtile_remote_sensing.osm.source import FeatureIndex, load_index
from voxtile_remote_sensing.osm.tag_table import TagTable
from voxtile_remote_sensing.osm.tile_geometry import TileFrame, carry, tile_frame, with_edge_points
from voxtile_remote_sensing.osm.visible_features import Scene, measure_scene
from voxtile_remote_sensing.osm.wordings import Wordings

COLUMNS = ("uid", "modality", "axes", "shape", "crs", "transform", "gsd_m", "ref")
LICENCE = "ODbL 1.0"
ATTRIBUTION = "© OpenStreetMap contributors, https://www.openstreetmap.org/copyright"


@dataclass(frozen=True)
class OsmTask:
    """Facts, scopes, boxes and captions from a map.

    Attributes:
        corpus: its folder; no part of the identity.
        features: the file that `write_features` wrote; no part of the identity.
        features_crs: of the features.
        settings: what else decides the output: hash of the map file, assumed tags, CRS.
        table: the tag table.
        wordings: the sentences.
        captions: how many a tile.
        closed: whether the scope is closed.
        covered: samples part → uids of its tiles that the map covers.
        licence: of the map, with its attribution.
        outlines: whether regions also get the outlines of their objects, as masks.
    """

    corpus: str
    features: str
    features_crs: str
    settings: Mapping[str, Any]
    table: TagTable
    wordings: Wordings
    captions: int
    closed: bool
    covered: Mapping[str, Sequence[str]]
    licence: str = LICENCE
    outlines: bool = False

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "osm"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "3"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, and whose map it is."""
        return {
            **self.settings,
            "rule": RULE,
            "table": [self.table.identity, self.table.sha256],
            "wordings": [self.wordings.identity, self.wordings.sha256],
            "generator": GENERATOR,
            "captions": self.captions,
            "closed": self.closed,
            "outlines": self.outlines,
            "licence": self.licence,
            "attribution": ATTRIBUTION if self.licence == LICENCE else None,
        }

    def items(self) -> Iterator[Item]:
        """One item a part of the samples table that has a covered tile."""
        for stem, uids in self.covered.items():
            if uids:
                yield Item(f"osm:{self.settings['map']}/{stem}", {"part": stem, "uids": list(uids)}, cost=len(uids))

    def process(self, item: Item) -> Outcome:
        """Compare the tiles of one part with the map."""
        path = Path(self.corpus) / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        wanted = set(item.inputs["uids"])
        index = load_index(self.features)
        tables: dict[str, list[Row]] = {"facts": [], "scopes": [], "regions": [], "captions": []}
        masks: list[Mask] = []
        for row in read_parts([path], table_schema("samples"), COLUMNS).to_pylist():
            frame = tile_frame(row) if row["uid"] in wanted else None
            if frame is not None:
                found, outlined = self.tables_of(frame, row["modality"], index)
                masks += outlined
                for name, rows in found.items():
                    tables[name] += rows
        return Outcome("used", tables={name: rows for name, rows in tables.items() if rows}, masks=tuple(masks))

    def tables_of(
        self, frame: TileFrame, modality: str | None, index: FeatureIndex
    ) -> tuple[dict[str, list[Row]], list[Mask]]:
        """All rows about one tile, and its regions with an outline."""
        scene = measure_scene(frame, nearby(frame, index, self.features_crs), self.features_crs, self.table)
        regions, ids = region_rows(scene)
        facts = scene_facts(scene, self.table.identity, ids)
        captions = write_captions(
            scene, facts, self.table, self.wordings, modality=modality, count=self.captions, closed=self.closed
        )
        boxes, masks = outlined_regions(scene, regions, ids) if self.outlines else (regions, [])
        tables = {
            "facts": [fact.row(frame.uid) for fact in facts],
            "scopes": [scope_row(scene, self.table.identity, closed=self.closed)],
            "regions": boxes,
            "captions": [caption_row(scene, caption, self.table, self.wordings) for caption in captions],
        }
        return tables, masks


def nearby(frame: TileFrame, index: FeatureIndex, crs: str) -> list[Feature]:
    """Features whose bounds meet a tile's footprint, also where that lies across the antimeridian."""
    return [feature for place in places_of(frame, crs) for feature in index.near(place)]


def places_of(frame: TileFrame, crs: str) -> list[BaseGeometry]:
    """A tile's footprint in a CRS: one outline, or a box on each side of the antimeridian that it lies across."""
    outline = carry(with_edge_points(frame.footprint), frame.crs, crs)
    west, south, east, north = outline.bounds
    if crs == "EPSG:4326" and east - west > 180:
        longitudes = shapely.get_coordinates(outline)[:, 0]
        return [
            shapely.box(longitudes[longitudes > 0].min(), south, 180, north),
            shapely.box(-180, south, longitudes[longitudes <= 0].max(), north),
        ]
    return [outline]


__all__ = ["ATTRIBUTION", "COLUMNS", "LICENCE", "OsmTask", "Scene", "nearby", "places_of"]
