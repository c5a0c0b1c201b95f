"""Scenes on a map: each pixel of a tile is the scene's pixel at that place, by the projections' own formulas."""

import io
import math

import numpy as np
import pytest
from PIL import Image
from serve_corpus import BANDS, PATCH, SCENE

pytest.importorskip("fastapi", reason="the extra serve is not installed")
warp = pytest.importorskip("rasterio.warp", reason="the extra remote-sensing is not installed")


def degrees(zoom, x, y):
    """Longitude and latitude of a place of the map, in tiles (Web Mercator, inverse)."""
    return x / 2**zoom * 360 - 180, math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y / 2**zoom))))


def tile(client, zoom, x, y, **query):
    answer = client.get(f"/api/samples/{SCENE}/tiles/{zoom}/{x}/{y}.png", params=query)
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def test_a_tile_shows_the_pixel_that_lies_there_and_nothing_where_there_is_none(client):
    told = client.get(f"/api/samples/{SCENE}/tiles.json", params={"bands": "natural colours"}).json()
    assert told["tiles"] == [
        f"http://127.0.0.1:8000/api/samples/{SCENE}/tiles/{{z}}/{{x}}/{{y}}.png?bands=natural+colours"
    ]
    west, south, east, north = told["bounds"]
    zoom = told["maxzoom"]
    x = int((west + east + 360) / 720 * 2**zoom)
    y = int((1 - math.asinh(math.tan(math.radians((south + north) / 2))) / math.pi) / 2 * 2**zoom)
    shown = tile(client, zoom, x, y, bands="natural colours")
    right, off = 0, 0
    for line in range(3, 256, 6):
        for column in range(3, 256, 6):
            place = degrees(zoom, x + (column + 0.5) / 256, y + (line + 0.5) / 256)
            [east_m], [north_m] = warp.transform("EPSG:4326", "EPSG:32632", [place[0]], [place[1]])
            across, down = (east_m - 5e5) / 10, (5e6 - north_m) / 10
            if min(across % 1, 1 - across % 1, down % 1, 1 - down % 1) < 0.1:
                continue  # on the edge of a pixel either neighbour is right
            inside = 0 <= across < 48 and 5 <= down < 32  # the first five rows have no value
            off += bool(shown[line, column, 3]) != inside
            if inside:
                values = BANDS[[2, 1, 0], int(down), int(across)] * 1e-4
                assert np.abs(shown[line, column, :3] - np.clip(values / 0.3, 0, 1) * 255).max() < 1.01
                right += 1
    assert right > 20
    assert off == 0


def test_gdal_by_which_qgis_reads_opens_the_tiles(client, explored, pages):
    import rasterio
    from browsing import at_an_address

    told = client.get(f"/api/samples/{SCENE}/tiles.json", params={"bands": "NDVI"}).json()
    with at_an_address(explored, pages) as address:
        place = told["tiles"][0].replace("http://127.0.0.1:8000/", address).replace("{", "${")
        world = 20037508.342789244
        edges = zip(("UpperLeftX", "UpperLeftY", "LowerRightX", "LowerRightY"), (-1, 1, 1, -1), strict=True)
        window = "".join(f"<{name}>{sign * world}</{name}>" for name, sign in edges)
        layer = (
            f'<GDAL_WMS><Service name="TMS"><ServerUrl>{place}</ServerUrl></Service><DataWindow>{window}'
            f"<TileLevel>{told['maxzoom']}</TileLevel><TileCountX>1</TileCountX><TileCountY>1</TileCountY>"
            "<YOrigin>top</YOrigin></DataWindow><Projection>EPSG:3857</Projection><BlockSizeX>256</BlockSizeX>"
            "<BlockSizeY>256</BlockSizeY><BandsCount>4</BandsCount></GDAL_WMS>"
        )
        with rasterio.open(layer) as map_layer:
            box = warp.transform_bounds("EPSG:32632", map_layer.crs, 5e5, 5e6 - 320, 5e5 + 480, 5e6)
            part = rasterio.windows.from_bounds(*box, map_layer.transform).round_offsets().round_lengths()
            alpha = map_layer.read(4, window=part)
    assert (alpha > 0).mean() == pytest.approx(27 / 32, abs=0.05), "five rows of 32 have no value"


def test_tiles_beside_the_scene_are_empty_and_impossible_ones_refused(client):
    assert not tile(client, 10, 5, 5).any()
    assert not tile(client, 2, 0, 3).any(), "the South Pole, where UTM ends"
    for path in ("3/8/0", "25/0/0", "-1/0/0"):
        assert client.get(f"/api/samples/{SCENE}/tiles/{path}.png").status_code == 422
    answer = client.get(f"/api/samples/{PATCH}/tiles/0/0/0.png")
    assert (answer.status_code, "no place on a map" in answer.json()["error"]) == (422, True)
    assert client.get(f"/api/samples/{SCENE}/tiles/0/0/0.png", params={"bands": "B99"}).status_code == 422


def test_footprints_are_those_of_the_table(serving, tmp_path, monkeypatch):
    shapely = pytest.importorskip("shapely")
    from voxtile.corpus.records import Sample
    from voxtile.corpus.writer import JobWriter, new_corpus

    new_corpus(tmp_path / "corpus")
    writer = JobWriter(tmp_path / "corpus", "job")
    boxes = {f"{n:032x}": shapely.box(10 + n, 50, 10.5 + n, 50.5) for n in range(3)}
    for uid, box in boxes.items():
        row = {"uid": uid, "subject": uid, "kind": "tile", "modality": "MSI", "axes": "CYX", "licence": "CC0-1.0"}
        writer.add(Sample(row | {"source": "secret/place.tif", "geometry": box.wkb}, np.zeros((1, 4, 4), np.int16)))
    writer.publish()
    answer = serving(tmp_path / "corpus").get("/api/footprints")
    found = answer.json()
    assert found["total"] == 3
    drawn = {one["properties"]["uid"]: shapely.geometry.shape(one["geometry"]) for one in found["features"]}
    assert drawn.keys() == boxes.keys()
    assert all(drawn[uid].equals(box) for uid, box in boxes.items())
    assert "secret" not in answer.text
    part = {"west": 10.6, "south": 49, "east": 11.2, "north": 60}
    inside = serving(tmp_path / "corpus").get("/api/footprints", params=part).json()
    assert (inside["total"], inside["inside"]) == (3, 1)
    assert [one["properties"]["uid"] for one in inside["features"]] == [f"{1:032x}"]
    monkeypatch.setattr("voxtile.serve.routes.map_tiles._MOST_FOOTPRINTS", 2)
    few = serving(tmp_path / "corpus").get("/api/footprints").json()
    assert (few["total"], few["inside"], len(few["features"])) == (3, 3, 2), "one is not drawn, and that is said"
    assert serving(tmp_path / "corpus").get("/api/footprints", params={"west": 181}).status_code == 422
