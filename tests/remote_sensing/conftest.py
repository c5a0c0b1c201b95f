"""Miniature products in the official layouts, written with rasterio alone."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from voxtile.corpus.reader import Corpus
from voxtile_remote_sensing.scenes.open import find_scenes, open_scene
from voxtile_remote_sensing.scenes.protocol import SceneOptions
from voxtile_remote_sensing.tiles.convert import convert_geotiff

METRES = {
    **{name: 10 for name in ("B02", "B03", "B04", "B08")},
    **{name: 20 for name in ("B05", "B06", "B07", "B8A", "B11", "B12")},
    **{name: 60 for name in ("B01", "B09", "B10")},
}
BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


def write_raster(
    path: Path, array: np.ndarray, *, metres: float = 10, crs: str | None = "EPSG:32632", **profile
) -> Path:
    """Write [C, Y, X] or [Y, X] with its upper left corner at 600 000 E, 5 000 040 N."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = array[None] if array.ndim == 2 else array
    settings = {
        "driver": "JP2OpenJPEG" if path.suffix == ".jp2" else "GTiff",
        "count": array.shape[0],
        "height": array.shape[1],
        "width": array.shape[2],
        "dtype": array.dtype,
        "crs": crs,
        "transform": Affine(metres, 0, 600000, 0, -metres, 5000040),
    } | profile
    if path.suffix == ".jp2":
        settings |= {"QUALITY": "100", "REVERSIBLE": "YES"}
    with rasterio.open(path, "w", **settings) as dataset:
        dataset.write(array)
    return path


def write_safe(
    folder: Path,
    *,
    level: str = "L2A",
    baseline: str = "05.09",
    offset: int | None = -1000,
    quantification: int = 10000,
    size_m: int = 1200,
    suffix: str = "jp2",
    seed: int = 0,
    platform: str = "S2A",
    arrays: Mapping[str, np.ndarray] | None = None,
) -> Path:
    """Write a product of one granule; returns the SAFE folder.

    Layout: Sentinel-2 Products Specification Document 14.9, chapter 3. `arrays` replaces the random DN of bands.
    """
    stamp = "20220601T101031"
    name = f"{platform}_MSI{level}_{stamp}_N{baseline.replace('.', '')}_R022_T32TNS_20220601T134500"
    safe = folder / f"{name}.SAFE"
    granule = f"{level}_T32TNS_A036252_{stamp}"
    images = safe / "GRANULE" / granule / "IMG_DATA"
    rng = np.random.default_rng(seed)
    listed = []
    for band, metres in METRES.items():
        if level == "L2A" and band == "B10":
            continue
        shape = (size_m // metres, size_m // metres)
        dn = (arrays or {}).get(band)
        dn = rng.integers(1001, 9000, shape, dtype=np.uint16) if dn is None else dn
        where = f"R{metres}m/T32TNS_{stamp}_{band}_{metres}m" if level == "L2A" else f"T32TNS_{stamp}_{band}"
        write_raster(images / f"{where}.{suffix}", dn, metres=metres)
        listed.append(f"<IMAGE_FILE>GRANULE/{granule}/IMG_DATA/{where}</IMAGE_FILE>")
    if level == "L2A":
        scl = (arrays or {}).get("SCL")
        scl = rng.integers(0, 12, (size_m // 20, size_m // 20), dtype=np.uint8) if scl is None else scl
        write_raster(images / f"R20m/T32TNS_{stamp}_SCL_20m.{suffix}", scl, metres=20)
        clouds = np.full((size_m // 20, size_m // 20), 40, np.uint8)
        write_raster(safe / f"GRANULE/{granule}/QI_DATA/MSK_CLDPRB_20m.{suffix}", clouds, metres=20)
    tag, parent = ("BOA", "BOA_ADD_OFFSET_VALUES_LIST") if level == "L2A" else ("RADIO", "Radiometric_Offset_List")
    offsets = "".join(f'<{tag}_ADD_OFFSET band_id="{i}">{offset}</{tag}_ADD_OFFSET>' for i in range(13))
    scaling = (
        f"<QUANTIFICATION_VALUES_LIST><BOA_QUANTIFICATION_VALUE unit='none'>{quantification}</BOA_QUANTIFICATION_VALUE>"
        "<AOT_QUANTIFICATION_VALUE unit='none'>1000.0</AOT_QUANTIFICATION_VALUE></QUANTIFICATION_VALUES_LIST>"
        if level == "L2A"
        else f"<QUANTIFICATION_VALUE unit='none'>{quantification}</QUANTIFICATION_VALUE>"
    )
    (safe / f"MTD_MSI{level}.xml").write_text(
        f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level[1:]}.xsd">
<n1:General_Info><Product_Info><PRODUCT_START_TIME>2022-06-01T10:10:31.024Z</PRODUCT_START_TIME>
<PRODUCT_URI>{name}.SAFE</PRODUCT_URI><PROCESSING_LEVEL>Level-{level[1:]}</PROCESSING_LEVEL>
<PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
<Datatake><SPACECRAFT_NAME>Sentinel-{platform[1:]}</SPACECRAFT_NAME>
<DATATAKE_SENSING_START>2022-06-01T10:10:31.024Z</DATATAKE_SENSING_START></Datatake>
<Product_Organisation><Granule_List><Granule granuleIdentifier="{granule}" imageFormat="JPEG2000">
{"".join(listed)}</Granule></Granule_List></Product_Organisation></Product_Info>
<Product_Image_Characteristics><Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
<SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values><Special_Values>
<SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX></Special_Values>
{scaling}{"" if offset is None else f"<{parent}>{offsets}</{parent}>"}</Product_Image_Characteristics></n1:General_Info>
</n1:Level-{level[1:]}_User_Product>
"""
    )
    (safe / f"GRANULE/{granule}/MTD_TL.xml").write_text(
        '<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">'
        "<n1:Geometric_Info><Tile_Angles><Mean_Sun_Angle><ZENITH_ANGLE unit='deg'>25.5</ZENITH_ANGLE>"
        "<AZIMUTH_ANGLE unit='deg'>150.0</AZIMUTH_ANGLE></Mean_Sun_Angle></Tile_Angles></n1:Geometric_Info>"
        "<n1:Quality_Indicators_Info><Image_Content_QI><CLOUDY_PIXEL_PERCENTAGE>12.5</CLOUDY_PIXEL_PERCENTAGE>"
        "</Image_Content_QI></n1:Quality_Indicators_Info></n1:Level-2A_Tile_ID>"
    )
    return safe


def convert_and_check(source: Path, corpus: Path, **options) -> list[dict]:
    """Convert a folder and compare every tile with the scene's own pixels at its place; returns the samples.

    The pixels under a tile are looked up by its transform; what lies beyond the scene's edge is not compared.
    """
    convert_geotiff(source, corpus, **({"size": "32px", "min_valid": 0.0, "workers": 1, "engine": "inline"} | options))
    scenes = {
        ref.id: ref for ref in find_scenes(source, SceneOptions(calibration=options.get("calibration", "sigma0")))
    }
    opened = Corpus(corpus)
    rows = opened.table("samples").to_pylist()
    for row in rows:
        values = opened.source(row).array()
        with open_scene(scenes[json.loads(row["attributes"])["scene"]]) as scene:
            bands = scene.select([channel["name"] for channel in row["channels"]])
            grid = bands[0].grid
            x, y = ~grid.transform @ (row["transform"][2], row["transform"][5])
            left, top = round(x), round(y)
            assert (x, y) == pytest.approx((left, top), abs=1e-6)
            inside = Window(max(left, 0), max(top, 0), 0, 0)
            right, bottom = min(left + values.shape[2], grid.shape[1]), min(top + values.shape[1], grid.shape[0])
            inside = Window(inside.col_off, inside.row_off, right - inside.col_off, bottom - inside.row_off)
            part = values[:, inside.row_off - top : bottom - top, inside.col_off - left : right - left]
            assert np.array_equal(part, scene.read(bands, inside), equal_nan=values.dtype.kind == "f")
            assert [band.channel() for band in bands] == row["channels"]
    return rows


@pytest.fixture(scope="session")
def convert() -> Callable[..., list[dict]]:
    """Converts a folder with `voxtile convert geotiff` and checks its tiles against the scenes."""
    return convert_and_check


@pytest.fixture(scope="session")
def make_safe() -> Callable[..., Path]:
    """A writer of miniature Sentinel-2 products."""
    return write_safe


@pytest.fixture(scope="session")
def make_raster() -> Callable[..., Path]:
    """A writer of one raster."""
    return write_raster
