"""Sentinel-2 SAFE products: Level-1C and Level-2A of all processing baselines, JPEG 2000 or COG.

Layout and formulas: ESA, Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD). Reflectance is
(DN + ADD_OFFSET) / QUANTIFICATION_VALUE, where the offset is in the metadata since processing baseline 04.00 and was 0
before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element

from voxtile.corpus.schema import SYNTHETIC
from voxtile_remote_sensing.bands.registry import Band, load_sensor
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.metadata_xml import all_of, number_of, parse_xml, text_of
from voxtile_remote_sensing.scenes.protocol import MissingBand, Scene, SceneBand, SceneError, SceneMask, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterPixels, read_header

SENSOR = "sentinel-2-msi"
METADATA = re.compile(r"^(MTD_MSIL(?P<new>1C|2A)|S2[A-C]_(OPER|USER)_MTD_SAFL(?P<old>1C|2A).*)\.xml$")
IMAGE = re.compile(r"(?:^|_)(?P<band>B\d\d|B8A|SCL)(?:_(?P<metres>\d\d)m)?\.(?:jp2|tif|tiff)$", re.IGNORECASE)
QUALITY = re.compile(r"^(?:MSK_)?(?P<kind>CLDPRB|SNWPRB|CLD|SNW)(?:_.*)?_(?P<metres>\d\d)m\.(?:jp2|tif|tiff)$")
QUALITY_KINDS = {
    "CLDPRB": "cloud_probability",
    "CLD": "cloud_probability",
    "SNWPRB": "snow_probability",
    "SNW": "snow_probability",
}
# Index of a band in BOA_ADD_OFFSET and RADIO_ADD_OFFSET (PSD, Spectral_Information: bandId 0 … 12).
BAND_IDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")
OFFSET_SINCE = 4.0  # processing baseline 04.00, deployed on 25 January 2022


class SafeReader:
    """One granule of a SAFE folder, one scene."""

    name = "sentinel2-safe"

    def find(self, listing: Listing) -> Found:
        """Folders with a product's metadata file and a GRANULE folder."""
        refs: list[SceneRef] = []
        taken: set[str] = set()
        for path in listing.sizes:
            match = METADATA.match(PurePosixPath(path).name)
            if match is None:
                continue
            folder = PurePosixPath(path).parent.as_posix()
            product = listing.under(folder)
            prefix = "" if folder == "." else folder + "/"
            inner = [p.removeprefix(prefix) for p in product]
            granules = sorted({p.split("/")[1] for p in inner if p.startswith("GRANULE/") and p.count("/") > 1})
            taken |= set(product)
            for granule in granules:
                files = [p for p in product if p.removeprefix(prefix).startswith(f"GRANULE/{granule}/") or p == path]
                refs.append(listing.ref(self.name, folder, files, part=granule if len(granules) > 1 else ""))
        return Found(tuple(refs), frozenset(taken))

    def open(self, ref: SceneRef) -> Scene:
        """Open one granule.

        Raises:
            SceneError: metadata missing or damaged, an image damaged, or no band at all.
        """
        product = read_product(ref)
        images = _images(ref)
        bands, missing = _bands(ref, product, images)
        if not bands:
            raise SceneError(f"{ref.id}: no band image is there; copy the product again from its source")
        tile = _tile_metadata(ref)
        return Scene(
            ref=ref,
            sensor=SENSOR,
            modality="MSI",
            product=product.level,
            platform=product.platform,
            datetime=product.datetime,
            bands=bands,
            pixels=RasterPixels(ref.root, ref.options),
            masks=_masks(ref, images),
            missing=missing,
            attributes={
                "processing_baseline": product.baseline,
                "product": product.name,
                SYNTHETIC: product.synthetic,
                **tile,
            },
            licence=load_sensor(SENSOR).licence,
        )


@dataclass(frozen=True)
class SafeProduct:
    """What a product's metadata says.

    Attributes:
        level: L1C or L2A.
        name: product URI.
        platform: S2A, S2B or S2C.
        datetime: sensing start, ISO 8601.
        baseline: processing baseline, e.g. `05.09`.
        quantification: DN that mean a reflectance of 1.
        offsets: band → ADD_OFFSET in DN.
        nodata: DN that means no data.
        listed: names of image files without extension, as the metadata lists them.
        synthetic: what made it, where it is no product of the satellite.
    """

    level: str
    name: str
    platform: str
    datetime: str | None
    baseline: str
    quantification: float
    offsets: dict[str, float]
    nodata: float
    listed: tuple[str, ...]
    synthetic: str | None = None

    def band(self, name: str) -> Band:
        """A band with this product's scale and offset."""
        band = load_sensor(SENSOR).band(name, self.level, platform=self.platform)
        return replace(
            band,
            scale=1 / self.quantification,
            offset=self.offsets.get(name, 0.0) / self.quantification,
            nodata=self.nodata,
        )


def read_product(ref: SceneRef) -> SafeProduct:
    """Read the product's metadata file.

    Raises:
        SceneError: missing, damaged, without quantification value, or of baseline 04.00 and later without offsets.
    """
    path = next(f for f in ref.files if METADATA.match(PurePosixPath(f).name))
    match = METADATA.match(PurePosixPath(path).name)
    level = "L" + ((match and (match["new"] or match["old"])) or "2A")
    root = parse_xml(ref.root / path, where=path)
    prefix = "BOA" if level == "L2A" else "RADIO"
    quantification = None
    for tag in (
        ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE") if level == "L2A" else ("QUANTIFICATION_VALUE",)
    ):
        quantification = quantification or number_of(root, tag, where=path)
    if not quantification or quantification <= 0:
        raise SceneError(f"{path}: no quantification value, so numbers have no meaning; copy the product again")
    baseline = text_of(root, "PROCESSING_BASELINE") or ""
    offsets = _offsets(root, f"{prefix}_ADD_OFFSET", path)
    if _number(baseline) >= OFFSET_SINCE and not offsets:
        raise SceneError(
            f"{path}: processing baseline {baseline} has an offset ({prefix}_ADD_OFFSET) since 04.00, but the metadata "
            f"lacks it; copy the product again from its source"
        )
    special = {text_of(e, "SPECIAL_VALUE_TEXT"): number_of(e, "SPECIAL_VALUE_INDEX", where=path)
               for e in all_of(root, "Special_Values")}  # fmt: skip
    listed = [e.text.strip() for tag in ("IMAGE_FILE", "IMAGE_ID", "IMAGE_ID_2A") for e in all_of(root, tag) if e.text]
    spacecraft = text_of(root, "SPACECRAFT_NAME") or ""
    return SafeProduct(
        level=level,
        name=(text_of(root, "PRODUCT_URI") or PurePosixPath(ref.path).name).removesuffix(".SAFE"),
        platform=spacecraft.replace("Sentinel-", "S") if spacecraft else PurePosixPath(path).parent.name[:3],
        datetime=text_of(root, "DATATAKE_SENSING_START") or text_of(root, "PRODUCT_START_TIME"),
        baseline=baseline,
        quantification=quantification,
        offsets=offsets,
        nodata=special.get("NODATA") or 0.0,
        listed=tuple(PurePosixPath(text).name for text in listed),
        synthetic=text_of(root, "SYNTHETIC"),
    )


def _offsets(root: Element, tag: str, where: str) -> dict[str, float]:
    offsets: dict[str, float] = {}
    for element in all_of(root, tag):
        try:
            offsets[BAND_IDS[int(element.get("band_id", ""))]] = float(element.text or "")
        except (ValueError, IndexError) as error:
            raise SceneError(f"{where}: a damaged <{tag}>; copy the product again from its source") from error
    if offsets and set(offsets) != set(BAND_IDS) and len(offsets) < 12:
        raise SceneError(f"{where}: <{tag}> is stated for {len(offsets)} bands only; copy the product again")
    return offsets


def _images(ref: SceneRef) -> dict[str, dict[int, str]]:
    """Band or SCL → resolution in metres (0 where the name does not say) → file relative to the root."""
    images: dict[str, dict[int, str]] = {}
    for path in ref.files:
        match = IMAGE.search(PurePosixPath(path).name)
        if match is not None and "/IMG_DATA/" in path:
            images.setdefault(match["band"].upper(), {})[int(match["metres"] or 0)] = path
    return images


def _bands(
    ref: SceneRef, product: SafeProduct, images: dict[str, dict[int, str]]
) -> tuple[tuple[SceneBand, ...], tuple[MissingBand, ...]]:
    bands, missing = [], []
    for name in _expected(product):
        band = product.band(name)
        if name not in images:
            reason = f"band {name} belongs to the product, but its image is not there; copy it again, or ask for the "
            missing.append(MissingBand(band, reason + "other bands by name"))
            continue
        native = int(band.resolution_m or 0)
        path = images[name].get(native) or images[name][min(images[name])]
        header = read_header(str(ref.root / path), ref.root, ref.options)
        bands.append(header.band(band))
    return tuple(bands), tuple(missing)


def _expected(product: SafeProduct) -> Iterable[str]:
    """Bands that the metadata lists; the level's own where it lists none."""
    pattern = re.compile(r"_(B\d\d|B8A)(?:_\d\dm)?$")
    listed = {m[1] for m in (pattern.search(name) for name in product.listed) if m}
    names = load_sensor(SENSOR).product(product.level).bands
    return [name for name in names if name in listed] if listed else names


def _masks(ref: SceneRef, images: dict[str, dict[int, str]]) -> tuple[SceneMask, ...]:
    masks = []
    if "SCL" in images:
        path = images["SCL"][min(images["SCL"])]
        masks.append(read_header(str(ref.root / path), ref.root, ref.options).mask("SCL", "SCL", nodata=0.0))
    best: dict[str, tuple[int, str]] = {}
    for path in ref.files:
        match = QUALITY.match(PurePosixPath(path).name)
        if match is not None and "/QI_DATA/" in path:
            kind, metres = QUALITY_KINDS[match["kind"]], int(match["metres"])
            best[kind] = min(best.get(kind, (metres, path)), (metres, path))
    for kind, (_, path) in sorted(best.items()):
        header = read_header(str(ref.root / path), ref.root, ref.options)
        masks.append(header.mask(Path(path).stem, kind))
    return tuple(masks)


def _tile_metadata(ref: SceneRef) -> dict[str, Any]:
    """Tile and mean sun angles of the granule's own metadata; optional."""
    found: dict[str, Any] = {}
    granule = [f for f in ref.files if "/GRANULE/" in f"/{f}" and f.endswith(".xml") and f.count("/GRANULE/") < 2]
    path = next((f for f in granule if re.search(r"(MTD_TL|MTD_L\w+_TL.*)\.xml$", f)), None)
    tile = re.search(r"_T(\d{2}[A-Z]{3})_", f"{ref.path}_{ref.part}_" + "".join(ref.files[:1]))
    if tile:
        found["tile"] = tile[1]
    if path is None:
        return found
    root = parse_xml(ref.root / path, where=path)
    for angle in all_of(root, "Mean_Sun_Angle"):
        zenith = number_of(angle, "ZENITH_ANGLE", where=path)
        azimuth = number_of(angle, "AZIMUTH_ANGLE", where=path)
        if zenith is not None and azimuth is not None:
            found |= {"sun_elevation": 90 - zenith, "sun_azimuth": azimuth}
    cloud = number_of(root, "CLOUDY_PIXEL_PERCENTAGE", where=path)
    return found if cloud is None else {**found, "cloud_percent": cloud}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
