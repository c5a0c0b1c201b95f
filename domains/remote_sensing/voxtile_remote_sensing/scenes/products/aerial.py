"""Aerial pictures whose names say what their bands are: NAIP quarter quadrangles.

`m_3807708_sw_18_060_20210618.tif`: quadrangle, quarter, UTM zone, resolution (centimetres, or metres below 10), date
flown; four bands red, green, blue, near infrared, or the first three (USDA, NAIP information sheet).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

NAME = re.compile(r"^m_\d{7}_(?:ne|nw|se|sw)_\d{1,2}_\w{1,3}_(?P<day>\d{8})(?:_\d{8})?\.tiff?$", re.IGNORECASE)
ORDER = ("red", "green", "blue", "nir")


class NaipReader:
    """One file, one scene."""

    name = "naip"

    def find(self, listing: Listing) -> Found:
        """Files by their names; a sidecar of the file's own counts more."""
        paths = [p for p in listing.sizes if NAME.match(PurePosixPath(p).name)]
        paths = [p for p in paths if PurePosixPath(p).with_suffix(".yaml").as_posix() not in listing.sizes]
        refs = tuple(listing.ref(self.name, path, [path]) for path in paths)
        return Found(refs, frozenset(paths))

    def open(self, ref: SceneRef) -> Scene:
        """Open one picture.

        Raises:
            SceneError: neither three nor four bands, or damaged.
        """
        match = NAME.match(PurePosixPath(ref.path).name)
        header = read_header(str(ref.location), ref.root, ref.options)
        if len(header.dtypes) not in (3, 4) or match is None:
            raise SceneError(
                f"{ref.id}: {len(header.dtypes)} bands, where NAIP has red, green, blue and near infrared; name them "
                f"in a sidecar YAML"
            )
        sensor = load_sensor("naip")
        day = match["day"]
        resolution = max(header.on_ground(ref.id).pixel_size)
        bands = [
            header.band(replace(sensor.band(name), resolution_m=resolution, nodata=header.nodata[n]), n + 1)
            for n, name in enumerate(ORDER[: len(header.dtypes)])
        ]
        return Scene(
            ref=ref,
            sensor=sensor.name,
            modality=sensor.modality,
            product="DOQQ",
            platform=None,
            datetime=f"{day[:4]}-{day[4:6]}-{day[6:]}",
            bands=tuple(bands),
            pixels=RasterPixels(ref.root, ref.options),
            masks=header.own_masks(range(1, len(bands) + 1)),
            licence=sensor.licence,
        )
