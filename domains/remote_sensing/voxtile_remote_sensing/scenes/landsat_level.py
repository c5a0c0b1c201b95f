"""What Landsat products mean where no MTL says it: the level by names, and the reflectance of Level 1.

Level 1 reflectance = (DN · REFLECTANCE_MULT + REFLECTANCE_ADD) / sin(sun elevation) (USGS LSDS-1574, section 5). Of
OLI the two numbers are the same in every MTL; of TM and ETM+ they are not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

from voxtile_remote_sensing.bands.registry import Band
from voxtile_remote_sensing.scenes.protocol import SceneError

OLI = ("landsat-8", "landsat-9")
TIRS = "landsat-8"
UNCORRECTED = "reflectance * sin(sun elevation)"
LEVEL_1 = (0.00002, -0.1)  # REFLECTANCE_MULT and REFLECTANCE_ADD of OLI, LSDS-1574
# L1TP, L1GT, L1GS, L2SP, L2SR, L1, "landsat-c2l1", "landsat-8-l1-c1", LC08_L1GT_…
_LEVEL = re.compile(r"(?:^|[^A-Z0-9]|C\d)L(?:EVEL)?[-_ ]?([12])(?!\d)")
# Products before Collection 1 are named LXSPPPRRRYYYYDDDGSIVV, those of collections LXSS_LLLL_…_CC_TX.
_PRE_COLLECTION = re.compile(r"^L[COTEM]\d{14}[A-Z]{3}\d{2}(?![A-Z0-9])")
_COLLECTION = re.compile(r"^L[COTEM]0\d_\w+_0[12]_(T1|T2|RT)(?![A-Z0-9])")


def level_of(texts: Iterable[object]) -> int | None:
    """1 or 2, by the first text that tells; None where none does.

    Args:
        texts: the level, the correction, the collection, the product's name.
    """
    for text in texts:
        upper = str(text or "").upper()
        match = _LEVEL.search(upper)
        if match:
            return int(match[1])
        if _PRE_COLLECTION.match(upper):  # before Collection 1 the USGS distributed Level 1 under this name
            return 1
    return None


def bqa_kind(names: Iterable[str], collection: object, where: str) -> str:
    """`BQA` for the quality bits of Collection 1, `BQA-pre-collection` for those before it.

    Args:
        names: of the file and of the product.
        collection: the collection's number that the scene states, or None.
        where: the scene, for the message.

    Raises:
        SceneError: nothing says which.
    """
    known = [name.upper() for name in names]
    if collection is not None or any(_COLLECTION.match(name) for name in known):
        return "BQA"
    if any(_PRE_COLLECTION.match(name) for name in known):
        return "BQA-pre-collection"
    raise SceneError(
        f"{where}: nothing says whether the bits of its BQA are those of Collection 1 or those before it, and they "
        f"differ; give the file its name of the USGS, or state the collection's number"
    )


def over_sine(scale: float, offset: float, elevation: object, where: str) -> tuple[float, float]:
    """Scale and offset of Level 1 reflectance, divided by the sine of the sun's elevation.

    Args:
        scale: REFLECTANCE_MULT.
        offset: REFLECTANCE_ADD.
        elevation: of the sun at the scene's centre, degrees.
        where: the scene, for the message.

    Raises:
        SceneError: the elevation is no number between 0 and 90.
    """
    if not isinstance(elevation, float | int) or not 0 < elevation <= 90:
        raise SceneError(f"{where}: the sun's elevation is '{elevation}', so there is no reflectance at Level 1")
    sine = math.sin(math.radians(elevation))
    return scale / sine, offset / sine


def level_1_band(
    band: Band, stated: tuple[float, float] | None, unit: str | None, elevation: object, platform: str, where: str
) -> Band:
    """A band of Level 1 with what a scene states of it.

    Args:
        band: of the registry, with its product's scale.
        stated: scale and offset, or None where the scene states none.
        unit: that the scene states for them.
        elevation: of the sun, degrees.
        platform: e.g. `landsat-8`.
        where: the scene, for messages.

    Raises:
        SceneError: the numbers could be radiance or reflectance, or are nowhere, or the sun's elevation is not stated.
    """
    if unit is not None and stated is not None:
        return replace(band, scale=stated[0], offset=stated[1], unit=unit)
    if band.unit == "reflectance" and platform.startswith(OLI) and stated in (None, LEVEL_1):
        if elevation is None:
            raise SceneError(
                f"{where}: reflectance of Level 1 needs the sun's elevation; state it ('view:sun_elevation', degrees)"
            )
        scale, offset = over_sine(*LEVEL_1, elevation, where)
        return replace(band, scale=scale, offset=offset)
    if stated is not None:
        raise SceneError(
            f"{where}: scale and offset of band {band.name} at Level 1 are stated without a unit, so they may mean "
            f"radiance or reflectance; state the unit"
        )
    if band.unit != "reflectance" and platform.startswith(TIRS):
        return band  # the registry's numbers are those of every MTL of Landsat 8
    raise SceneError(
        f"{where}: nothing says how the numbers of band {band.name} at Level 1 become physical; put the scene's "
        f"MTL.txt beside the rasters under their names of the USGS, or state scale, offset and unit"
    )


def level_1_without_mtl(band: Band, elevation: float | None, sensor: str, platform: str | None, where: str) -> Band:
    """A band of Level 1 of which a person says the sensor alone, with the unit of what can be known.

    OLI's reflectance without the sun's elevation is what it is, times the sine of that; the numbers of TM and ETM+, and
    of the thermal bands of Landsat 9, stand in each scene's MTL, so that they are digital numbers here.

    Args:
        band: of the registry, with its product's scale.
        elevation: of the sun, degrees, or None.
        sensor: name of the sensor.
        platform: that the person states, or None.
        where: the file, for messages.

    Raises:
        SceneError: the elevation is no number between 0 and 90.
    """
    if not sensor.startswith(OLI) or (band.unit != "reflectance" and str(platform)[-1:] == "9"):
        return replace(band, scale=1.0, offset=0.0, unit="DN")
    if band.unit != "reflectance":
        return band
    if elevation is None:
        return replace(band, unit=UNCORRECTED)
    scale, offset = over_sine(band.scale, band.offset, elevation, where)
    return replace(band, scale=scale, offset=offset)
