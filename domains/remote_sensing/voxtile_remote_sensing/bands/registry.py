"""The band registry: one YAML a sensor, read on demand, with the source beside each table.

Bands are asked for by name (`B04`), by an alias (`B4`), or by the common name of STAC's `eo` extension (`red`), never
by their position in a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError

# Common names of the STAC electro-optical extension, version 1.1 and 2.0 (github.com/stac-extensions/eo).
# fmt: off
COMMON_NAMES = frozenset((
    "pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071", "rededge075", "rededge078",
    "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir", "lwir11", "lwir12",
))
# fmt: on


@dataclass(frozen=True)
class Band:
    """One band of a sensor, or of a scene.

    Attributes:
        name: the operator's name, e.g. `B04` or `VV`.
        common_name: STAC common name, e.g. `red`; None where no name fits.
        wavelength_nm: centre wavelength in nanometres; None for radar and unknown bands.
        width_nm: full width at half maximum, nm.
        resolution_m: native ground sampling distance in metres.
        scale: physical = stored · scale + offset.
        offset: as above, in the physical unit.
        nodata: stored value that means nothing was measured; None where there is none.
        unit: of the physical value: reflectance, kelvin, W m-2 sr-1 um-1, dB, linear, 1.
        source: where the numbers come from.
        aliases: other names for the same band.
    """

    name: str
    common_name: str | None = None
    wavelength_nm: float | None = None
    width_nm: float | None = None
    resolution_m: float | None = None
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    unit: str = "1"
    source: str = ""
    aliases: tuple[str, ...] = ()

    def is_called(self, name: str) -> bool:
        """The band's name or an alias is this one, case and leading zeros of the number aside (`b4` is `B04`)."""
        return _key(name) in {_key(own) for own in (self.name, *self.aliases)}


@dataclass(frozen=True)
class Product:
    """A processing level: which bands it has and how stored values become physical.

    Attributes:
        name: e.g. `L2A`.
        bands: names in the sensor's order.
        defaults: scale, offset, nodata and unit of its bands.
        overrides: the same for single bands.
        source: where the numbers come from.
    """

    name: str
    bands: tuple[str, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Sensor:
    """A sensor's table.

    Attributes:
        name: e.g. `sentinel-2-msi`.
        title: one line for people.
        modality: MSI, HSI, SAR or RGB.
        source: where the band table comes from.
        licence: of the operator's data, where all of it has the same.
        bands: in the operator's order, without a product's scale.
        products: by name; the first is the default.
        platforms: platform → band → values that differ from the table (S2B's wavelengths).
    """

    name: str
    title: str
    modality: str
    source: str
    licence: str | None
    bands: tuple[Band, ...]
    products: Mapping[str, Product]
    platforms: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def product(self, name: str | None) -> Product:
        """A product by name, or the first.

        Raises:
            ConfigError: no such product; the message lists them.
        """
        if name is None:
            return next(iter(self.products.values()))
        if name not in self.products:
            raise ConfigError(f"{self.name} has no product '{name}'; there are: {', '.join(self.products)}")
        return self.products[name]

    def bands_of(self, product: str | None = None, *, platform: str | None = None) -> tuple[Band, ...]:
        """The bands of a product with its scale, offset, nodata and unit.

        Args:
            product: a name of `products`; None takes the first.
            platform: e.g. `S2B`, for tables that differ between spacecraft.

        Raises:
            ConfigError: no such product.
        """
        chosen = self.product(product)
        differs = self.platforms.get(platform or "", {})
        return tuple(
            replace(band, **chosen.defaults, **differs.get(band.name, {}))
            if band.name not in chosen.overrides
            else replace(band, **{**chosen.defaults, **chosen.overrides[band.name]}, **differs.get(band.name, {}))
            for band in self.bands
            if band.name in chosen.bands
        )

    def band(self, name: str, product: str | None = None, *, platform: str | None = None) -> Band:
        """One band by name, alias or common name.

        Raises:
            ConfigError: no such band, or the common name fits several; the message lists the bands.
        """
        return choose_band(self.bands_of(product, platform=platform), name, where=self.name)


def choose_band(bands: Iterable[Band], name: str, *, where: str) -> Band:
    """The band that a name means.

    Args:
        bands: what there is.
        name: a band's name, alias or STAC common name.
        where: for the message, e.g. the sensor or scene.

    Raises:
        ConfigError: none or several fit.
    """
    known = tuple(bands)
    found = [band for band in known if band.is_called(name)]
    found = found or [band for band in known if band.common_name == name.lower()]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{b.name} ({b.common_name})" if b.common_name else b.name for b in known[:20])
    listed += f" and {len(known) - 20} more" if len(known) > 20 else ""
    if found:
        raise ConfigError(
            f"'{name}' fits several bands of {where}: {', '.join(b.name for b in found)}; ask for one of them by name"
        )
    raise ConfigError(f"{where} has no band '{name}'; it has: {listed or 'none'}")


def modality_of(bands: Iterable[Band], dtypes: Iterable[str]) -> str:
    """What bands of an unnamed sensor make: RGB for a picture of bytes, HSI for over twenty bands, else MSI.

    Args:
        bands: of a scene; red, green and blue alone make a picture.
        dtypes: of their stored values.
    """
    known = tuple(bands)
    colours = sorted(band.common_name or band.name.lower() for band in known)
    if colours == ["blue", "green", "red"] and set(dtypes) == {"uint8"}:
        return "RGB"
    return "HSI" if len(known) > 20 else "MSI"


def sensor_names() -> tuple[str, ...]:
    """Names of all sensors of the registry."""
    return tuple(sorted(_sensor_files()))


@cache
def load_sensor(name: str) -> Sensor:
    """A sensor's table.

    Args:
        name: one of `sensor_names()`.

    Raises:
        ConfigError: no such sensor; the message lists them.
    """
    known = _sensor_files()
    if name not in known:
        raise ConfigError(f"no sensor named '{name}'; there are: {', '.join(sorted(known))}")
    return parse_sensor(load_yaml(known[name]), where=name)


def parse_sensor(table: Mapping[str, Any], *, where: str) -> Sensor:
    """Check a sensor table and build it.

    Raises:
        ConfigError: a key is missing or unknown, a band is listed twice, or a common name is not STAC's.
    """
    try:
        bands = tuple(_band(entry, str(table["source"])) for entry in table["bands"])
        names = [band.name for band in bands]
        products = {
            key: Product(
                name=key,
                bands=tuple(value.get("bands", names)),
                defaults=MappingProxyType({k: _plain(value[k]) for k in _SCALING if k in value}),
                overrides=MappingProxyType(value.get("overrides", {})),
                source=value.get("source", ""),
            )
            for key, value in table["products"].items()
        }
        sensor = Sensor(
            name=table["name"],
            title=table["title"],
            modality=table["modality"],
            source=table["source"],
            licence=table.get("licence"),
            bands=bands,
            products=MappingProxyType(products),
            platforms=MappingProxyType(table.get("platforms", {})),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"the table of sensor '{where}' is not valid: {type(error).__name__} {error}") from error
    if len(set(names)) != len(names):
        raise ConfigError(f"the table of sensor '{where}' lists a band twice")
    for product in products.values():
        unknown = set(product.bands) - set(names)
        if unknown:
            raise ConfigError(f"product {product.name} of '{where}' names unknown bands: {', '.join(sorted(unknown))}")
    return sensor


_SCALING = ("scale", "offset", "nodata", "unit")
_BAND_KEYS = frozenset({"name", "common_name", "wavelength_nm", "width_nm", "resolution_m", "aliases", *_SCALING})


def _band(entry: Mapping[str, Any], source: str) -> Band:
    unknown = set(entry) - _BAND_KEYS
    if unknown:
        raise ConfigError(f"band {entry.get('name')} has unknown keys: {', '.join(sorted(unknown))}")
    if entry.get("common_name") not in COMMON_NAMES | {None}:
        raise ConfigError(f"'{entry['common_name']}' of band {entry['name']} is not a STAC common name")
    values: dict[str, Any] = {key: _plain(value) for key, value in entry.items() if key != "aliases"}
    return Band(**values, source=source, aliases=tuple(entry.get("aliases", ())))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _key(name: str) -> str:
    return re.sub(r"(?<=[a-z_])0+(?=\d)", "", name.lower())


@cache
def _sensor_files() -> dict[str, str]:
    folder = files("voxtile_remote_sensing.bands") / "sensors"
    texts = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return {name.removesuffix(".yaml"): text for name, text in texts.items()}
