"""By which bands a scene is shown: what the installed domains know of it, else its channels one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.formats.display import BandPicture
from voxtile.formats.pictures.values import axes_of, size_along

_ENCODED = ("jpg", "png")


def band_pictures(meta: Mapping[str, Any]) -> list[BandPicture]:
    """Pictures by name; empty where the sample is a picture already.

    Args:
        meta: row of the sample.
    """
    axes = axes_of(meta)
    if meta["codec"] in _ENCODED or "C" not in axes or "Z" in axes or (axes == "YXC" and meta["dtype"] == "uint8"):
        return []
    for domain in discover()[0].values():
        if domain.band_pictures is not None and (found := domain.band_pictures.load()(meta)):
            pictures: list[BandPicture] = found
            return pictures
    return [BandPicture(_name(meta, channel), (channel,)) for channel in range(size_along(meta, "C"))]


def band_picture(meta: Mapping[str, Any], name: str | None) -> BandPicture | None:
    """The one of a name, or the first; None where the sample is a picture already.

    Raises:
        ConfigError: there is none of this name.
    """
    known = band_pictures(meta)
    if name is None or not known:
        return known[0] if known else None
    for picture in known:
        if picture.name == name:
            return picture
    raise ConfigError(f"this sample has no picture of that name; it has: {', '.join(p.name for p in known)}")


def _name(meta: Mapping[str, Any], channel: int) -> str:
    channels = meta.get("channels") or []
    named = channels[channel].get("name") if channel < len(channels) else None
    return str(named or f"channel {channel + 1}")
