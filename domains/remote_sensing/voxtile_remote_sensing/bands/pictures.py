"""Band combinations and indices that a tile can be shown by, found by the bands' names and wavelengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxtile.formats.display import BandPicture, stretch_of

# Centre wavelengths, nm, of the common names of STAC's eo extension (github.com/stac-extensions/eo, version 1.1).
_RANGES = {
    "blue": (450, 530),
    "green": (530, 600),
    "red": (620, 690),
    "nir": (760, 900),
    "swir16": (1550, 1750),
    "swir22": (2080, 2350),
}
# Reflectance that is white: 0.3 as the previews of tiles have it, 0.5 where vegetation is bright.
_COLOURS = (
    ("natural colours", ("red", "green", "blue"), 0.3),
    ("colour infrared", ("nir", "red", "green"), 0.5),
    ("short-wave infrared", ("swir22", "nir", "red"), 0.5),
    ("agriculture", ("swir16", "nir", "blue"), 0.5),
)
# (a − b) / (a + b): Tucker 1979; McFeeters 1996; Gao 1996; Key and Benson 2006.
_INDICES = (
    ("NDVI", ("nir", "red")),
    ("NDWI", ("green", "nir")),
    ("NDMI", ("nir", "swir16")),
    ("NBR", ("nir", "swir22")),
)
_REFLECTANCE = "reflectance"


def band_pictures(row: Mapping[str, Any]) -> list[BandPicture]:
    """What a tile can be shown as; the first is the most natural.

    Args:
        row: of the table `samples`.

    Returns:
        Combinations and indices whose bands are there, then each band by itself; empty where the bands have no names.
        Indices need reflectance, which stored numbers alone are not.
    """
    channels = row.get("channels") or []
    if not channels or not all(channel.get("name") for channel in channels):
        return []
    found = by_common_name(channels)
    is_reflectance = all((channel.get("unit") or row.get("units")) == _REFLECTANCE for channel in channels)
    is_photograph = row.get("dtype") == "uint8" and all(
        (channel.get("scale"), channel.get("offset")) in ((1, 0), (None, None)) for channel in channels
    )  # its levels are colours already: stretched one by one, grey ground would be cyan
    pictures = [
        BandPicture(
            name,
            tuple(found[band] for band in bands),
            *((0.0, top) if is_reflectance else (0.0, 255.0) if is_photograph else (None, None)),
            *(() if is_reflectance or is_photograph else (_of_scene(row, [found[band] for band in bands]),)),
        )
        for name, bands, top in _COLOURS
        if all(band in found for band in bands)
    ]
    if is_reflectance:
        pictures += [
            BandPicture(name, tuple(found[band] for band in bands), -1.0, 1.0)
            for name, bands in _INDICES
            if all(band in found for band in bands)
        ]
    return pictures + [
        BandPicture(str(channel["name"]), (n,), limits=_of_scene(row, [n])) for n, channel in enumerate(channels)
    ]


def _of_scene(row: Mapping[str, Any], channels: Sequence[int]) -> tuple[tuple[float, float], ...]:
    """Black and white of channels over the whole scene, so that its tiles can be compared; empty where one has none."""
    limits = [stretch_of(row, channel) for channel in channels]
    return tuple(ends for ends in limits if ends) if all(limits) else ()


def by_common_name(channels: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Position of the channel of each common name: by its own name, else the one nearest to the middle of the range."""
    own = {str(channel["name"]).lower(): n for n, channel in enumerate(channels)}
    found = {name: own[name] for name in _RANGES if name in own}
    for name, (low, high) in _RANGES.items():
        known = [(n, channel.get("wavelength_nm")) for n, channel in enumerate(channels)]
        within = [(abs(nm - (low + high) / 2), n) for n, nm in known if nm is not None and low <= nm <= high]
        if name not in found and within:
            found[name] = min(within)[1]
    return found
