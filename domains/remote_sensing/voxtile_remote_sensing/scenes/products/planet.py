"""PlanetScope scenes: one multi-band file, its metadata XML with reflectance coefficients, and UDM2.

Top-of-atmosphere reflectance = DN · reflectanceCoefficient; surface reflectance = DN / 10 000 (Planet, PlanetScope
Product Specifications).
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from voxtile_remote_sensing.bands.registry import Band, Sensor, load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.metadata_xml import all_of, number_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

NAME = re.compile(
    r"^(?P<base>(?P<day>\d{8})_(?P<time>\d{6})_\w+?_3B)_AnalyticMS(?P<bands>_8b)?(?P<sr>_SR)?(?P<rest>(?:_8b)?(?:_harmonized)?"
    r"(?:_clip)?)\.tiff?$"
)
SENSORS = {4: "planetscope-4", 8: "planetscope-8"}


class PlanetReader:
    """One analytic file, one scene."""

    name = "planetscope"

    def find(self, listing: Listing) -> Found:
        """`…_3B_AnalyticMS….tif` with the files of the same scene beside it."""
        refs, taken = [], set()
        for path in listing.sizes:
            pure = PurePosixPath(path)
            match = NAME.match(pure.name)
            if match is None:
                continue
            prefix = (pure.parent / match["base"]).as_posix()
            beside = [p for p in listing.starting_with(prefix) if not NAME.match(PurePosixPath(p).name)]
            used = [p for p in beside if re.search(r"(_metadata(_clip)?\.xml|_udm2(_clip)?\.tif)$", p)]
            refs.append(listing.ref(self.name, path, [path, *used]))
            taken |= {path, *beside}
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one scene.

        Raises:
            SceneError: an unknown number of bands, or radiance without a coefficient for a band.
        """
        match = NAME.match(PurePosixPath(ref.path).name)
        header = read_header(str(ref.location), ref.root, ref.options)
        if match is None or len(header.dtypes) not in SENSORS:
            raise SceneError(
                f"{ref.id}: {len(header.dtypes)} bands, where PlanetScope has 4 or 8; name them in a sidecar"
            )
        sensor = load_sensor(SENSORS[len(header.dtypes)])
        product = "AnalyticMS_SR" if match["sr"] else "AnalyticMS"
        path = next((f for f in ref.files if f.endswith(".xml")), None)
        root = None if path is None else parse_xml(ref.root / path, where=path)
        bands = sensor.bands_of(product)
        if product == "AnalyticMS":
            bands = _top_of_atmosphere(ref, sensor, root, path)
        udm2 = next((f for f in ref.files if "_udm2" in f), None)
        masks = []
        if udm2 is not None:
            masks.append(read_header(str(ref.root / udm2), ref.root, ref.options).mask("UDM2", "UDM2"))
        day, time = match["day"], match["time"]
        moment = None if root is None else text_of(root, "acquisitionDateTime") or text_of(root, "acquisitionDate")
        return Scene(
            ref=ref,
            sensor=sensor.name,
            modality=sensor.modality,
            product=product,
            platform=None if root is None else text_of(root, "serialIdentifier"),
            datetime=moment or f"{day[:4]}-{day[4:6]}-{day[6:]}T{time[:2]}:{time[2:4]}:{time[4:]}Z",
            bands=tuple(header.band(band, index) for index, band in enumerate(bands, start=1)),
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(masks),
        )


def _top_of_atmosphere(ref: SceneRef, sensor: Sensor, root: Element | None, path: str | None) -> tuple[Band, ...]:
    if root is None or path is None:
        raise SceneError(
            f"{ref.id}: its _metadata.xml is not there, so radiance cannot become reflectance; copy it beside the scene"
        )
    coefficients: dict[int, float] = {}
    for entry in all_of(root, "bandSpecificMetadata"):
        number, value = (number_of(entry, tag, where=path) for tag in ("bandNumber", "reflectanceCoefficient"))
        if number is not None and value is not None:
            coefficients[int(number)] = value
    bands = sensor.bands_of("AnalyticMS")
    lost = [n for n in range(1, len(bands) + 1) if n not in coefficients]
    if lost:
        raise SceneError(f"{path}: no reflectanceCoefficient for band {lost[0]}; copy the scene again from its source")
    return tuple(replace(band, scale=coefficients[n]) for n, band in enumerate(bands, start=1))
