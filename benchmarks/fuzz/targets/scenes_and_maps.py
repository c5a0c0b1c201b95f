"""Remote sensing: rasters, metadata of products, maps, stores of arrays."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator

import h5py
import numpy as np
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
from rasterio.windows import Window
from target import Target, as_text, file_of, scratch, texts

from voxtile_remote_sensing.osm.read_vector import read_geojson
from voxtile_remote_sensing.scenes.access import check_vrt, fenced_gdal
from voxtile_remote_sensing.scenes.envi import read_envi_header
from voxtile_remote_sensing.scenes.gridded.safety import check_hdf5, check_zarr
from voxtile_remote_sensing.scenes.metadata_xml import number_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.products.landsat_mtl import read_mtl
from voxtile_remote_sensing.scenes.protocol import SceneOptions
from voxtile_remote_sensing.scenes.stated_nodata import stated_nodata
from voxtile_remote_sensing.scenes.tiff_directory import block_bytes
from voxtile_remote_sensing.tiles.grid import parse_length


def _scene(data: bytes, name: str = "a.tif") -> None:
    path = file_of(data, f"scenes/{name}")
    block_bytes(path)
    stated_nodata(path, "GTiff")
    with fenced_gdal(SceneOptions()):
        for ref in find_scenes(path, SceneOptions())[:1]:
            scene = open_scene(ref)
            try:
                band = scene.bands[0]
                scene.pixels.read([band.layer], Window(0, 0, min(band.grid.shape[1], 16), min(band.grid.shape[0], 16)))
            finally:
                scene.pixels.close()


def _xml(data: bytes) -> None:
    root = parse_xml(file_of(data, "products/a.xml"), where="a.xml")
    text_of(root, "a")
    number_of(root, "PRODUCT_NUMBER", where="a.xml")


def _vrt(data: bytes) -> None:
    path = file_of(data, "vrt/a.vrt")
    if not (path.parent / "b.tif").exists():
        file_of(next(_geotiffs()), "vrt/b.tif")
    check_vrt(path, path.parent, SceneOptions())


def _zarr(data: bytes) -> None:
    store = scratch() / "store.zarr"
    for name in (".zarray", "zarr.json", ".zmetadata"):
        shutil.rmtree(store, ignore_errors=True)
        check_zarr(file_of(data, f"store.zarr/{name}").parent, "scene")


def _stac(data: bytes) -> None:
    path = file_of(data, "items/item.json")
    if not (path.parent / "a.tif").exists():
        file_of(next(_geotiffs()), "items/a.tif")
    for ref in find_scenes(path.parent, SceneOptions()):
        open_scene(ref)


def _geotiffs() -> Iterator[bytes]:
    for options in ({"compress": "deflate"}, {"compress": "lzw", "tiled": True, "blockxsize": 16, "blockysize": 16},
                    {"nodata": 0}, {"photometric": "rgb", "count": 3}):  # fmt: skip
        profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": 32, "width": 32, "crs": "EPSG:32632",
                   "transform": from_origin(600_000, 5_300_000, 10, 10), **options}  # fmt: skip
        with MemoryFile() as memory:
            with memory.open(**profile) as dataset:
                dataset.write(np.ones((profile["count"], 32, 32), np.uint8))
                dataset.descriptions = ("red", "green", "blue")[: profile["count"]]
            yield memory.read()


def _hdf5() -> Iterator[bytes]:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("a/b", data=np.zeros((4, 4)), chunks=(2, 2), compression="gzip")
        file["c"] = h5py.SoftLink("/a")
    yield stream.getvalue()


_GEOJSON = json.dumps({
    "type": "FeatureCollection", "crs": {"type": "name", "properties": {"name": "EPSG:4326"}}, "bbox": [0, 0, 1, 1],
    "features": [{"type": "Feature", "id": 1, "properties": {"building": "yes", "@id": "way/1"}, "geometry": {
        "type": "Polygon", "coordinates": [[[0, 0], [0.1, 0], [0.1, 0.1], [0, 0]]]}},
        {"type": "Feature", "properties": None, "geometry": {"type": "GeometryCollection", "geometries": []}}],
})  # fmt: skip
_XML = '<?xml version="1.0"?><a xmlns="urn:x"><b>1.5</b><PRODUCT_NUMBER>7</PRODUCT_NUMBER></a>'
_VRT = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><NoDataValue>0</NoDataValue>'
    '<SimpleSource><SourceFilename relativeToVRT="1">b.tif</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>'
)
_ENVI = (
    "ENVI\nsamples = 4\nlines = 4\nbands = 2\ndata type = 2\nwavelength = {450.0, 550}\nwavelength units = Nanometers\n"
)
_MTL = (
    'GROUP = L1\n  GROUP = IMAGE\n    SUN_ELEVATION = 45.5\n    ID = "LC08"\n  END_GROUP = IMAGE\nEND_GROUP = L1\nEND\n'
)
_ZARR = json.dumps({"zarr_format": 2, "shape": [4, 4], "chunks": [2, 2], "dtype": "<i2", "compressor": {"id": "zlib"},
                    "filters": None, "fill_value": 0, "order": "C"})  # fmt: skip
_ZARR3 = json.dumps({"zarr_format": 3, "node_type": "array", "shape": [4], "data_type": "int16", "codecs": [
    {"name": "bytes", "configuration": {"endian": "little"}}], "chunk_grid": {"name": "regular"}})  # fmt: skip
_STAC = json.dumps({
    "type": "Feature", "stac_version": "1.0.0", "id": "a", "geometry": None, "bbox": [0, 0, 1, 1], "links": [],
    "properties": {"datetime": "2020-01-01T00:00:00Z", "platform": "sentinel-2a"}, "stac_extensions": [],
    "assets": {"B04": {"href": "./a.tif", "type": "image/tiff", "eo:bands": [{"name": "B04", "common_name": "red"}]}},
})  # fmt: skip

TARGETS = (
    Target("GeoTIFF", _scene, _geotiffs),
    Target("metadata in XML", _xml, texts(_XML)),
    Target("VRT", _vrt, texts(_VRT)),
    Target("header of ENVI", lambda data: read_envi_header(file_of(data, "envi/a.hdr"), "a"), texts(_ENVI)),
    Target("MTL of Landsat", lambda data: read_mtl(file_of(data, "mtl/a_MTL.txt"), "a"), texts(_MTL)),
    Target("metadata of Zarr", _zarr, texts(_ZARR, _ZARR3)),
    Target("HDF5 scene", lambda data: check_hdf5(file_of(data, "hdf/a.nc"), "a"), _hdf5),
    Target("STAC item", _stac, texts(_STAC)),
    Target("GeoJSON map", lambda data: read_geojson(file_of(data, "maps/a.geojson"), None), texts(_GEOJSON)),
    Target("length", lambda data: parse_length(as_text(data), "--tile"), texts("256", "1.28km", "10m", "0.5 m")),
)
