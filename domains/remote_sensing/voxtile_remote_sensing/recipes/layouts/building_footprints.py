"""Layout: SpaceNet's building challenges: GeoTIFFs of an area and a GeoJSON of footprints of the same number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.osm.facts import scene_facts
from voxtile_remote_sensing.osm.features import Feature
from voxtile_remote_sensing.osm.read_vector import read_geojson
from voxtile_remote_sensing.osm.regions import region_rows
from voxtile_remote_sensing.osm.tag_table import TagTable, load_table
from voxtile_remote_sensing.osm.tile_geometry import tile_frame
from voxtile_remote_sensing.osm.visible_features import measure_scene
from voxtile_remote_sensing.recipes.dataset import Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import band_row, colour_preview, read_raster

_NUMBER = re.compile(r"img\d+|\d{6,}_\d+(?:_tile_\d+)?|tile_\d+", re.IGNORECASE)


@dataclass(frozen=True)
class BuildingFootprints:
    """Pictures and footprints of buildings.

    Attributes:
        pairs: glob of the pictures' folders and the footprints' folder relative to the same area, in order.
        sensor: of the registry, for the three bands of the pictures.
    """

    pairs: tuple[tuple[str, str], ...] = (
        ("**/RGB-PanSharpen", "../geojson/buildings"), ("**/3band", "../vectordata/geojson"),
        ("**/3band", "../geojson"),
        ("**/PS-RGB", "../geojson_buildings"), ("**/PS-RGB", "../labels"),
    )  # fmt: skip
    sensor: str = "aerial-rgb"

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures that have a file of footprints, by area and name; the area is no subject, since there are few.

        Raises:
            InputError: no folder of pictures beside one of footprints.
        """
        found, alone = False, list[str]()
        for pictures, labels in self.pairs:
            for folder in sorted(p for p in root.glob(pictures) if p.is_dir()):
                beside = (folder / labels).resolve()
                if not beside.is_dir():
                    continue
                vectors = {_key(p.name): p for p in sorted(beside.glob("*.geojson"))}
                for path in sorted(folder.glob("*.tif")):
                    if _key(path.name) in vectors:
                        found = True
                        files = (
                            path.relative_to(root).as_posix(),
                            vectors[_key(path.name)].relative_to(root.resolve()).as_posix(),
                        )
                        yield Entry(path.stem, files, attributes={"area": folder.parent.name})
                    else:
                        alone.append(path.name)
        if not found:
            raise InputError(
                f"'{root}' has no folder of pictures (RGB-PanSharpen, PS-RGB or 3band) beside one of GeoJSON "
                "footprints; unpack the areas of one SpaceNet building challenge there"
            )
        if alone:
            tell(f"SpaceNet: {len(alone)} pictures have no footprints in '{root}' and are left out: {some_of(alone)}")

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The bands, and boxes and counts of the buildings in them."""
        array, place = read_raster(root / entry.files[0])
        sensor = load_sensor(self.sensor)
        bands = [sensor.band(name) for name in ("red", "green", "blue")]
        if array.shape[0] != len(bands):
            raise InputError(f"'{entry.files[0]}' has {array.shape[0]} bands instead of 3")
        row = band_row(bands) | place
        frame = tile_frame({"uid": entry.key, "shape": list(array.shape), **row})
        if frame is None:
            raise InputError(f"'{entry.files[0]}' states no place on the ground; download it again")
        found = read_geojson(root / entry.files[1], None)
        features = [
            Feature(f.osm_id, {"building": "yes"}, f.geometry, f.date) for f in found.features if f.form == "area"
        ]
        table = _buildings()
        scene = measure_scene(frame, features, found.crs, table)
        regions, ids = region_rows(scene)
        facts = [fact.row(entry.key) for fact in scene_facts(scene, table.identity, ids)]
        scope = {"vocabulary": "spacenet-buildings", "closed": True, "concepts": ["building"]}
        tables = {"regions": regions, "facts": facts, "scopes": [scope] if "building" in scene.looked_for else []}
        return Pixels(array, row | {"gsd_m": frame.gsd_m}, colour_preview(array, bands), tables=tables)


@lru_cache(maxsize=1)
def _buildings() -> TagTable:
    return load_table().only(["building"])


def _key(name: str) -> str:
    """What the names of a picture and its footprints have in common."""
    matches = _NUMBER.findall(name)
    return matches[-1].casefold() if matches else name.partition(".")[0]
