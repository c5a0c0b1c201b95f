"""Facts of one region by itself: sizes, intensity, count, and the rows that hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from voxtile.corpus.records import Row
from voxtile_medical.measurements.anatomy import Named
from voxtile_medical.measurements.diameters import AxialDiameters, Diameter, patient_bounds
from voxtile_medical.measurements.intensity import Intensity, Values
from voxtile_medical.measurements.measured import Measured, Part
from voxtile_medical.measurements.normal_ranges import NormalRange
from voxtile_medical.measurements.rules import RULES
from voxtile_medical.measurements.shape import Shape

_DECIMALS = 6  # of values: a millionth of a millimetre, so that the last bits of sums do not reach the table


@dataclass(frozen=True)
class Region:
    """A region that is being measured.

    Attributes:
        uid: of the sample.
        region_id: as in the table `regions`.
        phrase: the region's name as stored.
        code: ontology code of the structure, if the mask carried one.
        named: what the phrase names.
        measured: its measurements.
    """

    uid: str
    region_id: str
    phrase: str
    code: str | None
    named: Named
    measured: Measured

    def fact(
        self,
        rule: str,
        value: float | None,
        *,
        fill: str = "",
        unit: str | None = None,
        polarity: str = "present",
        **attributes: Any,  # noqa: ANN401 - what JSON can hold
    ) -> Row:
        """A row of the table `facts` about this region.

        Args:
            rule: id of the rule.
            value: the measurement.
            fill: what stands for `{}` in the rule's concept.
            unit: where it is not the rule's.
            polarity: present, absent or uncertain.
            attributes: more; None is left out.
        """
        known = {"region": self.phrase, "laterality": self.named.side, **attributes}
        made = RULES[rule]
        return {
            "uid": self.uid,
            "concept": made.concept.replace("{}", fill),
            "polarity": polarity,
            "value": None if value is None else round(float(value), _DECIMALS),
            "unit": unit or made.unit,
            "attributes": json.dumps({k: v for k, v in known.items() if v is not None}, sort_keys=True),
            "region_id": self.region_id,
            "code": self.code,
            "source": made.source,
        }


def own_facts(region: Region, values: Values | None, usual: NormalRange | None, sex: str | None) -> list[Row]:
    """What is measured on a region alone.

    Args:
        region: with its measurements.
        values: of the volume, which say what the intensity is called.
        usual: the range of its volume, which is noted beside it.
        sex: of the patient, if known.
    """
    measured = region.measured
    bounds = list(usual.bounds(sex)) if usual and not usual.pair else None
    cut_off = True if measured.shape.cut_off else None
    rows = [
        region.fact("volume", measured.shape.volume_ml, cut_off=cut_off, usual_range=bounds),
        region.fact("count", measured.count),
        *size_facts(region, measured.axial, measured.extent),
        region.fact("craniocaudal-extent", craniocaudal_mm(measured.shape), cut_off=cut_off),
    ]
    if values is not None and measured.intensity is not None:
        rows += intensity_facts(region, measured.intensity, values)
    return rows


def part_facts(region: Region, part: Part, values: Values | None, which: Mapping[str, Any]) -> list[Row]:
    """What is measured on one of several parts of a finding.

    Args:
        region: the whole finding.
        part: with its measurements.
        values: of the volume.
        which: attributes that tell the part from the others.
    """
    rows = [
        region.fact("volume", part.shape.volume_ml, **which),
        *size_facts(region, part.axial, part.extent, **which),
        region.fact("craniocaudal-extent", craniocaudal_mm(part.shape), **which),
    ]
    if values is not None and part.intensity is not None:
        rows += intensity_facts(region, part.intensity, values, **which)
    return rows


def craniocaudal_mm(shape: Shape) -> float:
    """Extent along the patient's head-foot axis, from face to face."""
    return float(np.ptp(patient_bounds(shape)[:, 2]))


def size_facts(region: Region, axial: AxialDiameters, extent: Diameter, **which: Any) -> list[Row]:  # noqa: ANN401
    """Diameters with their ends in voxel indices (z, y, x), so that they can be drawn.

    A diameter of which the upper bound is more than twice, as of a single voxel, is uncertain.
    """
    longest, across = axial.longest, axial.perpendicular
    return [
        region.fact("longest-axial-diameter", longest.mm, **_drawn(longest, axial.slice_index), **which),
        region.fact("perpendicular-diameter", across.mm, **_drawn(across, axial.slice_index), **which),
        region.fact(
            "who-product", longest.mm * across.mm, polarity=_resolved(across), slice=axial.slice_index, **which
        ),
        region.fact("largest-extent", extent.mm, **_drawn(extent, None), **which),
    ]


def intensity_facts(region: Region, found: Intensity, values: Values, **which: Any) -> list[Row]:  # noqa: ANN401
    """Mean, spread and percentiles; the maximum too where the values are uptake."""
    statistics = {"mean": found.mean, "sd": found.sd, "median": found.median, "p5": found.low, "p95": found.high}
    if values.quantity == "uptake":
        statistics["suv-max"] = found.maximum
    return [
        region.fact(rule, value, fill=values.quantity, unit=values.unit, **which) for rule, value in statistics.items()
    ]


def _drawn(length: Diameter, plane: int | None) -> dict[str, Any]:
    ends = [[round(float(index), 3) for index in end] for end in length.ends]
    return {"ends": ends, "edge_mm": round(length.edge_mm, 3), "slice": plane, "polarity": _resolved(length)}


def _resolved(length: Diameter) -> str:
    return "present" if 2 * length.mm > length.edge_mm else "uncertain"
