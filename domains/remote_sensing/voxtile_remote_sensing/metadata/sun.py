"""Season and height of the sun from time and place.

The sun's position follows the low-accuracy formulas of Meeus, Astronomical Algorithms (2nd ed., 1998), chapters 13 and
25, as NOAA's solar calculator uses them: within 0.05° between 1900 and 2100, refraction left out.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

TROPIC_DEG = 23.44  # between the tropics there are no four seasons
_SEASONS = ("winter", "spring", "summer", "autumn")
_J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)


def season(month: int, latitude: float) -> str | None:
    """The meteorological season of a month (three whole months each), or None between the tropics.

    Args:
        month: 1 to 12.
        latitude: degrees; the southern half-year is shifted by six months.
    """
    if abs(latitude) < TROPIC_DEG:
        return None
    shifted = month if latitude > 0 else month + 6
    return _SEASONS[shifted % 12 // 3]


def sun_elevation(moment: datetime, latitude: float, longitude: float) -> float:
    """Height of the sun's centre above the horizon in degrees, without refraction.

    Args:
        moment: with its time zone.
        latitude: degrees, north positive.
        longitude: degrees, east positive.
    """
    days = (moment - _J2000).total_seconds() / 86400
    centuries = days / 36525
    mean_longitude = math.radians(280.46646 + centuries * (36000.76983 + centuries * 0.0003032))
    anomaly = math.radians(357.52911 + centuries * (35999.05029 - centuries * 0.0001537))
    centre = (
        (1.914602 - centuries * (0.004817 + centuries * 0.000014)) * math.sin(anomaly)
        + (0.019993 - centuries * 0.000101) * math.sin(2 * anomaly)
        + 0.000289 * math.sin(3 * anomaly)
    )
    node = math.radians(125.04 - 1934.136 * centuries)
    apparent = mean_longitude + math.radians(centre - 0.00569 - 0.00478 * math.sin(node))
    obliquity = math.radians(23.4392911 - 0.0130042 * centuries + 0.00256 * math.cos(node))
    declination = math.asin(math.sin(obliquity) * math.sin(apparent))
    ascension = math.atan2(math.cos(obliquity) * math.sin(apparent), math.cos(apparent))
    sidereal = math.radians(280.46061837 + 360.98564736629 * days + 0.000387933 * centuries**2)
    hour_angle = sidereal + math.radians(longitude) - ascension
    phi = math.radians(latitude)
    height = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, height))))


def parse_moment(text: str | None) -> tuple[datetime | None, bool]:
    """A tile's `datetime` and whether it states the time of day; times without a zone are UTC."""
    if not text:
        return None, False
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None, False
    stated = "T" in text or " " in text.strip()
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)), stated
