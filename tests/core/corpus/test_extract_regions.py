"""Regions of tiles with a place on Earth leave as GeoJSON in longitude and latitude; slides are in test_overviews."""

import json

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from voxtile.corpus.records import Mask, Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.stages.extract import extract_sample

UID = "0" * 31 + "1"
CLOUD = np.zeros((40, 50), bool)
CLOUD[10:20, 5:45] = True
TURNED = {"region_id": "b", "uid": UID, "phrase": "ship", "box": [10.0, 10.0, 20.0, 30.0], "angle": 30.0}


@pytest.fixture
def regions(tmp_path):
    """Writes a tile with a cloud's mask and a ship's turned box, and reads its GeoJSON: phrase to shape."""

    def regions(**place):
        new_corpus(tmp_path / "corpus")
        writer = JobWriter(tmp_path / "corpus", "job-1")
        row = {"uid": UID, "kind": "tile", "subject": "s", "study": "s", "source": "a.tif", "axes": "CYX", **place}
        writer.add(Sample(row, np.ones((2, 40, 50), np.uint16)))
        writer.add_mask(Mask({"region_id": "a", "uid": UID, "phrase": "cloud"}, CLOUD))
        writer.add_rows("regions", [TURNED])
        writer.publish()
        extract_sample(tmp_path / "corpus", UID, to="geojson", out=tmp_path / "a.geojson")
        features = json.loads((tmp_path / "a.geojson").read_text())["features"]
        return {f["properties"]["classification"]["name"]: shapely.geometry.shape(f["geometry"]) for f in features}

    return regions


def test_regions_of_a_tile_lie_where_they_are_on_earth(regions):
    """QGIS laid them off Somalia: pixels, taken for degrees."""
    found = regions(crs="EPSG:32633", transform=[10.0, 0.0, 600000.0, 0.0, -10.0, 5200000.0])
    back = Transformer.from_crs("EPSG:4326", "EPSG:32633", always_xy=True)
    cloud = shapely.transform(found["cloud"], back.transform, interleaved=False)
    np.testing.assert_allclose(cloud.bounds, (600050, 5199800, 600450, 5199900), atol=1e-3)


def test_regions_across_the_dateline_are_cut_there(regions):
    found = regions(crs="EPSG:32701", transform=[500.0, 0.0, 168000.0, 0.0, -500.0, 8200000.0])
    west, _, east, _ = found["cloud"].bounds
    assert found["cloud"].geom_type == "MultiPolygon"
    assert (west, east) == (-180, 180)
    assert sum(part.bounds[2] - part.bounds[0] for part in found["cloud"].geoms) < 1


def test_a_grid_from_0_to_360_degrees_lies_where_others_do(regions):
    found = regions(crs="EPSG:4326", transform=[0.01, 0.0, 200.0, 0.0, -0.01, 10.0])
    np.testing.assert_allclose(found["cloud"].bounds, (-159.95, 9.8, -159.55, 9.9))


def test_a_turned_box_stays_turned(regions):
    """By 30 degrees counter-clockwise as seen on the picture, whose rows run down."""
    ship = regions()["ship"]
    assert (ship.centroid.x, ship.centroid.y, ship.area) == pytest.approx((20, 15, 200))
    corners = np.array(ship.exterior.coords)
    sides = np.diff(corners, axis=0)
    x, y = max(sides, key=lambda side: np.hypot(*side))
    assert np.degrees(np.arctan2(-y, x)) % 180 == pytest.approx(30)
