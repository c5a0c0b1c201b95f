"""Days in file names and masks among bands: told where nothing states them, and taken where a sidecar does."""

import numpy as np
import pytest
import rasterio
from rasterio import Affine

from voxtile.cli.main import main
from voxtile.corpus.reader import Corpus
from voxtile_remote_sensing.scenes.time_in_name import day_in_name, time_in_name

DAYS = ("2021-04-10", "2021-06-14")


@pytest.fixture
def series(tmp_path):
    """Two dates of one place with a band of values and one of classes, of which a half is cloud."""
    folder = tmp_path / "in"
    folder.mkdir()
    place = {"crs": "EPSG:32632", "transform": Affine(20, 0, 600_000, 0, -20, 5_000_320)}
    for number, day in enumerate(DAYS):
        with rasterio.open(folder / f"openEO_{day}Z.tif", "w", "GTiff", 16, 16, 2, dtype="int16", **place) as file:
            file.descriptions = ["B04", "SCL"]
            file.write(np.random.default_rng(number).integers(100, 2000, (16, 16)).astype(np.int16), 1)
            file.write(np.repeat(np.array([[4], [9]], np.int16), 8, axis=0) * np.ones((1, 16), np.int16), 2)
    return folder


def convert(folder, corpus, capsys):
    how = ["--size", "16px", "--split-by", "none", "--engine", "inline", "--min-valid", "0"]
    status = main(["convert", "geotiff", str(folder), str(corpus), *how])
    printed = capsys.readouterr()
    return status, [line for line in printed.err.splitlines() if line.startswith("note: openEO")], printed.out


def test_what_names_say_is_told_with_the_sidecar_that_makes_it_so(series, tmp_path, capsys):
    status, (day, mask), _ = convert(series, tmp_path / "bare", capsys)
    assert status == 0
    assert day.startswith("note: openEO_2021-04-10Z.tif and 1 more: the name has what looks like a day")
    assert mask.startswith("note: openEO_2021-04-10Z.tif SCL and 1 more: a band of this name is a mask of classes")
    written = [told.partition("corpus with '")[2].partition("' in a sidecar")[0] for told in (day, mask)]
    assert written == ['datetime_in_name: "%Y-%m-%d"', "masks: [{kind: SCL, band: 2}]"]
    assert {row["datetime"] for row in Corpus(tmp_path / "bare").table("samples").to_pylist()} == {None}

    (series / "bands.yaml").write_text("\n".join(["sensor: sentinel-2-msi", *written]))
    status, said, _ = convert(series, tmp_path / "stated", capsys)
    assert (status, said) == (0, [])
    rows = Corpus(tmp_path / "stated").table("samples").to_pylist()
    assert {row["datetime"] for row in rows} == set(DAYS)
    assert {row["study"] for row in rows} == {rows[0]["study"]}
    assert [[channel["name"] for channel in row["channels"]] for row in rows] == [["B04"]] * 2
    assert [row["valid_fraction"] for row in rows] == [0.5, 0.5]


def test_a_name_without_the_time_that_the_sidecar_says_of_it_is_refused(series, tmp_path, capsys):
    (series / "bands.yaml").write_text("datetime_in_name: '%Y%m%d'")
    status, _, out = convert(series, tmp_path / "corpus", capsys)
    assert status == 1
    assert "openEO_2021-04-10Z.tif: its name has no time such as '%Y%m%d', which bands.yaml says of" in out


@pytest.mark.cases(7)
@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("S2_SR_20210614T101559_T32UPU.tif", "%Y%m%dT%H%M%S", "2021-06-14T10:15:59"),
        ("T32UPU_20219914_20210614.tif", "%Y%m%d", "2021-06-14T00:00:00"),  # the first eight digits are no day
        ("MOD13Q1.A2021165.h18.tif", "A%Y%j", "2021-06-14T00:00:00"),
        ("a (1) 14.06.2021.tif", "%d.%m.%Y", "2021-06-14T00:00:00"),
        ("120210614.tif", "%Y%m%d", None),  # within a longer number
        ("scene.tif", "%Y-%m-%d", None),
    ],
)
def test_a_time_is_read_from_a_name(name, pattern, expected):
    found = time_in_name(name, pattern)
    assert (found and found.isoformat()) == expected


@pytest.mark.parametrize("pattern", ["%Y-%m", "%b %d %Y", "%Y%Y%m%d", "day", "%Y-%m-%d%"])
def test_a_pattern_that_says_no_day_is_refused(series, tmp_path, capsys, pattern):
    (series / "bands.yaml").write_text(f"datetime_in_name: '{pattern}'")
    status, _, out = convert(series, tmp_path / "corpus", capsys)
    assert status == 1
    assert f"'datetime_in_name' is '{pattern}', but" in out


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("a_20210614.tif", "%Y%m%d"), ("2021_06_14.tif", "%Y_%m_%d"), ("a_2021-0614.tif", None), ("T20230012.tif", None)],
)
def test_what_looks_like_a_day(name, pattern):
    assert day_in_name(name) == pattern
