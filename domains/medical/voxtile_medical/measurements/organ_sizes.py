"""Enlarged and small organs by the table of usual ranges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from voxtile.corpus.records import Row
from voxtile_medical.measurements.anatomy import SIDES
from voxtile_medical.measurements.diameters import patient_bounds
from voxtile_medical.measurements.normal_ranges import NormalRange, RangeTable
from voxtile_medical.measurements.region_facts import Region
from voxtile_medical.measurements.rules import RULES
from voxtile_medical.measurements.shape import Shape

_UNITS = {"volume": "ml", "calibre": "mm", "cardiothoracic_ratio": None}
_HEART, _LUNG = "heart", "lung"


@dataclass(frozen=True)
class _Size:
    """A size to be judged; `cut_off`: part of the organ may lie outside the volume, so that it is a lower bound."""

    region: Region
    value: float
    cut_off: bool


def organ_size_facts(regions: Sequence[Region], table: RangeTable, sex: str | None) -> list[Row]:
    """Measurements that exist for their range (calibre, cardiothoracic ratio), and the findings that follow by rule.

    An organ that reaches the border of the volume is enlarged if what is seen of it is; that it is not, or that it is
    small, is not said.
    """
    rows = []
    for normal in table.ranges:
        for size in _sizes(regions, normal):
            if normal.measure != "volume":
                rows.append(size.region.fact(normal.measure.replace("_", "-"), size.value))
            rows += _judge(size, normal, sex)
    return rows


def _sizes(regions: Sequence[Region], normal: NormalRange) -> Iterator[_Size]:
    own = [r for r in regions if r.named.name == normal.region and r.named.kind in ("organ", "vessel")]
    if normal.measure == "cardiothoracic_ratio":
        yield from _cardiothoracic(own, regions)
    elif normal.pair:
        sides = [next((r for r in own if r.named.side == side), None) for side in SIDES]
        pair = [region for region in sides if region is not None]
        if len(pair) == len(SIDES):
            total = sum(region.measured.shape.volume_ml for region in pair)
            yield _Size(pair[0], total, any(region.measured.shape.cut_off for region in pair))
    else:
        for region in own:
            shape = region.measured.shape
            value = shape.volume_ml if normal.measure == "volume" else largest_calibre(shape)
            yield _Size(region, value, shape.cut_off)


def _cardiothoracic(hearts: list[Region], regions: Sequence[Region]) -> Iterator[_Size]:
    """Width of the heart over that of the lungs, from outer edge to outer edge across the patient."""
    lungs = [r for r in regions if _LUNG in (r.named.name, r.named.organ) and r.named.kind in ("organ", "part")]
    if not hearts or {r.named.side for r in lungs} < set(SIDES):
        return
    lung_x = np.array([patient_bounds(region.measured.shape)[:, 0] for region in lungs])
    width = float(np.ptp(lung_x))
    heart = float(np.ptp(patient_bounds(hearts[0].measured.shape)[:, 0]))
    cut_off = any(region.measured.shape.cut_off for region in [hearts[0], *lungs])
    yield _Size(hearts[0], heart / width, cut_off)


def _judge(size: _Size, normal: NormalRange, sex: str | None) -> Iterator[Row]:
    lower, upper = normal.bounds(sex)
    if normal.above and upper is not None:
        yield from _verdict(size, normal, normal.above, size.value > upper, (lower, upper), firm=not size.cut_off)
    if normal.below and lower is not None and not size.cut_off:
        yield from _verdict(size, normal, normal.below, size.value < lower, (lower, upper), firm=True)


def _verdict(
    size: _Size,
    normal: NormalRange,
    finding: str,
    outside: bool,
    bounds: tuple[float | None, float | None],
    *,
    firm: bool,
) -> Iterator[Row]:
    if outside or firm:
        yield size.region.fact(
            RULES["normal-range"].id,
            size.value,
            fill=finding.replace(" ", "_"),
            unit=_UNITS[normal.measure],
            polarity="present" if outside else "absent",
            laterality=None,
            region=f"{normal.region}s" if normal.pair else size.region.phrase,
            usual_range=list(bounds),
            reference=normal.cite,
        )


def largest_calibre(shape: Shape) -> float:
    """Diameter in mm of the largest ball that fits into a region.

    Twice the largest distance from a voxel centre inside to the nearest centre outside (exact Euclidean distance
    transform). It needs no centre line, and unlike a diameter in an axial slice it is not lengthened where the vessel
    runs obliquely or along the slice. Within a voxel of the diameter of a cylinder.
    """
    padded = np.pad(shape.bits, 1)
    return 2 * float(ndimage.distance_transform_edt(padded, sampling=shape.grid.spacing).max())
