"""`facts --from osm`: counts, areas and lengths against GDAL, geopandas and shapely; bad maps are refused by name."""

import json
from collections import Counter

import geopandas
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Geod, Transformer
from rasterio.features import rasterize
from scipy import ndimage

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile_remote_sensing.osm.command import facts_from_osm
from voxtile_remote_sensing.osm.read_vector import read_geopackage


def write_tiles(root, tiles):
    """Tiles as (uid, crs, transform, size or array)."""
    new_corpus(root)
    writer = JobWriter(root, "tiles-0")
    for uid, crs, transform, pixels in tiles:
        array = np.zeros((1, *pixels), np.uint8) if isinstance(pixels, tuple) else pixels
        row = {"uid": uid, "subject": uid, "kind": "tile", "modality": "RGB", "axes": "CYX", "crs": crs}
        writer.add(Sample({**row, "transform": list(transform)[:6]}, array))
    writer.publish()
    return root


def facts_of(root, kind=None):
    rows = [{**row, **json.loads(row["attributes"])} for row in Corpus(root).table("facts").to_pylist()]
    return [row for row in rows if kind is None or row["kind"] == kind]


def osm_xml(path, nodes, ways=(), relations=(), *, bounds=None, dated=True):
    """An .osm file: nodes {id: (lon, lat)}, ways [(id, [nodes], tags)], relations [(id, [(way, role)], tags)]."""
    stamp = ' version="1" timestamp="2020-05-01T00:00:00Z"' if dated else ""
    text = ["<?xml version='1.0' encoding='UTF-8'?>", '<osm version="0.6" generator="test">']
    if bounds:
        text.append('<bounds minlon="{}" minlat="{}" maxlon="{}" maxlat="{}"/>'.format(*bounds))
    text += [f'<node id="{i}" lon="{lon:.7f}" lat="{lat:.7f}"{stamp}/>' for i, (lon, lat) in nodes.items()]
    for i, refs, tags in ways:
        inner = "".join(f'<nd ref="{r}"/>' for r in refs) + "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        text.append(f'<way id="{i}"{stamp}>{inner}</way>')
    for i, members, tags in relations:
        inner = "".join(f'<member type="way" ref="{w}" role="{role}"/>' for w, role in members)
        inner += "".join(f'<tag k="{k}" v="{v}"/>' for k, v in tags.items())
        text.append(f'<relation id="{i}"{stamp}>{inner}</relation>')
    path.write_text("\n".join([*text, "</osm>"]))
    return path


@pytest.fixture
def spacenet(test_data):
    return test_data / "remote_sensing" / "spacenet_image_plus_osm_buildings"


def test_spacenet_buildings_equal_geopandas_on_four_tiles(spacenet, tmp_path):
    truth = geopandas.read_file(spacenet / "geotiff_labels.geojson")
    with rasterio.open(spacenet / "sample_geotiff.tif") as source:
        pixels, transform, crs = source.read(), source.transform, source.crs.to_string()
    tiles = [
        (f"t{i}{j}", crs, transform @ Affine.translation(450 * j, 450 * i),
         np.ascontiguousarray(pixels[:, 450 * i : 450 * i + 450, 450 * j : 450 * j + 450]))
        for i in range(2) for j in range(2)
    ]  # fmt: skip
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_osm(root, osm=spacenet / "geotiff_labels.geojson", engine="inline")
    counts = {row["uid"]: row for row in facts_of(root, "count") if row["concept"] == "building"}
    covers = {row["uid"]: row for row in facts_of(root, "cover") if row["concept"] == "building"}
    objects = [row for row in facts_of(root, "object") if row["concept"] == "building"]
    assert len(truth) == 43
    for uid, _, place, _ in tiles:
        tile = shapely.box(place.c, place.f - 225, place.c + 225, place.f)
        inside = truth.clip(tile)
        inside = inside[inside.area >= (4 * 0.5) ** 2]
        assert counts[uid]["value"] == inside["osm_id"].nunique() > 0
        assert counts[uid]["whole"] == sum(tile.covers(g) for g in truth.geometry if g.area >= 4)
        np.testing.assert_allclose(covers[uid]["value"], inside.union_all().area / tile.area, rtol=1e-12)
        ours = {row["osm_id"]: row["value"] for row in objects if row["uid"] == uid}
        theirs = {f"way/{i}": area for i, area in inside.dissolve("osm_id").area.items()}
        assert ours.keys() == theirs.keys()
        np.testing.assert_allclose([ours[k] for k in theirs], list(theirs.values()), rtol=1e-12)
    assert {row["osm_date"] for row in objects} == {None}
    assert all(row["rule"] == "osm-visible@2:building" and row["source"] == "osm@1" for row in objects)


def test_spacenet_boxes_are_those_of_the_vectors_and_line_up_with_the_pixels(spacenet, tmp_path):
    with rasterio.open(spacenet / "sample_geotiff.tif") as source:
        image, transform, crs = source.read(1).astype(float), source.transform, source.crs.to_string()
    root = write_tiles(tmp_path / "corpus", [("tile", crs, transform, image[None].astype(np.uint16))])
    facts_from_osm(root, osm=spacenet / "geotiff_labels.geojson", captions=0, engine="inline")
    truth = geopandas.read_file(spacenet / "geotiff_labels.geojson")
    regions = {row["region_id"]: row for row in Corpus(root).table("regions").to_pylist() if row["angle"] is None}
    rows = [row for row in facts_of(root, "object") if row["region_id"]]
    assert len(rows) == 43
    for row in rows:
        geometry = truth[truth.osm_id == int(row["osm_id"].split("/")[1])].union_all()
        clipped = geometry.intersection(shapely.box(*rasterio.transform.array_bounds(*image.shape, transform)))
        x0, y0, x1, y1 = clipped.bounds
        expected = [
            (transform.f - y1) / 0.5,
            (x0 - transform.c) / 0.5,
            (transform.f - y0) / 0.5,
            (x1 - transform.c) / 0.5,
        ]
        np.testing.assert_allclose(regions[row["region_id"]]["box"], expected, atol=1e-6)
    drawn = rasterize(truth.geometry, image.shape, transform=transform).astype(float)
    edges = [ndimage.gaussian_gradient_magnitude(x, 1.0) for x in (drawn, image)]

    def agreement(dy, dx):
        return np.corrcoef(np.roll(edges[0], (dy, dx), (0, 1)).ravel(), edges[1].ravel())[0, 1]

    shifts = {(dy, dx): agreement(dy, dx) for dy in range(-20, 21, 4) for dx in range(-20, 21, 4)}
    assert max(shifts, key=shifts.get) == (0, 0), "the buildings' outlines lie on edges of the image where they are"
    assert np.corrcoef(edges[0][::-1].ravel(), edges[1].ravel())[0, 1] < shifts[0, 0] / 2


def test_vectors_without_crs_are_refused_until_it_is_given(spacenet, tmp_path):
    with rasterio.open(spacenet / "sample_geotiff_custom_proj.tif") as source:
        crs, transform, bounds = source.crs.to_wkt(), source.transform, source.bounds
    root = write_tiles(tmp_path / "corpus", [("tile", crs, transform, (512, 512))])
    vectors = spacenet / "geotiff_custom_proj_labels.geojson"
    with pytest.raises(InputError, match=r"does not state its CRS.*--vector-crs"):
        facts_from_osm(root, osm=vectors, engine="inline")
    assert Corpus(root).table("facts").num_rows == 0
    with pytest.raises(InputError, match=r"no feature .* has a tag.*--assume-tags"):
        facts_from_osm(root, osm=vectors, vector_crs="tiles", engine="inline")
    facts_from_osm(root, osm=vectors, vector_crs="tiles", assume_tags="landuse=quarry", engine="inline")
    truth = geopandas.read_file(vectors).set_crs(crs, allow_override=True)
    inside = truth.clip(shapely.box(*bounds))
    (count,) = facts_of(root, "count")
    assert count["value"] == (inside.area >= (4 * 30) ** 2).sum() > 5
    (cover,) = facts_of(root, "cover")
    np.testing.assert_allclose(cover["area_m2"], inside[inside.area >= 120**2].union_all().area, rtol=1e-9)
    with pytest.raises(InputError, match=r"no tile .* lies in"):
        facts_from_osm(root, osm=vectors, vector_crs="EPSG:3857", assume_tags="landuse=quarry", engine="inline")
    with pytest.raises(ConfigError, match="states the CRS"):
        facts_from_osm(root, osm=spacenet / "geotiff_labels.geojson", vector_crs="EPSG:4326", engine="inline")


@pytest.mark.filterwarnings("ignore")
def test_pbf_counts_areas_and_lengths_equal_gdals_reader(test_data, tmp_path):
    path = test_data / "remote_sensing" / "osm_pbf_pyrosm" / "test.osm.pbf"
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32635", always_xy=True).transform(26.95, 60.53)
    places = {f"t{i}{j}": (x + 256 * j, y - 256 * i) for i in (0, 1) for j in (0, 1)}
    root = write_tiles(
        tmp_path / "corpus",
        [(uid, "EPSG:32635", Affine(1, 0, px, 0, -1, py), (256, 256)) for uid, (px, py) in places.items()],
    )
    facts_from_osm(root, osm=path, engine="inline")
    areas = pyogrio.read_dataframe(path, layer="multipolygons", on_invalid="ignore").to_crs("EPSG:32635")
    lines = pyogrio.read_dataframe(path, layer="lines").to_crs("EPSG:32635")
    areas, total = areas[areas.geometry.notna()], 0
    roads = {"tertiary", "unclassified", "residential", "living_street"}
    values = {(row["uid"], row["kind"], row["concept"]): row["value"] for row in facts_of(root)}
    for uid, (px, py) in places.items():
        tile = shapely.box(px, py - 256, px + 256, py)
        near = areas[areas.intersects(tile)].copy()
        near["geometry"] = near.geometry.intersection(tile)
        for concept, chosen in {
            "building": near[near.building.notna()],
            "apartment_building": near[near.building == "apartments"],
            "residential_building": near[near.building.isin(["residential", "dormitory"])],
            "parking_lot": near[near.amenity == "parking"],
        }.items():
            chosen = chosen[chosen.area >= 16]
            assert values.get((uid, "count", concept), 0) == len(chosen), (uid, concept)
            if len(chosen):
                cover = chosen.union_all().area / tile.area
                np.testing.assert_allclose(values[uid, "cover", concept], cover, rtol=1e-9)
            total += len(chosen)
        chosen = lines[lines.highway.isin(roads) & ~lines.other_tags.fillna("").str.contains('"tunnel"=>"yes"')]
        length = chosen.geometry.intersection(tile).length.sum()
        np.testing.assert_allclose(values.get((uid, "length", "road"), 0.0), length if length >= 16 else 0, rtol=1e-9)
        total += length > 0
    assert total > 20
    dates = [row["osm_date"] for row in facts_of(root, "object")]
    assert all(date.startswith("20") for date in dates)
    manifest = json.loads(sorted((root / "manifests").glob("*.json"))[-1].read_text())
    assert manifest["licence"] == "ODbL 1.0"
    assert "OpenStreetMap contributors" in manifest["config"]["attribution"]


def square(lon, lat, metres, start):
    """Four corners round a place, and their ids."""
    geod = Geod(ellps="WGS84")
    ring = [geod.fwd(lon, lat, azimuth, metres / 2**0.5)[:2] for azimuth in (45, 135, 225, 315)]
    return {start + i: p for i, p in enumerate(ring)}, [start, start + 1, start + 2, start + 3, start]


def utm_tile(uid, lon, lat, size=200, gsd=1.0, crs="EPSG:32633"):
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    return uid, crs, Affine(gsd, 0, x - gsd * size / 2, 0, -gsd, y + gsd * size / 2), (size, size)


def test_broken_multipolygons_are_left_out_and_counted_and_undated_files_are_read(tmp_path, capsys):
    good, ring = square(15.0, 50.0, 40, 1)
    open_nodes, open_ring = square(15.0005, 50.0, 40, 11)
    nodes = (
        good | open_nodes | {21: (15.0, 50.0008), 22: (15.0004, 50.0012), 23: (15.0, 50.0012), 24: (15.0004, 50.0008)}
    )
    path = osm_xml(
        tmp_path / "map.osm",
        nodes,
        [
            (1, ring, {"building": "yes"}),
            (2, open_ring[:3], {}),
            (3, [21, 22, 23, 24, 21], {"natural": "water"}),  # a bow tie
            (4, [1, 99], {"highway": "residential"}),  # node 99 is not in the file
        ],
        [(7, [(2, "outer")], {"type": "multipolygon", "building": "yes"})],
        bounds=(14.9, 49.9, 15.1, 50.1),
        dated=False,
    )
    root = write_tiles(tmp_path / "corpus", [utm_tile("tile", 15.0, 50.0)])
    facts_from_osm(root, osm=path, engine="inline")
    text = capsys.readouterr().out
    assert "broken-multipolygon: 2" in text
    assert "incomplete-way: 1" in text
    objects = facts_of(root, "object")
    assert [(o["concept"], o["osm_id"], o["osm_date"]) for o in objects] == [("building", "way/1", None)]
    np.testing.assert_allclose(objects[0]["value"], 40**2, rtol=1e-2)


def test_geojson_with_a_bow_tie_and_empty_features(tmp_path, capsys):
    tile = utm_tile("tile", 15.0, 50.0)
    x, y = tile[2].c, tile[2].f
    good = shapely.box(x + 20, y - 60, x + 50, y - 20)
    bow_tie = shapely.Polygon([(x, y), (x + 9, y - 9), (x + 9, y), (x, y - 9)])
    features = [
        {"type": "Feature", "properties": {"building": "yes", "@id": "way/5"}, "geometry": shapely.geometry.mapping(g)}
        for g in (good, bow_tie)
    ]
    features += [{"type": "Feature", "properties": {"building": "yes"}, "geometry": None}, None]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    path = tmp_path / "map.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    root = write_tiles(tmp_path / "corpus", [tile])
    facts_from_osm(root, osm=path, engine="inline")
    text = capsys.readouterr().out
    assert "broken-multipolygon: 1" in text
    assert "no-geometry: 2" in text
    (count,) = facts_of(root, "count")
    assert (count["value"], count["osm_ids"]) == (1, ["way/5"])
    (scope,) = Corpus(root).table("scopes").to_pylist()
    assert scope["concepts"] == ["building"], "a file of buildings says nothing of roads"
    gpkg = tmp_path / "map.gpkg"
    frame = geopandas.GeoDataFrame({"other_tags": ['"building"=>"yes"'], "osm_way_id": ["5"]}, geometry=[good])
    frame.set_crs("EPSG:32633").to_crs("EPSG:4326").to_file(gpkg, layer="multipolygons")
    other = write_tiles(tmp_path / "other", [tile])
    facts_from_osm(other, osm=gpkg, engine="inline")
    (again,) = facts_of(other, "count")
    assert (again["value"], again["osm_ids"]) == (1, ["way/5"])
    np.testing.assert_allclose(facts_of(other, "object")[0]["value"], 1200, rtol=1e-6)


def test_a_tag_that_is_a_whole_number_has_no_point_beside_a_blank_one(tmp_path):
    path = tmp_path / "map.gpkg"
    road = shapely.LineString([(0, 0), (1, 1)])
    geopandas.GeoDataFrame({"highway": "primary", "lanes": [2, None]}, geometry=[road] * 2, crs=4326).to_file(path)
    first, second = read_geopackage(path, None).features
    assert (first.tags, second.tags) == ({"highway": "primary", "lanes": "2"}, {"highway": "primary"})


def test_tiles_outside_the_extract_get_no_scope(tmp_path):
    nodes, ring = square(15.0, 50.0, 40, 1)
    path = osm_xml(
        tmp_path / "map.osm", nodes, [(1, ring, {"building": "yes"})], bounds=(14.995, 49.995, 15.005, 50.005)
    )
    tiles = [utm_tile("inside", 15.0, 50.0), utm_tile("edge", 15.005, 50.0), utm_tile("far", 15.5, 50.0)]
    tiles.append(("nowhere", None, Affine.identity(), (8, 8)))
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_osm(root, osm=path, engine="inline")
    scopes = Corpus(root).table("scopes").to_pylist()
    assert [(s["uid"], s["closed"], s["vocabulary"]) for s in scopes] == [("inside", True, "osm-visible@2")]
    assert {"building", "road", "forest"} <= set(scopes[0]["concepts"])
    assert "footpath" in scopes[0]["concepts"], "2 m wide: visible at 1 m"
    far = write_tiles(tmp_path / "far", [utm_tile("far", 15.5, 50.0)])
    with pytest.raises(InputError, match="1 lie outside it"):
        facts_from_osm(far, osm=path, engine="inline")
    before = Corpus(root).table("facts").num_rows
    facts_from_osm(root, osm=path, engine="inline")
    assert Corpus(root).table("facts").num_rows == before, "the same call adds nothing"


def test_what_is_too_small_to_see_is_neither_present_nor_looked_for(tmp_path):
    small, ring = square(15.0, 50.0, 12, 1)
    path = osm_xml(
        tmp_path / "map.osm", small | {9: (15.0002, 50.0002)},
        [(1, ring, {"building": "yes"}), (2, [1, 2], {"highway": "motorway", "tunnel": "yes"})],
        bounds=(14.9, 49.9, 15.1, 50.1),
    )  # fmt: skip
    tiles = [utm_tile("fine", 15.0, 50.0), utm_tile("coarse", 15.0, 50.0, size=60, gsd=4.0)]
    tiles.append(utm_tile("coarser", 15.0, 50.0, size=24, gsd=10.0))
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_osm(root, osm=path, engine="inline")
    assert {row["uid"] for row in facts_of(root, "count") if row["concept"] == "building"} == {"fine"}
    scopes = {s["uid"]: set(s["concepts"]) for s in Corpus(root).table("scopes").to_pylist()}
    assert "building" in scopes["fine"]
    assert "building" not in scopes["coarse"], "3 × 3 pixels: it may or may not be seen"
    assert "building" not in scopes["coarser"], "no building is told apart at 10 m"
    assert "forest" in scopes["coarser"]
    assert "motorway" in scopes["fine"], "a tunnel is not seen from above, so there is none"
    assert not any(row["concept"] == "motorway" for row in facts_of(root))


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326", "EPSG:32633"])
def test_areas_are_square_metres_on_the_ground_in_any_crs(tmp_path, crs):
    nodes, ring = square(15.0, 60.0, 50, 1)
    path = osm_xml(tmp_path / "map.osm", nodes, [(1, ring, {"building": "yes"})], bounds=(14, 59, 16, 61))
    step = 1e-5 if crs == "EPSG:4326" else 1.0
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(15.0, 60.0)
    root = write_tiles(
        tmp_path / "corpus", [("tile", crs, Affine(step, 0, x - 200 * step, 0, -step, y + 200 * step), (400, 400))]
    )
    facts_from_osm(root, osm=path, engine="inline")
    (building,) = facts_of(root, "object")
    truth = abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.Polygon([nodes[i] for i in ring]))[0])
    np.testing.assert_allclose(building["value"], truth, rtol=2e-3)


def test_a_tile_across_the_antimeridian(tmp_path):
    west, ring = square(179.9995, -17.0, 40, 1)
    east, other = square(-179.9995, -17.0, 40, 11)
    path = osm_xml(tmp_path / "map.osm", west | east, [(1, ring, {"building": "yes"}), (2, other, {"building": "yes"})])
    root = write_tiles(tmp_path / "corpus", [utm_tile("tile", 180.0, -17.0, crs="EPSG:32760")])
    facts_from_osm(root, osm=path, engine="inline")
    (count,) = facts_of(root, "count")
    assert count["value"] == 2


def test_kinds_overlap_as_the_table_says(tmp_path):
    house, ring = square(15.0, 50.0, 20, 1)
    lake, shore = square(15.0008, 50.0, 40, 11)
    path = osm_xml(
        tmp_path / "map.osm", house | lake | {21: (15.0008, 49.9999), 22: (15.0008, 50.0001)},
        [
            (1, ring, {"building": "house"}),
            (2, shore, {"natural": "water", "water": "lake", "name": "Blue Lake"}),
            (3, [21, 22], {"waterway": "stream"}),
        ],
        bounds=(14.9, 49.9, 15.1, 50.1),
    )  # fmt: skip
    root = write_tiles(tmp_path / "corpus", [utm_tile("tile", 15.0004, 50.0)])
    facts_from_osm(root, osm=path, engine="inline")
    present = Counter(row["concept"] for row in facts_of(root, "object"))
    assert present == {"house": 1, "building": 1, "lake": 1, "water": 1, "stream": 1}
    assert not any("Blue" in row["text"] for row in Corpus(root).table("captions").to_pylist()), "no names of places"
    with pytest.raises(ConfigError, match="has no 'castle'"):
        facts_from_osm(root, osm=path, concepts="castle", engine="inline")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("map.txt", "x", "no map file"),
        ("map.geojson", "{", "not readable GeoJSON"),
        ("map.geojson", "[]", "no GeoJSON FeatureCollection"),
        ("map.osm.pbf", "nothing", "cannot be read as OpenStreetMap data"),
        ("map.gpkg", "nothing", "cannot be read"),
    ],
)
def test_files_that_are_no_maps(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    root = write_tiles(tmp_path / "corpus", [utm_tile("tile", 15.0, 50.0)])
    with pytest.raises(InputError, match=message):
        facts_from_osm(root, osm=tmp_path / name, engine="inline")
    with pytest.raises(InputError, match="does not exist"):
        facts_from_osm(root, osm=tmp_path / "none.osm.pbf", engine="inline")
