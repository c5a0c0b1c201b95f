"""Terrain-corrected Sentinel-1 backscatter: one file a polarisation, scale and quantity told by the name.

ASF HyP3: `S1A_IW_20200101T010203_DVP_RTC30_G_gpuned_1A2B_VV.tif`; of the six letters the first is the quantity (g
gamma0, s sigma0) and the second the scale (p power, a amplitude, d decibel), see the HyP3 RTC product guide. NASA
OPERA: `OPERA_L2_RTC-S1_…_VV.tif`, gamma0 in power. Microsoft Planetary Computer: `…_vv.rtc.tiff`, gamma0 in power.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneBand, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

SENSOR = "sentinel-1-sar"
_ENDING = r"(?P<polarisation>VV|VH|HH|HV)"
NAMES = (
    re.compile(
        rf"^(?P<base>(?P<unit>S1[A-D])_\w\w_(?P<stamp>\d{{8}}T\d{{6}})_\w+_RTC\d\d_\w_(?P<quantity>[gs])(?P<scale>[pad])"
        rf"\w+_\w+)_{_ENDING}\.tiff?$"
    ),
    re.compile(
        rf"^(?P<base>OPERA_L2_RTC-S1_\S+?_(?P<stamp>\d{{8}}T\d{{6}})Z_\S*?(?P<unit>S1[A-D])\S*)_{_ENDING}\.tiff?$"
    ),
    re.compile(
        rf"^(?P<base>(?P<unit>s1[a-d])-\S+?(?P<stamp>\d{{8}}t\d{{6}})\S*?)[-_]{_ENDING}\S*\.rtc\.tiff?$", re.IGNORECASE
    ),
)
SCALES = {"p": "power", "a": "amplitude", "d": "dB"}


class RtcReader:
    """The polarisations of one acquisition, one scene."""

    name = "sentinel1-rtc"

    def find(self, listing: Listing) -> Found:
        """Files by their names."""
        groups: dict[str, list[str]] = {}
        for path in listing.sizes:
            match = _match(path)
            if match is not None:
                groups.setdefault((PurePosixPath(path).parent / match["base"]).as_posix(), []).append(path)
        refs = tuple(listing.ref(self.name, files[0], files) for files in groups.values())
        return Found(refs, frozenset(f for files in groups.values() for f in files))

    def open(self, ref: SceneRef) -> Scene:
        """Open one acquisition.

        Raises:
            SceneError: a raster is damaged.
        """
        match = _match(ref.path)
        names = {} if match is None else match.groupdict()
        scale = SCALES[names.get("scale") or "p"]
        quantity = "sigma0" if names.get("quantity") == "s" else "gamma0"
        unit = {"power": quantity, "amplitude": f"{quantity} amplitude", "dB": "dB"}[scale]
        stamp = names.get("stamp", "").upper()
        table = load_sensor(SENSOR)
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality="SAR",
            product="RTC",
            platform=names.get("unit", "").upper() or None,
            datetime=f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:11]}:{stamp[11:13]}:{stamp[13:15]}Z" if stamp else None,
            bands=tuple(_bands(ref, unit)),
            pixels=RasterPixels(ref.root, ref.options),
            attributes={"calibration": quantity, "scale": scale},
            licence=table.licence,
        )


def _bands(ref: SceneRef, unit: str) -> Iterator[SceneBand]:
    files = {m["polarisation"].upper(): f for f in ref.files if (m := _match(f)) is not None}
    for band in load_sensor(SENSOR).bands_of("dB" if unit == "dB" else "RTC"):
        if band.name in files:
            header = read_header(str(ref.root / files[band.name]), ref.root, ref.options)
            yield header.band(replace(band, unit=unit, nodata=header.nodata[0]))


def _match(path: str) -> re.Match[str] | None:
    name = PurePosixPath(path).name
    return next((m for m in (pattern.match(name) for pattern in NAMES) if m is not None), None)
