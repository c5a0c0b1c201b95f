"""EnMAP Level 1C and 2A products: one spectral image, its metadata XML, and quality layers.

Physical = DN · GainOfBand + OffsetOfBand (DLR, EnMAP Product Specification EN-PCV-ICD-2009, bandCharacterisation).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from voxtile_remote_sensing.bands.registry import Band, load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.metadata_xml import all_of, number_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.protocol import Scene, SceneError, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

SENSOR = "enmap"
NAME = re.compile(r"^(?P<base>ENMAP01-____L(?P<level>1C|2A)\S*)-METADATA\.XML$", re.IGNORECASE)
IMAGE = re.compile(r"-SPECTRAL_IMAGE(_COG)?\.(TIF|TIFF|VRT)$", re.IGNORECASE)
MASKS = {"QL_QUALITY_CLOUD": "cloud", "QL_QUALITY_CLOUDSHADOW": "cloud_shadow", "QL_QUALITY_SNOW": "snow"}


class EnmapReader:
    """One metadata file, one scene."""

    name = "enmap"

    def find(self, listing: Listing) -> Found:
        """`ENMAP01…-METADATA.XML` with the images of the same name."""
        refs, taken = [], set()
        for path in listing.sizes:
            match = NAME.match(PurePosixPath(path).name)
            if match is None:
                continue
            prefix = (PurePosixPath(path).parent / match["base"]).as_posix()
            files = listing.starting_with(prefix)
            refs.append(listing.ref(self.name, path, [f for f in files if _is_used(f) or f == path]))
            taken |= set(files)
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one scene.

        Raises:
            SceneError: no image, or the metadata describes another number of bands.
        """
        match = NAME.match(PurePosixPath(ref.path).name)
        image = next((f for f in ref.files if IMAGE.search(f)), None)
        if match is None or image is None:
            raise SceneError(f"{ref.path}: its SPECTRAL_IMAGE is not beside it; copy the product again")
        product = "L" + match["level"].upper()
        root = parse_xml(ref.location, where=ref.path)
        default = load_sensor(SENSOR).product(product).defaults
        header = read_header(str(ref.root / image), ref.root, ref.options)
        entries = [e for e in all_of(root, "bandID") if text_of(e, "wavelengthCenterOfBand")]
        if len(entries) != len(header.dtypes):
            raise SceneError(
                f"{ref.path}: the metadata describes {len(entries)} bands, but the image has {len(header.dtypes)}; the "
                f"two belong to different products"
            )
        bands = []
        for index, entry in enumerate(entries, start=1):
            centre, width, gain, offset = (
                number_of(entry, tag, where=ref.path)
                for tag in ("wavelengthCenterOfBand", "FWHMOfBand", "GainOfBand", "OffsetOfBand")
            )
            scale = float(default["scale"]) if gain is None else gain
            nodata = header.nodata[index - 1]
            nodata = float(default["nodata"]) if nodata is None else nodata
            name = f"B{int(entry.get('number', index)):03d}"
            bands.append(
                header.band(
                    Band(
                        name, None, centre, width, 30.0, scale, offset or 0.0, nodata, default["unit"], "EnMAP metadata"
                    ),
                    index,
                )
            )
        masks = []
        for path in ref.files:
            kind = MASKS.get(_layer(path))
            if kind is not None:
                masks.append(read_header(str(ref.root / path), ref.root, ref.options).mask(_layer(path), kind))
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality="HSI",
            product=product,
            platform="EnMAP",
            datetime=text_of(root, "startTime"),
            bands=tuple(bands),
            pixels=RasterPixels(ref.root, ref.options),
            masks=tuple(masks),
            licence=load_sensor(SENSOR).licence,
        )


def _layer(path: str) -> str:
    return re.sub(r"(_COG)?$", "", PurePosixPath(path).stem.upper().rpartition("-")[2])


def _is_used(path: str) -> bool:
    return bool(IMAGE.search(path)) or (_layer(path) in MASKS and path.upper().endswith((".TIF", ".TIFF")))
