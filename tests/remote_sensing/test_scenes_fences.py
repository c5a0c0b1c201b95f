"""What scenes may not do: leave the input folder, reach the network, run code, or expand entities."""

import http.server
import itertools
import json
import pickle
import threading
import zipfile

import h5py
import numpy as np
import pytest
import rasterio
import xarray as xr

from voxtile_remote_sensing.recipes.layouts.seasonal_zarr import _open as _open_zip
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneError, SceneOptions

PIXELS = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
SIDECAR = "bands: [a]\n"


def _vrt(path, inner, *, options=""):
    path.write_text(
        f'<VRTDataset rasterXSize="50" rasterYSize="40"><SRS>EPSG:32632</SRS><GeoTransform>600000, 10, 0, 5000040, 0, '
        f'-10</GeoTransform><VRTRasterBand dataType="UInt16" band="1"{options}>{inner}</VRTRasterBand></VRTDataset>'
    )
    path.with_suffix(".yaml").write_text(SIDECAR)
    return path


def _source(href, *, relative=1):
    return (
        f'<SimpleSource><SourceFilename relativeToVRT="{relative}">{href}</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource>"
    )


def _open(folder, name, **options):
    ref = next(r for r in find_scenes(folder, SceneOptions(**options)) if r.path == name)
    return open_scene(ref)


@pytest.fixture
def server():
    """A local web server that counts what it is asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}", asked
        running.shutdown()


def test_a_vrt_inside_the_folder_is_read(tmp_path, make_raster):
    make_raster(tmp_path / "in/deep/a.tif", PIXELS)
    _vrt(tmp_path / "in/b.vrt", _source("deep/a.tif"))
    with _open(tmp_path / "in", "b.vrt") as scene:
        assert np.array_equal(scene.read(["a"])[0], PIXELS[0])


@pytest.mark.parametrize("how", ["relative", "absolute", "symlink", "nested"])
def test_a_source_outside_the_folder_is_refused_unless_allowed(tmp_path, make_raster, how):
    outside = make_raster(tmp_path / "secret.tif", PIXELS)
    folder = tmp_path / "in"
    folder.mkdir()
    if how == "relative":
        _vrt(folder / "b.vrt", _source("../secret.tif"))
    elif how == "absolute":
        _vrt(folder / "b.vrt", _source(outside, relative=0))
    elif how == "symlink":
        (folder / "link.tif").symlink_to(outside)
        _vrt(folder / "b.vrt", _source("link.tif"))
    else:
        _vrt(folder / "inner.vrt", _source("../secret.tif"))
        _vrt(folder / "b.vrt", _source("inner.vrt"))
    with pytest.raises(SceneError, match=r"lies outside the input folder; .*--allow-outside"):
        _open(folder, "b.vrt")
    with _open(folder, "b.vrt", outside=True) as scene:
        assert np.array_equal(scene.read(["a"])[0], PIXELS[0])


@pytest.mark.parametrize("prefix", ["/vsicurl/", "", "/vsicurl_streaming/"])
def test_the_network_is_refused_without_being_asked(tmp_path, server, prefix):
    url, asked = server
    _vrt(tmp_path / "b.vrt", _source(f"{prefix}{url}/a.tif", relative=0))
    with pytest.raises(SceneError, match=r"leads to the network; .*--allow-network"):
        _open(tmp_path, "b.vrt")
    assert asked == []


def test_a_web_service_dressed_as_a_tiff_is_refused(tmp_path, server):
    url, asked = server
    service = (
        f"<GDAL_WMS><Service name='TMS'><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service></GDAL_WMS>"
    )
    (tmp_path / "a.tif").write_text(service)
    (tmp_path / "a.yaml").write_text(SIDECAR)
    with pytest.raises(SceneError, match="neither TIFF, JPEG 2000, VRT nor ENVI"):
        _open(tmp_path, "a.tif")
    _vrt(tmp_path / "b.vrt", _source("a.tif"))
    with pytest.raises(SceneError, match="neither TIFF nor JPEG 2000"):
        _open(tmp_path, "b.vrt")
    assert asked == []


def test_a_vrt_that_runs_python_is_refused_and_runs_nothing(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS)
    trace = tmp_path / "trace"
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\ndef f(*a, **k): pass"
    _vrt(
        tmp_path / "b.vrt",
        f"<PixelFunctionType>f</PixelFunctionType><PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[{code}]]></PixelFunctionCode>{_source('a.tif')}",
        options=' subClass="VRTDerivedRasterBand"',
    )
    with pytest.raises(SceneError, match="computes pixels with a function"):
        _open(tmp_path, "b.vrt")
    assert not trace.exists()


@pytest.mark.parametrize(
    ("inner", "options", "message"),
    [
        (
            '<SourceFilename relativeToVRT="1">a.tif</SourceFilename><ImageOffset>0</ImageOffset>',
            ' subClass="VRTRawRasterBand"',
            "reads raw bytes",
        ),
        (_source("&lt;VRTDataset/&gt;"), "", "holds another dataset inside its text"),
        (_source("gone.tif"), "", "its source 'gone.tif' does not exist"),
    ],
)
def test_other_ways_out_of_a_vrt_are_refused(tmp_path, make_raster, inner, options, message):
    make_raster(tmp_path / "a.tif", PIXELS)
    _vrt(tmp_path / "b.vrt", inner, options=options)
    with pytest.raises(SceneError, match=message):
        _open(tmp_path, "b.vrt")


def test_a_vrt_that_refers_to_itself_ends(tmp_path):
    _vrt(tmp_path / "b.vrt", _source("b.vrt"))
    with pytest.raises(SceneError, match="refer to each other more than 4 deep"):
        _open(tmp_path, "b.vrt")


def test_entities_in_a_vrt_are_not_expanded(tmp_path):
    (tmp_path / "b.vrt").write_text(
        '<!DOCTYPE VRTDataset [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><VRTDataset>&b;</VRTDataset>'
    )
    (tmp_path / "b.yaml").write_text(SIDECAR)
    with pytest.raises(SceneError, match=r"neither TIFF|declares entities"):
        _open(tmp_path, "b.vrt")


def _item(folder, href, **asset):
    item = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "x",
        "geometry": None,
        "bbox": None,
        "properties": {"datetime": "2022-06-01T10:00:00Z"},
        "links": [],
        "assets": {"red": {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"], **asset}},
    }
    (folder / "item.json").write_text(json.dumps(item))


@pytest.mark.parametrize("scheme", ["http", "s3", "/vsis3"])
def test_a_stac_href_to_the_network_is_refused(tmp_path, server, scheme):
    url, asked = server
    _item(tmp_path, {"http": f"{url}/a.tif", "s3": "s3://bucket/a.tif", "/vsis3": "/vsis3/bucket/a.tif"}[scheme])
    with pytest.raises(SceneError, match=r"asset .red.: .*leads to the network"):
        _open(tmp_path, "item.json")
    assert asked == []


def test_an_allowed_network_is_asked(tmp_path, server):
    url, asked = server
    _item(tmp_path, f"{url}/a.tif")
    with pytest.raises(SceneError, match="cannot be opened"):
        _open(tmp_path, "item.json", network=True)
    assert "/a.tif" in asked


def test_a_stac_href_outside_the_folder_is_refused_unless_allowed(tmp_path, make_raster):
    make_raster(tmp_path / "secret.tif", PIXELS[:1])
    (tmp_path / "in").mkdir()
    _item(tmp_path / "in", "../secret.tif")
    with pytest.raises(SceneError, match="lies outside the input folder"):
        _open(tmp_path / "in", "item.json")
    with _open(tmp_path / "in", "item.json", outside=True) as scene:
        assert np.array_equal(scene.read(["red"])[0], PIXELS[0])


class _Attack:
    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return (open, (self.trace, "w"))


def _zarr(path, **entry):
    """A store of version 2, written by hand: one uint16 variable on x and y."""
    axes = {"y": np.arange(40.0)[::-1], "x": np.arange(50.0)}
    xr.Dataset({"red": (("y", "x"), PIXELS[0])}, coords=axes).to_zarr(path, zarr_format=2, consolidated=False)
    metadata = json.loads((path / "red/.zarray").read_text()) | entry
    (path / "red/.zarray").write_text(json.dumps(metadata))
    return metadata


@pytest.mark.parametrize("codec", ["pickle", "json2", "msgpack2", "vlen-array", "evil"])
@pytest.mark.parametrize("where", ["array", "consolidated"])
def test_a_zarr_with_an_object_codec_is_refused_and_runs_nothing(tmp_path, codec, where):
    trace = tmp_path / "trace"
    store = tmp_path / "a.zarr"
    bad = {"dtype": "|O", "filters": [{"id": codec}], "compressor": None, "fill_value": None}
    if where == "array":
        _zarr(store, **bad)
    else:
        metadata = _zarr(store) | bad
        (store / ".zmetadata").write_text(
            json.dumps(
                {"zarr_consolidated_format": 1, "metadata": {".zgroup": {"zarr_format": 2}, "red/.zarray": metadata}}
            )
        )
    (store / "red/0.0").write_bytes(pickle.dumps(np.array([_Attack(trace)], dtype=object)))
    with pytest.raises(SceneError, match=rf"uses the codec '{codec}'"):
        _open(tmp_path, "a.zarr")
    assert not trace.exists()


def test_a_zarr_of_version_3_with_an_unknown_codec_is_refused(tmp_path):
    store = tmp_path / "a.zarr"
    axes = {"y": np.arange(40.0)[::-1], "x": np.arange(50.0)}
    xr.Dataset({"red": (("y", "x"), PIXELS[0])}, coords=axes).to_zarr(store, zarr_format=3, consolidated=False)
    path = store / "red/zarr.json"
    metadata = json.loads(path.read_text())
    metadata["codecs"].insert(0, {"name": "numcodecs.pickle"})
    path.write_text(json.dumps(metadata))
    with pytest.raises(SceneError, match="uses the codec 'pickle'"):
        _open(tmp_path, "a.zarr")


def test_a_zarr_that_links_elsewhere_is_refused(tmp_path):
    store = tmp_path / "a.zarr"
    _zarr(store)
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    (store / "red/0.0").unlink()
    (store / "red/0.0").symlink_to(secret)
    with pytest.raises(SceneError, match="holds a symbolic link"):
        _open(tmp_path, "a.zarr")


@pytest.mark.parametrize("how", ["link", "storage", "virtual"])
def test_an_hdf5_that_takes_values_from_other_files_is_refused(tmp_path, how):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["red"] = PIXELS[0]
    with h5py.File(tmp_path / "a.nc", "w") as file:
        if how == "link":
            file["red"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "red")
        elif how == "storage":
            file.create_dataset("red", (40, 50), "u2", external=[(str(tmp_path / "secret.h5"), 0, 4000)])
        else:
            layout = h5py.VirtualLayout((40, 50), "u2")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "red", (40, 50))
            file.create_virtual_dataset("red", layout)
    with pytest.raises(SceneError, match=r"another file|other files"):
        _open(tmp_path, "a.nc")


def test_workers_import_neither_torch_nor_what_no_file_needs(tmp_path, make_raster):
    import subprocess
    import sys

    make_raster(tmp_path / "a.tif", PIXELS[:1])
    code = (
        "import sys; from pathlib import Path; from voxtile_remote_sensing.scenes.open import find_scenes; "
        f"find_scenes(Path({str(tmp_path)!r})); "
        "print([m for m in ('torch', 'lightning', 'xarray', 'pystac', 'pandas', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


SERVICE = "<GDAL_WMS><Service name='TMS'><ServerUrl>{}/x.png</ServerUrl></Service></GDAL_WMS>"


@pytest.mark.parametrize("how", ["in the file", "beside it", "of a source", "by its name", "of an overview"])
def test_overviews_of_another_file_are_refused_and_not_opened(tmp_path, make_raster, server, how):
    url, asked = server
    raster = make_raster(tmp_path / "a.tif", PIXELS[:1])
    raster.with_suffix(".yaml").write_text(SIDECAR)
    other = tmp_path / "other.txt"
    other.write_text(SERVICE.format(url))
    name = "a.tif"
    if how == "beside it":
        item = f'<Metadata domain="OVERVIEWS"><MDI key="OVERVIEW_FILE">{other}</MDI></Metadata>'
        (tmp_path / "a.tif.aux.xml").write_text(f"<PAMDataset>{item}</PAMDataset>")
    elif how == "by its name":
        other.rename(tmp_path / "a.tif.ovr")
    else:
        where = make_raster(tmp_path / "o.tif", PIXELS[:1]) if how == "of an overview" else raster
        with rasterio.open(where, "r+") as file:
            file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(other))
        if how == "of an overview":
            where.rename(tmp_path / "a.tif.ovr")
        if how == "of a source":
            name = _vrt(tmp_path / "b.vrt", _source("a.tif")).name
    with pytest.raises(SceneError, match=r"overviews|neither TIFF"):
        _open(tmp_path, name)
    assert asked == []


def test_a_vrt_that_processes_by_other_files_is_refused(tmp_path, make_raster):
    make_raster(tmp_path / "a.tif", PIXELS[:1])
    step = '<Step><Algorithm>LUT</Algorithm><Argument name="x_dataset_filename">/secret.tif</Argument></Step>'
    (tmp_path / "b.vrt").write_text(
        '<VRTDataset subClass="VRTProcessedDataset"><Input><SourceFilename relativeToVRT="1">a.tif</SourceFilename>'
        f"</Input><ProcessingSteps>{step}</ProcessingSteps></VRTDataset>"
    )
    (tmp_path / "b.yaml").write_text(SIDECAR)
    with pytest.raises(SceneError, match="may name any other file"):
        _open(tmp_path, "b.vrt")


def test_groups_of_an_hdf5_that_are_linked_many_times_are_looked_at_once(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        groups = [file.create_group(f"g{n}") for n in range(30)]
        for outer, inner in itertools.pairwise(groups):
            outer["x"] = outer["y"] = inner
    with pytest.raises(SceneError, match="axes"):
        _open(tmp_path, "a.nc")


def test_a_zipped_zarr_is_held_to_the_same_codecs(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as file:
        file.writestr("time_/.zarray", json.dumps({"chunks": [1], "dtype": "<i4", "compressor": {"id": "pickle"}}))
    with pytest.raises(SceneError, match="uses the codec 'pickle'"):
        _open_zip(str(tmp_path / "a.zarr.zip"))
