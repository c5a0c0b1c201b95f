"""The Sentinel-2 phantom through other programs: rasterio, geopandas, osmium; and what it promises to a model."""

import json

import geopandas as gpd
import numpy as np
import osmium
import pytest
import rasterio
from rasterio.features import geometry_mask

from voxtile.domain import resolve
from voxtile.errors import InputError
from voxtile.evaluation.tasks.file import read_task
from voxtile.phantom.noise import stream
from voxtile_remote_sensing.phantom.cover import CONCEPTS, KINDS, PIXELS, paint_square
from voxtile_remote_sensing.phantom.places import place_of
from voxtile_remote_sensing.phantom.sentinel2 import write_sentinel2_phantom
from voxtile_remote_sensing.phantom.spectra import BANDS, SPECTRA
from voxtile_remote_sensing.phantom.spectral_scene import render_scene
from voxtile_remote_sensing.phantom.texts import wording
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene

SEED, SCENES = 3, 4


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "s2"
    write_sentinel2_phantom(out, n=SCENES, seed=SEED, workers=1)
    return out


def truth(phantom):
    return json.loads((phantom / "truth.json").read_text())["studies"]


def product(phantom, number):
    return phantom / "scenes" / truth(phantom)[number]["product"]


def reflectance(phantom, number, band):
    """As a user with rasterio reads it: the offset of new baselines by hand."""
    (path,) = product(phantom, number).glob(f"GRANULE/*/IMG_DATA/*/*_{band}_*.jp2")
    with rasterio.open(path) as file:
        offset = 1000 if truth(phantom)[number]["baseline"] >= "04.00" else 0
        return (file.read(1).astype(np.float64) - offset) / 10_000, file.transform, file.crs


@pytest.mark.parametrize("number", range(SCENES))
def test_pixels_are_the_rendered_reflectance_in_old_and_new_baselines(phantom, number):
    scene = render_scene(SEED, number)
    for band in ("B02", "B8A", "B09"):
        values, transform, crs = reflectance(phantom, number, band)
        # Stored integers start at 1: below -0.0999 (new) or 0.0001 (old) nothing can be written.
        rendered = np.clip(scene.bands[band], 0.0001 if number % 2 == 0 else -0.0999, None)
        np.testing.assert_allclose(values, rendered, atol=5.1e-5)
        assert crs.to_epsg() == scene.place.epsg
        assert (transform.c, transform.f) == (scene.place.left, scene.place.top)


def test_both_kinds_of_baseline_and_both_hemispheres_occur(phantom):
    assert {study["baseline"] for study in truth(phantom)} == {"02.14", "05.09"}
    assert {study["epsg"] // 100 for study in truth(phantom)} == {326, 327}


def test_the_converters_reader_gives_reflectance_with_the_right_offset(phantom):
    refs = find_scenes(phantom / "scenes")
    assert len(refs) == SCENES
    for ref in refs:
        with open_scene(ref) as scene:
            number = next(s["number"] for s in truth(phantom) if s["product"] in scene.id)
            band = scene.band("B08")
            physical = scene.read(["B08"])[0] * band.scale + band.offset
            np.testing.assert_allclose(physical, reflectance(phantom, number, "B08")[0], atol=1e-6)
            assert scene.mask("SCL").kind == "SCL"


def test_coarse_bands_are_means_of_fine_pixels_and_lie_where_they_do():
    scene = render_scene(SEED, 0)
    fine, coarse = scene.bands["B08"], scene.bands["B8A"]
    means = fine.reshape(120, 2, 120, 2).mean((1, 3))
    shifts = {(dy, dx): np.corrcoef(np.roll(means, (dy, dx), (0, 1)).ravel(), coarse.ravel())[0, 1]
              for dy in (-1, 0, 1) for dx in (-1, 0, 1)}  # fmt: skip
    assert max(shifts, key=shifts.get) == (0, 0)
    assert shifts[0, 0] > 0.99


def test_the_same_seed_gives_the_same_files_whatever_the_number_of_workers(phantom, tmp_path):
    write_sentinel2_phantom(tmp_path / "again", n=SCENES, seed=SEED, workers=2)
    files = sorted(p.relative_to(phantom) for p in phantom.rglob("*") if p.is_file() and p.suffix != ".pbf")
    assert files == sorted(
        p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file() and p.suffix != ".pbf"
    )
    assert all((phantom / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)


def test_another_seed_gives_other_ground():
    assert np.abs(render_scene(1, 0).bands["B04"] - render_scene(2, 0).bands["B04"]).mean() > 0.01


def test_crops_are_alike_in_the_visible_and_differ_beyond():
    crops = np.stack([SPECTRA[KINDS[c].materials[0]] for c in ("maize", "sugar_beet", "potato", "rice")])
    visible = [BANDS.index(b) for b in ("B02", "B03", "B04")]
    beyond = [BANDS.index(b) for b in ("B06", "B08", "B11", "B12")]
    assert np.ptp(crops[:, visible], axis=0).max() == 0
    spread = np.ptp(crops[:, beyond], axis=0) / crops[:, beyond].mean(0)
    assert (spread > 0.5).all()


def mean_cover(concept, names, count=60):
    squares = [paint_square(stream(9, n), concept) for n in range(count)]
    zero = np.zeros(1)
    return np.array([[(q.shares.get(name, zero) * q.brightness).mean() for name in names] for q in squares])


@pytest.mark.parametrize(("one", "other"), [("orchard", "open_woodland"), ("river", "lake"), ("built_up", "bare_soil")])
def test_pairs_told_by_shape_or_texture_have_the_same_mean(one, other):
    names = ("water", "broadleaf", "grass", "soil")
    a, b = mean_cover(one, names), mean_cover(other, names)
    assert (np.abs(a.mean(0) - b.mean(0)) < 0.07).all()


def test_every_square_is_fully_covered():
    for concept in CONCEPTS:
        square = paint_square(stream(4, 1), concept)
        np.testing.assert_allclose(sum(square.shares.values()), 1, atol=1e-5)
        assert min(share.min() for share in square.shares.values()) >= -1e-6


def test_footprints_tile_the_scene_and_say_what_is_there(phantom):
    labels = gpd.read_file(phantom / "labels.geojson")
    assert len(labels) == 16 * SCENES
    assert sorted(labels[labels.scene == 1].label) == sorted(CONCEPTS)
    place = place_of(1, 2400.0)
    metres = labels[labels.scene == 1].to_crs(place.epsg)
    np.testing.assert_allclose(metres.area, 600**2, rtol=1e-4)
    bounds = [place.left, place.top - 2400, place.left + 2400, place.top]
    np.testing.assert_allclose(metres.total_bounds, bounds, atol=0.5)
    by_truth = {(s["number"], q["row"], q["column"]): q["concept"] for s in truth(phantom) for q in s["squares"]}
    assert all(by_truth[row.scene, row.row, row.column] == row.label for row in labels.itertuples(index=False))


def test_the_map_lies_on_the_pixels(phantom):
    """Water areas of the map are dark in the near infrared of the product, and their surroundings are not."""
    objects = gpd.read_file(phantom / "map" / "map.geojson")
    seen = 0
    for number in range(SCENES):
        values, transform, crs = reflectance(phantom, number, "B08")
        cloud = render_scene(SEED, number).cloud
        near = (
            objects[objects.natural == "water"]
            .to_crs(crs)
            .cx[transform.c : transform.c + 2400, transform.f - 2400 : transform.f]
        )
        for shape in near.geometry:
            inside = ~geometry_mask([shape.buffer(-15)], values.shape, transform) & ~cloud
            around = ~geometry_mask([shape.buffer(60).difference(shape.buffer(15))], values.shape, transform) & ~cloud
            if inside.sum() > 30:
                assert np.median(values[inside]) < 0.06 < np.median(values[around])
                seen += 1
    assert seen >= 2 * SCENES - 2


def test_pbf_and_geojson_hold_the_same_objects(phantom):
    ways = {}

    class Reader(osmium.SimpleHandler):
        def way(self, way):
            ways[way.id] = (dict(way.tags), [(round(n.lon, 7), round(n.lat, 7)) for n in way.nodes])

    Reader().apply_file(str(phantom / "map" / "map.osm.pbf"), locations=True)
    features = json.loads((phantom / "map" / "map.geojson").read_text())["features"]
    assert len(ways) == len(features) > 10
    for feature in features:
        tags, points = ways[int(feature["id"].partition("/")[2])]
        assert tags == {k: v for k, v in feature["properties"].items() if not k.startswith("@")}
        coordinates = feature["geometry"]["coordinates"]
        flat = coordinates[0] if feature["geometry"]["type"] == "Polygon" else coordinates
        assert points == [tuple(p) for p in flat]


def test_clouds_are_in_the_scene_classification(phantom):
    cloudy = [n for n in range(40) if render_scene(SEED, n).cloud.any()][:2]
    assert cloudy
    for number in cloudy:
        scene = render_scene(SEED, number)
        high = scene.scl == 9
        assert high.any()
        assert scene.bands["B11"][high].mean() > 0.2
        assert np.kron(np.isin(scene.scl, (3, 9)), np.ones((2, 2)))[scene.cloud].mean() > 0.8


def test_landcover_is_worldcovers(phantom):
    with rasterio.open(phantom / "landcover" / "00000.tif") as file:
        classes = set(np.unique(file.read(1)).tolist())
    assert classes <= {10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100}
    assert {10, 30, 40, 50, 70, 80, 90} <= classes


def test_captions_name_true_places_and_prompts_are_worded_apart(phantom):
    labels = gpd.read_file(phantom / "labels.geojson")
    squares = {(s["number"], q["row"], q["column"]): q for s in truth(phantom) for q in s["squares"]}
    told = 0
    for row in labels.itertuples(index=False):
        texts = json.loads(row.text) if isinstance(row.text, str) else list(row.text)
        assert 2 <= len(texts) <= 3
        for text in texts:
            if "lies in the" in text:
                assert squares[row.scene, row.row, row.column]["place"] in text
                told += 1
    task = read_task(resolve("remote_sensing/landcover-s2", kind="task"))
    assert set(task["classes"]) == set(CONCEPTS)
    bank = {t.lower().rstrip(".") for ts in wording("s2")["concepts"].values() for t in ts}
    prompts = [p.lower().rstrip(".") for c in task["classes"].values() for p in c["prompts"]]
    assert not bank & set(prompts)


@pytest.mark.parametrize(
    ("options", "message"), [({"n": 0}, "between 1 and"), ({"seed": -1}, "negative"), ({"n": 10**6}, "between 1 and")]
)
def test_what_cannot_be_made_is_refused(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        write_sentinel2_phantom(tmp_path / "x", **{"n": 1, "seed": 0, **options})


def test_a_full_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="not an empty folder"):
        write_sentinel2_phantom(tmp_path, n=1)


def test_places_never_overlap_and_fit_the_tile_grids():
    places = [place_of(n, 2400.0) for n in range(300)]
    corners = {(p.epsg, p.left, p.top) for p in places}
    assert len(corners) == 300
    for epsg in {p.epsg for p in places}:
        points = np.array([(p.left, p.top) for p in places if p.epsg == epsg])
        gaps = np.abs(points[:, None] - points[None]).max(-1) + np.eye(len(points)) * 1e9
        assert gaps.min() >= 24_000
    assert all(p.left % 600 == p.top % 600 == p.left % 96 == p.top % 96 == p.left % 60 == 0 for p in places)
    assert PIXELS * 10 == 600
