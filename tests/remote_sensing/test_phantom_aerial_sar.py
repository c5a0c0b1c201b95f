"""Aerial and radar phantoms: bands by the sidecar's names, vectors on their pixels, speckle of the stated looks."""

import json

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import yaml
from rasterio.features import geometry_mask

from voxtile.domain import resolve
from voxtile.evaluation.tasks.file import read_task
from voxtile_remote_sensing.phantom import aerial, aerial_square, radar_square, sar
from voxtile_remote_sensing.phantom.texts import wording
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene

SCENES = 2


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "aerial"
    aerial.write_aerial_phantom(out, n=SCENES, seed=5, workers=1)
    return out


@pytest.fixture(scope="module")
def radar(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "sar"
    sar.write_sar_phantom(out, n=SCENES, seed=5, workers=1)
    return out


def opened(folder):
    """Scene number → open scene, through the converter's own readers."""
    return {int(ref.path.rpartition(".")[0].rpartition("_")[2].rpartition("/")[2]): ref for ref in find_scenes(folder)}


def test_colours_are_where_the_sidecar_says_and_not_where_rgb_would_be(photographs):
    for number, ref in opened(photographs / "scenes").items():
        order = yaml.safe_load((photographs / "scenes" / f"{number:05d}.yaml").read_text())["bands"]
        assert [b["name"] for b in order] == list((("red", "green", "blue"), ("blue", "green", "red"))[number % 2])
        painted = np.block([[[q.pixels] for q in row] for row in aerial.paint_squares(5, number)])
        with open_scene(ref) as scene:
            for band, colour in enumerate(("red", "green", "blue")):
                read = scene.read([colour])[0].astype(float)
                assert np.corrcoef(read.ravel(), painted[:, :, band].ravel())[0, 1] > 0.995


def test_pools_of_the_map_are_turquoise_and_planes_white(photographs):
    objects = gpd.read_file(photographs / "map" / "map.geojson")
    seen = {"swimming_pool": 0, "aircraft": 0}
    for number, ref in opened(photographs / "scenes").items():
        study = json.loads((photographs / "truth.json").read_text())["studies"][number]
        with open_scene(ref) as scene:
            red, blue = (scene.read([c])[0].astype(float) for c in ("red", "blue"))
            grid = scene.bands[0].grid
        local = objects.to_crs(study["epsg"]).cx[grid.bounds[0] : grid.bounds[2], grid.bounds[1] : grid.bounds[3]]
        for row in local.itertuples(index=False):
            kind = row.leisure if row.leisure in seen else row.aeroway
            if kind not in seen:
                continue
            inside = ~geometry_mask([row.geometry.buffer(-0.8)], grid.shape, grid.transform)
            if inside.sum() < 3:
                continue
            seen[kind] += 1
            if kind == "swimming_pool":
                assert blue[inside].mean() > red[inside].mean() + 50
            else:
                assert red[inside].mean() > red.mean() + 40
    assert min(seen.values()) >= 2


def test_counts_are_those_of_the_map(photographs):
    objects = gpd.read_file(photographs / "map" / "map.geojson")
    studies = json.loads((photographs / "truth.json").read_text())["studies"]
    told = sum(square["counts"].get("airplane", 0) for study in studies for square in study["squares"])
    assert told == (objects.aeroway == "aircraft").sum() > 0


def test_nothing_on_the_map_reaches_into_a_square_where_it_is_not_painted(photographs):
    studies = json.loads((photographs / "truth.json").read_text())["studies"]
    rings = [np.array(s["ring"]) for study in studies for square in study["squares"] for s in square["shapes"]]
    assert len(rings) > 50
    assert min(r.min() for r in rings) >= 0
    assert max(r.max() for r in rings) <= aerial_square.SIDE_M
    cut = [r for r in rings if (r == 0).any() or (r == aerial_square.SIDE_M).any()]
    assert len(cut) > 5, "some objects do reach the edge"


def test_captions_count_truly(photographs):
    labels = gpd.read_file(photographs / "labels.geojson")
    studies = json.loads((photographs / "truth.json").read_text())["studies"]
    counts = {(s["number"], q["row"], q["column"]): q["counts"] for s in studies for q in s["squares"]}
    words = {"One": 1, "Two": 2, "Three": 3, "Four": 4, "Five": 5}
    seen = 0
    for row in labels.itertuples(index=False):
        for text in list(row.text):
            first, _, rest = text.partition(" ")
            names = {"airplane": "airplane", "storage tank": "tank", "warehouse": "warehouse", "tennis court": "court"}
            what = next((short for long, short in names.items() if rest.startswith(long)), None)
            if first in words and what:
                assert counts[row.scene, row.row, row.column][what] == words[first]
                seen += 1
    assert seen


def test_polarisations_are_where_the_sidecar_says(radar):
    for number, ref in opened(radar / "scenes").items():
        squares = sar._squares(5, number)
        linear = sar.backscatter(5, number, squares)
        with open_scene(ref) as scene:
            assert (scene.sensor, scene.modality) == ("sentinel-1-sar", "SAR")
            assert scene.bands[0].band.unit == "gamma0"
            for band, name in enumerate(("VV", "VH")):
                np.testing.assert_allclose(scene.read([name])[0], linear[band], rtol=1e-6)
        with rasterio.open(radar / "scenes" / f"S1A_IW_RTC_{number:05d}.tif") as file:
            first = file.read(1)
        assert np.array_equal(first, linear[number % 2])


def test_speckle_has_the_stated_number_of_looks():
    """Equivalent number of looks: mean² / variance over an area of one level."""
    flat = radar_square.RadarSquare("forest", np.zeros((2, 60, 60), np.float32), np.ones((60, 60), bool))
    intensity = sar.backscatter(1, 0, ((flat,) * 3,) * 3)
    looks = intensity.mean((1, 2)) ** 2 / intensity.var((1, 2))
    np.testing.assert_allclose(looks, sar.LOOKS, rtol=0.05)
    assert abs(np.corrcoef(intensity[:, :, 1:].ravel(), intensity[:, :, :-1].ravel())[0, 1]) < 0.02


def test_ships_are_few_bright_pixels_on_a_sea_of_the_same_mean():
    from voxtile.phantom.noise import stream

    ships = [radar_square.paint_radar(stream(2, n), "ships") for n in range(30)]
    seas = [radar_square.paint_radar(stream(3, n), "rough_sea") for n in range(30)]
    means = [np.mean([q.decibels.mean((1, 2)) for q in group], axis=0) for group in (ships, seas)]
    np.testing.assert_allclose(means[0], means[1], atol=1.5)
    assert all(q.decibels[0][q.region].min() > q.decibels[0][~q.region].mean() + 8 for q in ships)
    assert all(2 <= q.count <= 5 for q in ships)


@pytest.mark.parametrize(
    ("task", "bank", "concepts"),
    [("aerial-scenes", "aerial", aerial_square.CONCEPTS), ("sar-cover", "sar", radar_square.CONCEPTS)],
)
def test_prompts_are_worded_apart_from_captions(task, bank, concepts):
    classes = read_task(resolve(f"remote_sensing/{task}", kind="task"))["classes"]
    assert set(classes) == set(concepts)
    captions = {t.lower().rstrip(".") for ts in wording(bank)["concepts"].values() for t in ts}
    prompts = {p.lower().rstrip(".") for c in classes.values() for p in c["prompts"]}
    assert not captions & prompts


@pytest.mark.parametrize(("write", "name"), [(aerial.write_aerial_phantom, "aerial"), (sar.write_sar_phantom, "sar")])
def test_the_same_seed_gives_the_same_files(write, name, tmp_path, request):
    first = request.getfixturevalue("photographs" if name == "aerial" else "radar")
    write(tmp_path / "again", n=SCENES, seed=5, workers=2)
    files = [p.relative_to(first) for p in first.rglob("*") if p.is_file() and p.suffix != ".pbf"]
    assert len(files) >= 6
    assert all((first / f).read_bytes() == (tmp_path / "again" / f).read_bytes() for f in files)
