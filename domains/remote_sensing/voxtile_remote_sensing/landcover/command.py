"""`voxtile facts CORPUS --from landcover`: the share of each land-cover class in a tile becomes a fact."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile.file_edges import file_sha256
from voxtile_remote_sensing.landcover.legend import Legend, legend_names, load_legend
from voxtile_remote_sensing.landcover.measure import Shares, class_shares
from voxtile_remote_sensing.osm.task import COLUMNS
from voxtile_remote_sensing.osm.tile_geometry import tile_frame
from voxtile_remote_sensing.scenes.protocol import SceneOptions
from voxtile_remote_sensing.scenes.raster import open_raster

RULE = "landcover@1"
_CLOSED_FROM = 0.995  # share of a tile that must be classified for what is not found to be absent


@dataclass(frozen=True)
class LandCoverTask:
    """The engine task: an item is a part of the samples table.

    Attributes:
        corpus: its folder; no part of the identity.
        raster: the class raster; no part of the identity.
        raster_sha256: of the raster.
        crs: of the raster.
        legend: what its values mean.
        min_share: smallest share of a tile at which a class counts as present.
    """

    corpus: str
    raster: str
    raster_sha256: str
    crs: str
    legend: Legend
    min_share: float

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "landcover"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output, and whose map it is."""
        return {
            "raster": Path(self.raster).name,
            "raster_sha256": self.raster_sha256,
            "legend": [self.legend.identity, self.legend.sha256],
            "min_share": self.min_share,
            "licence": self.legend.licence,
            "source": self.legend.source,
        }

    def items(self) -> Iterator[Item]:
        """One item a part."""
        for path in part_paths(Path(self.corpus), "samples"):
            yield Item(f"landcover:{self.legend.name}:{Path(self.raster).name}/{path.stem}", {"part": path.stem})

    def process(self, item: Item) -> Outcome:
        """Look the raster up in the tiles of one part."""
        path = Path(self.corpus) / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        facts: list[Row] = []
        scopes: list[Row] = []
        unplaced = 0
        raster = Path(self.raster)
        with open_raster(str(raster), raster.parent, SceneOptions()) as dataset:
            for row in read_parts([path], table_schema("samples"), COLUMNS).to_pylist():
                try:
                    frame = tile_frame(row)
                except ValueError:
                    frame = None
                if frame is None:
                    unplaced += 1
                    continue
                found, scope = self.rows(frame.uid, class_shares(dataset, self.crs, frame))
                facts += found
                scopes += scope
        if not scopes:
            return Outcome("dropped", "no-overlap", f"no tile lies on the raster ({unplaced} have no CRS or transform)")
        return Outcome("used", tables={"facts": facts, "scopes": scopes})

    def rows(self, uid: str, shares: Shares) -> tuple[list[Row], list[Row]]:
        """Facts about one tile and the scope, which is closed where all of it is classified; none off the raster."""
        known = {v: n for v, n in shares.counts.items() if v not in self.legend.nodata}
        unknown = sorted(v for v in known if v not in self.legend.values)
        if unknown:
            raise InputError(
                f"the raster has the value {unknown[0]}, which the legend {self.legend.identity} does not know; "
                f"choose another with --legend ({', '.join(legend_names())})"
            )
        classified = sum(known.values())
        if not classified:
            return [], []
        totals: dict[str, int] = dict.fromkeys(self.legend.concepts, 0)
        for value, count in known.items():
            totals[self.legend.values[value]] += count
        facts = []
        for concept, count in totals.items():
            if not count:
                continue
            share = count / shares.points
            attributes = {"legend": self.legend.identity, "raster": Path(self.raster).name, "points": count}
            facts.append(
                {
                    "uid": uid,
                    "concept": concept,
                    "polarity": "present" if share >= self.min_share else "uncertain",
                    "value": share,
                    "unit": "fraction",
                    "attributes": json.dumps(attributes, sort_keys=True),
                    "source": RULE,
                }
            )
        closed = classified >= _CLOSED_FROM * shares.points
        scope = {"uid": uid, "vocabulary": self.legend.identity, "closed": closed}
        return facts, [{**scope, "concepts": list(self.legend.concepts)}]


def facts_from_landcover(
    corpus: Path,
    *,
    raster: Path,
    legend: str,
    min_share: float = 0.05,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read the share of each land-cover class from a raster.

    A class that covers less than --min-share of a tile, but some of it, counts as uncertain: it may not be seen. Where
    the raster covers a tile, classes that it does not have there are absent.

    Args:
        corpus: the corpus to add to; its tiles need a CRS and a transform.
        raster: class raster (GeoTIFF or another raster file) in any CRS.
        legend: corine, corine-19 (BigEarthNet's classes), worldcover, dynamic-world, cdl, or a YAML file.
        min_share: share of a tile, from 0 to 1.
        run: options of the run.

    Raises:
        ConfigError: no such legend.
        InputError: the raster is damaged, has no CRS, several bands, or values that the legend does not know, or no
            tile lies on it.
    """
    if not 0 < min_share <= 1:
        raise ConfigError(f"--min-share must be more than 0 and at most 1, not {min_share}")
    store = Corpus(corpus)
    chosen = load_legend(legend)
    crs = _raster_crs(raster)
    _check_places(store.table("samples", ["crs"])["crs"].to_pylist(), corpus)
    task = LandCoverTask(str(corpus), str(raster), file_sha256(raster), crs, chosen, min_share)
    summary = run_task(task, corpus, RunOptions(**run))
    summary.raise_if_failed()
    if summary.dropped and not summary.used:
        raise InputError(f"no tile of '{corpus}' lies on the raster '{raster}'; check the CRS of both, and their place")


def _raster_crs(path: Path) -> str:
    if not path.is_file():
        raise InputError(f"the raster '{path}' does not exist; give a class raster such as a GeoTIFF")
    with open_raster(str(path), path.parent, SceneOptions()) as dataset:
        if dataset.crs is None:
            raise InputError(f"the raster '{path}' has no CRS; write it with one")
        if dataset.dtypes[0].startswith(("float", "complex")):
            raise InputError(f"the raster '{path}' holds {dataset.dtypes[0]}; a class raster holds whole numbers")
        if dataset.count > 1:  # Dynamic World's classes are the last of ten, a picture of a map has three
            raise InputError(
                f"the raster '{path}' has {dataset.count} bands, and nobody says which holds the classes; write that "
                "one alone, for example with gdal_translate -b 1"
            )
        code = dataset.crs.to_epsg()
        return f"EPSG:{code}" if code else str(dataset.crs.to_wkt())


def _check_places(crs: Sequence[str | None], corpus: Path) -> None:
    if not any(crs):
        raise InputError(
            f"no sample of '{corpus}' has a CRS and a transform; convert scenes with: voxtile convert geotiff"
        )
