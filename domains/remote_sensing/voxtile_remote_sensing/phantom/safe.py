"""Writes a Sentinel-2 L2A product in the SAFE layout: JPEG 2000 bands, SCL, and the metadata that readers need.

Layout and element names: Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD) issue 14.9, sections 4.9 to
4.11. The footprint is one small granule and not a whole 110 km tile.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt
import rasterio

from voxtile_remote_sensing.phantom.places import Place
from voxtile_remote_sensing.phantom.spectra import BANDS, RESOLUTION_M
from voxtile_remote_sensing.phantom.spectral_scene import SpectralScene

QUANTIFICATION = 10_000
_IDS = {"B01": 0, "B02": 1, "B03": 2, "B04": 3, "B05": 4, "B06": 5, "B07": 6, "B08": 7, "B8A": 8, "B09": 9, "B10": 10,
        "B11": 11, "B12": 12}  # fmt: skip
_NEW = "05.09"
_OLD = "02.14"


def baseline_of(number: int) -> tuple[str, int]:
    """Processing baseline and offset: half of the products are from before 04.00, which added an offset of -1000."""
    return (_NEW, -1000) if number % 2 else (_OLD, 0)


def write_safe(folder: Path, scene: SpectralScene) -> str:
    """Write a product below a folder.

    Returns:
        The product's name, `S2B_MSIL2A_….SAFE`.
    """
    baseline, offset = baseline_of(scene.place.number)
    stamp = f"{scene.day}".replace("-", "") + f"T10{scene.place.number % 60:02d}31"
    tile = scene.place.mgrs
    name = f"S2B_MSIL2A_{stamp}_N{baseline.replace('.', '')}_R{scene.place.number % 143 + 1:03d}_T{tile}_{stamp}.SAFE"
    granule = f"L2A_T{tile}_A{scene.place.number:06d}_{stamp}"
    images = folder / name / "GRANULE" / granule / "IMG_DATA"
    listed = []
    for band, resolution in zip(BANDS, RESOLUTION_M, strict=True):
        values = np.clip(np.rint(scene.bands[band] * QUANTIFICATION) - offset, 1, 65_535).astype(np.uint16)
        listed.append(_write(images / f"R{resolution}m", f"T{tile}_{stamp}_{band}_{resolution}m", values, scene.place))
    listed.append(_write(images / "R20m", f"T{tile}_{stamp}_SCL_20m", scene.scl, scene.place))
    files = [f"GRANULE/{granule}/IMG_DATA/{entry}" for entry in listed]
    values = {"uri": name, "baseline": baseline, "time": _time(stamp), "offset": offset, "files": files}
    (folder / name / "MTD_MSIL2A.xml").write_text(_product_xml(**values), encoding="utf-8")
    (folder / name / "GRANULE" / granule / "MTD_TL.xml").write_text(
        _tile_xml(granule, baseline, _time(stamp), scene), encoding="utf-8"
    )
    return name


def _write(folder: Path, name: str, values: npt.NDArray[Any], place: Place) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    profile: dict[str, Any] = {
        "driver": "JP2OpenJPEG",
        "count": 1,
        "dtype": values.dtype.name,
        "height": values.shape[0],
        "width": values.shape[1],
        "crs": place.crs,
        "transform": place.transform(place.side / values.shape[1]),
        "QUALITY": "100",
        "REVERSIBLE": "YES",
    }
    with rasterio.open(folder / f"{name}.jp2", "w", **profile) as file:
        file.write(values, 1)
    return f"{folder.name}/{name}"


def _time(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:8]}T{stamp[9:11]}:{stamp[11:13]}:{stamp[13:15]}.024Z"


def _product_xml(*, uri: str, baseline: str, time: str, offset: int, files: list[str]) -> str:
    images = "\n".join(f"          <IMAGE_FILE>{escape(file)}</IMAGE_FILE>" for file in files)
    offsets = ""
    if offset:
        lines = "\n".join(
            f'        <BOA_ADD_OFFSET band_id="{number}">{offset}</BOA_ADD_OFFSET>' for number in _IDS.values()
        )
        offsets = f"      <BOA_ADD_OFFSET_VALUES_LIST>\n{lines}\n      </BOA_ADD_OFFSET_VALUES_LIST>\n"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-2A.xsd">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{time}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{time}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{escape(uri)}</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-2A</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI2A</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{time}</GENERATION_TIME>
      <SYNTHETIC>voxtile phantom</SYNTHETIC>
      <Datatake>
        <SPACECRAFT_NAME>Sentinel-2B</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{time}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>{uri[34:37]}</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
        <Granule imageFormat="JPEG2000">
{images}
        </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values><SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT><SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX></Special_Values>
      <QUANTIFICATION_VALUES_LIST>
        <BOA_QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</BOA_QUANTIFICATION_VALUE>
      </QUANTIFICATION_VALUES_LIST>
{offsets}    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-2A_User_Product>
"""


def _tile_xml(granule: str, baseline: str, time: str, scene: SpectralScene) -> str:
    place = scene.place
    counts = {r: round(place.side / r) for r in (10, 20, 60)}
    sizes = "\n".join(
        f'      <Size resolution="{r}"><NROWS>{n}</NROWS><NCOLS>{n}</NCOLS></Size>' for r, n in counts.items()
    )
    positions = "\n".join(
        f'      <Geoposition resolution="{r}"><ULX>{place.left:.0f}</ULX><ULY>{place.top:.0f}</ULY>'
        f"<XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>"
        for r in counts
    )
    zone = f"{place.epsg % 100}{'N' if place.epsg // 100 == 326 else 'S'}"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-2A_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-2A_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">S2B_OPER_MSI_{granule}_N{baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{time}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{place.epsg}</HORIZONTAL_CS_CODE>
{sizes}
{positions}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">35.2</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">146.3</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{float((scene.scl == 9).mean() * 100):.4f}</CLOUDY_PIXEL_PERCENTAGE>
      <NODATA_PIXEL_PERCENTAGE>0.0</NODATA_PIXEL_PERCENTAGE>
    </Image_Content_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-2A_Tile_ID>
"""
