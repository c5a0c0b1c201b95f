"""Which datasets torchgeo has, from the texts of its classes: to import them takes seconds, and a name may be wrong."""

from __future__ import annotations

import difflib
import importlib.util
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from voxtile.errors import ConfigError, MissingExtraError

_PICTURES, _SCENES = "NonGeoDataset", "GeoDataset"
_OF_ALL = "NonGeo"  # in the names of what they are made of
_CLASS = re.compile(r"^class (\w+)\(([^()]*)\):", re.MULTILINE)
_PUBLIC = re.compile(r"^__all__ = \((.*?)^\)", re.MULTILINE | re.DOTALL)


def refuse_unknown_dataset(name: str) -> None:
    """Refuse a name that is none of torchgeo's datasets of pictures.

    Args:
        name: of the class in `torchgeo.datasets`.

    Raises:
        ConfigError: torchgeo has no such dataset, or it is one of scenes; the message says what to do.
        MissingExtraError: torchgeo is not installed.
    """
    pictures, scenes = known_datasets()
    if name in scenes:
        raise ConfigError(
            f"torchgeo's {name} is a dataset of scenes; convert its files with: voxtile convert geotiff SOURCE CORPUS"
        )
    if not pictures or name in pictures:
        return
    close = difflib.get_close_matches(name.casefold(), [n.casefold() for n in pictures], n=3, cutoff=0.5)
    nearest = [n for word in close for n in pictures if n.casefold() == word]
    hint = f"did you mean {', '.join(nearest)}?" if nearest else f"it has {', '.join(pictures)}"
    raise ConfigError(f"torchgeo has no dataset '{name}'; {hint}")


def known_datasets() -> tuple[list[str], list[str]]:
    """Names of the datasets of pictures and of those of scenes; none where the texts are not as they are today.

    Raises:
        MissingExtraError: torchgeo is not installed.
    """
    found = importlib.util.find_spec("torchgeo")
    if found is None or found.origin is None:
        raise MissingExtraError("torchgeo", "remote-sensing")
    folder = Path(found.origin).parent / "datasets"
    listed = _PUBLIC.search((folder / "__init__.py").read_text("utf-8"))
    public = re.findall(r"['\"](\w+)['\"]", listed[1]) if listed else []
    bases = {
        name: [base.strip() for base in above.split(",")]
        for path in sorted(folder.rglob("*.py"))
        for name, above in _CLASS.findall(path.read_text("utf-8"))
    }
    pictures = [name for name in public if _OF_ALL not in name and _PICTURES in set(_above(name, bases))]
    return pictures, [name for name in public if _SCENES in {name, *_above(name, bases)}]


def _above(name: str, bases: Mapping[str, Collection[str]]) -> Iterator[str]:
    for base in bases.get(name, ()):
        yield base
        yield from _above(base, bases)
