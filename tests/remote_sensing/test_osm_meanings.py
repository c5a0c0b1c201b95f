"""Captions say of a tag what the wiki of OpenStreetMap says of it, of a share what it is, of a picture what it shows.

Meanings: wiki.openstreetmap.org/wiki/Tag:building=residential ("a general tag for a building used primarily for
residential purposes"), Tag:highway=trunk ("important roads that are not motorways"), Tag:leisure=garden,
Tag:man_made=breakwater, Tag:building=semidetached_house.
"""

import re

import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_datasets.captions.wordings import installed_banks
from voxtile_remote_sensing.osm.captions import write_captions
from voxtile_remote_sensing.osm.english import share_percent
from voxtile_remote_sensing.osm.facts import scene_facts
from voxtile_remote_sensing.osm.features import Feature
from voxtile_remote_sensing.osm.tag_table import load_table
from voxtile_remote_sensing.osm.tile_geometry import tile_frame
from voxtile_remote_sensing.osm.visible_features import measure_scene
from voxtile_remote_sensing.osm.wordings import load_wordings

TABLE, WORDINGS = load_table(), load_wordings()
GSD, SIDE = 0.5, 200.0  # metres
ORIGIN = (500_000.0, 5_500_000.0)


def _scene(tags, geometry):
    transform = Affine(GSD, 0, ORIGIN[0], 0, -GSD, ORIGIN[1] + SIDE)
    pixels = round(SIDE / GSD)
    row = {
        "uid": "t",
        "axes": "CYX",
        "shape": [3, pixels, pixels],
        "crs": "EPSG:32633",
        "transform": list(transform)[:6],
    }
    return measure_scene(tile_frame(row), [Feature("way/1", tags, geometry, None)], "EPSG:32633", TABLE)


def _box(width, height=None):
    x, y = ORIGIN
    return shapely.box(x, y, x + width, y + (height or width))


def _texts(scene, *, modality="RGB", count=60):
    facts = scene_facts(scene, TABLE.identity, {})
    return [c.text for c in write_captions(scene, facts, TABLE, WORDINGS, modality=modality, count=count)]


@pytest.mark.parametrize(
    ("tags", "said", "never"),
    [
        ({"building": "residential"}, "residential building", "apartment|flats|house"),
        ({"building": "dormitory"}, "residential building", "apartment|flats|house"),
        ({"building": "apartments"}, "apartment building|block of flats", "residential"),
        ({"building": "semidetached_house"}, "house", "detached"),
        ({"leisure": "garden"}, "garden", r"(?<!car )\bparks?\b|green space"),
        ({"natural": "wetland"}, "wetland", "marsh"),
        ({"man_made": "breakwater"}, "breakwater", "pier"),
    ],
)
def test_a_tag_is_called_what_it_means(tags, said, never):
    texts = _texts(_scene(tags, _box(15)))
    assert any(re.search(said, text) for text in texts)
    assert not [text for text in texts if re.search(never, text, re.IGNORECASE)]


@pytest.mark.parametrize(("highway", "never"), [("trunk", "motorway|highway"), ("cycleway", "footpath")])
def test_a_way_is_called_what_it_means(highway, never):
    x, y = ORIGIN
    texts = _texts(_scene({"highway": highway}, shapely.LineString([(x, y + 5), (x + SIDE, y + 90)])))
    assert texts
    assert not [text for text in texts if re.search(never, text, re.IGNORECASE)]


def test_a_residential_building_is_not_called_absent_where_a_house_is():
    scene = _scene({"building": "house"}, _box(15))
    assert "residential_building" in TABLE.rules["house"].kin
    assert not [text for text in _texts(scene, count=200) if "residential building" in text]


def test_a_rounded_share_never_nearly_doubles():
    for share in np.linspace(0.015, 0.985, 2000):
        percent, half = share_percent(share)
        assert abs(percent - 100 * share) <= half + 1e-9
        for said, true in ((percent, 100 * share), (100 - percent, 100 - 100 * share)):
            assert 3 / 4 - 1e-9 <= said / true <= 4 / 3 + 1e-9, (share, percent)


@pytest.mark.parametrize("share", [0.027, 0.052, 0.08, 0.126, 0.34, 0.974])
def test_a_share_is_said_as_it_is(share):
    texts = _texts(_scene({"landuse": "forest"}, _box(SIDE, SIDE * share)), count=120)
    said = {int(number) for text in texts for number in re.findall(r"about (\d+) %", text)}
    assert len(said) == 1
    assert said.pop() == {0.027: 3, 0.052: 5, 0.08: 8, 0.126: 15, 0.34: 35, 0.974: 97}[share]


@pytest.mark.cases(2)
@pytest.mark.parametrize(
    ("bands", "stored", "modality"),
    [
        (["red", "green", "blue"], "uint8", "RGB"),
        (["blue", "green", "red"], "uint8", "RGB"),
        (["red", "green", "blue"], "uint16", "MSI"),  # numbers of a sensor: no picture
        (["red", "green", "blue", "nir"], "uint8", "MSI"),
    ],
)
def test_a_picture_of_three_colours_is_rgb_and_never_called_multispectral(tmp_path, bands, stored, modality):
    values = np.random.default_rng(3).integers(1, 200, (len(bands), 128, 128), stored)
    profile = {"driver": "GTiff", "count": len(bands), "dtype": stored, "height": 128, "width": 128}
    place = {"crs": "EPSG:32633", "transform": Affine(0.5, 0, *ORIGIN[:1], 0, -0.5, ORIGIN[1])}
    (tmp_path / "in").mkdir()
    with rasterio.open(tmp_path / "in/scene.tif", "w", **profile, **place) as file:
        file.write(values)
    (tmp_path / "in/scene.yaml").write_text(yaml.safe_dump({"bands": bands}))
    corpus = tmp_path / "corpus"
    assert main(["convert", "geotiff", str(tmp_path / "in"), str(corpus), "--size", "64px", "--split-by", "none"]) == 0
    assert set(Corpus(corpus).table("samples")["modality"].to_pylist()) == {modality}


def test_no_bank_calls_a_picture_multispectral_by_its_modality():
    """The modality of three visible bands of Sentinel-2 is MSI, too."""
    for bank in installed_banks():
        assert not [name for names in bank.images.values() for name in names if "multispectral" in name]
    assert not [name for names in WORDINGS.images.values() for name in names if "multispectral" in name]


def test_a_coarse_picture_in_colour_is_no_aerial_photograph():
    assert "aerial photograph" in WORDINGS.images_of("RGB", 0.5)
    assert not [name for name in WORDINGS.images_of("RGB", 10.0) if "aerial" in name]
