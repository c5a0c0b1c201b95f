"""A coordinate reference system of a stranger's corpus or sidecar is never an address that is asked, or a file."""

import numpy as np
import pytest
import rasterio
import xarray as xr
from rasterio.transform import from_origin

from voxtile.errors import CorpusError
from voxtile.formats.geotiff import checked_crs
from voxtile.formats.pictures.map_tiles import _placed
from voxtile_remote_sensing.scenes.gridded.axes import find_axes
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions
from voxtile_remote_sensing.scenes.raster import read_header
from voxtile_remote_sensing.scenes.sidecar import _crs

WKT = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]]]'
HOSTILE = (
    "http://127.0.0.1:9/x.wkt", " https://host/x", "/etc/passwd", "./x.wkt", "file:///etc/passwd", "/vsicurl/http://h/x",
    "dict:esri_extra.wkt,1", '{"wkt": "http://127.0.0.1:9/x"}', '{"wkt": "http:\\/\\/127.0.0.1:9"}', "EPSG:1\nhttp://h",
)  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_an_address_or_a_path_is_refused_before_gdal_sees_it(text):
    with pytest.raises(CorpusError, match="not a coordinate reference system"):
        checked_crs(text)
    with pytest.raises(CorpusError):
        _placed({"crs": text, "transform": [1, 0, 0, 0, -1, 0], "axes": "YXC"})
    with pytest.raises(SceneError, match=r"a\.yaml"):
        _crs(text, "a.yaml")


def test_a_file_of_the_current_folder_is_no_coordinate_system(tmp_path, monkeypatch):
    (tmp_path / "private.wkt").write_text(WKT)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CorpusError, match="not a coordinate reference system"):
        checked_crs("private.wkt")


def test_a_mapping_in_a_sidecar_names_no_address_either():
    with pytest.raises(SceneError):
        _crs({"wkt": "http://127.0.0.1:9/x"}, "a.yaml")


@pytest.mark.parametrize(
    "text", ["EPSG:32632", "epsg:4326", "ESRI:54009", "OGC:CRS84", WKT, "+proj=utm +zone=32", "WGS84"]
)
def test_systems_as_they_are_written_are_taken(text):
    assert checked_crs(text) == text
    assert _crs(text, "a.yaml") is not None
    assert _crs(32632, "a.yaml").to_epsg() == 32632


@pytest.mark.parametrize("attribute", ["spatial_ref", "crs_wkt", "crs"])
def test_a_gridded_dataset_names_no_address(attribute):
    """rioxarray hands these to GDAL, which asked the address twice, and the row was an unexpected error."""
    axis = np.arange(4) * 10.0
    hostile = {attribute: "http://127.0.0.1:9/x"}
    dataset = xr.Dataset(
        {"red": (("y", "x"), np.zeros((4, 4)), {"grid_mapping": "spatial_ref"})},
        coords={"x": axis, "y": -axis, "spatial_ref": ((), 0, hostile if attribute != "crs" else {})},
        attrs=hostile if attribute == "crs" else {},
    )
    with pytest.raises(SceneError, match="not a coordinate reference system"):
        find_axes(dataset, "a.nc", crs=None)


def test_an_aux_file_that_names_one_costs_its_row(tmp_path):
    """GDAL asks none there; what it said was an unexpected error."""
    place = {
        "transform": from_origin(600_000, 5_300_000, 10, 10),
        "height": 8,
        "width": 8,
        "count": 1,
        "dtype": "uint8",
    }
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", **place) as file:
        file.write(np.zeros((1, 8, 8), np.uint8))
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>http://127.0.0.1:9/x</SRS></PAMDataset>")
    with pytest.raises(SceneError, match=r"aux\.xml"):
        read_header(str(tmp_path / "a.tif"), tmp_path, SceneOptions())
