"""`facts --from metadata`: the sun against the astral library, seasons of both hemispheres, the nearest place."""

import json
import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from astral import Observer
from astral.sun import elevation as astral_elevation
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Sample
from voxtile.corpus.writer import JobWriter, new_corpus
from voxtile.errors import InputError
from voxtile_remote_sensing.metadata.command import facts_from_metadata
from voxtile_remote_sensing.metadata.gazetteer import load_gazetteer
from voxtile_remote_sensing.metadata.sun import parse_moment, season, sun_elevation
from voxtile_remote_sensing.metadata.words import gsd_text, resolution_word, sun_word


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
    st.floats(-85, 85),
    st.floats(-180, 180),
)
def test_the_suns_height_agrees_with_astral(moment, latitude, longitude):
    moment = moment.replace(tzinfo=UTC)
    other = astral_elevation(Observer(latitude, longitude), moment, with_refraction=False)
    assert abs(sun_elevation(moment, latitude, longitude) - other) < 0.1


def test_the_sun_stands_in_the_zenith_at_noon_of_an_equinox_on_the_equator():
    noon = datetime(2024, 3, 20, 12, 7, 30, tzinfo=UTC)  # the equation of time is -7.5 minutes
    assert sun_elevation(noon, 0.0, 0.0) > 89.5
    assert abs(sun_elevation(noon, 50.0, 0.0) - 40.0) < 0.3
    assert sun_elevation(noon + timedelta(hours=12), 0.0, 0.0) < -89


def test_seasons_of_both_hemispheres():
    assert [season(m, 50) for m in (1, 3, 7, 11, 12)] == ["winter", "spring", "summer", "autumn", "winter"]
    assert [season(m, -35) for m in (1, 3, 7, 11, 12)] == ["summer", "autumn", "winter", "spring", "summer"]
    assert season(7, 10) is None
    assert season(7, -23.0) is None


def test_words():
    assert [resolution_word(g) for g in (0.1, 0.5, 3, 10, 250)] == [
        "ultra-high resolution", "very high resolution", "high resolution", "medium resolution", "low resolution",
    ]  # fmt: skip
    assert [gsd_text(g) for g in (10.0, 0.5, 1.49, 0.3048)] == ["10 m", "0.5 m", "1.5 m", "0.3 m"]
    assert [sun_word(e) for e in (-3, 12, 45, 70)] == ["night", "low sun", None, "high sun"]
    assert parse_moment("2020-06-01") == (datetime(2020, 6, 1, tzinfo=UTC), False)
    assert parse_moment("2020-06-01T10:00:00Z")[1]
    assert parse_moment("June") == (None, False)


def write_tiles(root, tiles):
    new_corpus(root)
    writer = JobWriter(root, "tiles-0")
    for uid, (lon, lat), crs, when, attributes, *modality in tiles:
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
        row = {
            "uid": uid,
            "subject": uid,
            "kind": "tile",
            "modality": modality[0] if modality else "MSI",
            "axes": "CYX",
            "crs": crs,
        }
        row |= {"transform": [10, 0, x - 320, 0, -10, y + 320], "datetime": when, "attributes": json.dumps(attributes)}
        writer.add(Sample(row, np.zeros((1, 64, 64), np.uint8)))
    writer.publish()
    return root


def test_radar_sees_no_sun_and_a_coarse_picture_was_taken_from_no_aeroplane(tmp_path):
    low = ((11.6, 48.25), "EPSG:32632", "2020-12-01T08:00:00Z", {"sun_elevation": 8.0})
    tiles = [("radar", *low, "SAR"), ("optical", *low, "MSI"), ("colour", *low, "RGB")]
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_metadata(root, captions=4, engine="inline")
    corpus = Corpus(root)
    lit = {row["uid"] for row in corpus.table("facts").to_pylist() if "sun" in row["concept"]}
    assert lit == {"optical", "colour"}
    assert ("radar", "sun@1") not in {(s["uid"], s["vocabulary"]) for s in corpus.table("scopes").to_pylist()}
    texts = corpus.table("captions").to_pylist()
    assert not [t["text"] for t in texts if t["uid"] == "radar" and ("sun" in t["text"] or "night" in t["text"])]
    assert not [t["text"] for t in texts if t["uid"] == "colour" and "aerial" in t["text"]]


def test_facts_and_sentences_of_tiles(tmp_path):
    gazetteer = tmp_path / "places.csv"
    gazetteer.write_text(
        "name;country;latitude;longitude\nMunich;Germany;48.137;11.575\nAugsburg;Germany;48.371;10.898\n"
    )
    tiles = [
        ("north", (11.6, 48.25), "EPSG:32632", "2020-07-01T10:20:00Z", {}),
        ("south", (151.2, -33.9), "EPSG:32756", "2020-07-01T00:10:00+00:00", {"sun_elevation": 24.5}),
        ("tropic", (36.8, -1.3), "EPSG:32737", "2020-07-01", {}),
    ]
    root = write_tiles(tmp_path / "corpus", tiles)
    facts_from_metadata(root, gazetteer=gazetteer, captions=3, engine="inline")
    corpus = Corpus(root)
    facts = {(r["uid"], r["concept"]): r for r in corpus.table("facts").to_pylist()}
    assert ("north", "summer") in facts
    assert ("south", "winter") in facts
    assert not any(uid == "tropic" and concept in ("summer", "winter") for uid, concept in facts)
    assert facts["south", "low sun"]["value"] == 24.5
    assert json.loads(facts["south", "low sun"]["attributes"])["elevation"] == "stated"
    here = astral_elevation(Observer(48.25, 11.6), datetime(2020, 7, 1, 10, 20, tzinfo=UTC), with_refraction=False)
    assert abs(here - 60) < 5
    assert json.loads(facts["north", "medium resolution"]["attributes"])["gsd_m"] == pytest.approx(10.0)
    place = facts["north", "place"]
    attributes = json.loads(place["attributes"])
    assert (attributes["name"], attributes["direction"]) == ("Munich", "north")
    truth = Geod(ellps="WGS84").inv(11.575, 48.137, 11.6, 48.25)[2]
    assert place["value"] == pytest.approx(truth, rel=0.01)
    assert ("south", "place") not in facts, "further than 25 km from any place of the table"
    scopes = {(s["uid"], s["vocabulary"]) for s in corpus.table("scopes").to_pylist()}
    assert ("tropic", "season@1") not in scopes
    assert ("tropic", "sun@1") not in scopes, "a date without a time says nothing of the sun"
    assert ("north", "season@1") in scopes
    texts = [r["text"] for r in corpus.table("captions").to_pylist() if r["uid"] == "north"]
    assert 1 <= len(texts) <= 3
    for text in texts:
        assert re.search(r"at 10 m resolution", text)
        assert "in summer" in text
        assert "about 13 km north of Munich, Germany" in text


@given(st.floats(-89, 89), st.floats(-180, 180))
def test_the_nearest_place_is_nearest(latitude, longitude):
    places = [(0.0, 0.0), (51.5, -0.1), (-33.9, 151.2), (64.1, -21.9), (0.0, 179.9), (-54.8, -68.3)]
    gazetteer = load_gazetteer(_PLACES[0])
    found = gazetteer.nearest(latitude, longitude)
    geod = Geod(a=6371008.8, b=6371008.8)
    distances = [geod.inv(lon, lat, longitude, latitude)[2] for lat, lon in places]
    assert found.distance_m == pytest.approx(min(distances), rel=1e-6, abs=0.01)


_PLACES = []


@pytest.fixture(scope="module", autouse=True)
def places_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("places") / "places.csv"
    path.write_text(
        "name,lat,lon\nNull,0,0\nLondon,51.5,-0.1\nSydney,-33.9,151.2\nReykjavik,64.1,-21.9\nTaveuni,0,179.9\nUshuaia,-54.8,-68.3\n"
    )
    _PLACES.append(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,lat\nA,1\n", "no column for the longitude"),
        ("name,lat,lon\nA,north,2\n", "no number of degrees"),
        ("name,lat,lon\nA,4500000,2\n", "no degrees"),
        ("name,lat,lon\n,,\n", "no row with a name"),
        ("name,lat,lon\nA,nan,2\n", "no row with a name"),
    ],
)
def test_gazetteers_that_do_not_fit(tmp_path, text, message):
    root = write_tiles(tmp_path / "corpus", [("t", (11.6, 48.25), "EPSG:32632", None, {})])
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        facts_from_metadata(root, gazetteer=tmp_path / "g.csv", engine="inline")


def test_a_place_without_coordinates_is_passed_over(tmp_path):
    """As blank cells of a data frame are; one such row was the nearest of all, and no tile had a place."""
    pd.DataFrame({"name": ["Nowhere", "Erding"], "lat": [np.nan, 48.3], "lon": [11.0, 11.9]}).to_parquet(
        tmp_path / "g.parquet"
    )
    assert load_gazetteer(tmp_path / "g.parquet").nearest(48.25, 11.6).name == "Erding"
    (tmp_path / "g.csv").write_text("name,lat,lon\nNowhere,nan,11\nErding,48.3,11.9\n")
    assert load_gazetteer(tmp_path / "g.csv").nearest(48.25, 11.6).name == "Erding"
