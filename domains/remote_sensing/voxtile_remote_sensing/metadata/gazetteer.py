"""Place names from a local table: no service is asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxtile.errors import InputError
from voxtile.stages.ingest.table import read_table

_NAME = ("name", "asciiname", "place", "city", "label")
_LATITUDE = ("latitude", "lat", "y")
_LONGITUDE = ("longitude", "lon", "lng", "long", "x")
_COUNTRY = ("country", "country_name", "country code", "iso2")
_NAN = "nan"
_EARTH_KM = 6371.0088  # mean radius, IUGG


@dataclass(frozen=True)
class Place:
    """The nearest place of the table.

    Attributes:
        name, country: as in the table.
        distance_m: great circle from the tile's centre.
        east, north: direction from the place to the tile, any length.
    """

    name: str
    country: str | None
    distance_m: float
    east: float
    north: float


@dataclass(frozen=True)
class Gazetteer:
    """Places with coordinates in degrees."""

    names: tuple[str, ...]
    countries: tuple[str | None, ...]
    latitudes: npt.NDArray[np.float64]
    longitudes: npt.NDArray[np.float64]

    def nearest(self, latitude: float, longitude: float) -> Place:
        """The place with the shortest great circle (haversine) to a point; the first of equals."""
        phi, other = np.radians(latitude), np.radians(self.latitudes)
        turn = np.radians(longitude - self.longitudes)
        half = np.sin((phi - other) / 2) ** 2 + np.cos(phi) * np.cos(other) * np.sin(turn / 2) ** 2
        index = int(np.argmin(half))
        distance = 2000 * _EARTH_KM * float(np.arcsin(np.sqrt(min(1.0, float(half[index])))))
        east = float(np.sin(turn[index]) * np.cos(phi))
        north = float(np.cos(other[index]) * np.sin(phi) - np.sin(other[index]) * np.cos(phi) * np.cos(turn[index]))
        return Place(self.names[index], self.countries[index], distance, east, north)


def load_gazetteer(path: Path) -> Gazetteer:
    """Read a CSV, TSV or Parquet of places, e.g. a GeoNames extract with a header.

    Args:
        path: with columns for name, latitude and longitude in degrees; a country is used if there.

    Raises:
        InputError: a column is missing or a coordinate is no number.
    """
    table = read_table(path)
    names = table.column(table.need(_NAME, "place names"))
    columns = [
        table.column(table.need(known, what)) for known, what in ((_LATITUDE, "latitude"), (_LONGITUDE, "longitude"))
    ]
    country = table.find(_COUNTRY)
    countries = table.column(country) if country else [None] * len(names)
    rows = [
        (name, land, lat, lon)
        for name, land, lat, lon in zip(names, countries, *columns, strict=True)
        if name and lat and lon and _NAN not in (lat.strip().lower(), lon.strip().lower())  # as pandas writes a blank
    ]
    if not rows:
        raise InputError(f"the gazetteer '{path}' has no row with a name, a latitude and a longitude")
    try:
        latitudes = np.array([float(row[2] or "") for row in rows])
        longitudes = np.array([float(row[3] or "") for row in rows])
    except ValueError as error:
        raise InputError(f"the gazetteer '{path}' has a coordinate that is no number of degrees: {error}") from error
    if np.abs(latitudes).max() > 90 or np.abs(longitudes).max() > 360:
        raise InputError(f"the gazetteer '{path}' has coordinates that are no degrees; latitudes reach from -90 to 90")
    return Gazetteer(tuple(str(r[0]) for r in rows), tuple(r[1] for r in rows), latitudes, longitudes)
