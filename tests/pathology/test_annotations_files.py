"""Annotation files: every format read as drawn, GeoJSON there and back to the last bit, bad input named."""

import gzip
import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box, shape

from voxtile.errors import InputError
from voxtile_pathology.annotations.model import (
    Annotation,
    find_annotations,
    outside,
    read_annotation_file,
    read_annotations,
    write_geojson,
)
from voxtile_pathology.convert.plan import _told_once

ASAP = """<?xml version="1.0"?>
<ASAP_Annotations>
 <Annotations>
  <Annotation Name="Annotation 0" Type="Polygon" PartOfGroup="Tumor" Color="#F4FA58"><Coordinates>
   <Coordinate Order="2" X="100.5" Y="80" /><Coordinate Order="0" X="10" Y="20.25" />
   <Coordinate Order="1" X="100,5" Y="20.25" /></Coordinates></Annotation>
  <Annotation Name="seen" Type="Dot" PartOfGroup="None" Color="#F4FA58"><Coordinates>
   <Coordinate Order="0" X="7" Y="8" /></Coordinates></Annotation>
  <Annotation Name="odd" Type="Hologram" PartOfGroup="Tumor"><Coordinates>
   <Coordinate Order="0" X="7" Y="8" /></Coordinates></Annotation>
 </Annotations>
 <AnnotationGroups><Group Name="Tumor" PartOfGroup="None" Color="#00ff00"><Attributes /></Group></AnnotationGroups>
</ASAP_Annotations>"""


def imagescope(*regions, name="Carcinoma"):
    def region(number, points, attributes):
        vertices = "".join(f'<Vertex X="{x}" Y="{y}" Z="0" />' for x, y in points)
        return f'<Region Id="{number}" {attributes}><Attributes /><Vertices>{vertices}</Vertices></Region>'

    inner = "".join(region(i, points, attributes) for i, (points, attributes) in enumerate(regions, start=1))
    return (
        f'<Annotations MicronsPerPixel="0.25"><Annotation Id="1" Name="{name}" LineColor="255">'
        f'<Attributes><Attribute Name="Description" Id="0" Value="described" /></Attributes>'
        f"<Regions><RegionAttributeHeaders />{inner}</Regions><Plots /></Annotation></Annotations>"
    )


def square(x, y, side):
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]


def feature(geometry, name="Tumor", **rest):
    return {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}} | rest


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_qupath_features_keep_class_colour_and_measurements(tmp_path):
    geometry = {
        "type": "Polygon",
        "coordinates": [[[0, 0], [10, 0], [10, 5.5], [0, 0]], [[6, 1], [8, 1], [8, 2], [6, 1]]],
    }
    content = {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "id": "2f6b",
                "geometry": geometry,
                "properties": {
                    "objectType": "annotation",
                    "name": "core 3",
                    "classification": {"names": ["Tumor", "Positive"], "color": [200, 0, 0]},
                    "measurements": {"Area": 1.5},
                },
            },
            {"type": "Feature", "geometry": {"type": "Point", "coordinates": [3, 4]}, "properties": {"name": "spot"}},
        ],
    }
    first, second = read_annotations(write(tmp_path / "a.geojson", content))
    assert (first.label, first.kind) == ("Tumor: Positive", "polygon")
    assert first.polygon.equals_exact(shape(geometry), 0)
    assert first.attributes["id"] == "2f6b"
    assert first.attributes["class_color"] == [200, 0, 0]
    assert first.attributes["measurements"] == {"Area": 1.5}
    assert (second.label, second.kind, second.polygon) == ("spot", "point", Point(3, 4))
    (tmp_path / "b.geojson.gz").write_bytes(gzip.compress((tmp_path / "a.geojson").read_bytes()))
    assert read_annotations(tmp_path / "b.geojson.gz") == [first, second]
    bare = write(tmp_path / "list.json", content["features"])
    assert read_annotations(bare) == [first, second]


numbers = st.floats(0, 200_000, allow_nan=False, width=64)


@st.composite
def shapes(draw):
    x, y = draw(numbers), draw(numbers)
    kind = draw(st.sampled_from(["box", "star", "ring", "multi", "point", "line"]))
    if kind == "point":
        return Point(x, y)
    if kind == "line":
        return LineString([(x, y), (x + 1, y + 2), (x + 5, y)])
    if kind == "box":
        return box(x, y, x + draw(st.floats(1, 500)), y + draw(st.floats(1, 500)))
    radii = draw(st.lists(st.floats(5, 300), min_size=5, max_size=12))
    angles = [2 * math.pi * i / len(radii) for i in range(len(radii))]
    star = Polygon([(x + r * math.cos(a), y + r * math.sin(a)) for r, a in zip(radii, angles, strict=True)])
    if kind == "star":
        return star
    if kind == "ring":
        return Polygon(star.exterior, [square(x - 0.5, y - 0.5, 0.75)])
    return MultiPolygon([star, box(x + 1000, y, x + 1001, y + 1)])


@settings(max_examples=60, deadline=None)
@example([Annotation("", Point(1, 2), {"name": 0})])
@given(
    st.lists(
        st.builds(
            Annotation, st.text(max_size=8), shapes(),
            st.dictionaries(st.sampled_from(["id", "name", "class_color"]), st.text(max_size=5) | st.integers()),
        ),
        max_size=5,
    )
)  # fmt: skip
def test_geojson_round_trip_is_exact(tmp_path_factory, annotations):
    path = tmp_path_factory.mktemp("roundtrip") / "a.geojson"
    annotations = [a for a in annotations if a.polygon.is_valid]
    write_geojson(path, annotations)
    again = read_annotations(path)
    assert len(again) == len(annotations)
    for before, after in zip(annotations, again, strict=True):
        assert after.polygon.equals_exact(before.polygon, 0)
        assert shapely.get_coordinates(after.polygon).tobytes() == shapely.get_coordinates(before.polygon).tobytes()
        assert after.label == (before.label or str(before.attributes.get("name", "")))
        rest = {k: v for k, v in after.attributes.items() if k != "objectType"}
        assert rest == dict(before.attributes)
        assert after.kind == before.kind
    write_geojson(path.with_name("b.geojson"), again)
    assert read_annotations(path.with_name("b.geojson")) == again


def test_geopandas_reads_what_we_write(tmp_path):
    geopandas = pytest.importorskip("geopandas")
    polygon = Polygon(square(3, 4, 10), [square(5, 6, 2)])
    write_geojson(tmp_path / "a.geojson", [Annotation("Tumor", polygon), Annotation("", Point(1, 2))])
    frame = geopandas.read_file(tmp_path / "a.geojson")
    assert frame.geometry[0].equals(polygon)
    assert frame.geometry[1] == Point(1, 2)


def test_asap_groups_orders_and_decimal_commas(tmp_path):
    file = read_annotation_file(write(tmp_path / "a.xml", ASAP))
    tumour, dot = file.annotations
    assert (tumour.label, tumour.kind) == ("Tumor", "polygon")
    assert list(tumour.polygon.exterior.coords)[:3] == [(10, 20.25), (100.5, 20.25), (100.5, 80)]
    assert (dot.label, dot.kind, dot.polygon) == ("seen", "point", Point(7, 8))
    assert file.notes == ("annotation 3 ('odd') has the type 'Hologram', which is not read; it is left out",)


def test_imagescope_negative_regions_are_holes(tmp_path):
    text = imagescope(
        (square(0, 0, 100), 'Type="0" NegativeROA="0"'),
        (square(20, 20, 10), 'Type="0" NegativeROA="1" InputRegionId="1"'),
        (square(500, 0, 50), 'Type="1" Text="edge"'),
        (square(90, 90, 30), 'Type="0" NegativeROA="1"'),
        ([(600, 0), (700, 60)], 'Type="2"'),
        ([(0, 0), (9, 9)], 'Type="4"'),
        (square(9000, 9000, 5), 'Type="0" NegativeROA="1"'),
    )
    file = read_annotation_file(write(tmp_path / "a.xml", text))
    outer, rectangle, ellipse, ruler = file.annotations
    assert {a.label for a in file.annotations} == {"Carcinoma"}
    assert outer.polygon.area == 100 * 100 - 10 * 10 - 10 * 10
    assert (rectangle.kind, rectangle.polygon.area) == ("box", 2500)
    assert ellipse.polygon.bounds == (600, 0, 700, 60)
    assert ellipse.polygon.area == pytest.approx(math.pi * 50 * 30, rel=1e-3)
    assert ruler.kind == "line"
    assert file.notes == ("negative region 7 of layer 1 lies in no positive one; it is left out",)
    named = read_annotations(write(tmp_path / "b.xml", imagescope((square(0, 0, 9), ""), name="")))
    assert named[0].label == "described"


def test_coco_polygons_boxes_and_images(tmp_path):
    content = {
        "images": [{"id": 1, "file_name": "slides/a.svs"}, {"id": 2, "file_name": "b.svs"}],
        "categories": [{"id": 7, "name": "gland"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [[0, 0, 10, 0, 10, 10, 0, 10]]},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [5, 6, 7, 8]},
            {"id": 3, "image_id": 1, "category_id": 7, "segmentation": {"counts": "x", "size": [2, 2]}},
            {"id": 4, "image_id": 2, "category_id": 7, "bbox": [0, 0, 1, 1]},
        ],
    }
    path = write(tmp_path / "c.json", content)
    file = read_annotation_file(path, image="a.svs")
    assert [a.polygon.bounds for a in file.annotations] == [(0, 0, 10, 10), (5, 6, 12, 14)]
    assert {a.label for a in file.annotations} == {"gland"}
    assert "annotation 3 is a compressed mask that is damaged; it is left out" in file.notes
    assert len(read_annotations(path, image="b")) == 1
    with pytest.raises(InputError, match="2 images; say which"):
        read_annotations(path)
    with pytest.raises(InputError, match=r"none of them 'c\.svs'"):
        read_annotations(path, image="c.svs")


def test_self_crossing_polygons_are_repaired_by_the_even_odd_rule(tmp_path):
    bow_tie = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]]}
    flat = {"type": "Polygon", "coordinates": [[[0, 0], [10, 10], [20, 20], [0, 0]]]}
    path = write(tmp_path / "a.geojson", {"type": "FeatureCollection", "features": [feature(bow_tie), feature(flat)]})
    file = read_annotation_file(path)
    assert len(file.annotations) == 1
    assert file.annotations[0].polygon.is_valid
    assert file.annotations[0].polygon.area == 50
    assert file.notes == (
        "annotation 1 crosses itself; the area inside by the even-odd rule is used",
        "annotation 2 encloses no area; it is left out",
    )


@pytest.mark.sweep(ci=True)
def test_a_million_vertices_are_read_in_seconds_and_a_million_crossings_are_refused(tmp_path):
    angle = np.linspace(0, 2 * np.pi, 1_000_000, endpoint=False)
    radius = 40_000 + 500 * np.sin(1000 * angle)
    circle = np.stack([50_000 + radius * np.cos(angle), 50_000 + radius * np.sin(angle)], axis=1)
    rows = "[" + ",".join([f"[{x:.3f},{y:.3f}]" for x, y in circle.tolist()]) + "]"
    collection = '{"type":"FeatureCollection","features":[{"type":"Feature","properties":{},"geometry":%s}]}'
    path = write(tmp_path / "a.geojson", collection % f'{{"type":"Polygon","coordinates":[{rows}]}}')
    started = time.process_time()
    (annotation,) = read_annotations(path)
    assert time.process_time() - started < 20
    assert annotation.polygon.area == pytest.approx(math.pi * (40_000**2 + 500**2 / 2), rel=1e-6)

    scribble = np.random.default_rng(0).integers(0, 100_000, (20_000, 2)).tolist()
    path = write(tmp_path / "b.geojson", [feature({"type": "Polygon", "coordinates": [scribble]})])
    started = time.process_time()
    file = read_annotation_file(path)
    assert time.process_time() - started < 20
    assert not file.annotations
    assert "20000 vertices and crosses itself about" in file.notes[0]


def test_what_lies_outside_the_slide_is_named(tmp_path):
    inside, partly, away = (Annotation("t", box(*b)) for b in ((1, 1, 5, 5), (90, 90, 120, 95), (200, 0, 300, 10)))
    kept, notes = outside([inside, partly, away], (100, 100))
    assert kept == [inside, partly]
    assert [note.split(" ('")[0] for note in notes] == ["annotation 2", "annotation 3"]
    assert "reaches beyond the slide of 100 × 100 pixels" in notes[0]
    assert "lies outside the slide" in notes[1]


def test_annotations_are_found_by_the_slides_name(tmp_path):
    write(tmp_path / "case1.xml", ASAP)
    write(tmp_path / "case2.svs.geojson", {"type": "FeatureCollection", "features": []})
    assert find_annotations(tmp_path, tmp_path / "slides/case1.svs") == tmp_path / "case1.xml"
    assert find_annotations(tmp_path, tmp_path / "slides/case2.svs") == tmp_path / "case2.svs.geojson"
    assert find_annotations(tmp_path, tmp_path / "slides/case3.svs") is None


def test_annotations_are_found_by_the_names_that_qupath_gives_images_of_ome_tiff(tmp_path):
    for name in ("case1.ome.tif - Image0", "case2", "case3.scn - Series 1", "case3.scn - Series 2"):
        write(tmp_path / f"{name}.geojson", {"type": "FeatureCollection", "features": []})
    assert find_annotations(tmp_path, Path("slides/case1.ome.tif")) == tmp_path / "case1.ome.tif - Image0.geojson"
    assert find_annotations(tmp_path, Path("slides/case2.OME.tiff")) == tmp_path / "case2.geojson"
    assert find_annotations(tmp_path, Path("slides/case3.scn")) is None, "nothing says of which image the slide is"


def test_what_qupath_computed_or_ignores_was_not_drawn(tmp_path):
    cell = feature({"type": "Polygon", "coordinates": [square(0, 0, 4)]}, "Tumor: Positive")
    cell["properties"]["objectType"] = "cell"
    drawn, ignored = (feature({"type": "Polygon", "coordinates": [square(0, 0, 9)]}, n) for n in ("Tumor", "Ignore*"))
    content = {"type": "FeatureCollection", "features": [cell, drawn, cell, ignored]}
    found = read_annotation_file(write(tmp_path / "a.geojson", content))
    assert [annotation.label for annotation in found.annotations] == ["Tumor"]
    assert [note.split(", ")[0].split(":")[0] for note in found.notes] == [
        "2 of the objects are cells",
        "1 annotation called 'Ignore*'",
    ]


def test_sentences_that_many_slides_share_are_said_once():
    odd = [(f"{n}.svs", f"{n + 5} of the objects are cells") for n in range(6)] + [("7.svs", "no scale")]
    assert list(_told_once(odd)) == [
        "0.svs: 5 of the objects are cells (5 more such, of 1.svs, 2.svs, 3.svs and 2 more slides)",
        "7.svs: no scale",
    ]


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><Annotations>&b;</Annotations>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (BOMB, "declares a document type or entities"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><ASAP_Annotations/>', "declares a document type or entities"),
        ("<html></html>", "XML with the root 'html'"),
        ("<ASAP_Annotations><Annotations>", "not valid XML"),
        ('{"type": "FeatureCollection", "features": [', "not valid JSON"),
        ("[" * 200_000, "nested too deeply"),
        ('{"cats": 1}', "neither GeoJSON nor COCO"),
        ("  ", "are empty"),
        ('{"type": "FeatureCollection"}', "no list 'features'"),
    ],
)
def test_hostile_and_broken_files_are_refused_in_a_sentence(tmp_path, content, message):
    path = write(tmp_path / "a.xml", content)
    with pytest.raises(InputError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_and_cut_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_annotations(tmp_path / "none.geojson")
    packed = gzip.compress(b"[]" * 1000)
    (tmp_path / "cut.geojson.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(InputError, match="damaged gzip"):
        read_annotations(tmp_path / "cut.geojson.gz")


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[0, 0], ["x", 1], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[[0, 0], [1e300, 1], [1, 1]]]},
        {"type": "Polygon", "coordinates": [[0, 1, 2]]},
        {"type": "Polygon", "coordinates": []},
        {"type": "Point", "coordinates": [None, 1]},
        {"type": "Point", "coordinates": [1e9, 1]},
        {"type": "Curve", "coordinates": [1, 2]},
        None,
    ],
)
def test_one_bad_annotation_leaves_the_others(tmp_path, geometry):
    good = {"type": "Point", "coordinates": [1, 2]}
    path = write(tmp_path / "a.geojson", [feature(geometry), feature(good)])
    file = read_annotation_file(path)
    assert [a.polygon for a in file.annotations] == [Point(1, 2)]
    assert len(file.notes) == 1
    assert file.notes[0].startswith("annotation 1 ")
