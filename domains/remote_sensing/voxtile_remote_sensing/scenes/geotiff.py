"""Plain rasters: one GeoTIFF, COG, JPEG 2000 or VRT is one scene, named by its sidecar or by the file's own words.

A position says nothing: a file of three bands may be red, green, blue or blue, green, red. A file whose bands nobody
names is refused, with the sidecar to write.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from rasterio.enums import ColorInterp

from voxtile.corpus.schema import SYNTHETIC
from voxtile.errors import ConfigError
from voxtile_remote_sensing.bands.registry import COMMON_NAMES, Band, Sensor, load_sensor, modality_of
from voxtile_remote_sensing.scenes.access import inside
from voxtile_remote_sensing.scenes.listing import Found, Listing
from voxtile_remote_sensing.scenes.protocol import Scene, SceneBand, SceneError, SceneMask, SceneRef
from voxtile_remote_sensing.scenes.raster import RasterHeader, RasterPixels, check_integers, read_header
from voxtile_remote_sensing.scenes.sidecar import Sidecar, SidecarMask, read_sidecar, sidecar_of, sidecar_of_scene

SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt")
_COLOURS = {ColorInterp.red: "red", ColorInterp.green: "green", ColorInterp.blue: "blue"}


class GeoTiffReader:
    """One file, one scene."""

    name = "geotiff"

    def find(self, listing: Listing) -> Found:
        """Every raster file that no other reader has taken."""
        refs, masks = [], set()
        known: dict[str, tuple[SidecarMask, ...]] = {}
        for path in listing.sizes:
            if PurePosixPath(path).suffix.lower() not in SUFFIXES:
                continue
            sidecar = sidecar_of(path, listing.sizes, listing.options.sidecar)
            if sidecar is not None:
                if sidecar not in known:
                    known[sidecar] = _masks_of(listing.root / sidecar, sidecar)
                masks |= _mask_files(path, known[sidecar], listing)
            files = [path] if sidecar is None or sidecar not in listing.sizes else [path, sidecar]
            refs.append(listing.ref(self.name, path, files, part=""))
        kept = tuple(ref for ref in refs if ref.path not in masks)
        return Found(kept, frozenset(file for ref in kept for file in ref.files) | masks)

    def open(self, ref: SceneRef) -> Scene:
        """Open one file with what its sidecar says.

        Raises:
            SceneError: damaged, without a place on the ground, or bands without names.
        """
        return open_described(ref, sidecar_of_scene(ref))


def open_described(ref: SceneRef, sidecar: Sidecar) -> Scene:
    """Open one file with what a sidecar says.

    Raises:
        SceneError: damaged, without a place on the ground, or bands without names.
    """
    header = read_header(str(ref.location), ref.root, ref.options, crs=sidecar.crs)
    sensor = load_sensor(sidecar.sensor) if sidecar.sensor else None
    bands = _bands(ref, header, sidecar)
    used = {band.layer.index for band in bands} | {mask.band for mask in sidecar.masks if not mask.file}
    return Scene(
        ref=ref,
        sensor=sidecar.sensor or "unknown",
        modality=sidecar.modality
        or (sensor.modality if sensor else modality_of((b.band for b in bands), (b.dtype for b in bands))),
        product=sidecar.product or (sensor.product(None).name if sensor else ""),
        platform=sidecar.platform,
        datetime=sidecar.datetime or _tiff_datetime(header),
        bands=bands,
        pixels=RasterPixels(ref.root, ref.options),
        masks=(*(_mask(ref, header, mask) for mask in sidecar.masks), *header.own_masks(used)),
        attributes={SYNTHETIC: sidecar.synthetic},
        licence=sidecar.licence or (sensor.licence if sensor else None),
    )


def names_in_file(header: RasterHeader, sensor: Sensor | None, product: str | None) -> tuple[Band | None, ...] | None:
    """Bands by what the file itself says, or None where it does not name all of them apart.

    A description `B2 blue` is a name and a common name. JPEG in YCbCr is red, green and blue by definition; the colour
    interpretation RGB alone is not taken: writers set it for any three bytes.

    Raises:
        SceneError: the file says two things of one band, or one of two.
    """
    texts = header.descriptions
    if header.photometric != "ycbcr":
        _check_apart([text.casefold() for text in texts if text])
    else:
        for number, (text, colour) in enumerate(zip(texts, header.colours, strict=True), start=1):
            said = {word for word in _words(text) if word in _COLOURS.values()}
            if said and colour in _COLOURS and _COLOURS[colour] not in said:
                raise SceneError(
                    f"its JPEG stores band {number} as {_COLOURS[colour]}, but the description is '{text}'"
                )
    if all(texts) and len({text.casefold() for text in texts}) == len(texts):
        bands = tuple(_described(text, sensor, product) for text in texts)
        _check_apart([band.common_name for band in bands if band.common_name in _COLOURS.values()])
        return bands
    if header.photometric == "ycbcr" and set(header.colours) >= set(_COLOURS):
        names = [_COLOURS.get(colour) for colour in header.colours]
        return tuple(None if n is None else Band(n, common_name=n, source="TIFF YCbCr") for n in names)
    return None


def _check_apart(names: Sequence[str | None]) -> None:
    """Raise SceneError where one name stands for two bands."""
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise SceneError(f"its descriptions name '{repeated}' {names.count(repeated)} times")


def _words(text: str) -> list[str]:
    return re.split(r"[\s,;:()]+", text.lower())


def _described(text: str, sensor: Sensor | None, product: str | None) -> Band:
    words = re.split(r"[\s,;:()]+", text)
    colours = [word for word in _words(text) if word in COMMON_NAMES]
    if sensor is not None:
        for word in (text, *words):
            try:
                band = sensor.band(word, product)
            except ConfigError:
                continue
            if colours and band.common_name and not any(_is_akin(colour, band.common_name) for colour in colours):
                raise SceneError(f"a description is '{text}', but {band.name} of this sensor is {band.common_name}")
            return band
    common = colours[0] if len(colours) == 1 else None
    is_named = len(words) > 1 and bool(words[0]) and (len(colours) < 2 or words[0].lower() not in colours)
    return Band(words[0] if is_named else text, common_name=common, source="the file's band descriptions")


def _is_akin(colour: str, common: str) -> bool:
    """`nir` and `nir08`, `red` (of "red edge") and `rededge`."""
    return common.startswith(colour) or colour.startswith(common)


def _bands(ref: SceneRef, header: RasterHeader, sidecar: Sidecar) -> tuple[SceneBand, ...]:
    count = len(header.dtypes)
    own = {mask.band for mask in sidecar.masks if not mask.file}
    named: Sequence[Band | None] | None
    if sidecar.bands is not None:
        if len(sidecar.bands) != count:
            raise SceneError(
                f"{ref.id}: {sidecar.where} names {len(sidecar.bands)} bands, but the file has {count}; write null for "
                f"a band that is not used"
            )
        named = [None if entry is None else sidecar.named(entry) for entry in sidecar.bands]
        _check_described(ref, header, sidecar, named)
    else:
        sensor = load_sensor(sidecar.sensor) if sidecar.sensor else None
        try:
            named = names_in_file(header, sensor, sidecar.product)
        except SceneError as error:
            raise SceneError(f"{ref.id}: {error}; {_to_write(ref, header)}") from error
        named = named and [
            None if band is None else replace(sidecar.of_level(band), **sidecar.common) for band in named
        ]
    if named is None:
        raise SceneError(_unnamed(ref, header))
    names = [band.name for band in named if band is not None]
    if len(set(names)) != len(names):
        raise SceneError(f"{ref.id}: a band name stands twice ({', '.join(names)}); name each band once")
    grid = header.on_ground(ref.id)
    return tuple(
        header.band(_filled(band, header, index, sidecar), index, grid=grid)
        for index, band in enumerate(named, start=1)
        if band is not None and index not in own
    )


def _check_described(ref: SceneRef, header: RasterHeader, sidecar: Sidecar, named: Sequence[Band | None]) -> None:
    """Refuse a file that contradicts a sidecar of many files; one of its own is about this file, and knows better.

    Raises:
        SceneError: a description names another colour, or another band of the sensor.
    """
    own = PurePosixPath(ref.path).with_suffix(".yaml").as_posix()
    if own in ref.files:
        return
    try:
        said = names_in_file(header, load_sensor(sidecar.sensor) if sidecar.sensor else None, sidecar.product)
    except SceneError:
        return
    for number, (band, other, text) in enumerate(zip(named, said or (), header.descriptions, strict=False), start=1):
        here, there = (band and band.common_name) or "", (other and other.common_name) or ""
        if text and here and there and not _is_akin(here, there):
            raise SceneError(
                f"{ref.id}: {sidecar.where} says that band {number} is {here}, but the file describes it as '{text}'; "
                f"write {PurePosixPath(own).name} beside it, which goes before both"
            )


def _filled(band: Band, header: RasterHeader, index: int, sidecar: Sidecar) -> Band:
    """The band with what the file's header adds: first the sidecar's word, then the file's, then the sensor's."""
    entry = sidecar.bands[index - 1] if sidecar.bands else None
    stated = set(sidecar.common) | (set(entry) if isinstance(entry, dict) else set())
    values: dict[str, Any] = {}
    if "nodata" not in stated and header.nodata[index - 1] is not None:
        values["nodata"] = header.nodata[index - 1]
    if not {"scale", "offset"} & stated and (header.scales[index - 1], header.offsets[index - 1]) != (1.0, 0.0):
        values |= {"scale": header.scales[index - 1], "offset": header.offsets[index - 1]}
    elif not {"scale", "offset"} & stated and sidecar.sensor is not None:
        check_integers(band, header.dtypes[index - 1], sidecar.where, "'scale' in the sidecar")
    if "unit" not in stated and band.unit == "1" and header.units[index - 1]:
        values["unit"] = header.units[index - 1]
    return replace(band, **values)


def _unnamed(ref: SceneRef, header: RasterHeader) -> str:
    count = len(header.dtypes)
    return (
        f"{ref.id}: nobody says which of its {count} band{'s' if count > 1 else ''} is which, and a position proves "
        f"nothing; {_to_write(ref, header)}"
    )


def _to_write(ref: SceneRef, header: RasterHeader) -> str:
    count = len(header.dtypes)
    return (
        f"write {PurePosixPath(ref.path).stem}.yaml beside it (or bands.yaml for the folder) that names them in the "
        f"file's order, for example: 'bands: [{', '.join(['red', 'green', 'blue', 'nir'][:count] or ['red'])}]', or "
        "with a sensor: '{sensor: sentinel-2-msi, product: L2A, bands: [B04, B03, B02]}'"
    )


def _mask(ref: SceneRef, header: RasterHeader, mask: SidecarMask) -> SceneMask:
    if not mask.file:
        return header.mask(mask.kind, mask.kind, mask.band)
    href = mask.file.replace("{stem}", PurePosixPath(ref.path).stem)
    path = inside(ref.root, href, ref.options, base=ref.location.parent, where=ref.id)
    found = read_header(path, ref.root, ref.options)
    return found.mask(Path(path).stem, mask.kind, mask.band, nodata=found.nodata[mask.band - 1])


def _masks_of(file: Path, where: str) -> tuple[SidecarMask, ...]:
    """Masks that a sidecar names; one that cannot be read is reported when its scene is opened."""
    try:
        return read_sidecar(file, where).masks
    except SceneError:
        return ()


def _mask_files(path: str, masks: tuple[SidecarMask, ...], listing: Listing) -> set[str]:
    """Files that are masks of a raster: they are no scenes."""
    pure = PurePosixPath(path)
    names = {(pure.parent / mask.file.replace("{stem}", pure.stem)).as_posix() for mask in masks if mask.file}
    return {name for name in names if name in listing.sizes and name != path}  # a band of its own may be one


def _tiff_datetime(header: RasterHeader) -> str | None:
    """TIFF tag 306 is when the file was written, not when the scene was taken; only an explicit acquisition counts."""
    return header.tags.get("ACQUISITION_DATETIME") or header.tags.get("acquisition_datetime")
