"""`voxtile facts CORPUS --from metadata`: season, sun, resolution and place names from what each tile's row says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import ConfigError, InputError
from voxtile.file_edges import file_sha256
from voxtile_remote_sensing.metadata.gazetteer import Gazetteer, load_gazetteer
from voxtile_remote_sensing.metadata.sun import parse_moment, season, sun_elevation
from voxtile_remote_sensing.metadata.words import (
    RESOLUTIONS,
    caption,
    distance_text,
    gsd_text,
    resolution_word,
    sun_word,
)
from voxtile_remote_sensing.osm.english import compass_point
from voxtile_remote_sensing.osm.task import COLUMNS
from voxtile_remote_sensing.osm.tile_geometry import TileFrame, tile_frame, transformer
from voxtile_remote_sensing.osm.wordings import AERIAL_GSD_M

RULE, GENERATOR = "metadata@1", "metadata-captions@1"
SEASONS, SUNS = ("spring", "summer", "autumn", "winter"), ("low sun", "high sun", "night")
_IMAGES = {"MSI": "satellite image", "HSI": "hyperspectral image", "SAR": "radar image", "RGB": "aerial image"}
_COLUMNS = (*COLUMNS, "datetime", "attributes")


@dataclass(frozen=True)
class MetadataTask:
    """The engine task: an item is a part of the samples table.

    Attributes:
        corpus: its folder; no part of the identity.
        gazetteer: table of places, or None; its hash is part of the identity.
        gazetteer_sha256: of the table.
        max_km: places further away are not named.
        captions: number of sentences a tile.
    """

    corpus: str
    gazetteer: str | None
    gazetteer_sha256: str | None
    max_km: float
    captions: int

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests."""
        return "metadata"

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""
        return "2"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        return {"gazetteer_sha256": self.gazetteer_sha256, "max_km": self.max_km, "captions": self.captions}

    def items(self) -> Iterator[Item]:
        """One item a part."""
        for path in part_paths(Path(self.corpus), "samples"):
            yield Item(f"metadata:{path.stem}", {"part": path.stem})

    def process(self, item: Item) -> Outcome:
        """Facts about the tiles of one part."""
        path = Path(self.corpus) / "tables" / "samples" / f"{item.inputs['part']}.parquet"
        places = _gazetteer(self.gazetteer) if self.gazetteer else None
        tables: dict[str, list[Row]] = {"facts": [], "scopes": [], "captions": []}
        for row in read_parts([path], table_schema("samples"), _COLUMNS).to_pylist():
            try:
                frame = tile_frame(row)
            except ValueError:
                frame = None
            if frame is not None:
                self._add(tables, row, frame, places)
        if not tables["facts"]:
            return Outcome("dropped", "no-metadata", "no tile of this part has a place or a time")
        return Outcome("used", tables={name: rows for name, rows in tables.items() if rows})

    def _add(
        self, tables: dict[str, list[Row]], row: Mapping[str, Any], frame: TileFrame, places: Gazetteer | None
    ) -> None:
        phrases = [f"at {gsd_text(frame.gsd_m)} resolution"]
        found = [
            _fact(frame.uid, resolution_word(frame.gsd_m), None, None, {"kind": "resolution", "gsd_m": frame.gsd_m})
        ]
        tables["scopes"].append(_scope(frame.uid, "resolution@1", tuple(word for _, word in RESOLUTIONS)))
        centre = frame.footprint.centroid
        longitude, latitude = transformer(frame.crs, "EPSG:4326").transform(centre.x, centre.y)
        moment, has_time = parse_moment(row["datetime"])
        name = season(moment.month, latitude) if moment else None
        if name and moment:
            found.append(_fact(frame.uid, name, None, None, {"kind": "season", "month": moment.month}))
            tables["scopes"].append(_scope(frame.uid, "season@1", SEASONS))
            phrases.append(f"in {name}")
        elevation = _stated_elevation(row["attributes"])
        lit = row["modality"] != "SAR"  # radar brings its own light
        kind = "stated" if elevation is not None else "computed"
        if elevation is None and moment is not None and has_time:
            elevation = sun_elevation(moment, latitude, longitude)
        if lit and elevation is not None:
            word = sun_word(elevation)
            attributes = {"kind": "sun", "elevation": kind}
            found += [_fact(frame.uid, word, elevation, "degree", attributes)] if word else []
            tables["scopes"].append(_scope(frame.uid, "sun@1", SUNS))
            phrases += [f"under a {word}"] if word and word != "night" else ["at night"] if word else []
        if places is not None:
            phrases += self._place(found, frame.uid, places, latitude, longitude)
        tables["facts"] += found
        coarse = row["modality"] == "RGB" and frame.gsd_m > AERIAL_GSD_M
        tables["captions"] += self._captions(frame.uid, None if coarse else row["modality"], phrases)

    def _place(self, found: list[Row], uid: str, places: Gazetteer, latitude: float, longitude: float) -> list[str]:
        place = places.nearest(latitude, longitude)
        if place.distance_m > 1000 * self.max_km:
            return []
        direction = compass_point(place.east, place.north)
        attributes = {"kind": "place", "name": place.name, "country": place.country, "direction": direction}
        found.append(_fact(uid, "place", place.distance_m, "m", attributes))
        where = place.name if not place.country else f"{place.name}, {place.country}"
        if place.distance_m < 1000:
            return [f"in or near {where}"]
        return [f"{distance_text(place.distance_m)} {direction} of {where}"]

    def _captions(self, uid: str, modality: str | None, phrases: list[str]) -> list[Row]:
        image = _IMAGES.get(modality or "", "overhead image")
        texts = dict.fromkeys(caption(image, phrases, f"{uid}|{number}") for number in range(self.captions))
        return [
            {
                "caption_id": hashlib.sha256(f"{uid}\0{GENERATOR}\0{text}".encode()).hexdigest()[:32],
                "uid": uid,
                "text": text,
                "lang": "en",
                "kind": "template",
                "provider": GENERATOR,
                "model": RULE,
            }
            for text in texts
        ]


def facts_from_metadata(
    corpus: Path,
    *,
    gazetteer: Path | None = None,
    max_km: float = 25.0,
    captions: int = 1,
    **run: Any,  # noqa: ANN401
) -> None:
    """Read season, height of the sun, resolution and place names.

    The season is the meteorological one of the hemisphere (none between the tropics, at 23.44 degrees); the sun's
    height is the scene's own where it states one, and is computed from time and place otherwise.

    Args:
        corpus: the corpus to add to; its tiles need a CRS and a transform.
        gazetteer: CSV, TSV or Parquet with the columns name, latitude and longitude (degrees), perhaps country.
        max_km: a place further away from the tile's centre is not named.
        captions: number of sentences a tile; 0 for none.
        run: options of the run.

    Raises:
        InputError: no tile has a place, or the gazetteer does not fit.
    """
    if captions < 0 or max_km <= 0:
        raise ConfigError(f"--captions must be 0 or more and --max-km more than 0, not {captions} and {max_km}")
    if not any(Corpus(corpus).table("samples", ["crs"])["crs"].to_pylist()):
        raise InputError(
            f"no sample of '{corpus}' has a CRS and a transform; convert scenes with: voxtile convert geotiff"
        )
    if gazetteer is not None:
        load_gazetteer(gazetteer)
    task = MetadataTask(
        str(corpus),
        str(gazetteer) if gazetteer else None,
        file_sha256(gazetteer) if gazetteer else None,
        max_km,
        captions,
    )
    run_task(task, corpus, RunOptions(**run)).raise_if_failed()


@lru_cache(maxsize=1)
def _gazetteer(path: str) -> Gazetteer:
    return load_gazetteer(Path(path))


def _stated_elevation(attributes: str | None) -> float | None:
    value = json.loads(attributes).get("sun_elevation") if attributes else None
    return float(value) if isinstance(value, int | float) else None


def _fact(uid: str, concept: str, value: float | None, unit: str | None, attributes: Mapping[str, Any]) -> Row:
    return {
        "uid": uid,
        "concept": concept,
        "polarity": "present",
        "value": value,
        "unit": unit,
        "attributes": json.dumps(dict(attributes), sort_keys=True, ensure_ascii=False),
        "source": RULE,
    }


def _scope(uid: str, vocabulary: str, concepts: tuple[str, ...]) -> Row:
    return {"uid": uid, "vocabulary": vocabulary, "closed": True, "concepts": list(concepts)}


__all__ = ["MetadataTask", "facts_from_metadata"]
