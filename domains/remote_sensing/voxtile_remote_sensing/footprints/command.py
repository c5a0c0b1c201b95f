"""`voxtile facts CORPUS --from places`: labels and captions of places go to the tiles that lie there."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from shapely import STRtree, from_wkb
from shapely.geometry.base import BaseGeometry

from voxtile.corpus.parts import read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile.stages.ingest.text import caption_rows, check_texts
from voxtile_datasets.captions.context.selection import chosen_samples
from voxtile_remote_sensing.footprints.layer import Layer, read_layer

RULE = "places@1"
_SHAPEFILE = (".dbf", ".prj", ".cpg")  # columns, coordinate system, characters


@dataclass(frozen=True)
class Told:
    """What is known of one tile: classes and captions."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class PlacesTask:
    """The engine task: an item is a part of the samples table.

    Attributes:
        sha256: of the vector file.
        settings: how it was read and joined; part of the identity.
        parts: stem of the samples part → uids in it.
        told: uid → what is known of it.
        classes: what was looked for.
        vocabulary: name of the scope.
        closed: whether an unmentioned class is absent.
    """

    sha256: str
    settings: Mapping[str, Any]
    parts: Mapping[str, Sequence[str]]
    told: Mapping[str, Told]
    classes: tuple[str, ...]
    vocabulary: str
    closed: bool

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "places"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {**self.settings, "sha256": self.sha256, "vocabulary": self.vocabulary, "closed": self.closed}

    def items(self) -> Iterator[Item]:
        """One item a part."""
        for stem, uids in self.parts.items():
            labelled = sum(uid in self.told for uid in uids)
            yield Item(
                f"places:{self.vocabulary}/{stem}", {"part": stem, "labelled": labelled}, cost=max(1, labelled * 100)
            )

    def process(self, item: Item) -> Outcome:
        """Facts, scopes and captions of the samples of one part."""
        tables: dict[str, list[Row]] = {"facts": [], "scopes": [], "captions": []}
        for uid in self.parts[item.inputs["part"]]:
            told = self.told.get(uid)
            if told is None:
                continue
            if self.classes:
                tables["facts"] += [
                    {"uid": uid, "concept": label, "polarity": "present", "source": RULE} for label in told.labels
                ]
                scope = {"vocabulary": self.vocabulary, "closed": self.closed, "concepts": list(self.classes)}
                tables["scopes"].append({"uid": uid, **scope})
            tables["captions"] += caption_rows(uid, check_texts(told.texts).accepted, source=item.source)
        if not any(tables.values()):
            return Outcome("dropped", "no-place", "no labelled place lies on a tile of this part")
        return Outcome("used", tables=tables)


def facts_from_places(
    corpus: Path,
    *,
    places: Path,
    layer: str | None = None,
    class_column: str | None = None,
    text_column: str | None = None,
    label_separator: str = "|",
    min_overlap: float = 0.5,
    closed: bool = True,
    vocabulary: str | None = None,
    vector_crs: str | None = None,
    where: str | None = None,
    **run: Any,  # noqa: ANN401
) -> None:
    """Give the labels and captions of places (GeoJSON, GeoPackage, Shapefile) to the tiles that lie there.

    A point belongs to the tile that holds it. A polygon belongs to every tile of which it covers at least
    `--min-overlap`. A tile with several places gets the labels of all. Tiles of all dates get them: of a map that holds
    for some, say with --where for which.

    Args:
        corpus: the corpus to add to; its samples need footprints (`voxtile convert geotiff` writes them).
        places: the vector file.
        layer: of a file with several.
        class_column: column with the class; found by its name (label, class, category, …) if not given.
        text_column: column with a caption or a list of them; found by its name (text, caption, …) if not given.
        label_separator: between several classes in one cell.
        min_overlap: share of a tile that a polygon must cover, above 0 and at most 1.
        closed: whether a class that no place on a tile names is absent from it.
        vocabulary: name of the scope; the file's name if not given.
        vector_crs: coordinate system of a file that does not state one, e.g. EPSG:32632.
        where: only tiles for which this SQL condition holds, such as "datetime LIKE '2021%'" for a map of that year.
        run: options of the run.

    Raises:
        InputError: the file cannot be used, or none of its places lies on a tile.
        ConfigError: an option is out of range or names a column that does not exist.
    """
    if not 0 < min_overlap <= 1:
        raise ConfigError(f"--min-overlap must be above 0 and at most 1, not {min_overlap}")
    store = Corpus(corpus)
    read = read_layer(
        places,
        layer=layer,
        class_column=class_column,
        text_column=text_column,
        separator=label_separator,
        crs=vector_crs,
    )
    parts, footprints = _footprints(store, corpus)
    if where is not None:
        chosen = set(chosen_samples(corpus, where, None)["uid"].to_pylist())
        footprints = {uid: shape for uid, shape in footprints.items() if uid in chosen}
    told = join_places(footprints, read, min_overlap)
    if not told:
        raise InputError(
            f"none of the {len(read.places)} places of '{places}' lies on a tile of '{corpus}'; check that both are of "
            "the same area, and give --vector-crs if the file states no coordinate system"
        )
    task = PlacesTask(
        sha256=_sha256(places),
        settings={"columns": list(read.columns), "layer": layer, "min_overlap": min_overlap, "crs": vector_crs}
        | ({} if where is None else {"where": where}),
        parts=parts,
        told=told,
        classes=read.classes,
        vocabulary=vocabulary or places.stem,
        closed=closed,
    )
    summary = run_task(task, corpus, RunOptions(**run))
    counts = Counter(label for one in told.values() for label in one.labels)
    shown = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    Console(stderr=True).print(
        f"{len(told)} of {len(footprints)} tiles hold a place{f': {shown}' if shown else ''}",
        highlight=False,
        markup=False,
    )
    summary.raise_if_failed()


def _sha256(places: Path) -> str:
    """Of a vector file; of a Shapefile with the files beside it, of which one holds the columns."""
    beside = [places.with_suffix(suffix) for suffix in _SHAPEFILE] if places.suffix.lower() == ".shp" else []
    return hashlib.sha256(b"".join(path.read_bytes() for path in (places, *filter(Path.is_file, beside)))).hexdigest()


def join_places(footprints: Mapping[str, BaseGeometry], layer: Layer, min_overlap: float) -> dict[str, Told]:
    """What is known of each tile.

    Args:
        footprints: uid → geometry in longitude and latitude.
        layer: the places.
        min_overlap: share of a tile (by area in degrees, which within one tile is proportional) that a polygon covers.
    """
    tree = STRtree([place.geometry for place in layer.places])
    told: dict[str, Told] = {}
    for uid, footprint in footprints.items():
        found = [layer.places[int(i)] for i in sorted(tree.query(footprint, predicate="intersects"))]
        kept = [
            place
            for place in found
            if place.geometry.area == 0
            or place.geometry.intersection(footprint).area >= min_overlap * footprint.area - 1e-15
        ]
        if kept:
            labels = dict.fromkeys(label for place in kept for label in place.labels)
            told[uid] = Told(tuple(labels), tuple(dict.fromkeys(text for place in kept for text in place.texts)))
    return told


def _footprints(store: Corpus, corpus: Path) -> tuple[dict[str, list[str]], dict[str, BaseGeometry]]:
    """Uids of each part of the samples table, and the footprints of the samples that have one."""
    parts: dict[str, list[str]] = {}
    footprints: dict[str, BaseGeometry] = {}
    for path in store.parts("samples"):
        table = read_parts([path], table_schema("samples"), ["uid", "geometry"])
        parts[path.stem] = table["uid"].to_pylist()
        footprints |= {
            uid: from_wkb(wkb) for uid, wkb in zip(parts[path.stem], table["geometry"].to_pylist(), strict=True) if wkb
        }
    if not footprints:
        raise InputError(f"the samples of '{corpus}' have no footprints; convert georeferenced scenes to get them")
    return parts, footprints
