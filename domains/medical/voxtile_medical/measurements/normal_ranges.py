"""Whether an organ is larger or smaller than is usual, by a table of published ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_yaml

_TABLE = Path(__file__).with_name("normal_ranges.yaml")
_SEXES = ("male", "female")
_DICOM_SEX = {"m": "male", "f": "female", "male": "male", "female": "female"}


@dataclass(frozen=True)
class NormalRange:
    """The usual size of an organ in adults.

    Attributes:
        region: structure as in anatomy.yaml.
        measure: volume (ml), calibre (mm) or cardiothoracic_ratio.
        lower, upper: by sex; None where there is no such bound.
        above, below: finding that a size beyond the bound is; None where none follows.
        pair: the left and right organ together.
        cite: short name of the source, for facts.
        source: citation.
    """

    region: str
    measure: str
    lower: Mapping[str, float] | None
    upper: Mapping[str, float] | None
    above: str | None
    below: str | None
    pair: bool
    cite: str
    source: str

    def bounds(self, sex: str | None) -> tuple[float | None, float | None]:
        """Lower and upper bound for a sex; the wider of the two where it is not known.

        Args:
            sex: as in DICOM (M, F) or in words; None or anything else where it is not known.
        """
        sexes = [_DICOM_SEX[sex.casefold()]] if sex and sex.casefold() in _DICOM_SEX else list(_SEXES)
        lower = min((self.lower[s] for s in sexes), default=None) if self.lower else None
        upper = max((self.upper[s] for s in sexes), default=None) if self.upper else None
        return lower, upper


@dataclass(frozen=True)
class RangeTable:
    """All ranges, and the version of the table."""

    version: str
    ranges: tuple[NormalRange, ...]

    def of(self, region: str, measure: str) -> NormalRange | None:
        """The range of a structure's measure, if there is one."""
        return next((r for r in self.ranges if (r.region, r.measure) == (region, measure)), None)


@cache
def load_ranges(path: Path = _TABLE) -> RangeTable:
    """The table that ships with voxtile."""
    table = load_yaml(path.read_text("utf-8"))
    return RangeTable(table["version"], tuple(_range(entry) for entry in table["ranges"]))


def _range(entry: Mapping[str, Any]) -> NormalRange:
    return NormalRange(
        entry["region"],
        entry["measure"],
        _by_sex(entry["lower"]),
        _by_sex(entry["upper"]),
        entry["above"],
        entry["below"],
        bool(entry.get("pair")),
        entry["cite"],
        " ".join(entry["source"].split()),
    )


def _by_sex(bound: float | Mapping[str, float] | None) -> Mapping[str, float] | None:
    if bound is None or isinstance(bound, Mapping):
        return bound
    return dict.fromkeys(_SEXES, float(bound))
