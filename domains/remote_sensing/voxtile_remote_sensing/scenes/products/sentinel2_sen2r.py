"""Sentinel-2 scenes cut by the R package sen2r: one multi-band file a product, SCL beside it.

Names are `S2A2A_20170703_022_Place_BOA_10.tif` (Ranghetti et al. 2020, Computers & Geosciences 139:104473): mission and
level, sensing date, relative orbit, place, product, resolution. BOA holds the eleven bands 1-9, 11, 12 and TOA the
twelve bands 1-12 in numeric order; the eighth is band 8 below 20 m and band 8A from 20 m on (its vignette, Output file
structure). Values are reflectance · 10 000 as in the SAFE; the offset of processing baseline 04.00 is not on record in
the files, so scenes from 25 January 2022 on are refused.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath

from voxtile_remote_sensing.bands.registry import load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

SENSOR = "sentinel-2-msi"
NAME = re.compile(
    r"^(?P<base>S2(?P<unit>[A-C])(?P<level>1C|2A)_(?P<day>\d{8})_\d{3}_.*)_(?P<kind>[A-Z0-9]+)_(?P<metres>\d\d)\.(tif|vrt)$"
)
OFFSET_SINCE = "20220125"  # processing baseline 04.00
NUMERIC = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B09", "B10", "B11", "B12")


class Sen2rReader:
    """One BOA or TOA file, one scene; indices and pictures made from it are not scenes."""

    name = "sen2r"

    def find(self, listing: Listing) -> Found:
        """`…_BOA_10.tif` and `…_TOA_10.tif` with the SCL of the same name."""
        groups: dict[str, dict[str, str]] = {}
        for path in listing.sizes:
            match = NAME.match(PurePosixPath(path).name)
            if match is not None:
                folder = PurePosixPath(path).parent
                groups.setdefault((folder / match["base"]).as_posix(), {}).setdefault(match["kind"], path)
        refs, taken = [], set()
        for kinds in groups.values():
            main = kinds.get("BOA") or kinds.get("TOA")
            if main is None:
                continue
            refs.append(listing.ref(self.name, main, [main, *([kinds["SCL"]] if "SCL" in kinds else [])]))
        bases = {NAME.match(PurePosixPath(ref.path).name)["base"] for ref in refs}  # type: ignore[index]
        for path in listing.sizes:
            match = NAME.match(PurePosixPath(path).name)
            if match is not None and match["base"] in bases:
                taken.add(path)
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one scene.

        Raises:
            SceneError: the number of bands is not the product's.
        """
        match = NAME.match(PurePosixPath(ref.path).name)
        if match is None:
            raise SceneError(f"{ref.id}: not a name of sen2r")
        level = "L" + match["level"]
        names = [n for n in NUMERIC if level == "L1C" or n != "B10"]
        names = ["B8A" if n == "B08" and int(match["metres"]) >= 20 else n for n in names]
        if match["day"] >= OFFSET_SINCE:
            raise SceneError(
                f"{ref.id}: files of sen2r do not say whether the offset of processing baseline 04.00 was taken off; "
                f"convert the SAFE product, or rename the file and state scale and offset in a sidecar YAML"
            )
        header = read_header(str(ref.location), ref.root, ref.options)
        if len(header.dtypes) != len(names):
            raise SceneError(
                f"{ref.id}: {len(header.dtypes)} bands, where {match['kind']} of sen2r has {len(names)}; name them in "
                f"a sidecar YAML and rename the file"
            )
        table = load_sensor(SENSOR)
        bands = [table.band(name, level, platform=f"S2{match['unit']}") for name in names]
        masks = []
        for path in ref.files:
            if path != ref.path:
                masks.append(read_header(str(ref.root / path), ref.root, ref.options).mask("SCL", "SCL", nodata=0.0))
        day = match["day"]
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality="MSI",
            product=level,
            platform=f"S2{match['unit']}",
            datetime=f"{day[:4]}-{day[4:6]}-{day[6:]}",
            bands=tuple(header.band(replace(band, nodata=header.nodata[n]), n + 1) for n, band in enumerate(bands)),
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(masks),
            licence=table.licence,
        )
