"""JSON that is well-formed and holds values of other kinds than its format has: one sentence, and the rest is read."""

import json

import numpy as np
import pytest
import rasterio

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_pathology.annotations.model import read_annotation_file
from voxtile_remote_sensing.osm.read_vector import read_geojson
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError

RING = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
SHAPE = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [RING]}, "properties": {"building": "house"}}


def changed(content, place, value):
    """A copy with another value at one place."""
    content = json.loads(json.dumps(content))
    part = content
    for name in place[:-1]:
        part = part[name]
    part[place[-1]] = value
    return content


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def raster(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    place = rasterio.transform.from_origin(500_000, 5_000_000, 10, 10)
    profile = {"driver": "GTiff", "count": 1, "height": 40, "width": 50, "dtype": "uint16", "crs": "EPSG:32633"}
    with rasterio.open(path, "w", **profile, transform=place) as out:
        out.write(np.random.default_rng(0).integers(1, 900, (1, 40, 50)).astype(np.uint16))


@pytest.mark.parametrize("value", [{}, [], [[]], 5, None, float("nan")])
def test_an_annotation_of_no_kind_leaves_the_others(tmp_path, value):
    drawn = {"type": "FeatureCollection", "features": [SHAPE, SHAPE]}
    path = written(tmp_path / "a.geojson", changed(drawn, ("features", 0, "geometry", "type"), value))
    assert len(read_annotation_file(path).annotations) == 1
    boxes = [{"id": n, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]} for n in range(2)]
    coco = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "name": "t"}], "annotations": boxes}
    path = written(tmp_path / "a.json", changed(coco, ("annotations", 0, "category_id"), value))
    assert [found.label for found in read_annotation_file(path).annotations] == ["", "t"]
    coco["images"].append({"id": 2, "file_name": "b.png"})
    path = written(tmp_path / "a.json", changed(coco, ("annotations", 0, "image_id"), value))
    assert len(read_annotation_file(path, image="a.png").annotations) == 1


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("features", 0, "properties"), "text"),
        (("features", 0, "properties"), 5),
        (("features", 0, "properties"), [1]),
        (("crs",), {"properties": 5}),
        (("crs",), 5),
        (("bbox",), ["a", "b", "c", "d"]),
    ],
)
def test_a_map_is_read_where_it_can_be(tmp_path, place, value):
    path = written(tmp_path / "map.geojson", changed({"features": [SHAPE, SHAPE]}, place, value))
    assert read_geojson(path, None).features


ASSET = {"href": "B04.tif", "type": "image/tiff; application=geotiff", "roles": ["data"]}
ITEM = {
    "type": "Feature", "stac_version": "1.0.0", "id": "scene", "geometry": None, "bbox": None, "links": [],
    "properties": {"datetime": "2022-06-01T10:10:31Z", "platform": "sentinel-2a", "constellation": "sentinel-2"},
    "assets": {"red": {**ASSET, "eo:bands": [{"name": "red"}], "raster:bands": [{"scale": 1e-4}]}},
}  # fmt: skip
BROKEN = [
    (("assets",), []),
    (("assets",), "text"),
    (("assets", "red"), 5),
    (("assets", "red", "roles"), [{"a": 1}]),
    (("assets", "red", "type"), 5),
    (("assets", "red", "href"), 5),
    (("assets", "red", "raster:bands", 0, "scale"), [1]),
    (("assets", "red", "raster:bands", 0, "nodata"), "none"),
    (("properties",), []),
]


@pytest.mark.parametrize(("place", "value"), BROKEN)
def test_an_item_of_other_values_is_one_sentence(tmp_path, place, value):
    raster(tmp_path / "B04.tif")
    written(tmp_path / "scene.json", changed(ITEM, place, value))
    found = [ref for ref in find_scenes(tmp_path) if ref.id.startswith("scene")]
    for ref in found:
        with pytest.raises(SceneError) as said, open_scene(ref) as scene:
            scene.select(None)
        assert len(str(said.value)) < 400


def test_such_items_cost_their_own_rows(tmp_path):
    for number, (place, value) in enumerate(BROKEN):
        raster(tmp_path / f"in/{number}/B04.tif")
        written(tmp_path / f"in/{number}/scene.json", changed(ITEM, place, value))
    raster(tmp_path / "in/good/B04.tif")
    written(tmp_path / "in/good/scene.json", ITEM)
    argv = ["convert", "geotiff", str(tmp_path / "in"), str(tmp_path / "corpus"), "--size", "200m"]
    assert main([*argv, "--engine", "inline"]) == 1
    assert {row["source"] for row in Corpus(tmp_path / "corpus").table("samples").to_pylist()} == {"good/scene.json"}
    assert "unexpected" not in json.dumps(Corpus(tmp_path / "corpus").ledger()["reason"].to_pylist())
