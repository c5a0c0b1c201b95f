"""`voxtile ground` of wide and coarse rasters: no part is left out for a split's sake, and the dateline cuts shapes."""

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from rasterio.transform import from_origin

from voxtile.cli.main import main
from voxtile.data.presets.tile import TilePreset
from voxtile.inference import load


class Everywhere:
    """Shows every phrase in every pixel that it sees."""

    name, logit_scale, fact_names, grounds = "everywhere", 1.0, (), True
    preset = TilePreset(bands=("red",), size=(16, 16))

    def ground(self, images, phrases):
        return torch.ones(len(images), len(phrases), *images.shape[2:]), torch.ones(len(images), len(phrases))


@pytest.fixture
def ground(tmp_path, monkeypatch):
    monkeypatch.setattr("voxtile.inference.names.check_model_name", lambda spec: None)
    monkeypatch.setattr(load, "load_model", lambda spec, *_: Everywhere())

    def ground(side, pixel, crs, left, top, form):
        place = {"crs": crs, "transform": from_origin(left, top, pixel, pixel)}
        shape = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": side, "width": side}
        with rasterio.open(tmp_path / "a.tif", "w", **shape, **place) as file:
            file.write(np.ones((1, side, side), np.uint16))
            file.set_band_description(1, "red")
        words = ["ground", "any", str(tmp_path / "a.tif"), "land", "--out", str(tmp_path / "out"), "--to", form]
        assert main(words) == 0
        [path] = [path for path in (tmp_path / "out").iterdir() if path.suffix in (".gpkg", ".geojson")]
        return geopandas.read_file(path)

    return ground


def test_all_of_a_wide_raster_is_read(ground):
    """Tiles near the border of two blocks were left out, as of a training split: 41 % of 51 km."""
    found = ground(64, 750, "EPSG:32633", 500_000, 5_200_000, "geopackage")
    assert found.area.sum() == pytest.approx((64 * 750) ** 2)


def test_pixels_too_coarse_for_blocks_are_read_and_cut_at_the_dateline(ground):
    """Of tiles that fit into no block the command spoke of --block, which it does not have."""
    found = ground(32, 2000, "EPSG:32701", 146_000, 8_200_000, "geojson")
    [shape] = found.geometry
    assert shape.geom_type == "MultiPolygon"
    assert max(part.bounds[2] - part.bounds[0] for part in shape.geoms) < 1
    assert found.to_crs("EPSG:32701").area.sum() == pytest.approx((32 * 2000) ** 2, rel=0.01)
